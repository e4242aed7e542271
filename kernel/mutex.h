/*
 * mutex(9): mutual exclusion between threads, and between threads and interrupts.
 *
 * A mutex made with IPL_NONE is adaptive: the contender spins while the owner runs on another CPU
 * and sleeps otherwise; the owner inherits the priority of its best waiter, through chains.
 * Release hands the mutex to the best waiter, so nobody overtakes a sleeper.  Made with any other
 * IPL, soft levels included, it is a spin mutex: interrupts are off while it is held.
 *
 *  - Adaptive: thread context only, no spinlock or spin mutex held, preemption enabled.
 *  - Spin: any context but NMI.
 *  - Recursion, release by a stranger, sleeping where that is forbidden, destruction of a busy
 *    mutex, a circle of threads that wait for each other's mutexes: panic, naming mutex, owner,
 *    caller.
 */
#ifndef KERNEL_MUTEX_H
#define KERNEL_MUTEX_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/ipl.h"
#include "kernel/sleepq.h"
#include "kernel/spinlock.h"

enum mutex_type { MUTEX_DEFAULT };

struct lwp;

/* In mtx_owner: somebody sleeps for it, or is about to; its owner has shown it to lockdebug.c. */
#define MUTEX_WAITERS ((uintptr_t)1)
#define MUTEX_CHECKED ((uintptr_t)2)
#define MUTEX_BITS (MUTEX_WAITERS | MUTEX_CHECKED)

typedef struct kmutex {
	_Atomic uintptr_t mtx_owner;  /* struct lwp *, lowest bit: waited for (adaptive) */
	struct spinlock mtx_spin;     /* the lock itself (spin) */
	struct sleepq mtx_queue;      /* sleeping contenders (adaptive) */
	struct kmutex *mtx_held_next; /* owner's list of adaptive mutexes (l_held) */
	enum ipl mtx_ipl;
	const char *mtx_name;
} kmutex_t;

/* mutex_init(9), with a name for reports added.  `name` must outlive the mutex. */
void mutex_init(kmutex_t *, enum mutex_type, enum ipl, const char *name);
void mutex_destroy(kmutex_t *);
/* Acquire: pairs with the release in mutex_exit(). */
void mutex_enter(kmutex_t *);
bool mutex_tryenter(kmutex_t *) __attribute__((warn_unused_result));
void mutex_exit(kmutex_t *);
/* For condvar.c: the same of an adaptive mutex, by a caller who has seen that it may sleep here. */
void mutex_enter_adaptive(kmutex_t *, struct lwp *l);
void mutex_exit_adaptive(kmutex_t *, struct lwp *l);
/* Whether the caller holds it.  For assertions only. */
bool mutex_owned(const kmutex_t *);
/* The thread that holds an adaptive mutex now, or NULL; already stale when it returns. */
static inline struct lwp *
mutex_owner(const kmutex_t *mtx)
{
	/* The lowest bits say what else there is to it (mutex.c). */
	return (struct lwp *)(atomic_load_explicit(&mtx->mtx_owner, memory_order_relaxed) &
	    ~MUTEX_BITS);
}

/* Adaptive mutexes that this thread holds. */
unsigned mutex_held_count(const struct lwp *);

#endif
