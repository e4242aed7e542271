/*
 * Rendezvous: phases in step, barriers left out, giving up (xcall/rendezvous.h).
 */
#include "xcall/rendezvous.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/xc_internal.h"

#define MEET_TIMEOUT_NS 20000000ull

static void
meet_all(struct cpuset *set)
{
	cpuset_zero(set);
	for (unsigned i = 0; i < ncpu; i++)
		cpuset_add(set, i);
}

static struct cpu_info *
meet_last_cpu(void)
{
	return cpu_lookup(ncpu - 1);
}

/* As a CPU that has left, or is back; it has nothing to do with cross calls meanwhile. */
static void
meet_set_target(struct cpu_info *ci, bool target)
{
	uint64_t bit = UINT64_C(1) << ci->ci_index % 64;
	_Atomic uint64_t *word = &xc_targets.t_set[ci->ci_index / 64];

	if (target) {
		atomic_fetch_or_explicit(word, bit, memory_order_release);
		atomic_fetch_add_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	} else {
		atomic_fetch_and_explicit(word, ~bit, memory_order_release);
		atomic_fetch_sub_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	}
}

/* --- a ledger of phases ----------------------------------------------------------------------------------- */

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

	meet_all(&set);
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
	struct cpu_info *off = meet_last_cpu();
	struct cpuset all, one;
	struct meet some, none;
	int error, nobody;

	if (ncpu == 1) {
		crew_free(mark, ncpu, sizeof(*mark));
		test_skip("needs another CPU");
		return;
	}
	meet_all(&all);
	cpuset_zero(&one);
	cpuset_add(&one, off->ci_index);
	meet_set_target(off, false);
	meet_init(&some, ncpu - 1, mark);
	error = meet_run(&some, &all, 0);
	meet_init(&none, 0, mark);
	nobody = meet_run(&none, &one, 0);
	meet_set_target(off, true);
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

	meet_all(&all);
	cpuset_zero(&other);
	cpuset_add(&other, curcpu()->ci_index + 1);
	CPU_INFO_FOREACH(ci)
		meet_set_target(ci, false);
	meet_init(&meet, 1, mark);
	error = meet_run(&meet, &all, 0);
	nobody = meet_run(&meet, &other, 0);
	CPU_INFO_FOREACH(ci)
		meet_set_target(ci, true);
	crew_free(mark, ncpu, sizeof(*mark));
	T_ASSERT_EQ(error, 0);
	T_ASSERT(meet_ok(&meet));
	T_ASSERT_EQ(nobody, EHOSTDOWN);
}

/* --- one after the other ---------------------------------------------------------------------------------- */

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

/* Each with arguments at the same place on the stack, which are overwritten as soon as it is over. */
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

	meet_all(&set);
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

	meet_all(&set);
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

/* --- barriers --------------------------------------------------------------------------------------------- */

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

/* Where a phase is NULL its barrier stands all the same; where it is left out there is one less, not none. */
TEST_CASE(xcall_rendezvous, a_phase_may_be_missing)
{
	void *n = (void *)(uintptr_t)ncpu;
	unsigned errors = 0, rounds = 1 + 8 / ncpu;
	uint64_t expected = 0;
	struct cpuset set;

	meet_all(&set);
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

/* A rendezvous by a thread of CPU 0 on two others, of which the last does not come. */
struct entry {
	struct cpuset set;
	xc_phase_t phase;
	_Atomic uint64_t done;
};

static void
entry_run(void *arg)
{
	struct entry *entry = arg;

	T_ASSERT_EQ(
	    xc_rendezvous(&entry->set, XC_NO_BARRIER, entry->phase, XC_NO_BARRIER, NULL, 0), 0);
	atomic_store_explicit(&entry->done, 1, memory_order_release);
}

/* Whether CPU 1 is in a hard function, sooner or later. */
static bool
entry_has_come(void)
{
	const struct xc_stack *stack = &xc_cpu_lookup(1)->x_stack[XC_LEVEL_HARD];
	uint64_t end = clock_ns() + 60000000000ull;

	while (xc_run_depth(stack) == 0 && clock_ns() < end)
		kthread_sleep_ns(1000000);
	return xc_run_depth(stack) != 0;
}

/* Whether the member that has come stands still, or goes on, while the other one has not. */
static bool
entry_check(xc_phase_t phase, bool stands)
{
	struct entry entry = { .phase = phase };
	struct counter counter;
	struct masked masked;
	struct crew_job job;
	uint64_t before;
	bool ok;

	cpuset_zero(&entry.set);
	cpuset_add(&entry.set, 1);
	cpuset_add(&entry.set, ncpu - 1);
	counter_begin(&counter, cpu_lookup(1));
	masked_begin(&masked, meet_last_cpu());
	crew_start(&job, cpu_lookup(0), PRI_USER, entry_run, &entry);
	if (stands) {
		ok = entry_has_come();
		before = meet_get(&counter.count);
		delay_us(20000);
		ok = ok && before == meet_get(&counter.count);
	} else {
		kthread_sleep_ns(50000000);
		ok = counter_moves(&counter);
	}
	ok = ok && meet_get(&entry.done) == 0;
	masked_end(&masked);
	crew_join(&job);
	counter_end(&counter);
	return ok;
}

TEST_CASE(xcall_rendezvous, members_wait_at_entry_unless_all_phases_are_left_out)
{
	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	T_ASSERT(entry_check(NULL, true));
	T_ASSERT(entry_check(XC_NO_BARRIER, false));
}

/* --- giving up -------------------------------------------------------------------------------------------- */

static _Atomic uint64_t late_ran;

static void
late_run(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&late_ran, 1, memory_order_relaxed);
}

/* A CPU does not come in time: nobody runs a phase, then or later. */
static void
late_check(bool member, bool barriers)
{
	struct cpuset set;
	struct masked masked;
	xc_phase_t phase = barriers ? late_run : XC_NO_BARRIER;
	uint64_t in_time, later;
	int error;

	meet_all(&set);
	if (!member)
		cpuset_remove(&set, 0);
	atomic_store_explicit(&late_ran, 0, memory_order_relaxed);
	masked_begin(&masked, meet_last_cpu());
	error = xc_rendezvous(&set, phase, phase, phase, NULL, MEET_TIMEOUT_NS);
	in_time = meet_get(&late_ran);
	masked_end(&masked);
	xc_barrier(XC_HARD);
	kthread_sleep_ns(10000000);
	later = meet_get(&late_ran);
	T_ASSERT_EQ(error, ETIMEDOUT);
	T_ASSERT_EQ(in_time + later, 0);
	/* And the next one is as ever. */
	T_ASSERT_EQ(xc_rendezvous(&set, late_run, NULL, late_run, NULL, 60000000000ull), 0);
	T_ASSERT_EQ(meet_get(&late_ran), 2 * cpuset_count(&set));
}

TEST_CASE(xcall_rendezvous, given_up_means_that_no_phase_runs)
{
	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	late_check(true, true);
	late_check(false, true);
	late_check(true, false);
	late_check(true, true);
}

/* The last one comes just when the caller gives up: all run all phases, or nobody runs any. */
#define RACE_ROUNDS 12

static void
race_masked(void *arg)
{
	_Atomic uint64_t *inside = arg;
	uint64_t random = clock_ns() | 1, end;
	bool intr = machine_intr_disable();

	atomic_store_explicit(inside, 1, memory_order_release);
	end = clock_ns() + MEET_TIMEOUT_NS / 20 - 200000 + crew_random(&random) % 400000;
	while (clock_ns() < end)
		machine_pause();
	machine_intr_restore(intr);
}

TEST_CASE(xcall_rendezvous, all_run_or_nobody_does)
{
	unsigned wrong = 0, given_up = 0;
	struct cpuset set;
	struct crew_job job;
	uint64_t ran;
	int error;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	meet_all(&set);
	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		_Atomic uint64_t inside = 0;

		atomic_store_explicit(&late_ran, 0, memory_order_relaxed);
		crew_start(
		    &job, meet_last_cpu(), PRI_KERNEL, race_masked, (void *)(uintptr_t)&inside);
		(void)test_wait_at_least(&inside, 1);
		error = xc_rendezvous(
		    &set, late_run, late_run, late_run, NULL, MEET_TIMEOUT_NS / 20);
		crew_join(&job);
		ran = meet_get(&late_ran);
		given_up += error == ETIMEDOUT;
		wrong += error == 0 ? ran != 3 * ncpu : error != ETIMEDOUT || ran != 0;
	}
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT(given_up <= RACE_ROUNDS);
}

/* --- with hard calls -------------------------------------------------------------------------------------- */

/*
 * B33: threads wait for hard calls and messages to each other with interrupts off, while rendezvous go on.  A CPU that
 * has come to one still serves; but when the first phase runs, nobody is in the middle of a served function.
 */
struct mix {
	_Atomic uint64_t *inside; /* by CPU: in a served function */
	_Atomic uint64_t stop, wrong, served;
};

static void
mix_serve(struct mix *mix)
{
	_Atomic uint64_t *inside = &mix->inside[curcpu()->ci_index];

	atomic_fetch_add_explicit(inside, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 50; i++)
		machine_pause();
	atomic_fetch_sub_explicit(inside, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&mix->served, 1, memory_order_relaxed);
}

static void
mix_call(void *arg1, void *arg2 __attribute__((unused)))
{
	mix_serve(arg1);
}

static void
mix_message(void *arg)
{
	mix_serve(arg);
}

static void
mix_thread(void *arg)
{
	struct mix *mix = arg;
	ipi_msg_t msg = { .func = mix_message, .arg = mix };
	struct cpu_info *next = cpu_lookup((curcpu()->ci_index + 1) % ncpu);
	bool intr;

	while (atomic_load_explicit(&mix->stop, memory_order_acquire) == 0) {
		intr = machine_intr_disable();
		T_ASSERT_EQ(xc_wait(xc_unicast(XC_HARD, mix_call, mix, NULL, next)), 0);
		ipi_unicast(&msg, next);
		ipi_wait(&msg);
		machine_intr_restore(intr);
		machine_pause();
	}
}

static void
mix_phase(void *arg)
{
	struct mix *mix = arg;

	for (unsigned i = 0; i < ncpu; i++)
		if (atomic_load_explicit(&mix->inside[i], memory_order_relaxed) != 0)
			atomic_fetch_add_explicit(&mix->wrong, 1, memory_order_relaxed);
}

TEST_CASE(xcall_rendezvous, entry_serves_hard_calls_and_phases_do_not)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	unsigned errors = 0, rounds = 1 + 8 / ncpu;
	struct mix mix = { .inside = crew_alloc(ncpu, sizeof(uint64_t)) };
	struct cpu_info *ci;
	struct cpuset set;

	meet_all(&set);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_USER, mix_thread, &mix);
	T_ASSERT(test_wait_at_least(&mix.served, 1));
	for (unsigned i = 0; i < rounds; i++) {
		errors += xc_rendezvous(&set, mix_phase, mix_phase, mix_phase, &mix, 0) != 0;
		kthread_yield();
	}
	atomic_store_explicit(&mix.stop, 1, memory_order_release);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	crew_free((void *)(uintptr_t)mix.inside, ncpu, sizeof(uint64_t));
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(errors, 0);
	T_ASSERT_EQ(meet_get(&mix.wrong), 0);
}

/* B41: what a phase makes ready runs after the last one. */
struct wake {
	kmutex_t lock;
	kcondvar_t wakened;
	bool go;
	_Atomic uint64_t phases, early, ready;
};

static void
wake_sleeper(void *arg)
{
	struct wake *wake = arg;

	mutex_enter(&wake->lock);
	atomic_fetch_add_explicit(&wake->ready, 1, memory_order_release);
	while (!wake->go)
		cv_wait(&wake->wakened, &wake->lock);
	mutex_exit(&wake->lock);
	if (meet_get(&wake->phases) != 3 * ncpu)
		atomic_fetch_add_explicit(&wake->early, 1, memory_order_relaxed);
}

static void
wake_action(void *arg)
{
	struct wake *wake = arg;

	mutex_enter(&wake->lock);
	wake->go = true;
	cv_broadcast(&wake->wakened);
	mutex_exit(&wake->lock);
	atomic_fetch_add_explicit(&wake->phases, 1, memory_order_relaxed);
}

TEST_CASE(xcall_rendezvous, who_is_wakened_runs_afterwards)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct wake wake = { .go = false };
	struct cpu_info *ci;
	struct cpuset set;

	mutex_init(&wake.lock, MUTEX_DEFAULT, IPL_HIGH, "wake");
	cv_init(&wake.wakened, "wake");
	meet_all(&set);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_XCALL - 1, wake_sleeper, &wake);
	T_ASSERT(test_wait_at_least(&wake.ready, ncpu));
	T_ASSERT_EQ(xc_rendezvous(&set, wake_action, wake_action, wake_action, &wake, 0), 0);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	cv_destroy(&wake.wakened);
	mutex_destroy(&wake.lock);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(meet_get(&wake.early), 0);
}
