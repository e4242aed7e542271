/*
 * Hard calls and NMI calls between CPUs that have interrupts off: who waits serves, so that they
 * always finish.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"

/* CPUs that spin with interrupts off wait for the host to run each of them in turn. */
#define HARD_ROUNDS ROUNDS(6)

static _Atomic uint64_t hard_ran, hard_wrong;

static void
hard_note(bool right)
{
	if (!right)
		atomic_fetch_add_explicit(&hard_wrong, 1, memory_order_relaxed);
}

static void
hard_reset(void)
{
	atomic_store_explicit(&hard_ran, 0, memory_order_relaxed);
	atomic_store_explicit(&hard_wrong, 0, memory_order_relaxed);
}

static bool
hard_right(uint64_t ran)
{
	return atomic_load_explicit(&hard_ran, memory_order_relaxed) == ran &&
	    atomic_load_explicit(&hard_wrong, memory_order_relaxed) == 0;
}

/* arg1: where it is to run; arg2: the level. */
static void
hard_count(void *arg1, void *arg2)
{
	hard_note(curcpu() == arg1 && calls_context_is((enum xc_level)(uintptr_t)arg2));
	atomic_fetch_add_explicit(&hard_ran, 1, memory_order_release);
}

/* --- a crew with interrupts off --------------------------------------------------------------- */

/* Threads, one a CPU, that meet with interrupts off and then all do the same. */
struct hard_crew {
	unsigned n, level;
	void (*act)(struct hard_crew *, unsigned self);
	_Atomic uint64_t here, done;
};

struct hard_member {
	struct hard_crew *crew;
	unsigned self;
	struct crew_job job;
};

static void
hard_member(void *arg)
{
	struct hard_member *member = arg;
	struct hard_crew *crew = member->crew;
	bool intr = machine_intr_disable();

	atomic_fetch_add_explicit(&crew->here, 1, memory_order_relaxed);
	hard_note(calls_spin_until(&crew->here, crew->n));
	crew->act(crew, member->self);
	hard_note(!machine_intr_enabled());
	/* Nobody lets interrupts on while another one still waits. */
	atomic_fetch_add_explicit(&crew->done, 1, memory_order_release);
	while (atomic_load_explicit(&crew->done, memory_order_acquire) < crew->n) {
		hard_note(xc_wait(xc_unicast(XC_HARD, hard_count, curcpu(),
			      (void *)(uintptr_t)XC_LEVEL_HARD, curcpu())) == 0);
		atomic_fetch_sub_explicit(&hard_ran, 1, memory_order_relaxed);
	}
	machine_intr_restore(intr);
}

/* Starts those on this CPU, or the others: one on this CPU lets nobody start any more. */
static void
hard_start(
    struct hard_crew *crew, struct hard_member *member, unsigned first, unsigned step, bool here)
{
	for (unsigned i = 0; i < crew->n; i++) {
		struct cpu_info *ci = cpu_lookup((first + i * step) % ncpu);

		if ((ci == curcpu()) != here)
			continue;
		member[i].crew = crew;
		member[i].self = i;
		crew_start(&member[i].job, ci, PRI_KERNEL, hard_member, &member[i]);
	}
}

/* On the CPUs `first`, `first` + step, ... `n` of them. */
static void
hard_gather(struct hard_crew *crew, unsigned first, unsigned step)
{
	struct hard_member *member = crew_alloc(crew->n, sizeof(*member));

	atomic_store_explicit(&crew->here, 0, memory_order_relaxed);
	atomic_store_explicit(&crew->done, 0, memory_order_relaxed);
	hard_start(crew, member, first, step, false);
	hard_start(crew, member, first, step, true);
	for (unsigned i = 0; i < crew->n; i++)
		crew_join(&member[i].job);
	crew_free(member, crew->n, sizeof(*member));
}

/* --- pairs and rings -------------------------------------------------------------------------- */

static unsigned hard_first, hard_step;

/* Calls the next member and waits, again and again. */
static void
hard_call_next(struct hard_crew *crew, unsigned self)
{
	struct cpu_info *next = cpu_lookup((hard_first + (self + 1) % crew->n * hard_step) % ncpu);
	void *level = (void *)(uintptr_t)crew->level;

	for (unsigned i = 0; i < HARD_ROUNDS; i++)
		hard_note(xc_wait(xc_unicast(
			      calls_flags(crew->level), hard_count, next, level, next)) == 0);
}

static bool
hard_pairs(enum xc_level level)
{
	struct hard_crew crew = { .n = 2, .level = level, .act = hard_call_next };
	bool right = true;

	for (hard_first = 0; hard_first < ncpu; hard_first++) {
		for (hard_step = 1; hard_first + hard_step < ncpu; hard_step++) {
			hard_reset();
			hard_gather(&crew, hard_first, hard_step);
			right = hard_right(2 * HARD_ROUNDS) && right;
		}
	}
	return right;
}

TEST_CASE(xcall_hard, every_pair_calls_each_other_with_interrupts_off)
{
	T_ASSERT(hard_pairs(XC_LEVEL_HARD));
	T_ASSERT(hard_pairs(XC_LEVEL_NMI));
}

static bool
hard_ring(enum xc_level level)
{
	struct hard_crew crew = { .n = ncpu, .level = level, .act = hard_call_next };

	hard_reset();
	hard_first = 0;
	hard_step = 1;
	hard_gather(&crew, 0, 1);
	return hard_right((uint64_t)ncpu * HARD_ROUNDS);
}

TEST_CASE(xcall_hard, a_ring_of_all_cpus_with_interrupts_off_finishes)
{
	T_ASSERT(hard_ring(XC_LEVEL_HARD));
	T_ASSERT(hard_ring(XC_LEVEL_NMI));
}

static void
hard_broadcast_all(struct hard_crew *crew, unsigned self __attribute__((unused)))
{
	unsigned flags = calls_flags(crew->level);

	for (unsigned i = 0; i < HARD_ROUNDS; i++)
		hard_note(xc_wait(xc_broadcast(flags | (i % 2 != 0 ? XC_NOSELF : 0), latch_hold,
			      &(struct latch){ .open = 1 }, NULL)) == 0);
}

TEST_CASE(xcall_hard, all_cpus_broadcast_with_interrupts_off)
{
	struct hard_crew crew = { .n = ncpu, .level = XC_LEVEL_HARD, .act = hard_broadcast_all };

	hard_reset();
	hard_gather(&crew, 0, 1);
	crew.level = XC_LEVEL_NMI;
	hard_gather(&crew, 0, 1);
	T_ASSERT(hard_right(0));
}

/* Descriptors, with interrupts off on both sides. */
static void
hard_call_descriptors(struct hard_crew *crew, unsigned self)
{
	struct cpu_info *next = cpu_lookup((self + 1) % crew->n);
	struct xc_call call;

	xc_call_init(&call, hard_count, next, (void *)(uintptr_t)XC_LEVEL_HARD);
	for (unsigned i = 0; i < HARD_ROUNDS; i++) {
		hard_note(xc_call_post(&call, XC_HARD, next) == 0);
		hard_note(xc_call_wait(&call) == 0 && xc_call_done(&call));
	}
}

TEST_CASE(xcall_hard, a_ring_of_descriptors_with_interrupts_off_finishes)
{
	struct hard_crew crew = { .n = ncpu, .act = hard_call_descriptors };

	hard_reset();
	hard_gather(&crew, 0, 1);
	T_ASSERT(hard_right((uint64_t)ncpu * HARD_ROUNDS));
}

/* --- without room ----------------------------------------------------------------------------- */

/* Everybody posts more than there is room for, with interrupts off, and nobody waits: the posts
 * serve. */
static void
hard_post_much(struct hard_crew *crew, unsigned self)
{
	enum { CALLS = 3 * XC_ROOM_HARD };
	struct cpu_info *next = cpu_lookup((self + 1) % crew->n);
	uint64_t where[CALLS];

	for (unsigned i = 0; i < CALLS; i++) {
		where[i] = xc_unicast(calls_flags(crew->level), hard_count, next,
		    (void *)(uintptr_t)crew->level, next);
		hard_note(!XC_ISERR(where[i]));
	}
	hard_note(calls_wait_all(where, CALLS));
}

TEST_CASE(xcall_hard, posts_without_room_serve_and_try_again)
{
	struct hard_crew crew = { .n = ncpu, .level = XC_LEVEL_HARD, .act = hard_post_much };

	hard_reset();
	hard_gather(&crew, 0, 1);
	T_ASSERT(hard_right((uint64_t)ncpu * 3 * XC_ROOM_HARD));
	crew.level = XC_LEVEL_NMI;
	hard_reset();
	hard_gather(&crew, 0, 1);
	T_ASSERT(hard_right((uint64_t)ncpu * 3 * XC_ROOM_HARD));
}

/* --- depth ------------------------------------------------------------------------------------ */

/* arg1: hops to go; each function calls the next CPU and waits. */
static void
hard_hop(void *arg1, void *arg2)
{
	uintptr_t hops = (uintptr_t)arg1;

	hard_note(calls_context_is(XC_LEVEL_HARD));
	atomic_fetch_add_explicit(&hard_ran, 1, memory_order_relaxed);
	if (hops > 1)
		hard_note(xc_wait(xc_unicast(
			      XC_HARD, hard_hop, (void *)(hops - 1), arg2, calls_next_cpu())) == 0);
}

TEST_CASE(xcall_hard, hard_functions_call_around_until_the_depth)
{
	uintptr_t hops = (uintptr_t)ncpu * XC_DEPTH_MAX;
	bool intr, done;

	hard_reset();
	done = xc_wait(xc_unicast(XC_HARD, hard_hop, (void *)hops, NULL, calls_next_cpu())) == 0;
	T_ASSERT(done && hard_right(hops));
	/* The same from a thread with interrupts off. */
	hard_reset();
	intr = machine_intr_disable();
	done = xc_wait(xc_unicast(XC_HARD, hard_hop, (void *)hops, NULL, calls_next_cpu())) == 0;
	machine_intr_restore(intr);
	T_ASSERT(done && hard_right(hops));
}

/* A chain of this CPU's own to the bound; there it looks what is served. */
struct hard_bound {
	_Atomic uint64_t there, left;
	_Atomic uint64_t ran_before, ran_after;
	_Atomic uint64_t posted; /* by the other CPU, while this one stands at the bound */
};

static void
hard_bound_note(void *arg1, void *arg2 __attribute__((unused)))
{
	struct hard_bound *bound = arg1;

	if (atomic_load_explicit(&bound->left, memory_order_acquire) == 0)
		atomic_fetch_add_explicit(&bound->ran_before, 1, memory_order_relaxed);
	else
		atomic_fetch_add_explicit(&bound->ran_after, 1, memory_order_release);
}

static void
hard_bound_descend(void *arg1, void *arg2)
{
	struct hard_bound *bound = arg1;
	uintptr_t levels = (uintptr_t)arg2;
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	hard_note(xc_run_depth(&xc->x_stack[XC_LEVEL_HARD]) == XC_DEPTH_MAX + 1 - levels);
	if (levels > 1) {
		hard_note(xc_wait(xc_unicast(XC_HARD, hard_bound_descend, bound,
			      (void *)(levels - 1), curcpu())) == 0);
		return;
	}
	atomic_store_explicit(&bound->there, 1, memory_order_release);
	hard_note(calls_spin_until(&bound->posted, 1));
	/* A wait at the bound serves nothing. */
	hard_note(xc_wait(xc_unicast(XC_HARD, latch_hold, &(struct latch){ .open = 1 }, NULL,
		      calls_next_cpu())) == 0);
	atomic_store_explicit(&bound->left, 1, memory_order_release);
}

static void
hard_bound_thread(void *arg)
{
	hard_note(xc_wait(xc_unicast(XC_HARD, hard_bound_descend, arg,
		      (void *)(uintptr_t)XC_DEPTH_MAX, curcpu())) == 0);
}

TEST_CASE(xcall_hard, deeper_requests_stay_queued)
{
	static struct hard_bound bound;
	struct crew_job job;
	uint64_t where;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	hard_reset();
	bound = (struct hard_bound){ .there = 0 };
	crew_start(&job, others_last(), PRI_KERNEL, hard_bound_thread, &bound);
	hard_note(test_wait_at_least(&bound.there, 1));
	where = xc_unicast(XC_HARD, hard_bound_note, &bound, NULL, others_last());
	atomic_store_explicit(&bound.posted, 1, memory_order_release);
	hard_note(xc_wait(where) == 0);
	crew_join(&job);
	T_ASSERT(hard_right(0));
	T_ASSERT_EQ(atomic_load_explicit(&bound.ran_before, memory_order_relaxed), 0);
	T_ASSERT_EQ(atomic_load_explicit(&bound.ran_after, memory_order_relaxed), 1);
}

/* --- NMI -------------------------------------------------------------------------------------- */

TEST_CASE(xcall_hard, an_nmi_call_reaches_a_cpu_that_spins_with_interrupts_off)
{
	struct cpu_info *ci = others_last();
	struct masked masked;
	uint64_t hard, nmi, early;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	hard_reset();
	masked_begin(&masked, ci);
	hard = xc_unicast(XC_HARD, hard_count, ci, (void *)(uintptr_t)XC_LEVEL_HARD, ci);
	for (unsigned i = 0; i < 5 * HARD_ROUNDS; i++) {
		nmi = xc_unicast(XC_NMI, hard_count, ci, (void *)(uintptr_t)XC_LEVEL_NMI, ci);
		hard_note(xc_wait(nmi) == 0);
	}
	early = xc_done(hard);
	masked_end(&masked);
	hard_note(xc_wait(hard) == 0);
	T_ASSERT_EQ(early, 0);
	T_ASSERT(hard_right(5 * HARD_ROUNDS + 1));
}

/* NMIs of others, between ours and merged with them, change nothing. */
TEST_CASE(xcall_hard, an_nmi_call_tells_its_nmi_from_others)
{
	struct cpu_info *ci = others_last();
	void *level = (void *)(uintptr_t)XC_LEVEL_NMI;

	hard_reset();
	for (unsigned i = 0; i < 5 * HARD_ROUNDS; i++) {
		uint64_t where;

		(void)!machine_send_nmi(ci);
		where = xc_unicast(XC_NMI, hard_count, ci, level, ci);
		(void)!machine_send_nmi(ci);
		hard_note(xc_wait(where) == 0);
	}
	T_ASSERT(hard_right(5 * HARD_ROUNDS));
}

static void
hard_all_nmi(void *arg __attribute__((unused)))
{
	uint64_t where[4 * XC_ROOM_NMI];
	void *level = (void *)(uintptr_t)XC_LEVEL_NMI;

	for (unsigned i = 0; i < 4 * XC_ROOM_NMI; i++) {
		struct cpu_info *ci = cpu_lookup((curcpu()->ci_index + i) % ncpu);

		where[i] = xc_unicast(XC_NMI, hard_count, ci, level, ci);
	}
	hard_note(calls_wait_all(where, 4 * XC_ROOM_NMI));
}

TEST_CASE(xcall_hard, all_cpus_send_nmi_calls_to_all)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	hard_reset();
	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, hard_all_nmi, NULL);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT(hard_right((uint64_t)ncpu * 4 * XC_ROOM_NMI));
}
