/*
 * Waits with a time: for calls that are slow, to CPUs that do not answer or take no interrupts now.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_slot.h"

/* Some ticks. */
#define TIMED_SHORT_NS 30000000ull
/* A hang detector. */
#define TIMED_LONG_NS 60000000000ull

static bool
timed_alone(void)
{
	if (ncpu == 1)
		test_skip("needs another CPU");
	return ncpu == 1;
}

/* Not before its time, by ticket and by descriptor. */
static unsigned
timed_out(uint64_t where, struct xc_call *call, uint64_t timeout_ns)
{
	uint64_t start = clock_ns();
	unsigned wrong = xc_timedwait(where, timeout_ns) != ETIMEDOUT;

	wrong += clock_ns() - start < timeout_ns;
	start = clock_ns();
	if (call != NULL) {
		wrong += xc_call_timedwait(call, timeout_ns) != ETIMEDOUT;
		wrong += clock_ns() - start < timeout_ns;
	}
	return wrong;
}

/* Every way a target may keep us waiting: it has begun and is slow. */
TEST_CASE(xcall_timed, a_slow_function_times_out_and_is_live)
{
	struct cpu_info *ci = others_last();
	unsigned wrong = 0;

	if (timed_alone())
		return;
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		struct latch latch = { .open = 0 };
		uint64_t where = xc_unicast(calls_flags(level), latch_hold, &latch, NULL, ci);

		(void)calls_spin_until(&latch.begun, 1);
		wrong += timed_out(where, NULL, TIMED_SHORT_NS);
		wrong += timed_out(where, NULL, 0);
		wrong += xc_done(where);
		latch_open(&latch);
		wrong += xc_timedwait(where, TIMED_LONG_NS) != 0;
		wrong += xc_timedwait(where, 0) != 0 || xc_wait(where) != 0;
	}
	T_ASSERT_EQ(wrong, 0);
}

/* It keeps interrupts off: all but NMI calls are not begun, and run when it lets them on. */
TEST_CASE(xcall_timed, a_masked_target_times_out_and_runs_it_later)
{
	struct cpu_info *ci = others_last();
	static struct xc_call call;
	struct probe probe;
	struct masked masked;
	unsigned wrong = 0;

	if (timed_alone())
		return;
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t where;

		probe_reset(&probe, level);
		masked_begin(&masked, ci);
		where = xc_broadcast(calls_flags(level) | XC_NOSELF, probe_run, &probe, NULL);
		xc_call_init(&call, probe_run, &probe, NULL);
		wrong += xc_call_post(&call, calls_flags(level), ci) != 0;
		wrong += timed_out(where, &call, TIMED_SHORT_NS) + timed_out(where, &call, 0);
		wrong += probe_ran_on(&probe, ci) != 0;
		masked_end(&masked);
		wrong += xc_timedwait(where, TIMED_LONG_NS) != 0;
		wrong += xc_call_timedwait(&call, TIMED_LONG_NS) != 0;
		wrong += !probe_right(&probe, ncpu, 0) || probe_ran_on(&probe, ci) != 2;
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* A caller that gives up on a dead CPU: a timed wait, then a cancel; any number of times. */
TEST_CASE(xcall_timed, a_dead_target_costs_a_time_and_no_slot)
{
	struct cpu_info *ci = others_last();
	struct probe probe;
	struct masked masked;
	unsigned wrong = 0;

	if (timed_alone())
		return;
	probe_init(&probe, XC_LEVEL_LOW);
	masked_begin(&masked, ci);
	for (unsigned i = 0; i < 2 * XC_SLOTS; i++) {
		enum xc_level level = i % XC_LEVEL_NMI;
		unsigned withdrawn = 0;
		uint64_t where = xc_unicast(calls_flags(level), probe_run, &probe, NULL, ci);

		wrong += xc_timedwait(where, i % 16 == 0 ? TIMED_SHORT_NS : 1000) != ETIMEDOUT;
		wrong += xc_cancel(where, &withdrawn) != 0 || withdrawn != 1;
		wrong += xc_timedwait(where, TIMED_LONG_NS) != ECANCELED;
	}
	masked_end(&masked);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++)
		xc_barrier(calls_flags(level));
	wrong += probe_ran(&probe) != 0;
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* In a low-priority function, which serves others meanwhile. */
struct timed_function {
	struct cpu_info *dead;
	_Atomic uint64_t begun, served;
	unsigned wrong;
};

static void
timed_serve(void *arg1, void *arg2 __attribute__((unused)))
{
	struct timed_function *f = arg1;

	atomic_fetch_add_explicit(&f->served, 1, memory_order_release);
}

static void
timed_wait_in_function(void *arg1, void *arg2 __attribute__((unused)))
{
	struct timed_function *f = arg1;
	uint64_t where = xc_unicast(0, timed_serve, f, NULL, f->dead);

	atomic_store_explicit(&f->begun, 1, memory_order_release);
	f->wrong += timed_out(where, NULL, TIMED_SHORT_NS);
	/* What comes meanwhile is served in the wait. */
	f->wrong += xc_timedwait(where, 500000000) != ETIMEDOUT;
	f->wrong += atomic_load_explicit(&f->served, memory_order_acquire) != 1;
	f->wrong += xc_cancel(where, NULL) != 0;
}

TEST_CASE(xcall_timed, a_function_serves_others_in_a_wait_with_a_time)
{
	struct timed_function f = { .dead = others_last() };
	struct masked masked;
	uint64_t outer, inner;
	bool early;
	int result;

	if (timed_alone())
		return;
	masked_begin(&masked, f.dead);
	outer = xc_unicast(0, timed_wait_in_function, &f, NULL, curcpu());
	(void)test_wait_at_least(&f.begun, 1);
	inner = xc_unicast(0, timed_serve, &f, NULL, curcpu());
	result = xc_timedwait(inner, TIMED_LONG_NS);
	early = xc_done(outer);
	(void)xc_wait(outer);
	masked_end(&masked);
	T_ASSERT(result == 0 && !early);
	T_ASSERT_EQ(f.wrong, 0);
}

/* With interrupts off, and with a spinlock where that is legal. */
TEST_CASE(xcall_timed, waits_that_spin_end_too)
{
	static struct spinlock lock = SPINLOCK_INIT("timed");
	struct cpu_info *ci = others_last();
	struct latch latch = { .open = 0 };
	uint64_t hard, nmi;
	unsigned wrong = 0;
	struct masked masked;
	bool intr;

	if (timed_alone())
		return;
	masked_begin(&masked, ci);
	hard = xc_unicast(XC_HARD, latch_hold, &latch, NULL, ci);
	nmi = xc_unicast(XC_NMI, latch_hold, &latch, NULL, ci);
	intr = machine_intr_disable();
	wrong += timed_out(hard, NULL, TIMED_SHORT_NS) + timed_out(hard, NULL, 0);
	machine_intr_restore(intr);
	spinlock_enter(&lock);
	wrong += timed_out(nmi, NULL, TIMED_SHORT_NS) + timed_out(nmi, NULL, 0);
	spinlock_exit(&lock);
	latch_open(&latch);
	wrong += xc_wait(nmi) != 0;
	masked_end(&masked);
	T_ASSERT(xc_wait(hard) == 0);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_timed, a_time_beyond_all_times_is_for_ever)
{
	static const uint64_t times[] = { UINT64_MAX, UINT64_MAX - 1, UINT64_MAX / 2 };
	static struct xc_call call;
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		probe_reset(&probe, level);
		for (unsigned i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
			wrong += xc_timedwait(
				     xc_broadcast(calls_flags(level), probe_run, &probe, NULL),
				     times[i]) != 0;
			xc_call_init(&call, probe_run, &probe, NULL);
			if (level == XC_LEVEL_NMI)
				continue;
			wrong += xc_call_post(&call, calls_flags(level), others_last()) != 0;
			wrong += xc_call_timedwait(&call, times[i]) != 0;
		}
		wrong += !probe_right(&probe, 3 * (ncpu + (level != XC_LEVEL_NMI)), 0);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_timed, tickets_that_name_no_live_call_take_no_time)
{
	struct probe probe;
	uint64_t where;

	probe_init(&probe, XC_LEVEL_LOW);
	where = xc_unicast(0, probe_run, &probe, NULL, curcpu());
	T_ASSERT_EQ(xc_wait(where), 0);
	probe_free(&probe);
	T_ASSERT_EQ(xc_timedwait(0, 0), 0);
	T_ASSERT_EQ(xc_timedwait(where, 0), 0);
	T_ASSERT_EQ(xc_timedwait(XC_ERROR(EBUSY), TIMED_LONG_NS), EBUSY);
	T_ASSERT_EQ(xc_timedwait(xc_ticket_make(0, 0, XC_GENERATION_MAX), TIMED_LONG_NS), EINVAL);
}
