/*
 * What the files of the scheduler share: sched.c, sched_queue.c, sleepq.c.
 */
#ifndef KERNEL_SCHED_INTERNAL_H
#define KERNEL_SCHED_INTERNAL_H

#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/runq.h"
#include "kernel/sched.h"
#include "kernel/spinlock.h"

/* Locking: sc_lock, but for sc_ci and sc_idle, which are constant, and sc_leaving. */
struct sched_cpu {
	struct spinlock sc_lock;
	struct cpu_info *sc_ci;
	lwp_t *sc_idle;
	lwp_t *sc_cur;        /* NULL until sched_start(), and while the CPU is offline */
	lwp_t *sc_prev;       /* who leaves in the switch under way */
	uint64_t sc_slice;    /* SCHED_SLICE_NS in cycles */
	lwp_t *sc_timeouts;   /* sleepers with a deadline, soonest first */
	bool sc_leaving;      /* asked to leave; only this CPU's threads use it */
	struct runq sc_ready; /* who could run; neither sc_cur nor sc_idle */
};

static inline int
sched_state(const lwp_t *l)
{
	/* Relaxed: the run-queue lock orders it; without that lock the answer is stale anyhow. */
	return atomic_load_explicit(&l->l_state, memory_order_relaxed);
}

static inline void
sched_set_state(lwp_t *l, int state)
{
	atomic_store_explicit(&l->l_state, state, memory_order_relaxed);
}

/* Counts the running thread's time up to now. */
static inline void
sched_account(lwp_t *l)
{
	uint64_t now = machine_cycles(), ran = now > l->l_since ? now - l->l_since : 0;

	l->l_run += ran;
	l->l_slice_left = l->l_slice_left > ran ? l->l_slice_left - ran : 0;
	l->l_since = now;
}

/* Makes the CPU look at its queues if that priority beats what it runs.  Its lock held. */
void sched_kick(struct sched_cpu *, pri_t);
/* Enters a thread that is about to sleep into the list of deadlines; takes it out.  Lock held. */
void sched_deadline_insert(struct sched_cpu *, lwp_t *);
void sched_deadline_remove(struct sched_cpu *, lwp_t *);

#endif
