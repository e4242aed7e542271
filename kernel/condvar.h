/*
 * condvar(9): threads wait for a condition that a mutex guards.
 *
 *  - All who wait at a time use the same mutex, adaptive or spin.
 *  - cv_wait() may return without a signal: test the condition in a loop.
 *  - Signalling is legal without the mutex, but only a signaller that held it while it changed the
 *    condition cannot be missed.
 */
#ifndef KERNEL_CONDVAR_H
#define KERNEL_CONDVAR_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/mutex.h"
#include "kernel/sleepq.h"

typedef struct kcondvar {
	struct spinlock cv_lock;
	struct sleepq cv_queue;
	_Atomic uintptr_t cv_looker; /* a waiter that does not sleep yet (condvar.c) */
	_Atomic bool cv_queued;      /* written with cv_lock: others may be in the queue */
	kmutex_t *cv_mutex;          /* cv_lock: that of the waiters, if there are any */
	const char *cv_name;
} kcondvar_t;

/* `name` must outlive the condition variable. */
void cv_init(kcondvar_t *, const char *name);
/* Panics when somebody still waits.  Waits for who was woken and has not gone on yet: sleeps for it
 * where it may. */
void cv_destroy(kcondvar_t *);
/* Releases the mutex, sleeps, and holds it again on return; panics when the caller does not hold it
 * or may not sleep.  No other spinlock or spin mutex held. */
void cv_wait(kcondvar_t *, kmutex_t *);
/* The same for at most `timeout_ns`; 0, or ETIMEDOUT.  Resolution: one tick of this CPU. */
int cv_timedwait(kcondvar_t *, kmutex_t *, uint64_t timeout_ns) __attribute__((warn_unused_result));
/* Wakes the waiter of the highest priority; any context but NMI. */
void cv_signal(kcondvar_t *);
void cv_broadcast(kcondvar_t *);
bool cv_has_waiters(kcondvar_t *);

#endif
