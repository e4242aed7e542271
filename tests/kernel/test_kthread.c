/*
 * Threads: making, ending, joining, counting them; sleeping for a time.
 *
 * The runner's thread (main here) has PRI_KERNEL on CPU 0.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define LIFE_HANG_NS (60000 * MS)
#define LIFE_CREW 8

enum { LOW = PRI_USER + 9, HIGH = PRI_KERNEL + 10 };

static struct crew_job life_job[LIFE_CREW];
static _Atomic uint64_t life_count, life_go;
static uint64_t life_order[LIFE_CREW];

static uint64_t
life_load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void
life_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void
life_setup(void)
{
	life_store(&life_count, 0);
	life_store(&life_go, 0);
}

/* --- life and death --------------------------------------------------------------------------- */

static void
life_look_around(void *arg)
{
	lwp_t *l = curlwp;
	bool right = machine_intr_enabled() && curcpu()->ci_nopreempt == 0 &&
	    curcpu()->ci_spin_depth == 0 && l->l_base_pri == HIGH && l->l_pri == HIGH &&
	    strcmp(l->l_name, "crew/0") == 0 && (char *)&right > (char *)l->l_stack &&
	    (char *)&right < (char *)l->l_stack + KSTACK_BYTES && l->l_held_count == 0;

	*(bool *)arg = right;
}

TEST_CASE(kthread, a_thread_begins_with_nothing_held)
{
	bool right = false;

	crew_start(&life_job[0], cpu_lookup(0), HIGH, life_look_around, &right);
	crew_join(&life_job[0]);
	T_ASSERT(right);
}

static void
life_exit_early(void *arg)
{
	atomic_store_explicit((_Atomic uint64_t *)arg, 7, memory_order_relaxed);
	if (life_load(&life_go) == 0)
		kthread_exit(0);
	test_fail(__FILE__, __LINE__, "kthread_exit does not return");
}

TEST_CASE(kthread, join_waits_for_the_end)
{
	unsigned threads = kthread_count();
	lwp_t *l;

	for (unsigned i = 0; i < 64; i++) {
		struct cpu_info *ci = cpu_lookup(i % ncpu);
		/* Worse than main, it ends after the join began; better, before. */
		pri_t pri = i % 2 == 0 ? LOW : HIGH;

		life_setup();
		T_ASSERT_EQ(kthread_create(pri, KTHREAD_MUSTJOIN, ci, life_exit_early, &life_count,
				&l, "exit/%u", i),
		    0);
		T_ASSERT_EQ(kthread_join(l), 0);
		T_ASSERT_EQ(life_load(&life_count), 7);
		T_ASSERT_EQ(kthread_count(), threads);
	}
}

static void
life_add_one(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&life_count, 1, memory_order_acq_rel);
}

/* Nobody joins them: they go by themselves, and give their stacks back. */
TEST_CASE(kthread, threads_end_unjoined_and_leave_nothing)
{
	unsigned threads = kthread_count();
	size_t pages = kmem_pages_free() + kmem_stacks_cached() * (KSTACK_BYTES / PAGE_BYTES);
	uint64_t end = clock_ns() + LIFE_HANG_NS;

	life_setup();
	for (unsigned i = 0; i < 300; i++) {
		T_ASSERT_EQ(kthread_create(i % 3 == 0 ? HIGH : LOW, 0, cpu_lookup(i % ncpu),
				life_add_one, NULL, NULL, "gone/%u", i),
		    0);
		if (i % 16 == 15)
			T_ASSERT(test_wait_at_least(&life_count, i + 1));
	}
	T_ASSERT(test_wait_at_least(&life_count, 300));
	while (kthread_count() != threads && clock_ns() < end)
		kthread_sleep_ns(MS);
	T_ASSERT_EQ(kthread_count(), threads);
	T_ASSERT(
	    kmem_pages_free() + kmem_stacks_cached() * (KSTACK_BYTES / PAGE_BYTES) >= pages - 8);
}

TEST_CASE(kthread, create_refuses_what_it_cannot_do)
{
	static struct cpu_info offline;
	lwp_t *l = curlwp;
	unsigned threads = kthread_count();

	T_ASSERT_EQ(kthread_create(PRI_IDLE, 0, NULL, life_add_one, NULL, &l, "no"), EINVAL);
	T_ASSERT_EQ(kthread_create(-1, 0, NULL, life_add_one, NULL, &l, "no"), EINVAL);
	T_ASSERT_EQ(kthread_create(PRI_COUNT, 0, NULL, life_add_one, NULL, &l, "no"), EINVAL);
	T_ASSERT_EQ(kthread_create(LOW, 0, &offline, life_add_one, NULL, &l, "no"), EINVAL);
	T_ASSERT(l == curlwp);
	T_ASSERT_EQ(kthread_count(), threads);
}

struct life_census {
	unsigned threads, idle;
	bool main;
};

static void
life_count_thread(lwp_t *l, void *arg)
{
	struct life_census *census = arg;

	census->threads++;
	census->idle += l->l_base_pri == PRI_IDLE;
	census->main |= l == curlwp;
}

static void
life_pass(void *arg)
{
	gate_pass(arg);
}

/* Any CPU: the one with the fewest threads, each time. */
TEST_CASE(kthread, a_thread_for_any_cpu_goes_where_fewest_are)
{
	lwp_t *l[LIFE_CREW];
	const struct cpu_info *ci;
	unsigned fewest, wrong = 0;
	struct gate gate;

	gate_init(&gate);
	for (unsigned i = 0; i < LIFE_CREW; i++) {
		fewest = UINT_MAX;
		CPU_INFO_FOREACH(ci)
			fewest = ci->ci_nthreads < fewest ? ci->ci_nthreads : fewest;
		T_ASSERT_EQ(kthread_create(
				HIGH, KTHREAD_MUSTJOIN, NULL, life_pass, &gate, &l[i], "any/%u", i),
		    0);
		wrong += l[i]->l_cpu->ci_nthreads != fewest + 1;
	}
	gate_open(&gate);
	for (unsigned i = 0; i < LIFE_CREW; i++)
		kthread_join(l[i]);
	gate_destroy(&gate);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(kthread, foreach_finds_all)
{
	struct life_census census = { 0, 0, false };

	kthread_foreach(life_count_thread, &census);
	T_ASSERT_EQ(census.threads, kthread_count());
	T_ASSERT_EQ(census.idle, ncpu);
	T_ASSERT(census.main);
}

/* --- time ------------------------------------------------------------------------------------- */

static void
life_sleeper(void *arg)
{
	uint64_t ns = (uintptr_t)arg, start = clock_ns();

	kthread_sleep_ns(ns);
	if (clock_ns() - start < ns)
		test_fail(__FILE__, __LINE__, "it sleeps for long enough");
	life_order[atomic_fetch_add_explicit(&life_count, 1, memory_order_acq_rel)] = (pri_t)(ns /
	    MS);
}

TEST_CASE(kthread, sleepers_wake_in_the_order_of_their_deadlines)
{
	static const unsigned ms[] = { 150, 50, 200, 100, 250 };
	enum { N = sizeof(ms) / sizeof(ms[0]) };

	life_setup();
	for (unsigned i = 0; i < N; i++)
		crew_start(
		    &life_job[i], curcpu(), HIGH, life_sleeper, (void *)(uintptr_t)(ms[i] * MS));
	for (unsigned i = 0; i < N; i++)
		crew_join(&life_job[i]);
	for (unsigned i = 0; i < N; i++)
		T_ASSERT_EQ(life_order[i], 50 * (i + 1));
}

static void
life_worker(void *arg __attribute__((unused)))
{
	uint64_t start = clock_ns();

	while (clock_ns() - start < 100 * MS)
		machine_pause();
	life_store(&life_count, 1);
	while (life_load(&life_go) == 0)
		kthread_sleep_ns(20 * MS);
}

TEST_CASE(kthread, run_time_and_switches_are_counted)
{
	uint64_t run[2], switches[2], preempted[2], start, slept;

	life_setup();
	crew_start(&life_job[0], cpu_lookup(ncpu - 1), HIGH, life_worker, NULL);
	T_ASSERT(test_wait_at_least(&life_count, 1));
	kthread_stats(life_job[0].thread, &run[0], &switches[0], &preempted[0]);
	start = clock_ns();
	kthread_sleep_ns(300 * MS);
	kthread_stats(life_job[0].thread, &run[1], &switches[1], &preempted[1]);
	slept = clock_ns() - start;
	life_store(&life_go, 1);
	crew_join(&life_job[0]);
	T_ASSERT(run[0] >= 100 * MS);
	T_ASSERT(run[1] - run[0] < slept / 2);
	T_ASSERT(switches[1] > switches[0]);
	/* It gave the CPU away each time. */
	T_ASSERT_EQ(preempted[1], preempted[0]);
}
