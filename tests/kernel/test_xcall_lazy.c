/*
 * Lazy cross calls: posted without an interrupt.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/timer.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"

/* More than a few ticks. */
#define LAZY_TICKS_NS 100000000ull
/* A hang detector. */
#define LAZY_HANG_NS 60000000000ull

/* A CPU without ticks, and one that has them again. */
static struct timer_record lazy_record;

static void
lazy_stop_timer(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
}

static void
lazy_start_timer(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	T_ASSERT_EQ(timer_program(lazy_record.setting.mode, lazy_record.setting.hz), 0);
}

static void
lazy_set_ticks(struct cpu_info *ci, bool on)
{
	if (!on)
		timer_get(ci, &lazy_record);
	T_ASSERT_EQ(
	    xc_wait(xc_unicast(0, on ? lazy_start_timer : lazy_stop_timer, NULL, NULL, ci)), 0);
}

static void
lazy_nothing(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
}

static uint64_t
lazy_interrupts(const struct cpu_info *ci)
{
	return atomic_load_explicit(&ci->ci_intr_count[INTR_VECTOR_XCALL], memory_order_relaxed);
}

/* Waits, longer than any notification takes, without touching the other CPU. */
static void
lazy_let_pass(void)
{
	uint64_t end = clock_ns() + LAZY_TICKS_NS;

	while (clock_ns() < end)
		machine_pause();
}

/* A call is over before xcall/N is through with it: that would take a lazy one along.  Waits
 * until it sleeps. */
static bool
lazy_await_sleep(struct cpu_info *ci)
{
	struct xc_cpu *xc = ci->ci_xcall;
	uint64_t end = clock_ns() + LAZY_HANG_NS;
	bool sleeps;

	do {
		kthread_sleep_ns(1000000);
		sleeps = atomic_load_explicit(&xc->x_idle, memory_order_relaxed);
	} while (!sleeps && clock_ns() < end);
	return sleeps;
}

/* Each level: not before the target takes an interrupt, of whatever kind; then at once. */
TEST_CASE(xcall_lazy, a_lazy_call_runs_at_the_next_interrupt_and_not_before)
{
	struct cpu_info *ci = others_last();
	unsigned vector = test_vector(lazy_nothing), wrong = 0;
	struct probe probe;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	probe_init(&probe, XC_LEVEL_LOW);
	lazy_set_ticks(ci, false);
	wrong += !lazy_await_sleep(ci);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t before = lazy_interrupts(ci), where;

		probe_reset(&probe, level);
		where = xc_unicast(calls_flags(level) | XC_LAZY, probe_run, &probe, NULL, ci);
		lazy_let_pass();
		wrong += probe_ran(&probe) != 0 || xc_done(where);
		machine_send_ipi(ci, vector);
		wrong += !calls_spin_until(&probe.ran, 1);
		wrong += lazy_interrupts(ci) != before;
		wrong += xc_wait(where) != 0 || !probe_right(&probe, 1, 0);
	}
	lazy_set_ticks(ci, true);
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_lazy, the_tick_takes_lazy_calls)
{
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t where;

		probe_reset(&probe, level);
		where = xc_broadcast(calls_flags(level) | XC_LAZY, probe_run, &probe, NULL);
		wrong += !test_wait_at_least(&probe.ran, ncpu);
		wrong += xc_wait(where) != 0 || !probe_right(&probe, ncpu, 1);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* By ticket and by descriptor, waited for and waited for with a time. */
TEST_CASE(xcall_lazy, a_wait_makes_it_an_ordinary_call)
{
	static struct xc_call call;
	struct cpu_info *ci = others_last();
	struct probe probe;
	unsigned wrong = 0;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	probe_init(&probe, XC_LEVEL_LOW);
	lazy_set_ticks(ci, false);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		unsigned flags = calls_flags(level) | XC_LAZY;

		probe_reset(&probe, level);
		wrong += xc_wait(xc_unicast(flags, probe_run, &probe, NULL, ci)) != 0;
		wrong += xc_timedwait(
			     xc_unicast(flags, probe_run, &probe, NULL, ci), 60000000000ull) != 0;
		wrong += xc_wait(xc_broadcast(flags, probe_run, &probe, NULL)) != 0;
		xc_call_init(&call, probe_run, &probe, NULL);
		wrong += xc_call_post(&call, flags, ci) != 0 || xc_call_wait(&call) != 0;
		wrong += !probe_right(&probe, 3 + ncpu, 0);
	}
	lazy_set_ticks(ci, true);
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* Many threads wait for the same lazy calls, while others go on in the same slots. */
struct lazy_waiter {
	struct crew_job job;
	_Atomic uint64_t *where;
};

#define LAZY_WAITERS 4
#define LAZY_TICKETS 60

static void
lazy_waiter(void *arg)
{
	struct lazy_waiter *w = arg;

	for (unsigned i = 0; i < LAZY_TICKETS; i++) {
		T_ASSERT(calls_spin_until(&w->where[i], 1));
		T_ASSERT_EQ(xc_wait(atomic_load_explicit(&w->where[i], memory_order_acquire)), 0);
	}
}

TEST_CASE(xcall_lazy, every_wait_announces_its_own_call)
{
	static _Atomic uint64_t where[LAZY_TICKETS];
	static struct lazy_waiter waiter[LAZY_WAITERS];
	struct cpu_info *ci = others_last();
	struct probe probe;
	bool right;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned i = 0; i < LAZY_TICKETS; i++)
		atomic_store_explicit(&where[i], 0, memory_order_relaxed);
	lazy_set_ticks(ci, false);
	for (unsigned i = 0; i < LAZY_WAITERS; i++) {
		waiter[i].where = where;
		/* Not on the CPU without ticks, where nobody would take turns with another. */
		crew_start(&waiter[i].job, cpu_lookup(i % (ncpu - 1)), PRI_KERNEL, lazy_waiter,
		    &waiter[i]);
	}
	for (unsigned i = 0; i < LAZY_TICKETS; i++) {
		atomic_store_explicit(&where[i], xc_unicast(XC_LAZY, probe_run, &probe, NULL, ci),
		    memory_order_release);
		if (i % 4 == 0)
			(void)xc_wait(atomic_load_explicit(&where[i], memory_order_relaxed));
	}
	for (unsigned i = 0; i < LAZY_WAITERS; i++)
		crew_join(&waiter[i].job);
	lazy_set_ticks(ci, true);
	right = probe_right(&probe, LAZY_TICKETS, 0);
	probe_free(&probe);
	T_ASSERT(right);
}

TEST_CASE(xcall_lazy, an_ordinary_call_takes_lazy_ones_before_it_along)
{
	struct cpu_info *ci = others_last();
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		unsigned flags = calls_flags(level);
		uint64_t lazy, ordinary;

		probe_reset(&probe, level);
		lazy = xc_unicast(flags | XC_LAZY, probe_run, &probe, NULL, ci);
		ordinary = xc_unicast(flags, probe_run, &probe, NULL, ci);
		wrong += xc_wait(ordinary) != 0 || !xc_done(lazy) || !probe_right(&probe, 2, 0);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_lazy, a_lazy_call_can_be_cancelled)
{
	struct cpu_info *ci = others_last();
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		unsigned withdrawn;
		uint64_t where;

		probe_reset(&probe, level);
		where = xc_unicast(calls_flags(level) | XC_LAZY, probe_run, &probe, NULL, ci);
		wrong += xc_cancel(where, &withdrawn) != 0;
		wrong += withdrawn + probe_ran(&probe) != 1;
		wrong += xc_wait(where) != (withdrawn != 0 ? ECANCELED : 0);
		kthread_sleep_ns(20000000);
		wrong += withdrawn + probe_ran(&probe) != 1;
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_lazy, a_drain_takes_lazy_calls_without_a_tick)
{
	static struct xc_call call;
	struct cpu_info *ci = others_last();
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	if (ncpu > 1)
		lazy_set_ticks(ci, false);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		unsigned flags = calls_flags(level);
		uint64_t where;

		probe_reset(&probe, level);
		where = xc_broadcast(flags | XC_LAZY, probe_run, &probe, NULL);
		xc_drain(flags);
		wrong += !xc_done(where) || !probe_right(&probe, ncpu, 1);
		xc_call_init(&call, probe_run, &probe, NULL);
		wrong += xc_call_post(&call, flags | XC_LAZY, ci) != 0;
		xc_drain(flags);
		wrong += !xc_call_done(&call) || !probe_right(&probe, ncpu + 1, 0);
	}
	if (ncpu > 1)
		lazy_set_ticks(ci, true);
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* Who waits for room serves the calls of his own CPU that hold it, though nobody announced them. */
TEST_CASE(xcall_lazy, more_than_there_is_room_for_to_the_own_cpu_with_interrupts_off)
{
	uint64_t where[XC_ROOM_HARD + 1];
	struct probe probe;
	bool intr, right;

	probe_init(&probe, XC_LEVEL_HARD);
	intr = machine_intr_disable();
	for (unsigned i = 0; i < XC_ROOM_HARD + 1; i++)
		where[i] = xc_unicast(XC_HARD | XC_LAZY, probe_run, &probe, NULL, curcpu());
	machine_intr_restore(intr);
	right = calls_wait_all(where, XC_ROOM_HARD + 1) && probe_right(&probe, XC_ROOM_HARD + 1, 0);
	probe_free(&probe);
	T_ASSERT(right);
}

/* --- the tick is no rescue -------------------------------------------------------------------- */

/* As a post whose notification was lost: ticks come and go, lazy calls of other levels are served,
 * it is not. */
static unsigned
lazy_lose_notification(struct probe *probe, enum xc_level level, struct cpu_info *ci)
{
	struct xc_cpu *self = xc_cpu_lookup(curcpu()->ci_index), *target = ci->ci_xcall;
	unsigned other = level == XC_LEVEL_HARD ? XC_LEVEL_LOW : XC_LEVEL_HARD, wrong = 0;
	struct xc_slot *slot;
	uint64_t where;
	bool intr;

	probe_reset(probe, level);
	intr = machine_intr_disable();
	slot = xc_slot_take(self, level, false);
	atomic_store_explicit(&slot->s_func, probe_run, memory_order_relaxed);
	atomic_store_explicit(&slot->s_lazy, false, memory_order_relaxed);
	slot->s_arg1 = probe;
	xc_slot_target(self, slot, ci->ci_index - ci->ci_index % XC_GROUP_CPUS,
	    1u << ci->ci_index % XC_GROUP_CPUS);
	where = xc_slot_publish(self, slot, level);
	xc_inbox_add_sender(&target->x_inbox[level], self->x_ci->ci_index);
	machine_intr_restore(intr);

	kthread_sleep_ns(LAZY_TICKS_NS);
	wrong += xc_wait(xc_unicast(calls_flags(other) | XC_LAZY, latch_hold,
		     &(struct latch){ .open = 1 }, NULL, ci)) != 0;
	wrong += probe_ran(probe) != 0 || xc_done(where);
	intr = machine_intr_disable();
	xc_intr_notify(self, target, level, intr);
	machine_intr_restore(intr);
	return wrong + (xc_wait(where) != 0) + !probe_right(probe, 1, 0);
}

TEST_CASE(xcall_lazy, the_tick_is_no_rescue_for_a_lost_notification)
{
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = XC_LEVEL_SOFTCLOCK; level < XC_LEVEL_NMI; level++)
		wrong += lazy_lose_notification(&probe, level, others_last());
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}
