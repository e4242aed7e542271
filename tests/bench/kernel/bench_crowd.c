/*
 * Many callers at once: the cycles from the first call of any of them to the end of the last, over
 * the calls of all.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/panic.h"
#include "tests/bench/kernel/bench.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/twin_seed.h"
#include "xcall/xc_call.h"
#include "xcall/xcall.h"

#define BENCH_STORM 8u
#define BENCH_DEPTH_MAX 16u
/* All to all: calls of all CPUs together, and of each at least. */
#define BENCH_ALL_CALLS 20000u
#define BENCH_ALL_LEAST 64u

struct bench_crowd {
	unsigned senders, first; /* how many, on which CPUs: this one and those behind it */
	unsigned calls;          /* of each */
	unsigned depth;          /* outstanding of each */
	void (*send)(const struct bench_crowd *, unsigned cpu);
	_Atomic unsigned waiting, left;
	_Atomic uint64_t *began, *ended; /* of each, cycles */
};

static struct bench_crowd bench_crowd;
static struct xc_call bench_crowd_call[BENCH_STORM][BENCH_DEPTH_MAX];

static void
bench_crowd_sender(void *arg)
{
	struct bench_crowd *crowd = &bench_crowd;
	const struct cpu_info *ci = arg;
	unsigned n = ci->ci_index - crowd->first;

	/* Acquire and release: all begin together. */
	atomic_fetch_sub_explicit(&crowd->waiting, 1, memory_order_acq_rel);
	while (atomic_load_explicit(&crowd->waiting, memory_order_acquire) != 0)
		machine_pause();
	atomic_store_explicit(&crowd->began[n], machine_cycles(), memory_order_relaxed);
	bench_mark_begin();
	crowd->send(crowd, ci->ci_index);
	bench_mark_end();
	atomic_store_explicit(&crowd->ended[n], machine_cycles(), memory_order_relaxed);
}

/* Joined threads have ended: what they wrote is there. */
static uint64_t
bench_crowd_cycles(void)
{
	uint64_t began = UINT64_MAX, ended = 0, at;

	for (unsigned i = 0; i < bench_crowd.senders; i++) {
		at = atomic_load_explicit(&bench_crowd.began[i], memory_order_relaxed);
		began = at < began ? at : began;
		at = atomic_load_explicit(&bench_crowd.ended[i], memory_order_relaxed);
		ended = at > ended ? at : ended;
	}
	return ended - began;
}

/* The senders' threads top this one, which may stand on a CPU of theirs: it only joins them. */
static void
bench_crowd_run(struct bench_run *run)
{
	struct bench_crowd *crowd = &bench_crowd;
	struct crew_job *jobs = crew_alloc(crowd->senders, sizeof(*jobs));

	crowd->began = crew_alloc(crowd->senders, sizeof(*crowd->began));
	crowd->ended = crew_alloc(crowd->senders, sizeof(*crowd->ended));
	atomic_store_explicit(&crowd->waiting, crowd->senders, memory_order_relaxed);
	for (unsigned i = crowd->senders; i-- != 0;) {
		struct cpu_info *ci = cpu_lookup(crowd->first + i);

		crew_start(&jobs[i], ci, PRI_KTHREAD, bench_crowd_sender, ci);
	}
	for (unsigned i = 0; i < crowd->senders; i++)
		crew_join(&jobs[i]);
	run->calls = (uint64_t)crowd->senders * crowd->calls;
	run->cycles = bench_crowd_cycles();
	crew_free(jobs, crowd->senders, sizeof(*jobs));
	crew_free(crowd->began, crowd->senders, sizeof(*crowd->began));
	crew_free(crowd->ended, crowd->senders, sizeof(*crowd->ended));
}

/* --- every CPU calls all others in turn, and waits each time ---------------------------------- */

static void
bench_crowd_all(const struct bench_crowd *crowd, unsigned cpu)
{
	unsigned target = cpu;

	for (unsigned n = 0; n < crowd->calls; n++) {
		target = target + 1 == ncpu ? 0 : target + 1;
		if (target == cpu)
			target = target + 1 == ncpu ? 0 : target + 1;
		xc_wait(xc_unicast(XC_HARD, bench_nop, NULL, NULL, cpu_lookup(target)));
	}
}

static void
bench_crowd_all_run(struct bench_run *run)
{
	unsigned calls = BENCH_ALL_CALLS / ncpu;

	bench_crowd = (struct bench_crowd){ .senders = ncpu,
		.calls = calls > BENCH_ALL_LEAST ? calls : BENCH_ALL_LEAST,
		.send = bench_crowd_all };
	bench_crowd_run(run);
}

/* --- senders with a target of its own each -------------------------------- */

static void
bench_crowd_low(const struct bench_crowd *crowd, unsigned cpu)
{
	struct cpu_info *to = cpu_lookup(cpu + crowd->senders);

	for (unsigned n = 0; n < crowd->calls; n++)
		xc_wait(xc_unicast(0, bench_nop, NULL, NULL, to));
}

static void
bench_crowd_seed(const struct bench_crowd *crowd, unsigned cpu)
{
	struct cpu_info *to = cpu_lookup(cpu + crowd->senders);

	for (unsigned n = 0; n < crowd->calls; n++)
		twin_wait(twin_unicast(0, bench_nop, NULL, NULL, to));
}

static void
bench_crowd_hard(const struct bench_crowd *crowd, unsigned cpu)
{
	struct cpu_info *to = cpu_lookup(cpu + crowd->senders);

	for (unsigned n = 0; n < crowd->calls; n++)
		xc_wait(xc_unicast(XC_HARD, bench_nop, NULL, NULL, to));
}

static void
bench_crowd_pairs(
    struct bench_run *run, unsigned senders, void (*send)(const struct bench_crowd *, unsigned cpu))
{
	bench_crowd = (struct bench_crowd){
		.senders = senders, .calls = run->samples, .send = send
	};
	bench_crowd_run(run);
}

/* Admitting on done: the choice of 2016, the one that is right. */
static void
bench_crowd_seed_pairs(struct bench_run *run, unsigned senders)
{
	twin_start(true);
	bench_crowd_pairs(run, senders, bench_crowd_seed);
	twin_stop();
}

#define BENCH_PAIRS(n_) \
	static void bench_crowd_hard_##n_(struct bench_run *run) \
	{ \
		bench_crowd_pairs(run, n_, bench_crowd_hard); \
	} \
	static void bench_crowd_low_##n_(struct bench_run *run) \
	{ \
		bench_crowd_pairs(run, n_, bench_crowd_low); \
	} \
	static void bench_crowd_seed_##n_(struct bench_run *run) \
	{ \
		bench_crowd_seed_pairs(run, n_); \
	}
BENCH_PAIRS(1)
BENCH_PAIRS(4)
BENCH_PAIRS(16)
#define BENCH_PAIRS_ROWS(n_) \
	{ "hard_senders_" #n_, BENCH_IDLE, 2 * (n_), 1, bench_crowd_hard_##n_ }, \
	    { "low_senders_" #n_, BENCH_IDLE, 2 * (n_), 1, bench_crowd_low_##n_ }, \
	{ \
		"seed_senders_" #n_, BENCH_IDLE, 2 * (n_), 1, bench_crowd_seed_##n_ \
	}

/* --- eight senders, one target ---------------------------------------------------------------- */

static void
bench_crowd_storm(const struct bench_crowd *crowd, unsigned cpu)
{
	struct xc_call *call = bench_crowd_call[cpu - crowd->first];

	for (unsigned n = 0; n < crowd->calls; n += crowd->depth) {
		for (unsigned i = 0; i < crowd->depth; i++) {
			if (xc_call_post(&call[i], XC_HARD, cpu_lookup(0)) != 0)
				panic("a descriptor is busy");
		}
		for (unsigned i = 0; i < crowd->depth; i++)
			xc_call_wait(&call[i]);
	}
}

static void
bench_crowd_storm_depth(struct bench_run *run, unsigned depth)
{
	for (unsigned i = 0; i < BENCH_STORM; i++) {
		for (unsigned j = 0; j < depth; j++)
			xc_call_init(&bench_crowd_call[i][j], bench_nop, NULL, NULL);
	}
	bench_crowd = (struct bench_crowd){ .senders = BENCH_STORM,
		.first = 1,
		.calls = (run->samples + depth - 1) / depth * depth,
		.depth = depth,
		.send = bench_crowd_storm };
	bench_crowd_run(run);
}

static void
bench_crowd_storm_1_run(struct bench_run *run)
{
	bench_crowd_storm_depth(run, 1);
}

static void
bench_crowd_storm_10_run(struct bench_run *run)
{
	bench_crowd_storm_depth(run, 10);
}

const struct bench_row bench_crowd_rows[] = {
	{ "all_to_all", BENCH_IDLE, 2, 1, bench_crowd_all_run },
	BENCH_PAIRS_ROWS(1),
	BENCH_PAIRS_ROWS(4),
	BENCH_PAIRS_ROWS(16),
	{ "storm_8", BENCH_IDLE, 9, 1, bench_crowd_storm_1_run },
	{ "storm_8_deep", BENCH_IDLE, 9, 1, bench_crowd_storm_10_run },
	{ .name = NULL },
};
