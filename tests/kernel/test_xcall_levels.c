/*
 * Cross calls of every level: where they run, what a post returns, which CPUs it reaches.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_internal.h"

#define LEVELS_ROUNDS ROUNDS(20)

/* --- where they run --------------------------------------------------------------------------- */

/* Unicasts to each CPU, this one included, and a broadcast. */
static bool
levels_run_everywhere(struct probe *probe, enum xc_level level)
{
	unsigned flags = calls_flags(level);
	struct cpu_info *ci;
	bool right = true;

	probe_reset(probe, level);
	CPU_INFO_FOREACH(ci) {
		uint64_t before = probe_ran_on(probe, ci);

		right = xc_wait(xc_unicast(flags, probe_run, probe, NULL, ci)) == 0 && right;
		right = probe_ran_on(probe, ci) == before + 1 && right;
	}
	right = probe_right(probe, ncpu, 1) && right;
	right = xc_wait(xc_broadcast(flags, probe_run, probe, NULL)) == 0 && right;
	return probe_right(probe, 2 * ncpu, 2) && right;
}

TEST_CASE(xcall_levels, every_level_runs_in_its_context_on_every_cpu)
{
	struct probe probe;
	bool right[XC_LEVELS];

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		right[level] = true;
		for (unsigned i = 0; i < LEVELS_ROUNDS; i++)
			right[level] = levels_run_everywhere(&probe, level) && right[level];
	}
	probe_free(&probe);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		T_ASSERT_EQ(right[level] ? level : 100 + level, level);
}

/* From each CPU at once. */
static void
levels_caller(void *arg __attribute__((unused)))
{
	struct probe probe;
	bool right = true;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		right = levels_run_everywhere(&probe, level) && right;
	probe_free(&probe);
	T_ASSERT(right);
}

TEST_CASE(xcall_levels, every_cpu_calls_every_cpu_at_every_level)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, levels_caller, NULL);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
}

/* A hard call to the own CPU: at once, when interrupts are on. */
TEST_CASE(xcall_levels, hard_to_the_own_cpu_runs_before_the_post_returns)
{
	struct probe probe;
	uint64_t where;
	bool right;

	probe_init(&probe, XC_LEVEL_HARD);
	where = xc_unicast(XC_HARD, probe_run, &probe, NULL, curcpu());
	right = probe_right(&probe, 1, 0) && xc_done(where) && machine_intr_enabled();
	probe_free(&probe);
	T_ASSERT(right);
}

TEST_CASE(xcall_levels, hard_to_the_own_cpu_pends_until_interrupts_are_on)
{
	struct probe probe;
	uint64_t where, early;
	bool intr, right;

	probe_init(&probe, XC_LEVEL_HARD);
	intr = machine_intr_disable();
	where = xc_unicast(XC_HARD, probe_run, &probe, NULL, curcpu());
	delay_us(1000);
	early = probe_ran(&probe);
	machine_intr_restore(intr);
	right = calls_spin_until(&probe.ran, 1) && xc_wait(where) == 0 && probe_right(&probe, 1, 0);
	probe_free(&probe);
	T_ASSERT_EQ(early, 0);
	T_ASSERT(right);
}

/* Low ones never run in their poster; soft ones on its CPU do not before interrupts are on. */
TEST_CASE(xcall_levels, low_and_soft_never_run_inline)
{
	struct probe probe;
	uint64_t early = 0;
	bool right = true, intr;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = XC_LEVEL_LOW; level < XC_LEVEL_HARD; level++) {
		uint64_t where;

		probe_reset(&probe, level);
		kpreempt_disable();
		intr = machine_intr_disable();
		where = xc_unicast(calls_flags(level), probe_run, &probe, NULL, curcpu());
		early += probe_ran(&probe);
		machine_intr_restore(intr);
		early += level == XC_LEVEL_LOW ? probe_ran(&probe) : 0;
		kpreempt_enable();
		right = xc_wait(where) == 0 && probe_right(&probe, 1, 0) && right;
	}
	probe_free(&probe);
	T_ASSERT_EQ(early, 0);
	T_ASSERT(right);
}

/* --- sets ------------------------------------------------------------------------------------- */

/* The CPUs of a set and no others, each once. */
static bool
levels_call_set(struct probe *probe, enum xc_level level, unsigned flags, const struct cpuset *set)
{
	uint64_t where;
	bool right;

	probe_reset(probe, level);
	where = xc_multicast(calls_flags(level) | flags, probe_run, probe, NULL, set);
	right = !XC_ISERR(where) && xc_wait(where) == 0;
	for (unsigned i = 0; i < ncpu; i++)
		right = right &&
		    probe_ran_on(probe, cpu_lookup(i)) ==
			(cpuset_has(set, i) &&
			    !((flags & XC_NOSELF) != 0 && i == curcpu()->ci_index));
	return right && atomic_load_explicit(&probe->wrong, memory_order_relaxed) == 0;
}

/* Every n-th CPU from one on; numbers beyond the last CPU are nobody. */
static void
levels_stride(struct cpuset *set, unsigned from, unsigned to, unsigned step)
{
	cpuset_zero(set);
	for (unsigned i = from; i < to; i += step)
		cpuset_add(set, i);
}

TEST_CASE(xcall_levels, sets_of_any_shape_are_reached_exactly)
{
	/* Around the ends of a group of targets, and of a word of a set. */
	static const unsigned edges[] = { 0, 1, 15, 16, 17, 31, 32, 63, 64, 65, 127, 128, 254 };
	enum { EDGES = sizeof(edges) / sizeof(edges[0]) };
	static struct cpuset set;
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		for (unsigned a = 0; a < EDGES && edges[a] < ncpu; a++) {
			for (unsigned b = a; b < EDGES && edges[b] < ncpu; b++) {
				levels_stride(&set, edges[a], edges[b] + 1, 1);
				wrong += !levels_call_set(&probe, level, 0, &set);
				levels_stride(
				    &set, edges[a], edges[b] + 1, edges[b] - edges[a] + 1);
				cpuset_add(&set, edges[b]);
				wrong += !levels_call_set(&probe, level, 0, &set);
			}
		}
		levels_stride(&set, 1, ncpu + 1, 2);
		cpuset_add(&set, MAXCPUS - 1);
		cpuset_add(&set, 0);
		wrong += !levels_call_set(&probe, level, 0, &set);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_levels, noself_leaves_the_caller_out)
{
	static struct cpuset set;
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		unsigned flags = calls_flags(level) | XC_NOSELF;
		uint64_t where;

		levels_stride(&set, 0, ncpu, 1);
		wrong += !levels_call_set(&probe, level, XC_NOSELF, &set);
		probe_reset(&probe, level);
		where = xc_broadcast(flags, probe_run, &probe, NULL);
		wrong += xc_wait(where) != 0 || !probe_right(&probe, ncpu - 1, 0) ||
		    probe_ran_on(&probe, curcpu()) != 0 || (where == 0) != (ncpu == 1);
		/* Nobody but the caller. */
		levels_stride(&set, curcpu()->ci_index, curcpu()->ci_index + 1, 1);
		wrong += xc_multicast(flags, probe_run, &probe, NULL, &set) != 0;
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_levels, an_empty_set_is_complete_and_a_set_of_strangers_is_down)
{
	static struct cpuset set;
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		unsigned flags = calls_flags(level);

		cpuset_zero(&set);
		wrong += xc_multicast(flags, probe_run, &probe, NULL, &set) != 0;
		cpuset_add(&set, ncpu);
		wrong += xc_multicast(flags, probe_run, &probe, NULL, &set) != XC_ERROR(EHOSTDOWN);
		wrong += xc_any(flags, probe_run, &probe, NULL, &set) != XC_ERROR(EHOSTDOWN);
	}
	wrong += probe_ran(&probe) != 0;
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* --- one of a set ----------------------------------------------------------------------------- */

/* Whether it ran on exactly one CPU, and none of the set was nearer. */
static bool
levels_ran_nearest(const struct probe *probe, const struct cpuset *set, bool noself)
{
	unsigned nearest = UINT32_MAX, at = UINT32_MAX, distance;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		distance = cpu_distance(curcpu(), ci);
		if (cpuset_has(set, ci->ci_index) && !(noself && ci == curcpu()) &&
		    distance < nearest)
			nearest = distance;
		if (probe_ran_on(probe, ci) != 0)
			at = cpuset_has(set, ci->ci_index) ? distance : UINT32_MAX - 1;
	}
	return probe_right(probe, 1, 0) && at == nearest;
}

static bool
levels_call_any(struct probe *probe, enum xc_level level, unsigned flags, const struct cpuset *set)
{
	uint64_t where;

	probe_reset(probe, level);
	where = xc_any(calls_flags(level) | flags, probe_run, probe, NULL, set);
	return where != 0 && !XC_ISERR(where) && xc_wait(where) == 0 &&
	    levels_ran_nearest(probe, set, (flags & XC_NOSELF) != 0);
}

TEST_CASE(xcall_levels, any_takes_the_caller_or_the_nearest)
{
	static struct cpuset set;
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		for (unsigned from = 0; from < ncpu; from += 1 + ncpu / 8) {
			levels_stride(&set, from, ncpu, 1);
			wrong += !levels_call_any(&probe, level, 0, &set);
			if (ncpu > 1 && from < ncpu - 1)
				wrong += !levels_call_any(&probe, level, XC_NOSELF, &set);
		}
		levels_stride(&set, curcpu()->ci_index, curcpu()->ci_index + 1, 1);
		wrong += !levels_call_any(&probe, level, 0, &set);
		wrong += xc_any(calls_flags(level) | XC_NOSELF, probe_run, &probe, NULL, &set) !=
		    XC_ERROR(EHOSTDOWN);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* --- a predicate ------------------------------------------------------------------------------ */

static unsigned levels_asked;

static bool
levels_odd(struct cpu_info *ci, void *arg1 __attribute__((unused)), void *arg2)
{
	levels_asked++;
	return ci->ci_index % 2 == (uintptr_t)arg2;
}

TEST_CASE(xcall_levels, a_predicate_decides_for_each_cpu)
{
	static struct cpuset set;
	struct probe probe;
	struct cpu_info *ci;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	levels_stride(&set, 0, ncpu, 1);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		for (uintptr_t odd = 0; odd < 2; odd++) {
			probe_reset(&probe, level);
			levels_asked = 0;
			wrong += xc_wait(xc_cond(calls_flags(level), levels_odd, probe_run, &probe,
				     (void *)odd, &set)) != 0;
			wrong += levels_asked != ncpu ||
			    !probe_right(&probe, (ncpu + 1 - odd) / 2, 0);
			CPU_INFO_FOREACH(ci)
				wrong += probe_ran_on(&probe, ci) != (ci->ci_index % 2 == odd);
		}
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_levels, a_predicate_that_wants_nobody_is_complete)
{
	static struct cpuset set;
	struct probe probe;
	uint64_t where;

	probe_init(&probe, XC_LEVEL_LOW);
	levels_stride(&set, 0, ncpu, 1);
	where = xc_cond(0, levels_odd, probe_run, &probe, (void *)2, &set);
	where |= probe_ran(&probe);
	probe_free(&probe);
	T_ASSERT_EQ(where, 0);
}

/* --- functions that post ---------------------------------------------------------------------- */

/* A function of each level posts to the next CPU at each level but waits for nothing. */
static struct probe levels_nested[XC_LEVELS];
static _Atomic uint64_t levels_refused;

static void
levels_post_on(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		uint64_t where = xc_unicast(
		    calls_flags(level), probe_run, &levels_nested[level], NULL, calls_next_cpu());

		if (XC_ISERR(where))
			atomic_fetch_add_explicit(&levels_refused, 1, memory_order_relaxed);
	}
}

TEST_CASE(xcall_levels, functions_post_at_every_level)
{
	uint64_t ran = 0;
	bool right = true;

	atomic_store_explicit(&levels_refused, 0, memory_order_relaxed);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		probe_init(&levels_nested[level], level);
	for (unsigned i = 0; i < LEVELS_ROUNDS; i++) {
		for (unsigned level = XC_LEVEL_LOW; level < XC_LEVEL_NMI; level++) {
			right = xc_wait(xc_broadcast(
				    calls_flags(level), levels_post_on, NULL, NULL)) == 0 &&
			    right;
			ran++;
		}
		for (unsigned level = 0; level < XC_LEVELS; level++)
			xc_barrier(calls_flags(level));
	}
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		right = probe_right(&levels_nested[level], ran * ncpu, ran) && right;
		probe_free(&levels_nested[level]);
	}
	T_ASSERT_EQ(atomic_load_explicit(&levels_refused, memory_order_relaxed), 0);
	T_ASSERT(right);
}

/* --- tickets ---------------------------------------------------------------------------------- */

/* Who sees a call over may be faster than its target, which frees the slot only then.  Waits until
 * all of the calling CPU are free. */
static bool
levels_await_slots(void)
{
	return calls_spin_until(&xc_cpu_lookup(curcpu()->ci_index)->x_free, XC_ALL_FREE);
}

/* All slots of the calling CPU, which are free, issue the generation after this one next. */
static void
levels_set_generation(uint64_t generation)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	for (unsigned i = 0; i < XC_POOL; i++)
		atomic_store_explicit(&xc->x_slot[i].s_state,
		    xc_state_over(generation, XC_LEVEL_LOW), memory_order_relaxed);
}

/* Twice through all slots, across that generation; every other call to all CPUs.  XC_TRY keeps the
 * hard ones off the direct and the wide slot. */
static bool
levels_cross(struct probe *probe, enum xc_level level, uint64_t edge)
{
	uint64_t where = 0, expected = 0;
	bool right = true;

	if (!levels_await_slots())
		return false;
	levels_set_generation(edge - 2);
	probe_reset(probe, level);
	for (unsigned i = 0; i < 2 * XC_POOL && right; i++) {
		where = i % 2 != 0
		    ? xc_broadcast(calls_flags(level) | XC_TRY, probe_run, probe, NULL)
		    : xc_unicast(calls_flags(level) | XC_TRY, probe_run, probe, NULL,
			  cpu_lookup(i % ncpu));
		expected += i % 2 != 0 ? ncpu : 1;
		/* One that is not free yet would be passed over, and be a generation behind. */
		right = where != 0 && !XC_ISERR(where) && xc_wait(where) == 0 && xc_done(where) &&
		    probe_right(probe, expected, 0) && levels_await_slots() &&
		    xc_wait(where + (UINT64_C(1) << XC_TICKET_GENERATION_SHIFT)) == EINVAL;
	}
	return right && xc_ticket_generation(where) == edge;
}

TEST_CASE(xcall_levels, tickets_cross_all_edges_at_every_level)
{
	/* Bits 31 and 32, 40, 63 of a ticket; and of a generation. */
	static const unsigned bits[] = { 13, 14, 22, 25, 31, 32, 40, 45 };
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		for (unsigned i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
			wrong += !levels_cross(&probe, level, UINT64_C(1) << bits[i]);
	probe_free(&probe);
	T_ASSERT(levels_await_slots());
	/* Nobody keeps a ticket of these: back to where a slot has a century before it. */
	levels_set_generation(UINT64_C(1) << 34);
	T_ASSERT_EQ(wrong, 0);
}
