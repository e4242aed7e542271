/*
 * Cross calls that are not answered: notifications that were lost, several CPUs and several
 * waiters, waits for other things than a call.
 */
#include <stddef.h>

#include "kernel/errno.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_status.h"

/* --- lost notifications ----------------------------------------------------------------------- */

/* Waits for a call whose notification was lost: once without announcing it again, then with.
 * Without NMIs to the target: any NMI serves NMI calls. */
static void
stall_rescue(uint64_t where, int result[2])
{
	xc_stall_config(STALLED_WARN_NS, 0, false, false);
	result[0] = xc_timedwait(where, STALLED_WAIT_NS);
	xc_stall_config(10 * STALLED_WARN_NS, 0, true, false);
	result[1] = xc_timedwait(where, 60000000000ull);
}

/* The mark was lost, so nobody looks into the inbox, although the interrupt comes. */
static void
stall_lose_mark(struct cpu_info *target, unsigned flags)
{
	struct xc_cpu *xc = xc_cpu_lookup(target->ci_index);
	struct masked masked;
	uint64_t where;
	int result[2];

	masked_begin(&masked, target);
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_unicast(flags, stalled_count_up, NULL, NULL, target);
	atomic_store_explicit(&xc->x_notify, 0, memory_order_relaxed);
	masked_end(&masked);
	stall_rescue(where, result);
	stalled_end();
	T_ASSERT_EQ(result[0], ETIMEDOUT);
	T_ASSERT_EQ(result[1], 0);
	T_ASSERT(stalled_said_cpu(target, ": never taken, not notified"));
	T_ASSERT(stalled_said_cpu(target, ", likely: the notification was lost"));
	T_ASSERT_EQ(overhear_count("announced again to 1"), 1);
	T_ASSERT_EQ(stalled_resent, 1);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), 1);
}

/* The interrupt was lost, so nobody sends another, as the mark says that one is on its way. */
static void
stall_lose_interrupt(struct cpu_info *target, unsigned flags)
{
	struct xc_cpu *xc = xc_cpu_lookup(target->ci_index);
	uint64_t where;
	int result[2];

	stalled_begin(STALLED_WARN_NS, true);
	if (flags == XC_NMI)
		atomic_store_explicit(&xc->x_nmi, 1, memory_order_relaxed);
	else
		atomic_store_explicit(&xc->x_notify, 1u << XC_LEVEL_SOFTNET, memory_order_relaxed);
	where = xc_unicast(flags, stalled_count_up, NULL, NULL, target);
	stall_rescue(where, result);
	stalled_end();
	T_ASSERT_EQ(result[0], ETIMEDOUT);
	T_ASSERT_EQ(result[1], 0);
	T_ASSERT(stalled_said_cpu(target, ": never taken, notified"));
	T_ASSERT(stalled_said_cpu(target,
	    flags == XC_NMI ? ", likely: the NMI was lost"
			    : ", likely: the interrupt was lost, or came late"));
	T_ASSERT_EQ(stalled_resent, 1);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), 1);
}

TEST_CASE(xcall_stall_waits, a_lost_notification_is_sent_again)
{
	const unsigned flags[] = { 0, XC_HIGHPRI_IPL(IPL_SOFTCLOCK), XC_HIGHPRI, XC_HARD };
	struct cpu_info *target = stalled_target(2);

	for (unsigned i = 0; target != NULL && i < sizeof(flags) / sizeof(flags[0]); i++)
		stall_lose_mark(target, flags[i]);
}

TEST_CASE(xcall_stall_waits, a_lost_interrupt_is_sent_again)
{
	const unsigned flags[] = { 0, XC_HIGHPRI_IPL(IPL_SOFTBIO), XC_HIGHPRI, XC_HARD, XC_NMI };
	struct cpu_info *target = stalled_target(2);

	for (unsigned i = 0; target != NULL && i < sizeof(flags) / sizeof(flags[0]); i++)
		stall_lose_interrupt(target, flags[i]);
}

/* --- several CPUs, several waiters ------------------------------------------------------------ */

#define STALL_FULL 4u

TEST_CASE(xcall_stall_waits, of_many_missing_cpus_a_few_are_described)
{
	struct masked *masked = crew_alloc(ncpu, sizeof(*masked));
	char words[64];
	uint64_t where;
	int result;

	for (unsigned i = 1; i < ncpu; i++)
		masked_begin(&masked[i], cpu_lookup(i));
	stalled_begin(STALLED_WARN_NS, true);
	where = xc_broadcast(XC_HARD | XC_NOSELF, stalled_count_up, NULL, NULL);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	stalled_end();
	for (unsigned i = 1; i < ncpu; i++)
		masked_end(&masked[i]);
	crew_free(masked, ncpu, sizeof(*masked));
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), ncpu - 1);
	if (ncpu == 1) {
		test_skip("needs more CPUs");
		return;
	}
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT_EQ(
	    overhear_count(" answers an NMI"), ncpu - 1 < STALL_FULL ? ncpu - 1 : STALL_FULL);
	snprintf(words, sizeof(words), "announced again to %u", ncpu - 1);
	T_ASSERT(overhear_has(words));
	snprintf(words, sizeof(words), "and %u more; of all: %u never taken, 0 queued",
	    ncpu - 1 - STALL_FULL, ncpu - 1);
	T_ASSERT(overhear_has(words) == (ncpu - 1 > STALL_FULL));
}

static const char *const stall_func[2] = { "stalled_pass+0", "stalled_pass_too+0" };

/* Which of the two functions a headline names; `before` when it names none. */
static unsigned
stall_whose(const char *line, unsigned before)
{
	for (unsigned i = 0; i < 2; i++)
		for (const char *at = line; *at != '\0'; at++)
			if (strncmp(at, stall_func[i], strlen(stall_func[i])) == 0)
				return i;
	return before;
}

static _Atomic unsigned stall_reported; /* a bit for each of the two */

static void
stall_note_report(const char *line)
{
	unsigned of;

	if (strncmp(line, "xcall: CPU", 10) != 0)
		return;
	of = stall_whose(line, 2);
	if (of < 2)
		atomic_fetch_or_explicit(&stall_reported, 1u << of, memory_order_relaxed);
}

/* A thread that waits for a call that stands at a gate, until both of them have reported. */
struct stall_waiter {
	xcfunc_t func;
	struct gate *gate;
	struct cpu_info *target;
	struct crew_job job;
	uint64_t where;
	int result;
};

static void
stall_wait(void *arg)
{
	struct stall_waiter *waiter = arg;

	waiter->where = xc_unicast(0, waiter->func, waiter->gate, NULL, waiter->target);
	do
		waiter->result = xc_timedwait(waiter->where, STALLED_WAIT_NS);
	while (waiter->result == ETIMEDOUT &&
	    atomic_load_explicit(&stall_reported, memory_order_relaxed) != 3);
}

struct stall_lines {
	const struct stall_waiter *waiter;
	unsigned of; /* whose report it is */
	unsigned begun[2], standings[2], foreign;
};

/* Which of the two a line belongs to, by its function or the CPU that it is about. */
static void
stall_read_line(const char *line, void *arg)
{
	struct stall_lines *lines = arg;
	char about[2][16];

	if (strncmp(line, "xcall: CPU", 10) == 0) {
		lines->of = stall_whose(line, lines->of);
		lines->begun[lines->of]++;
		return;
	}
	for (unsigned i = 0; i < 2; i++)
		snprintf(about[i], sizeof(about[i]), "xcall:   CPU %u",
		    lines->waiter[i].target->ci_index);
	if (strncmp(line, about[1 - lines->of], strlen(about[0])) == 0)
		lines->foreign++;
	lines->standings[lines->of] += strncmp(line, about[lines->of], strlen(about[0])) == 0 &&
	    line[strlen(about[0])] == ':';
}

TEST_CASE(xcall_stall_waits, reports_of_two_waiters_do_not_interleave)
{
	struct stall_waiter waiter[2] = { { .func = stalled_pass }, { .func = stalled_pass_too } };
	struct stall_lines lines = { .waiter = waiter };
	struct gate gate;

	if (stalled_target(2) == NULL)
		return;
	gate_init(&gate);
	atomic_store_explicit(&stall_reported, 0, memory_order_relaxed);
	stalled_begin(STALLED_WARN_NS, true);
	overhear_hook(stall_note_report);
	for (unsigned i = 0; i < 2; i++) {
		waiter[i].gate = &gate;
		waiter[i].target = cpu_lookup(ncpu - 1 - i);
		crew_start(&waiter[i].job, cpu_lookup(i), PRI_KERNEL, stall_wait, &waiter[i]);
	}
	for (unsigned i = 0; i < 2; i++)
		crew_join(&waiter[i].job);
	overhear_hook(NULL);
	stalled_end();
	gate_open(&gate);
	for (unsigned i = 0; i < 2; i++)
		T_ASSERT_EQ(xc_wait(waiter[i].where), 0);
	gate_destroy(&gate);
	T_ASSERT(waiter[0].result == ETIMEDOUT && waiter[1].result == ETIMEDOUT);
	overhear_foreach(stall_read_line, &lines);
	T_ASSERT(lines.begun[0] != 0 && lines.begun[1] != 0);
	/* One of its own a report, and none of the other's. */
	T_ASSERT_EQ(lines.standings[0], lines.begun[0]);
	T_ASSERT_EQ(lines.standings[1], lines.begun[1]);
	T_ASSERT_EQ(lines.foreign, 0);
}

/* Calls the first CPU again and again; each is served while that one waits, its reports included.
 * Waits without xc_wait(), which would report too. */
static void
stall_call_first(void *arg)
{
	struct masked *masked = arg;
	uint64_t where = 0;

	while (atomic_load_explicit(&masked->release, memory_order_acquire) == 0) {
		if (xc_done(where))
			where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, cpu_lookup(0));
		machine_pause();
	}
	T_ASSERT_EQ(xc_wait(where), 0);
}

static uint64_t stall_ran_before, stall_ran_during;

/* Between the headline and the last line nothing else is printed. */
static void
stall_note_serving(const char *line)
{
	uint64_t ran = atomic_load_explicit(&stalled_ran, memory_order_relaxed);

	if (strncmp(line, "xcall: CPU 0", 12) == 0)
		stall_ran_before = ran;
	else if (stall_ran_before != 0)
		stall_ran_during = ran - stall_ran_before;
}

/* A report on a CPU that is silent lasts a second; that its waiter has interrupts off is nobody
 * else's harm. */
TEST_CASE(xcall_stall_waits, who_reports_goes_on_serving)
{
	struct cpu_info *target = stalled_target(3);
	struct masked masked = { .inside = 0 }, caller = { .inside = 0 };
	uint64_t where[2];
	int result;
	bool intr;

	if (target == NULL)
		return;
	where[0] = xc_unicast(XC_NMI, stalled_spin_in_nmi, &masked, NULL, target);
	T_ASSERT(test_wait_at_least(&masked.inside, 1));
	stall_ran_before = stall_ran_during = 0;
	stalled_begin(STALLED_WARN_NS, true);
	overhear_hook(stall_note_serving);
	where[1] = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	crew_start(&caller.job, cpu_lookup(1), PRI_KERNEL, stall_call_first, &caller);
	T_ASSERT(test_wait_at_least(&stalled_ran, 1));
	intr = machine_intr_disable();
	result = xc_timedwait(where[1], STALLED_WAIT_NS);
	machine_intr_restore(intr);
	overhear_hook(NULL);
	atomic_store_explicit(&caller.release, 1, memory_order_release);
	crew_join(&caller.job);
	stalled_end();
	atomic_store_explicit(&masked.release, 1, memory_order_release);
	T_ASSERT_EQ(xc_wait(where[0]), 0);
	T_ASSERT_EQ(xc_wait(where[1]), 0);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT(stall_ran_during >= 2);
	T_ASSERT(stalled_said_cpu(target, ": queued behind stalled_spin_in_nmi+0 (NMI) since "));
}

/* --- a report below --------------------------------------------------------------------------- */

static _Atomic int stall_above; /* how its wait ended; -1 before */

/* On top of a report: waits for a call whose NMI was lost. */
static void
stall_wait_above(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	struct cpu_info *ci = cpu_lookup(1);
	uint64_t where;

	atomic_store_explicit(&xc_cpu_lookup(ci->ci_index)->x_nmi, 1, memory_order_relaxed);
	where = xc_unicast(XC_NMI, stalled_count_up, NULL, NULL, ci);
	atomic_store_explicit(
	    &stall_above, xc_timedwait(where, 60000000000ull), memory_order_release);
}

/* Once, while the line is printed: it runs as soon as interrupts are on again. */
static void
stall_post_above(const char *line)
{
	int before = -2;

	if (strncmp(line, "xcall: CPU 0", 12) == 0 &&
	    atomic_compare_exchange_strong_explicit(
		&stall_above, &before, -1, memory_order_relaxed, memory_order_relaxed))
		(void)xc_unicast(XC_HARD, stall_wait_above, NULL, NULL, curcpu());
}

/* The report below can only go on when the wait above it ends. */
TEST_CASE(xcall_stall_waits, a_wait_on_top_of_a_report_is_announced)
{
	struct cpu_info *target = stalled_target(3);
	struct gate gate;
	uint64_t where;
	int result;

	if (target == NULL)
		return;
	gate_init(&gate);
	atomic_store_explicit(&stall_above, -2, memory_order_relaxed);
	stalled_begin(STALLED_WARN_NS, true);
	overhear_hook(stall_post_above);
	where = xc_unicast(0, stalled_pass, &gate, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	overhear_hook(NULL);
	stalled_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(where), 0);
	gate_destroy(&gate);
	T_ASSERT_EQ(result, ETIMEDOUT);
	T_ASSERT_EQ(atomic_load_explicit(&stall_above, memory_order_acquire), 0);
}

/* --- no room ---------------------------------------------------------------------------------- */

/* Lets the masked CPU go once a report has said what it should. */
static void
stall_release_on_report(void *arg)
{
	struct masked *masked = arg;

	(void)test_wait_at_least(&overhear_watched, 1);
	atomic_store_explicit(&masked->release, 1, memory_order_release);
}

/* A CPU that takes no interrupt until a report has a line with these words. */
struct stall_deaf {
	struct masked masked;
	struct crew_job releaser;
};

static void
stall_deaf_begin(struct stall_deaf *deaf, struct cpu_info *target, const char *words)
{
	masked_begin(&deaf->masked, target);
	stalled_begin(STALLED_WARN_NS, true);
	overhear_watch(words);
	crew_start(
	    &deaf->releaser, cpu_lookup(1), PRI_KERNEL, stall_release_on_report, &deaf->masked);
}

static void
stall_deaf_end(struct stall_deaf *deaf)
{
	stalled_end();
	crew_join(&deaf->releaser);
	masked_end(&deaf->masked);
}

TEST_CASE(xcall_stall_waits, a_hard_post_without_room_is_reported)
{
	struct cpu_info *target = stalled_target(3);
	/* One in the direct slot of the target, then those of the sender, then one too many. */
	uint64_t where[1 + XC_ROOM_HARD + 1], full;
	struct stall_deaf deaf;

	if (target == NULL)
		return;
	stall_deaf_begin(&deaf, target, ": never taken, notified");
	full = stalled_stats.full[XC_CLASS_HARD];
	for (unsigned i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		where[i] = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	for (unsigned i = 0; i < sizeof(where) / sizeof(where[0]); i++)
		T_ASSERT_EQ(xc_wait(where[i]), 0);
	stall_deaf_end(&deaf);
	T_ASSERT(overhear_has(": room for a call; in the way is call 0x"));
	T_ASSERT(stalled_said_cpu(target, ": never taken, notified"));
	/* However often it looked. */
	T_ASSERT_EQ(stalled_stats.full[XC_CLASS_HARD] - full, 1);
}

static void
stall_post_one_more(void *arg)
{
	T_ASSERT_EQ(xc_wait(xc_unicast(0, stalled_count_up, NULL, NULL, arg)), 0);
}

/* A barrier in a function waits for room in xcall/N. */
static void
stall_barrier(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	xc_barrier(0);
}

static void
stall_call_barrier(void *arg)
{
	T_ASSERT_EQ(xc_wait(xc_unicast(0, stall_barrier, NULL, NULL, arg)), 0);
}

/* Fills the room of CPU 0, runs func(ci) there or on the last CPU, and lets all go when that was
 * reported. */
static void
stall_fill(void (*func)(void *), struct cpu_info *on, struct cpu_info *arg)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	uint64_t where[XC_ROOM_SLEEP];
	struct crew_job poster;
	struct gate gate;
	bool reported;

	gate_init(&gate);
	for (unsigned i = 0; i < XC_ROOM_SLEEP; i++)
		where[i] = xc_unicast(0, stalled_pass, &gate, NULL, target);
	stalled_begin(STALLED_WARN_NS, true);
	overhear_watch(": room for a call; in the way is call 0x");
	crew_start(&poster, on, PRI_KERNEL, func, arg);
	reported = test_wait_at_least(&overhear_watched, 1);
	gate_open(&gate);
	crew_join(&poster);
	stalled_end();
	for (unsigned i = 0; i < XC_ROOM_SLEEP; i++)
		T_ASSERT_EQ(xc_wait(where[i]), 0);
	gate_destroy(&gate);
	T_ASSERT(reported);
}

TEST_CASE(xcall_stall_waits, threads_without_room_are_reported)
{
	stall_fill(stall_post_one_more, cpu_lookup(0), cpu_lookup(0));
	T_ASSERT(overhear_has("xcall: CPU 0, thread crew/0, waits for "));
	if (ncpu == 1)
		return;
	stall_fill(stall_call_barrier, cpu_lookup(ncpu - 1), cpu_lookup(0));
	T_ASSERT(overhear_has("xcall: CPU 0, thread xcall/0, waits for "));
}

static void
stall_drain(void *arg __attribute__((unused)))
{
	xc_drain(0);
}

TEST_CASE(xcall_stall_waits, a_drain_is_reported)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	static struct xc_call call;
	struct crew_job drainer;
	struct gate gate;
	bool reported;
	int error;

	gate_init(&gate);
	xc_call_init(&call, stalled_pass, &gate, NULL);
	stalled_begin(STALLED_WARN_NS, true);
	error = xc_call_post(&call, 0, target);
	crew_start(&drainer, cpu_lookup(0), PRI_KERNEL, stall_drain, NULL);
	reported = test_wait_at_least(&overhear_watched, 1);
	gate_open(&gate);
	crew_join(&drainer);
	stalled_end();
	gate_destroy(&gate);
	T_ASSERT(error == 0 && reported);
	T_ASSERT(overhear_has(": descriptors posted to a CPU"));
	T_ASSERT(stalled_said_cpu(target, " runs stalled_pass+0 (low) since "));
}

/* --- other waits ------------------------------------------------------------------------------ */

static void
stall_message(void *arg __attribute__((unused)))
{
	stalled_count_up(NULL, NULL);
}

TEST_CASE(xcall_stall_waits, a_message_that_is_not_taken_is_reported)
{
	static ipi_msg_t message = { .func = stall_message };
	struct cpu_info *target = stalled_target(3);
	struct stall_deaf deaf;

	if (target == NULL)
		return;
	stall_deaf_begin(&deaf, target, ": a message of ipi(9)");
	ipi_unicast(&message, target);
	ipi_wait(&message);
	stall_deaf_end(&deaf);
	T_ASSERT_EQ(atomic_load_explicit(&stalled_ran, memory_order_acquire), 1);
	T_ASSERT(overhear_has(": a message of ipi(9)"));
	T_ASSERT(overhear_has(" answers an NMI"));
}

/* A rendezvous of one CPU, whose phase ends when it is told to. */
static struct masked stall_phase;

static void
stall_phase_spin(void *arg __attribute__((unused)))
{
	stalled_spin_in_nmi(&stall_phase, NULL);
}

static void
stall_meet_alone(void *arg)
{
	struct cpuset set;

	cpuset_zero(&set);
	cpuset_add(&set, curcpu()->ci_index);
	T_ASSERT_EQ(
	    xc_rendezvous(&set, NULL, arg != NULL ? stall_phase_spin : NULL, NULL, NULL, 0), 0);
}

TEST_CASE(xcall_stall_waits, who_waits_for_the_turn_of_a_rendezvous_reports)
{
	struct cpu_info *target = stalled_target(2);
	struct crew_job first, second;
	bool reported;

	if (target == NULL)
		return;
	stall_phase = (struct masked){ .inside = 0 };
	crew_start(&first, target, PRI_KERNEL, stall_meet_alone, &stall_phase);
	T_ASSERT(test_wait_at_least(&stall_phase.inside, 1));
	stalled_begin(STALLED_WARN_NS, true);
	overhear_watch(": the end of another rendezvous");
	crew_start(&second, cpu_lookup(0), PRI_KERNEL, stall_meet_alone, NULL);
	reported = test_wait_at_least(&overhear_watched, 1);
	atomic_store_explicit(&stall_phase.release, 1, memory_order_release);
	crew_join(&first);
	crew_join(&second);
	stalled_end();
	T_ASSERT(reported);
	T_ASSERT(overhear_has("xcall: CPU 0, thread crew/0, waits for "));
}
