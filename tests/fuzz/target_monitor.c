/*
 * The input is what comes over the serial line to the monitor: kernel/main/monitor.c, which splits
 * lines into words, and kernel/main/timer_command.c, a command that reads numbers.
 *
 * Everything behind the commands is an actor here: it asserts that what arrives is in its bounds.
 * The monitor never returns, so the end of the input leaves it by a jump.
 */
#include "tests/host/cmocka_all.h"

#include <setjmp.h>
#include <stdlib.h>
#include <string.h>

#include "tests/host/kernel_names.h"

#include "kernel/clients/timers.h"
#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/main/lineedit.h"
#include "kernel/main/monitor.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "tests/fuzz/fuzz.h"

#define TARGET_CPUS 3

static jmp_buf target_end;
static const uint8_t *target_next, *target_last;
static struct cpu_info target_cpu[TARGET_CPUS];
_Atomic(struct cpu_info *) cpu_table[MAXCPUS] = { &target_cpu[0], &target_cpu[1], &target_cpu[2] };

int
console_get(void)
{
	if (target_next == target_last)
		longjmp(target_end, 1);
	/* Every 0xff is a moment in which nothing has arrived. */
	return *target_next++ == 0xff ? -1 : target_next[-1];
}

/* Through the real formatter, to nowhere. */
static void
target_put(void *cookie, char c)
{
	(void)cookie;
	(void)c;
}

void
printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf_format(target_put, NULL, fmt, ap);
	va_end(ap);
}

uint64_t
clock_ns(void)
{
	static uint64_t ns;

	return ns += 1000000;
}

void
kthread_sleep_ns(uint64_t ns)
{
	assert_true(ns != 0);
}

/* The last CPU has gone. */
bool
cpu_online(const struct cpu_info *ci)
{
	return ci != &target_cpu[TARGET_CPUS - 1];
}

int
timer_set(const struct cpuset *set, enum timer_mode mode, uint64_t hz)
{
	assert_null(set);
	assert_in_range(hz, TIMER_HZ_MIN, TIMER_HZ_MAX);
	return mode == TIMER_DEADLINE ? EOPNOTSUPP : 0;
}

int
timer_set_on(struct cpu_info *ci, enum timer_mode mode, uint64_t hz)
{
	assert_true(cpu_online(ci));
	assert_in_range(hz, TIMER_HZ_MIN, TIMER_HZ_MAX);
	return mode == TIMER_PERIODIC ? 0 : EINVAL;
}

void
timer_get(const struct cpu_info *ci, struct timer_record *r)
{
	memset(r, 0, sizeof(*r));
	r->registers.periodic = ci == &target_cpu[0];
	r->registers.deadline = ci == &target_cpu[1];
}

/* A command that looks at its words. */
COMMAND(echo, "word ...", "the words must be whole")
{
	assert_in_range(argc, 1, 8);
	for (int i = 0; i < argc; i++) {
		size_t length = strlen(argv[i]);

		assert_in_range(length, 1, LINEEDIT_BYTES - 1);
		for (size_t at = 0; at < length; at++)
			assert_in_range(argv[i][at], 0x21, 0x7e);
	}
	return argc == 8;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	target_next = data;
	target_last = data + size;
	for (unsigned i = 0; i < TARGET_CPUS; i++)
		target_cpu[i].ci_index = i;
	if (setjmp(target_end) == 0)
		monitor_run();
	return 0;
}
