/*
 * Cross calls by descriptor: the life of one, any number of them, and what a cancel leaves to the
 * target.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/string.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_descriptor.h"

#define DESCRIPTOR_ROUNDS ROUNDS(15)
/* Far more than any pool. */
#define DESCRIPTOR_MANY 1000

static _Atomic uint64_t descriptor_ran;

static void
descriptor_count(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&descriptor_ran, 1, memory_order_release);
}

static uint64_t
descriptor_counted(void)
{
	return atomic_load_explicit(&descriptor_ran, memory_order_acquire);
}

static bool
descriptor_alone(void)
{
	if (ncpu == 1)
		test_skip("needs another CPU");
	return ncpu == 1;
}

/* --- one of them ------------------------------------------------------------------------------ */

TEST_CASE(xcall_descriptor, one_that_was_never_posted_is_complete)
{
	struct xc_call call;

	xc_call_init(&call, descriptor_count, NULL, NULL);
	T_ASSERT(xc_call_done(&call));
	T_ASSERT_EQ(xc_call_wait(&call), 0);
	T_ASSERT_EQ(xc_call_timedwait(&call, 0), 0);
	T_ASSERT_EQ(xc_call_cancel(&call), 0);
}

/* On each CPU, at each level, and again: one descriptor serves them all in turn. */
TEST_CASE(xcall_descriptor, one_serves_again_and_again)
{
	struct probe probe;
	struct xc_call call;
	struct cpu_info *ci;
	unsigned wrong = 0;

	probe_init(&probe, XC_LEVEL_LOW);
	xc_call_init(&call, probe_run, &probe, NULL);
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		probe_reset(&probe, level);
		for (unsigned i = 0; i < 3; i++) {
			CPU_INFO_FOREACH(ci) {
				wrong += xc_call_post(&call, calls_flags(level), ci) != 0;
				wrong += xc_call_wait(&call) != 0 || !xc_call_done(&call);
			}
		}
		wrong += !probe_right(&probe, 3 * ncpu, 3);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_descriptor, unfinished_it_is_busy)
{
	struct cpu_info *ci = others_last();
	static struct xc_call call;
	unsigned wrong = 0;

	if (descriptor_alone())
		return;
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		unsigned flags = calls_flags(level);
		struct latch latch = { .open = 0 };
		struct masked masked;

		xc_call_init(&call, latch_hold, &latch, NULL);
		masked_begin(&masked, ci);
		wrong += xc_call_post(&call, flags, ci) != 0;
		wrong += xc_call_post(&call, flags, ci) != EBUSY ||
		    xc_call_done(&call); /* posted */
		masked_release(&masked);
		(void)calls_spin_until(&latch.begun, 1);
		wrong += xc_call_post(&call, flags, curcpu()) != EBUSY; /* running */
		wrong += xc_call_done(&call);
		latch_open(&latch);
		wrong += xc_call_wait(&call) != 0 || !xc_call_done(&call);
		masked_end(&masked);
		wrong += xc_call_post(&call, flags, ci) != 0 || xc_call_wait(&call) != 0;
		wrong += atomic_load_explicit(&latch.begun, memory_order_relaxed) != 2;
	}
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_descriptor, a_cpu_that_is_down_is_an_error)
{
	struct cpu_info *ci = others_last();
	struct xc_call call;
	int down, up;

	if (descriptor_alone())
		return;
	xc_call_init(&call, descriptor_count, NULL, NULL);
	others_set_target(ci, false);
	down = xc_call_post(&call, 0, ci);
	others_set_target(ci, true);
	T_ASSERT(down == EHOSTDOWN && xc_call_done(&call));
	up = xc_call_post(&call, 0, ci);
	T_ASSERT(up == 0 && xc_call_wait(&call) == 0);
}

/* --- many ------------------------------------------------------------------------------------- */

TEST_CASE(xcall_descriptor, any_number_may_be_outstanding)
{
	struct xc_call *call = crew_alloc(DESCRIPTOR_MANY, sizeof(*call));
	unsigned wrong = 0;
	bool intr;

	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t before = descriptor_counted();

		/* With interrupts off nothing here begins: all to this CPU are outstanding at
		 * once. */
		intr = machine_intr_disable();
		for (unsigned i = 0; i < DESCRIPTOR_MANY; i++) {
			xc_call_init(&call[i], descriptor_count, NULL, NULL);
			wrong += xc_call_post(&call[i], calls_flags(level),
				     cpu_lookup(i % 2 != 0 ? 0 : ncpu - 1)) != 0;
		}
		machine_intr_restore(intr);
		for (unsigned i = DESCRIPTOR_MANY; i-- > 0;)
			wrong += xc_call_wait(&call[i]) != 0;
		wrong += descriptor_counted() != before + DESCRIPTOR_MANY;
	}
	crew_free(call, DESCRIPTOR_MANY, sizeof(*call));
	T_ASSERT_EQ(wrong, 0);
}

/* --- cancelling ------------------------------------------------------------------------------- */

/* EBUSY while the target may look at it, whatever that does; then it is the owner's again. */
TEST_CASE(xcall_descriptor, cancelled_it_is_busy_until_the_target_has_seen_it)
{
	struct cpu_info *ci = others_last();
	static struct xc_call call;
	unsigned wrong = 0;

	if (descriptor_alone())
		return;
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t before = descriptor_counted();
		unsigned flags = calls_flags(level);
		struct masked masked;

		xc_call_init(&call, descriptor_count, NULL, NULL);
		masked_begin(&masked, ci);
		wrong += xc_call_post(&call, flags, ci) != 0;
		wrong += xc_call_cancel(&call) != EBUSY;
		wrong += xc_call_cancel(&call) != EBUSY;
		wrong += xc_call_done(&call) || xc_call_post(&call, flags, ci) != EBUSY;
		wrong += xc_call_wait(&call) != ECANCELED ||
		    xc_call_timedwait(&call, 0) != ECANCELED;
		masked_end(&masked);
		xc_barrier(flags);
		wrong += !xc_call_done(&call) || xc_call_cancel(&call) != 0;
		wrong += xc_call_wait(&call) != ECANCELED; /* of its latest post */
		wrong += descriptor_counted() != before;
		wrong += xc_call_post(&call, flags, ci) != 0 || xc_call_wait(&call) != 0;
		wrong += descriptor_counted() != before + 1;
	}
	T_ASSERT_EQ(wrong, 0);
}

struct descriptor_waiter {
	struct xc_call *call;
	int result;
	bool cancel;
	struct crew_job job;
};

static void
descriptor_waiter(void *arg)
{
	struct descriptor_waiter *w = arg;

	w->result = w->cancel ? xc_call_cancel(w->call) : xc_call_wait(w->call);
}

TEST_CASE(xcall_descriptor, running_it_is_waited_for_by_its_cancel)
{
	struct cpu_info *ci = others_last();
	struct descriptor_waiter waiter = { .cancel = true };
	static struct xc_call call;
	unsigned wrong = 0;

	if (descriptor_alone())
		return;
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		struct latch latch = { .open = 0 };

		xc_call_init(&call, latch_hold, &latch, NULL);
		wrong += xc_call_post(&call, calls_flags(level), ci) != 0;
		(void)calls_spin_until(&latch.begun, 1);
		waiter.call = &call;
		crew_start(&waiter.job, curcpu(), PRI_KERNEL, descriptor_waiter, &waiter);
		kthread_sleep_ns(20000000);
		wrong += atomic_load_explicit(&waiter.job.done, memory_order_acquire) != 0;
		latch_open(&latch);
		crew_join(&waiter.job);
		wrong += waiter.result != 0 || !xc_call_done(&call) || xc_call_wait(&call) != 0;
	}
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_descriptor, a_sleeping_waiter_is_told_of_the_cancel)
{
	struct cpu_info *ci = others_last();
	struct descriptor_waiter waiter = { .cancel = false };
	static struct xc_call call;
	unsigned wrong = 0;
	struct masked masked;

	if (descriptor_alone())
		return;
	for (unsigned level = 0; level < XC_LEVEL_HARD; level++) {
		xc_call_init(&call, descriptor_count, NULL, NULL);
		masked_begin(&masked, ci);
		wrong += xc_call_post(&call, calls_flags(level), ci) != 0;
		waiter.call = &call;
		crew_start(&waiter.job, curcpu(), PRI_KERNEL, descriptor_waiter, &waiter);
		kthread_sleep_ns(20000000);
		wrong += xc_call_cancel(&call) != EBUSY;
		crew_join(&waiter.job);
		wrong += waiter.result != ECANCELED;
		masked_end(&masked);
		xc_drain(calls_flags(level));
		wrong += !xc_call_done(&call);
	}
	T_ASSERT_EQ(wrong, 0);
}

/* --- cancel against begin --------------------------------------------------------------------- */

struct descriptor_args {
	_Atomic uint64_t ran;
};

static void
descriptor_note(void *arg1, void *arg2 __attribute__((unused)))
{
	struct descriptor_args *args = arg1;

	atomic_fetch_add_explicit(&args->ran, 1, memory_order_relaxed);
}

/* As many at a time, so that the host need not run the target's CPU for each. */
#define DESCRIPTOR_BATCH 16

struct descriptor_batch {
	struct xc_call call[DESCRIPTOR_BATCH];
	struct descriptor_args args[DESCRIPTOR_BATCH];
	uint64_t ran[DESCRIPTOR_BATCH];
	uint64_t random;
};

/* Run, or cancelled, not both; *ran says which. */
static unsigned
descriptor_race(struct descriptor_batch *batch, unsigned i, enum xc_level level)
{
	struct xc_call *call = &batch->call[i];
	unsigned wrong;
	int result;

	atomic_store_explicit(&batch->args[i].ran, 0, memory_order_relaxed);
	xc_call_init(call, descriptor_note, &batch->args[i], NULL);
	wrong = xc_call_post(call, calls_flags(level), calls_next_cpu()) != 0;
	for (uint64_t spin = crew_random(&batch->random) % 200; spin != 0; spin--)
		machine_pause();
	result = xc_call_cancel(call);
	batch->ran[i] = atomic_load_explicit(&batch->args[i].ran, memory_order_relaxed);
	wrong += result != 0 && result != EBUSY;
	return wrong + (xc_call_wait(call) != (batch->ran[i] != 0 ? 0 : ECANCELED));
}

/* When they are done they are free to the last byte, and have not run after all. */
static unsigned
descriptor_races(struct descriptor_batch *batch, enum xc_level level)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < DESCRIPTOR_BATCH; i++)
		wrong += descriptor_race(batch, i, level);
	for (unsigned i = 0; i < DESCRIPTOR_BATCH; i++) {
		while (!xc_call_done(&batch->call[i]))
			machine_pause();
		wrong += atomic_load_explicit(&batch->args[i].ran, memory_order_relaxed) !=
		    batch->ran[i];
	}
	memset(batch->call, 0xa5, sizeof(batch->call));
	return wrong;
}

static void
descriptor_racer(void *arg)
{
	struct descriptor_batch *batch = crew_alloc(1, sizeof(*batch));
	unsigned wrong = 0;

	batch->random = (uintptr_t)arg + 1;
	for (unsigned i = 0; i < DESCRIPTOR_ROUNDS; i++)
		for (unsigned level = 0; level < XC_LEVEL_NMI; level++)
			wrong += descriptor_races(batch, level);
	crew_free(batch, 1, sizeof(*batch));
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_descriptor, cancel_and_begin_race_and_one_wins)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(
		    &job[i], cpu_lookup(i), PRI_KERNEL, descriptor_racer, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
}

/* The wake-up of a sleeper is the last that is done to a descriptor: its owner may overwrite it at
 * once. */
static void
descriptor_owner(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1;
	struct xc_call call;

	for (unsigned i = 0; i < 3 * DESCRIPTOR_ROUNDS; i++) {
		enum xc_level level = crew_random(&random) % XC_LEVEL_NMI;

		xc_call_init(&call, descriptor_count, NULL, NULL);
		T_ASSERT_EQ(xc_call_post(&call, calls_flags(level), calls_next_cpu()), 0);
		T_ASSERT_EQ(xc_call_wait(&call), 0);
		memset(&call, 0xa5, sizeof(call));
	}
}

TEST_CASE(xcall_descriptor, on_a_stack_it_is_the_owners_when_the_wait_returns)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(
		    &job[i], cpu_lookup(i), PRI_KERNEL, descriptor_owner, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
}
