/*
 * The direct slot of a CPU: the short way of a hard call to one CPU (xc_direct.c).
 */
#ifndef XCALL_XC_DIRECT_H
#define XCALL_XC_DIRECT_H

#include <stdbool.h>

#include "xcall/xc_inbox.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_stats.h"
#include "xcall/xcall.h"

void xc_direct_init_cpu(struct xc_cpu *);
/* Begins the call in the direct slot, of that sender or (CPUSET_END) of any; false: there is none.
 * Context of the hard level. */
bool xc_direct_next(struct xc_cpu *, unsigned sender, struct xc_job *);
/* Times of the call there that has just run as the only one. */
void xc_direct_time(struct xc_cpu *) __attribute__((cold));
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

/* The group word of the call of that state. */
static inline uint64_t
xc_direct_word(const struct xc_cpu *target, uint64_t state)
{
	return target->x_direct_word | xc_group_tag(0, xc_state_generation(state));
}

/* Takes the CPU's own bit out of `todo`: false when there is no call, or it was withdrawn. */
static inline bool
xc_direct_claim(struct xc_cpu *xc, struct xc_slot *slot, uint64_t state)
{
	uint64_t word = xc_direct_word(xc, state);

	/* Acquire: pairs with xc_direct_post(). */
	return (state & XC_STATE_LIVE) != 0 &&
	    atomic_compare_exchange_strong_explicit(&slot->s_group.g_word, &word,
		word & ~(uint64_t)XC_GROUP_MASK, memory_order_acquire, memory_order_relaxed);
}

/* The slot is free for the next call. */
static inline void
xc_direct_free(struct xc_cpu *xc)
{
	/* Release: pairs with xc_direct_post(). */
	atomic_store_explicit(&xc->x_direct, 0, memory_order_release);
}

/* Serves the direct slot, the only thing that was announced.  The target's interrupt: it was let
 * in, so no hard function runs below. */
static inline void
xc_direct_serve(struct xc_cpu *xc)
{
	struct xc_slot *slot = &xc->x_slot[XC_DIRECT];
	struct xc_stack *stack = &xc->x_stack[XC_LEVEL_HARD];
	/* Acquire: pairs with xc_direct_post(). */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
	xcfunc_t func = atomic_load_explicit(&slot->s_func, memory_order_relaxed);

	if (!xc_direct_claim(xc, slot, state))
		return;
	xc_run_begin(stack, 0,
	    xc->x_direct_ticket | xc_ticket_make(0, 0, xc_state_generation(state)), func,
	    machine_cycles_early());
	xc_run_hard_function(func, slot->s_arg1, slot->s_arg2);
	machine_count(&xc->x_figures->f_run[XC_CLASS_HARD]);
	if (xc_stats_sampled(atomic_load_explicit(&slot->s_order, memory_order_relaxed)))
		xc_direct_time(xc);
	/* Nobody withdraws what has begun, nor sleeps for a hard call.  Release: pairs with
	 * xc_slot_result(). */
	atomic_store_explicit(
	    &slot->s_state, state & ~(uint64_t)XC_STATE_LIVE, memory_order_release);
	xc_direct_free(xc);
	xc_run_end(stack, 0);
}

#endif
