/*
 * The per-CPU scheduler: which thread runs.  Priorities decide, equals take turns; a thread that
 * becomes ready preempts a lesser one at once, on another CPU through an interrupt.
 */
#ifndef KERNEL_SCHED_H
#define KERNEL_SCHED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/kthread.h"
#include "kernel/sched_context.h"

struct cpu_info;

/* Makes the run queues of `ci` and its idle thread.  Once a CPU, by the boot CPU. */
void sched_init_cpu(struct cpu_info *ci);
/* Turns the calling bring-up context into its CPU's idle thread.  Interrupts go on. */
_Noreturn void sched_start(void);
/* Stops this CPU's timer, and has the idle thread park the CPU once the caller sleeps and nothing
 * else is ready there.  Back, the CPU goes on in sched_start(), and whatever became ready meanwhile
 * runs.  A service thread of that CPU, interrupts off; all others there sleep without a
 * deadline. */
void sched_leave(void);
/* The tick: slices and timed sleeps.  Timer interrupt of `ci`. */
void sched_tick(struct cpu_info *ci);
/* The last act of every outermost interrupt: switches when a better thread is ready and preemption
 * is allowed.  Interrupts off. */
void sched_intr_exit(void);
/* A preemption point in a thread: switches when a better thread is ready and nothing forbids it.
 * With interrupts off it sees to it that this happens as soon as they come on. */
void sched_preempt_point(void);

/* Holds the run-queue lock of a thread's CPU, which guards the fields marked r.  Any context but
 * NMI. */
void sched_lock(lwp_t *l);
void sched_unlock(lwp_t *l);
/* Makes a new thread ready, or one that was just taken out of its sleep queue and may not sleep
 * yet. sched_lock() held. */
void sched_ready(lwp_t *l);
/* Looks at a word that another CPU or an interrupt may change, as long as nobody else wants this
 * CPU, and not longer than a sleep would cost; whether it is not `value` any more.  Acquire.  As
 * for sleeping. */
bool sched_look(const _Atomic uintptr_t *word, uintptr_t value);
/* Sleeps until the caller stands in no sleep queue.  Used by sleepq.c. */
void sched_sleep(uint64_t until_ns);
/* Takes a thread out of its sleep queue as timed out, unless a wake-up was first. */
void sched_timeout(lwp_t *l);
/* Lets an equal run first. */
void sched_yield(void);
/* Leaves the CPU for good. */
_Noreturn void sched_exit(void);
/* The first thing a new thread does: completes the switch to it.  Interrupts go on. */
void sched_enter_thread(void);

/* Whether a spin for that thread makes sense: it is on its CPU now.  Already stale.  The thread may
 * have ended meanwhile: its lwp_t stays readable (kmem_stack_alloc()). */
bool sched_running(const lwp_t *l);
/* The effective priority of a thread, a moment ago; readable as l_state is for sched_running(). */
static inline pri_t
sched_priority(const lwp_t *l)
{
	return atomic_load_explicit(&l->l_seen_pri, memory_order_relaxed);
}

/* Changes the effective priority of a thread in any state.  Lock order: before any sleep queue's
 * lock but that which the caller holds. */
void sched_set_priority(lwp_t *l, pri_t pri);
/* Threads ready on `ci`, for reports. */
unsigned sched_ready_count(const struct cpu_info *ci);

#endif
