/*
 * Waits that last too long (xc_stall.c).
 */
#ifndef XCALL_XC_STALL_H
#define XCALL_XC_STALL_H

#include <stdint.h>

struct xc_event;

/* A wait; on the waiter's stack. */
struct xc_stall {
	uint64_t l_since_ns, l_next_ns; /* when it began; when it is looked at next */
	unsigned l_reports;
};

void xc_stall_begin(struct xc_stall *);
/* Reports, and does what xc_stall_config() says, when it is time.  Contexts of the wait. */
void xc_stall_check(struct xc_stall *, const struct xc_event *);

#endif
