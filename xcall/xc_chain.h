/*
 * Finds waits that wait for themselves (xc_chain.c).
 */
#ifndef XCALL_XC_CHAIN_H
#define XCALL_XC_CHAIN_H

#include <stdint.h>

struct xc_cpu;
struct xc_holder;
struct xc_ref;

/*
 * How often a wait that could be part of a closed chain looks for one: an edge that comes later
 * than the wait is found then.  By default XC_CHAIN_PERIOD_NS: only for a machine that hangs
 * already, so anything that a person calls prompt.  Tests that look for lost wake-ups make it
 * longer than they wait themselves.
 */
#define XC_CHAIN_PERIOD_NS 500000000ull
uint64_t xc_chain_period(void);
void xc_chain_set_period(uint64_t ns);

void xc_chain_init(struct xc_cpu *xc);
/* Panics and prints the chain when the calling thread, which waits for the call, waits for
 * itself. */
void xc_chain_check(struct xc_cpu *xc, const struct xc_ref *call);
/* Makes the wait of a thread that holds mutexes an edge that others can see, and takes it back. */
void xc_chain_enter(struct xc_cpu *xc, struct xc_holder *holder, const struct xc_ref *call);
void xc_chain_exit(struct xc_cpu *xc, struct xc_holder *holder);

#endif
