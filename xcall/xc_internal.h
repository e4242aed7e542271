/*
 * What the files of xcall/ share: the state of a CPU, as a sender and as a target.
 *
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	c	constant once the CPU is attached
 *	h	the CPU itself in the context of a level; for XC_LEVEL_LOW its thread xcall/N
 *	s	the CPU itself with interrupts off, in a post
 *	w	x_wait_lock of the same CPU
 * Never two w.
 */
#ifndef XCALL_XC_INTERNAL_H
#define XCALL_XC_INTERNAL_H

#include <stdatomic.h>

#include "xcall/xc_inbox.h"
#include "xcall/xc_port.h"
#include "xcall/xc_run.h"
#include "xcall/xc_slot.h"
#include "xcall/xc_targets.h"
#include "xcall/xc_wait.h"
#include "xcall/xcall.h"
_Static_assert(MAXCPUS <= 1u << XC_TICKET_CPU_BITS, "a ticket must be able to name every CPU");

#define XC_BUCKETS 8u /* of slots, whose threads that sleep share a condition variable */

/* An xcall/N that sleeps for a call; on its stack. */
struct xc_waiter {
	struct xc_cpu *w_server;
	unsigned w_bucket;
	struct xc_waiter *w_next; /* w */
};

/* A thread that holds mutexes and sleeps for a call, which can close a chain; on its stack. */
struct xc_holder {
	const lwp_t *h_thread;
	struct xc_ref h_ref;
	struct xc_holder *h_next; /* w */
};

struct xc_cpu {
	struct cpu_info *x_ci; /* c */

	/* As a sender. */
	_Atomic uint64_t x_free;            /* a: slots, a bit each */
	_Atomic uint64_t x_live[XC_LEVELS]; /* a: slots with a live call */
	_Atomic uint64_t x_posted;          /* a, s: order of the latest post */
	_Atomic int x_credit[XC_CREDITS];   /* a */
	_Atomic uint32_t x_boards;          /* a: free ones, a bit each */
	unsigned x_next;                    /* s: where to look for a free slot */
	struct xc_board_group *x_board;     /* c: each has a group for every XC_GROUP_CPUS CPUs */

	/* Its wide slot: the board; what the groups were prepared for (xc_wide.c). */
	struct xc_board_group *x_wide; /* c */
	uint64_t x_wide_version;       /* s: of the set of targets */
	unsigned x_wide_groups;        /* s: with targets, but for its own */
	uint32_t x_wide_own;           /* s: targets in its own group, but for itself */
	bool x_wide_self;              /* s: it is one */
	uint8_t x_wide_rest;           /* s: posts since a call there was withdrawn */
	unsigned x_group;              /* c: its own group; then its bit there */
	uint64_t x_bit;                /* c */
	struct xc_figures *x_figures;  /* c: xc_stats.c */
	struct xc_probe *x_probe;      /* c: xc_probe.c */
	struct xc_ipi_cpu *x_ipi;      /* c: ipi.c */
	/* Its direct slot, and what a group word there has but for the generation (xc_direct.c). */
	struct xc_slot *x_direct_slot; /* c */
	uint64_t x_direct_word;        /* c */
	uint64_t x_direct_ticket;      /* c: of a call there, but for the generation */

	/* Its waiters. */
	kmutex_t x_wait_lock;
	kcondvar_t x_over[XC_BUCKETS];  /* w */
	struct xc_waiter *x_waiters;    /* w: each xcall/N that waits for a call of this CPU */
	kcondvar_t x_freed[XC_CREDITS]; /* w: threads that wait for room of the class */
	_Atomic unsigned x_wanted[XC_CREDITS]; /* a: how many do, xcall/N included */
	_Atomic bool x_server_wants;           /* a, h: xcall/N of this CPU does */
	_Atomic bool x_idle;         /* a, h: it found nothing, and sleeps or is about to */
	struct xc_holder *x_holders; /* w: threads of this CPU */
	struct xc_chain *x_chain;  /* c: room for the searches of this CPU's threads (xc_chain.c) */
	_Atomic(lwp_t *) x_thread; /* a: xcall/N, once it runs */

	struct xc_slot x_slot[XC_SLOTS]; /* as a sender; the last one as a target */
	/* As a target: the words that others write have lines of their own. */
	_Atomic uint32_t x_lazy __attribute__((aligned(CACHE_LINE_BYTES))); /* a: xc_intr.c */
	_Atomic uint32_t x_nmi;                                             /* a */
	_Atomic uint32_t x_stop;                                            /* a: xc_stop.c */
/* On the line of its direct slot, for a call there moves it anyway: what is announced (xc_intr.c),
 * and by which CPU, plus 1, the slot is taken; 0: free (xc_direct.c). */
#define x_notify x_slot[XC_DIRECT].s_notify
#define x_direct x_slot[XC_DIRECT].s_taken
	struct xc_inbox x_inbox[XC_LEVELS];
	struct xc_stack x_stack[XC_LEVELS];
};

#endif
