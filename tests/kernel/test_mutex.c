/*
 * Mutexes: exclusion, hand-off, spinning against sleeping.
 *
 * The runner's thread (main here) has PRI_KERNEL.  Where a case needs a certain order it puts all
 * threads on one CPU, where only priorities decide.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "tests/kernel/blocked.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define MUTEX_HANG_NS (60000 * MS)
#define MUTEX_CREW 16
#define MUTEX_ATTEMPTS 20

/* Below, around and above PRI_KERNEL, main's own. */
enum { LOW = PRI_USER + 9, MIDDLE = PRI_USER + 39, HIGH = PRI_KERNEL + 10 };

static kmutex_t mutex_a, mutex_b;
static struct crew_job mutex_job[MUTEX_CREW];
static _Atomic uint64_t mutex_go, mutex_sum;
/* Guarded by mutex_a. */
static uint64_t mutex_count;
static pri_t mutex_order[MUTEX_CREW];
static unsigned mutex_norder;

static uint64_t
mutex_load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void
mutex_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void
mutex_setup(void)
{
	mutex_init(&mutex_a, MUTEX_DEFAULT, IPL_NONE, "a");
	mutex_init(&mutex_b, MUTEX_DEFAULT, IPL_NONE, "b");
	mutex_store(&mutex_go, 0);
	mutex_store(&mutex_sum, 0);
	mutex_count = 0;
	mutex_norder = 0;
}

/* Also a check that everything was left. */
static void
mutex_teardown(void)
{
	mutex_destroy(&mutex_a);
	mutex_destroy(&mutex_b);
}

/* --- exclusion -------------------------------------------------------------------------------- */

static void
mutex_counter(void *arg __attribute__((unused)))
{
	uint64_t end = clock_ns() + 700 * MS, n;

	for (n = 0; clock_ns() < end; n++) {
		uint64_t seen;

		mutex_enter(&mutex_a);
		seen = mutex_count;
		if (n % 64 == 0)
			kthread_yield(); /* the others find an owner that does not run */
		else
			machine_pause();
		mutex_count = seen + 1;
		mutex_exit(&mutex_a);
	}
	atomic_fetch_add_explicit(&mutex_sum, n, memory_order_relaxed);
}

TEST_CASE(mutex, excludes_all_cpus)
{
	unsigned n = 2 * ncpu < MUTEX_CREW ? 2 * ncpu : MUTEX_CREW;

	mutex_setup();
	for (unsigned i = 0; i < n; i++)
		crew_start(&mutex_job[i], cpu_lookup(i % ncpu), MIDDLE, mutex_counter, NULL);
	for (unsigned i = 0; i < n; i++)
		crew_join(&mutex_job[i]);
	T_ASSERT_EQ(mutex_count, mutex_load(&mutex_sum));
	T_ASSERT(mutex_count >= n);
	mutex_teardown();
}

static void
mutex_trier(void *arg __attribute__((unused)))
{
	if (mutex_tryenter(&mutex_a)) {
		mutex_store(&mutex_sum, 1);
		mutex_exit(&mutex_a);
	} else {
		mutex_store(&mutex_sum, 2);
	}
}

TEST_CASE(mutex, tryenter_does_not_wait)
{
	mutex_setup();
	for (unsigned i = 0; i < ncpu && i < MUTEX_CREW; i++) {
		mutex_store(&mutex_sum, 0);
		crew_start(&mutex_job[0], cpu_lookup(i), HIGH, mutex_trier, NULL);
		crew_join(&mutex_job[0]);
		T_ASSERT_EQ(mutex_load(&mutex_sum), 1);
		T_ASSERT(mutex_tryenter(&mutex_a));
		crew_start(&mutex_job[0], cpu_lookup(i), HIGH, mutex_trier, NULL);
		crew_join(&mutex_job[0]);
		mutex_exit(&mutex_a);
		T_ASSERT_EQ(mutex_load(&mutex_sum), 2);
	}
	mutex_teardown();
}

TEST_CASE(mutex, knows_its_owner)
{
	mutex_setup();
	T_ASSERT(!mutex_owned(&mutex_a) && mutex_owner(&mutex_a) == NULL);
	T_ASSERT_EQ(mutex_held_count(curlwp), 0);
	mutex_enter(&mutex_a);
	mutex_enter(&mutex_b);
	T_ASSERT(mutex_owned(&mutex_a) && mutex_owner(&mutex_a) == curlwp);
	T_ASSERT_EQ(mutex_held_count(curlwp), 2);
	mutex_exit(&mutex_a); /* the first one first */
	T_ASSERT(!mutex_owned(&mutex_a) && mutex_owned(&mutex_b));
	mutex_exit(&mutex_b);
	T_ASSERT_EQ(mutex_held_count(curlwp), 0);
	mutex_teardown();
}

TEST_CASE(mutex, a_spin_mutex_keeps_interrupts_off)
{
	kmutex_t spin;
	bool inside;

	mutex_init(&spin, MUTEX_DEFAULT, IPL_HIGH, "spin");
	mutex_enter(&spin);
	inside = mutex_owned(&spin) && !machine_intr_enabled();
	mutex_exit(&spin);
	T_ASSERT(inside);
	T_ASSERT(machine_intr_enabled() && !mutex_owned(&spin));
	T_ASSERT(mutex_tryenter(&spin));
	inside = mutex_owned(&spin) && !machine_intr_enabled();
	mutex_exit(&spin);
	T_ASSERT(inside);
	T_ASSERT_EQ(mutex_held_count(curlwp), 0);
	mutex_destroy(&spin);
}

/* --- hand-off --------------------------------------------------------------------------------- */

static void
mutex_note_order(void *arg __attribute__((unused)))
{
	pri_t pri = curlwp->l_base_pri;

	mutex_enter(&mutex_a);
	mutex_order[mutex_norder++] = pri;
	mutex_exit(&mutex_a);
}

TEST_CASE(mutex, goes_to_sleepers_by_priority)
{
	static const pri_t pri[] = { HIGH, HIGH + 20, HIGH + 10, LOW, MIDDLE };
	static const pri_t sorted[] = { HIGH + 20, HIGH + 10, HIGH, MIDDLE, LOW };
	enum { N = sizeof(pri) / sizeof(pri[0]) };

	mutex_setup();
	mutex_enter(&mutex_a);
	for (unsigned i = 0; i < N; i++) {
		crew_start(&mutex_job[i], curcpu(), pri[i], mutex_note_order, NULL);
		T_ASSERT(blocked_wait(mutex_job[i].thread, &mutex_a));
	}
	mutex_exit(&mutex_a);
	for (unsigned i = 0; i < N; i++)
		crew_join(&mutex_job[i]);
	T_ASSERT_EQ(mutex_norder, N);
	for (unsigned i = 0; i < N; i++)
		T_ASSERT_EQ(mutex_order[i], sorted[i]);
	mutex_teardown();
}

/* mutex_a holds its place among equals: each notes its argument. */
static void
mutex_note_arrival(void *arg)
{
	mutex_enter(&mutex_a);
	mutex_order[mutex_norder++] = (pri_t)(uintptr_t)arg;
	mutex_exit(&mutex_a);
}

TEST_CASE(mutex, goes_to_equals_in_order_of_arrival)
{
	enum { N = 6 };

	mutex_setup();
	mutex_enter(&mutex_a);
	for (unsigned i = 0; i < N; i++) {
		crew_start(&mutex_job[i], cpu_lookup(i % ncpu), MIDDLE, mutex_note_arrival,
		    (void *)(uintptr_t)i);
		T_ASSERT(blocked_wait(mutex_job[i].thread, &mutex_a));
	}
	mutex_exit(&mutex_a);
	for (unsigned i = 0; i < N; i++)
		crew_join(&mutex_job[i]);
	for (unsigned i = 0; i < N; i++)
		T_ASSERT_EQ(mutex_order[i], i);
	mutex_teardown();
}

TEST_CASE(mutex, nobody_overtakes_a_sleeper)
{
	bool taken;

	mutex_setup();
	mutex_enter(&mutex_a);
	crew_start(&mutex_job[0], curcpu(), LOW, mutex_note_order, NULL);
	T_ASSERT(blocked_wait(mutex_job[0].thread, &mutex_a));
	/* The sleeper is the lesser, so it does not run before this tries again. */
	mutex_exit(&mutex_a);
	taken = mutex_tryenter(&mutex_a);
	if (taken)
		mutex_exit(&mutex_a);
	T_ASSERT(!taken);
	crew_join(&mutex_job[0]);
	mutex_teardown();
}

/* What two threads share, the last one frees: nobody may touch the mutex after that. */
struct mutex_shared {
	kmutex_t lock;
	unsigned refs;
};

static struct mutex_shared mutex_object;
static _Atomic uint64_t mutex_round;

static void
mutex_drop(void)
{
	bool last;

	mutex_enter(&mutex_object.lock);
	last = --mutex_object.refs == 0;
	mutex_exit(&mutex_object.lock);
	if (last) {
		mutex_destroy(&mutex_object.lock);
		memset(&mutex_object, 0xdb, sizeof(mutex_object));
		atomic_fetch_add_explicit(&mutex_round, 1, memory_order_acq_rel);
	}
}

static void
mutex_dropper(void *arg __attribute__((unused)))
{
	for (uint64_t round = 0; mutex_load(&mutex_go) != UINT64_MAX; round++) {
		while (mutex_load(&mutex_go) <= round)
			kthread_yield();
		if (mutex_load(&mutex_go) != UINT64_MAX)
			mutex_drop();
	}
}

static bool
mutex_object_is_poison(void)
{
	const unsigned char *byte = (const unsigned char *)&mutex_object;

	for (unsigned i = 0; i < sizeof(mutex_object); i++)
		if (byte[i] != 0xdb)
			return false;
	return true;
}

static void
mutex_drop_once(void *arg __attribute__((unused)))
{
	mutex_drop();
}

/* The better thread runs inside main's mutex_exit(), and the mutex is gone when that goes on. */
TEST_CASE(mutex, may_be_destroyed_by_whom_it_was_handed_to)
{
	mutex_init(&mutex_object.lock, MUTEX_DEFAULT, IPL_NONE, "object");
	mutex_object.refs = 2;
	mutex_enter(&mutex_object.lock);
	crew_start(&mutex_job[0], curcpu(), HIGH, mutex_drop_once, NULL);
	T_ASSERT(blocked_wait(mutex_job[0].thread, &mutex_object.lock));
	mutex_object.refs--;
	mutex_exit(&mutex_object.lock);
	T_ASSERT(mutex_object_is_poison());
	crew_join(&mutex_job[0]);
}

TEST_CASE(mutex, may_be_destroyed_by_who_left_it_last)
{
	struct cpu_info *other = cpu_lookup(ncpu > 1 ? 1 : 0);
	uint64_t end = clock_ns() + 500 * MS, round = 0;
	bool clean = true;

	mutex_setup();
	mutex_store(&mutex_round, 0);
	crew_start(&mutex_job[0], other, PRI_KERNEL, mutex_dropper, NULL);
	while (clock_ns() < end && clean) {
		mutex_init(&mutex_object.lock, MUTEX_DEFAULT, IPL_NONE, "object");
		mutex_object.refs = 2;
		/* Every other round finds the mutex held, and hands it over. */
		mutex_enter(&mutex_object.lock);
		mutex_store(&mutex_go, ++round);
		if (round % 2 == 0)
			kthread_yield();
		mutex_exit(&mutex_object.lock);
		mutex_drop();
		while (mutex_load(&mutex_round) != round)
			kthread_yield();
		clean = mutex_object_is_poison();
	}
	mutex_store(&mutex_go, UINT64_MAX);
	crew_join(&mutex_job[0]);
	T_ASSERT(clean);
	mutex_teardown();
}

/* --- spinning against sleeping ---------------------------------------------------------------- */

static void
mutex_want(void *arg)
{
	mutex_enter(arg);
	mutex_exit(arg);
}

static bool
mutex_asleep(const lwp_t *l)
{
	return atomic_load_explicit(&l->l_state, memory_order_relaxed) == LS_SLEEPING &&
	    atomic_load_explicit(&l->l_blocked_on, memory_order_relaxed) == &mutex_a;
}

/* How long a contender on that CPU has run when it sleeps for the mutex that main holds: main stays
 * on its CPU as long as nothing better comes.  UINT64_MAX when it does not sleep. */
static uint64_t
mutex_time_to_sleep(struct cpu_info *ci, pri_t pri)
{
	uint64_t end, run_ns = UINT64_MAX, switches, preempted;
	lwp_t *l;

	mutex_setup();
	mutex_enter(&mutex_a);
	crew_start(&mutex_job[0], ci, pri, mutex_want, &mutex_a);
	l = mutex_job[0].thread;
	end = clock_ns() + MUTEX_HANG_NS;
	while (!mutex_asleep(l) && clock_ns() < end)
		machine_pause();
	if (clock_ns() < end)
		kthread_stats(l, &run_ns, &switches, &preempted);
	mutex_exit(&mutex_a);
	crew_join(&mutex_job[0]);
	mutex_teardown();
	return run_ns;
}

/* Neither less than the bound, nor for ever.  Its own clock counts, so a slow host only makes it
 * longer. */
TEST_CASE(mutex, a_contender_spins_for_a_while_when_the_owner_runs)
{
	if (ncpu < 2) {
		test_skip("owner and contender must both run");
		return;
	}
	for (unsigned i = 0; i < MUTEX_ATTEMPTS; i++) {
		uint64_t run_ns = mutex_time_to_sleep(cpu_lookup(1), PRI_KERNEL);

		T_ASSERT(run_ns >= MUTEX_SPIN_NS);
		T_ASSERT(run_ns != UINT64_MAX);
	}
}

/* The contender preempts the owner.  The best of the attempts counts: the host may stop in any of
 * them. */
TEST_CASE(mutex, a_contender_sleeps_at_once_when_the_owner_does_not_run)
{
	uint64_t best = UINT64_MAX, run_ns;

	for (unsigned i = 0; i < MUTEX_ATTEMPTS; i++) {
		run_ns = mutex_time_to_sleep(curcpu(), HIGH);
		best = run_ns < best ? run_ns : best;
	}
	T_ASSERT(best < MUTEX_SPIN_NS / 2);
}
