/*
 * The timers of other CPUs, set by cross call; and deadlines, where the CPU has them.
 *
 * As in test_timer.c, no case judges by how many expiries came in how much time.
 */
#include "kernel/clients/timers.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

#define NS_PER_S 1000000000ull
#define NS_PER_MS 1000000ull
#define HANG_NS (60 * NS_PER_S)
#define TIMERS_CPUS_MAX 64u

static unsigned
timers_ncpu(void)
{
	return ncpu < TIMERS_CPUS_MAX ? ncpu : TIMERS_CPUS_MAX;
}

static uint64_t
timers_generation(unsigned index)
{
	struct timer_record r;

	timer_get(cpu_lookup(index), &r);
	return r.setting.generation;
}

/* Runs a case, and puts all timers back also when it failed. */
static void
with_timers(void (*body)(void))
{
	body();
	T_ASSERT_EQ(timer_set(NULL, TIMER_PERIODIC, HZ), 0);
}

/* Whether it was programmed once, between two times, to that, and its registers say so. */
static bool
timers_set_so(
    unsigned index, uint64_t generation, enum timer_mode mode, uint64_t hz, uint64_t not_before_ns)
{
	struct timer_record r;
	uint64_t now;

	timer_get(cpu_lookup(index), &r);
	now = clock_ns();
	return r.setting.generation == generation + 1 && r.setting.mode == mode &&
	    r.setting.hz == hz && r.setting.set_ns >= not_before_ns && r.setting.set_ns <= now &&
	    r.registers.initial_count == r.setting.count &&
	    r.registers.divide == r.setting.divide &&
	    r.registers.periodic == (mode == TIMER_PERIODIC) && !r.registers.masked;
}

static bool
timers_ticks(unsigned index, uint64_t n)
{
	uint64_t end = clock_ns() + HANG_NS;
	struct timer_record r;

	do {
		timer_get(cpu_lookup(index), &r);
		if (r.expiries >= n)
			return true;
		kthread_sleep_ns(NS_PER_MS);
	} while (clock_ns() < end);
	return false;
}

static void
body_all(void)
{
	static uint64_t generation[TIMERS_CPUS_MAX];
	uint64_t start;

	for (unsigned i = 0; i < timers_ncpu(); i++)
		generation[i] = timers_generation(i);
	start = clock_ns();
	T_ASSERT_EQ(timer_set(NULL, TIMER_PERIODIC, 250), 0);
	for (unsigned i = 0; i < timers_ncpu(); i++)
		T_ASSERT(timers_set_so(i, generation[i], TIMER_PERIODIC, 250, start));
	for (unsigned i = 0; i < timers_ncpu(); i++)
		T_ASSERT(timers_ticks(i, 5));
}

TEST_CASE(timers, of_all_cpus)
{
	with_timers(body_all);
}

static void
body_some(void)
{
	static uint64_t generation[TIMERS_CPUS_MAX];
	static struct cpuset set, failed;
	uint64_t start;

	cpuset_zero(&set);
	for (unsigned i = 0; i < timers_ncpu(); i++) {
		generation[i] = timers_generation(i);
		if (i % 2 == 1)
			cpuset_add(&set, i);
	}
	start = clock_ns();
	T_ASSERT_EQ(timer_set_told(&set, TIMER_PERIODIC, 300, &failed), 0);
	T_ASSERT(cpuset_empty(&failed));
	for (unsigned i = 0; i < timers_ncpu(); i++)
		if (i % 2 == 1)
			T_ASSERT(timers_set_so(i, generation[i], TIMER_PERIODIC, 300, start));
		else
			T_ASSERT_EQ(timers_generation(i), generation[i]);
	/* One each, of its own, and no other. */
	for (unsigned i = 0; i < timers_ncpu(); i++) {
		for (unsigned k = 0; k < timers_ncpu(); k++)
			generation[k] = timers_generation(k);
		start = clock_ns();
		T_ASSERT_EQ(timer_set_on(cpu_lookup(i), TIMER_PERIODIC, 301 + i), 0);
		T_ASSERT(timers_set_so(i, generation[i], TIMER_PERIODIC, 301 + i, start));
		for (unsigned k = 0; k < timers_ncpu(); k++)
			T_ASSERT(k == i || timers_generation(k) == generation[k]);
	}
}

TEST_CASE(timers, of_a_set_and_of_one)
{
	with_timers(body_some);
}

static void
body_oneshot(void)
{
	unsigned last = ncpu - 1;

	for (unsigned i = 0; i < 3; i++) {
		/* Its own timer would wake the sleeper. */
		if (last == 0)
			return;
		T_ASSERT_EQ(timer_set_on(cpu_lookup(last), TIMER_ONESHOT, 500), 0);
		T_ASSERT(timers_ticks(last, 1));
		kthread_sleep_ns(20 * NS_PER_MS);
		T_ASSERT(timers_ticks(last, 1));
		T_ASSERT_EQ(timer_set_on(cpu_lookup(last), TIMER_PERIODIC, HZ), 0);
	}
}

TEST_CASE(timers, oneshot)
{
	with_timers(body_oneshot);
}

static void
body_refused(void)
{
	static uint64_t generation[TIMERS_CPUS_MAX];
	static struct cpuset set, failed;

	for (unsigned i = 0; i < timers_ncpu(); i++)
		generation[i] = timers_generation(i);
	T_ASSERT_EQ(timer_set_told(NULL, TIMER_PERIODIC, 0, &failed), EINVAL);
	T_ASSERT_EQ(cpuset_count(&failed), ncpu);
	T_ASSERT_EQ(timer_set_told(NULL, TIMER_ONESHOT, TIMER_HZ_MAX + 1, &failed), EINVAL);
	T_ASSERT_EQ(cpuset_count(&failed), ncpu);
	cpuset_zero(&set);
	T_ASSERT_EQ(timer_set_told(&set, TIMER_PERIODIC, 0, &failed), 0);
	T_ASSERT(cpuset_empty(&failed));
	cpuset_add(&set, ncpu - 1);
	T_ASSERT_EQ(timer_set_told(&set, TIMER_PERIODIC, TIMER_HZ_MAX + 1, &failed), EINVAL);
	T_ASSERT(cpuset_count(&failed) == 1 && cpuset_has(&failed, ncpu - 1));
	T_ASSERT_EQ(timer_set_on(cpu_lookup(0), TIMER_PERIODIC, 0), EINVAL);
	if (!machine_timer_has_deadline()) {
		T_ASSERT_EQ(timer_set_told(NULL, TIMER_DEADLINE, 100, &failed), EOPNOTSUPP);
		T_ASSERT_EQ(cpuset_count(&failed), ncpu);
	}
	for (unsigned i = 0; i < timers_ncpu(); i++)
		T_ASSERT_EQ(timers_generation(i), generation[i]);
}

TEST_CASE(timers, refused)
{
	with_timers(body_refused);
}

/* --- in which contexts ------------------------------------------------------------------------ */

#define RING_ROUNDS 40u

static _Atomic uint64_t ring_errors;

/* Every CPU sets all timers, with interrupts off half of the time: each has to serve the others
 * while it waits. */
static void
ring_actor(void *arg)
{
	for (uint64_t i = 0; i < RING_ROUNDS; i++) {
		uint64_t hz = 200 + (uintptr_t)arg;
		bool intr = i % 2 == 0 ? machine_intr_disable() : false;
		int error = timer_set(NULL, TIMER_PERIODIC, hz);

		if (i % 2 == 0)
			machine_intr_restore(intr);
		if (error != 0)
			atomic_fetch_add_explicit(&ring_errors, 1, memory_order_relaxed);
	}
}

static void
body_ring(void)
{
	static struct crew_job job[TIMERS_CPUS_MAX];
	static uint64_t generation[TIMERS_CPUS_MAX];

	for (unsigned i = 0; i < timers_ncpu(); i++)
		generation[i] = timers_generation(i);
	for (unsigned i = 0; i < timers_ncpu(); i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, ring_actor, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < timers_ncpu(); i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	T_ASSERT_EQ(atomic_load_explicit(&ring_errors, memory_order_relaxed), 0);
	for (unsigned i = 0; i < timers_ncpu(); i++)
		T_ASSERT_EQ(timers_generation(i), generation[i] + RING_ROUNDS * timers_ncpu());
}

TEST_CASE(timers, set_by_every_cpu_at_once)
{
	with_timers(body_ring);
}

static _Atomic int nested_error;

static void
nested_set(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_store_explicit(
	    &nested_error, timer_set_on(cpu_lookup(0), TIMER_PERIODIC, 450), memory_order_relaxed);
}

static void
body_nested(void)
{
	static const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD };

	for (unsigned i = 0; i < 3; i++) {
		uint64_t generation = timers_generation(0), start = clock_ns();

		atomic_store_explicit(&nested_error, -1, memory_order_relaxed);
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(flags[i], nested_set, NULL, NULL, cpu_lookup(ncpu - 1))), 0);
		T_ASSERT_EQ(atomic_load_explicit(&nested_error, memory_order_relaxed), 0);
		T_ASSERT(timers_set_so(0, generation, TIMER_PERIODIC, 450, start));
	}
}

/* From a thread's, a soft and a hard interrupt's cross call. */
TEST_CASE(timers, set_inside_cross_calls)
{
	with_timers(body_nested);
}

static void
body_offline(void)
{
	static struct cpuset set, failed;
	unsigned last = ncpu - 1;
	uint64_t generation;

	if (!plug_begin())
		return;
	T_ASSERT_EQ(timer_set(NULL, TIMER_PERIODIC, 150), 0);
	T_ASSERT(plug_set(cpu_lookup(last), false));
	generation = timers_generation(last);
	T_ASSERT_EQ(timer_set_told(NULL, TIMER_PERIODIC, 160, &failed), 0);
	T_ASSERT(cpuset_empty(&failed));
	T_ASSERT_EQ(timer_set_on(cpu_lookup(last), TIMER_PERIODIC, 160), EHOSTDOWN);
	cpuset_zero(&set);
	cpuset_add(&set, last);
	T_ASSERT_EQ(timer_set_told(&set, TIMER_PERIODIC, 160, &failed), EHOSTDOWN);
	T_ASSERT(cpuset_empty(&failed));
	cpuset_add(&set, 0);
	T_ASSERT_EQ(timer_set_told(&set, TIMER_PERIODIC, 170, &failed), 0);
	T_ASSERT_EQ(timers_generation(last), generation);
	T_ASSERT(plug_set(cpu_lookup(last), true));
	/* As it was when it left. */
	T_ASSERT(timers_set_so(last, generation, TIMER_PERIODIC, 150, 0));
	T_ASSERT(timers_ticks(last, 3));
}

TEST_CASE(timers, offline_cpus)
{
	with_timers(body_offline);
}

/* --- deadlines -------------------------------------------------------------------------------- */

/* Every sample is a multiple of the period, from where the first one says that they count, to a
 * cycle. */
static bool
deadlines_exact(const struct timer_record *r, uint64_t hz)
{
	for (unsigned i = 1; i < r->nsamples; i++) {
		uint64_t d = r->sample[i].expiry_cycles - r->sample[0].expiry_cycles;
		uint64_t n = (d * hz + clock_hz() / 2) / clock_hz();
		uint64_t exact = n * clock_hz() / hz;

		if (n < i || d > exact + 1 || d + 1 < exact)
			return false;
	}
	return true;
}

static void
body_deadline(void)
{
	static const uint64_t hz[] = { 97, 300, 1000 };
	struct timer_record r;

	for (unsigned k = 0; k < sizeof(hz) / sizeof(hz[0]); k++) {
		T_ASSERT_EQ(timer_set(NULL, TIMER_DEADLINE, hz[k]), 0);
		for (unsigned i = 0; i < timers_ncpu(); i++)
			T_ASSERT(timers_ticks(i, 20));
		for (unsigned i = 0; i < timers_ncpu(); i++) {
			timer_get(cpu_lookup(i), &r);
			T_ASSERT(
			    r.registers.deadline && !r.registers.periodic && !r.registers.masked);
			T_ASSERT(deadlines_exact(&r, hz[k]));
		}
	}
	/* And back to counting, both ways. */
	T_ASSERT_EQ(timer_set(NULL, TIMER_ONESHOT, 1000), 0);
	for (uint64_t end = clock_ns() + 20 * NS_PER_MS; clock_ns() < end;)
		machine_pause();
	for (unsigned i = 0; i < timers_ncpu(); i++) {
		timer_get(cpu_lookup(i), &r);
		T_ASSERT_EQ(r.expiries, 1);
	}
	T_ASSERT_EQ(timer_set(NULL, TIMER_DEADLINE, 200), 0);
	T_ASSERT_EQ(timer_set(NULL, TIMER_PERIODIC, 200), 0);
	for (unsigned i = 0; i < timers_ncpu(); i++)
		T_ASSERT(timers_ticks(i, 5));
}

TEST_CASE(timers, deadlines)
{
	if (!machine_timer_has_deadline()) {
		test_skip("this CPU's timer has no deadlines");
		return;
	}
	with_timers(body_deadline);
}
