/*
 * The monitor's hand on the timers: what the main job does, one command at a time.
 *
 * A local timer can be programmed only by its own CPU, so this is a cross call.  One-shot is not
 * offered: a CPU without ticks wakes no sleeper, the monitor's own thread for one.
 */
#include <stdbool.h>

#include "kernel/clients/timers.h"
#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/timer.h"

#define TIMER_COMMAND_NS_PER_US 1000

/* A decimal number in [min, max] and nothing else. */
static bool
timer_command_number(const char *text, uint64_t min, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return false;
	}
	*value = n;
	return n >= min;
}

static void
timer_command_print(const struct cpu_info *ci)
{
	struct timer_record r;

	timer_get(ci, &r);
	printf("%4u  %6lu  %6u  %10u  %s\n", ci->ci_index, r.setting.hz, r.registers.divide,
	    r.registers.initial_count,
	    r.registers.periodic       ? "periodic"
		: r.registers.deadline ? "deadline"
				       : "neither periodic nor deadline");
}

/* Calls one CPU, or all (NULL), waits, and shows what their registers hold. */
static void
timer_command_run(struct cpu_info *ci, enum timer_mode mode, uint64_t hz)
{
	uint64_t start_ns = clock_ns(), took_ns;
	int error = ci == NULL ? timer_set(NULL, mode, hz) : timer_set_on(ci, mode, hz);
	struct cpu_info *each;

	took_ns = clock_ns() - start_ns;
	if (error == EOPNOTSUPP) {
		printf("no deadlines here: the CPU lacks them\n");
		return;
	}
	printf("%s cross call, round trip %lu.%03lu us", ci == NULL ? "broadcast" : "unicast",
	    took_ns / TIMER_COMMAND_NS_PER_US, took_ns % TIMER_COMMAND_NS_PER_US);
	if (error != 0)
		printf(", refused: errno %d", error);
	printf("\n CPU      Hz  divide       count  mode\n");
	CPU_INFO_FOREACH(each)
		if (cpu_online(each) && (ci == NULL || each == ci))
			timer_command_print(each);
}

/* The online CPU that a word names, NULL for "all"; false: there is none, which has been said, or
 * EINVAL. */
static bool
timer_command_cpu(const char *word, struct cpu_info **ci, int *error)
{
	uint64_t index;

	*ci = NULL;
	*error = 0;
	if (strcmp(word, "all") == 0)
		return true;
	if (!timer_command_number(word, 0, MAXCPUS - 1, &index)) {
		*error = EINVAL;
		return false;
	}
	*ci = cpu_lookup((unsigned)index);
	if (*ci == NULL)
		printf("there is no CPU %lu\n", index);
	else if (!cpu_online(*ci))
		printf("CPU %lu is offline\n", index);
	return *ci != NULL && cpu_online(*ci);
}

COMMAND(timer, "all|N hz [deadline]", "sets the rate of all local timers, or of CPU N's")
{
	enum timer_mode mode = argc == 4 ? TIMER_DEADLINE : TIMER_PERIODIC;
	struct cpu_info *ci;
	uint64_t hz;
	int error;

	if (argc < 3 || argc > 4 || (argc == 4 && strcmp(argv[3], "deadline") != 0) ||
	    !timer_command_number(argv[2], TIMER_HZ_MIN, TIMER_HZ_MAX, &hz))
		return EINVAL;
	if (timer_command_cpu(argv[1], &ci, &error))
		timer_command_run(ci, mode, hz);
	return error;
}
