/*
 * Cross calls: run a function on another CPU.  The contract of xcall(9); xcall/xcall.9 is its
 * manual.  xc_cpu.h has the CPUs that come and go, xc_call.h descriptors of the caller's,
 * xc_status.h looks at calls; rendezvous.h and ipi.h stand for themselves.
 */
#ifndef XCALL_XCALL_H
#define XCALL_XCALL_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;
struct cpuset;
/* Must leave preemption, interrupts, spinlocks and mutexes as it found them: that is checked on its
 * way out. */
typedef void (*xcfunc_t)(void *arg1, void *arg2);

/*
 * Where the function runs: one of
 *	0		in the thread xcall/N at PRI_XCALL; may block briefly on mutexes, post, wait
 *	XC_HIGHPRI	in a soft interrupt, serial level; must not sleep
 *	XC_HIGHPRI_IPL(ipl)	at IPL_SOFTSERIAL, IPL_SOFTNET, IPL_SOFTBIO or IPL_SOFTCLOCK
 *	XC_HARD		in a hard interrupt; may take IPL_HIGH spinlocks, post.  To the own CPU: at
 *			once, or once interrupts are on
 *	XC_NMI		in an NMI: reaches a CPU that spins with interrupts off; memory, atomics
 * and any of
 *	XC_NOSELF	never on the calling CPU
 *	XC_TRY		EBUSY instead of waiting for room
 *	XC_LAZY		no interrupt: runs when the target next takes one, at its tick at the
 *			latest; a wait makes it an ordinary call.  Not with XC_NMI
 */
#define XC_HIGHPRI 0x01u
#define XC_HARD 0x02u
#define XC_NMI 0x04u
#define XC_NOSELF 0x08u
#define XC_TRY 0x10u
#define XC_LAZY 0x20u
#define XC_IPL_MASK 0xff00u
#define XC_HIGHPRI_IPL(ipl) (XC_HIGHPRI | xc_encode_ipl(ipl))
unsigned xc_encode_ipl(int ipl); /* panics for another level than the four soft ones */

/*
 * A ticket names a call; any thread may wait for it, any number of times, for ever.
 *
 *	0		a call that is complete
 *	XC_ISERR(t)	was not posted, and why: EHOSTDOWN (no target online), EBUSY (no room)
 *	else		sender's CPU (12 bits), slot (6), generation of the slot (46), low to high
 *
 * A generation grows by one a call, slots are used in turn: a CPU's last 142 years at 10^6 calls a
 * second.  A stale ticket reads complete; one that was never issued is EINVAL.
 */
#define XC_ERRORS 4095u
#define XC_ERROR(e) ((uint64_t)0 - (uint64_t)(e))
#define XC_ISERR(t) ((t) >= XC_ERROR(XC_ERRORS))
#define XC_ERRNO(t) ((int)((uint64_t)0 - (t)))
/*
 * Posts: func(arg1, arg2) on one CPU, on every CPU, on those of a set, on one CPU of a set (this
 * one, else the nearest by topology), on those of a set for which pred(ci, arg1, arg2) holds.  CPUs
 * of a set that are not online are passed over; a set without members is complete.  Posted to an
 * online CPU means: it runs there exactly once.
 *	- Context: any but NMI.  Where no slot is free: a post of low or soft priority sleeps if it
 *	  may and is EBUSY if not; XC_HARD and XC_NMI serve their CPU's own calls until one is.
 *	  Before xc_init_cpu(): runs inline, returns 0.
 *	- Order: the caller's stores before the post are visible to func.  Calls of one sending CPU
 *	  to one target in one context begin in the order in which they were posted.
 *	- NULL func, NULL or foreign ci, unknown or contradictory flags: panic.
 */
uint64_t xc_unicast(unsigned flags, xcfunc_t, void *arg1, void *arg2, struct cpu_info *);
uint64_t xc_broadcast(unsigned flags, xcfunc_t, void *arg1, void *arg2);
uint64_t xc_multicast(unsigned flags, xcfunc_t, void *arg1, void *arg2, const struct cpuset *);
uint64_t xc_any(unsigned flags, xcfunc_t, void *arg1, void *arg2, const struct cpuset *);
typedef bool (*xcpred_t)(struct cpu_info *, void *arg1, void *arg2);
uint64_t xc_cond(unsigned flags, xcpred_t, xcfunc_t, void *arg1, void *arg2, const struct cpuset *);

/*
 * Waits.  0 once the function has returned on every target (acquire: its effects are visible);
 * ECANCELED; EINVAL for a forged ticket; the errno of an error ticket, which is counted and logged.
 * ETIMEDOUT: the call is still live.
 *	- Low and soft: where the caller may sleep.  Inside a low-priority function: with no mutex
 *	  held; its xcall/N serves other low-priority calls meanwhile, nested up to 8.  A circle of
 *	  such waits: panic with the chain.
 *	- XC_HARD: anywhere but in an NMI or with a spinlock held; serves the CPU's own hard calls.
 *	  XC_NMI: not in an NMI.
 */
int xc_wait(uint64_t where);
int xc_timedwait(uint64_t where, uint64_t timeout_ns) __attribute__((warn_unused_result));
/* Whether it is complete: a pure read, any context. */
bool xc_done(uint64_t where);
/* Targets that have not begun never will, at once, without their help: *withdrawn (unless NULL) of
 * them.  Returns when those that had begun have finished: 0, or EINVAL; then nothing touches the
 * arguments.  Contexts of the wait, without spinlocks.  In the call's own function: panic. */
int xc_cancel(uint64_t where, unsigned *withdrawn);
/* All before happens before all after, for every CPU: waits out sections with preemption off (0),
 * or those that keep its context off.  Threads; low-priority functions. */
void xc_barrier(unsigned flags);
/* Waits until every call posted before at that priority has finished.  Threads; in a low-priority
 * function: panic. */
void xc_drain(unsigned flags);

#endif
