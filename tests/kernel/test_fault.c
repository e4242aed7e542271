/*
 * Faults that strike again and again while all CPUs call each other: nothing is lost, nothing runs
 * twice, all waits end.  And what the report of a stall makes of each kind of fault.
 *
 * How often each strikes: faults=N on the command line.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/trap.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/fault.h"
#include "tests/kernel/fault_storm.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "tests/kernel/torture_ledger.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_internal.h"

/* Whether there is anybody to call. */
static bool
fault_others(void)
{
	if (ncpu >= 2 && ncpu <= TORTURE_CPUS)
		return true;
	test_skip("needs 2 to 64 CPUs");
	return false;
}

/* --- the words -------------------------------------------------------------------------------- */

TEST_CASE(fault, rules_are_understood)
{
	T_ASSERT(fault_begin("drop:call:nmi:20:max=3:us=5:to=1:by=0,rescue:20,hang:9") == NULL);
	T_ASSERT(fault_rescues());
	T_ASSERT(fault_begin("lossy") == NULL && !fault_rescues());
	T_ASSERT(fault_begin("stuck,double:resched,delay:startup:init,spurious:any") == NULL);
	fault_end();
}

TEST_CASE(fault, wrong_rules_are_refused)
{
	static const char *const wrong[] = { "", ",drop", "drop::call", "dro", "drop:cal", "drop:0",
		"drop:99999999999999999999", "drop:max=", "delay:us=0", "rescue", "rescue:x",
		"hang:1:2", "lossy:5",
		"drop,drop,drop,drop,drop,drop,drop,drop,drop,drop,drop,drop,drop",
		"drop:call:call:call:call:call:call:call:call:call:call:call:call:call" };

	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
		T_ASSERT(fault_begin(wrong[i]) != NULL);
	fault_end();
}

/* --- the transport ---------------------------------------------------------------------------- */

static void
fault_transport(const struct fault_storm *storm, const char *name)
{
	if (fault_others())
		T_ASSERT(fault_storm(storm, name));
}

TEST_CASE(fault, calls_that_are_lost_are_announced_again)
{
	fault_transport(
	    &(struct fault_storm){ .rules = "drop:call:10", .warn_ms = 2 }, "drop call");
}

TEST_CASE(fault, nmis_that_are_lost_are_announced_again)
{
	fault_transport(&(struct fault_storm){ .rules = "drop:nmi:4", .warn_ms = 2 }, "drop nmi");
}

/* What is due is found at the next interrupt, the tick's at the latest. */
TEST_CASE(fault, wakeups_that_are_lost_come_with_the_tick)
{
	fault_transport(&(struct fault_storm){ .rules = "drop:resched:2" }, "drop resched");
}

TEST_CASE(fault, interrupts_that_are_late_lose_nothing)
{
	fault_transport(
	    &(struct fault_storm){ .rules = "delay:any:10:us=100000" }, "delay up to 100 ms");
}

TEST_CASE(fault, interrupts_that_come_twice_run_nothing_twice)
{
	fault_transport(&(struct fault_storm){ .rules = "double:any:3" }, "double");
}

TEST_CASE(fault, interrupts_that_nobody_sent_run_nothing)
{
	fault_transport(&(struct fault_storm){ .rules = "spurious:any:3" }, "spurious");
}

/* One that is not taken is no panic: the report tries again. */
TEST_CASE(fault, nmis_that_the_local_apic_does_not_take_are_tried_again)
{
	fault_transport(&(struct fault_storm){ .rules = "stuck:nmi:4", .warn_ms = 2 }, "stuck nmi");
}

/* Everything at once. */
TEST_CASE(fault, several_faults_together_lose_nothing)
{
	fault_transport(
	    &(struct fault_storm){
		.rules = "drop:any:20,delay:any:20,double:any:20,spurious:any:20", .warn_ms = 2 },
	    "all of them");
}

/* --- CPUs and functions ----------------------------------------------------------------------- */

#define FAULT_LONG_US 8000u

static void
fault_mask(struct torture_dice *dice)
{
	bool intr = machine_intr_disable();

	delay_us(torture_below(dice, FAULT_LONG_US));
	machine_intr_restore(intr);
}

TEST_CASE(fault, cpus_that_keep_interrupts_off_lose_nothing)
{
	fault_transport(
	    &(struct fault_storm){ .strike = fault_mask, .warn_ms = 2 }, "interrupts off");
}

static void
fault_stay(void *arg1, void *arg2 __attribute__((unused)))
{
	delay_us((uintptr_t)arg1);
}

static void
fault_call_stay(struct torture_dice *dice, unsigned flags)
{
	void *us = (void *)(uintptr_t)torture_below(dice, FAULT_LONG_US);

	T_ASSERT_EQ(
	    xc_wait(xc_unicast(flags, fault_stay, us, NULL, cpu_lookup(torture_below(dice, ncpu)))),
	    0);
}

static void
fault_slow(struct torture_dice *dice)
{
	static const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD };

	fault_call_stay(dice, flags[torture_below(dice, 3)]);
}

TEST_CASE(fault, functions_that_stay_delay_others_only)
{
	fault_transport(
	    &(struct fault_storm){ .strike = fault_slow, .warn_ms = 2 }, "slow function");
}

/* As by an interrupt of the firmware: wherever it is, it stands still, and no interrupt and no NMI
 * reaches it. */
static void
fault_freeze(struct torture_dice *dice)
{
	fault_call_stay(dice, XC_NMI);
}

TEST_CASE(fault, cpus_that_freeze_lose_nothing)
{
	fault_transport(
	    &(struct fault_storm){ .strike = fault_freeze, .warn_ms = 2 }, "frozen CPU");
}

static void
fault_wake(struct torture_dice *dice)
{
	struct xc_cpu *xc = xc_cpu_lookup(torture_below(dice, ncpu));

	mutex_enter(&xc->x_wait_lock);
	for (unsigned i = 0; i < XC_BUCKETS; i++)
		cv_broadcast(&xc->x_over[i]);
	mutex_exit(&xc->x_wait_lock);
}

TEST_CASE(fault, waiters_that_wake_up_for_nothing_go_on_waiting)
{
	fault_transport(
	    &(struct fault_storm){ .strike = fault_wake, .levels = 0x1f }, "spurious wake-up");
}

/* --- the local APIC itself -------------------------------------------------------------------- */

/* A page that says of itself that a command is still on its way (SDM vol. 3, 11.6.1). */
static uint32_t fault_page[1024] __attribute__((aligned(4096)));
static bool fault_sent;

#define FAULT_ICR_LOW (0x300 / 4)
#define FAULT_ICR_HIGH (0x310 / 4)
#define FAULT_ICR_PENDING (1u << 12)

/* Everybody else stands still, so nobody misses the real one. */
static void
fault_ask_page(void *arg __attribute__((unused)))
{
	const struct apic_ops *ops;
	uint64_t real;

	if (!trap_rdmsr(APIC_BASE_MSR, &real))
		return;
	ops = xapic_init((uintptr_t)fault_page);
	fault_sent = ops->send_fixed(1, INTR_VECTOR_XCALL);
	(void)xapic_init((uintptr_t)(real & ~UINT64_C(0xfff)));
}

TEST_CASE(fault, a_local_apic_that_stays_busy_is_given_up)
{
	fault_page[FAULT_ICR_LOW] = FAULT_ICR_PENDING;
	fault_page[FAULT_ICR_HIGH] = 0;
	fault_sent = true;
	T_ASSERT_EQ(xc_stop_machine(fault_ask_page, NULL, NULL), 0);
	T_ASSERT(!fault_sent);
	/* And no command is written over the one that is on its way. */
	T_ASSERT_EQ(fault_page[FAULT_ICR_LOW], FAULT_ICR_PENDING);
	T_ASSERT_EQ(fault_page[FAULT_ICR_HIGH], 0);
}

/* --- what the report makes of it -------------------------------------------------------------- */

#define FAULT_KINDS_ROUNDS 5u
/* A hang detector. */
#define FAULT_TOLD_NS 30000000000ull

/* Whether a report says the CPU, the call, and that. */
static bool
fault_told(struct cpu_info *target, uint64_t where, const char *likely)
{
	uint64_t end = clock_ns() + FAULT_TOLD_NS;
	int result;

	/* An emulator may let nobody else run for so long. */
	do
		result = xc_timedwait(where, STALLED_WAIT_NS);
	while (result == ETIMEDOUT && !stalled_said_cpu(target, likely) && clock_ns() < end);
	stalled_end();
	return result == ETIMEDOUT && stalled_said_cpu(target, likely) &&
	    overhear_has("xcall: CPU 0, thread main, waits for ") &&
	    overhear_has(" of CPU 0: stalled_");
}

static bool
fault_told_masked(struct cpu_info *target)
{
	struct masked masked;
	uint64_t where;
	bool told;

	masked_begin(&masked, target);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	told = fault_told(target, where, ", likely: interrupts off");
	masked_end(&masked);
	return xc_wait(where) == 0 && told;
}

static bool
fault_told_long(struct cpu_info *target)
{
	struct gate gate;
	uint64_t where;
	bool told;

	gate_init(&gate);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(0, stalled_pass, &gate, NULL, target);
	told = fault_told(target, where, ", likely: its function does not return");
	gate_open(&gate);
	told &= xc_wait(where) == 0;
	gate_destroy(&gate);
	return told;
}

static bool
fault_told_silent(struct cpu_info *target)
{
	struct masked masked = { .inside = 0 };
	uint64_t where[2];
	bool told;

	/* Silence is what is seen of a dead one too. */
	where[0] = xc_unicast(XC_NMI, stalled_spin_in_nmi, &masked, NULL, target);
	told = test_wait_at_least(&masked.inside, 1);
	stalled_begin(STALLED_WARN_NS, true);
	where[1] = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	told &= fault_told(target, where[1], " is silent: no answer to an NMI in ");
	atomic_store_explicit(&masked.release, 1, memory_order_release);
	return xc_wait(where[0]) == 0 && xc_wait(where[1]) == 0 && told;
}

/* Lost once; found out, and mended, by the first report. */
static bool
fault_told_lost(struct cpu_info *target)
{
	uint64_t where;
	int result;

	if (fault_begin("drop:call:max=1") != NULL)
		return false;
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(where, 60000000000ull);
	stalled_end();
	fault_end();
	return result == 0 && fault_done(0) == 1 &&
	    stalled_said_cpu(target, ": never taken, notified") &&
	    stalled_said_cpu(target, ", likely: the interrupt was lost, or came late") &&
	    overhear_has("announced again to 1");
}

TEST_CASE(fault, each_kind_of_stall_is_named)
{
	static bool (*const kinds[])(struct cpu_info *) = { fault_told_masked, fault_told_long,
		fault_told_silent, fault_told_lost };
	struct cpu_info *target = stalled_target(2);

	for (unsigned i = 0; target != NULL && i < FAULT_KINDS_ROUNDS * 4; i++)
		T_ASSERT((*kinds[i % 4])(target));
}
