/*
 * The target's half: inbox and thread xcall/N (xc_thread.c).
 */
#ifndef XCALL_XC_THREAD_H
#define XCALL_XC_THREAD_H

#include <stdint.h>

#include "xcall/xcall.h"

struct xc_cpu;
struct xc_slot;

void xc_thread_init(struct xc_cpu *xc);
/* Tells the target that `sender` may have a call for it.  Any context but NMI. */
void xc_thread_notify(struct xc_cpu *target, unsigned sender);
/* Makes xcall/N look again at what it waits for.  Any context but NMI. */
void xc_thread_wake(struct xc_cpu *target);
/* The record of the calling thread if it is an xcall/N, which then runs a cross-called function. */
struct xc_cpu *xc_thread_self(void);
/* The calling xcall/N serves, or sleeps, until the call is over; until a slot of its CPU is free. */
void xc_thread_wait(struct xc_cpu *xc, struct xc_slot *slot, uint64_t ticket);
void xc_thread_wait_slot(struct xc_cpu *xc);
/* Runs the function and panics when it did not leave its context as it found it. */
void xc_thread_run(xcfunc_t func, void *arg1, void *arg2);

#endif
