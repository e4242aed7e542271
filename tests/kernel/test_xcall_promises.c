/*
 * The promises of cross calls, each a case of its name, under storms of all levels: threads of
 * every CPU, on half of them with interrupts off, post, wait, give up and cancel, by ticket and by
 * descriptor, and a ledger has a count for each call and target.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/printf.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_chain.h"
#include "xcall/xc_run.h"
#include "xcall/xc_slot.h"
#include "xcall/xc_status.h"

/* Of all threads together. */
#define STORM_CALLS ROUNDS(4000)
/* Descriptors a thread has. */
#define STORM_DESCRIPTORS 8
/* A hang detector. */
#define STORM_LONG_NS 60000000000ull

/* Who is called. */
enum storm_kind { STORM_UNICAST, STORM_BROADCAST, STORM_NOSELF, STORM_ODD, STORM_DESCRIPTOR };
/* What comes after the post. */
enum storm_then { STORM_LEAVE, STORM_WAIT, STORM_TIMED, STORM_POLL, STORM_CANCEL };

/* A call, as its poster decided. */
struct storm_call {
	enum xc_level level;
	enum storm_kind kind;
	enum storm_then then;
	unsigned sender, target;
	bool posted;        /* or refused: without room and unable to wait */
	unsigned withdrawn; /* targets */
};

static struct storm_call *storm_call_of;
static _Atomic uint8_t *storm_ledger; /* ncpu for each call */
static _Atomic uint64_t storm_misplaced, storm_late, storm_failed;

static bool
storm_is_target(const struct storm_call *call, unsigned cpu)
{
	switch (call->kind) {
	case STORM_BROADCAST:
		return true;
	case STORM_NOSELF:
		return cpu != call->sender;
	case STORM_ODD:
		return cpu % 2 != 0;
	default:
		return cpu == call->target;
	}
}

static uint8_t
storm_count(uint64_t call, unsigned cpu)
{
	return atomic_load_explicit(&storm_ledger[call * ncpu + cpu], memory_order_relaxed);
}

static void
storm_run(void *arg1, void *arg2)
{
	unsigned cpu = curcpu()->ci_index;

	if (!calls_context_is((enum xc_level)(uintptr_t)arg2))
		atomic_fetch_add_explicit(&storm_misplaced, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(
	    &storm_ledger[(uintptr_t)arg1 * ncpu + cpu], 1, memory_order_relaxed);
}

/* --- one call --------------------------------------------------------------------------------- */

/* A thread, and the state it is in. */
struct storm {
	unsigned number;
	uint64_t random;
	bool intr_off; /* for the calls of now */
	struct xc_call descriptor[STORM_DESCRIPTORS];
	struct crew_job job;
};

/* Whether the thread may wait for a call of that level as it stands. */
static bool
storm_may_wait(const struct storm *storm, enum xc_level level)
{
	return !storm->intr_off || level >= XC_LEVEL_HARD;
}

/* After the wait each target has run it, but for those withdrawn. */
static void
storm_look(uint64_t n, const struct storm_call *call)
{
	unsigned missing = 0;

	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		missing += storm_is_target(call, cpu) && storm_count(n, cpu) == 0;
	if (missing != call->withdrawn)
		atomic_fetch_add_explicit(&storm_late, 1, memory_order_relaxed);
}

static void
storm_then(struct storm *storm, uint64_t n, struct storm_call *call, uint64_t where)
{
	bool right = true;
	int result;

	switch (call->then) {
	case STORM_WAIT:
		right = xc_wait(where) == 0;
		break;
	case STORM_TIMED:
		if (xc_timedwait(where, crew_random(&storm->random) % 100000) != 0)
			right = xc_timedwait(where, STORM_LONG_NS) == 0;
		break;
	case STORM_POLL:
		while (!xc_done(where) && !storm->intr_off)
			machine_pause();
		right = xc_wait(where) == 0;
		break;
	case STORM_CANCEL:
		/* ECANCELED until the other thread of this CPU has its next call in the slot. */
		right = xc_cancel(where, &call->withdrawn) == 0;
		result = xc_wait(where);
		right = right && (result == 0 || (result == ECANCELED && call->withdrawn != 0));
		break;
	default:
		return;
	}
	if (!right)
		atomic_fetch_add_explicit(&storm_failed, 1, memory_order_relaxed);
	storm_look(n, call);
}

static void
storm_post_descriptor(struct storm *storm, uint64_t n, struct storm_call *call, unsigned flags)
{
	struct xc_call *descriptor = &storm->descriptor[n % STORM_DESCRIPTORS];
	int error;

	/* Its call before this is still under way, perhaps. */
	if (!xc_call_done(descriptor) && !storm->intr_off)
		(void)xc_call_wait(descriptor);
	if (!xc_call_done(descriptor))
		return;
	xc_call_init(descriptor, storm_run, (void *)n, (void *)(uintptr_t)call->level);
	error = xc_call_post(descriptor, flags, cpu_lookup(call->target));
	call->posted = error == 0;
	if (error != 0)
		atomic_fetch_add_explicit(&storm_failed, 1, memory_order_relaxed);
	if (call->then == STORM_LEAVE)
		return;
	if (xc_call_wait(descriptor) != 0)
		atomic_fetch_add_explicit(&storm_failed, 1, memory_order_relaxed);
	storm_look(n, call);
}

static uint64_t
storm_post(uint64_t n, const struct storm_call *call, unsigned flags)
{
	void *level = (void *)(uintptr_t)call->level;
	struct cpuset odd;

	switch (call->kind) {
	case STORM_UNICAST:
		return xc_unicast(flags, storm_run, (void *)n, level, cpu_lookup(call->target));
	case STORM_BROADCAST:
		return xc_broadcast(flags, storm_run, (void *)n, level);
	case STORM_NOSELF:
		return xc_broadcast(flags | XC_NOSELF, storm_run, (void *)n, level);
	default:
		cpuset_zero(&odd);
		for (unsigned i = 1; i < ncpu; i += 2)
			cpuset_add(&odd, i);
		return xc_multicast(flags, storm_run, (void *)n, level, &odd);
	}
}

/* Call number n: everything about it from the dice. */
static void
storm_one(struct storm *storm, uint64_t n)
{
	struct storm_call *call = &storm_call_of[n];
	uint64_t r = crew_random(&storm->random), where;
	unsigned flags;

	*call = (struct storm_call){ .level = r % XC_LEVELS,
		.kind = r / 8 % 16 < 8 ? STORM_UNICAST : r / 8 % 16 / 2 - 3,
		.then = r / 256 % 5,
		.sender = curcpu()->ci_index,
		.target = (unsigned)(r / 4096 % ncpu) };
	flags = calls_flags(call->level);
	if (call->level != XC_LEVEL_NMI && r >> 40 != 0 && (r >> 40) % 4 == 0)
		flags |= XC_LAZY;
	if (call->level == XC_LEVEL_NMI && call->kind == STORM_DESCRIPTOR)
		call->kind = STORM_UNICAST;
	if (!storm_may_wait(storm, call->level))
		call->then = STORM_LEAVE;
	if (call->kind == STORM_DESCRIPTOR) {
		storm_post_descriptor(storm, n, call, flags);
		return;
	}
	where = storm_post(n, call, flags);
	call->posted = !XC_ISERR(where);
	if (call->posted)
		storm_then(storm, n, call, where);
	else if (where != XC_ERROR(EBUSY) || !storm->intr_off || call->level >= XC_LEVEL_HARD)
		atomic_fetch_add_explicit(&storm_failed, 1, memory_order_relaxed);
}

/* --- the storm -------------------------------------------------------------------------------- */

static unsigned
storm_threads(void)
{
	return 2 * ncpu;
}

/* On odd CPUs some calls in a row with interrupts off, then some with them on. */
static void
storm_thread(void *arg)
{
	struct storm *storm = arg;
	unsigned each = STORM_CALLS / storm_threads();
	uint64_t first = (uint64_t)storm->number * each;
	bool intr = true;

	for (unsigned i = 0; i < each; i++) {
		if (curcpu()->ci_index % 2 != 0 && i % 8 == 0)
			intr = machine_intr_disable();
		storm->intr_off = !machine_intr_enabled();
		storm_one(storm, first + i);
		if (curcpu()->ci_index % 2 != 0 && i % 8 == 4)
			machine_intr_restore(intr);
	}
	machine_intr_restore(true);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		xc_drain(calls_flags(level));
}

static void
storm_all(void)
{
	struct storm *storm = crew_alloc(storm_threads(), sizeof(*storm));

	for (unsigned i = 0; i < storm_threads(); i++) {
		storm[i].number = i;
		storm[i].random = 0x9e3779b97f4a7c15 * (i + 1);
		for (unsigned d = 0; d < STORM_DESCRIPTORS; d++)
			xc_call_init(&storm[i].descriptor[d], storm_run, NULL, NULL);
		crew_start(&storm[i].job, cpu_lookup(i % ncpu), PRI_KERNEL + (pri_t)(i / ncpu),
		    storm_thread, &storm[i]);
	}
	for (unsigned i = 0; i < storm_threads(); i++)
		crew_join(&storm[i].job);
	crew_free(storm, storm_threads(), sizeof(*storm));
}

/* How many entries of the ledger are not as they should be. */
static unsigned
storm_audit(uint64_t *posted)
{
	unsigned wrong = 0, missing;

	for (uint64_t n = 0; n < STORM_CALLS / storm_threads() * storm_threads(); n++) {
		const struct storm_call *call = &storm_call_of[n];

		missing = 0;
		for (unsigned cpu = 0; cpu < ncpu; cpu++) {
			bool target = call->posted && storm_is_target(call, cpu);

			wrong += storm_count(n, cpu) > target;
			missing += target && storm_count(n, cpu) == 0;
		}
		wrong += missing != call->withdrawn;
		*posted += call->posted;
	}
	return wrong;
}

/* How often the windows were met that a run is for: one that stayed at 0 was not tested. */
static void
storm_tell(void)
{
	uint64_t empty = 0, full = 0, served = 0;
	struct cpu_info *ci;
	struct xc_stats s;

	CPU_INFO_FOREACH(ci) {
		xc_stats(ci, &s);
		empty += s.empty;
		served += s.served_waiting;
		for (unsigned class = 0; class < XC_CLASSES; class ++)
			full += s.full[class];
	}
	printf(
	    "  # since boot: %lu interrupts for nothing, %lu posts without room, %lu calls served "
	    "in waits\n",
	    empty, full, served);
}

TEST_CASE(xcall_promises, a_call_to_an_online_cpu_runs_there_exactly_once_where_it_should)
{
	uint64_t posted = 0;
	unsigned wrong;

	atomic_store_explicit(&storm_misplaced, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_late, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_failed, 0, memory_order_relaxed);
	storm_call_of = crew_alloc(STORM_CALLS, sizeof(*storm_call_of));
	storm_ledger = crew_alloc(STORM_CALLS * ncpu, 1);
	/* Without the periodic look for chains, which would also mend a lost wake-up. */
	xc_chain_set_period(3600000000000ull);
	storm_all();
	xc_chain_set_period(XC_CHAIN_PERIOD_NS);
	wrong = storm_audit(&posted);
	storm_tell();
	crew_free((void *)(uintptr_t)storm_ledger, STORM_CALLS * ncpu, 1);
	crew_free(storm_call_of, STORM_CALLS, sizeof(*storm_call_of));
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT_EQ(atomic_load_explicit(&storm_misplaced, memory_order_relaxed), 0);
	T_ASSERT_EQ(atomic_load_explicit(&storm_late, memory_order_relaxed), 0);
	T_ASSERT_EQ(atomic_load_explicit(&storm_failed, memory_order_relaxed), 0);
	T_ASSERT(posted > STORM_CALLS / 2);
}

/* --- completion ------------------------------------------------------------------------------- */

#define EXACT_ROUNDS ROUNDS(20)

/* Plain memory on purpose: only the call orders it. */
struct exact {
	uint64_t in;
	uint64_t *out; /* one a CPU */
};

/* Takes its time, so that an early end is seen. */
static void
exact_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct exact *exact = arg1;

	for (unsigned i = 0; i < 200; i++)
		machine_pause();
	exact->out[curcpu()->ci_index] = exact->in + 1;
}

static void
exact_thread(void *arg __attribute__((unused)))
{
	struct exact exact = { .out = crew_alloc(ncpu, sizeof(*exact.out)) };
	unsigned wrong = 0;

	for (uint64_t i = 0; i < EXACT_ROUNDS * XC_LEVELS; i++) {
		unsigned flags = calls_flags((enum xc_level)(i % XC_LEVELS));
		uint64_t where;

		exact.in = i + 1;
		where = xc_broadcast(flags, exact_run, &exact, NULL);
		if (i / XC_LEVELS % 2 != 0)
			wrong += xc_wait(where) != 0;
		while (!xc_done(where))
			machine_pause();
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			wrong += exact.out[cpu] != i + 2;
	}
	crew_free(exact.out, ncpu, sizeof(*exact.out));
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_promises, a_ticket_completes_after_its_own_function_has_returned_never_before)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, exact_thread, NULL);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
}

/* --- no wait hangs ---------------------------------------------------------------------------- */

#define MUTUAL_ROUNDS ROUNDS(20)

static _Atomic uint64_t mutual_failed;

static void
mutual_leaf(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

/* A low-priority function that waits for calls of every level to the next CPU, whose function does
 * the same. */
static void
mutual_run(void *arg1, void *arg2)
{
	uintptr_t depth = (uintptr_t)arg1;

	for (unsigned level = 0; level < XC_LEVELS; level++) {
		bool low = level == XC_LEVEL_LOW && depth > 1;
		uint64_t where = xc_unicast(calls_flags(level), low ? mutual_run : mutual_leaf,
		    (void *)(depth - 1), arg2, calls_next_cpu());

		/* Without room it is told, and that is no hang. */
		if (!XC_ISERR(where) && xc_wait(where) != 0)
			atomic_fetch_add_explicit(&mutual_failed, 1, memory_order_relaxed);
	}
}

static void
mutual_thread(void *arg __attribute__((unused)))
{
	/* As many as can meet on one CPU without reaching the bound, with a leaf on top. */
	unsigned depth = 2 * ncpu < XC_DEPTH_MAX ? XC_DEPTH_MAX / ncpu - 1 : 1;

	for (unsigned i = 0; i < MUTUAL_ROUNDS; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(
				0, mutual_run, (void *)(uintptr_t)depth, NULL, calls_next_cpu())),
		    0);
}

TEST_CASE(xcall_promises, no_wait_hangs_for_what_the_waiter_could_remove)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	atomic_store_explicit(&mutual_failed, 0, memory_order_relaxed);
	xc_chain_set_period(3600000000000ull);
	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, mutual_thread, NULL);
	for (unsigned i = 0; i < ncpu; i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	xc_chain_set_period(XC_CHAIN_PERIOD_NS);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(atomic_load_explicit(&mutual_failed, memory_order_relaxed), 0);
}

/* Two ways to hang for which the waiter can do nothing: interrupts off, and a function that
 * stays. */
static bool
culprit_masks(struct cpu_info *target)
{
	struct masked masked;
	uint64_t where;
	int result;

	stalled_begin(STALLED_WARN_NS, false);
	masked_begin(&masked, target);
	where = xc_unicast(XC_HARD, stalled_count_up, NULL, NULL, target);
	result = xc_timedwait(where, STALLED_WAIT_NS);
	masked_end(&masked);
	stalled_end();
	return result == ETIMEDOUT && xc_wait(where) == 0 && stalled_stalls != 0 &&
	    stalled_said_cpu(target, ": never taken, notified") &&
	    stalled_said_cpu(target, " answers an NMI, in thread crew/") &&
	    overhear_has("  masked_spin+0x");
}

static bool
culprit_stays(struct cpu_info *target)
{
	uint64_t first, second;
	struct gate gate;
	bool right;

	gate_init(&gate);
	stalled_begin(STALLED_WARN_NS, false);
	first = xc_unicast(0, stalled_pass, &gate, NULL, target);
	second = xc_unicast(0, stalled_count_up, NULL, NULL, target);
	right = xc_timedwait(second, STALLED_WAIT_NS) == ETIMEDOUT;
	stalled_end();
	gate_open(&gate);
	right = xc_wait(first) == 0 && xc_wait(second) == 0 && stalled_stalls != 0 && right;
	gate_destroy(&gate);
	return right && stalled_said_cpu(target, ": queued behind stalled_pass+0 (low) since ");
}

TEST_CASE(xcall_promises, every_other_hang_is_reported_with_its_culprit)
{
	struct cpu_info *target = stalled_target(2);

	if (target == NULL)
		return;
	T_ASSERT(culprit_masks(target));
	T_ASSERT(culprit_stays(target));
}

/* --- memory ----------------------------------------------------------------------------------- */

static size_t frugal_pages;
static _Atomic uint64_t frugal_wrong;

static void
frugal_look(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	if (!cpu_nmi_p() && kmem_pages_free() != frugal_pages)
		atomic_fetch_add_explicit(&frugal_wrong, 1, memory_order_relaxed);
}

/* Every operation, more often than there is room for. */
static void
frugal_level(enum xc_level level, struct xc_call *call)
{
	unsigned flags = calls_flags(level);
	uint64_t where[XC_SLOTS + 1];

	for (unsigned i = 0; i <= XC_SLOTS; i++)
		where[i] = i % 2 != 0
		    ? xc_broadcast(flags, frugal_look, NULL, NULL)
		    : xc_unicast(flags, frugal_look, NULL, NULL, cpu_lookup(i % ncpu));
	for (unsigned i = 0; i <= XC_SLOTS; i++)
		T_ASSERT_EQ(
		    i % 3 != 0 ? xc_timedwait(where[i], STORM_LONG_NS) : xc_cancel(where[i], NULL),
		    0);
	xc_barrier(flags);
	xc_drain(flags);
	if (level == XC_LEVEL_NMI)
		return;
	T_ASSERT_EQ(xc_call_post(call, flags, others_last()), 0);
	T_ASSERT_EQ(xc_call_wait(call), 0);
}

TEST_CASE(xcall_promises, nothing_on_a_call_path_allocates)
{
	struct xc_call call;

	atomic_store_explicit(&frugal_wrong, 0, memory_order_relaxed);
	xc_call_init(&call, frugal_look, NULL, NULL);
	/* Stacks of earlier cases may still be on their way back. */
	kthread_sleep_ns(50000000);
	frugal_pages = kmem_pages_free();
	for (unsigned level = 0; level < XC_LEVELS; level++)
		frugal_level(level, &call);
	T_ASSERT_EQ(kmem_pages_free(), frugal_pages);
	T_ASSERT_EQ(atomic_load_explicit(&frugal_wrong, memory_order_relaxed), 0);
}
