/*
 * Rendezvous: who comes, who is waited for, who is served meanwhile, and giving up
 * (xcall/rendezvous.h).
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_internal.h"

#define ENTRY_TIMEOUT_NS 10000000ull

static uint64_t
entry_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- entry ------------------------------------------------------------------------------------ */

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
	masked_begin(&masked, others_last());
	crew_start(&job, cpu_lookup(0), PRI_USER, entry_run, &entry);
	if (stands) {
		ok = entry_has_come();
		before = entry_get(&counter.count);
		delay_us(5000);
		ok = ok && before == entry_get(&counter.count);
	} else {
		kthread_sleep_ns(10000000);
		ok = counter_moves(&counter);
	}
	ok = ok && entry_get(&entry.done) == 0;
	masked_end(&masked);
	crew_join(&job);
	counter_end(&counter);
	return ok;
}

TEST_CASE(xcall_entry, members_wait_at_entry_unless_all_phases_are_left_out)
{
	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	T_ASSERT(entry_check(NULL, true));
	T_ASSERT(entry_check(XC_NO_BARRIER, false));
}

/* --- giving up -------------------------------------------------------------------------------- */

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

	others_all(&set);
	if (!member)
		cpuset_remove(&set, 0);
	atomic_store_explicit(&late_ran, 0, memory_order_relaxed);
	masked_begin(&masked, others_last());
	error = xc_rendezvous(&set, phase, phase, phase, NULL, ENTRY_TIMEOUT_NS);
	in_time = entry_get(&late_ran);
	masked_end(&masked);
	xc_barrier(XC_HARD);
	kthread_sleep_ns(10000000);
	later = entry_get(&late_ran);
	T_ASSERT_EQ(error, ETIMEDOUT);
	T_ASSERT_EQ(in_time + later, 0);
	/* And the next one is as ever. */
	T_ASSERT_EQ(xc_rendezvous(&set, late_run, NULL, late_run, NULL, 60000000000ull), 0);
	T_ASSERT_EQ(entry_get(&late_ran), 2 * cpuset_count(&set));
}

TEST_CASE(xcall_entry, given_up_means_that_no_phase_runs)
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
	end = clock_ns() + ENTRY_TIMEOUT_NS / 10 - 200000 + crew_random(&random) % 400000;
	while (clock_ns() < end)
		machine_pause();
	machine_intr_restore(intr);
}

TEST_CASE(xcall_entry, all_run_or_nobody_does)
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
	others_all(&set);
	for (unsigned i = 0; i < RACE_ROUNDS; i++) {
		_Atomic uint64_t inside = 0;

		atomic_store_explicit(&late_ran, 0, memory_order_relaxed);
		crew_start(
		    &job, others_last(), PRI_KERNEL, race_masked, (void *)(uintptr_t)&inside);
		(void)test_wait_at_least(&inside, 1);
		error = xc_rendezvous(
		    &set, late_run, late_run, late_run, NULL, ENTRY_TIMEOUT_NS / 10);
		crew_join(&job);
		ran = entry_get(&late_ran);
		given_up += error == ETIMEDOUT;
		wrong += error == 0 ? ran != 3 * ncpu : error != ETIMEDOUT || ran != 0;
	}
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT(given_up <= RACE_ROUNDS);
}

/* --- with hard calls -------------------------------------------------------------------------- */

/*
 * B33: threads wait for hard calls and messages to each other with interrupts off, while rendezvous
 * go on.  A CPU that has come to one still serves; but when the first phase runs, nobody is in the
 * middle of a served function.
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

TEST_CASE(xcall_entry, entry_serves_hard_calls_and_phases_do_not)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	unsigned errors = 0, rounds = 1 + 8 / ncpu;
	struct mix mix = { .inside = crew_alloc(ncpu, sizeof(uint64_t)) };
	struct cpu_info *ci;
	struct cpuset set;

	others_all(&set);
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
	T_ASSERT_EQ(entry_get(&mix.wrong), 0);
}

/* The last member wants something of those that have come, and spins for it where it serves nothing
 * itself. */
struct want {
	_Atomic uint64_t ran, inside, done;
};

static void
want_call(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&((struct want *)arg1)->ran, 1, memory_order_release);
}

static void
want_message(void *arg)
{
	want_call(arg, NULL);
}

static void
want_thread(void *arg)
{
	unsigned others = ncpu - 1;
	ipi_msg_t msg = { .func = want_message, .arg = arg };
	struct want *want = arg;
	bool intr = machine_intr_disable();

	atomic_store_explicit(&want->inside, 1, memory_order_release);
	for (unsigned i = 0; i < others; i++)
		while (xc_run_depth(&xc_cpu_lookup(i)->x_stack[XC_LEVEL_HARD]) == 0)
			machine_pause();
	for (unsigned i = 0; i < others; i++)
		(void)xc_unicast(XC_HARD, want_call, want, NULL, cpu_lookup(i));
	ipi_broadcast(&msg, true);
	while (atomic_load_explicit(&want->ran, memory_order_acquire) < 2 * others)
		machine_pause();
	machine_intr_restore(intr);
	ipi_wait(&msg);
}

static void
want_phase(void *arg)
{
	atomic_fetch_add_explicit(&((struct want *)arg)->done, 1, memory_order_relaxed);
}

TEST_CASE(xcall_entry, who_has_come_serves_who_has_not)
{
	struct want want = { .ran = 0 };
	struct crew_job job;
	struct cpuset set;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	others_all(&set);
	crew_start(&job, others_last(), PRI_KERNEL, want_thread, &want);
	T_ASSERT(test_wait_at_least(&want.inside, 1));
	T_ASSERT_EQ(xc_rendezvous(&set, want_phase, NULL, want_phase, &want, 0), 0);
	crew_join(&job);
	T_ASSERT_EQ(entry_get(&want.done), 2 * ncpu);
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
	if (entry_get(&wake->phases) != 3 * ncpu)
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

TEST_CASE(xcall_entry, who_is_wakened_runs_afterwards)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct wake wake = { .go = false };
	struct cpu_info *ci;
	struct cpuset set;

	mutex_init(&wake.lock, MUTEX_DEFAULT, IPL_HIGH, "wake");
	cv_init(&wake.wakened, "wake");
	others_all(&set);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_XCALL - 1, wake_sleeper, &wake);
	T_ASSERT(test_wait_at_least(&wake.ready, ncpu));
	T_ASSERT_EQ(xc_rendezvous(&set, wake_action, wake_action, wake_action, &wake, 0), 0);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	cv_destroy(&wake.wakened);
	mutex_destroy(&wake.lock);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(entry_get(&wake.early), 0);
}
