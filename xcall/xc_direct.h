/*
 * The direct slot of a CPU: the short way of a hard call to one CPU (xc_direct.c).
 */
#ifndef XCALL_XC_DIRECT_H
#define XCALL_XC_DIRECT_H

#include <stdbool.h>

#include "xcall/xc_inbox.h"
#include "xcall/xc_internal.h"
#include "xcall/xcall.h"

void xc_direct_init_cpu(struct xc_cpu *);
/* Serves the direct slot, the only thing that was announced.  Interrupt context. */
void xc_direct_serve(struct xc_cpu *);
/* Begins the call in the direct slot, of that sender or (CPUSET_END) of any; false: there is none.
 * Context of the hard level. */
bool xc_direct_next(struct xc_cpu *, unsigned sender, struct xc_job *);
/* The slot is free for the next call. */
void xc_direct_free(struct xc_cpu *);
/* Whether a call is in it. */
static inline bool
xc_direct_live(const struct xc_cpu *xc)
{
	/* Acquire: pairs with xc_direct_post(). */
	return (atomic_load_explicit(&xc->x_direct_slot->s_state, memory_order_acquire) &
		   XC_STATE_LIVE) != 0;
}
/* Whether that waits to begin. */
static inline bool
xc_direct_pending(const struct xc_cpu *xc)
{
	/* Relaxed: the word of a call that is over has no bit in `todo`. */
	return xc_direct_live(xc) &&
	    (atomic_load_explicit(&xc->x_direct_slot->s_group.g_word, memory_order_relaxed) &
		XC_GROUP_MASK) != 0;
}

#endif
