/*
 * Looking at cross calls: status, sets, figures, histograms, dump, from every context.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_status.h"

static _Atomic uint64_t status_inside, status_ran;

static void
status_count_up(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&status_ran, 1, memory_order_release);
}

/* Even CPUs stop at the gate; odd ones go through. */
static void
status_gate(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&status_inside, 1, memory_order_release);
	if (curcpu()->ci_index % 2 == 0)
		gate_pass(arg1);
}

/* --- one call --------------------------------------------------------------------------------- */

static bool
status_is_over(uint64_t where, int expected)
{
	struct xc_status status = { .func = status_count_up, .posted = 1 };
	struct cpuset posted, begun, finished;
	int error = xc_status(where, &status);

	memset(&posted, 0xff, sizeof(posted));
	memset(&begun, 0xff, sizeof(begun));
	memset(&finished, 0xff, sizeof(finished));
	return error == expected && status.func == NULL && status.posted == 0 &&
	    xc_status_sets(where, &posted, &begun, &finished) == expected &&
	    xc_status_sets(where, NULL, NULL, NULL) == expected && cpuset_empty(&posted) &&
	    cpuset_empty(&begun) && cpuset_empty(&finished);
}

TEST_CASE(xcall_status, of_calls_that_are_not_live)
{
	uint64_t where = xc_unicast(0, status_count_up, NULL, NULL, cpu_lookup(ncpu - 1));

	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT(status_is_over(where, 0));
	T_ASSERT(status_is_over(0, 0));
	T_ASSERT(status_is_over(XC_ERROR(EHOSTDOWN), EHOSTDOWN));
	T_ASSERT(status_is_over(where + (UINT64_C(1) << XC_TICKET_GENERATION_SHIFT), EINVAL));
	T_ASSERT(status_is_over(xc_ticket_make(ncpu, 0, 1), EINVAL));
	/* Stale: the slot has served others since. */
	for (unsigned i = 0; i < XC_SLOTS; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, status_count_up, NULL, NULL, curcpu())), 0);
	T_ASSERT(status_is_over(where, 0));
}

/* All have begun, the odd ones have returned. */
static void
status_check_gated(uint64_t where)
{
	struct cpuset posted, begun, finished;
	struct xc_status status;

	T_ASSERT_EQ(xc_status(where, &status), 0);
	T_ASSERT(status.func == status_gate && status.flags == 0 && status.sender == 0);
	T_ASSERT_EQ(status.posted, ncpu);
	T_ASSERT_EQ(status.begun, ncpu);
	T_ASSERT_EQ(status.finished, ncpu / 2);
	T_ASSERT(status.age_ns >= 1000000);
	T_ASSERT_EQ(xc_status_sets(where, &posted, &begun, &finished), 0);
	for (unsigned i = 0; i < ncpu; i++)
		T_ASSERT(cpuset_has(&posted, i) && cpuset_has(&begun, i) &&
		    cpuset_has(&finished, i) == (i % 2 == 1));
	T_ASSERT_EQ(xc_status_sets(where, NULL, NULL, &finished), 0);
	T_ASSERT_EQ(cpuset_count(&finished), ncpu / 2);
}

TEST_CASE(xcall_status, of_a_call_under_way)
{
	struct xc_status status;
	struct gate gate;
	uint64_t where, end;

	gate_init(&gate);
	atomic_store_explicit(&status_inside, 0, memory_order_relaxed);
	where = xc_broadcast(0, status_gate, &gate, NULL);
	T_ASSERT(test_wait_at_least(&status_inside, ncpu));
	end = clock_ns() + 60000000000ull;
	do {
		kthread_sleep_ns(1000000);
		T_ASSERT_EQ(xc_status(where, &status), 0);
	} while (status.finished < ncpu / 2 && clock_ns() < end);
	status_check_gated(where);
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(where), 0);
	T_ASSERT(status_is_over(where, 0));
	gate_destroy(&gate);
}

/* Each level's flags come back; nobody has begun. */
TEST_CASE(xcall_status, of_calls_that_were_not_begun)
{
	const unsigned flags[] = { 0, XC_HIGHPRI_IPL(IPL_SOFTCLOCK), XC_HIGHPRI_IPL(IPL_SOFTBIO),
		XC_HIGHPRI_IPL(IPL_SOFTNET), XC_HIGHPRI, XC_HARD, XC_HARD | XC_LAZY };
	struct cpu_info *target = stalled_target(2);
	uint64_t where[sizeof(flags) / sizeof(flags[0])];
	struct cpuset posted, begun;
	struct xc_status status;
	struct masked masked;
	bool right = true;

	if (target == NULL)
		return;
	masked_begin(&masked, target);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		where[i] = xc_unicast(flags[i], status_count_up, NULL, NULL, target);
		right = right && xc_status(where[i], &status) == 0 && status.flags == flags[i] &&
		    status.func == status_count_up && status.posted == 1 && status.begun == 0 &&
		    status.finished == 0 && xc_status_sets(where[i], &posted, &begun, NULL) == 0 &&
		    cpuset_count(&posted) == 1 && cpuset_has(&posted, target->ci_index) &&
		    cpuset_empty(&begun);
	}
	masked_end(&masked);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
		T_ASSERT_EQ(xc_wait(where[i]), 0);
	T_ASSERT(right);
}

/* What was withdrawn counts as finished, and not as live. */
TEST_CASE(xcall_status, of_a_call_that_is_cancelled)
{
	struct cpu_info *target = stalled_target(2);
	struct masked masked;
	unsigned withdrawn;
	uint64_t where;

	if (target == NULL)
		return;
	masked_begin(&masked, target);
	where = xc_unicast(0, status_count_up, NULL, NULL, target);
	(void)xc_cancel(where, &withdrawn);
	masked_end(&masked);
	T_ASSERT_EQ(withdrawn, 1);
	T_ASSERT(status_is_over(where, 0));
}

/* --- while slots change hands ----------------------------------------------------------------- */

/* As many rounds as fit: watchers that spin take an emulated CPU its time. */
#define CHURN_ROUNDS 2000u
#define CHURN_NS 1000000000ull
#define CHURN_WATCHERS 2u

static _Atomic uint64_t churn_ticket[2], churn_stop;

static void
churn_one(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

static void
churn_all(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&status_ran, 1, memory_order_relaxed);
}

/* Live, a ticket shows its own function and its own targets; those of the other call in the same
 * slot never. */
static bool
churn_right(uint64_t where, xcfunc_t func, unsigned targets)
{
	struct cpuset posted, begun, finished;
	struct xc_status status;
	unsigned n;

	if (xc_status(where, &status) != 0 ||
	    xc_status_sets(where, &posted, &begun, &finished) != 0)
		return false;
	n = cpuset_count(&posted);
	return (n == 0 || n == targets) && cpuset_count(&finished) <= cpuset_count(&begun) &&
	    cpuset_count(&begun) <= n &&
	    (status.func == NULL ||
		(status.func == func && status.posted == targets && status.sender == 0 &&
		    status.finished <= status.begun && status.begun <= status.posted));
}

static void
churn_watch(void *arg __attribute__((unused)))
{
	while (atomic_load_explicit(&churn_stop, memory_order_acquire) == 0) {
		T_ASSERT(churn_right(
		    atomic_load_explicit(&churn_ticket[0], memory_order_acquire), churn_one, 1));
		T_ASSERT(churn_right(
		    atomic_load_explicit(&churn_ticket[1], memory_order_acquire), churn_all, ncpu));
	}
}

TEST_CASE(xcall_status, is_consistent_while_slots_change_hands)
{
	unsigned watchers = ncpu - 1 < CHURN_WATCHERS ? ncpu - 1 : CHURN_WATCHERS;
	uint64_t where, end = clock_ns() + CHURN_NS;
	struct crew_job job[CHURN_WATCHERS];

	for (unsigned i = 0; i < 2; i++)
		atomic_store_explicit(&churn_ticket[i], 0, memory_order_relaxed);
	atomic_store_explicit(&churn_stop, 0, memory_order_relaxed);
	for (unsigned i = 0; i < watchers; i++)
		crew_start(&job[i], cpu_lookup(i + 1), PRI_USER, churn_watch, NULL);
	for (unsigned i = 0; i < CHURN_ROUNDS && clock_ns() < end; i++) {
		where = i % 2 == 0
		    ? xc_unicast(XC_HARD, churn_one, NULL, NULL, cpu_lookup(i / 2 % ncpu))
		    : xc_broadcast(XC_HARD, churn_all, NULL, NULL);
		atomic_store_explicit(&churn_ticket[i % 2], where, memory_order_release);
		/* Every eighth stays in flight meanwhile. */
		if (i % 8 != 0)
			T_ASSERT_EQ(xc_wait(where), 0);
	}
	xc_drain(XC_HARD);
	atomic_store_explicit(&churn_stop, 1, memory_order_release);
	for (unsigned i = 0; i < watchers; i++)
		crew_join(&job[i]);
}

/* --- in an NMI -------------------------------------------------------------------------------- */

struct status_seen {
	uint64_t where;
	struct cpu_info *ci;
	struct xc_status status;
	int result[2];
	bool done;
	struct xc_stats stats;
};

static void
status_look(void *arg1, void *arg2 __attribute__((unused)))
{
	struct status_seen *seen = arg1;

	seen->result[0] = xc_status(seen->where, &seen->status);
	seen->result[1] = xc_status_sets(seen->where, NULL, NULL, NULL);
	seen->done = xc_done(seen->where);
	xc_stats(seen->ci, &seen->stats);
	xc_dump(seen->ci);
}

/* Looks from each context; in an NMI on a CPU with interrupts off too. */
TEST_CASE(xcall_status, is_legal_in_every_context)
{
	const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD, XC_NMI };
	struct cpu_info *target = stalled_target(2);
	static struct status_seen seen;
	char words[64];
	struct masked masked;
	bool right = true;

	if (target == NULL)
		return;
	masked_begin(&masked, target);
	seen.where = xc_unicast(XC_HARD, status_count_up, NULL, NULL, target);
	seen.ci = cpu_lookup(0);
	overhear_begin();
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		seen.status.func = NULL;
		right = xc_wait(xc_unicast(flags[i], status_look, &seen, NULL,
			    flags[i] == XC_NMI ? target : curcpu())) == 0 &&
		    right && seen.result[0] == 0 && seen.result[1] == 0 && !seen.done &&
		    seen.status.func == status_count_up && seen.stats.posted[XC_CLASS_HARD] != 0;
	}
	overhear_end();
	masked_end(&masked);
	T_ASSERT_EQ(xc_wait(seen.where), 0);
	T_ASSERT(right);
	snprintf(words, sizeof(words),
	    "posted   call %#lx of CPU 0: status_count_up+0, hard, posted ", seen.where);
	T_ASSERT_EQ(overhear_count(words), 4);
	T_ASSERT_EQ(overhear_count("running  status_look+0 (low) since "), 1);
}

TEST_CASE(xcall_status, the_dump_tells_what_a_cpu_does)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1);
	uint64_t where[2];
	struct gate gate;
	char words[96];

	gate_init(&gate);
	where[0] = xc_unicast(0, stalled_pass, &gate, NULL, target);
	where[1] = xc_unicast(0, stalled_count_up, NULL, NULL, target);
	kthread_sleep_ns(20000000);
	overhear_begin();
	xc_dump(target);
	xc_dump(curcpu());
	overhear_end();
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(where[0]), 0);
	T_ASSERT_EQ(xc_wait(where[1]), 0);
	gate_destroy(&gate);
	snprintf(words, sizeof(words), "CPU %u: %u calls in flight; marks: ", target->ci_index,
	    ncpu == 1 ? 2 : 0);
	T_ASSERT(overhear_has(words));
	T_ASSERT(overhear_has("running  stalled_pass+0 (low) since "));
	T_ASSERT(overhear_has("inbox    low: 0 descriptors; calls of CPUs 0"));
	T_ASSERT(overhear_has(": begun by 1 of 1, finished by 0"));
	T_ASSERT(overhear_has(": begun by 0 of 1, finished by 0"));
}

/* --- figures ---------------------------------------------------------------------------------- */

#define FIGURES_UNICASTS 60u
#define FIGURES_BROADCASTS 20u
#define FIGURES_DESCRIPTORS 10u

static const unsigned figures_flags[XC_CLASSES] = { 0, XC_HIGHPRI, XC_HARD, XC_NMI };

/* Figures of all CPUs before, and after; then what was added. */
static struct xc_stats *figures;

static void
figures_begin(unsigned every)
{
	struct cpu_info *ci;

	figures = crew_alloc(2 * ncpu, sizeof(*figures));
	xc_stats_sample(every);
	CPU_INFO_FOREACH(ci)
		xc_stats(ci, &figures[2 * ci->ci_index]);
}

static const struct xc_stats *
figures_before(unsigned cpu)
{
	return &figures[2 * cpu];
}

static const struct xc_stats *
figures_after(unsigned cpu)
{
	return &figures[2 * cpu + 1];
}

static void
figures_take(void)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		xc_stats(ci, &figures[2 * ci->ci_index + 1]);
	xc_stats_sample(64);
}

static void
figures_end(void)
{
	crew_free(figures, 2 * ncpu, sizeof(*figures));
}

/* What a histogram has more, and whether its bins add up to its count. */
static uint64_t
figures_added(const struct xc_histogram *before, const struct xc_histogram *after)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < XC_HISTOGRAM_BINS; i++)
		sum += after->h_bin[i];
	return sum == after->h_count ? after->h_count - before->h_count : UINT64_MAX;
}

static void figures_calls(enum xc_class class)
{
	unsigned flags = figures_flags[class];
	static struct xc_call call;

	for (unsigned i = 0; i < FIGURES_UNICASTS; i++)
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(flags, status_count_up, NULL, NULL, cpu_lookup(i % ncpu))),
		    0);
	for (unsigned i = 0; i < FIGURES_BROADCASTS; i++)
		T_ASSERT_EQ(xc_wait(xc_broadcast(flags, status_count_up, NULL, NULL)), 0);
	if (class == XC_CLASS_NMI)
		return;
	xc_call_init(&call, status_count_up, NULL, NULL);
	for (unsigned i = 0; i < FIGURES_DESCRIPTORS; i++) {
		T_ASSERT_EQ(xc_call_post(&call, flags, cpu_lookup(ncpu - 1)), 0);
		T_ASSERT_EQ(xc_call_wait(&call), 0);
	}
}

/* Functions of one class that CPU should have run. */
static uint64_t
figures_runs(enum xc_class class, unsigned cpu)
{
	uint64_t n = FIGURES_BROADCASTS + FIGURES_UNICASTS / ncpu +
	    (cpu < FIGURES_UNICASTS % ncpu ? 1 : 0);

	return n + (class != XC_CLASS_NMI && cpu == ncpu - 1 ? FIGURES_DESCRIPTORS : 0);
}

static void
figures_check(enum xc_class c, unsigned cpu)
{
	const struct xc_stats *before = figures_before(cpu), *after = figures_after(cpu);
	uint64_t posted = cpu != 0
	    ? 0
	    : FIGURES_UNICASTS + FIGURES_BROADCASTS + (c != XC_CLASS_NMI ? FIGURES_DESCRIPTORS : 0);

	T_ASSERT_EQ(after->posted[c] - before->posted[c], posted);
	T_ASSERT_EQ(after->run[c] - before->run[c], figures_runs(c, cpu));
	T_ASSERT_EQ(figures_added(&before->begin[c], &after->begin[c]), figures_runs(c, cpu));
	T_ASSERT_EQ(figures_added(&before->run_ns[c], &after->run_ns[c]), figures_runs(c, cpu));
	T_ASSERT_EQ(figures_added(&before->complete[c], &after->complete[c]), posted);
}

TEST_CASE(xcall_status, counts_are_exact_and_histograms_sum_to_them)
{
	figures_begin(1);
	for (unsigned c = 0; c < XC_CLASSES; c++)
		figures_calls((enum xc_class)c);
	figures_take();
	for (unsigned c = 0; c < XC_CLASSES; c++)
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			figures_check((enum xc_class)c, cpu);
	figures_end();
}

TEST_CASE(xcall_status, one_call_in_many_is_sampled)
{
	uint64_t sampled;

	figures_begin(16);
	for (unsigned i = 0; i < 160; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(XC_HARD, status_count_up, NULL, NULL, curcpu())), 0);
	figures_take();
	sampled = figures_added(&figures_before(0)->complete[XC_CLASS_HARD],
	    &figures_after(0)->complete[XC_CLASS_HARD]);
	figures_end();
	T_ASSERT_EQ(sampled, 10);
}

#define FIGURES_DELAY_US 5000

static void
figures_delay(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	delay_us(FIGURES_DELAY_US);
}

/* Samples that a histogram has more at and above the bin of that time. */
static uint64_t
figures_slow(const struct xc_histogram *before, const struct xc_histogram *after, uint64_t ns)
{
	uint64_t n = 0;

	for (unsigned i = 63u - (unsigned)__builtin_clzll(ns); i < XC_HISTOGRAM_BINS; i++)
		n += after->h_bin[i] - before->h_bin[i];
	return n;
}

TEST_CASE(xcall_status, times_fall_into_their_bins)
{
	unsigned target = ncpu - 1;
	uint64_t ran, complete;

	figures_begin(1);
	for (unsigned i = 0; i < 4; i++)
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(XC_HARD, figures_delay, NULL, NULL, cpu_lookup(target))), 0);
	figures_take();
	ran = figures_slow(&figures_before(target)->run_ns[XC_CLASS_HARD],
	    &figures_after(target)->run_ns[XC_CLASS_HARD], FIGURES_DELAY_US * 1000ull);
	complete = figures_slow(&figures_before(0)->complete[XC_CLASS_HARD],
	    &figures_after(0)->complete[XC_CLASS_HARD], FIGURES_DELAY_US * 1000ull);
	figures_end();
	T_ASSERT_EQ(ran, 4);
	T_ASSERT_EQ(complete, 4);
}

TEST_CASE(xcall_status, refused_posts_are_counted)
{
	struct cpu_info *target = stalled_target(2);
	uint64_t where[XC_ROOM_HARD], refused[3];
	struct masked masked;
	uint64_t full;

	if (target == NULL)
		return;
	masked_begin(&masked, target);
	figures_begin(64);
	for (unsigned i = 0; i < XC_ROOM_HARD; i++)
		where[i] = xc_unicast(XC_HARD | XC_TRY, status_count_up, NULL, NULL, target);
	for (unsigned i = 0; i < 3; i++)
		refused[i] = xc_unicast(XC_HARD | XC_TRY, status_count_up, NULL, NULL, target);
	masked_end(&masked);
	for (unsigned i = 0; i < XC_ROOM_HARD; i++)
		T_ASSERT_EQ(xc_wait(where[i]), 0);
	figures_take();
	full = figures_after(0)->full[XC_CLASS_HARD] - figures_before(0)->full[XC_CLASS_HARD];
	figures_end();
	for (unsigned i = 0; i < 3; i++)
		T_ASSERT_EQ(refused[i], XC_ERROR(EBUSY));
	T_ASSERT_EQ(full, 3);
}

/* Calls back, and waits. */
static void
figures_call_back(void *arg1, void *arg2 __attribute__((unused)))
{
	T_ASSERT_EQ(xc_wait(xc_unicast(XC_HARD, status_count_up, NULL, NULL, arg1)), 0);
}

TEST_CASE(xcall_status, functions_served_in_a_wait_are_counted)
{
	struct cpu_info *target = stalled_target(2);
	uint64_t served;
	bool intr;

	if (target == NULL)
		return;
	figures_begin(64);
	intr = machine_intr_disable();
	for (unsigned i = 0; i < 5; i++)
		(void)xc_wait(xc_unicast(XC_HARD, figures_call_back, curcpu(), NULL, target));
	machine_intr_restore(intr);
	figures_take();
	served = figures_after(0)->served_waiting - figures_before(0)->served_waiting;
	figures_end();
	T_ASSERT_EQ(served, 5);
}
