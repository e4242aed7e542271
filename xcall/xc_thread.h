/*
 * Low priority: the thread xcall/N; and the sleep of those who wait (xc_thread.c).
 */
#ifndef XCALL_XC_THREAD_H
#define XCALL_XC_THREAD_H

#include <stdint.h>

#include "xcall/xc_slot.h"
#include "xcall/xcall.h"

struct xc_cpu;
struct xc_event;
struct xc_stall;

void xc_thread_init(struct xc_cpu *);
/* Makes xcall/N look at its inbox, and again at what it waits for.  Any context but NMI. */
void xc_thread_wake(struct xc_cpu *target);
/* The record of the calling thread if it is an xcall/N, which then runs a cross-called function. */
struct xc_cpu *xc_thread_self(void);

/* The calling xcall/N serves, or sleeps, until the call is over, or the deadline; until there is
 * room for a post. */
void xc_thread_wait(struct xc_cpu *, const struct xc_event *, uint64_t deadline_ns);
void xc_thread_wait_slot(struct xc_cpu *);
/* Another thread sleeps until then. */
void xc_thread_sleep(const struct xc_event *, uint64_t deadline_ns);
void xc_thread_sleep_slot(struct xc_cpu *, enum xc_level, bool wide, struct xc_stall *);
/* The end of a call of that sender whose waiters share the bucket; room for posts of that class.
 * Any context but NMI. */
void xc_thread_wake_waiters(struct xc_cpu *sender, unsigned bucket);
void xc_thread_wake_posters(struct xc_cpu *sender, enum xc_credit);
/* A thread of that CPU waits until nothing is in the low inbox and xcall/N is idle. */
void xc_thread_wait_idle(struct xc_cpu *);

#endif
