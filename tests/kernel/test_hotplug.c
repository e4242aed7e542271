/*
 * CPUs that go offline and come back: the kernel's half, and who is refused.  The storm of calls
 * meanwhile is in test_hotplug_storm.c.
 */
#include <stddef.h>

#include "kernel/clients/hotplug.h"
#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"
#include "xcall/rendezvous.h"
#include "xcall/xcall.h"

#define MS UINT64_C(1000000)

/* Of all CPUs together. */
#define CYCLES 105

static _Atomic uint64_t runs, step;

static void
count(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
}

static uint64_t
ran(void)
{
	return atomic_load_explicit(&runs, memory_order_relaxed);
}

/* --- out and in ------------------------------------------------------------------------------- */

static void
cycle(struct cpu_info *ci)
{
	struct timer_record r;
	uint64_t interrupts;

	T_ASSERT(plug_set(ci, false));
	T_ASSERT(!cpu_online(ci));
	T_ASSERT_EQ(cpu_online_count(), ncpu - 1);
	T_ASSERT(plug_refuses(ci));
	timer_get(ci, &r);
	T_ASSERT_EQ(r.setting.mode, TIMER_OFF);
	interrupts = plug_interrupts(ci);
	delay_us(500);
	T_ASSERT_EQ(plug_interrupts(ci), interrupts);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(cpu_online(ci));
	T_ASSERT_EQ(cpu_online_count(), ncpu);
	T_ASSERT(plug_answers(ci));
}

TEST_CASE(hotplug, each_cpu_goes_and_comes_again_and_again)
{
	if (!plug_begin())
		return;
	for (unsigned i = 0; i < CYCLES; i++)
		cycle(cpu_lookup(1 + i % (ncpu - 1)));
}

TEST_CASE(hotplug, all_but_one_go_together)
{
	if (!plug_begin())
		return;
	for (unsigned cpu = 1; cpu < ncpu; cpu++)
		T_ASSERT(plug_set(cpu_lookup(cpu), false));
	T_ASSERT_EQ(cpu_online_count(), 1);
	T_ASSERT(plug_answers(curcpu()));
	atomic_store_explicit(&runs, 0, memory_order_relaxed);
	T_ASSERT_EQ(xc_wait(xc_broadcast(0, count, NULL, NULL)), 0);
	T_ASSERT_EQ(ran(), 1);
	xc_barrier(0);
	for (unsigned cpu = ncpu - 1; cpu > 0; cpu--)
		T_ASSERT(plug_set(cpu_lookup(cpu), true));
	T_ASSERT_EQ(xc_wait(xc_broadcast(0, count, NULL, NULL)), 0);
	T_ASSERT_EQ(ran(), 1 + ncpu);
}

TEST_CASE(hotplug, offline_twice_and_online_twice_change_nothing)
{
	struct timer_record before, after;
	struct cpu_info *ci;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	timer_get(ci, &before);
	T_ASSERT(plug_set(ci, true));
	timer_get(ci, &after);
	T_ASSERT_EQ(after.setting.generation, before.setting.generation);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT(plug_set(ci, false));
	T_ASSERT_EQ(cpu_online_count(), ncpu - 1);
	T_ASSERT(plug_set(ci, true));
}

static void
both_cycle(void *arg)
{
	struct cpu_info *ci = arg;

	/* The other thread may be quicker with the same wish, or undo it at once. */
	for (unsigned i = 0; i < 12; i++)
		T_ASSERT(plug_set(ci, i % 2 != 0));
}

TEST_CASE(hotplug, operations_take_turns)
{
	struct crew_job job[2];
	struct cpu_info *ci;

	if (!plug_begin())
		return;
	ci = cpu_lookup(ncpu - 1);
	for (unsigned i = 0; i < 2; i++)
		crew_start(&job[i], cpu_lookup(i % (ncpu - 1)), PRI_KERNEL, both_cycle, ci);
	for (unsigned i = 0; i < 2; i++)
		crew_join(&job[i]);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(plug_answers(ci));
}

/* --- the timer -------------------------------------------------------------------------------- */

/* arg1: the mode, arg2: the rate. */
static void
program_timer(void *arg1, void *arg2)
{
	T_ASSERT_EQ(timer_program((enum timer_mode)(uintptr_t)arg1, (uintptr_t)arg2), 0);
}

static void
set_timer_of(struct cpu_info *ci, enum timer_mode mode, uint64_t hz)
{
	T_ASSERT_EQ(
	    xc_wait(xc_unicast(0, program_timer, (void *)(uintptr_t)mode, (void *)hz, ci)), 0);
}

/* Intervals that are no whole multiple of the period, to a twentieth of it: a host may drop
 * ticks. */
static unsigned
crooked_intervals(const struct timer_record *r)
{
	uint64_t period = clock_ns_to_cycles(1000 * MS / r->setting.hz);
	unsigned crooked = 0;

	for (unsigned i = 1; i < r->nsamples; i++) {
		uint64_t interval = r->sample[i].expiry_cycles - r->sample[i - 1].expiry_cycles;
		uint64_t rest = interval % period;

		if (rest > period / 2)
			rest = period - rest;
		crooked += interval < period / 2 || rest > period / 20;
	}
	return crooked;
}

/* Waits for that many samples; false after 30 s. */
static bool
wait_samples(const struct cpu_info *ci, struct timer_record *r, unsigned n)
{
	uint64_t end = clock_ns() + 30000 * MS;

	for (;;) {
		timer_get(ci, r);
		if (r->nsamples >= n)
			return true;
		if (clock_ns() > end)
			return false;
		kthread_sleep_ns(5 * MS);
	}
}

static void
check_rate(struct cpu_info *ci, uint64_t hz)
{
	struct timer_record before, r;
	uint64_t back;

	set_timer_of(ci, TIMER_PERIODIC, hz);
	timer_get(ci, &before);
	T_ASSERT(plug_set(ci, false));
	kthread_sleep_ns(30 * MS);
	back = clock_ns();
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(wait_samples(ci, &r, 17));
	T_ASSERT_EQ(r.setting.hz, hz);
	T_ASSERT_EQ(r.setting.mode, TIMER_PERIODIC);
	T_ASSERT_EQ(r.setting.generation, before.setting.generation + 2);
	T_ASSERT_EQ(r.registers.initial_count, before.registers.initial_count);
	T_ASSERT_EQ(r.registers.divide, before.registers.divide);
	T_ASSERT_EQ(r.registers.lvt, before.registers.lvt);
	/* The clock of a host may stand for a moment. */
	T_ASSERT(r.setting.set_ns >= back);
	T_ASSERT(r.nsamples >= 17 && crooked_intervals(&r) <= r.nsamples / 4);
	set_timer_of(ci, TIMER_PERIODIC, HZ);
}

TEST_CASE(hotplug, the_timer_comes_back_at_its_rate)
{
	if (!plug_begin())
		return;
	for (unsigned cpu = 1; cpu < ncpu; cpu++)
		check_rate(cpu_lookup(cpu), 250 + cpu);
}

TEST_CASE(hotplug, a_timer_that_was_off_stays_off)
{
	struct timer_record r;
	struct cpu_info *ci;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	set_timer_of(ci, TIMER_OFF, 0);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT(plug_set(ci, true));
	kthread_sleep_ns(30 * MS);
	timer_get(ci, &r);
	T_ASSERT_EQ(r.setting.mode, TIMER_OFF);
	T_ASSERT_EQ(r.expiries, 0);
	T_ASSERT(r.registers.masked);
	set_timer_of(ci, TIMER_ONESHOT, 20);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(wait_samples(ci, &r, 1));
	kthread_sleep_ns(100 * MS);
	timer_get(ci, &r);
	T_ASSERT_EQ(r.setting.mode, TIMER_ONESHOT);
	T_ASSERT_EQ(r.expiries, 1);
	set_timer_of(ci, TIMER_PERIODIC, HZ);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void
stay(void *arg)
{
	gate_pass(arg);
}

TEST_CASE(hotplug, a_bound_thread_keeps_its_cpu_online)
{
	char why[HOTPLUG_WHY_BYTES];
	struct crew_job job;
	struct cpu_info *ci;
	struct gate gate;

	if (!plug_begin())
		return;
	ci = cpu_lookup(ncpu - 1);
	gate_init(&gate);
	crew_start(&job, ci, PRI_USER, stay, &gate);
	T_ASSERT_EQ(cpu_setstate(ci, false, why), EBUSY);
	T_ASSERT(strncmp(why, "thread crew/", 12) == 0);
	T_ASSERT(cpu_online(ci) && plug_answers(ci));
	T_ASSERT_EQ(cpu_online_count(), ncpu);
	gate_open(&gate);
	crew_join(&job);
	/* It takes threads as before. */
	crew_start(&job, ci, PRI_USER, stay, &gate);
	crew_join(&job);
	gate_destroy(&gate);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT(plug_set(ci, true));
}

static void
leave_self(void *arg)
{
	char why[HOTPLUG_WHY_BYTES];

	T_ASSERT_EQ(cpu_setstate(curcpu(), false, why), EBUSY);
	T_ASSERT(strncmp(why, "thread crew/", 12) == 0);
	atomic_store_explicit((_Atomic uint64_t *)arg, 1, memory_order_relaxed);
}

TEST_CASE(hotplug, nobody_takes_the_cpu_from_under_himself)
{
	struct crew_job job;
	_Atomic uint64_t refused = 0;

	if (!plug_begin())
		return;
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, leave_self, (void *)(uintptr_t)&refused);
	crew_join(&job);
	T_ASSERT_EQ(atomic_load_explicit(&refused, memory_order_relaxed), 1);
	T_ASSERT(cpu_online(cpu_lookup(1)));
}

/* Also on one CPU. */
TEST_CASE(hotplug, the_boot_cpu_stays)
{
	char why[HOTPLUG_WHY_BYTES];

	T_ASSERT_EQ(cpu_setstate(cpu_lookup(0), false, why), EOPNOTSUPP);
	T_ASSERT(strlen(why) != 0);
	T_ASSERT_EQ(cpu_setstate(cpu_lookup(0), true, why), 0);
	T_ASSERT(plug_answers(cpu_lookup(0)));
}

static void
nothing(void *arg __attribute__((unused)))
{
}

TEST_CASE(hotplug, no_thread_is_made_on_a_cpu_that_is_offline)
{
	struct cpu_info *ci;
	unsigned threads;
	lwp_t *l = curlwp;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	T_ASSERT(plug_set(ci, false));
	threads = kthread_count();
	T_ASSERT_EQ(kthread_create(PRI_USER, 0, ci, nothing, NULL, &l, "no"), EINVAL);
	T_ASSERT_EQ(kthread_create(PRI_USER, KTHREAD_SERVICE, ci, nothing, NULL, &l, "no"), EINVAL);
	T_ASSERT(l == curlwp);
	T_ASSERT_EQ(kthread_count(), threads);
	/* It has the fewest threads, and still gets none. */
	for (unsigned i = 0; i < 4 * ncpu; i++) {
		T_ASSERT_EQ(
		    kthread_create(PRI_USER, KTHREAD_MUSTJOIN, NULL, nothing, NULL, &l, "any"), 0);
		T_ASSERT(l->l_cpu != ci);
		T_ASSERT_EQ(kthread_join(l), 0);
	}
	T_ASSERT(plug_set(ci, true));
	T_ASSERT_EQ(kthread_create(PRI_USER, KTHREAD_MUSTJOIN, ci, nothing, NULL, &l, "yes"), 0);
	T_ASSERT_EQ(kthread_join(l), 0);
}

TEST_CASE(hotplug, a_thread_that_ended_is_joined_while_its_cpu_is_offline)
{
	struct crew_job job;
	struct cpu_info *ci;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	crew_start(&job, ci, PRI_USER, nothing, NULL);
	T_ASSERT(test_wait_at_least(&job.done, 1));
	/* A zombie for its joiner once the CPU has switched. */
	kthread_sleep_ns(20 * MS);
	T_ASSERT(plug_set(ci, false));
	crew_join(&job);
	T_ASSERT(plug_set(ci, true));
}

static void
served(void *arg)
{
	gate_pass(arg);
	atomic_fetch_add_explicit(&runs, 1, memory_order_relaxed);
}

/* What is made ready on a CPU that is offline waits for it. */
TEST_CASE(hotplug, a_service_thread_goes_on_when_its_cpu_is_back)
{
	struct cpu_info *ci;
	struct gate gate;
	lwp_t *l;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	gate_init(&gate);
	atomic_store_explicit(&runs, 0, memory_order_relaxed);
	T_ASSERT_EQ(kthread_create(PRI_KTHREAD, KTHREAD_SERVICE | KTHREAD_MUSTJOIN, ci, served,
			&gate, &l, "service"),
	    0);
	T_ASSERT(plug_set(ci, false));
	gate_open(&gate);
	kthread_sleep_ns(30 * MS);
	T_ASSERT_EQ(ran(), 0);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT_EQ(kthread_join(l), 0);
	T_ASSERT_EQ(ran(), 1);
	gate_destroy(&gate);
}

/* A call that sleeps on the CPU that leaves is waited for. */
static void
sleep_long(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	kmutex_t *gate = arg1;

	atomic_store_explicit(&step, 1, memory_order_release);
	mutex_enter(gate);
	count(NULL, NULL);
	mutex_exit(gate);
}

static void
release_later(void *arg)
{
	kmutex_t *gate = arg;

	mutex_enter(gate);
	atomic_store_explicit(&step, 2, memory_order_release);
	kthread_sleep_ns(50 * MS);
	T_ASSERT_EQ(ran(), 0);
	mutex_exit(gate);
}

TEST_CASE(hotplug, a_running_call_ends_before_its_cpu_leaves)
{
	struct crew_job job;
	struct cpu_info *ci;
	kmutex_t gate;
	uint64_t where;

	if (!plug_begin())
		return;
	ci = cpu_lookup(ncpu - 1);
	mutex_init(&gate, MUTEX_DEFAULT, IPL_NONE, "gate");
	atomic_store_explicit(&runs, 0, memory_order_relaxed);
	atomic_store_explicit(&step, 0, memory_order_relaxed);
	crew_start(&job, curcpu(), PRI_KERNEL + 1, release_later, &gate);
	T_ASSERT(test_wait_at_least(&step, 2));
	atomic_store_explicit(&step, 0, memory_order_relaxed);
	where = xc_unicast(0, sleep_long, &gate, NULL, ci);
	T_ASSERT(test_wait_at_least(&step, 1));
	T_ASSERT(plug_set(ci, false));
	T_ASSERT_EQ(ran(), 1);
	T_ASSERT(xc_done(where));
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT(plug_set(ci, true));
	crew_join(&job);
	mutex_destroy(&gate);
}

/* --- a machine that stands still -------------------------------------------------------------- */

static void
stand_still(void *arg __attribute__((unused)))
{
	atomic_store_explicit(&step, 1, memory_order_release);
	while (atomic_load_explicit(&step, memory_order_acquire) != 2)
		machine_pause();
}

static void
stop_cpu_1(void *arg __attribute__((unused)))
{
	struct cpuset set;

	cpuset_zero(&set);
	cpuset_add(&set, 1);
	T_ASSERT_EQ(xc_rendezvous(&set, NULL, stand_still, NULL, NULL, 0), 0);
}

static void
come_back(void *ci)
{
	T_ASSERT(plug_set(ci, true));
}

TEST_CASE(hotplug, a_cpu_comes_back_after_the_rendezvous)
{
	struct crew_job stop, back;
	struct cpu_info *ci;

	if (!plug_begin())
		return;
	if (ncpu < 3) {
		test_skip("needs 3 CPUs");
		return;
	}
	ci = cpu_lookup(2);
	T_ASSERT(plug_set(ci, false));
	atomic_store_explicit(&step, 0, memory_order_relaxed);
	crew_start(&stop, curcpu(), PRI_KERNEL, stop_cpu_1, NULL);
	T_ASSERT(test_wait_at_least(&step, 1));
	crew_start(&back, curcpu(), PRI_KERNEL, come_back, ci);
	for (unsigned i = 0; i < 100 && !cpu_online(ci); i++)
		kthread_sleep_ns(10 * MS);
	T_ASSERT(cpu_online(ci));
	kthread_sleep_ns(20 * MS);
	T_ASSERT(plug_refuses(ci));
	atomic_store_explicit(&step, 2, memory_order_release);
	crew_join(&stop);
	crew_join(&back);
	T_ASSERT(plug_answers(ci));
}
