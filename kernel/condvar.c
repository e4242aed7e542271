/*
 * condvar(9).
 *
 * A waiter stands in the queue before it leaves the mutex, so a signaller that holds the mutex
 * afterwards finds it; and it sleeps after it left the mutex, with no lock held, which sleepq.c
 * makes safe:
 *
 *	waiter					signaller
 *	cv lock, sleepq_enter, cv unlock
 *	mutex_exit
 *						mutex_enter, change, cv_signal: takes it out
 *	sleepq_wait: returns at once		mutex_exit
 *	mutex_enter
 *
 * That is the long way.  One waiter, with nobody before it, need not stand in the queue at once: it
 * puts itself into cv_looker and looks there for its signal, for as long as a sleep would cost
 * (sched_look).  Who signals it then takes no lock and does not touch the queue:
 *
 *	waiter					signaller
 *	cv_looker = itself
 *	mutex_exit
 *						cv_queued is false, cv_looker is a waiter:
 *	cv_looker has CV_TAKEN?			cv_looker |= CV_TAKEN, by compare-and-swap
 *	cv_looker = 0
 *	mutex_enter
 *
 * When the time is over it enters the queue, under the cv lock, and only then leaves cv_looker, so
 * that it is found in one of them at each moment; if a signaller took it meanwhile, it leaves the
 * queue again.  Others that come while one looks go to the queue; then cv_queued tells signallers
 * to take the lock and to choose by priority, the looker before its equals, since it came first.
 * Nobody looks while somebody is queued.
 *
 * A condition variable may be destroyed right after a broadcast.  A waiter in the queue does not
 * touch it after its wake-up; one that looked does, to leave cv_looker, and cv_destroy() waits for
 * that.  cv_destroy() also takes the lock, so it waits for a signaller that is still at work.
 *
 * Rejected: a flag of the waiter's own to look at, since one that goes to the queue must touch the
 * condition variable when the flag may just have been set.
 *
 * Lock order: spin mutex before cv lock.  An adaptive mutex is not a spinlock and has no place in
 * that order.
 */
#include "kernel/condvar.h"

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/sched.h"

/* In cv_looker: it is signalled, and has not left yet. */
#define CV_TAKEN ((uintptr_t)1)

void
cv_init(kcondvar_t *cv, const char *name)
{
	spinlock_init_kind(&cv->cv_lock, name, LOCKDEBUG_CONDVAR);
	sleepq_init(&cv->cv_queue, &cv->cv_lock);
	atomic_init(&cv->cv_looker, 0);
	atomic_init(&cv->cv_queued, false);
	cv->cv_mutex = NULL;
	cv->cv_name = name;
}

/* The waiter that a word of cv_looker names, or NULL. */
static inline lwp_t *
cv_looker_of(uintptr_t word)
{
	return (lwp_t *)(word & ~CV_TAKEN);
}

/* Acquire: pairs with cv_look(). */
static inline uintptr_t
cv_looker(const kcondvar_t *cv)
{
	return atomic_load_explicit(&cv->cv_looker, memory_order_acquire);
}

void
cv_destroy(kcondvar_t *cv)
{
	const lwp_t *looker, *first;

	while ((cv_looker(cv) & CV_TAKEN) != 0) {
		/* It may be waiting for this CPU. */
		if (sched_sleepable())
			kthread_sleep_ns(1);
		machine_pause();
	}
	spinlock_enter(&cv->cv_lock);
	looker = cv_looker_of(cv_looker(cv));
	first = looker != NULL ? looker : sleepq_first(&cv->cv_queue);
	if (first != NULL)
		panic("destroying busy condition variable %s, waiters: %u, first of them %s",
		    cv->cv_name, sleepq_count(&cv->cv_queue) + (looker != NULL), first->l_name);
	spinlock_exit(&cv->cv_lock);
}

/* --- waiting ---------------------------------------------------------------------------------- */

/* Why a wait is refused. */
static _Noreturn void __attribute__((noinline, cold))
cv_refuse(const kcondvar_t *cv, const kmutex_t *mtx, const char *operation)
{
	const struct spinlock *allowed = mtx->mtx_ipl != IPL_NONE ? &mtx->mtx_spin : NULL;

	if ((allowed == NULL && !sched_sleepable()) || mutex_owned(mtx))
		sched_panic_sleeping(allowed, operation, cv->cv_name);
	panic("%s %s: mutex %s not held by %s", operation, cv->cv_name, mtx->mtx_name,
	    curlwp != NULL ? curlwp->l_name : "no thread");
}

/* Puts the caller into cv_looker, if it may look there. */
static inline bool
cv_look(kcondvar_t *cv, lwp_t *l)
{
	uintptr_t nobody = 0;

	/* Relaxed: who waits already has left the mutex, which the caller holds.  Release: pairs
	 * with cv_looker(). */
	return !atomic_load_explicit(&cv->cv_queued, memory_order_relaxed) &&
	    atomic_compare_exchange_strong_explicit(
		&cv->cv_looker, &nobody, (uintptr_t)l, memory_order_release, memory_order_relaxed);
}

/* Enters the queue.  cv lock held. */
static void
cv_enter(kcondvar_t *cv, kmutex_t *mtx, const char *operation)
{
	if (!sleepq_empty(&cv->cv_queue) && cv->cv_mutex != mtx)
		panic("%s %s: with mutex %s by %s, with mutex %s by %s", operation, cv->cv_name,
		    mtx->mtx_name, curlwp->l_name, cv->cv_mutex->mtx_name,
		    sleepq_first(&cv->cv_queue)->l_name);
	cv->cv_mutex = mtx;
	/* Release: pairs with cv_signal_looker(). */
	atomic_store_explicit(&cv->cv_queued, true, memory_order_release);
	sleepq_enter(&cv->cv_queue, cv, cv->cv_name);
}

/* The caller, who was in cv_looker when it left the mutex, waits for its signal. */
static inline int
cv_look_until(kcondvar_t *cv, kmutex_t *mtx, lwp_t *l, uint64_t until_ns, const char *operation)
{
	uintptr_t looker = (uintptr_t)l;
	bool taken = sched_look(&cv->cv_looker, looker);

	if (!taken) {
		spinlock_enter(&cv->cv_lock);
		cv_enter(cv, mtx, operation);
		/* Release: who finds nobody there finds cv_queued.  Acquire: pairs with
		 * cv_signal_looker(). */
		taken = !atomic_compare_exchange_strong_explicit(
		    &cv->cv_looker, &looker, 0, memory_order_acq_rel, memory_order_acquire);
		if (taken)
			sleepq_leave(&cv->cv_queue);
		spinlock_exit(&cv->cv_lock);
		if (!taken)
			return sleepq_wait(until_ns);
	}
	/* Release: pairs with cv_destroy(). */
	atomic_store_explicit(&cv->cv_looker, 0, memory_order_release);
	return 0;
}

/* The caller must hold the mutex, and nothing that forbids a sleep.  A spin mutex is the one
 * spinlock that may be held, since it is left before the sleep. */
static int
cv_wait_until(kcondvar_t *cv, kmutex_t *mtx, uint64_t until_ns, const char *operation)
{
	bool adaptive = mtx->mtx_ipl == IPL_NONE, looks;
	lwp_t *l = curlwp;
	int result;

	if (adaptive ? !sched_sleepable() || mutex_owner(mtx) != l
		     : !sched_sleepable_with(&mtx->mtx_spin))
		cv_refuse(cv, mtx, operation);
	looks = cv_look(cv, l);
	if (!looks) {
		spinlock_enter(&cv->cv_lock);
		cv_enter(cv, mtx, operation);
		spinlock_exit(&cv->cv_lock);
	}
	if (adaptive)
		mutex_exit_adaptive(mtx, l);
	else
		mutex_exit(mtx);
	result = looks ? cv_look_until(cv, mtx, l, until_ns, operation) : sleepq_wait(until_ns);
	if (adaptive)
		mutex_enter_adaptive(mtx, l);
	else
		mutex_enter(mtx);
	return result;
}

void
cv_wait(kcondvar_t *cv, kmutex_t *mtx)
{
	(void)cv_wait_until(cv, mtx, SLEEPQ_FOREVER, "cv_wait");
}

int
cv_timedwait(kcondvar_t *cv, kmutex_t *mtx, uint64_t timeout_ns)
{
	uint64_t now = clock_ns(), last = SLEEPQ_FOREVER - 1;

	return cv_wait_until(
	    cv, mtx, timeout_ns < last - now ? now + timeout_ns : last, "cv_timedwait");
}

/* --- signalling ------------------------------------------------------------------------------- */

/* Signals who looked when `word` was read; false: it does not any more, or was signalled. */
static inline bool
cv_signal_looker(kcondvar_t *cv, uintptr_t word)
{
	/* Release: pairs with sched_look() and cv_look_until(). */
	return cv_looker_of(word) != NULL && (word & CV_TAKEN) == 0 &&
	    atomic_compare_exchange_strong_explicit(
		&cv->cv_looker, &word, word | CV_TAKEN, memory_order_release, memory_order_relaxed);
}

/* cv lock held. */
static void
cv_signal_best(kcondvar_t *cv)
{
	uintptr_t word = cv_looker(cv);
	const lwp_t *first = sleepq_first(&cv->cv_queue);

	/* The looker's priority may be just changing: then either is right. */
	if ((first == NULL || cv_looker_of(word) == NULL ||
		sched_priority(cv_looker_of(word)) >= first->l_pri) &&
	    cv_signal_looker(cv, word))
		return;
	(void)sleepq_wake_one(&cv->cv_queue);
	atomic_store_explicit(&cv->cv_queued, !sleepq_empty(&cv->cv_queue), memory_order_relaxed);
}

void
cv_signal(kcondvar_t *cv)
{
	/* Acquire, both: pair with cv_look() and cv_look_until(): who is not seen in the first is
	 * in the second. */
	uintptr_t word = cv_looker(cv);

	if (!atomic_load_explicit(&cv->cv_queued, memory_order_acquire) &&
	    (cv_looker_of(word) == NULL || cv_signal_looker(cv, word)))
		return;
	spinlock_enter(&cv->cv_lock);
	cv_signal_best(cv);
	spinlock_exit(&cv->cv_lock);
}

void
cv_broadcast(kcondvar_t *cv)
{
	/* As in cv_signal(). */
	(void)cv_signal_looker(cv, cv_looker(cv));
	if (!atomic_load_explicit(&cv->cv_queued, memory_order_acquire))
		return;
	spinlock_enter(&cv->cv_lock);
	(void)sleepq_wake_all(&cv->cv_queue);
	atomic_store_explicit(&cv->cv_queued, false, memory_order_relaxed);
	spinlock_exit(&cv->cv_lock);
}

bool
cv_has_waiters(kcondvar_t *cv)
{
	uintptr_t word;
	bool waiters;

	spinlock_enter(&cv->cv_lock);
	word = cv_looker(cv);
	waiters = (cv_looker_of(word) != NULL && (word & CV_TAKEN) == 0) ||
	    !sleepq_empty(&cv->cv_queue);
	spinlock_exit(&cv->cv_lock);
	return waiters;
}
