/*
 * Barriers and drains of every level: what they wait for, and what they do not.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/softint.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"

#define BARRIER_ROUNDS ROUNDS(12)

/* --- sections --------------------------------------------------------------------------------- */

/* A thread that goes in and out of sections that keep a level off its CPU; the number is odd
 * inside. */
struct section {
	enum xc_level level;
	_Atomic uint64_t number;
	_Atomic uint64_t *stop;
	struct crew_job job;
};

static void
section_inside(void *arg)
{
	struct section *section = arg;

	atomic_fetch_add_explicit(&section->number, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 1000; i++)
		machine_pause();
	atomic_fetch_add_explicit(&section->number, 1, memory_order_relaxed);
}

/* With preemption off, in a soft interrupt of the highest level, with interrupts off. */
static void
section_enter(struct section *section, void *soft)
{
	bool intr;

	switch (section->level) {
	case XC_LEVEL_LOW:
		kpreempt_disable();
		section_inside(section);
		kpreempt_enable();
		break;
	case XC_LEVEL_HARD:
		intr = machine_intr_disable();
		section_inside(section);
		machine_intr_restore(intr);
		break;
	default:
		softint_schedule(soft);
		break;
	}
}

static void
section_loop(void *arg)
{
	struct section *section = arg;
	void *soft = softint_establish(SOFTINT_SERIAL, section_inside, section);

	T_ASSERT(soft != NULL);
	while (atomic_load_explicit(section->stop, memory_order_acquire) == 0)
		section_enter(section, soft);
	softint_disestablish(soft);
}

/* Which sections stood before the barrier and still stand after it. */
static unsigned
barrier_round(struct section *section, uint64_t *before, enum xc_level level, unsigned *inside)
{
	unsigned standing = 0;

	for (unsigned i = 0; i < ncpu; i++)
		before[i] = atomic_load_explicit(&section[i].number, memory_order_acquire);
	xc_barrier(calls_flags(level));
	for (unsigned i = 0; i < ncpu; i++) {
		if (before[i] % 2 == 0)
			continue;
		*inside += 1;
		standing += before[i] ==
		    atomic_load_explicit(&section[i].number, memory_order_acquire);
	}
	return standing;
}

/* Sections of one kind, barriers of the same level and of those that it keeps off as well. */
static unsigned
barrier_against(enum xc_level kind, enum xc_level level, unsigned *inside)
{
	struct section *section = crew_alloc(ncpu, sizeof(*section));
	uint64_t *before = crew_alloc(ncpu, sizeof(*before));
	unsigned standing = 0;
	_Atomic uint64_t stop = 0;

	for (unsigned i = 0; i < ncpu; i++) {
		section[i].level = kind;
		section[i].stop = &stop;
		crew_start(&section[i].job, cpu_lookup(i), PRI_USER, section_loop, &section[i]);
	}
	for (unsigned round = 0; round < BARRIER_ROUNDS; round++)
		standing += barrier_round(section, before, level, inside);
	atomic_store_explicit(&stop, 1, memory_order_release);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&section[i].job);
	crew_free(section, ncpu, sizeof(*section));
	crew_free(before, ncpu, sizeof(*before));
	return standing;
}

TEST_CASE(xcall_barrier, the_low_barrier_waits_out_preemption_off)
{
	unsigned inside = 0;

	T_ASSERT_EQ(barrier_against(XC_LEVEL_LOW, XC_LEVEL_LOW, &inside), 0);
	T_ASSERT(inside != 0 || ncpu == 1);
}

TEST_CASE(xcall_barrier, soft_barriers_wait_out_soft_interrupts)
{
	unsigned inside = 0;

	T_ASSERT_EQ(barrier_against(XC_LEVEL_SOFTSERIAL, XC_LEVEL_SOFTSERIAL, &inside), 0);
	T_ASSERT_EQ(barrier_against(XC_LEVEL_SOFTSERIAL, XC_LEVEL_SOFTCLOCK, &inside), 0);
	T_ASSERT_EQ(barrier_against(XC_LEVEL_SOFTSERIAL, XC_LEVEL_LOW, &inside), 0);
	T_ASSERT(inside != 0 || ncpu == 1);
}

TEST_CASE(xcall_barrier, the_hard_barrier_waits_out_interrupts_off)
{
	unsigned inside = 0;

	T_ASSERT_EQ(barrier_against(XC_LEVEL_HARD, XC_LEVEL_HARD, &inside), 0);
	T_ASSERT_EQ(barrier_against(XC_LEVEL_HARD, XC_LEVEL_SOFTNET, &inside), 0);
	T_ASSERT_EQ(barrier_against(XC_LEVEL_HARD, XC_LEVEL_LOW, &inside), 0);
	T_ASSERT(inside != 0 || ncpu == 1);
}

/* --- what it orders --------------------------------------------------------------------------- */

/*
 * Writers that look at a flag inside sections, and a thread that takes it away, waits, and then
 * expects that nobody writes any more: what the barrier is used for.
 */
static _Atomic uint64_t rule_allowed, rule_writes;

static void
rule_writer(void *arg)
{
	_Atomic uint64_t *stop = arg;

	while (atomic_load_explicit(stop, memory_order_acquire) == 0) {
		kpreempt_disable();
		/* Relaxed: the barrier orders it. */
		if (atomic_load_explicit(&rule_allowed, memory_order_relaxed) != 0) {
			for (unsigned i = 0; i < 50; i++)
				machine_pause();
			atomic_fetch_add_explicit(&rule_writes, 1, memory_order_relaxed);
		}
		kpreempt_enable();
		machine_pause();
	}
}

TEST_CASE(xcall_barrier, after_the_barrier_all_cpus_see_what_was_before)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	_Atomic uint64_t stop = 0;
	uint64_t broken = 0;

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_USER, rule_writer, &stop);
	for (unsigned round = 0; round < BARRIER_ROUNDS; round++) {
		uint64_t writes;

		atomic_store_explicit(&rule_allowed, 1, memory_order_relaxed);
		kthread_sleep_ns(1000000);
		atomic_store_explicit(&rule_allowed, 0, memory_order_relaxed);
		xc_barrier(0);
		writes = atomic_load_explicit(&rule_writes, memory_order_relaxed);
		for (unsigned i = 0; i < 2000; i++)
			machine_pause();
		broken += atomic_load_explicit(&rule_writes, memory_order_relaxed) != writes;
	}
	atomic_store_explicit(&stop, 1, memory_order_release);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(broken, 0);
	T_ASSERT(atomic_load_explicit(&rule_writes, memory_order_relaxed) != 0);
}

/* --- suspended functions ---------------------------------------------------------------------- */

/* A low-priority function on this CPU that waits for a call to a CPU that does not answer. */
struct suspended {
	struct cpu_info *dead;
	_Atomic uint64_t begun, ended, drained;
};

static void
suspended_nothing(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

static void
suspended_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct suspended *s = arg1;
	uint64_t where = xc_unicast(0, suspended_nothing, NULL, NULL, s->dead);

	atomic_store_explicit(&s->begun, 1, memory_order_release);
	(void)xc_wait(where);
	atomic_store_explicit(&s->ended, 1, memory_order_release);
}

static void
suspended_drain(void *arg)
{
	struct suspended *s = arg;

	xc_drain(0);
	atomic_store_explicit(&s->drained,
	    1 + atomic_load_explicit(&s->ended, memory_order_acquire), memory_order_release);
}

/* The barrier does not wait for it, the drain does. */
static void
suspended_case(bool descriptor)
{
	struct suspended s = { .dead = others_last() };
	static struct xc_call call;
	struct crew_job job;
	struct masked masked;
	uint64_t barrier_ended, drained;

	xc_call_init(&call, suspended_run, &s, NULL);
	masked_begin(&masked, s.dead);
	if (descriptor)
		T_ASSERT_EQ(xc_call_post(&call, 0, curcpu()), 0);
	else
		(void)xc_unicast(0, suspended_run, &s, NULL, curcpu());
	T_ASSERT(test_wait_at_least(&s.begun, 1));
	/* The barrier is about the CPUs that answer. */
	others_set_target(s.dead, false);
	xc_barrier(0);
	others_set_target(s.dead, true);
	barrier_ended = atomic_load_explicit(&s.ended, memory_order_acquire);
	crew_start(&job, curcpu(), PRI_KERNEL, suspended_drain, &s);
	kthread_sleep_ns(50000000);
	drained = atomic_load_explicit(&s.drained, memory_order_acquire);
	masked_end(&masked);
	crew_join(&job);
	T_ASSERT(barrier_ended == 0 && drained == 0);
	T_ASSERT_EQ(atomic_load_explicit(&s.drained, memory_order_acquire), 2);
}

TEST_CASE(xcall_barrier, the_barrier_passes_suspended_functions_and_the_drain_does_not)
{
	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	suspended_case(false);
	suspended_case(true);
}

/* --- drains ----------------------------------------------------------------------------------- */

#define DRAIN_CALLS 24

/* Tickets and descriptors from here and from the others: over after the drain, to the last
 * store. */
static unsigned
drain_round(struct probe *probe, enum xc_level level, struct xc_call *call)
{
	unsigned flags = calls_flags(level), wrong = 0;
	uint64_t where[DRAIN_CALLS];

	probe_reset(probe, level);
	for (unsigned i = 0; i < DRAIN_CALLS; i++) {
		struct cpu_info *ci = cpu_lookup(i % ncpu);

		where[i] = xc_unicast(flags, probe_run, probe, NULL, ci);
		xc_call_init(&call[i], probe_run, probe, NULL);
		if (level != XC_LEVEL_NMI)
			wrong += xc_call_post(&call[i], flags, ci) != 0;
	}
	xc_drain(flags);
	for (unsigned i = 0; i < DRAIN_CALLS; i++) {
		wrong += !xc_done(where[i]) || !xc_call_done(&call[i]);
		/* It is the caller's again: whoever still had it would trip over this. */
		xc_call_init(&call[i], suspended_nothing, NULL, NULL);
	}
	return wrong + !probe_right(probe, DRAIN_CALLS * (level != XC_LEVEL_NMI ? 2 : 1), 0);
}

TEST_CASE(xcall_barrier, after_a_drain_all_calls_are_over_and_descriptors_free)
{
	struct xc_call *call = crew_alloc(DRAIN_CALLS, sizeof(*call));
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned round = 0; round < BARRIER_ROUNDS; round++)
		for (unsigned level = 0; level < XC_LEVELS; level++)
			wrong += drain_round(&probe, level, call);
	probe_free(&probe);
	crew_free(call, DRAIN_CALLS, sizeof(*call));
	T_ASSERT_EQ(wrong, 0);
}

/* The end of a descriptor comes after its function, and a drain that falls between waits for that
 * too. */
TEST_CASE(xcall_barrier, a_drain_meets_the_end_of_a_descriptor)
{
	static struct xc_call call;
	struct cpu_info *ci = others_last();
	struct probe probe;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned round = 0; round < 20 * BARRIER_ROUNDS; round++) {
		enum xc_level level = round % XC_LEVEL_NMI;

		probe_reset(&probe, level);
		xc_call_init(&call, probe_run, &probe, NULL);
		wrong += xc_call_post(&call, calls_flags(level), ci) != 0;
		while (probe_ran(&probe) == 0)
			machine_pause();
		xc_drain(calls_flags(level));
		wrong += !xc_call_done(&call);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* Plain memory on purpose: only the drain orders it. */
struct drained {
	enum xc_level level;
	uint64_t value, by_ticket, by_descriptor;
	struct xc_call call;
	_Atomic uint64_t posted;
};

static void
drained_write(void *arg1, void *arg2)
{
	*(uint64_t *)arg1 = *(const uint64_t *)arg2;
}

static void
drained_poster(void *arg)
{
	struct drained *d = arg;
	unsigned flags = calls_flags(d->level);

	(void)xc_unicast(flags, drained_write, &d->by_ticket, &d->value, cpu_lookup(1));
	if (d->level != XC_LEVEL_NMI)
		T_ASSERT_EQ(xc_call_post(&d->call, flags, cpu_lookup(1)), 0);
	atomic_store_explicit(&d->posted, 1, memory_order_release);
}

/* Calls of somebody else, that are over before the drain, or not: it has what they did. */
TEST_CASE(xcall_barrier, after_a_drain_what_the_functions_did_is_seen)
{
	struct drained d = { .value = 0 };
	struct crew_job job;
	unsigned wrong = 0;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	for (unsigned round = 0; round < 2 * XC_LEVELS; round++) {
		d.level = round / 2;
		d.value = round + 1;
		atomic_store_explicit(&d.posted, 0, memory_order_relaxed);
		xc_call_init(&d.call, drained_write, &d.by_descriptor, &d.value);
		crew_start(&job, others_last(), PRI_KERNEL, drained_poster, &d);
		wrong += !test_wait_at_least(&d.posted, 1);
		if (round % 2 != 0)
			kthread_sleep_ns(2000000);
		xc_drain(calls_flags(d.level));
		wrong += d.by_ticket != d.value;
		wrong += d.level != XC_LEVEL_NMI && d.by_descriptor != d.value;
		crew_join(&job);
	}
	T_ASSERT_EQ(wrong, 0);
}

static void
drain_gate(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

TEST_CASE(xcall_barrier, a_drain_leaves_other_levels_alone)
{
	struct gate gate;
	uint64_t where;
	bool early;

	gate_init(&gate);
	where = xc_unicast(0, drain_gate, &gate, NULL, others_last());
	for (unsigned level = XC_LEVEL_SOFTCLOCK; level < XC_LEVELS; level++)
		xc_drain(calls_flags(level));
	early = xc_done(where);
	gate_open(&gate);
	xc_drain(0);
	T_ASSERT(!early && xc_done(where));
	gate_destroy(&gate);
}

/* Posts without end, each waited for by nobody. */
static void
drain_poster(void *arg)
{
	_Atomic uint64_t *stop = arg;

	while (atomic_load_explicit(stop, memory_order_acquire) == 0)
		(void)xc_unicast(0, suspended_nothing, NULL, NULL, calls_next_cpu());
}

TEST_CASE(xcall_barrier, a_drain_does_not_wait_for_calls_that_come_later)
{
	_Atomic uint64_t stop = 0;
	struct crew_job job;

	crew_start(&job, others_last(), PRI_USER, drain_poster, &stop);
	for (unsigned i = 0; i < BARRIER_ROUNDS; i++)
		xc_drain(0);
	atomic_store_explicit(&stop, 1, memory_order_release);
	crew_join(&job);
	xc_drain(0);
}
