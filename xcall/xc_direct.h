/*
 * The direct slot of a CPU: the short way of a hard call to one CPU (xc_direct.c).
 */
#ifndef XCALL_XC_DIRECT_H
#define XCALL_XC_DIRECT_H

#include <stdbool.h>

#include "xcall/xc_inbox.h"
#include "xcall/xcall.h"

struct xc_cpu;

void xc_direct_init_cpu(struct xc_cpu *);
/* Serves the direct slot, the only thing that was announced.  Interrupt context. */
void xc_direct_serve(struct xc_cpu *);
/* Begins the call in the direct slot, of that sender or (CPUSET_END) of any; false: there is none.
 * Context of the hard level. */
bool xc_direct_next(struct xc_cpu *, unsigned sender, struct xc_job *);
/* The slot is free for the next call. */
void xc_direct_free(struct xc_cpu *);
/* Whether a call is in it; whether that waits to begin.  Acquire: pairs with the post. */
bool xc_direct_live(const struct xc_cpu *);
bool xc_direct_pending(const struct xc_cpu *);

#endif
