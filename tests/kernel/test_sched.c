/*
 * The scheduler: who runs, when, where, and for how long.
 *
 * The runner's thread (main here) has PRI_KERNEL on CPU 0.  What is said about order is said about
 * one CPU, where only priorities decide.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/param.h"
#include "kernel/sched.h"
#include "kernel/timer.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define SCHED_HANG_NS (60000 * MS)
#define SCHED_CREW 16

enum { LOW = PRI_USER + 9, MIDDLE = PRI_USER + 39, HIGH = PRI_KERNEL + 10 };

static struct crew_job sched_job[SCHED_CREW];
static _Atomic uint64_t sched_count, sched_go;
static pri_t sched_order[SCHED_CREW];

static uint64_t
sched_load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void
sched_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void
sched_setup(void)
{
	sched_store(&sched_count, 0);
	sched_store(&sched_go, 0);
}

static unsigned
sched_crew_size(void)
{
	return ncpu < SCHED_CREW ? ncpu : SCHED_CREW;
}

static void
sched_spin_until(_Atomic uint64_t *word, uint64_t value)
{
	while (sched_load(word) < value)
		machine_pause();
}

static void
sched_note(void *arg __attribute__((unused)))
{
	uint64_t n = atomic_fetch_add_explicit(&sched_count, 1, memory_order_acq_rel);

	sched_order[n] = curlwp->l_base_pri;
}

/* --- priorities and preemption ---------------------------------------------------------------- */

TEST_CASE(sched, the_best_runs_first)
{
	/* All four words of the bitmap, but below main. */
	static const pri_t pri[] = { 3, 60, PRI_USER, 63, 30, 62 };
	static const pri_t sorted[] = { 63, 62, 60, 30, 3, PRI_USER };
	enum { N = sizeof(pri) / sizeof(pri[0]) };

	sched_setup();
	for (unsigned i = 0; i < N; i++)
		crew_start(&sched_job[i], curcpu(), pri[i], sched_note, NULL);
	T_ASSERT_EQ(sched_load(&sched_count), 0);
	for (unsigned i = 0; i < N; i++)
		crew_join(&sched_job[i]);
	for (unsigned i = 0; i < N; i++)
		T_ASSERT_EQ(sched_order[i], sorted[i]);
}

TEST_CASE(sched, a_better_thread_preempts_at_once)
{
	static const pri_t pri[] = { PRI_KERNEL + 1, PRI_KTHREAD, 127, 128, 191, PRI_KERNEL_RT,
		PRI_XCALL };
	enum { N = sizeof(pri) / sizeof(pri[0]) };

	sched_setup();
	for (unsigned i = 0; i < N; i++) {
		crew_start(&sched_job[i], curcpu(), pri[i], sched_note, NULL);
		T_ASSERT_EQ(sched_load(&sched_count), i + 1);
	}
	for (unsigned i = 0; i < N; i++)
		crew_join(&sched_job[i]);
}

TEST_CASE(sched, preemption_off_puts_it_off)
{
	uint64_t before, after;

	sched_setup();
	kpreempt_disable();
	kpreempt_disable();
	crew_start(&sched_job[0], curcpu(), HIGH, sched_note, NULL);
	kpreempt_enable();
	before = sched_load(&sched_count);
	kpreempt_enable();
	after = sched_load(&sched_count);
	crew_join(&sched_job[0]);
	T_ASSERT_EQ(before, 0);
	T_ASSERT_EQ(after, 1);
}

TEST_CASE(sched, a_spinlock_puts_it_off)
{
	struct spinlock lock = SPINLOCK_INIT("test");
	uint64_t before, after;

	sched_setup();
	kpreempt_disable();
	crew_start(&sched_job[0], curcpu(), HIGH, sched_note, NULL);
	spinlock_enter(&lock);
	kpreempt_enable();
	before = sched_load(&sched_count);
	spinlock_exit(&lock);
	after = sched_load(&sched_count);
	crew_join(&sched_job[0]);
	T_ASSERT_EQ(before, 0);
	T_ASSERT_EQ(after, 1);
}

/* Without a tick, so that nothing but the wake-up itself can have caused the switch. */
TEST_CASE(sched, interrupts_off_puts_it_off)
{
	uint64_t before, end;

	sched_setup();
	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	kpreempt_disable();
	crew_start(&sched_job[0], curcpu(), HIGH, sched_note, NULL);
	machine_intr_disable();
	kpreempt_enable();
	before = sched_load(&sched_count);
	machine_intr_restore(true);
	end = clock_ns() + SCHED_HANG_NS;
	while (sched_load(&sched_count) == 0 && clock_ns() < end)
		machine_pause();
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, HZ), 0);
	T_ASSERT_EQ(before, 0);
	T_ASSERT_EQ(sched_load(&sched_count), 1);
	crew_join(&sched_job[0]);
}

/* Keeps its CPU, without a tick, until told to stop. */
static void
sched_hog_without_tick(void *arg __attribute__((unused)))
{
	if (timer_program(TIMER_OFF, 0) != 0)
		test_fail(__FILE__, __LINE__, "the timer can be stopped");
	sched_store(&sched_count, 1);
	sched_spin_until(&sched_go, 1);
	if (timer_program(TIMER_PERIODIC, HZ) != 0)
		test_fail(__FILE__, __LINE__, "the usual rate is possible");
}

static void
sched_signal_done(void *arg __attribute__((unused)))
{
	sched_store(&sched_count, 2);
}

TEST_CASE(sched, a_better_thread_preempts_on_another_cpu)
{
	bool ran;

	if (ncpu < 2) {
		test_skip("there is no other CPU");
		return;
	}
	for (unsigned i = 1; i < sched_crew_size(); i++) {
		sched_setup();
		crew_start(&sched_job[0], cpu_lookup(i), LOW, sched_hog_without_tick, NULL);
		T_ASSERT(test_wait_at_least(&sched_count, 1));
		crew_start(&sched_job[1], cpu_lookup(i), MIDDLE, sched_signal_done, NULL);
		ran = test_wait_at_least(&sched_count, 2);
		sched_store(&sched_go, 1);
		crew_join(&sched_job[0]);
		crew_join(&sched_job[1]);
		T_ASSERT(ran);
	}
}

static void
sched_hog(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&sched_count, 1, memory_order_acq_rel);
	sched_spin_until(&sched_go, 1);
}

TEST_CASE(sched, a_lesser_thread_waits)
{
	uint64_t ran;

	sched_setup();
	crew_start(&sched_job[0], curcpu(), MIDDLE, sched_hog, NULL);
	T_ASSERT(test_wait_at_least(&sched_count, 1));
	crew_start(&sched_job[1], curcpu(), MIDDLE - 1, sched_hog, NULL);
	T_ASSERT_EQ(sched_ready_count(curcpu()), 2);
	kthread_sleep_ns(100 * MS);
	ran = sched_load(&sched_count);
	sched_store(&sched_go, 1);
	crew_join(&sched_job[0]);
	crew_join(&sched_job[1]);
	T_ASSERT_EQ(ran, 1);
	T_ASSERT_EQ(sched_ready_count(curcpu()), 0);
}

/* --- turns ------------------------------------------------------------------------------------ */

/* Which of the equals ran last, how often that changed, and how often to each; they are on one
 * CPU. */
static _Atomic uint64_t sched_turn, sched_turns, sched_turns_of[3];

static void
sched_equal(void *arg)
{
	uint64_t me = (uintptr_t)arg;

	while (sched_load(&sched_go) == 0) {
		if (sched_load(&sched_turn) != me) {
			sched_store(&sched_turn, me);
			atomic_fetch_add_explicit(&sched_turns, 1, memory_order_relaxed);
			atomic_fetch_add_explicit(&sched_turns_of[me], 1, memory_order_relaxed);
		}
		machine_pause();
	}
}

/* Three equals spin while main disturbs them at 500 Hz.  Turns last at least a slice, by the clock:
 * who is preempted by main has his turn back.  And they do end: each comes again and again.  How
 * much of the time each gets is the host's business too, which may stop a CPU for long. */
TEST_CASE(sched, equals_take_turns)
{
	uint64_t start, elapsed;
	bool came = true;

	sched_setup();
	sched_store(&sched_turn, 99);
	sched_store(&sched_turns, 0);
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, 500), 0);
	start = clock_ns();
	for (unsigned i = 0; i < 3; i++) {
		sched_store(&sched_turns_of[i], 0);
		crew_start(&sched_job[i], curcpu(), MIDDLE, sched_equal, (void *)(uintptr_t)i);
	}
	for (unsigned i = 0; i < 3; i++)
		came &= test_wait_at_least(&sched_turns_of[i], 4);
	elapsed = clock_ns() - start;
	sched_store(&sched_go, 1);
	for (unsigned i = 0; i < 3; i++)
		crew_join(&sched_job[i]);
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, HZ), 0);
	T_ASSERT(came);
	T_ASSERT(sched_load(&sched_turns) <= elapsed / SCHED_SLICE_NS + 1);
}

static void
sched_yielder(void *arg)
{
	uint64_t me = (uintptr_t)arg;

	for (unsigned i = 0; i < 1000; i++) {
		if (sched_load(&sched_turn) != me) {
			sched_store(&sched_turn, me);
			atomic_fetch_add_explicit(&sched_turns, 1, memory_order_relaxed);
		}
		kthread_yield();
	}
}

TEST_CASE(sched, yield_lets_an_equal_run_but_no_lesser)
{
	sched_setup();
	sched_store(&sched_turn, 99);
	sched_store(&sched_turns, 0);
	crew_start(&sched_job[2], curcpu(), MIDDLE - 1, sched_note, NULL);
	crew_start(&sched_job[0], curcpu(), MIDDLE, sched_yielder, (void *)0);
	crew_start(&sched_job[1], curcpu(), MIDDLE, sched_yielder, (void *)1);
	for (unsigned i = 0; i < 1000; i++)
		kthread_yield();
	T_ASSERT_EQ(sched_load(&sched_turns), 0);
	T_ASSERT_EQ(sched_load(&sched_count), 0);
	for (unsigned i = 0; i < 3; i++)
		crew_join(&sched_job[i]);
	/* The end of a slice may disturb the order now and then. */
	T_ASSERT(sched_load(&sched_turns) >= 1800);
}

/* --- where ------------------------------------------------------------------------------------ */

/* Where an interrupt addressed to a local APIC id arrived. */
static _Atomic(struct cpu_info *) sched_arrived[SCHED_CREW];

static unsigned sched_vector;

static void
sched_interrupt(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	struct cpu_info *ci = curcpu();

	if (ci->ci_index < SCHED_CREW)
		atomic_store_explicit(&sched_arrived[ci->ci_index], ci, memory_order_release);
}

/* The hardware's word: an interrupt sent to this CPU's APIC id arrives here, at once, and nowhere
 * else. */
static bool
sched_really_here(struct cpu_info *ci)
{
	uint64_t end = clock_ns() + SCHED_HANG_NS;

	atomic_store_explicit(&sched_arrived[ci->ci_index], NULL, memory_order_release);
	kpreempt_disable();
	machine_send_ipi(ci, sched_vector);
	while (atomic_load_explicit(&sched_arrived[ci->ci_index], memory_order_acquire) == NULL &&
	    clock_ns() < end)
		machine_pause();
	kpreempt_enable();
	return atomic_load_explicit(&sched_arrived[ci->ci_index], memory_order_acquire) == ci;
}

static struct {
	kmutex_t lock;
	kcondvar_t cv[SCHED_CREW];
	uint64_t hops, end; /* guarded by lock; whose turn: hops modulo the crew's size */
} sched_ring;

#define SCHED_HOPS 10000

static void
sched_runner(void *arg)
{
	struct cpu_info *ci = arg;
	unsigned n = sched_crew_size(), me = ci->ci_index;

	for (;;) {
		bool over;

		mutex_enter(&sched_ring.lock);
		while (sched_ring.hops % n != me && sched_ring.hops < sched_ring.end)
			cv_wait(&sched_ring.cv[me], &sched_ring.lock);
		over = sched_ring.hops >= sched_ring.end;
		if (curcpu() != ci || curlwp->l_cpu != ci)
			test_fail(__FILE__, __LINE__, "a thread stays on its CPU");
		if (!over && sched_ring.hops % 64 < n && !sched_really_here(ci))
			test_fail(__FILE__, __LINE__, "the CPU is what it says");
		sched_ring.hops++;
		cv_signal(&sched_ring.cv[(me + 1) % n]);
		mutex_exit(&sched_ring.lock);
		if (over)
			return;
	}
}

/* Until the hops are over; false when there was none for a minute. */
static bool
sched_watch_ring(void)
{
	uint64_t seen = 0, hops = 0, since = clock_ns();

	while (hops < SCHED_HOPS && clock_ns() - since < SCHED_HANG_NS) {
		kthread_sleep_ns(10 * MS);
		mutex_enter(&sched_ring.lock);
		hops = sched_ring.hops;
		mutex_exit(&sched_ring.lock);
		if (hops != seen)
			since = clock_ns();
		seen = hops;
	}
	return hops >= SCHED_HOPS;
}

TEST_CASE(sched, threads_stay_on_their_cpu)
{
	unsigned n = sched_crew_size();

	sched_vector = test_vector(sched_interrupt);
	mutex_init(&sched_ring.lock, MUTEX_DEFAULT, IPL_NONE, "ring");
	for (unsigned i = 0; i < n; i++)
		cv_init(&sched_ring.cv[i], "ring");
	sched_ring.hops = 0;
	sched_ring.end = SCHED_HOPS;
	for (unsigned i = 0; i < n; i++)
		crew_start(&sched_job[i], cpu_lookup(i), PRI_KTHREAD, sched_runner, cpu_lookup(i));
	T_ASSERT(sched_watch_ring());
	for (unsigned i = 0; i < n; i++)
		crew_join(&sched_job[i]);
	for (unsigned i = 0; i < n; i++)
		cv_destroy(&sched_ring.cv[i]);
	mutex_destroy(&sched_ring.lock);
}

TEST_CASE(sched, no_cpu_named_means_the_emptiest)
{
	lwp_t *l[SCHED_CREW];
	unsigned n = sched_crew_size();
	bool emptiest = true;

	sched_setup();
	for (unsigned i = 0; i < n; i++) {
		unsigned least = UINT32_MAX, had;
		struct cpu_info *ci;

		CPU_INFO_FOREACH(ci)
			least = ci->ci_nthreads < least ? ci->ci_nthreads : least;
		T_ASSERT_EQ(
		    kthread_create(LOW, KTHREAD_MUSTJOIN, NULL, sched_hog, NULL, &l[i], "any"), 0);
		had = l[i]->l_cpu->ci_nthreads - 1;
		emptiest &= had == least;
	}
	sched_store(&sched_go, 1);
	for (unsigned i = 0; i < n; i++)
		T_ASSERT_EQ(kthread_join(l[i]), 0);
	T_ASSERT(emptiest);
}
