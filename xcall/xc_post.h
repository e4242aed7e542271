/*
 * What the ways to post have in common (xcall.c).
 */
#ifndef XCALL_XC_POST_H
#define XCALL_XC_POST_H

#include "xcall/xc_ticket.h"
#include "xcall/xcall.h"

struct xc_cpu;

/* xc_unicast() by way of the slots. */
uint64_t xc_unicast_slot(unsigned flags, xcfunc_t, void *arg1, void *arg2, struct cpu_info *);
/* The level that the flags name; panics when they contradict each other. */
enum xc_level xc_post_level(const char *who, unsigned flags);
/* Panics for what no post may be. */
enum xc_level xc_post_assert(const char *who, unsigned flags, xcfunc_t);
/* No CPU is a target yet: calls run inline, and this does it. */
bool xc_post_early_p(void);
void xc_post_early(enum xc_level, xcfunc_t, void *arg1, void *arg2);
/* Tells a target of what was published for it, as the flags say; the own CPU last. */
void xc_post_notify(
    struct xc_cpu *self, struct xc_cpu *target, enum xc_level, unsigned flags, bool intr);

#endif
