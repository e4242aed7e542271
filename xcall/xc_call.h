/*
 * Cross calls whose memory is the caller's: any number may be outstanding, none waits for a slot.
 *
 * A descriptor is linked into its target's inbox, so it must stay alive and in place until it is
 * done.  One that is waited for with a timeout, or cancelled, must not live on a stack: the target
 * may look at it later.
 */
#ifndef XCALL_XC_CALL_H
#define XCALL_XC_CALL_H

#include <stdatomic.h>
#include <stdint.h>

#include "xcall/xcall.h"

/* Opaque to the caller. */
struct xc_call {
	_Atomic uint32_t c_state;         /* xc_descriptor.h */
	uint16_t c_sender;                /* posting CPU */
	uint8_t c_level;                  /* enum xc_level */
	_Atomic bool c_lazy;              /* posted with XC_LAZY */
	_Atomic(struct xc_call *) c_next; /* pushed before it */
	struct xc_call *c_taken;          /* next in order, once taken */
	xcfunc_t c_func;
	void *c_arg1, *c_arg2;
	uint64_t c_order, c_posted; /* number among the sender's posts; when, in cycles */
	struct cpu_info *c_target;  /* NULL: never posted */
};

/* Before the first post. */
void xc_call_init(struct xc_call *, xcfunc_t, void *arg1, void *arg2);
/* Posts to one CPU: 0; EBUSY: unfinished since its last post, or cancelled and still looked at;
 * EHOSTDOWN.  Flags, contexts and order as xc_unicast(), in one order with the tickets; never waits
 * for room.  XC_NMI: panic, its inbox takes tickets only. */
int xc_call_post(struct xc_call *, unsigned flags, struct cpu_info *)
    __attribute__((warn_unused_result));
/* As xc_wait(), xc_timedwait(), xc_done(): for the latest post; one that never was posted is
 * complete. */
int xc_call_wait(struct xc_call *);
int xc_call_timedwait(struct xc_call *, uint64_t timeout_ns) __attribute__((warn_unused_result));
bool xc_call_done(const struct xc_call *);
/* 0: it has returned, or never began and nobody looks at it any more.  EBUSY: it will never run,
 * but its target may still look at the descriptor: keep it until xc_call_done(). */
int xc_call_cancel(struct xc_call *) __attribute__((warn_unused_result));

#endif
