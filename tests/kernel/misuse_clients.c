/*
 * Misuse of callouts and of the clients of cross calls: each boot must end in a panic that names
 * the offence (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/callout.h"
#include "kernel/clients/text.h"
#include "kernel/clients/timers.h"
#include "kernel/clients/tlb.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/printf.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

static callout_t misuse_callout;

TEST_MISUSE(callout_without_a_function)
{
	callout_init(&misuse_callout, NULL, NULL);
}

TEST_MISUSE(callout_not_initialised)
{
	callout_schedule(&misuse_callout, 0);
}

static void
misuse_halt(void *arg)
{
	callout_halt(arg);
}

TEST_MISUSE(callout_halts_itself)
{
	callout_init(&misuse_callout, misuse_halt, &misuse_callout);
	callout_schedule(&misuse_callout, 0);
	kthread_sleep_ns(1000000000);
}

TEST_MISUSE(timer_set_on_a_foreign_cpu)
{
	static struct cpu_info stranger;

	printf("%d\n", timer_set_on(&stranger, TIMER_PERIODIC, 100));
}

TEST_MISUSE(timer_set_to_no_mode)
{
	printf("%d\n", timer_set(NULL, (enum timer_mode)9, 100));
}

TEST_MISUSE(tlb_shootdown_with_interrupts_off)
{
	bool intr = machine_intr_disable();

	tlb_shootdown(0, 1);
	machine_intr_restore(intr);
}

static void
misuse_patch(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	printf("%d\n",
	    text_patch(
		(uintptr_t)misuse_halt, (const void *)misuse_halt, (const void *)misuse_halt, 1));
}

TEST_MISUSE(text_patch_in_a_cross_call)
{
	xc_wait(xc_unicast(0, misuse_patch, NULL, NULL, cpu_lookup(0)));
}
