/*
 * The life of a caller-owned descriptor (xc_call.c).
 *
 *	from		to		by
 *	IDLE, WITHDRAWN	POSTED		xc_call_post
 *	POSTED		RUNNING		xc_descriptor_begin: its target, in the context of the level
 *	RUNNING		IDLE		xc_descriptor_finish
 *	POSTED		CANCELLED	xc_call_cancel; it stays in the inbox
 *	CANCELLED	WITHDRAWN	xc_descriptor_begin, which finds it there
 *
 * In IDLE and WITHDRAWN nobody but the owner looks at it.
 */
#ifndef XCALL_XC_DESCRIPTOR_H
#define XCALL_XC_DESCRIPTOR_H

#include "xcall/xc_call.h"

enum {
	XC_CALL_IDLE,
	XC_CALL_POSTED,
	XC_CALL_RUNNING,
	XC_CALL_CANCELLED,
	XC_CALL_WITHDRAWN,
	XC_CALL_STATE = 7,
	XC_CALL_WAITED = 8 /* with POSTED or RUNNING: a thread sleeps for it */
};

/* Out of the inbox: false when it was cancelled, and then it is not the target's any more. */
bool xc_descriptor_begin(struct xc_call *);
/* The function has returned; the descriptor is not the target's any more. */
void xc_descriptor_finish(struct xc_call *);
/* As xc_slot_result(). */
int xc_descriptor_result(const struct xc_call *);
/* Asks for a wake-up at its end; false when it is over. */
bool xc_descriptor_want(struct xc_call *);

#endif
