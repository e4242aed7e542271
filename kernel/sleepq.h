/*
 * Sleep queues: the only place where a thread goes to sleep.
 *
 * A queue belongs to a synchronisation object (mutex, condition variable, join), which also
 * supplies the spinlock that guards it.  Waiters stand by priority, equals in order of arrival.
 *
 * Sleeping takes two steps: sleepq_enter() under the lock, sleepq_wait() without any.  A wake-up
 * between the two is not lost: the wait then returns at once.
 */
#ifndef KERNEL_SLEEPQ_H
#define KERNEL_SLEEPQ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/spinlock.h"

struct lwp;

struct sleepq {
	struct spinlock *sq_lock;
	struct lwp *sq_head;
};

/* No timeout. */
#define SLEEPQ_FOREVER UINT64_MAX

/*
 * The lock must outlive the last waiter's removal; who frees the memory of both takes the lock once
 * after it found the queue empty.
 */
void sleepq_init(struct sleepq *, struct spinlock *lock);
/* Puts the calling thread into the queue; it goes on running.  Queue lock held, thread context. */
void sleepq_enter(struct sleepq *, const void *object, const char *why);
/* Takes it out again, instead of a wait.  Queue lock held. */
void sleepq_leave(struct sleepq *);
/*
 * Sleeps until somebody takes the caller out of the queue that it entered.  0, or ETIMEDOUT when
 * that was the clock: `until_ns` is a clock_ns() deadline, kept at the resolution of this CPU's
 * tick.  Does not touch the queue after a wake-up.
 *  - Context: where a thread may sleep (sched_assert_sleepable()).
 */
int sleepq_wait(uint64_t until_ns);
/* Wakes the first waiter and returns it, or NULL.  Queue lock held; any context but NMI. */
struct lwp *sleepq_wake_one(struct sleepq *);
/* Wakes all; returns how many. */
unsigned sleepq_wake_all(struct sleepq *);
/* The first waiter, or NULL.  Queue lock held. */
static inline struct lwp *
sleepq_first(const struct sleepq *sq)
{
	return sq->sq_head;
}

/* Whether nobody waits; how many do.  Queue lock held. */
static inline bool
sleepq_empty(const struct sleepq *sq)
{
	return sq->sq_head == NULL;
}

unsigned sleepq_count(const struct sleepq *);

/* For sched.c, with the queue's and the thread's run-queue lock held: takes a thread out of its
 * queue, with the result of its wait; moves it to where its changed priority puts it. */
void sleepq_remove(struct sleepq *, struct lwp *, int result);
void sleepq_requeue(struct sleepq *, struct lwp *);

#endif
