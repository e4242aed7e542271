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
 * After a wake-up the waiter does not touch the condition variable: it may be destroyed right after
 * a broadcast.  cv_destroy() takes the lock, so it waits for a signaller that is still at work.
 *
 * Lock order: spin mutex before cv lock.  An adaptive mutex is not a spinlock and has no place in
 * that order.
 */
#include "kernel/condvar.h"

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "kernel/sched.h"

void
cv_init(kcondvar_t *cv, const char *name)
{
	spinlock_init_kind(&cv->cv_lock, name, LOCKDEBUG_CONDVAR);
	sleepq_init(&cv->cv_queue, &cv->cv_lock);
	cv->cv_mutex = NULL;
	cv->cv_name = name;
}

void
cv_destroy(kcondvar_t *cv)
{
	spinlock_enter(&cv->cv_lock);
	if (!sleepq_empty(&cv->cv_queue))
		panic("destroying busy condition variable %s, waiters: %u, first of them %s",
		    cv->cv_name, sleepq_count(&cv->cv_queue), sleepq_first(&cv->cv_queue)->l_name);
	spinlock_exit(&cv->cv_lock);
}

/* Panics unless the caller may wait: holds the mutex, and nothing that forbids a sleep.  A spin
 * mutex is the one spinlock that may be held, since it is left before the sleep. */
static void
cv_check(const kcondvar_t *cv, const kmutex_t *mtx, const char *operation)
{
	const struct spinlock *allowed = mtx->mtx_ipl != IPL_NONE ? &mtx->mtx_spin : NULL;

	if (allowed == NULL && !sched_sleepable(NULL))
		sched_panic_sleeping(NULL, operation, cv->cv_name);
	if (!mutex_owned(mtx))
		panic("%s %s: mutex %s not held by %s", operation, cv->cv_name, mtx->mtx_name,
		    curlwp != NULL ? curlwp->l_name : "no thread");
	if (!sched_sleepable(allowed))
		sched_panic_sleeping(allowed, operation, cv->cv_name);
}

static int
cv_wait_until(kcondvar_t *cv, kmutex_t *mtx, uint64_t until_ns, const char *operation)
{
	int result;

	cv_check(cv, mtx, operation);
	spinlock_enter(&cv->cv_lock);
	if (!sleepq_empty(&cv->cv_queue) && cv->cv_mutex != mtx)
		panic("%s %s: with mutex %s by %s, with mutex %s by %s", operation, cv->cv_name,
		    mtx->mtx_name, curlwp->l_name, cv->cv_mutex->mtx_name,
		    sleepq_first(&cv->cv_queue)->l_name);
	cv->cv_mutex = mtx;
	sleepq_enter(&cv->cv_queue, cv, cv->cv_name);
	spinlock_exit(&cv->cv_lock);
	mutex_exit(mtx);
	result = sleepq_wait(until_ns);
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

void
cv_signal(kcondvar_t *cv)
{
	spinlock_enter(&cv->cv_lock);
	(void)sleepq_wake_one(&cv->cv_queue);
	spinlock_exit(&cv->cv_lock);
}

void
cv_broadcast(kcondvar_t *cv)
{
	spinlock_enter(&cv->cv_lock);
	(void)sleepq_wake_all(&cv->cv_queue);
	spinlock_exit(&cv->cv_lock);
}

bool
cv_has_waiters(kcondvar_t *cv)
{
	bool waiters;

	spinlock_enter(&cv->cv_lock);
	waiters = !sleepq_empty(&cv->cv_queue);
	spinlock_exit(&cv->cv_lock);
	return waiters;
}
