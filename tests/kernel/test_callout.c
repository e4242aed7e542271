/*
 * Callouts: when and where they run, stopping and moving them from anywhere, CPUs that are offline.
 *
 * No case judges by how late a callout is: an emulator drops ticks when its host is busy.  Never
 * early is what always holds.
 */
#include "kernel/callout.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clients/timers.h"
#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"

#define NS_PER_MS 1000000ull
#define CALLOUT_CPUS_MAX 64u

/* A callout and what it has seen. */
struct probe {
	callout_t c;
	_Atomic uint64_t runs;
	_Atomic uint64_t ran_ns;
	_Atomic unsigned cpu;
	_Atomic unsigned wrong; /* runs in another context than it should be */
	_Atomic uint64_t order; /* how many ran before, of all that share the counter */
};

static _Atomic uint64_t probe_order;

static void
probe_run(void *arg)
{
	struct probe *p = arg;

	if (!cpu_softintr_p() || cpu_intr_p() || !machine_intr_enabled())
		atomic_fetch_add_explicit(&p->wrong, 1, memory_order_relaxed);
	atomic_store_explicit(&p->cpu, curcpu()->ci_index, memory_order_relaxed);
	atomic_store_explicit(&p->ran_ns, clock_ns(), memory_order_relaxed);
	atomic_store_explicit(&p->order,
	    atomic_fetch_add_explicit(&probe_order, 1, memory_order_relaxed), memory_order_relaxed);
	atomic_fetch_add_explicit(&p->runs, 1, memory_order_release);
}

static void
probe_init(struct probe *p)
{
	memset(p, 0, sizeof(*p));
	callout_init(&p->c, probe_run, p);
}

static uint64_t
probe_runs(const struct probe *p)
{
	return atomic_load_explicit(&p->runs, memory_order_acquire);
}

static unsigned
callout_ncpu(void)
{
	return ncpu < CALLOUT_CPUS_MAX ? ncpu : CALLOUT_CPUS_MAX;
}

/* --- where and when --------------------------------------------------------------------------- */

TEST_CASE(callout, runs_once_and_never_early)
{
	static const uint64_t delay_ns[] = { 0, 1, NS_PER_MS, 25 * NS_PER_MS };
	static struct probe p;

	for (unsigned i = 0; i < sizeof(delay_ns) / sizeof(delay_ns[0]); i++) {
		uint64_t start = clock_ns();

		probe_init(&p);
		callout_schedule(&p.c, delay_ns[i]);
		T_ASSERT(test_wait_at_least(&p.runs, 1));
		T_ASSERT(
		    atomic_load_explicit(&p.ran_ns, memory_order_relaxed) >= start + delay_ns[i]);
		T_ASSERT_EQ(atomic_load_explicit(&p.cpu, memory_order_relaxed), 0);
		T_ASSERT_EQ(atomic_load_explicit(&p.wrong, memory_order_relaxed), 0);
		kthread_sleep_ns(30 * NS_PER_MS);
		T_ASSERT_EQ(probe_runs(&p), 1);
		T_ASSERT(!callout_stop(&p.c));
	}
}

TEST_CASE(callout, soonest_first)
{
	static const unsigned delay_ms[] = { 70, 10, 50, 30, 90, 20 };
	static struct probe p[6];
	bool intr = machine_intr_disable();

	for (unsigned i = 0; i < 6; i++) {
		probe_init(&p[i]);
		callout_schedule(&p[i].c, delay_ms[i] * NS_PER_MS);
	}
	machine_intr_restore(intr);
	for (unsigned i = 0; i < 6; i++)
		T_ASSERT(test_wait_at_least(&p[i].runs, 1));
	for (unsigned i = 0; i < 6; i++)
		for (unsigned k = 0; k < 6; k++)
			T_ASSERT(delay_ms[i] <= delay_ms[k] ||
			    atomic_load_explicit(&p[i].order, memory_order_relaxed) >
				atomic_load_explicit(&p[k].order, memory_order_relaxed));
}

TEST_CASE(callout, on_every_cpu)
{
	static struct probe p[CALLOUT_CPUS_MAX];
	uint64_t start;

	for (unsigned i = 0; i < callout_ncpu(); i++) {
		probe_init(&p[i]);
		start = clock_ns();
		T_ASSERT_EQ(callout_schedule_on(&p[i].c, cpu_lookup(i), 5 * NS_PER_MS), 0);
		T_ASSERT(test_wait_at_least(&p[i].runs, 1));
		T_ASSERT_EQ(atomic_load_explicit(&p[i].cpu, memory_order_relaxed), i);
		T_ASSERT_EQ(atomic_load_explicit(&p[i].wrong, memory_order_relaxed), 0);
		T_ASSERT(atomic_load_explicit(&p[i].ran_ns, memory_order_relaxed) >=
		    start + 5 * NS_PER_MS);
	}
}

static _Atomic uint64_t set_runs[CALLOUT_CPUS_MAX];

/* arg: the counter of the CPU that it must run on. */
static void
set_run(void *arg)
{
	if (arg == &set_runs[curcpu()->ci_index])
		atomic_fetch_add_explicit((_Atomic uint64_t *)arg, 1, memory_order_relaxed);
}

TEST_CASE(callout, on_a_set)
{
	static callout_t c[CALLOUT_CPUS_MAX];
	static struct cpuset set;

	if (ncpu > CALLOUT_CPUS_MAX) {
		test_skip("more CPUs than the case has room for");
		return;
	}
	cpuset_zero(&set);
	for (unsigned i = 0; i < ncpu; i++) {
		callout_init(&c[i], set_run, &set_runs[i]);
		atomic_store_explicit(&set_runs[i], 0, memory_order_relaxed);
		if (i % 2 == 0)
			cpuset_add(&set, i);
	}
	T_ASSERT_EQ(callout_schedule_set(c, NULL, 1), 0);
	for (unsigned i = 0; i < ncpu; i++)
		T_ASSERT(test_wait_at_least(&set_runs[i], 1));
	T_ASSERT_EQ(callout_schedule_set(c, &set, 1), 0);
	for (unsigned i = 0; i < ncpu; i += 2)
		T_ASSERT(test_wait_at_least(&set_runs[i], 2));
	for (unsigned i = 0; i < ncpu; i++) {
		T_ASSERT(!callout_halt(&c[i]));
		T_ASSERT_EQ(
		    atomic_load_explicit(&set_runs[i], memory_order_relaxed), i % 2 == 0 ? 2 : 1);
	}
}

/* --- stopping and moving ---------------------------------------------------------------------- */

TEST_CASE(callout, stopped_does_not_run)
{
	static struct probe p;

	probe_init(&p);
	T_ASSERT(!callout_stop(&p.c));
	T_ASSERT(!callout_halt(&p.c));
	callout_schedule(&p.c, 20 * NS_PER_MS);
	T_ASSERT(callout_stop(&p.c));
	T_ASSERT(!callout_stop(&p.c));
	callout_schedule(&p.c, 20 * NS_PER_MS);
	T_ASSERT(callout_halt(&p.c));
	/* Of another CPU's list. */
	T_ASSERT_EQ(callout_schedule_on(&p.c, cpu_lookup(ncpu - 1), 20 * NS_PER_MS), 0);
	T_ASSERT(callout_stop(&p.c));
	/* Never is never. */
	callout_schedule(&p.c, UINT64_MAX);
	kthread_sleep_ns(60 * NS_PER_MS);
	T_ASSERT_EQ(probe_runs(&p), 0);
	T_ASSERT(callout_stop(&p.c));
}

TEST_CASE(callout, scheduled_again_is_moved)
{
	static struct probe p;

	probe_init(&p);
	callout_schedule(&p.c, 5 * NS_PER_MS);
	T_ASSERT_EQ(callout_schedule_on(&p.c, cpu_lookup(ncpu - 1), 30 * NS_PER_MS), 0);
	T_ASSERT(test_wait_at_least(&p.runs, 1));
	T_ASSERT_EQ(atomic_load_explicit(&p.cpu, memory_order_relaxed), ncpu - 1);
	kthread_sleep_ns(50 * NS_PER_MS);
	T_ASSERT_EQ(probe_runs(&p), 1);
}

static struct again {
	callout_t c;
	_Atomic uint64_t runs;
	_Atomic uint64_t in; /* its function runs */
	uint64_t spin_ns;
} again;

static void
again_run(void *arg __attribute__((unused)))
{
	uint64_t end = clock_ns() + again.spin_ns;

	atomic_store_explicit(&again.in, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&again.runs, 1, memory_order_relaxed);
	while (clock_ns() < end)
		machine_pause();
	callout_schedule(&again.c, 0);
	atomic_store_explicit(&again.in, 0, memory_order_relaxed);
}

/* With the next due at once: the thread gets on, and no more runs than ticks.  An interrupt that
 * came late may have counted for the next one too (timer.c); both were ticks. */
TEST_CASE(callout, one_that_schedules_itself_runs_once_a_tick)
{
	struct timer_record before, after;
	uint64_t stale = timer_stale();

	again.spin_ns = 0;
	atomic_store_explicit(&again.runs, 0, memory_order_relaxed);
	callout_init(&again.c, again_run, NULL);
	timer_get(curcpu(), &before);
	callout_schedule(&again.c, 0);
	T_ASSERT(test_wait_at_least(&again.runs, 10));
	callout_halt(&again.c);
	timer_get(curcpu(), &after);
	T_ASSERT_EQ(after.setting.generation, before.setting.generation);
	T_ASSERT(atomic_load_explicit(&again.runs, memory_order_relaxed) <=
	    after.expiries - before.expiries + timer_stale() - stale + 1);
}

/* Wherever it is caught, in its function or before it, it stays away. */
TEST_CASE(callout, halted_stays_away)
{
	struct cpu_info *ci = cpu_lookup(ncpu - 1);
	uint64_t random = 12345, runs;

	again.spin_ns = 300000;
	callout_init(&again.c, again_run, NULL);
	T_ASSERT_EQ(timer_set_on(ci, TIMER_PERIODIC, 2000), 0);
	for (unsigned i = 0; i < 60; i++) {
		runs = atomic_load_explicit(&again.runs, memory_order_relaxed);
		T_ASSERT_EQ(callout_schedule_on(&again.c, ci, 0), 0);
		T_ASSERT(test_wait_at_least(&again.runs, runs + 1));
		for (uint64_t end = clock_ns() + crew_random(&random) % NS_PER_MS;
		     clock_ns() < end;)
			machine_pause();
		callout_halt(&again.c);
		T_ASSERT_EQ(atomic_load_explicit(&again.in, memory_order_relaxed), 0);
		runs = atomic_load_explicit(&again.runs, memory_order_relaxed);
		kthread_sleep_ns(2 * NS_PER_MS);
		T_ASSERT_EQ(atomic_load_explicit(&again.runs, memory_order_relaxed), runs);
		T_ASSERT(!callout_stop(&again.c));
	}
	T_ASSERT_EQ(timer_set_on(ci, TIMER_PERIODIC, HZ), 0);
}

/* The function may free its callout: nothing reads it afterwards, and the next in the list runs. */
static void
free_run(void *arg)
{
	memset(arg, 0xff, sizeof(callout_t));
}

TEST_CASE(callout, freed_by_its_function)
{
	static callout_t freed[3];
	static struct probe last;

	probe_init(&last);
	for (unsigned i = 0; i < 3; i++) {
		callout_init(&freed[i], free_run, &freed[i]);
		callout_schedule(&freed[i], NS_PER_MS);
	}
	callout_schedule(&last.c, NS_PER_MS);
	T_ASSERT(test_wait_at_least(&last.runs, 1));
	for (unsigned i = 0; i < 3; i++)
		T_ASSERT(freed[i].co_func != free_run);
}

/* --- the example of callout(9) ---------------------------------------------------------------- */

struct watch {
	callout_t callout;
	_Atomic uint64_t looks;
};

#define WATCH_NS 100000000ull

/* Soft interrupt. */
static void
watch_look(void *arg)
{
	struct watch *watch = arg;

	atomic_fetch_add_explicit(&watch->looks, 1, memory_order_relaxed);
	callout_schedule(&watch->callout, WATCH_NS);
}

static void
watch_begin(struct watch *watch)
{
	callout_init(&watch->callout, watch_look, watch);
	callout_schedule(&watch->callout, WATCH_NS);
}

/* Afterwards the watch may be freed. */
static void
watch_end(struct watch *watch)
{
	callout_halt(&watch->callout);
}

TEST_CASE(callout, example)
{
	static struct watch watch;
	uint64_t looks;

	watch_begin(&watch);
	T_ASSERT(test_wait_at_least(&watch.looks, 2));
	watch_end(&watch);
	looks = atomic_load_explicit(&watch.looks, memory_order_relaxed);
	kthread_sleep_ns(WATCH_NS + WATCH_NS / 2);
	T_ASSERT_EQ(atomic_load_explicit(&watch.looks, memory_order_relaxed), looks);
}

/* --- several CPUs at once --------------------------------------------------------------------- */

#define RACE_ROUNDS 100u

static struct race {
	struct probe p;
	_Atomic uint64_t round; /* begun */
	_Atomic uint64_t ready; /* CPUs that are through with it */
} race;

static void
race_first(void *arg __attribute__((unused)))
{
	for (uint64_t round = 1; round <= RACE_ROUNDS; round++) {
		while (atomic_load_explicit(&race.round, memory_order_acquire) < round)
			machine_pause();
		callout_schedule(&race.p.c, 3600000 * NS_PER_MS);
		atomic_fetch_add_explicit(&race.ready, 1, memory_order_release);
	}
}

/* A callout that has had no CPU yet gets one, and is in one list. */
TEST_CASE(callout, first_scheduled_by_several_cpus)
{
	static struct crew_job job[CALLOUT_CPUS_MAX];

	if (ncpu < 2) {
		test_skip("one CPU only");
		return;
	}
	atomic_store_explicit(&race.round, 0, memory_order_relaxed);
	atomic_store_explicit(&race.ready, 0, memory_order_relaxed);
	for (unsigned i = 1; i < callout_ncpu(); i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, race_first, NULL);
	for (uint64_t round = 1; round <= RACE_ROUNDS; round++) {
		probe_init(&race.p);
		atomic_store_explicit(&race.round, round, memory_order_release);
		callout_schedule(&race.p.c, 3600000 * NS_PER_MS);
		T_ASSERT(test_wait_at_least(&race.ready, round * (callout_ncpu() - 1)));
		T_ASSERT(callout_stop(&race.p.c));
		T_ASSERT(!callout_stop(&race.p.c));
	}
	for (unsigned i = 1; i < callout_ncpu(); i++)
		crew_join(&job[i]);
	T_ASSERT_EQ(probe_runs(&race.p), 0);
}

#define STORM_CALLOUTS 8u
#define STORM_ROUNDS 1500u

static struct probe storm[STORM_CALLOUTS];
static _Atomic uint64_t storm_scheduled;

static void
storm_actor(void *arg)
{
	uint64_t random = (uintptr_t)arg;

	for (unsigned i = 0; i < STORM_ROUNDS; i++) {
		struct probe *p = &storm[crew_random(&random) % STORM_CALLOUTS];
		uint64_t what = crew_random(&random) % 8;

		if (what < 5) {
			atomic_fetch_add_explicit(&storm_scheduled, 1, memory_order_relaxed);
			callout_schedule(&p->c, crew_random(&random) % (2 * NS_PER_MS));
		} else {
			callout_stop(&p->c);
		}
		if (i % 64 == 0)
			kthread_sleep_ns(NS_PER_MS);
	}
}

TEST_CASE(callout, storm)
{
	static struct crew_job job[CALLOUT_CPUS_MAX];
	uint64_t runs = 0, after = 0;

	for (unsigned i = 0; i < STORM_CALLOUTS; i++)
		probe_init(&storm[i]);
	atomic_store_explicit(&storm_scheduled, 0, memory_order_relaxed);
	for (unsigned i = 0; i < callout_ncpu(); i++)
		crew_start(
		    &job[i], cpu_lookup(i), PRI_KERNEL, storm_actor, (void *)(uintptr_t)(i + 1));
	for (unsigned i = 0; i < callout_ncpu(); i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	for (unsigned i = 0; i < STORM_CALLOUTS; i++) {
		callout_halt(&storm[i].c);
		T_ASSERT_EQ(atomic_load_explicit(&storm[i].wrong, memory_order_relaxed), 0);
		runs += probe_runs(&storm[i]);
	}
	T_ASSERT(runs > 0 && runs <= atomic_load_explicit(&storm_scheduled, memory_order_relaxed));
	kthread_sleep_ns(20 * NS_PER_MS);
	for (unsigned i = 0; i < STORM_CALLOUTS; i++)
		after += probe_runs(&storm[i]);
	T_ASSERT_EQ(after, runs);
}

/* --- CPUs that are offline -------------------------------------------------------------------- */

TEST_CASE(callout, offline_cpu)
{
	static struct probe stays, stopped, moved, late;
	struct cpu_info *ci = cpu_lookup(ncpu - 1);

	if (!plug_begin())
		return;
	probe_init(&stays);
	probe_init(&stopped);
	probe_init(&moved);
	probe_init(&late);
	T_ASSERT_EQ(callout_schedule_on(&stays.c, ci, 500 * NS_PER_MS), 0);
	T_ASSERT_EQ(callout_schedule_on(&stopped.c, ci, 60000 * NS_PER_MS), 0);
	T_ASSERT_EQ(callout_schedule_on(&moved.c, ci, 60000 * NS_PER_MS), 0);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT_EQ(callout_schedule_on(&late.c, ci, 0), EHOSTDOWN);
	T_ASSERT(!callout_stop(&late.c));
	T_ASSERT(callout_halt(&stopped.c));
	callout_schedule(&moved.c, NS_PER_MS);
	T_ASSERT(test_wait_at_least(&moved.runs, 1));
	T_ASSERT_EQ(atomic_load_explicit(&moved.cpu, memory_order_relaxed), 0);
	kthread_sleep_ns(600 * NS_PER_MS);
	/* On a host that was slow it may have run before the CPU left. */
	T_ASSERT(probe_runs(&stays) == 0 ||
	    atomic_load_explicit(&stays.cpu, memory_order_relaxed) == ncpu - 1);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(test_wait_at_least(&stays.runs, 1));
	T_ASSERT_EQ(atomic_load_explicit(&stays.cpu, memory_order_relaxed), ncpu - 1);
	kthread_sleep_ns(30 * NS_PER_MS);
	T_ASSERT_EQ(probe_runs(&stays), 1);
	T_ASSERT_EQ(probe_runs(&stopped) + probe_runs(&late), 0);
}
