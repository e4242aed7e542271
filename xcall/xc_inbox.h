/*
 * Inboxes: what was posted to a CPU at one level, and in which order it takes it (xc_inbox.c).
 *
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	c	constant once the CPU is attached
 *	h	the CPU itself in the context of that level; for XC_LEVEL_LOW its thread xcall/N
 */
#ifndef XCALL_XC_INBOX_H
#define XCALL_XC_INBOX_H

#include <stdatomic.h>

#include "xcall/xc_call.h"
#include "xcall/xc_port.h"
#include "xcall/xc_ticket.h"

struct xc_cpu;
struct xc_slot;

struct xc_inbox {
	_Atomic uint64_t *i_senders;        /* c; a: who may have a slot for this CPU, a bit each */
	_Atomic(struct xc_call *) i_pushed; /* a: descriptors, newest first */
	struct xc_call *i_first, **i_end;   /* h: those taken from there, oldest first */
	_Atomic bool i_taken;               /* a, h: there are some */
	unsigned i_last;                    /* h: sender served last */
	bool i_turn;                        /* h: a descriptor comes next, or a slot */
	bool i_direct;                      /* h: the direct slot comes before both (hard) */
	_Atomic uint64_t i_posted;          /* a: descriptors, ever */
	_Atomic uint64_t i_begun;           /* a, h: of those, begun or found cancelled */
};

/* A call that this CPU has begun: a slot's, or a descriptor. */
struct xc_job {
	struct xc_cpu *j_sender;
	struct xc_slot *j_slot; /* NULL: j_call */
	struct xc_call *j_call;
	uint64_t j_ticket; /* 0 for a descriptor */
	uint64_t j_number; /* of a descriptor: i_begun */
	xcfunc_t j_func;
	void *j_arg1, *j_arg2;
	uint64_t j_posted; /* cycles */
	uint64_t j_order;
};

void xc_inbox_init(struct xc_inbox *);
/* Posts: a slot of that sender, published before; a descriptor.  Release; then xc_notify(). */
void xc_inbox_add_sender(struct xc_inbox *, unsigned sender);
void xc_inbox_push(struct xc_inbox *, struct xc_call *);
#define XC_SENDER_BITS 64u
static inline unsigned
xc_inbox_words(void)
{
	return (ncpu + XC_SENDER_BITS - 1) / XC_SENDER_BITS;
}

/* Whether there may be something.  Acquire: pairs with the two above. */
static inline bool
xc_inbox_pending(const struct xc_inbox *inbox)
{
	if (atomic_load_explicit(&inbox->i_taken, memory_order_relaxed) ||
	    atomic_load_explicit(&inbox->i_pushed, memory_order_acquire) != NULL)
		return true;
	for (unsigned w = xc_inbox_words(); w-- != 0;)
		if (atomic_load_explicit(&inbox->i_senders[w], memory_order_acquire) != 0)
			return true;
	return false;
}
/* What was begun in a slot of that owner. */
void xc_job_of_slot(struct xc_job *, struct xc_cpu *sender, struct xc_slot *, uint64_t state);
/* Begins the call whose turn it is; false when there is none.  Context of the level. */
bool xc_inbox_next(struct xc_cpu *, enum xc_level, struct xc_job *);

#endif
