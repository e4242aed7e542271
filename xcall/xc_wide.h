/*
 * The wide slot of a CPU: the short way of a hard call to all others (xc_wide.c).
 */
#ifndef XCALL_XC_WIDE_H
#define XCALL_XC_WIDE_H

#include <stdatomic.h>
#include <stdbool.h>

#include "xcall/xc_internal.h"

/* Which CPUs have a live call in it. */
extern struct xc_wides {
	_Atomic unsigned w_live;                 /* a: how many */
	_Atomic uint64_t w_senders[CPUSET_WORDS] /* a: a bit each */
	    __attribute__((aligned(CACHE_LINE_BYTES)));
} xc_wides;

void xc_wide_init_cpu(struct xc_cpu *);
/* A broadcast; 0: it must go the long way. */
uint64_t xc_wide_post(unsigned flags, xcfunc_t, void *arg1, void *arg2);
/* The call is over but for its state: makes the slot ready for the next one. */
void xc_wide_over(struct xc_cpu *);
/* Runs those that this CPU has to begin, and before each what its inbox holds: whether there were
 * some.  Hard interrupt context. */
bool xc_wide_serve(struct xc_cpu *);
/* Whether there are some.  Any context. */
bool xc_wide_waiting(const struct xc_cpu *);
/* The same, of a CPU that has just taken notice of a notification: a look at one word if none
 * is. */
static inline bool
xc_wide_pending(const struct xc_cpu *xc)
{
	/* Relaxed: as in xc_wide_serve(). */
	return atomic_load_explicit(&xc_wides.w_live, memory_order_relaxed) != 0 &&
	    xc_wide_waiting(xc);
}

#endif
