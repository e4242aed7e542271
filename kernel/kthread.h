/*
 * kthread(9): kernel threads, each bound to one CPU for life.
 */
#ifndef KERNEL_KTHREAD_H
#define KERNEL_KTHREAD_H

#include <stdint.h>

#include "kernel/lwp.h"

/* kthread_create(9) flags. */
#define KTHREAD_MPSAFE 0x01   /* accepted for its callers' sake: all threads are */
#define KTHREAD_MUSTJOIN 0x04 /* stays a zombie until kthread_join() */
/*
 * Serves its CPU and stays with it when it goes offline: then it does not run until the CPU is
 * back.
 *  - By the time the CPU leaves, the thread's clients have seen to it that it has nothing to do: it
 *    holds no mutex, and sleeps without a deadline or is about to.
 */
#define KTHREAD_SERVICE 0x08

/*
 * Makes a thread that runs func(arg) on `ci` (NULL: the online CPU with the fewest threads) and
 * sets it going.  Stores its handle in *l, if that is not NULL, before it runs.  0, EINVAL
 * (priority out of band, CPU not online or leaving), or ENOMEM.  Thread context, or the boot CPU
 * during bring-up.
 */
int kthread_create(pri_t pri, int flags, struct cpu_info *ci, void (*func)(void *), void *arg,
    lwp_t **l, const char *fmt, ...) __attribute__((format(printf, 7, 8), warn_unused_result));
/* Ends the calling thread; returning from its function does the same.  No mutex may be held. */
_Noreturn void kthread_exit(int code);
/* Waits until a thread made with KTHREAD_MUSTJOIN has ended, and frees it; 0.  Once per thread. */
int kthread_join(lwp_t *l);
/* Lets an equal run first; sleeps for at least that time (tick resolution).  As for sleeping. */
void kthread_yield(void);
void kthread_sleep_ns(uint64_t ns);
/*
 * For a thread that waits for one thing only: kthread_await() returns once kthread_rouse() was
 * called for the caller, since it returned last, or at that clock_ns(), at the resolution of the
 * tick.  It may return without reason, too: look in a loop.
 *	- What was written before the rouse is visible to who looks after the return.
 *	- Awaiting: as for sleeping.  Rousing: any context but NMI, a thread that has not ended.
 */
void kthread_await(uint64_t until_ns);
void kthread_rouse(lwp_t *l);
/* Threads that exist, idle ones included: for leak checks. */
unsigned kthread_count(void);
/* Calls `visit` for each thread under the list lock: it must not sleep or create. */
void kthread_foreach(void (*visit)(lwp_t *, void *), void *arg);
/* The same without the lock, for a panic: the others stand still, wherever they were. */
void kthread_foreach_stopped(void (*visit)(lwp_t *, void *), void *arg);
/* A thread's time on the CPU up to now, how often it went there, and how often it was taken off
 * while it wanted to run.  Also in kthread_foreach(). */
void kthread_stats(lwp_t *l, uint64_t *run_ns, uint64_t *switches, uint64_t *preempted);

/*
 * For CPUs that come and go: closed, a CPU takes no new threads.  Closing is EBUSY, and `busy` the
 * name of one of them, while threads other than service threads are bound to it, those that only
 * wait for their joiner not counted.
 */
int kthread_close_cpu(struct cpu_info *ci, char busy[LWP_NAME_BYTES])
    __attribute__((warn_unused_result));
void kthread_open_cpu(struct cpu_info *ci);

/* For sched.c: the thread that CPU's bring-up context becomes; a thread that left its stack for
 * good. */
lwp_t *kthread_create_idle(struct cpu_info *ci);
void kthread_reap(lwp_t *l);

#endif
