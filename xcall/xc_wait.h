/*
 * Waiting for a call, by ticket or by descriptor (xc_wait.c).
 */
#ifndef XCALL_XC_WAIT_H
#define XCALL_XC_WAIT_H

#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_run.h"

#define XC_FOREVER UINT64_MAX

/* What is waited for. */
struct xc_event {
	struct xc_ref e_ref;
	struct xc_slot *e_slot;  /* of a ticket */
	struct xc_cpu *e_sender; /* whose call it is */
	unsigned e_bucket;       /* its waiters' condition variable */
	enum xc_level e_level;
};

/* EBUSY: live; else what the wait returns.  Acquire: pairs with the end of the call.  Any
 * context. */
int xc_event_result(const struct xc_event *);
/* Asks for a wake-up; false when it is over.  Sequentially consistent: pairs with the end of the
 * call. */
bool xc_event_want(const struct xc_event *);
/* The wait of that level, until the deadline (clock_ns(), XC_FOREVER); 0, ECANCELED, ETIMEDOUT. */
int xc_event_wait(const struct xc_event *, uint64_t deadline_ns, const char *who);
/* Panics when the caller may not wait for a call of that level. */
void xc_wait_assert(const char *who, enum xc_level);
void xc_wait_init(void);
/* now + timeout, or XC_FOREVER. */
uint64_t xc_wait_deadline(uint64_t timeout_ns);

#endif
