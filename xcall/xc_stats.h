/*
 * What is counted and timed (xc_stats.c).  All of it from any context, NMI included.
 */
#ifndef XCALL_XC_STATS_H
#define XCALL_XC_STATS_H

#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_status.h"
#include "xcall/xc_ticket.h"

struct xc_cpu;
struct xc_job;
struct xc_slot;

void xc_stats_init(void);
void xc_stats_init_cpu(struct xc_cpu *);
/* A call was posted; a post found no room; a wait was due for a report, or announced a call again:
 * by this CPU. */
void xc_stats_post(struct xc_cpu *self, enum xc_level);
void xc_stats_full(struct xc_cpu *self, enum xc_level);
void xc_stats_stall(struct xc_cpu *self, bool resent);
/* A function has returned here that began then; an interrupt was taken, for nothing or not. */
void xc_stats_run(struct xc_cpu *here, enum xc_level, const struct xc_job *, uint64_t since);
void xc_stats_interrupt(struct xc_cpu *here, bool empty);
/* A hard function is about to run in a wait of this CPU. */
void xc_stats_served(struct xc_cpu *here);
/* The call is over; before its slot, its descriptor is given back. */
void xc_stats_complete(struct xc_cpu *sender, const struct xc_slot *, enum xc_level);
void xc_stats_complete_call(const struct xc_job *, enum xc_level);

#endif
