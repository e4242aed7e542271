/*
 * Cross calls: run a function on another CPU.
 *
 * This is the contract of xcall(9) as far as it is built: low priority, thread context.  The function runs
 * in the thread xcall/N, bound to CPU N, at the top of all thread priorities, interrupts on.  It may
 * block briefly on mutexes, post and wait; it must not sleep without end, and must leave preemption,
 * interrupts, spinlocks and mutexes as it found them: that is checked on its way out.
 */
#ifndef XCALL_XCALL_H
#define XCALL_XCALL_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;

typedef void (*xcfunc_t)(void *arg1, void *arg2);

/*
 * Flags.  0 is low priority.  The others name contexts that are not built yet: a post with one of them
 * panics and says so.
 */
#define XC_HIGHPRI 0x01u
#define XC_HARD 0x02u
#define XC_NMI 0x04u

/*
 * A ticket names a call; it can be waited for by any thread, any number of times, for ever.
 *
 *	0		a call that is complete
 *	XC_ISERR(t)	a call that was not posted; XC_ERRNO(t) is the reason
 *	else		sender's CPU (12 bits), slot (6 bits), generation of the slot (46 bits), low to high
 *
 * A slot's generation starts at 1 and grows by one a call, so the slots of a CPU that posts 10^6 calls a
 * second last 100 years.  A ticket whose generation has passed is complete; one that was never issued is
 * forged (EINVAL).
 */
#define XC_ERRORS 4095u
#define XC_ERROR(e) ((uint64_t)0 - (uint64_t)(e))
#define XC_ISERR(t) ((t) >= XC_ERROR(XC_ERRORS))
#define XC_ERRNO(t) ((int)((uint64_t)0 - (t)))

/*
 * xc_init_cpu:
 *	Makes `ci` ready to be called and creates its thread xcall/N.  The first call sets up the globals.
 *	Once a CPU, when it is online, by the boot CPU's thread, before anybody calls it.
 */
void xc_init_cpu(struct cpu_info *ci);

/*
 * xc_unicast, xc_broadcast:
 *	Post func(arg1, arg2) to one CPU; to every online CPU, the caller's included.  Return a ticket once
 *	posted; posted to an online CPU means: it runs there exactly once.
 *	- Context: thread; also with a spinlock held, preemption or interrupts off, in an interrupt, or in a
 *	  cross-called function, where XC_ERROR(EBUSY) replaces waiting for a free slot.  Not in an NMI.
 *	- Before the other CPUs are up, which is while no CPU at all is online and set up by xc_init_cpu():
 *	  runs inline on the calling CPU, returns 0.
 *	- XC_ERROR(EHOSTDOWN): the target, or the caller's own CPU, is not online and set up.  NULL func, NULL
 *	  or foreign ci, unknown flags: panic.
 *	- Never allocates memory.
 *	- Order: the caller's stores before the post are visible to func.  Two calls of one sending CPU to
 *	  one target begin in the order in which they were posted.
 */
uint64_t xc_unicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci);
uint64_t xc_broadcast(unsigned flags, xcfunc_t func, void *arg1, void *arg2);

/*
 * xc_wait:
 *	Sleeps until the call has returned on every one of its CPUs; 0.  An error ticket gives its errno at
 *	once, counted and logged once; a forged one EINVAL.
 *	- Context: thread that may sleep; any for ticket 0 and error tickets.  In a cross-called function: with
 *	  no mutex held; xcall/N serves further calls of its CPU meanwhile, to depth XC_DEPTH_MAX.
 *	- Who waits for itself, by calls or by holding a mutex that a function needs, panics with the chain.
 *	- Order: the function's effects on all CPUs are visible when this returns.
 *	- The result may be ignored, as the callers of 2008 do.
 */
int xc_wait(uint64_t where);

/* xc_done: whether xc_wait() would return at once.  A pure read, legal anywhere.  Acquire. */
bool xc_done(uint64_t where);

/*
 * xc_barrier:
 *	Everything before happens before everything after, as every CPU sees it; with flags 0 it waits out
 *	every section that runs with preemption off.  It does not wait out a cross-called function that is
 *	suspended in a wait of its own.  Context as xc_wait(), and not in a cross-called function's mutex.
 */
void xc_barrier(unsigned flags);

/* How deep xcall/N serves calls from inside a waiting function. */
#define XC_DEPTH_MAX 8

#endif
