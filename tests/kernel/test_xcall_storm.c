/*
 * Cross calls under load: everybody calls everybody, threads, functions and interrupts at once,
 * with a ledger.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/intr.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xcall.h"

/* Threads a CPU, at different priorities. */
#define STORM_THREADS 3
/* Calls of all threads together; a quarter of them broadcasts.  More CPUs make each dearer. */
#define STORM_CALLS 3600
/* Interrupts that post, all together. */
#define STORM_INTERRUPTS 400

/*
 * storm_ledger[call * ncpu + target]: how often that call ran there.  Those of the threads come
 * first, thread after thread; those of the interrupts stand behind them.
 */
static _Atomic uint8_t *storm_ledger;
static unsigned storm_vector;
static _Atomic uint64_t storm_refused, storm_nested_posted, storm_nested_ran, storm_interrupts;

static unsigned
storm_threads(void)
{
	return ncpu * STORM_THREADS;
}

/* Calls of one thread. */
static unsigned
storm_calls(void)
{
	return STORM_CALLS / storm_threads();
}

static unsigned
storm_entries(void)
{
	return (STORM_CALLS + STORM_INTERRUPTS) * ncpu;
}

static void
storm_nested(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&storm_nested_ran, 1, memory_order_relaxed);
}

/* A function that waits at the bound of the depth would wait for itself: only those below half of
 * it do. */
static bool
storm_may_wait(void)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	return xc_run_depth(&xc->x_stack[XC_LEVEL_LOW]) < XC_DEPTH_MAX / 2;
}

/* arg2: bit 0, post on from here; bit 1, and wait for that. */
static void
storm_run(void *arg1, void *arg2)
{
	uintptr_t call = (uintptr_t)arg1, mode = (uintptr_t)arg2;
	uint64_t where;

	atomic_fetch_add_explicit(
	    &storm_ledger[call * ncpu + curcpu()->ci_index], 1, memory_order_relaxed);
	if ((mode & 1) == 0)
		return;
	where = xc_unicast(0, storm_nested, NULL, NULL, cpu_lookup((unsigned)(call % ncpu)));
	if (XC_ISERR(where)) {
		atomic_fetch_add_explicit(&storm_refused, 1, memory_order_relaxed);
		return;
	}
	atomic_fetch_add_explicit(&storm_nested_posted, 1, memory_order_relaxed);
	if ((mode & 2) != 0 && storm_may_wait())
		T_ASSERT_EQ(xc_wait(where), 0);
}

static uint8_t
storm_ran(uintptr_t call, unsigned cpu)
{
	return atomic_load_explicit(&storm_ledger[call * ncpu + cpu], memory_order_relaxed);
}

/* One call, waited for or not; when it was, it has run where it should. */
static void
storm_call(uintptr_t call, uint64_t random)
{
	bool broadcast = random % 4 == 0, wait = random / 4 % 2 == 0;
	void *mode = (void *)(random / 8 % 8 == 0 ? random / 64 % 4 : 0);
	unsigned target = (unsigned)(random / 256 % ncpu);
	uint64_t where = broadcast
	    ? xc_broadcast(0, storm_run, (void *)call, mode)
	    : xc_unicast(0, storm_run, (void *)call, mode, cpu_lookup(target));

	T_ASSERT(where != 0 && !XC_ISERR(where));
	if (!wait)
		return;
	T_ASSERT_EQ(xc_wait(where), 0);
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		T_ASSERT_EQ(storm_ran(call, cpu), broadcast || cpu == target);
}

/* What storm_call() does for that call, for the final count. */
static uint64_t
storm_seed(unsigned thread)
{
	return 0x9e3779b97f4a7c15 * (thread + 1);
}

static void
storm_thread(void *arg)
{
	unsigned thread = (unsigned)(uintptr_t)arg;
	uint64_t random = storm_seed(thread);

	for (unsigned i = 0; i < storm_calls(); i++) {
		storm_call((uintptr_t)thread * storm_calls() + i, crew_random(&random));
		if (i % 16 == 0)
			machine_send_ipi(cpu_lookup(i % ncpu), storm_vector);
	}
	xc_barrier(0);
}

static void
storm_interrupt(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	uint64_t n = atomic_fetch_add_explicit(&storm_interrupts, 1, memory_order_relaxed);
	uint64_t where;

	if (n >= STORM_INTERRUPTS)
		return;
	where = xc_broadcast(0, storm_run, (void *)(STORM_CALLS + n), NULL);
	if (XC_ISERR(where))
		atomic_fetch_add_explicit(&storm_refused, 1, memory_order_relaxed);
}

/* Threads' calls ran once on each target; interrupts' calls on all CPUs or on none. */
static unsigned
storm_count_wrong(void)
{
	unsigned wrong = 0;

	for (unsigned thread = 0; thread < storm_threads(); thread++) {
		uint64_t random = storm_seed(thread);

		for (unsigned i = 0; i < storm_calls(); i++) {
			uint64_t r = crew_random(&random);

			for (unsigned cpu = 0; cpu < ncpu; cpu++)
				wrong += storm_ran((uintptr_t)thread * storm_calls() + i, cpu) !=
				    (r % 4 == 0 || cpu == r / 256 % ncpu);
		}
	}
	for (unsigned i = 0; i < STORM_INTERRUPTS; i++) {
		uintptr_t call = STORM_CALLS + i;

		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			wrong += storm_ran(call, cpu) > 1 ||
			    storm_ran(call, cpu) != storm_ran(call, 0);
	}
	return wrong;
}

static void
storm_once(void)
{
	struct crew_job *job = crew_alloc(storm_threads(), sizeof(*job));

	storm_vector = test_vector(storm_interrupt);
	storm_ledger = crew_alloc(storm_entries(), 1);
	for (unsigned i = 0; i < storm_threads(); i++)
		crew_start(&job[i], cpu_lookup(i % ncpu), PRI_KERNEL + (pri_t)(i / ncpu),
		    storm_thread, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < storm_threads(); i++)
		crew_join(&job[i]);
	/* What the last functions and interrupts have posted. */
	xc_barrier(0);
	kthread_sleep_ns(20000000);
	xc_barrier(0);
	crew_free(job, storm_threads(), sizeof(*job));
}

TEST_CASE(xcall_storm, every_call_runs_exactly_once)
{
	unsigned wrong;

	atomic_store_explicit(&storm_refused, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_nested_posted, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_nested_ran, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_interrupts, 0, memory_order_relaxed);
	/* Without the periodic look for chains, which would also mend a lost wake-up. */
	xc_chain_set_period(3600000000000ull);
	storm_once();
	xc_chain_set_period(XC_CHAIN_PERIOD_NS);
	wrong = storm_count_wrong();
	crew_free((void *)(uintptr_t)storm_ledger, storm_entries(), 1);
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT_EQ(atomic_load_explicit(&storm_nested_ran, memory_order_relaxed),
	    atomic_load_explicit(&storm_nested_posted, memory_order_relaxed));
	T_ASSERT(atomic_load_explicit(&storm_nested_posted, memory_order_relaxed) != 0);
	T_ASSERT(atomic_load_explicit(&storm_interrupts, memory_order_relaxed) != 0);
}

/* --- posts that meet the target's search ------------------------------------------------------ */

#define RACE_ROUNDS 1000

static void
race_nothing(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

/* The second post comes while the target looks whether the first was the last, at all distances. */
static void
race_sender(void *arg)
{
	struct cpu_info *target = arg;
	uint64_t random = target->ci_index + 1, first, second;

	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		first = xc_unicast(0, race_nothing, NULL, NULL, target);
		for (uint64_t spin = crew_random(&random) % 400; spin != 0; spin--)
			machine_pause();
		second = xc_unicast(0, race_nothing, NULL, NULL, target);
		T_ASSERT_EQ(xc_wait(second), 0);
		T_ASSERT(xc_done(first));
	}
}

TEST_CASE(xcall_storm, no_post_is_missed_by_the_search)
{
	struct crew_job job[2];
	unsigned n = ncpu < 2 ? ncpu : 2;

	for (unsigned i = 0; i < n; i++)
		crew_start(
		    &job[i], cpu_lookup(i), PRI_KERNEL, race_sender, cpu_lookup((i + 1) % n));
	for (unsigned i = 0; i < n; i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
}

/* --- chains that do not close ----------------------------------------------------------------- */

/*
 * Callers that hold a mutex of their own wait for functions that sleep for another one, which is
 * never held over a wait: everything looks like a chain and none closes.  A search that puts edges
 * of different moments together would panic here.
 */
#define OPEN_ROUNDS 100

static kmutex_t open_shared;
static _Atomic uint64_t open_count;

static void
open_take(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	mutex_enter(&open_shared);
	atomic_fetch_add_explicit(&open_count, 1, memory_order_relaxed);
	mutex_exit(&open_shared);
}

static void
open_take_nested(void *arg1, void *arg2)
{
	T_ASSERT_EQ(xc_wait(xc_unicast(
			0, open_take, arg1, arg2, cpu_lookup((curcpu()->ci_index + 1) % ncpu))),
	    0);
}

static void
open_caller(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1;
	struct cpu_info *ci;
	kmutex_t own;

	mutex_init(&own, MUTEX_DEFAULT, IPL_NONE, "own");
	for (unsigned i = 0; i < OPEN_ROUNDS; i++) {
		ci = cpu_lookup((unsigned)(crew_random(&random) % ncpu));
		mutex_enter(&own);
		T_ASSERT_EQ(xc_wait(xc_unicast(
				0, random % 2 ? open_take : open_take_nested, NULL, NULL, ci)),
		    0);
		mutex_exit(&own);
		mutex_enter(&open_shared);
		mutex_exit(&open_shared);
	}
	mutex_destroy(&own);
}

TEST_CASE(xcall_storm, open_chains_are_left_alone)
{
	unsigned n = 2 * ncpu < XC_DEPTH_MAX ? 2 * ncpu : XC_DEPTH_MAX - 1;
	struct crew_job job[XC_DEPTH_MAX];

	mutex_init(&open_shared, MUTEX_DEFAULT, IPL_NONE, "shared");
	atomic_store_explicit(&open_count, 0, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		crew_start(
		    &job[i], cpu_lookup(i % ncpu), PRI_KERNEL, open_caller, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < n; i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	T_ASSERT_EQ(
	    atomic_load_explicit(&open_count, memory_order_relaxed), (uint64_t)n * OPEN_ROUNDS);
	mutex_destroy(&open_shared);
}
