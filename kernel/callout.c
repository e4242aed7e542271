/*
 * callout(9): functions that run once, later, in a soft interrupt of the clock's level.
 *
 * Background.  A callout has two enemies: it is scheduled, moved and stopped from any CPU while its
 * own runs it, and its function may free it.
 *
 * Implementation.  Each CPU has a list, sorted by time, under a lock of its own.  The tick looks at
 * the first entry, without the lock, and schedules the soft interrupt when that is due; the soft
 * interrupt takes the due ones out, one at a time, and calls them without the lock.  It stops at
 * what became due only since it began, so a callout that schedules itself for at once runs once a
 * tick and not for ever.
 *
 * co_home says which lock guards a callout; it is read without that lock, so after taking the lock
 * it is looked at again.  It changes only under the lock that it names before, and the first time,
 * when it names none, by compare-and-swap, so that one of several CPUs wins.  To move a callout is
 * to take it out under the lock of the old home, to set the new home, to let go, and to take the
 * new lock: two list locks are never held at once.  Between the two, another CPU may have moved it
 * on, which then counts as the later one.
 *
 * cc_running has the callout whose function runs, for callout_halt() alone; the callout may be
 * freed by then, so it is only compared.  callout_halt() looks at it with the lock of the callout's
 * home held:
 *
 *	callout_run, CPU A			callout_halt
 *	(list lock of A)			(list lock of the home, which is A or another)
 *	takes it out, running = it		takes it out, if it is there
 *	lets go					running on any CPU?  lets go; yes: sleeps, again
 *	function
 *	(list lock of A) running = none
 *
 * A function that schedules its callout again needs the lock of its home, too: it has done so
 * before, then the callout is found, or it cannot until the look is over, then it is found running.
 * Without the lock there is a gap between the two looks, in which it comes back.
 *
 * Rules for callers: callout.h.
 *
 * Limits.  Insertion is linear in the pending callouts of the CPU.  Rejected: a wheel, for a kernel
 * with a handful of callouts; a callout that follows the clock of another CPU while its own is
 * offline (who schedules it knows better).
 */
#include "kernel/callout.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/softint.h"
#include "kernel/spinlock.h"

/* How long callout_halt() sleeps between two looks. */
#define CALLOUT_HALT_NS 1000000ull

/*
 * Locking keys:
 *	l	cc_lock
 *	L	written under cc_lock, read by all
 */
struct callout_cpu {
	struct spinlock cc_lock;
	callout_t *cc_first;                   /* l: soonest */
	_Atomic uint64_t cc_due_ns;            /* L: of the first; UINT64_MAX: none */
	_Atomic(const callout_t *) cc_running; /* L: its function runs now */
};

static void *callout_softint;

/* With the lock: the first entry has changed. */
static void
callout_note_first(struct callout_cpu *cc)
{
	/* Relaxed: the tick that misses a change sees it the next time. */
	atomic_store_explicit(&cc->cc_due_ns,
	    cc->cc_first != NULL ? cc->cc_first->co_due_ns : UINT64_MAX, memory_order_relaxed);
}

static void
callout_insert(struct callout_cpu *cc, callout_t *c)
{
	callout_t **link = &cc->cc_first;

	while (*link != NULL && (*link)->co_due_ns <= c->co_due_ns)
		link = &(*link)->co_next;
	c->co_next = *link;
	*link = c;
	c->co_pending = true;
	callout_note_first(cc);
}

static void
callout_remove(struct callout_cpu *cc, callout_t *c)
{
	callout_t **link = &cc->cc_first;

	while (*link != c)
		link = &(*link)->co_next;
	*link = c->co_next;
	c->co_pending = false;
	callout_note_first(cc);
}

/* Soft interrupt: runs what is due on this CPU. */
static void
callout_run(void *arg __attribute__((unused)))
{
	struct callout_cpu *cc = curcpu()->ci_callout;
	void (*func)(void *);
	callout_t *c;
	void *func_arg;
	uint64_t now = clock_ns();

	spinlock_enter(&cc->cc_lock);
	/* Before, not at: the clock may read the same when a function schedules its own again. */
	while ((c = cc->cc_first) != NULL && c->co_due_ns < now) {
		callout_remove(cc, c);
		func = c->co_func;
		func_arg = c->co_arg;
		/* Relaxed: whoever must see it has had the lock since, or that of a later home. */
		atomic_store_explicit(&cc->cc_running, c, memory_order_relaxed);
		spinlock_exit(&cc->cc_lock);
		(*func)(func_arg);
		spinlock_enter(&cc->cc_lock);
		/* Release: pairs with callout_running(). */
		atomic_store_explicit(&cc->cc_running, NULL, memory_order_release);
	}
	spinlock_exit(&cc->cc_lock);
}

void
callout_init_cpu(struct cpu_info *ci)
{
	if (callout_softint == NULL) {
		callout_softint = softint_establish(
		    SOFTINT_CLOCK | SOFTINT_MPSAFE, callout_run, NULL);
		KASSERT(callout_softint != NULL);
	}
	ci->ci_callout = kmem_boot_alloc(sizeof(*ci->ci_callout));
	spinlock_init(&ci->ci_callout->cc_lock, "callout");
	callout_note_first(ci->ci_callout);
}

void
callout_tick(struct cpu_info *ci, uint64_t now_ns)
{
	struct callout_cpu *cc = ci->ci_callout;

	if (cc != NULL && atomic_load_explicit(&cc->cc_due_ns, memory_order_relaxed) < now_ns)
		softint_schedule(callout_softint);
}

void
callout_init(callout_t *c, void (*func)(void *), void *arg)
{
	KASSERTMSG(func != NULL, "callout_init: NULL function");
	*c = (callout_t){ .co_func = func, .co_arg = arg };
}

/* Its list, locked; NULL: it never had one. */
static struct callout_cpu *
callout_lock(callout_t *c)
{
	struct callout_cpu *cc;

	for (;;) {
		/* Acquire: pairs with callout_settle(). */
		cc = atomic_load_explicit(&c->co_home, memory_order_acquire);
		if (cc == NULL)
			return NULL;
		spinlock_enter(&cc->cc_lock);
		/* Acquire, again: it may have left and come back since the first look, by a CPU
		 * that has not had this lock yet. */
		if (atomic_load_explicit(&c->co_home, memory_order_acquire) == cc)
			return cc;
		spinlock_exit(&cc->cc_lock);
	}
}

bool
callout_stop(callout_t *c)
{
	struct callout_cpu *cc = callout_lock(c);
	bool pending = cc != NULL && c->co_pending;

	if (pending)
		callout_remove(cc, c);
	if (cc != NULL)
		spinlock_exit(&cc->cc_lock);
	return pending;
}

/* Makes `here` the home in place of the locked `cc`, or of none; false: somebody was faster. */
static bool
callout_settle(callout_t *c, struct callout_cpu *cc, struct callout_cpu *here)
{
	struct callout_cpu *none = NULL;

	/* Release, in both: pairs with callout_lock(). */
	if (cc == NULL)
		return atomic_compare_exchange_strong_explicit(
		    &c->co_home, &none, here, memory_order_release, memory_order_relaxed);
	atomic_store_explicit(&c->co_home, here, memory_order_release);
	return true;
}

void
callout_schedule(callout_t *c, uint64_t delay_ns)
{
	/* Stays on this CPU, and nothing comes between the two lists. */
	bool intr = machine_intr_disable();
	struct callout_cpu *here = curcpu()->ci_callout, *cc;
	uint64_t now = clock_ns();

	KASSERTMSG(c->co_func != NULL, "callout_schedule: %p is not initialised", (void *)c);
	do {
		cc = callout_lock(c);
		if (cc != NULL && c->co_pending)
			callout_remove(cc, c);
	} while (!callout_settle(c, cc, here));
	if (cc != here) {
		if (cc != NULL)
			spinlock_exit(&cc->cc_lock);
		spinlock_enter(&here->cc_lock);
	}
	/* Somebody may have moved it on meanwhile: the later one wins. */
	if (atomic_load_explicit(&c->co_home, memory_order_relaxed) == here) {
		c->co_due_ns = delay_ns < UINT64_MAX - now ? now + delay_ns : UINT64_MAX;
		callout_insert(here, c);
	}
	spinlock_exit(&here->cc_lock);
	machine_intr_restore(intr);
}

/* Whether its function runs, on whichever CPU. */
static bool
callout_running(const callout_t *c)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		if (ci->ci_callout != NULL &&
		    /* Acquire: pairs with callout_run(). */
		    atomic_load_explicit(&ci->ci_callout->cc_running, memory_order_acquire) == c)
			return true;
	}
	return false;
}

bool
callout_halt(callout_t *c)
{
	struct callout_cpu *cc;
	bool pending = false, running;

	sched_assert_sleepable("callout_halt");
	while ((cc = callout_lock(c)) != NULL) {
		if (c->co_pending) {
			callout_remove(cc, c);
			pending = true;
		}
		running = callout_running(c);
		spinlock_exit(&cc->cc_lock);
		if (!running)
			break;
		kthread_sleep_ns(CALLOUT_HALT_NS);
	}
	return pending;
}
