/*
 * One caller, every CPU: broadcasts, the machine stopped, timers.
 */
#include <stddef.h>

#include "kernel/clients/timers.h"
#include "kernel/cpuset.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "tests/bench/kernel/bench.h"
#include "tests/kernel/crew.h"
#include "xcall/rendezvous.h"
#include "xcall/xcall.h"

static uint64_t bench_many_ticket;
static struct cpuset bench_many_set;

static inline void
bench_many_call(void)
{
	xc_wait(xc_broadcast(XC_HARD | XC_NOSELF, bench_nop, NULL, NULL));
}

static inline void
bench_many_call_all(void)
{
	xc_wait(xc_broadcast(XC_HARD, bench_nop, NULL, NULL));
}

static inline void
bench_many_post(void)
{
	bench_many_ticket = xc_broadcast(XC_HARD | XC_NOSELF, bench_nop, NULL, NULL);
}

static inline void
bench_many_wait(void)
{
	xc_wait(bench_many_ticket);
}

static inline void
bench_many_low(void)
{
	xc_wait(xc_broadcast(0, bench_nop, NULL, NULL));
}

static inline void
bench_many_timers(void)
{
	if (timer_set(NULL, TIMER_PERIODIC, HZ) != 0)
		panic("the timers cannot be set");
}

static void
bench_many_phase(void *arg __attribute__((unused)))
{
}

static inline void
bench_many_stop(void)
{
	if (xc_stop_machine(bench_many_phase, NULL, &bench_many_set) != 0)
		panic("the machine cannot be stopped");
}

BENCH_OP(bench_many_call)
BENCH_OP(bench_many_call_all)
BENCH_OP(bench_many_low)
BENCH_OP(bench_many_timers)

static void
bench_many_post_run(struct bench_run *run)
{
	bench_sample(run, bench_nothing, bench_many_post, bench_many_wait);
}

static void
bench_many_stop_run(struct bench_run *run)
{
	cpuset_zero(&bench_many_set);
	cpuset_add(&bench_many_set, bench_target()->ci_index);
	bench_sample(run, bench_nothing, bench_many_stop, bench_nothing);
}

/* Begins of one broadcast: the last less the first. */
static void
bench_many_stamp(void *arg, void *unused __attribute__((unused)))
{
	uint64_t *begun = arg;

	begun[curcpu()->ci_index] = machine_cycles();
}

static void
bench_many_skew_run(struct bench_run *run)
{
	uint64_t *begun = crew_alloc(ncpu, sizeof(*begun));

	run->warm = 0;
	for (unsigned i = 0; i < run->samples; i++) {
		uint64_t first = UINT64_MAX, last = 0;

		bench_gap();
		xc_wait(xc_broadcast(XC_HARD, bench_many_stamp, begun, NULL));
		for (unsigned cpu = 0; cpu < ncpu; cpu++) {
			first = begun[cpu] < first ? begun[cpu] : first;
			last = begun[cpu] > last ? begun[cpu] : last;
		}
		run->sample[i] = last - first;
	}
	crew_free(begun, ncpu, sizeof(*begun));
}

const struct bench_row bench_many_rows[] = {
	{ "broadcast_busy", BENCH_ALL_BUSY, 2, 1, bench_many_call_run },
	{ "broadcast_idle", BENCH_IDLE, 2, 1, bench_many_call_run },
	{ "broadcast_all", BENCH_IDLE, 2, 1, bench_many_call_all_run },
	{ "post_broadcast", BENCH_IDLE, 2, 1, bench_many_post_run },
	{ "skew", BENCH_IDLE, 2, 1, bench_many_skew_run },
	{ "timers", BENCH_IDLE, 2, 10, bench_many_timers_run },
	{ "low_all", BENCH_IDLE, 2, 10, bench_many_low_run },
	{ "stop_machine", BENCH_IDLE, 2, 10, bench_many_stop_run },
	{ .name = NULL },
};
