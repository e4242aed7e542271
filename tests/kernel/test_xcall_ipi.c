/*
 * ipi(9): what triggers and messages promise (xcall/ipi.h).
 */
#include <stddef.h>

#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"

static _Atomic uint64_t ipi_count;

static void
ipi_count_up(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&ipi_count, 1, memory_order_release);
}

static uint64_t
ipi_counted(void)
{
	return atomic_load_explicit(&ipi_count, memory_order_acquire);
}

static void
ipi_reset(void)
{
	atomic_store_explicit(&ipi_count, 0, memory_order_relaxed);
}

/* --- triggers --------------------------------------------------------------------------------- */

/* ran[cpu]: how often the handler did there. */
static _Atomic uint64_t *ipi_ran;

static void
ipi_note_cpu(void *arg)
{
	const struct cpu_info *ci = curcpu();

	T_ASSERT(arg == &ipi_ran && cpu_intr_p() && !cpu_nmi_p() && !machine_intr_enabled());
	atomic_fetch_add_explicit(&ipi_ran[ci->ci_index], 1, memory_order_release);
}

static uint64_t
ipi_ran_on(unsigned cpu)
{
	return atomic_load_explicit(&ipi_ran[cpu], memory_order_acquire);
}

static void
ipi_forget(void)
{
	for (unsigned i = 0; i < ncpu; i++)
		atomic_store_explicit(&ipi_ran[i], 0, memory_order_relaxed);
}

/* Whether it runs where the sum says, once each, and nowhere else; `skipped` is CPUSET_END for
 * none. */
static bool
ipi_ran_once(unsigned first, unsigned last, unsigned skipped)
{
	bool ok = true;

	for (unsigned i = 0; i < ncpu; i++)
		if (i >= first && i <= last && i != skipped)
			ok = test_wait_at_least(&ipi_ran[i], 1) && ok;
	for (unsigned i = 0; i < ncpu; i++)
		ok = ipi_ran_on(i) == (i >= first && i <= last && i != skipped) && ok;
	return ok;
}

TEST_CASE(xcall_ipi, triggers_run_where_they_are_sent)
{
	unsigned ipi, own = curcpu()->ci_index;
	struct cpu_info *ci;
	struct cpuset set;
	bool ok = true;

	ipi_ran = crew_alloc(ncpu, sizeof(*ipi_ran));
	ipi = ipi_register(ipi_note_cpu, &ipi_ran);
	CPU_INFO_FOREACH(ci) {
		ipi_forget();
		ipi_trigger(ipi, ci);
		ok = ipi_ran_once(ci->ci_index, ci->ci_index, CPUSET_END) && ok;
	}
	cpuset_zero(&set);
	ipi_forget();
	ipi_trigger_multi(ipi, &set);
	for (unsigned i = 1; i < ncpu; i++)
		cpuset_add(&set, i);
	ipi_trigger_multi(ipi, &set);
	ok = ipi_ran_once(1, ncpu - 1, CPUSET_END) && ok;
	ipi_forget();
	ipi_trigger_broadcast(ipi, true);
	ok = ipi_ran_once(0, ncpu - 1, own) && ok;
	ipi_forget();
	ipi_trigger_broadcast(ipi, false);
	ok = ipi_ran_once(0, ncpu - 1, CPUSET_END) && ok;
	ipi_unregister(ipi);
	crew_free((void *)(uintptr_t)ipi_ran, ncpu, sizeof(*ipi_ran));
	T_ASSERT(ipi != 0 && ipi < IPI_MAXREG);
	T_ASSERT(ok);
}

/* At once if interrupts are on, else when they are. */
TEST_CASE(xcall_ipi, the_own_cpu_is_triggered_at_once)
{
	unsigned ipi = ipi_register(ipi_count_up, NULL);
	uint64_t at_once, pended;
	bool intr;

	ipi_reset();
	ipi_trigger(ipi, curcpu());
	at_once = ipi_counted();
	intr = machine_intr_disable();
	ipi_trigger(ipi, curcpu());
	ipi_trigger_broadcast(ipi, false);
	pended = ipi_counted() - at_once;
	machine_intr_restore(intr);
	T_ASSERT(test_wait_at_least(&ipi_count, 1 + ncpu));
	ipi_unregister(ipi);
	T_ASSERT_EQ(at_once, 1);
	/* The broadcast runs elsewhere meanwhile. */
	T_ASSERT(pended <= ncpu - 1);
	T_ASSERT_EQ(ipi_counted(), 1 + ncpu);
}

/* B30: a thousand triggers while the target masks interrupts. */
TEST_CASE(xcall_ipi, triggers_coalesce)
{
	unsigned ipi, other;
	struct masked masked;
	uint64_t before;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	ipi = ipi_register(ipi_count_up, NULL);
	ipi_reset();
	masked_begin(&masked, others_last());
	for (unsigned i = 0; i < 1000; i++)
		ipi_trigger(ipi, others_last());
	before = ipi_counted();
	masked_end(&masked);
	T_ASSERT(test_wait_at_least(&ipi_count, 1));
	ipi_unregister(ipi);
	T_ASSERT_EQ(before, 0);
	T_ASSERT_EQ(ipi_counted(), 1);
	/* The identifier is free again. */
	other = ipi_register(ipi_count_up, NULL);
	ipi_unregister(other);
	T_ASSERT_EQ(other, ipi);
}

/* What a sender stored before its last trigger is seen by a run after it.  Each sender has a
 * handler of its own, as far as there are identifiers. */
#define LATEST_ROUNDS 500
#define LATEST_HANDLERS 8

struct latest {
	unsigned ipi;
	_Atomic uint64_t value, seen;
};

static struct latest latest[LATEST_HANDLERS];

static void
latest_copy(void *arg)
{
	struct latest *l = arg;

	for (unsigned i = 0; i < 10; i++)
		machine_pause();
	atomic_store_explicit(
	    &l->seen, atomic_load_explicit(&l->value, memory_order_relaxed), memory_order_release);
}

static void
latest_sender(void *arg)
{
	struct latest *l = arg;
	uint64_t random = curcpu()->ci_index + 1;

	for (uint64_t i = 1; i <= LATEST_ROUNDS; i++) {
		atomic_store_explicit(&l->value, i, memory_order_relaxed);
		ipi_trigger(l->ipi, others_last());
		for (uint64_t spin = crew_random(&random) % 100; spin != 0; spin--)
			machine_pause();
		if (i % 10 == 0)
			T_ASSERT(test_wait_at_least(&l->seen, i));
	}
}

TEST_CASE(xcall_ipi, no_trigger_is_lost)
{
	unsigned n = ncpu < LATEST_HANDLERS ? ncpu : LATEST_HANDLERS;
	struct crew_job job[LATEST_HANDLERS];

	for (unsigned i = 0; i < n; i++) {
		atomic_store_explicit(&latest[i].seen, 0, memory_order_relaxed);
		latest[i].ipi = ipi_register(latest_copy, &latest[i]);
	}
	for (unsigned i = 0; i < n; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, latest_sender, &latest[i]);
	for (unsigned i = 0; i < n; i++) {
		crew_join(&job[i]);
		ipi_unregister(latest[i].ipi);
	}
}

/* A trigger that merges with one of another CPU: the one run sees the stores of both. */
struct merged {
	unsigned ipi;
	uint64_t stored[2], seen; /* plain memory: only the trigger orders it */
	_Atomic uint64_t sent, ran;
};

static void
merged_run(void *arg)
{
	struct merged *m = arg;

	m->seen = m->stored[0] + m->stored[1];
	atomic_fetch_add_explicit(&m->ran, 1, memory_order_release);
}

static void
merged_second(void *arg)
{
	struct merged *m = arg;

	m->stored[1] = 20;
	ipi_trigger(m->ipi, others_last());
	/* Relaxed: says that it was sent, and orders nothing. */
	atomic_store_explicit(&m->sent, 1, memory_order_relaxed);
}

TEST_CASE(xcall_ipi, a_trigger_that_merges_is_seen_as_well)
{
	struct merged m = { .seen = 0 };
	struct crew_job job;
	struct masked masked;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	m.ipi = ipi_register(merged_run, &m);
	masked_begin(&masked, others_last());
	m.stored[0] = 3;
	ipi_trigger(m.ipi, others_last());
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, merged_second, &m);
	(void)test_wait_at_least(&m.sent, 1);
	masked_release(&masked);
	(void)test_wait_at_least(&m.ran, 1);
	masked_end(&masked);
	crew_join(&job);
	ipi_unregister(m.ipi);
	T_ASSERT_EQ(m.seen, 23);
	T_ASSERT_EQ(atomic_load_explicit(&m.ran, memory_order_relaxed), 1);
}

/* --- registering ------------------------------------------------------------------------------ */

TEST_CASE(xcall_ipi, identifiers_run_out)
{
	unsigned ipi[IPI_MAXREG], n = 0, wrong = 0;
	uint32_t seen = 0;

	while (n < IPI_MAXREG && (ipi[n] = ipi_register(ipi_count_up, NULL)) != 0) {
		wrong += ipi[n] >= IPI_MAXREG || (seen >> ipi[n] & 1) != 0;
		seen |= 1u << ipi[n];
		n++;
	}
	for (unsigned i = 0; i < n; i++)
		ipi_unregister(ipi[i]);
	T_ASSERT_EQ(n, IPI_MAXREG - 1);
	T_ASSERT_EQ(wrong, 0);
}

/* Triggers that were made before ipi_unregister() have run when it returns, and nothing runs
 * later. */
#define UNREGISTER_ROUNDS 60

TEST_CASE(xcall_ipi, unregister_waits_for_triggers)
{
	uint64_t wrong = 0;
	unsigned ipi;

	for (unsigned i = 0; i < UNREGISTER_ROUNDS; i++) {
		ipi_reset();
		ipi = ipi_register(ipi_count_up, NULL);
		ipi_trigger_broadcast(ipi, false);
		ipi_unregister(ipi);
		wrong += ipi_counted() != ncpu;
	}
	ipi_reset();
	kthread_sleep_ns(10000000);
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT_EQ(ipi_counted(), 0);
}

struct slow {
	unsigned ipi;
	bool serve; /* its own CPU's calls */
	_Atomic uint64_t inside, release, left;
};

static void
slow_handler(void *arg)
{
	struct slow *slow = arg;

	atomic_store_explicit(&slow->inside, 1, memory_order_release);
	while (atomic_load_explicit(&slow->release, memory_order_acquire) == 0) {
		if (slow->serve)
			xc_intr_poll();
		machine_pause();
	}
	atomic_store_explicit(&slow->left, 1, memory_order_release);
}

static void
slow_unregister(void *arg)
{
	struct slow *slow = arg;

	ipi_unregister(slow->ipi);
	T_ASSERT_EQ(atomic_load_explicit(&slow->left, memory_order_acquire), 1);
}

/* Also when the barrier is served in the handler's own wait, and when another handler runs on top
 * of it. */
static void
slow_check(bool serve, bool nested)
{
	struct slow slow = { .serve = serve }, above = { .serve = serve };
	struct crew_job job;
	uint64_t early;

	slow.ipi = ipi_register(slow_handler, &slow);
	above.ipi = ipi_register(slow_handler, &above);
	ipi_trigger(slow.ipi, others_last());
	T_ASSERT(test_wait_at_least(&slow.inside, 1));
	if (nested) {
		ipi_trigger(above.ipi, others_last());
		T_ASSERT(test_wait_at_least(&above.inside, 1));
	}
	crew_start(&job, cpu_lookup(0), PRI_KERNEL, slow_unregister, &slow);
	kthread_sleep_ns(15000000);
	early = atomic_load_explicit(&job.done, memory_order_acquire);
	atomic_store_explicit(&above.release, 1, memory_order_release);
	kthread_sleep_ns(5000000);
	early |= atomic_load_explicit(&job.done, memory_order_acquire);
	atomic_store_explicit(&slow.release, 1, memory_order_release);
	crew_join(&job);
	ipi_unregister(above.ipi);
	T_ASSERT_EQ(early, 0);
}

TEST_CASE(xcall_ipi, unregister_waits_for_the_handler)
{
	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	slow_check(false, false);
	slow_check(true, false);
	slow_check(true, true);
}

/* --- messages --------------------------------------------------------------------------------- */

struct letter {
	ipi_msg_t msg;
	uint64_t in;               /* written by the sender before */
	_Atomic uint64_t ran, out; /* how often; sum of what it saw */
	uint64_t *where;           /* by CPU; plain: the wait makes it visible */
};

static void
letter_read(void *arg)
{
	struct letter *letter = arg;

	T_ASSERT(cpu_intr_p() && !machine_intr_enabled());
	letter->where[curcpu()->ci_index]++;
	atomic_fetch_add_explicit(&letter->out, letter->in, memory_order_relaxed);
	atomic_fetch_add_explicit(&letter->ran, 1, memory_order_relaxed);
}

static void
letter_init(struct letter *letter, uint64_t *where, uint64_t in)
{
	*letter = (struct letter){ .where = where, .in = in };
	letter->msg.func = letter_read;
	letter->msg.arg = letter;
	for (unsigned i = 0; i < ncpu; i++)
		where[i] = 0;
}

/* It has run on `n` CPUs, the lowest of them `first`, not on the one that is skipped. */
static bool
letter_was_read(const struct letter *letter, unsigned first, unsigned n, unsigned skipped)
{
	bool ok = atomic_load_explicit(&letter->ran, memory_order_relaxed) == n &&
	    atomic_load_explicit(&letter->out, memory_order_relaxed) == n * letter->in;

	for (unsigned i = 0; i < ncpu; i++)
		ok = ok &&
		    letter->where[i] ==
			(i >= first && i < first + n + (skipped != CPUSET_END) && i != skipped);
	return ok;
}

TEST_CASE(xcall_ipi, messages_run_exactly_once_on_each)
{
	uint64_t *where = crew_alloc(ncpu, sizeof(*where));
	unsigned own = curcpu()->ci_index;
	struct letter letter;
	struct cpu_info *ci;
	struct cpuset set;
	bool ok = true;

	CPU_INFO_FOREACH(ci) {
		letter_init(&letter, where, ci->ci_index + 5);
		ipi_unicast(&letter.msg, ci);
		ipi_wait(&letter.msg);
		ok = letter_was_read(&letter, ci->ci_index, 1, CPUSET_END) && ok;
	}
	cpuset_zero(&set);
	letter_init(&letter, where, 6);
	ipi_multicast(&letter.msg, &set);
	ipi_wait(&letter.msg);
	ok = letter_was_read(&letter, 0, 0, CPUSET_END) && ok;
	for (unsigned i = 1; i < ncpu; i++)
		cpuset_add(&set, i);
	/* The same message, used again. */
	ipi_multicast(&letter.msg, &set);
	ipi_wait(&letter.msg);
	ok = letter_was_read(&letter, 1, ncpu - 1, CPUSET_END) && ok;
	letter_init(&letter, where, 7);
	ipi_broadcast(&letter.msg, true);
	ipi_wait(&letter.msg);
	ok = letter_was_read(&letter, 0, ncpu - 1, own) && ok;
	letter_init(&letter, where, 8);
	ipi_broadcast(&letter.msg, false);
	ipi_wait(&letter.msg);
	ok = letter_was_read(&letter, 0, ncpu, CPUSET_END) && ok;
	crew_free(where, ncpu, sizeof(*where));
	T_ASSERT(ok);
}

/* More than a mailbox holds. */
#define OWN_MESSAGES 20

static unsigned own_order[OWN_MESSAGES], own_ran;

static void
own_note(void *arg)
{
	own_order[own_ran++] = (unsigned)(uintptr_t)arg;
}

TEST_CASE(xcall_ipi, the_own_cpu_has_room_always)
{
	static struct spinlock lock = SPINLOCK_INIT("ipi");
	ipi_msg_t msg[OWN_MESSAGES];
	unsigned at_once, pended, served;
	bool intr;

	own_ran = 0;
	for (uintptr_t i = 0; i < OWN_MESSAGES; i++) {
		msg[i].func = own_note;
		msg[i].arg = (void *)i;
	}
	ipi_unicast(&msg[0], curcpu());
	at_once = own_ran;
	ipi_wait(&msg[0]);
	own_ran = 0;
	intr = machine_intr_disable();
	for (unsigned i = 0; i < OWN_MESSAGES; i++)
		ipi_unicast(&msg[i], curcpu());
	pended = own_ran;
	ipi_wait(&msg[OWN_MESSAGES - 1]);
	served = own_ran;
	machine_intr_restore(intr);
	T_ASSERT_EQ(at_once, 1);
	T_ASSERT_EQ(pended, 0);
	T_ASSERT_EQ(served, OWN_MESSAGES);
	for (unsigned i = 0; i < OWN_MESSAGES; i++)
		T_ASSERT_EQ(own_order[i], i);

	own_ran = 0;
	spinlock_enter(&lock);
	for (unsigned i = 0; i < OWN_MESSAGES; i++)
		ipi_unicast(&msg[i], curcpu());
	pended = own_ran;
	spinlock_exit(&lock);
	for (unsigned i = 0; i < OWN_MESSAGES; i++)
		ipi_wait(&msg[i]);
	T_ASSERT_EQ(pended, 0);
	T_ASSERT_EQ(own_ran, OWN_MESSAGES);
}

/* --- CPUs that are not online, and none that is yet ------------------------------------------- */

TEST_CASE(xcall_ipi, offline_cpus_are_passed_over)
{
	uint64_t *where = crew_alloc(ncpu, sizeof(*where));
	struct cpu_info *off = others_last();
	struct letter one, all;
	struct cpuset set;
	bool ok;
	unsigned ipi;

	if (ncpu == 1) {
		crew_free(where, ncpu, sizeof(*where));
		test_skip("needs another CPU");
		return;
	}
	ipi_ran = crew_alloc(ncpu, sizeof(*ipi_ran));
	ipi = ipi_register(ipi_note_cpu, &ipi_ran);
	others_all(&set);
	letter_init(&one, where, 1);
	others_set_target(off, false);
	ipi_trigger(ipi, off);
	ipi_trigger_multi(ipi, &set);
	ok = ipi_ran_once(0, ncpu - 2, CPUSET_END);
	ipi_unicast(&one.msg, off);
	ipi_wait(&one.msg);
	ok = letter_was_read(&one, 0, 0, CPUSET_END) && ok;
	letter_init(&all, where, 2);
	ipi_multicast(&all.msg, &set);
	ipi_wait(&all.msg);
	ok = letter_was_read(&all, 0, ncpu - 1, CPUSET_END) && ok;
	letter_init(&all, where, 3);
	ipi_broadcast(&all.msg, false);
	ipi_wait(&all.msg);
	ok = letter_was_read(&all, 0, ncpu - 1, CPUSET_END) && ok;
	kthread_sleep_ns(5000000);
	ok = ok && ipi_ran_on(ncpu - 1) == 0;
	others_set_target(off, true);
	ipi_unregister(ipi);
	crew_free((void *)(uintptr_t)ipi_ran, ncpu, sizeof(*ipi_ran));
	crew_free(where, ncpu, sizeof(*where));
	T_ASSERT(ok);
}

TEST_CASE(xcall_ipi, runs_inline_while_nobody_is_up)
{
	ipi_msg_t msg = { .func = ipi_count_up };
	struct cpu_info *self = curcpu(), *ci;
	uint64_t triggered, sent;
	unsigned ipi;
	bool intr;

	ipi_reset();
	CPU_INFO_FOREACH(ci)
		others_set_target(ci, false);
	ipi = ipi_register(ipi_count_up, NULL);
	intr = machine_intr_disable();
	ipi_trigger(ipi, self);
	ipi_trigger_broadcast(ipi, false);
	ipi_trigger_broadcast(ipi, true);
	if (ncpu > 1)
		ipi_trigger(ipi, others_last());
	triggered = ipi_counted();
	ipi_unicast(&msg, self);
	ipi_wait(&msg);
	ipi_broadcast(&msg, false);
	ipi_wait(&msg);
	ipi_broadcast(&msg, true);
	ipi_wait(&msg);
	sent = ipi_counted() - triggered;
	machine_intr_restore(intr);
	ipi_unregister(ipi);
	CPU_INFO_FOREACH(ci)
		others_set_target(ci, true);
	T_ASSERT_EQ(triggered, 2);
	T_ASSERT_EQ(sent, 2);
}
