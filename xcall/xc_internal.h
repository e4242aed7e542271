/*
 * What the files of xcall/ share: a CPU's slots (as a sender), its inbox and thread (as a target).
 *
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	c	constant once the CPU is attached
 *	i	x_inbox_lock of the same CPU
 *	l	constant while the call is live
 *	p	x_pool_lock of the same CPU (a slot: of its s_home)
 *	t	written by the thread xcall/N only, read by all
 * Lock order: p before i; never two p, never two i.
 */
#ifndef XCALL_XC_INTERNAL_H
#define XCALL_XC_INTERNAL_H

#include <stdatomic.h>

#include "xcall/xc_port.h"
#include "xcall/xc_ticket.h"
#include "xcall/xcall.h"

_Static_assert(MAXCPUS <= 1u << XC_TICKET_CPU_BITS, "a ticket must be able to name every CPU");

/* An xcall/N that sleeps for a call; on its stack. */
struct xc_waiter {
	struct xc_cpu *w_server;
	struct xc_waiter *w_next; /* p */
};

/* A thread that holds mutexes and sleeps for a call, which can close a chain; on its stack. */
struct xc_holder {
	const lwp_t *h_thread;
	uint64_t h_call;
	struct xc_holder *h_next; /* p */
};

/* A call: free, or live from its post until it has returned on its last target. */
struct xc_slot {
	_Atomic uint64_t s_state;              /* a: xc_ticket.h; written under p */
	xcfunc_t s_func;                       /* l */
	void *s_arg1, *s_arg2;                 /* l */
	struct xc_cpu *s_home;                 /* c: the sender that owns it */
	_Atomic uint64_t s_order;              /* l: place among the posts of its home */
	_Atomic uint64_t s_todo[CPUSET_WORDS]; /* a: targets that have not begun */
	_Atomic unsigned s_unfinished;         /* a: targets that have not returned */
	kcondvar_t s_over;                     /* p: threads that wait for it */
	struct xc_waiter *s_waiters;           /* p: each xcall/N that waits for it */
	struct xc_slot *s_next;                /* p: next in x_free */
};

struct xc_queue {
	struct xc_slot *q_first, **q_end;
};

/* A function on the stack of xcall/N. */
struct xc_level {
	_Atomic uint64_t l_call; /* a, t: which call */
	_Atomic uint64_t l_wait; /* a, t: the call that the function waits for; 0: it runs */
};

struct xc_cpu {
	struct cpu_info *x_ci; /* c */

	kmutex_t x_pool_lock;
	struct xc_queue x_free;      /* p: longest free first */
	_Atomic uint64_t x_live;     /* a; written under p: slots with a live call, a bit each */
	kcondvar_t x_freed;          /* p: threads that wait for a free slot */
	_Atomic bool x_server_wants; /* a, t: so does xcall/N */
	_Atomic unsigned x_nfree;    /* a; written under p */
	struct xc_holder *x_holders; /* p: of the threads of this CPU */
	_Atomic uint64_t x_posted;   /* a; written under p: calls, the order of the latest */
	struct xc_slot x_slot[XC_SLOTS];

	kmutex_t x_inbox_lock;
	struct cpuset x_senders;    /* i: who may have something for this CPU */
	unsigned x_nsenders;        /* i: size of that set */
	unsigned x_last_sender;     /* i: served last */
	kcondvar_t x_inbox_changed; /* i: xcall/N sleeps on it */

	_Atomic(lwp_t *) x_thread; /* a: xcall/N, once it runs */
	_Atomic unsigned x_depth;  /* a, t: levels in use */
	struct xc_level x_level[XC_DEPTH_MAX];
	_Atomic uint64_t x_served; /* a, t: calls run here */
	struct xc_chain *x_chain;  /* c: room for the searches of this CPU's threads (xc_chain.c) */
};

/* The state of an attached CPU; NULL before its xc_init_cpu(). */
struct xc_cpu *xc_cpu_lookup(unsigned index);

#endif
