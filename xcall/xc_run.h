/*
 * Running functions, and knowing which run (xc_run.c).
 *
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	c	constant once the CPU is attached
 *	h	the CPU itself in the context of that level; for XC_LEVEL_LOW its thread xcall/N
 */
#ifndef XCALL_XC_RUN_H
#define XCALL_XC_RUN_H

#include <stdatomic.h>

#include "xcall/xc_call.h"
#include "xcall/xc_inbox.h"
#include "xcall/xc_port.h"
#include "xcall/xc_ticket.h"

/* How deep functions nest at the low and the hard level; at the others they do not. */
#define XC_DEPTH_MAX 8u

/* What is waited for: a call by ticket, or a descriptor. */
struct xc_ref {
	uint64_t f_ticket; /* 0: f_call */
	struct xc_call *f_call;
};

struct xc_run {                                /* a function on the stack of this CPU */
	_Atomic uint64_t r_ticket;             /* a, h: 0 for a descriptor */
	_Atomic(struct xc_call *) r_call;      /* a, h: NULL for a ticket */
	_Atomic(xcfunc_t) r_func;              /* a, h */
	_Atomic uint64_t r_since;              /* a, h: cycles */
	_Atomic uint64_t r_number;             /* a, h: j_number */
	_Atomic uint64_t r_wait_ticket;        /* a, h: what it waits for without a timeout */
	_Atomic(struct xc_call *) r_wait_call; /* a, h: the same, a descriptor */
} __attribute__((aligned(CACHE_LINE_BYTES)));

struct xc_stack {                 /* those of one level */
	_Atomic unsigned k_depth; /* a, h */
	struct xc_run *k_run;     /* c: XC_DEPTH_MAX, or one */
};

void xc_run_init(struct xc_stack *, enum xc_level);
/* A new record on top of `depth`, of a call by ticket or (0) of nobody's. */
static inline void
xc_run_begin(struct xc_stack *stack, unsigned depth, uint64_t ticket, xcfunc_t func, uint64_t since)
{
	struct xc_run *run = &stack->k_run[depth];

	/* Relaxed: the depth comes after them. */
	atomic_store_explicit(&run->r_ticket, ticket, memory_order_relaxed);
	atomic_store_explicit(&run->r_func, func, memory_order_relaxed);
	atomic_store_explicit(&run->r_since, since, memory_order_relaxed);
	/* Release: pairs with xc_run_depth(). */
	atomic_store_explicit(&stack->k_depth, depth + 1, memory_order_release);
}

static inline void
xc_run_end(struct xc_stack *stack, unsigned depth)
{
	/* Release: pairs with xc_run_depth(). */
	atomic_store_explicit(&stack->k_depth, depth, memory_order_release);
}

/* Calls it, and panics when it does not leave its context as it found it. */
void xc_run_function(xcfunc_t, void *arg1, void *arg2);
void xc_run_handler(void (*func)(void *), void *arg);
/* Runs what was begun, on top of that level's stack, and finishes it. */
void xc_run_job(struct xc_cpu *, enum xc_level, const struct xc_job *);
/* Acquire: pairs with xc_run_job(): the records below it are those of running functions. */
unsigned xc_run_depth(const struct xc_stack *);
bool xc_run_is(const struct xc_run *, const struct xc_ref *);
bool xc_run_wait(const struct xc_run *, struct xc_ref *); /* what it waits for; false: nothing */
void xc_run_set_wait(struct xc_run *, const struct xc_ref *);
/* Panics when the caller is inside that call's own function. */
void xc_run_assert_not_own(struct xc_cpu *, const struct xc_ref *, const char *who);

#endif
