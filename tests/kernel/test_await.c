/*
 * kthread_await() and kthread_rouse(): no rouse is lost, whoever comes first.
 *
 * Two threads hand a plain word back and forth; each rouses the other and awaits its turn.  With a
 * spinner beside it on its CPU a thread leaves the CPU at once; without, it mostly finds the rouse
 * while it still looks.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/sleepq.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define AWAIT_HANG_NS (60000 * MS)
#define AWAIT_ROUNDS ROUNDS(300)

enum { LOW = PRI_USER + 9, HIGH = PRI_KERNEL + 10 };

static lwp_t *await_main;
static struct crew_job await_job[2];
/* Whose turn it is: main's when it is even.  What the turns guard is plain. */
static _Atomic uint64_t await_turn, await_stop, await_ready;
static uint64_t await_word;

static void
await_setup(void)
{
	await_main = curlwp;
	await_word = 0;
	atomic_store_explicit(&await_turn, 0, memory_order_relaxed);
	atomic_store_explicit(&await_stop, 0, memory_order_relaxed);
	atomic_store_explicit(&await_ready, 0, memory_order_relaxed);
}

/* Until it is that turn; false: it never comes. */
static bool
await_until(uint64_t turn)
{
	uint64_t end = clock_ns() + AWAIT_HANG_NS;

	/* Relaxed: it is the rouse that orders the word, so it is awaited before the look.  An
	 * await that returns without reason is legal. */
	do {
		if (clock_ns() >= end)
			return false;
		kthread_await(end);
	} while (atomic_load_explicit(&await_turn, memory_order_relaxed) != turn);
	return true;
}

static void
await_partner(void *arg)
{
	uint64_t rounds = (uintptr_t)arg;

	for (uint64_t i = 0; i < rounds; i++) {
		if (!await_until(2 * i + 1)) {
			test_fail(__FILE__, __LINE__, "a rouse was lost");
			return;
		}
		await_word++;
		atomic_store_explicit(&await_turn, 2 * i + 2, memory_order_relaxed);
		kthread_rouse(await_main);
	}
}

static void
await_spin(void *arg __attribute__((unused)))
{
	atomic_store_explicit(&await_ready, 1, memory_order_release);
	while (atomic_load_explicit(&await_stop, memory_order_acquire) == 0)
		machine_pause();
}

/* Back and forth between main and a thread of that CPU, of that priority. */
static void
await_play(struct cpu_info *ci, pri_t pri, uint64_t rounds)
{
	bool came = true;
	uint64_t i;

	crew_start(&await_job[0], ci, pri, await_partner, (void *)(uintptr_t)rounds);
	for (i = 0; i < rounds && came; i++) {
		await_word++;
		atomic_store_explicit(&await_turn, 2 * i + 1, memory_order_relaxed);
		kthread_rouse(await_job[0].thread);
		came = await_until(2 * i + 2);
	}
	crew_join(&await_job[0]);
	T_ASSERT(came);
	T_ASSERT_EQ(await_word, 2 * rounds);
}

TEST_CASE(await, two_threads_of_one_cpu_rouse_each_other)
{
	await_setup();
	await_play(cpu_lookup(0), LOW, AWAIT_ROUNDS);
	await_setup();
	await_play(cpu_lookup(0), HIGH, AWAIT_ROUNDS);
}

TEST_CASE(await, threads_of_two_cpus_rouse_each_other)
{
	struct cpu_info *ci = cpu_lookup(ncpu - 1);

	if (ncpu == 1) {
		test_skip("one CPU");
		return;
	}
	await_setup();
	await_play(ci, HIGH, AWAIT_ROUNDS);
	/* Not alone on its CPU: it leaves it each time. */
	await_setup();
	crew_start(&await_job[1], ci, LOW, await_spin, NULL);
	T_ASSERT(test_wait_at_least(&await_ready, 1));
	await_play(ci, HIGH, AWAIT_ROUNDS / 10);
	atomic_store_explicit(&await_stop, 1, memory_order_release);
	crew_join(&await_job[1]);
}

TEST_CASE(await, a_rouse_that_comes_first_is_kept_and_counts_once)
{
	uint64_t start, until;

	await_setup();
	kthread_await(0); /* whatever is left from before */
	start = clock_ns();
	kthread_rouse(curlwp);
	kthread_rouse(curlwp);
	kthread_await(start + AWAIT_HANG_NS);
	T_ASSERT(clock_ns() - start < AWAIT_HANG_NS);
	until = clock_ns() + 20 * MS;
	kthread_await(until);
	T_ASSERT(clock_ns() >= until);
}

TEST_CASE(await, an_interrupt_may_rouse)
{
	uint64_t start = clock_ns();
	bool on;

	await_setup();
	kthread_await(0);
	on = intr_enter();
	kthread_rouse(curlwp);
	intr_leave(on);
	kthread_await(start + AWAIT_HANG_NS);
	T_ASSERT(clock_ns() - start < AWAIT_HANG_NS);
}

static kmutex_t await_mutex;

static void
await_lock(void *arg __attribute__((unused)))
{
	mutex_enter(&await_mutex);
	/* The rouse that came while it slept for the mutex is still there. */
	kthread_await(SLEEPQ_FOREVER);
	await_word = 1;
	mutex_exit(&await_mutex);
}

TEST_CASE(await, a_thread_asleep_for_a_mutex_is_not_disturbed)
{
	uint64_t end = clock_ns() + AWAIT_HANG_NS;

	await_setup();
	mutex_init(&await_mutex, MUTEX_DEFAULT, IPL_NONE, "await");
	mutex_enter(&await_mutex);
	crew_start(&await_job[0], cpu_lookup(ncpu - 1), HIGH, await_lock, NULL);
	while (atomic_load_explicit(&await_job[0].thread->l_state, memory_order_acquire) !=
		LS_SLEEPING &&
	    clock_ns() < end)
		kthread_sleep_ns(MS);
	kthread_rouse(await_job[0].thread);
	kthread_sleep_ns(20 * MS);
	T_ASSERT_EQ(await_word, 0);
	T_ASSERT(mutex_owner(&await_mutex) == curlwp);
	mutex_exit(&await_mutex);
	crew_join(&await_job[0]);
	T_ASSERT_EQ(await_word, 1);
	mutex_destroy(&await_mutex);
}

TEST_MISUSE(await_with_a_spinlock)
{
	struct spinlock lock = SPINLOCK_INIT("guard");

	spinlock_enter(&lock);
	kthread_await(SLEEPQ_FOREVER);
}
