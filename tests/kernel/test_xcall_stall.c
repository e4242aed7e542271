/*
 * Cross calls that are not answered: what the report says of each way to be stuck, and what it does
 * about it.
 *
 * Cases make waits report after some milliseconds.  A report is made by who waits, so it is
 * complete when the wait has returned.  Times are lower bounds only: an emulated CPU may lose
 * seconds.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/string.h"
#include "tests/kernel/blocked.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_status.h"

/* --- how far the call is ---------------------------------------------------------------------- */

TEST_CASE(xcall_stall, a_cpu_with_interrupts_off_never_took_it)
{
	struct cpu_info *target = stalled_target(2);
	struct masked masked;
	uint64_t where;
	int result;

	if (target == NULL)
		return;
	masked_begin(&masked, target);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	masked_end(&masked);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), 1);
	T_ASSERT(stalled_stalls >= 1 && stalled_resent >= 1);
	T_ASSERT(overhear_has("xcall: CPU 0, thread main, waits for "));
	T_ASSERT(overhear_has(" of CPU 0: stalled_count_up+0, hard, posted "));
	T_ASSERT(overhear_has(" ago, finished by 0 of 1"));
	T_ASSERT(stalled_said_cpu(target, ": never taken, notified"));
	T_ASSERT(stalled_said_cpu(target, " took 0 interrupts in "));
	T_ASSERT(stalled_said_cpu(target, ", likely: interrupts off"));
	T_ASSERT(stalled_said_cpu(target, " answers an NMI, in thread crew/"));
	T_ASSERT(overhear_has("  masked_spin+0x"));
	T_ASSERT(overhear_has("announced again to 1"));
	/* Reports may be several, the backtrace is one. */
	T_ASSERT_EQ(overhear_count(" answers an NMI"), 1);
	T_ASSERT_EQ(overhear_count("xcall: CPU 0, thread main, waits for "), stalled_stalls);
}

TEST_CASE(xcall_stall, a_long_function_is_running)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	struct gate gate;
	uint64_t where;
	int result;

	gate_init(&gate);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(0, stalled_pass, &gate, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(where), 0);
	gate_destroy(&gate);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(overhear_has(": stalled_pass+0, low, posted "));
	T_ASSERT(stalled_said_cpu(target, ": running this since "));
	T_ASSERT(stalled_said_cpu(target, ", likely: its function does not return"));
	/* What was begun is not announced. */
	T_ASSERT_EQ(stalled_resent, 0);
	T_ASSERT(!overhear_has("announced again"));
	/* Who reports does not ask itself. */
	T_ASSERT_EQ(overhear_count(" an NMI"), ncpu > 1);
}

TEST_CASE(xcall_stall, a_call_is_queued_behind_another)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	struct gate gate;
	uint64_t first, second;
	int result;

	gate_init(&gate);
	stalled_begin(STALLED_WARN_NS, true);
	first = xc_unicast(0, stalled_pass, &gate, NULL, target);
	second = xc_unicast(0, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(second, STALLED_WAIT_NS);
	stalled_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(second), 0);
	T_ASSERT_EQ(xc_wait(first), 0);
	gate_destroy(&gate);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(stalled_said_cpu(target, ": queued behind stalled_pass+0 (low) since "));
	T_ASSERT(stalled_said_cpu(target, ", likely: the function before it does not return"));
	T_ASSERT_EQ(stalled_resent, 0);
}

/* Descriptors have no slot: the same words. */
TEST_CASE(xcall_stall, descriptors_are_reported_too)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	static struct xc_call first, second;
	struct gate gate;
	int result[3];

	gate_init(&gate);
	xc_call_init(&first, stalled_pass, &gate, NULL);
	xc_call_init(&second, stalled_count_up, NULL, NULL);
	stalled_begin(STALLED_WARN_NS, true);
	result[0] = xc_call_post(&first, 0, target) | xc_call_post(&second, 0, target);
	result[1] = xc_call_timedwait(&first, STALLED_WAIT_NS);
	result[2] = xc_call_timedwait(&second, STALLED_WAIT_NS);
	stalled_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_call_wait(&first), 0);
	T_ASSERT_EQ(xc_call_wait(&second), 0);
	gate_destroy(&gate);
	T_ASSERT(result[0] == 0 && result[1] == ETIMEDOUT && result[2] == ETIMEDOUT);
	T_ASSERT(overhear_has("the descriptor at 0x"));
	T_ASSERT(stalled_said_cpu(target, ": running this since "));
	T_ASSERT(stalled_said_cpu(target, ": queued behind stalled_pass+0 (low) since "));
}

/* --- what a CPU is stuck in ------------------------------------------------------------------- */

static struct spinlock stall_lock = SPINLOCK_INIT("contested");
static struct spinlock stall_outer = SPINLOCK_INIT("outer");

/* Two CPUs and one lock: the first holds it until it is let go, the second wants it. */
static void
stall_hold_lock(void *arg)
{
	struct masked *masked = arg;

	spinlock_enter(&stall_lock);
	atomic_store_explicit(&masked->inside, 1, memory_order_release);
	while (atomic_load_explicit(&masked->release, memory_order_acquire) == 0)
		machine_pause();
	spinlock_exit(&stall_lock);
}

static void
stall_want_lock(void *arg __attribute__((unused)))
{
	spinlock_enter(&stall_outer);
	spinlock_enter(&stall_lock);
	spinlock_exit(&stall_lock);
	spinlock_exit(&stall_outer);
}

TEST_CASE(xcall_stall, the_owner_of_the_lock_is_named)
{
	struct cpu_info *target = stalled_target(3);
	struct masked holder = { .inside = 0 };
	static const char wanted[] =
	    "spinlock contested, held by CPU 1, taken at stall_hold_lock+0x";
	char words[SPINLOCK_TEXT_BYTES];
	struct crew_job wanter;
	uint64_t where, end;
	int result;

	if (target == NULL)
		return;
	crew_start(&holder.job, cpu_lookup(1), PRI_KERNEL, stall_hold_lock, &holder);
	T_ASSERT(test_wait_at_least(&holder.inside, 1));
	crew_start(&wanter, target, PRI_KERNEL, stall_want_lock, NULL);
	end = clock_ns() + 60000000000ull;
	while ((spinlock_wanted(target, words) == NULL ||
		   strncmp(words, wanted, strlen(wanted)) != 0) &&
	    clock_ns() < end)
		kthread_sleep_ns(1000000);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	atomic_store_explicit(&holder.release, 1, memory_order_release);
	crew_join(&holder.job);
	crew_join(&wanter);
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(overhear_has("; it spins for "));
	T_ASSERT(overhear_has(wanted));
	T_ASSERT(overhear_has("  stall_want_lock+0x"));
	T_ASSERT(
	    !lockdebug_on() || overhear_has(" holds spinlock outer, taken at stall_want_lock+0x"));
}

static kmutex_t stall_mutex, stall_outer_mutex;

static void
stall_take_mutex(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	mutex_enter(&stall_outer_mutex);
	mutex_enter(&stall_mutex);
	mutex_exit(&stall_mutex);
	mutex_exit(&stall_outer_mutex);
}

static void
stall_hold_mutex(void *arg)
{
	struct masked *masked = arg;

	mutex_enter(&stall_mutex);
	atomic_store_explicit(&masked->inside, 1, memory_order_release);
	(void)test_wait_at_least(&masked->release, 1);
	mutex_exit(&stall_mutex);
}

TEST_CASE(xcall_stall, the_owner_of_the_mutex_is_named)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	struct masked holder = { .inside = 0 };
	uint64_t where;
	int result;

	mutex_init(&stall_mutex, MUTEX_DEFAULT, IPL_NONE, "coveted");
	mutex_init(&stall_outer_mutex, MUTEX_DEFAULT, IPL_NONE, "outer");
	crew_start(&holder.job, cpu_lookup(0), PRI_KERNEL, stall_hold_mutex, &holder);
	T_ASSERT(test_wait_at_least(&holder.inside, 1));
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(0, stall_take_mutex, NULL, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	atomic_store_explicit(&holder.release, 1, memory_order_release);
	crew_join(&holder.job);
	T_ASSERT_EQ(xc_wait(where), 0);
	mutex_destroy(&stall_mutex);
	mutex_destroy(&stall_outer_mutex);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(overhear_has(", which sleeps for mutex coveted, owned by crew/0"));
	T_ASSERT(
	    !lockdebug_on() || overhear_has(" holds mutex outer, taken at stall_take_mutex+0x"));
}

/* No NMI comes through in an NMI: the target is silent, and speaks again afterwards. */
TEST_CASE(xcall_stall, a_cpu_in_an_nmi_is_silent)
{
	struct cpu_info *target = stalled_target(2);
	struct masked masked = { .inside = 0 };
	uint64_t where;
	int result;

	if (target == NULL)
		return;
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_NMI, stalled_spin_in_nmi, &masked, NULL, target);
	T_ASSERT(test_wait_at_least(&masked.inside, 1));
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	atomic_store_explicit(&masked.release, 1, memory_order_release);
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(overhear_has(": stalled_spin_in_nmi+0, NMI, posted "));
	T_ASSERT(stalled_said_cpu(target, ": running this since "));
	T_ASSERT(stalled_said_cpu(target, " is silent: no answer to an NMI in "));
	T_ASSERT(stalled_said_cpu(target, ", likely: its function does not return"));

	masked_begin(&masked, target);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	masked_end(&masked);
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(stalled_said_cpu(target, " answers an NMI, in thread crew/"));
}

/* --- when ------------------------------------------------------------------------------------- */

TEST_CASE(xcall_stall, gaps_grow)
{
	struct gate gate;
	uint64_t where;
	int result;

	gate_init(&gate);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(0, stalled_pass, &gate, NULL, cpu_lookup(ncpu - 1));
	result = xc_timedwait(where, 40 * STALLED_WARN_NS);
	stalled_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(where), 0);
	gate_destroy(&gate);
	T_ASSERT_EQ(result, ETIMEDOUT);
	/* After 1, 3, 7, 15, 31 times that. */
	T_ASSERT(stalled_stalls >= 2 && stalled_stalls <= 5);
}

TEST_CASE(xcall_stall, a_clean_run_reports_nothing)
{
	const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD, XC_NMI };
	unsigned lines;

	stalled_begin(xc_stall_default_ns(ncpu, machine_hypervisor()), true);
	for (unsigned i = 0; i < 200; i++)
		T_ASSERT_EQ(xc_wait(xc_broadcast(flags[i % 4], stalled_count_up, NULL, NULL)), 0);
	stalled_end();
	lines = overhear_count("xcall:");
	T_ASSERT(lines == 0 && stalled_stalls == 0 && stalled_resent == 0);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), 200 * ncpu);
}

TEST_CASE(xcall_stall, the_default_knows_large_guests)
{
	T_ASSERT_EQ(xc_stall_default_ns(255, false), 5000000000ull);
	T_ASSERT_EQ(xc_stall_default_ns(16, true), 5000000000ull);
	T_ASSERT_EQ(xc_stall_default_ns(17, true), 60000000000ull);
}

TEST_MISUSE(xcall_stall_panics)
{
	static struct masked masked;

	xc_stall_config(0, 10 * STALLED_WARN_NS, true, true);
	masked_begin(&masked, cpu_lookup(ncpu - 1));
	(void)xc_wait(xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, cpu_lookup(ncpu - 1)));
}
