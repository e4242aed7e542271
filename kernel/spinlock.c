/*
 * Ticket spinlocks.
 *
 * Background.  A ticket lock is the simplest fair lock: whoever comes takes the next number and
 * waits until it is served.  Rejected: test-and-set (a CPU can starve, and the fastest is not the
 * neediest), MCS queues (a node for each acquisition, for a gain that shows only where dozens of
 * CPUs fight for one lock, and the design avoids such locks).
 *
 * Implementation.  sl_next counts tickets given out, sl_serving the one that holds the lock; both
 * wrap.  The lock is free when they are equal.  Interrupts go off before the ticket is drawn: a CPU
 * that holds a ticket must not be made to wait behind itself in a handler.  ci_spin_depth counts
 * what this CPU holds or waits for; ci_spin_intr keeps what the first enter found, so that locks
 * may be left in any order.
 *
 * sl_owner and sl_where serve assertions and reports.  They are written by the holder only; a
 * reader on another CPU may see the values of the holder before.  The comparison with the own CPU
 * is exact all the same: only this CPU stores its own address there, and it takes it away before it
 * lets go.
 *
 * Lock checking (lockdebug.h) needs to hear of each lock and unlock.  While it is on, the number of
 * locks that a CPU may hold by the short way is none, which sends all of them the longer way, as a
 * broken rule would be; and the record of such a lock is marked, so that leaving it looks like
 * leaving out of order.  So while it is off nothing is asked for its sake.
 *
 * Limits.  The holder's CPU is the owner, not the thread: the scheduler carries its run-queue lock
 * through a switch.  A ticket cannot be given back, so a waiter cannot give up.
 */
#include "kernel/spinlock.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/ksyms.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "kernel/spinlock_inner.h"

/* How many looks at the lock between two looks at the clock. */
#define SPINLOCK_LOOKS 4096

/* Apart from their callers: the texts take stack. */
static _Noreturn void spinlock_refuse(const struct spinlock *, uintptr_t where)
    __attribute__((noinline, cold));
static _Noreturn void spinlock_refuse_release(const struct spinlock *, uintptr_t where)
    __attribute__((noinline, cold));

void
spinlock_init(struct spinlock *sl, const char *name)
{
	spinlock_init_kind(sl, name, LOCKDEBUG_SPINLOCK);
}

void
spinlock_init_kind(struct spinlock *sl, const char *name, enum lockdebug_kind kind)
{
	atomic_init(&sl->sl_next, 0);
	atomic_init(&sl->sl_serving, 0);
	atomic_init(&sl->sl_owner, NULL);
	atomic_init(&sl->sl_where, 0);
	sl->sl_name = name;
	atomic_init(&sl->sl_debug, LOCKDEBUG_TAG(kind));
}

static _Noreturn void
spinlock_hang(const struct spinlock *sl, uintptr_t where)
{
	const struct cpu_info *owner = atomic_load_explicit(&sl->sl_owner, memory_order_relaxed);
	uintptr_t since = atomic_load_explicit(&sl->sl_where, memory_order_relaxed);
	char here[KSYMS_TEXT_BYTES], there[KSYMS_TEXT_BYTES];

	if (owner == NULL)
		panic("spinlock %s: hang of CPU %u at %s, held by nobody, last taken at %s",
		    sl->sl_name, curcpu()->ci_index, ksyms_format(where, here),
		    ksyms_format(since, there));
	panic_cpu(owner, "spinlock %s: hang of CPU %u at %s, held by CPU %u, taken at %s",
	    sl->sl_name, curcpu()->ci_index, ksyms_format(where, here), owner->ci_index,
	    ksyms_format(since, there));
}

/* Which rule an enter breaks. */
static _Noreturn void
spinlock_refuse(const struct spinlock *sl, uintptr_t where)
{
	const struct cpu_info *ci = curcpu();
	char here[KSYMS_TEXT_BYTES], there[KSYMS_TEXT_BYTES];

	if (ci->ci_nmi_depth != 0)
		panic("spinlock %s: enter in an NMI on CPU %u at %s", sl->sl_name, ci->ci_index,
		    ksyms_format(where, here));
	if (spinlock_owned(sl))
		panic("spinlock %s: recursion on CPU %u at %s, taken at %s", sl->sl_name,
		    ci->ci_index, ksyms_format(where, here),
		    ksyms_format(atomic_load_explicit(&sl->sl_where, memory_order_relaxed), there));
	panic("spinlock %s: CPU %u holds %u already, the last is %s", sl->sl_name, ci->ci_index,
	    ci->ci_spin_depth, spinlock_held(ci->ci_spin_held[ci->ci_spin_depth - 1])->sl_name);
}

/* Whether the CPU may take the lock when it holds less than `limit`. */
static inline bool
spinlock_legal(const struct spinlock *sl, const struct cpu_info *ci, unsigned limit)
{
	return ci->ci_spin_depth < limit && ci->ci_nmi_depth == 0 &&
	    atomic_load_explicit(&sl->sl_owner, memory_order_relaxed) != ci;
}

/* Whether that is so, and nobody looks closer. */
static inline bool
spinlock_plain(const struct spinlock *sl, const struct cpu_info *ci)
{
	return spinlock_legal(
	    sl, ci, atomic_load_explicit(&lockdebug_spinlocks, memory_order_relaxed));
}

/* Counts the lock; the first one notes what interrupts were. */
static inline void
spinlock_begin(struct cpu_info *ci, uintptr_t held, bool intr)
{
	unsigned depth = ci->ci_spin_depth;

	if (depth == 0)
		ci->ci_spin_intr = intr;
	ci->ci_spin_held[depth] = (const struct spinlock *)held;
	ci->ci_spin_depth = depth + 1;
}

/* Counts the last lock of the record out; if it was the only one, restores interrupts.  Whether it
 * was. */
static inline bool
spinlock_end(struct cpu_info *ci, unsigned last)
{
	ci->ci_spin_depth = last;
	if (last != 0)
		return false;
	machine_intr_restore(ci->ci_spin_intr);
	return true;
}

/* The same for a lock that is left out of order, or was checked. */
static bool __attribute__((noinline))
spinlock_end_odd(struct cpu_info *ci, const struct spinlock *sl)
{
	unsigned last = ci->ci_spin_depth - 1, i = last;

	while (spinlock_held(ci->ci_spin_held[i]) != sl)
		i--;
	if (((uintptr_t)ci->ci_spin_held[i] & SPINLOCK_CHECKED) != 0)
		lockdebug_unlocked(sl, LOCKDEBUG_SPINLOCK);
	for (; i < last; i++)
		ci->ci_spin_held[i] = ci->ci_spin_held[i + 1];
	return spinlock_end(ci, last);
}

/* Whether the last lock of the record is this one, and nobody looks closer. */
static inline bool
spinlock_ends_plainly(const struct cpu_info *ci, const struct spinlock *sl, unsigned last)
{
	return __builtin_expect(ci->ci_spin_held[last] == sl, 1);
}

/* Somebody else holds it. */
void
spinlock_wait(struct spinlock *sl, struct cpu_info *ci, uint32_t ticket, uintptr_t where)
{
	uint32_t serving, before = ticket;
	uint64_t since = 0;
	unsigned looks = 0;

	/* Release: pairs with spinlock_wanted(). */
	atomic_store_explicit(&ci->ci_spin_wanted, sl, memory_order_release);
	/* Acquire: pairs with spinlock_pass(). */
	while ((serving = atomic_load_explicit(&sl->sl_serving, memory_order_acquire)) != ticket) {
		machine_pause();
		if (++looks % SPINLOCK_LOOKS != 0)
			continue;
		/* A long queue that moves is no hang. */
		if (serving != before)
			since = clock_ns();
		else if (clock_ns() - since > SPINLOCK_HANG_NS)
			spinlock_hang(sl, where);
		before = serving;
	}
	atomic_store_explicit(&ci->ci_spin_wanted, NULL, memory_order_relaxed);
}

const char *
spinlock_wanted(const struct cpu_info *ci, char buf[SPINLOCK_TEXT_BYTES])
{
	/* Acquire: pairs with spinlock_wait().  While it is wanted the lock exists. */
	const struct spinlock *sl = atomic_load_explicit(&ci->ci_spin_wanted, memory_order_acquire);
	const struct cpu_info *owner;
	const char *name;
	char where[KSYMS_TEXT_BYTES];

	if (sl == NULL)
		return NULL;
	name = sl->sl_name;
	owner = atomic_load_explicit(&sl->sl_owner, memory_order_relaxed);
	ksyms_format(atomic_load_explicit(&sl->sl_where, memory_order_relaxed), where);
	/* It got it meanwhile: what was read may be another lock's. */
	if (atomic_load_explicit(&ci->ci_spin_wanted, memory_order_acquire) != sl)
		return NULL;
	if (owner == NULL)
		snprintf(buf, SPINLOCK_TEXT_BYTES, "spinlock %s, held by nobody, last taken at %s",
		    name, where);
	else
		snprintf(buf, SPINLOCK_TEXT_BYTES, "spinlock %s, held by CPU %u, taken at %s", name,
		    owner->ci_index, where);
	return buf;
}

/* Draws the ticket only when it is the one being served: then the lock was free. */
static inline bool
spinlock_try(struct spinlock *sl, struct cpu_info *ci, uintptr_t where)
{
	/* Acquire: pairs with spinlock_pass() of the holder before. */
	uint32_t serving = atomic_load_explicit(&sl->sl_serving, memory_order_acquire);

	/* Relaxed: the acquire above saw the value of sl_serving that this ticket waits for. */
	if (!atomic_compare_exchange_strong_explicit(
		&sl->sl_next, &serving, serving + 1, memory_order_relaxed, memory_order_relaxed))
		return false;
	spinlock_take(sl, ci, where);
	return true;
}

/* An enter that breaks a rule, or is looked at by lockdebug.c.  Interrupts off. */
static void __attribute__((noinline))
spinlock_enter_checked(struct spinlock *sl, uintptr_t where, bool intr)
{
	struct cpu_info *ci = curcpu();
	uint32_t ticket;

	if (!spinlock_legal(sl, ci, CPU_SPINLOCKS))
		spinlock_refuse(sl, where);
	lockdebug_wantlock(sl, where, intr);
	spinlock_begin(ci, (uintptr_t)sl | SPINLOCK_CHECKED, intr);
	if (!spinlock_draw(sl, &ticket))
		spinlock_wait(sl, ci, ticket, where);
	spinlock_take(sl, ci, where);
	lockdebug_locked(sl, where);
}

static bool __attribute__((noinline))
spinlock_try_checked(struct spinlock *sl, uintptr_t where, bool intr)
{
	struct cpu_info *ci = curcpu();

	if (!spinlock_legal(sl, ci, CPU_SPINLOCKS))
		spinlock_refuse(sl, where);
	if (!spinlock_try(sl, ci, where)) {
		machine_intr_restore(intr);
		return false;
	}
	spinlock_begin(ci, (uintptr_t)sl | SPINLOCK_CHECKED, intr);
	lockdebug_locked(sl, where);
	return true;
}

void
spinlock_enter(struct spinlock *sl)
{
	bool intr = machine_intr_disable();
	struct cpu_info *ci = curcpu();
	uint32_t ticket;

	if (__builtin_expect(spinlock_plain(sl, ci), 1)) {
		spinlock_begin(ci, (uintptr_t)sl, intr);
		if (!spinlock_draw(sl, &ticket))
			spinlock_wait(sl, ci, ticket, SPINLOCK_CALLER());
		spinlock_take(sl, ci, SPINLOCK_CALLER());
	} else {
		spinlock_enter_checked(sl, SPINLOCK_CALLER(), intr);
	}
}

bool
spinlock_tryenter(struct spinlock *sl)
{
	bool intr = machine_intr_disable();
	struct cpu_info *ci = curcpu();

	if (__builtin_expect(!spinlock_plain(sl, ci), 0))
		return spinlock_try_checked(sl, SPINLOCK_CALLER(), intr);
	if (!spinlock_try(sl, ci, SPINLOCK_CALLER())) {
		machine_intr_restore(intr);
		return false;
	}
	spinlock_begin(ci, (uintptr_t)sl, intr);
	return true;
}

/* Whose the lock is that this CPU gives up. */
static _Noreturn void
spinlock_refuse_release(const struct spinlock *sl, uintptr_t where)
{
	const struct cpu_info *ci = curcpu();
	const struct cpu_info *owner = atomic_load_explicit(&sl->sl_owner, memory_order_relaxed);
	char here[KSYMS_TEXT_BYTES], there[KSYMS_TEXT_BYTES];

	if (owner == NULL)
		panic("spinlock %s: exit on CPU %u at %s, held by nobody", sl->sl_name,
		    ci->ci_index, ksyms_format(where, here));
	panic("spinlock %s: exit on CPU %u at %s, held by CPU %u, taken at %s", sl->sl_name,
	    ci->ci_index, ksyms_format(where, here), owner->ci_index,
	    ksyms_format(atomic_load_explicit(&sl->sl_where, memory_order_relaxed), there));
}

static inline struct cpu_info *
spinlock_release(struct spinlock *sl, uintptr_t where)
{
	struct cpu_info *ci = curcpu();

	if (atomic_load_explicit(&sl->sl_owner, memory_order_relaxed) != ci)
		spinlock_refuse_release(sl, where);
	spinlock_pass(sl);
	return ci;
}

void
spinlock_exit_quiet(struct spinlock *sl)
{
	struct cpu_info *ci = spinlock_release(sl, SPINLOCK_CALLER());
	unsigned last = ci->ci_spin_depth - 1;

	if (spinlock_ends_plainly(ci, sl, last))
		(void)spinlock_end(ci, last);
	else
		(void)spinlock_end_odd(ci, sl);
}

void
spinlock_exit(struct spinlock *sl)
{
	struct cpu_info *ci = spinlock_release(sl, SPINLOCK_CALLER());
	unsigned last = ci->ci_spin_depth - 1;

	/* Relaxed: who set it from elsewhere has sent an interrupt. */
	if (spinlock_ends_plainly(ci, sl, last)) {
		if (spinlock_end(ci, last) &&
		    atomic_load_explicit(&ci->ci_resched, memory_order_relaxed))
			sched_preempt_point();
	} else if (spinlock_end_odd(ci, sl)) {
		sched_preempt_point();
	}
}
