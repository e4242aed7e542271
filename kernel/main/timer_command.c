/*
 * The monitor's hand on the timers: what the main job does, one command at a time.
 *
 * A local timer can be programmed only by its own CPU, so this is a cross call.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "xcall/xcall.h"

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

struct timer_command_request {
	uint64_t hz;
	_Atomic unsigned refusals;
};

/* The cross-called function: reprograms the CPU it runs on. */
static void
timer_command_set(void *request, void *unused __attribute__((unused)))
{
	struct timer_command_request *rq = request;

	if (timer_set(TIMER_PERIODIC, rq->hz) != 0)
		atomic_fetch_add_explicit(&rq->refusals, 1, memory_order_relaxed);
}

static void
timer_command_print(const struct cpu_info *ci)
{
	struct timer_record r;

	timer_get(ci, &r);
	printf("%4u  %6lu  %6u  %10u  %s\n", ci->ci_index, r.setting.hz, r.registers.divide,
	    r.registers.initial_count, r.registers.periodic ? "periodic" : "not periodic");
}

/* Calls one CPU, or all (NULL), waits, and shows what their registers hold. */
static void
timer_command_run(struct cpu_info *ci, uint64_t hz)
{
	struct timer_command_request rq = { .hz = hz };
	uint64_t start_ns = clock_ns(), took_ns, ticket;
	struct cpu_info *each;
	int error;

	if (ci == NULL)
		ticket = xc_broadcast(0, timer_command_set, &rq, NULL);
	else
		ticket = xc_unicast(0, timer_command_set, &rq, NULL, ci);
	error = xc_wait(ticket);
	took_ns = clock_ns() - start_ns;
	if (error != 0) {
		printf("the cross call failed: errno %d\n", error);
		return;
	}
	printf("%s cross call, round trip %lu.%03lu us, refused by %u\n",
	    ci == NULL ? "broadcast" : "unicast", took_ns / TIMER_COMMAND_NS_PER_US,
	    took_ns % TIMER_COMMAND_NS_PER_US,
	    atomic_load_explicit(&rq.refusals, memory_order_relaxed));
	printf(" CPU      Hz  divide       count  mode\n");
	CPU_INFO_FOREACH(each)
		if (ci == NULL || each == ci)
			timer_command_print(each);
}

COMMAND(timer, "all|N hz", "sets the rate of all local timers, or of CPU N's, by cross call")
{
	struct cpu_info *ci = NULL;
	uint64_t index, hz;

	if (argc != 3 || !timer_command_number(argv[2], TIMER_HZ_MIN, TIMER_HZ_MAX, &hz))
		return EINVAL;
	if (strcmp(argv[1], "all") != 0) {
		if (!timer_command_number(argv[1], 0, MAXCPUS - 1, &index))
			return EINVAL;
		ci = cpu_lookup((unsigned)index);
		if (ci == NULL) {
			printf("there is no CPU %lu\n", index);
			return 0;
		}
	}
	timer_command_run(ci, hz);
	return 0;
}
