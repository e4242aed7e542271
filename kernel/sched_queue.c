/*
 * From a thread to the queue that it sleeps in: deadlines, and changes of priority.  Both come
 * against the lock order, so they only try the queue's lock (sleepq.c).
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/panic.h"
#include "kernel/sched_internal.h"
#include "kernel/sleepq.h"

/* How often one tick tries for a sleep queue's lock before it leaves the rest to the next: a lock
 * that is always taken must not keep the CPU in its interrupt. */
#define SCHED_TIMEOUT_TRIES 1000

/* --- deadlines -------------------------------------------------------------------------------- */

void
sched_deadline_insert(struct sched_cpu *sc, lwp_t *l)
{
	lwp_t **link = &sc->sc_timeouts;

	while (*link != NULL && (*link)->l_sleep_until_ns <= l->l_sleep_until_ns)
		link = &(*link)->l_timeout_next;
	l->l_timeout_next = *link;
	*link = l;
}

void
sched_deadline_remove(struct sched_cpu *sc, lwp_t *l)
{
	lwp_t **link = &sc->sc_timeouts;

	while (*link != l)
		link = &(*link)->l_timeout_next;
	*link = l->l_timeout_next;
	l->l_sleep_until_ns = SLEEPQ_FOREVER;
}

/* Takes `l` out of its sleep queue; false when that has to be tried again.  Run-queue lock held. */
static bool
sched_try_timeout(lwp_t *l)
{
	struct sleepq *sq = atomic_load_explicit(&l->l_queue, memory_order_relaxed);

	if (sq == NULL) {
		if (sched_state(l) == LS_SLEEPING)
			sched_ready(l); /* kthread_await() */
		return true;
	}
	if (!spinlock_tryenter(sq->sq_lock))
		return false;
	sleepq_remove(sq, l, ETIMEDOUT);
	sched_ready(l);
	spinlock_exit_quiet(sq->sq_lock);
	return true;
}

void
sched_timeout(lwp_t *l)
{
	bool done;

	do {
		sched_lock(l);
		done = sched_try_timeout(l);
		sched_unlock(l);
		machine_pause();
	} while (!done);
}

static void
sched_expire(struct sched_cpu *sc, uint64_t now)
{
	bool due = true;

	for (unsigned tries = 0; due && tries < SCHED_TIMEOUT_TRIES;) {
		spinlock_enter(&sc->sc_lock);
		due = sc->sc_timeouts != NULL && sc->sc_timeouts->l_sleep_until_ns <= now;
		if (due && !sched_try_timeout(sc->sc_timeouts))
			tries++;
		spinlock_exit(&sc->sc_lock);
		machine_pause();
	}
}

void
sched_tick(struct cpu_info *ci)
{
	struct sched_cpu *sc = ci->ci_sched;
	lwp_t *l;

	if (sc == NULL || ci->ci_curlwp == NULL)
		return; /* the timer is on before the scheduler */
	sched_expire(sc, clock_ns());
	spinlock_enter(&sc->sc_lock);
	l = sc->sc_cur;
	sched_account(l);
	if (l->l_slice_left == 0 && runq_top(&sc->sc_ready) == l->l_pri && l != sc->sc_idle)
		atomic_store_explicit(&ci->ci_resched, true, memory_order_relaxed);
	spinlock_exit(&sc->sc_lock);
}

/* --- priorities ------------------------------------------------------------------------------- */

/* Takes the run-queue lock of `l` and, if it stands in a sleep queue, that queue's: *sq is the
 * queue, *taken whether its lock was not held before. */
static void
sched_lock_with_queue(lwp_t *l, struct sleepq **sq, bool *taken)
{
	for (;;) {
		sched_lock(l);
		*taken = false;
		*sq = atomic_load_explicit(&l->l_queue, memory_order_relaxed);
		if (*sq == NULL || spinlock_owned((*sq)->sq_lock))
			return;
		*taken = spinlock_tryenter((*sq)->sq_lock);
		if (*taken)
			return;
		sched_unlock(l);
		machine_pause();
	}
}

void
sched_set_priority(lwp_t *l, pri_t pri)
{
	struct sched_cpu *sc = l->l_cpu->ci_sched;
	struct sleepq *sq;
	bool taken, ready;

	sched_lock_with_queue(l, &sq, &taken);
	/* A thread on its way to sleep stands in a sleep queue, and in a run queue too when
	 * preempted. */
	ready = sched_state(l) == LS_RUNNABLE && l != sc->sc_idle;
	if (ready)
		runq_remove(&sc->sc_ready, l);
	l->l_pri = pri;
	atomic_store_explicit(&l->l_seen_pri, pri, memory_order_relaxed);
	if (sq != NULL)
		sleepq_requeue(sq, l);
	if (ready)
		runq_insert(&sc->sc_ready, l, false);
	sched_kick(sc, runq_top(&sc->sc_ready));
	if (taken) {
		KASSERT(sq != NULL);
		spinlock_exit_quiet(sq->sq_lock);
	}
	sched_unlock(l);
}
