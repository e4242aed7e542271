/*
 * Condition variables: no wake-up is lost, the best waiter is first, timeouts and signals exclude
 * each other.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define CONDVAR_HANG_NS (60000 * MS)
#define CONDVAR_CREW 16
/* Turns of ping and pong, over all pairs of CPUs together. */
#define CONDVAR_TURNS 100000
/* Of one pair: on a busy host, where a hand-over between CPUs can last milliseconds, as many as go
 * into that time, but not less than so many. */
#define CONDVAR_TURNS_NS (150 * MS)
#define CONDVAR_TURNS_LEAST 20

enum { LOW = PRI_USER + 9, MIDDLE = PRI_USER + 39, HIGH = PRI_KERNEL + 10 };

static struct crew_job condvar_job[CONDVAR_CREW];
static kmutex_t condvar_mutex;
static kcondvar_t condvar_cv, condvar_other;
/* Guarded by condvar_mutex. */
static uint64_t condvar_turn, condvar_tokens, condvar_end;
static unsigned condvar_waiting, condvar_norder;
static pri_t condvar_order[CONDVAR_CREW];

static void
condvar_setup(enum ipl ipl)
{
	mutex_init(&condvar_mutex, MUTEX_DEFAULT, ipl, "test");
	cv_init(&condvar_cv, "test");
	cv_init(&condvar_other, "other");
	condvar_turn = condvar_tokens = condvar_end = 0;
	condvar_waiting = condvar_norder = 0;
}

static void
condvar_teardown(void)
{
	cv_destroy(&condvar_cv);
	cv_destroy(&condvar_other);
	mutex_destroy(&condvar_mutex);
}

static unsigned
condvar_crew_size(void)
{
	return ncpu < CONDVAR_CREW ? ncpu : CONDVAR_CREW;
}

/* --- ping and pong ---------------------------------------------------------------------------- */

/* Takes the odd or even turns, each on a condition variable of its own. */
static void
condvar_play(void *arg)
{
	uint64_t odd = (uintptr_t)arg;
	kcondvar_t *mine = odd ? &condvar_cv : &condvar_other;
	kcondvar_t *theirs = odd ? &condvar_other : &condvar_cv;

	mutex_enter(&condvar_mutex);
	for (;;) {
		while (condvar_turn % 2 != odd && condvar_turn < condvar_end)
			cv_wait(mine, &condvar_mutex);
		if (condvar_turn >= condvar_end)
			break;
		condvar_turn++;
		cv_signal(theirs);
	}
	cv_signal(theirs);
	mutex_exit(&condvar_mutex);
}

/* Until the turns are over, or as many as the time allows; false when none was taken for a
 * minute. */
static bool
condvar_watch(void)
{
	uint64_t began = clock_ns(), seen = 0, turn = 0, since = began;

	while (turn < condvar_end && clock_ns() - since < CONDVAR_HANG_NS) {
		kthread_sleep_ns(10 * MS);
		mutex_enter(&condvar_mutex);
		turn = condvar_turn;
		if (turn >= CONDVAR_TURNS_LEAST && clock_ns() - began > CONDVAR_TURNS_NS) {
			condvar_end = turn;
			cv_broadcast(&condvar_cv);
			cv_broadcast(&condvar_other);
		}
		mutex_exit(&condvar_mutex);
		if (turn != seen)
			since = clock_ns();
		seen = turn;
	}
	return turn == condvar_end;
}

/* Takes up to that many turns between two CPUs, each a wake-up; false when that hangs. */
static bool
condvar_match(struct cpu_info *one, struct cpu_info *two, uint64_t turns, enum ipl ipl)
{
	condvar_setup(ipl);
	condvar_end = turns;
	crew_start(&condvar_job[0], one, PRI_KTHREAD, condvar_play, (void *)0);
	crew_start(&condvar_job[1], two, PRI_KTHREAD, condvar_play, (void *)1);
	if (!condvar_watch())
		return false;
	crew_join(&condvar_job[0]);
	crew_join(&condvar_job[1]);
	condvar_teardown();
	return true;
}

/* Every ordered pair of up to eight CPUs, a CPU with itself included, half of them each kind of
 * mutex. */
TEST_CASE(condvar, no_wake_up_is_lost)
{
	unsigned n = condvar_crew_size() < 8 ? condvar_crew_size() : 8;
	uint64_t turns = CONDVAR_TURNS / (n * n) + 1;

	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; j < n; j++)
			T_ASSERT(condvar_match(cpu_lookup(i), cpu_lookup(j), turns,
			    (i + j) % 2 == 0 ? IPL_NONE : IPL_HIGH));
}

/* --- who is woken ----------------------------------------------------------------------------- */

static void
condvar_waiter(void *arg __attribute__((unused)))
{
	mutex_enter(&condvar_mutex);
	condvar_waiting++;
	while (condvar_tokens == 0)
		cv_wait(&condvar_cv, &condvar_mutex);
	condvar_tokens--;
	condvar_order[condvar_norder++] = curlwp->l_base_pri;
	mutex_exit(&condvar_mutex);
}

/* Until that many stand in the queue: they count themselves before they wait, with the mutex
 * held. */
static bool
condvar_wait_for_waiters(unsigned n)
{
	uint64_t end = clock_ns() + CONDVAR_HANG_NS;
	unsigned waiting;

	do {
		kthread_sleep_ns(MS);
		mutex_enter(&condvar_mutex);
		waiting = condvar_waiting;
		mutex_exit(&condvar_mutex);
	} while (waiting < n && clock_ns() < end);
	return waiting == n;
}

/* The same, by a spin: the first of them may still be looking for its signal.  None of this
 * CPU's. */
static bool
condvar_spin_for_waiters(unsigned n)
{
	uint64_t end = clock_ns() + CONDVAR_HANG_NS;
	unsigned waiting;

	do {
		machine_pause();
		mutex_enter(&condvar_mutex);
		waiting = condvar_waiting;
		mutex_exit(&condvar_mutex);
	} while (waiting < n && clock_ns() < end);
	return waiting == n;
}

TEST_CASE(condvar, signal_wakes_the_best)
{
	static const pri_t pri[] = { MIDDLE, HIGH, LOW, HIGH + 20, HIGH + 10 };
	static const pri_t sorted[] = { HIGH + 20, HIGH + 10, HIGH, MIDDLE, LOW };
	enum { N = sizeof(pri) / sizeof(pri[0]) };

	condvar_setup(IPL_NONE);
	for (unsigned i = 0; i < N; i++) {
		crew_start(&condvar_job[i], curcpu(), pri[i], condvar_waiter, NULL);
		T_ASSERT(condvar_wait_for_waiters(i + 1));
	}
	T_ASSERT(cv_has_waiters(&condvar_cv));
	for (unsigned i = 0; i < N; i++) {
		mutex_enter(&condvar_mutex);
		condvar_tokens++;
		cv_signal(&condvar_cv);
		mutex_exit(&condvar_mutex);
	}
	for (unsigned i = 0; i < N; i++)
		crew_join(&condvar_job[i]);
	T_ASSERT_EQ(condvar_norder, N);
	for (unsigned i = 0; i < N; i++)
		T_ASSERT_EQ(condvar_order[i], sorted[i]);
	T_ASSERT(!cv_has_waiters(&condvar_cv));
	condvar_teardown();
}

/* One that came first and still looks has no precedence.  With two CPUs the better one preempts
 * it in its look. */
TEST_CASE(condvar, signal_wakes_the_best_of_those_that_look)
{
	bool came = true;

	if (ncpu == 1) {
		test_skip("one CPU");
		return;
	}
	for (unsigned round = 0; round < ROUNDS(100); round++) {
		condvar_setup(round % 2 == 0 ? IPL_NONE : IPL_HIGH);
		crew_start(&condvar_job[0], cpu_lookup(1), LOW, condvar_waiter, NULL);
		came = came && condvar_spin_for_waiters(1);
		crew_start(&condvar_job[1], cpu_lookup(ncpu - 1), HIGH, condvar_waiter, NULL);
		came = came && condvar_spin_for_waiters(2);
		for (unsigned i = 0; i < 2; i++) {
			mutex_enter(&condvar_mutex);
			condvar_tokens++;
			cv_signal(&condvar_cv);
			mutex_exit(&condvar_mutex);
			crew_join(&condvar_job[1 - i]);
		}
		T_ASSERT(came);
		T_ASSERT_EQ(condvar_norder, 2);
		T_ASSERT_EQ(condvar_order[0], HIGH);
		T_ASSERT(!cv_has_waiters(&condvar_cv));
		condvar_teardown();
	}
}

TEST_CASE(condvar, signal_wakes_one)
{
	unsigned done = 0;

	condvar_setup(IPL_NONE);
	for (unsigned i = 0; i < 3; i++)
		crew_start(&condvar_job[i], curcpu(), HIGH, condvar_waiter, NULL);
	T_ASSERT(condvar_wait_for_waiters(3));
	/* Tokens for all, a signal for one: nobody else may notice. */
	mutex_enter(&condvar_mutex);
	condvar_tokens = 3;
	cv_signal(&condvar_cv);
	mutex_exit(&condvar_mutex);
	kthread_sleep_ns(50 * MS);
	mutex_enter(&condvar_mutex);
	done = condvar_norder;
	cv_broadcast(&condvar_cv);
	mutex_exit(&condvar_mutex);
	for (unsigned i = 0; i < 3; i++)
		crew_join(&condvar_job[i]);
	T_ASSERT_EQ(done, 1);
	T_ASSERT_EQ(condvar_norder, 3);
	condvar_teardown();
}

TEST_CASE(condvar, broadcast_wakes_all)
{
	condvar_setup(IPL_NONE);
	for (unsigned i = 0; i < CONDVAR_CREW; i++)
		crew_start(&condvar_job[i], cpu_lookup(i % ncpu), MIDDLE, condvar_waiter, NULL);
	T_ASSERT(condvar_wait_for_waiters(CONDVAR_CREW));
	mutex_enter(&condvar_mutex);
	condvar_tokens = CONDVAR_CREW;
	cv_broadcast(&condvar_cv);
	mutex_exit(&condvar_mutex);
	for (unsigned i = 0; i < CONDVAR_CREW; i++) {
		T_ASSERT(crew_reached(&condvar_job[i].done, 1, CONDVAR_HANG_NS));
		crew_join(&condvar_job[i]);
	}
	T_ASSERT_EQ(condvar_tokens, 0);
	condvar_teardown();
}

/* The object that a broadcast lets go of. */
static struct {
	kcondvar_t cv;
	bool over;
} condvar_object;

static void
condvar_object_wait(void *arg __attribute__((unused)))
{
	mutex_enter(&condvar_mutex);
	condvar_waiting++;
	cv_wait(&condvar_object.cv, &condvar_mutex);
	mutex_exit(&condvar_mutex);
}

TEST_CASE(condvar, may_be_destroyed_after_its_broadcast)
{
	const unsigned char *byte = (const unsigned char *)&condvar_object;
	unsigned n;

	for (unsigned round = 0; round < 40; round++) {
		/* Every other time as soon as one of them looks. */
		unsigned hasty = ncpu > 1 && round % 2 != 0;

		n = hasty ? 1 : condvar_crew_size();
		condvar_setup(IPL_NONE);
		cv_init(&condvar_object.cv, "object");
		for (unsigned i = 0; i < n; i++)
			crew_start(&condvar_job[i], cpu_lookup(i + hasty), MIDDLE,
			    condvar_object_wait, NULL);
		T_ASSERT(hasty ? condvar_spin_for_waiters(n) : condvar_wait_for_waiters(n));
		mutex_enter(&condvar_mutex);
		cv_broadcast(&condvar_object.cv);
		cv_destroy(&condvar_object.cv);
		memset(&condvar_object, 0xdb, sizeof(condvar_object));
		mutex_exit(&condvar_mutex);
		for (unsigned i = 0; i < n; i++)
			crew_join(&condvar_job[i]);
		for (unsigned i = 0; i < sizeof(condvar_object); i++)
			T_ASSERT_EQ(byte[i], 0xdb);
		condvar_teardown();
	}
}

/* --- time ------------------------------------------------------------------------------------- */

TEST_CASE(condvar, timedwait_times_out)
{
	static const uint64_t timeout_ns[] = { 0, 1, 5 * MS, 60 * MS };

	condvar_setup(IPL_NONE);
	for (unsigned i = 0; i < sizeof(timeout_ns) / sizeof(timeout_ns[0]); i++) {
		uint64_t start = clock_ns(), took;
		bool owned;
		int error;

		mutex_enter(&condvar_mutex);
		error = cv_timedwait(&condvar_cv, &condvar_mutex, timeout_ns[i]);
		owned = mutex_owned(&condvar_mutex);
		mutex_exit(&condvar_mutex);
		took = clock_ns() - start;
		T_ASSERT_EQ(error, ETIMEDOUT);
		T_ASSERT(owned);
		T_ASSERT(took >= timeout_ns[i]);
		T_ASSERT(took < CONDVAR_HANG_NS);
	}
	condvar_teardown();
}

TEST_CASE(condvar, timedwait_of_nothing_needs_no_tick)
{
	int error;

	condvar_setup(IPL_NONE);
	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	mutex_enter(&condvar_mutex);
	error = cv_timedwait(&condvar_cv, &condvar_mutex, 0);
	mutex_exit(&condvar_mutex);
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, HZ), 0);
	T_ASSERT_EQ(error, ETIMEDOUT);
	condvar_teardown();
}

static void
condvar_timed_waiter(void *arg)
{
	uint64_t timeout_ns = *(const uint64_t *)arg;

	mutex_enter(&condvar_mutex);
	condvar_waiting++;
	while (condvar_tokens == 0)
		if (cv_timedwait(&condvar_cv, &condvar_mutex, timeout_ns) != 0)
			test_fail(__FILE__, __LINE__, "a signal is not a timeout");
	condvar_tokens--;
	mutex_exit(&condvar_mutex);
}

TEST_CASE(condvar, timedwait_that_is_signalled_does_not_time_out)
{
	static uint64_t timeout_ns[] = { CONDVAR_HANG_NS, UINT64_MAX };

	for (unsigned i = 0; i < 2; i++) {
		uint64_t start = clock_ns();

		condvar_setup(IPL_NONE);
		crew_start(&condvar_job[0], cpu_lookup(ncpu - 1), HIGH, condvar_timed_waiter,
		    &timeout_ns[i]);
		T_ASSERT(condvar_wait_for_waiters(1));
		mutex_enter(&condvar_mutex);
		condvar_tokens++;
		cv_signal(&condvar_cv);
		mutex_exit(&condvar_mutex);
		crew_join(&condvar_job[0]);
		T_ASSERT(clock_ns() - start < CONDVAR_HANG_NS);
		condvar_teardown();
	}
}

/* Signals against timeouts at 2000 ticks a second: waits of about a tick, signals at about the same
 * rate. */
static _Atomic uint64_t condvar_woken, condvar_timed_out, condvar_stop;

static void
condvar_racer(void *arg)
{
	uint64_t seed = (uintptr_t)arg + 1;

	if (timer_program(TIMER_PERIODIC, 2000) != 0)
		test_fail(__FILE__, __LINE__, "2000 Hz are possible");
	mutex_enter(&condvar_mutex);
	while (atomic_load_explicit(&condvar_stop, memory_order_relaxed) == 0) {
		int error = cv_timedwait(&condvar_cv, &condvar_mutex, crew_random(&seed) % MS);

		atomic_fetch_add_explicit(
		    error == 0 ? &condvar_woken : &condvar_timed_out, 1, memory_order_relaxed);
	}
	mutex_exit(&condvar_mutex);
	if (timer_program(TIMER_PERIODIC, HZ) != 0)
		test_fail(__FILE__, __LINE__, "the usual rate is possible");
}

TEST_CASE(condvar, either_the_signal_wins_or_the_clock)
{
	unsigned n = condvar_crew_size();
	uint64_t end = clock_ns() + 1500 * MS, signals = 0, seed = 77;

	condvar_setup(IPL_NONE);
	atomic_store_explicit(&condvar_stop, 0, memory_order_relaxed);
	atomic_store_explicit(&condvar_woken, 0, memory_order_relaxed);
	atomic_store_explicit(&condvar_timed_out, 0, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++)
		crew_start(&condvar_job[i], cpu_lookup(n - 1 - i), HIGH, condvar_racer,
		    (void *)(uintptr_t)i);
	while (clock_ns() < end) {
		uint64_t until = clock_ns() + crew_random(&seed) % MS;

		while (clock_ns() < until)
			machine_pause();
		cv_signal(&condvar_cv);
		signals++;
	}
	/* Nobody waits for long: all see this without a signal. */
	atomic_store_explicit(&condvar_stop, 1, memory_order_relaxed);
	for (unsigned i = 0; i < n; i++) {
		T_ASSERT(crew_reached(&condvar_job[i].done, 1, CONDVAR_HANG_NS));
		crew_join(&condvar_job[i]);
	}
	T_ASSERT(atomic_load_explicit(&condvar_woken, memory_order_relaxed) != 0);
	T_ASSERT(atomic_load_explicit(&condvar_timed_out, memory_order_relaxed) != 0);
	T_ASSERT(atomic_load_explicit(&condvar_woken, memory_order_relaxed) <= signals);
	condvar_teardown();
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void
condvar_interrupt(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	mutex_enter(&condvar_mutex);
	condvar_tokens++;
	cv_signal(&condvar_cv);
	mutex_exit(&condvar_mutex);
}

TEST_CASE(condvar, an_interrupt_signals_through_a_spin_mutex)
{
	unsigned n = condvar_crew_size();

	condvar_setup(IPL_HIGH);
	for (unsigned i = 0; i < 1000; i++) {
		int error = 0;

		machine_send_ipi(cpu_lookup(i % n), test_vector(condvar_interrupt));
		mutex_enter(&condvar_mutex);
		while (condvar_tokens == 0 && error == 0)
			error = cv_timedwait(&condvar_cv, &condvar_mutex, CONDVAR_HANG_NS);
		if (condvar_tokens != 0)
			condvar_tokens--;
		mutex_exit(&condvar_mutex);
		T_ASSERT_EQ(error, 0);
		T_ASSERT(machine_intr_enabled());
	}
	T_ASSERT_EQ(condvar_tokens, 0);
	condvar_teardown();
}
