/*
 * Boots that must end in a trap or a panic, with the right words (tests/console/misuse.toml).
 */
#include <stdatomic.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "tests/kernel/recurse.h"
#include "tests/kernel/test.h"

/* Values that the compiler must not see through. */
static _Atomic uintptr_t misuse_zero;
static _Atomic uint64_t misuse_words[512];
static const uint32_t misuse_constant = 1;

static uintptr_t
misuse_hidden_zero(void)
{
	return atomic_load_explicit(&misuse_zero, memory_order_relaxed);
}

TEST_MISUSE(null_read)
{
	printf("%u\n", *(const uint32_t *)(misuse_hidden_zero() + 16));
}

TEST_MISUSE(write_to_constants)
{
	*(uint32_t *)((uintptr_t)&misuse_constant + misuse_hidden_zero()) = 2;
}

TEST_MISUSE(write_to_text)
{
	*(uint32_t *)((uintptr_t)test_run + misuse_hidden_zero()) = 0xcccccccc;
}

TEST_MISUSE(execute_data)
{
	((void (*)(void))((uintptr_t)misuse_words + misuse_hidden_zero()))();
}

TEST_MISUSE(divide_by_zero)
{
	printf("%lu\n", 1000 / misuse_hidden_zero());
}

TEST_MISUSE(stack_overflow)
{
	printf("%lu\n", misuse_recurse(misuse_hidden_zero()));
}

TEST_MISUSE(false_assertion)
{
	KASSERTMSG(misuse_hidden_zero() == 1, "zero is %lu", misuse_hidden_zero());
}

static void
misuse_interrupt(void *arg __attribute__((unused)), struct trapframe *frame)
{
	panic_frame(frame, "panic asked for in an interrupt");
}

TEST_MISUSE(panic_in_interrupt)
{
	struct cpu_info *last = cpu_lookup(ncpu - 1);

	machine_send_ipi(last, test_vector(misuse_interrupt));
	for (;;)
		machine_pause();
}

/* All CPUs panic at once; one report, one END line. */
static void
misuse_panic_together(void *arg __attribute__((unused)))
{
	machine_intr_disable();
	atomic_fetch_add_explicit(&misuse_words[0], 1, memory_order_relaxed);
	while (atomic_load_explicit(&misuse_words[0], memory_order_relaxed) < ncpu)
		machine_pause();
	panic("all CPUs panic together");
}

TEST_MISUSE(panic_on_all_cpus)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		if (kthread_create(PRI_USER, 0, ci, misuse_panic_together, NULL, NULL, "panic/%u",
			ci->ci_index) != 0)
			return;
	}
	for (;;) /* they have a lower priority: none begins before all are there */
		kthread_sleep_ns(1000000000);
}
