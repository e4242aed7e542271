/*
 * Sleep queues.
 *
 * Background.  A thread that goes to sleep must look at its condition, stand in a queue and leave
 * the CPU without a gap in which a wake-up is lost; and a wake-up, a timeout and a change of
 * priority may all come at once, from several CPUs.
 *
 * Implementation.  l_queue names the queue a thread stands in.  It is written with two locks held,
 * the queue's and the run-queue lock of the thread's CPU (order: queue, run queue), so either lock
 * makes it stable.  Going to sleep is two steps:
 *
 *	sleepper					waker
 *	queue lock
 *	look at the condition
 *	sleepq_enter: l_queue = queue
 *	queue unlock
 *							queue lock, change the condition
 *							sleepq_wake_one: l_queue = NULL
 *							sched_ready: it runs, nothing to do
 *							queue unlock
 *	sleepq_wait: run-queue lock
 *	l_queue is NULL: returns at once
 *
 * and when the wait comes first, the run-queue lock that it holds until another thread has the CPU
 * keeps sched_ready() away from a thread that is half off its stack.  No lock is held between the
 * steps: there cv_wait() can leave its mutex, which may itself wake somebody.
 *
 * The tick, and a change of priority, come from the other side: they have the thread and look for
 * its queue, which may vanish once the thread is woken (a condition variable may be destroyed right
 * after its broadcast).  They hold the run-queue lock: while l_queue is set under it, the thread
 * has not been taken out, so the queue and its lock exist.  Since that is against the lock order
 * they only try the queue's lock, and let go of both on failure (sched.c).  Rejected: a reference
 * count on queues (every object would carry one), and timeouts that leave the removal to the
 * sleeper (it meets the same question later).
 *
 * Exactly one of wake-up and timeout wins: who takes the thread out of its queue, under both locks,
 * writes its result.
 *
 * Limits.  Entering is linear in the number of waiters of at least that priority.
 */
#include "kernel/sleepq.h"

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "kernel/sched_internal.h"
#include "kernel/spinlock_inner.h"

void
sleepq_init(struct sleepq *sq, struct spinlock *lock)
{
	sq->sq_lock = lock;
	sq->sq_head = NULL;
}

/* Behind the last of at least that priority. */
static void
sleepq_insert(struct sleepq *sq, lwp_t *l)
{
	lwp_t **link = &sq->sq_head;

	while (*link != NULL && (*link)->l_pri >= l->l_pri)
		link = &(*link)->l_sleep_next;
	l->l_sleep_next = *link;
	*link = l;
}

static inline void
sleepq_unlink(struct sleepq *sq, lwp_t *l)
{
	lwp_t **link = &sq->sq_head;

	while (*link != l) {
		KASSERTMSG(
		    *link != NULL, "%s is not in the queue for %s", l->l_name, l->l_sleep_why);
		link = &(*link)->l_sleep_next;
	}
	*link = l->l_sleep_next;
	l->l_sleep_next = NULL;
}

void
sleepq_enter(struct sleepq *sq, const void *object, const char *why)
{
	lwp_t *l = curlwp;
	struct sched_cpu *sc = l->l_cpu->ci_sched;

	KASSERT(spinlock_owned(sq->sq_lock));
	KASSERT(atomic_load_explicit(&l->l_queue, memory_order_relaxed) == NULL);
	spinlock_enter_inner(&sc->sc_lock);
	l->l_sleep_object = object;
	l->l_sleep_why = why;
	l->l_sleep_result = 0;
	sleepq_insert(sq, l);
	/* Relaxed, here and below: the two locks order it. */
	atomic_store_explicit(&l->l_queue, sq, memory_order_relaxed);
	spinlock_exit_inner(&sc->sc_lock);
}

void
sleepq_leave(struct sleepq *sq)
{
	lwp_t *l = curlwp;
	struct sched_cpu *sc = l->l_cpu->ci_sched;

	KASSERT(spinlock_owned(sq->sq_lock));
	spinlock_enter_inner(&sc->sc_lock);
	sleepq_remove(sq, l, 0);
	spinlock_exit_inner(&sc->sc_lock);
}

int
sleepq_wait(uint64_t until_ns)
{
	lwp_t *l = curlwp;

	if (until_ns != SLEEPQ_FOREVER && until_ns <= clock_ns())
		sched_timeout(l);
	sched_sleep(until_ns);
	return l->l_sleep_result;
}

void
sleepq_remove(struct sleepq *sq, lwp_t *l, int result)
{
	sleepq_unlink(sq, l);
	l->l_sleep_result = result;
	atomic_store_explicit(&l->l_queue, NULL, memory_order_relaxed);
}

void
sleepq_requeue(struct sleepq *sq, lwp_t *l)
{
	sleepq_unlink(sq, l);
	sleepq_insert(sq, l);
}

lwp_t *
sleepq_wake_one(struct sleepq *sq)
{
	lwp_t *l = sq->sq_head;
	struct sched_cpu *sc;

	KASSERT(spinlock_owned(sq->sq_lock));
	if (l == NULL)
		return NULL;
	sc = l->l_cpu->ci_sched;
	spinlock_enter_inner(&sc->sc_lock);
	sleepq_remove(sq, l, 0);
	sched_ready(l);
	spinlock_exit_inner(&sc->sc_lock);
	return l;
}

unsigned
sleepq_wake_all(struct sleepq *sq)
{
	unsigned n = 0;

	while (sleepq_wake_one(sq) != NULL)
		n++;
	return n;
}

unsigned
sleepq_count(const struct sleepq *sq)
{
	unsigned n = 0;

	for (const lwp_t *l = sleepq_first(sq); l != NULL; l = l->l_sleep_next)
		n++;
	return n;
}
