/*
 * Rendezvous: phases in step, one after the other (xcall/rendezvous.h).
 */
#include "xcall/rendezvous.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"

/* --- a ledger of phases ----------------------------------------------------------------------- */

struct meet {
	unsigned members;
	uint64_t random;
	_Atomic uint64_t begun[3], ended[3], wrong;
	uint64_t *mark; /* by CPU; plain: the barriers make it visible */
};

static void
meet_init(struct meet *meet, unsigned members, uint64_t *mark)
{
	*meet = (struct meet){ .members = members, .mark = mark, .random = clock_ns() | 1 };
	for (unsigned i = 0; i < ncpu; i++)
		mark[i] = 0;
}

static uint64_t
meet_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* Nobody is here before all have ended the phase before, and what they wrote is there. */
static void
meet_check(struct meet *meet, unsigned phase)
{
	unsigned marks = 0;

	if (!cpu_intr_p() || cpu_nmi_p() || machine_intr_enabled() ||
	    (phase < 2 && meet_get(&meet->begun[phase + 1]) != 0))
		atomic_fetch_add_explicit(&meet->wrong, 1, memory_order_relaxed);
	if (phase == 0)
		return;
	for (unsigned i = 0; i < ncpu; i++)
		marks += meet->mark[i] == 1;
	if (meet_get(&meet->ended[phase - 1]) != meet->members || marks != meet->members)
		atomic_fetch_add_explicit(&meet->wrong, 1, memory_order_relaxed);
}

static void
meet_phase(struct meet *meet, unsigned phase)
{
	uint64_t random = meet->random + curcpu()->ci_index * 7919 + phase;

	atomic_fetch_add_explicit(&meet->begun[phase], 1, memory_order_relaxed);
	meet_check(meet, phase);
	/* Some are slower than others. */
	if (crew_random(&random) % 4 == 0)
		for (uint64_t spin = random / 4 % 400; spin != 0; spin--)
			machine_pause();
	if (phase == 0)
		meet->mark[curcpu()->ci_index]++;
	atomic_fetch_add_explicit(&meet->ended[phase], 1, memory_order_relaxed);
}

static void
meet_setup(void *arg)
{
	meet_phase(arg, 0);
}

static void
meet_action(void *arg)
{
	meet_phase(arg, 1);
}

static void
meet_teardown(void *arg)
{
	meet_phase(arg, 2);
}

/* Whether all members went through all phases once, in step. */
static bool
meet_ok(struct meet *meet)
{
	bool ok = meet_get(&meet->wrong) == 0;

	for (unsigned phase = 0; phase < 3; phase++)
		ok = ok && meet_get(&meet->begun[phase]) == meet->members &&
		    meet_get(&meet->ended[phase]) == meet->members;
	return ok;
}

static int
meet_run(struct meet *meet, const struct cpuset *set, uint64_t timeout_ns)
{
	return xc_rendezvous(set, meet_setup, meet_action, meet_teardown, meet, timeout_ns);
}

TEST_CASE(xcall_rendezvous, nobody_is_a_phase_ahead)
{
	uint64_t *mark = crew_alloc(ncpu, sizeof(*mark));
	unsigned wrong = 0, rounds = 1 + 32 / ncpu;
	struct cpuset set;
	struct meet meet;

	others_all(&set);
	for (unsigned i = 0; i < rounds; i++) {
		meet_init(&meet, ncpu, mark);
		wrong += meet_run(&meet, &set, i % 2 * 60000000000ull) != 0 || !meet_ok(&meet);
	}
	crew_free(mark, ncpu, sizeof(*mark));
	T_ASSERT_EQ(wrong, 0);
}

/* Without the caller's CPU, and the caller's CPU alone. */
TEST_CASE(xcall_rendezvous, members_are_those_of_the_set)
{
	uint64_t *mark = crew_alloc(ncpu, sizeof(*mark));
	struct cpuset set;
	struct meet meet;
	bool ok;
	int error;

	cpuset_zero(&set);
	meet_init(&meet, 0, mark);
	ok = meet_run(&meet, &set, 0) == EHOSTDOWN && meet_ok(&meet);
	cpuset_add(&set, 0);
	meet_init(&meet, 1, mark);
	ok = meet_run(&meet, &set, 0) == 0 && meet_ok(&meet) && mark[0] == 1 && ok;
	for (unsigned i = 0; i < ncpu; i++)
		cpuset_add(&set, i);
	cpuset_remove(&set, 0);
	meet_init(&meet, ncpu - 1, mark);
	error = meet_run(&meet, &set, 0);
	ok = error == (ncpu > 1 ? 0 : EHOSTDOWN) && meet_ok(&meet) && mark[0] == 0 && ok;
	crew_free(mark, ncpu, sizeof(*mark));
	T_ASSERT(ok);
}

TEST_CASE(xcall_rendezvous, offline_cpus_are_passed_over)
{
	uint64_t *mark = crew_alloc(ncpu, sizeof(*mark));
	struct cpu_info *off = others_last();
	struct cpuset all, one;
	struct meet some, none;
	int error, nobody;

	if (ncpu == 1) {
		crew_free(mark, ncpu, sizeof(*mark));
		test_skip("needs another CPU");
		return;
	}
	others_all(&all);
	cpuset_zero(&one);
	cpuset_add(&one, off->ci_index);
	others_set_target(off, false);
	meet_init(&some, ncpu - 1, mark);
	error = meet_run(&some, &all, 0);
	meet_init(&none, 0, mark);
	nobody = meet_run(&none, &one, 0);
	others_set_target(off, true);
	crew_free(mark, ncpu, sizeof(*mark));
	T_ASSERT_EQ(error, 0);
	T_ASSERT(meet_ok(&some));
	T_ASSERT_EQ(nobody, EHOSTDOWN);
	T_ASSERT(meet_ok(&none));
}

TEST_CASE(xcall_rendezvous, runs_inline_while_nobody_is_up)
{
	uint64_t *mark = crew_alloc(ncpu, sizeof(*mark));
	struct cpuset all, other;
	struct cpu_info *ci;
	struct meet meet;
	int error, nobody;

	others_all(&all);
	cpuset_zero(&other);
	cpuset_add(&other, curcpu()->ci_index + 1);
	CPU_INFO_FOREACH(ci)
		others_set_target(ci, false);
	meet_init(&meet, 1, mark);
	error = meet_run(&meet, &all, 0);
	nobody = meet_run(&meet, &other, 0);
	CPU_INFO_FOREACH(ci)
		others_set_target(ci, true);
	crew_free(mark, ncpu, sizeof(*mark));
	T_ASSERT_EQ(error, 0);
	T_ASSERT(meet_ok(&meet));
	T_ASSERT_EQ(nobody, EHOSTDOWN);
}

/* --- one after the other ---------------------------------------------------------------------- */

/* B13: a slow member of one must not see the next one's arguments, nor its counters. */
struct follow {
	uint64_t number;
	_Atomic uint64_t ran, wrong;
};

static _Atomic uint64_t follow_current;

static void
follow_phase(void *arg)
{
	struct follow *follow = arg;

	if (follow->number != atomic_load_explicit(&follow_current, memory_order_relaxed))
		atomic_fetch_add_explicit(&follow->wrong, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&follow->ran, 1, memory_order_relaxed);
}

/* Each with arguments at the same place on the stack, which are overwritten as soon as it is
 * over. */
static bool
follow_once(const struct cpuset *set, uint64_t number)
{
	struct follow follow = { .number = number };
	bool ok;

	atomic_store_explicit(&follow_current, number, memory_order_relaxed);
	ok = xc_rendezvous(set, number % 2 != 0 ? follow_phase : XC_NO_BARRIER, follow_phase,
		 number % 3 != 0 ? follow_phase : NULL, &follow, 0) == 0 &&
	    meet_get(&follow.wrong) == 0 &&
	    meet_get(&follow.ran) ==
		(1 + (number % 2 != 0) + (number % 3 != 0)) * cpuset_count(set);
	follow.number = UINT64_MAX;
	return ok;
}

TEST_CASE(xcall_rendezvous, arguments_are_those_of_its_own)
{
	unsigned wrong = 0, rounds = 1 + 48 / ncpu;
	struct cpuset set;

	others_all(&set);
	for (uint64_t i = 1; i <= rounds; i++) {
		/* Members change too. */
		if (i % 4 == 0)
			cpuset_remove(&set, ncpu - 1);
		if (!cpuset_empty(&set))
			wrong += !follow_once(&set, i);
		cpuset_add(&set, ncpu - 1);
	}
	T_ASSERT_EQ(wrong, 0);
}

/* B37: several callers at once, each on all CPUs: one global order, no deadlock. */
struct callers {
	unsigned rounds;
	_Atomic uint64_t owner, wrong; /* whose phases run now, plus 1 */
};

struct callers_arg {
	struct callers *callers;
	uint64_t self;
};

static void
callers_setup(void *arg)
{
	struct callers_arg *a = arg;
	uint64_t before = atomic_exchange_explicit(
	    &a->callers->owner, a->self, memory_order_relaxed);

	if (before != 0 && before != a->self)
		atomic_fetch_add_explicit(&a->callers->wrong, 1, memory_order_relaxed);
}

static void
callers_action(void *arg)
{
	struct callers_arg *a = arg;

	if (meet_get(&a->callers->owner) != a->self)
		atomic_fetch_add_explicit(&a->callers->wrong, 1, memory_order_relaxed);
}

static void
callers_teardown(void *arg)
{
	atomic_store_explicit(
	    &((struct callers_arg *)arg)->callers->owner, 0, memory_order_relaxed);
}

static void
callers_thread(void *arg)
{
	struct callers_arg a = { arg, curcpu()->ci_index + 1 };
	struct cpuset set;

	others_all(&set);
	for (unsigned i = 0; i < a.callers->rounds; i++)
		T_ASSERT_EQ(xc_rendezvous(&set, callers_setup, callers_action, callers_teardown, &a,
				i % 2 * 60000000000ull),
		    0);
}

TEST_CASE(xcall_rendezvous, callers_take_turns)
{
	struct callers callers = { .rounds = 1 + 40 / (ncpu * ncpu) };
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, callers_thread, &callers);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(meet_get(&callers.wrong), 0);
}

/* --- barriers --------------------------------------------------------------------------------- */

static _Atomic uint64_t barrier_ran, barrier_wrong;

static void
barrier_first(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&barrier_ran, 1, memory_order_relaxed);
}

static void
barrier_after(void *arg)
{
	if (meet_get(&barrier_ran) != (uintptr_t)arg)
		atomic_fetch_add_explicit(&barrier_wrong, 1, memory_order_relaxed);
}

/* Where a phase is NULL its barrier stands all the same; where it is left out there is one less,
 * not none. */
TEST_CASE(xcall_rendezvous, a_phase_may_be_missing)
{
	void *n = (void *)(uintptr_t)ncpu;
	unsigned errors = 0, rounds = 1 + 8 / ncpu;
	uint64_t expected = 0;
	struct cpuset set;

	others_all(&set);
	atomic_store_explicit(&barrier_wrong, 0, memory_order_relaxed);
	for (unsigned i = 0; i < rounds; i++) {
		atomic_store_explicit(&barrier_ran, 0, memory_order_relaxed);
		errors += xc_rendezvous(&set, barrier_first, NULL, barrier_after, n, 0) != 0;
		atomic_store_explicit(&barrier_ran, 0, memory_order_relaxed);
		errors += xc_rendezvous(&set, barrier_first, XC_NO_BARRIER, barrier_after, n, 0) !=
		    0;
		atomic_store_explicit(&barrier_ran, 0, memory_order_relaxed);
		errors += xc_rendezvous(&set, XC_NO_BARRIER, barrier_first, barrier_after, n, 0) !=
		    0;
		errors += xc_rendezvous(&set, NULL, NULL, barrier_first, NULL, 0) != 0;
		expected = 2ull * ncpu;
		errors += meet_get(&barrier_ran) != expected;
		errors += xc_rendezvous(&set, NULL, NULL, NULL, NULL, 0) != 0;
		errors += xc_rendezvous(&set, XC_NO_BARRIER, XC_NO_BARRIER, NULL, NULL, 0) != 0;
	}
	T_ASSERT_EQ(errors, 0);
	T_ASSERT_EQ(meet_get(&barrier_wrong), 0);
	T_ASSERT_EQ(meet_get(&barrier_ran), expected);
}
