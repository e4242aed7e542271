/*
 * Slots: where a call lives from its post to its end (xc_slot.c).
 *
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	l	written before the call is live, constant until it is over
 */
#ifndef XCALL_XC_SLOT_H
#define XCALL_XC_SLOT_H

#include <stdatomic.h>

#include "xcall/xc_group.h"
#include "xcall/xc_port.h"
#include "xcall/xc_ticket.h"
#include "xcall/xcall.h"

struct xc_cpu;

/* A group of a call whose targets are in several: a line each, so that none is written by more CPUs
 * than that. */
struct xc_board_group {
	struct xc_group b_group;
	_Atomic uint32_t b_posted; /* a, l: all of them, over or not */
} __attribute__((aligned(CACHE_LINE_BYTES)));

#define XC_NO_BOARD 0xffu

struct xc_slot {
	_Atomic uint64_t s_state;  /* a: xc_ticket.h */
	_Atomic(xcfunc_t) s_func;  /* a, l */
	void *s_arg1, *s_arg2;     /* l */
	_Atomic uint64_t s_order;  /* a, l: place among the posts of its sender */
	_Atomic uint64_t s_posted; /* a, l: when, in cycles */
	struct xc_group s_group;   /* the targets, when they are in one group */
	_Atomic uint32_t s_notify; /* a: of a direct slot: x_notify of its CPU */
	_Atomic uint32_t s_taken;  /* a: of a direct slot: x_direct of its CPU */

	/* On a line that a direct call only reads. */
	_Atomic uint32_t s_group_posted /* a, l: of s_group: all of them, over or not */
	    __attribute__((aligned(CACHE_LINE_BYTES)));
	_Atomic uint16_t s_base;   /* a, l: lowest CPU of s_group */
	_Atomic uint16_t s_groups; /* a: groups of the board that have not finished */
	_Atomic uint8_t s_board;   /* a, l: which, or XC_NO_BOARD */
	_Atomic bool s_lazy;       /* a, l: posted with XC_LAZY */
	_Atomic bool s_waited;     /* a: somebody sleeps, or did, for its end */
	_Atomic bool s_cancels;    /* a: somebody cancels, or did */
} __attribute__((aligned(CACHE_LINE_BYTES)));
/* What posts are counted against, so that no class shuts another one out; how many may be live. */
enum xc_credit { XC_CREDIT_SLEEP, XC_CREDIT_HARD, XC_CREDIT_NMI, XC_CREDITS };
#define XC_ROOM_SLEEP 40
#define XC_ROOM_HARD 14
#define XC_ROOM_NMI 8
enum xc_credit xc_slot_credit(enum xc_level level);
/* x_free when all is over. */
#define XC_ALL_FREE (UINT64_MAX >> 2)

void xc_slot_init_cpu(struct xc_cpu *);
/* Room for a call of that level, for targets in more than one group or not; NULL when there is
 * none.  In a post. */
struct xc_slot *xc_slot_take(struct xc_cpu *, enum xc_level, bool wide);
/* Whether it would find some.  Sequentially consistent: pairs with xc_slot_retire(). */
bool xc_slot_room(const struct xc_cpu *, enum xc_level, bool wide);
struct xc_board_group *xc_slot_wide_board(struct xc_cpu *, struct xc_slot *); /* gives it one */
/* Adds targets of the group that begins at `base`; a call of one group has one such.  In a post,
 * before publish. */
void xc_slot_target(struct xc_cpu *, struct xc_slot *, unsigned base, uint32_t mask);
/* Makes the call live and gives its ticket.  In a post. */
uint64_t xc_slot_publish(struct xc_cpu *, struct xc_slot *, enum xc_level);

/* The oldest call of the sender, of that level and posted not after `bound`, that `cpu` has not
 * begun; NULL: none.  *order is its place, *more says that there is another one. */
struct xc_slot *xc_slot_find(struct xc_cpu *sender, enum xc_level, unsigned cpu, uint64_t bound,
    uint64_t *order, bool *more, uint64_t *state);
/* Begins what was found; false: it was withdrawn meanwhile. */
bool xc_slot_claim(struct xc_cpu *sender, struct xc_slot *, uint64_t state, unsigned cpu);
/* `cpu` has returned from it.  The last one ends the call and wakes all who wait.  Context of the
 * level. */
void xc_slot_finish(struct xc_cpu *sender, struct xc_slot *, unsigned cpu);
void xc_slot_group_done(struct xc_cpu *, struct xc_slot *); /* of one group, all are */
/* Withdraws the targets that have not begun; how many.  The call may be over when it returns. */
unsigned xc_slot_withdraw(struct xc_cpu *, struct xc_slot *, uint64_t ticket);

/* The slot that a ticket names, and whose it is (NULL: none); who has posted in it.  Any
 * context. */
struct xc_slot *xc_slot_lookup(uint64_t ticket, struct xc_cpu **owner);
unsigned xc_slot_sender(const struct xc_cpu *owner, const struct xc_slot *);
uint64_t xc_slot_ticket(const struct xc_cpu *, const struct xc_slot *, uint64_t state);
/* EBUSY: live; 0: over; ECANCELED; EINVAL: forged.  Acquire unless live: pairs with
 * xc_slot_retire().  Any context. */
int xc_slot_result(const struct xc_slot *, uint64_t ticket);
/* Calls visit(cpu, arg) for each target that has not begun the live call.  Any context. */
void xc_slot_foreach_todo(const struct xc_cpu *, const struct xc_slot *, uint64_t ticket,
    void (*visit)(unsigned cpu, void *arg), void *arg);
/* The targets of one group of the live call: false when the call is over, or has none there.  Any
 * context. */
bool xc_slot_group(const struct xc_cpu *, const struct xc_slot *, uint64_t ticket, unsigned group,
    uint32_t *posted, uint32_t *todo, uint32_t *unfinished);

#endif
