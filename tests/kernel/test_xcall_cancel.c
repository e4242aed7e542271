/*
 * Cross calls that are cancelled, in every state: who has not begun never will, who has begun is
 * waited for, and nothing touches the arguments afterwards.
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
#include "xcall/xc_slot.h"

#define CANCEL_RACES ROUNDS(300)

/* Arguments that are good only while the call may run. */
#define CANCEL_GOOD 0x600d600d600dull
static _Atomic uint64_t cancel_touched;

struct cancel_arg {
	_Atomic uint64_t good, ran;
};

static void
cancel_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct cancel_arg *arg = arg1;

	if (atomic_load_explicit(&arg->good, memory_order_relaxed) != CANCEL_GOOD)
		atomic_fetch_add_explicit(&cancel_touched, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&arg->ran, 1, memory_order_relaxed);
}

static void
cancel_arg_init(struct cancel_arg *arg)
{
	atomic_store_explicit(&arg->good, CANCEL_GOOD, memory_order_relaxed);
	atomic_store_explicit(&arg->ran, 0, memory_order_relaxed);
}

/* Nobody may run it any more; how often it did. */
static uint64_t
cancel_arg_end(struct cancel_arg *arg)
{
	atomic_store_explicit(&arg->good, 0, memory_order_relaxed);
	return atomic_load_explicit(&arg->ran, memory_order_relaxed);
}

static bool
cancel_alone(void)
{
	if (ncpu == 1)
		test_skip("needs another CPU");
	return ncpu == 1;
}

/* A call of each level that the CPU cannot begin: it is masked, or stands in an NMI. */
struct cancel_blocked {
	struct masked masked;
	struct latch latch;
	uint64_t holder;
	bool nmi;
};

static void
cancel_block(struct cancel_blocked *b, struct cpu_info *ci, enum xc_level level)
{
	*b = (struct cancel_blocked){ .nmi = level == XC_LEVEL_NMI };
	if (b->nmi) {
		b->holder = xc_unicast(XC_NMI, latch_hold, &b->latch, NULL, ci);
		(void)calls_spin_until(&b->latch.begun, 1);
	} else {
		masked_begin(&b->masked, ci);
	}
}

static void
cancel_unblock(struct cancel_blocked *b)
{
	if (b->nmi) {
		latch_open(&b->latch);
		(void)xc_wait(b->holder);
	} else {
		masked_end(&b->masked);
	}
}

/* --- not begun -------------------------------------------------------------------------------- */

/* Queued behind a function: one in the middle is withdrawn, the others run in order. */
static void
cancel_gate(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

TEST_CASE(xcall_cancel, a_queued_call_is_withdrawn_and_its_neighbours_run)
{
	struct cpu_info *ci = others_last();
	struct cancel_arg arg[5];
	uint64_t held, where[5];
	unsigned withdrawn = 0;
	struct gate gate;
	int result, again;

	gate_init(&gate);
	held = xc_unicast(0, cancel_gate, &gate, NULL, ci);
	for (unsigned i = 0; i < 5; i++) {
		cancel_arg_init(&arg[i]);
		where[i] = xc_unicast(0, cancel_run, &arg[i], NULL, ci);
	}
	result = xc_cancel(where[2], &withdrawn);
	(void)cancel_arg_end(&arg[2]);
	again = xc_wait(where[2]);
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(held), 0);
	for (unsigned i = 0; i < 5; i++)
		T_ASSERT_EQ(xc_wait(where[i]), i == 2 ? ECANCELED : 0);
	T_ASSERT(result == 0 && withdrawn == 1 && again == ECANCELED && xc_done(where[2]));
	for (unsigned i = 0; i < 5; i++)
		T_ASSERT_EQ(atomic_load_explicit(&arg[i].ran, memory_order_relaxed), i != 2);
	T_ASSERT_EQ(atomic_load_explicit(&cancel_touched, memory_order_relaxed), 0);
	gate_destroy(&gate);
}

/* More calls than the pool has slots, each withdrawn at once, from a CPU that does nothing about
 * it. */
static unsigned
cancel_many(struct cpu_info *ci, enum xc_level level)
{
	struct cancel_arg arg;
	unsigned wrong = 0, withdrawn;
	uint64_t where;

	for (unsigned i = 0; i < 3 * XC_SLOTS; i++) {
		cancel_arg_init(&arg);
		where = xc_unicast(calls_flags(level), cancel_run, &arg, NULL, ci);
		wrong += XC_ISERR(where) || xc_done(where) || xc_cancel(where, &withdrawn) != 0 ||
		    withdrawn != 1 || xc_wait(where) != ECANCELED || cancel_arg_end(&arg) != 0;
	}
	return wrong;
}

TEST_CASE(xcall_cancel, a_dead_target_cannot_block_the_cancel)
{
	struct cpu_info *ci = others_last();
	struct cancel_blocked b;
	struct probe probe;
	unsigned wrong = 0;

	if (cancel_alone())
		return;
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		uint64_t where;

		probe_reset(&probe, level);
		cancel_block(&b, ci, level);
		where = xc_unicast(calls_flags(level), probe_run, &probe, NULL, ci);
		wrong += cancel_many(ci, level);
		cancel_unblock(&b);
		/* What was not withdrawn runs, from a slot between those that were. */
		wrong += xc_wait(where) != 0 || !probe_right(&probe, 1, 0);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT_EQ(atomic_load_explicit(&cancel_touched, memory_order_relaxed), 0);
}

/* --- begun, finished, and never posted -------------------------------------------------------- */

/* A canceller as a thread. */
struct canceller {
	uint64_t where;
	unsigned withdrawn;
	int result;
	struct crew_job job;
};

static void
canceller_run(void *arg)
{
	struct canceller *c = arg;

	c->withdrawn = 100;
	c->result = xc_cancel(c->where, &c->withdrawn);
}

TEST_CASE(xcall_cancel, a_begun_call_is_waited_for)
{
	struct cpu_info *ci = others_last();
	struct canceller canceller;
	unsigned wrong = 0;

	if (cancel_alone())
		return;
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		struct latch latch = { .open = 0 };

		canceller.where = xc_unicast(calls_flags(level), latch_hold, &latch, NULL, ci);
		(void)calls_spin_until(&latch.begun, 1);
		crew_start(&canceller.job, curcpu(), PRI_KERNEL, canceller_run, &canceller);
		kthread_sleep_ns(20000000);
		wrong += atomic_load_explicit(&canceller.job.done, memory_order_acquire) != 0;
		latch_open(&latch);
		crew_join(&canceller.job);
		wrong += canceller.result != 0 || canceller.withdrawn != 0;
		/* It ran everywhere: nothing was cancelled. */
		wrong += xc_wait(canceller.where) != 0;
	}
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_cancel, of_a_set_the_begun_are_waited_for_and_the_others_withdrawn)
{
	struct canceller canceller;
	struct cancel_blocked b;
	unsigned wrong = 0;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		struct latch latch = { .open = 0 };

		cancel_block(&b, others_last(), level);
		canceller.where = xc_broadcast(
		    calls_flags(level) | XC_NOSELF, latch_hold, &latch, NULL);
		(void)calls_spin_until(&latch.begun, ncpu - 2);
		crew_start(&canceller.job, curcpu(), PRI_KERNEL, canceller_run, &canceller);
		kthread_sleep_ns(20000000);
		wrong += atomic_load_explicit(&canceller.job.done, memory_order_acquire) != 0;
		latch_open(&latch);
		crew_join(&canceller.job);
		wrong += canceller.result != 0 || canceller.withdrawn != 1;
		cancel_unblock(&b);
		xc_barrier(calls_flags(level));
		wrong += atomic_load_explicit(&latch.begun, memory_order_relaxed) != ncpu - 2;
		wrong += xc_wait(canceller.where) != ECANCELED;
	}
	T_ASSERT_EQ(wrong, 0);
}

/* Plain memory on purpose: only the call orders it. */
struct cancel_out {
	uint64_t value;
	uint64_t *of; /* one a CPU */
	_Atomic uint64_t through;
};

static void
cancel_write(void *arg1, void *arg2 __attribute__((unused)))
{
	struct cancel_out *out = arg1;

	out->of[curcpu()->ci_index] = out->value;
	/* Relaxed: says that it ran, and orders nothing. */
	atomic_fetch_add_explicit(&out->through, 1, memory_order_relaxed);
}

/* The cancel ends the call, after all others have returned: it passes on what they did. */
TEST_CASE(xcall_cancel, what_the_others_wrote_is_seen_by_who_withdraws_the_last)
{
	struct cancel_blocked b;
	struct cancel_out out;
	unsigned wrong = 0;
	uint64_t where;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	out.of = crew_alloc(ncpu, sizeof(*out.of));
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		unsigned withdrawn = 0;

		out.value = level + 1;
		atomic_store_explicit(&out.through, 0, memory_order_relaxed);
		cancel_block(&b, others_last(), level);
		where = xc_broadcast(calls_flags(level) | XC_NOSELF, cancel_write, &out, NULL);
		(void)calls_spin_until(&out.through, ncpu - 2);
		kthread_sleep_ns(2000000);
		wrong += xc_cancel(where, &withdrawn) != 0 || withdrawn != 1;
		for (unsigned i = 1; i < ncpu - 1; i++)
			wrong += out.of[i] != out.value;
		cancel_unblock(&b);
	}
	crew_free(out.of, ncpu, sizeof(*out.of));
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_cancel, what_is_over_or_never_was_is_told)
{
	struct cancel_arg arg;
	unsigned withdrawn = 7;
	uint64_t first, where;

	cancel_arg_init(&arg);
	first = xc_unicast(0, cancel_run, &arg, NULL, others_last());
	T_ASSERT_EQ(xc_wait(first), 0);
	T_ASSERT_EQ(xc_cancel(first, &withdrawn), 0);
	T_ASSERT(withdrawn == 0 && xc_wait(first) == 0);
	for (unsigned i = 0; i < 2 * XC_SLOTS; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, cancel_run, &arg, NULL, curcpu())), 0);
	withdrawn = 7;
	T_ASSERT_EQ(xc_cancel(first, &withdrawn), 0); /* stale */
	T_ASSERT(withdrawn == 0);
	T_ASSERT_EQ(xc_cancel(0, &withdrawn), 0);
	T_ASSERT_EQ(xc_cancel(first, NULL), 0);
	where = first + (UINT64_C(1000) << XC_TICKET_GENERATION_SHIFT); /* forged */
	withdrawn = 7;
	T_ASSERT_EQ(xc_cancel(where, &withdrawn), EINVAL);
	T_ASSERT(withdrawn == 0);
	T_ASSERT_EQ(xc_cancel(xc_ticket_make(ncpu, 0, 1), NULL), EINVAL);
	T_ASSERT_EQ(xc_cancel(XC_ERROR(EBUSY), NULL), EBUSY);
	T_ASSERT_EQ(xc_cancel(XC_ERROR(EHOSTDOWN), NULL), EHOSTDOWN);
}

/* A stale ticket says nothing of where it ran: its cancel is legal where that of the slot's latest
 * call is not. */
TEST_CASE(xcall_cancel, a_stale_ticket_may_be_cancelled_anywhere)
{
	struct cancel_arg arg;
	uint64_t first;
	bool intr;
	int result;

	cancel_arg_init(&arg);
	first = xc_unicast(XC_HARD, cancel_run, &arg, NULL, curcpu());
	for (unsigned i = 0; i < 2 * XC_SLOTS; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, cancel_run, &arg, NULL, curcpu())), 0);
	intr = machine_intr_disable();
	result = xc_cancel(first, NULL);
	machine_intr_restore(intr);
	T_ASSERT_EQ(result, 0);
}

/* --- who waits -------------------------------------------------------------------------------- */

#define CANCEL_WAITERS 4

struct cancel_waiter {
	uint64_t where;
	_Atomic uint64_t begun;
	int result;
	bool timed;
	struct crew_job job;
};

static void
cancel_waiter(void *arg)
{
	struct cancel_waiter *w = arg;

	atomic_store_explicit(&w->begun, 1, memory_order_release);
	w->result = w->timed ? xc_timedwait(w->where, 60000000000ull) : xc_wait(w->where);
}

TEST_CASE(xcall_cancel, sleeping_waiters_and_later_ones_get_ecanceled)
{
	struct cancel_waiter waiter[CANCEL_WAITERS] = { { .begun = 0 } };
	struct cancel_arg arg;
	struct masked masked;
	unsigned withdrawn, wrong = 0;
	uint64_t where;

	if (cancel_alone())
		return;
	cancel_arg_init(&arg);
	for (unsigned level = 0; level < XC_LEVEL_HARD; level++) {
		masked_begin(&masked, others_last());
		where = xc_unicast(calls_flags(level), cancel_run, &arg, NULL, others_last());
		for (unsigned i = 0; i < CANCEL_WAITERS; i++) {
			waiter[i].where = where;
			waiter[i].timed = i % 2 != 0;
			atomic_store_explicit(&waiter[i].begun, 0, memory_order_relaxed);
			crew_start(&waiter[i].job, cpu_lookup(i % (ncpu - 1)), PRI_KERNEL,
			    cancel_waiter, &waiter[i]);
		}
		for (unsigned i = 0; i < CANCEL_WAITERS; i++)
			wrong += !test_wait_at_least(&waiter[i].begun, 1);
		kthread_sleep_ns(20000000);
		wrong += xc_cancel(where, &withdrawn) != 0 || withdrawn != 1;
		for (unsigned i = 0; i < CANCEL_WAITERS; i++) {
			crew_join(&waiter[i].job);
			wrong += waiter[i].result != ECANCELED;
		}
		wrong += xc_wait(where) != ECANCELED;
		masked_end(&masked);
	}
	T_ASSERT_EQ(wrong + cancel_arg_end(&arg), 0);
}

/* --- cancel against begin --------------------------------------------------------------------- */

/* Some time, up to about what a notification takes. */
static void
cancel_delay(uint64_t *random)
{
	for (uint64_t spin = crew_random(random) % 200; spin != 0; spin--)
		machine_pause();
}

/* Withdrawn or run, each target, exactly one of them. */
static unsigned
cancel_race(enum xc_level level, bool broadcast, uint64_t *random)
{
	unsigned flags = calls_flags(level), withdrawn;
	uint64_t where, expected, ran;
	struct cancel_arg arg;
	int waited;

	cancel_arg_init(&arg);
	where = broadcast ? xc_broadcast(flags, cancel_run, &arg, NULL)
			  : xc_unicast(flags, cancel_run, &arg, NULL, calls_next_cpu());
	expected = broadcast ? ncpu : 1;
	cancel_delay(random);
	if (xc_cancel(where, &withdrawn) != 0)
		return 1;
	ran = cancel_arg_end(&arg);
	waited = xc_wait(where);
	return ran + withdrawn != expected || waited != (withdrawn != 0 ? ECANCELED : 0);
}

static void
cancel_racer(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1;
	unsigned wrong = 0;

	for (unsigned i = 0; i < CANCEL_RACES; i++)
		for (unsigned level = 0; level < XC_LEVELS; level++)
			wrong += cancel_race(level, i % 2 != 0, &random);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_cancel, cancel_and_begin_race_and_one_wins)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, cancel_racer, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	for (unsigned level = 0; level < XC_LEVELS; level++)
		xc_barrier(calls_flags(level));
	T_ASSERT_EQ(atomic_load_explicit(&cancel_touched, memory_order_relaxed), 0);
}

/* Several cancel the same call: what they withdrew together, and what ran, is all. */
TEST_CASE(xcall_cancel, cancellers_of_one_call_share_what_they_withdraw)
{
	struct canceller canceller[3];
	struct cancel_arg arg;
	unsigned wrong = 0;

	for (unsigned round = 0; round < CANCEL_RACES / 6; round++) {
		enum xc_level level = round % XC_LEVELS;
		uint64_t where, sum = 0;

		cancel_arg_init(&arg);
		kpreempt_disable();
		where = xc_broadcast(calls_flags(level), cancel_run, &arg, NULL);
		kpreempt_enable();
		for (unsigned i = 0; i < 3; i++) {
			canceller[i].where = where;
			crew_start(&canceller[i].job, cpu_lookup(i % ncpu), PRI_KERNEL,
			    canceller_run, &canceller[i]);
		}
		for (unsigned i = 0; i < 3; i++) {
			crew_join(&canceller[i].job);
			wrong += canceller[i].result != 0;
			sum += canceller[i].withdrawn;
		}
		wrong += cancel_arg_end(&arg) + sum != ncpu;
		wrong += xc_wait(where) != (sum != 0 ? ECANCELED : 0);
	}
	T_ASSERT_EQ(wrong, 0);
}

/* --- from functions --------------------------------------------------------------------------- */

struct cancel_other {
	enum xc_level level;
	struct cpu_info *dead;
	struct cancel_arg arg;
	unsigned withdrawn;
	int result;
};

/* A function cancels another call of its level. */
static void
cancel_from_function(void *arg1, void *arg2 __attribute__((unused)))
{
	struct cancel_other *other = arg1;
	uint64_t where = xc_unicast(
	    calls_flags(other->level), cancel_run, &other->arg, NULL, other->dead);

	other->result = xc_cancel(where, &other->withdrawn);
}

TEST_CASE(xcall_cancel, low_and_hard_functions_may_cancel_other_calls)
{
	static const enum xc_level levels[] = { XC_LEVEL_LOW, XC_LEVEL_HARD };
	struct cancel_other other = { .dead = others_last() };
	struct masked masked;
	unsigned wrong = 0;

	if (cancel_alone())
		return;
	masked_begin(&masked, other.dead);
	for (unsigned i = 0; i < 2; i++) {
		other.level = levels[i];
		cancel_arg_init(&other.arg);
		wrong += xc_wait(xc_unicast(calls_flags(other.level), cancel_from_function, &other,
			     NULL, curcpu())) != 0;
		wrong += other.result != 0 || other.withdrawn != 1;
		wrong += cancel_arg_end(&other.arg) != 0;
	}
	masked_end(&masked);
	T_ASSERT_EQ(wrong, 0);
}
