/*
 * What is counted and timed (xc_stats.c).  All of it from any context, NMI included.
 */
#ifndef XCALL_XC_STATS_H
#define XCALL_XC_STATS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_status.h"
#include "xcall/xc_ticket.h"

struct xc_job;

struct xc_times {
	_Atomic uint64_t t_bin[XC_HISTOGRAM_BINS];
};

/* Of the CPU that owns them, and atomic since others read them, or an NMI interrupts it. */
struct xc_figures {
	_Atomic uint64_t f_posted[XC_CLASSES], f_run[XC_CLASSES], f_full[XC_CLASSES];
	_Atomic uint64_t f_broadcasts; /* of f_posted */
	_Atomic uint64_t f_empty, f_served, f_resent, f_stalls;
	struct xc_times f_begin[XC_CLASSES], f_run_ns[XC_CLASSES];
	/* The targets write these. */
	struct xc_times f_complete[XC_CLASSES] __attribute__((aligned(CACHE_LINE_BYTES)));
};

static inline enum xc_class
xc_stats_class(enum xc_level level)
{
	return level == XC_LEVEL_LOW ? XC_CLASS_LOW
	    : level < XC_LEVEL_HARD  ? XC_CLASS_SOFT
	    : level == XC_LEVEL_HARD ? XC_CLASS_HARD
				     : XC_CLASS_NMI;
}

static inline void
xc_stats_add(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

void xc_stats_init(void);
void xc_stats_init_cpu(struct xc_cpu *);
void xc_stats_early(bool unicast); /* a call ran inline in bring-up */
static inline void
xc_stats_post(struct xc_cpu *self, enum xc_level level, bool unicast)
{
	machine_count(&self->x_figures->f_posted[xc_stats_class(level)]);
	if (!unicast)
		machine_count(&self->x_figures->f_broadcasts);
}
/* A post found no room; a wait was due for a report, or announced a call again: by this CPU. */
void xc_stats_full(struct xc_cpu *self, enum xc_level);
void xc_stats_stall(struct xc_cpu *self, bool resent);
void xc_stats_empty(struct xc_cpu *here);  /* an interrupt was taken here for nothing */
void xc_stats_served(struct xc_cpu *here); /* a hard function runs in a wait of this CPU */

/* Calls whose number among the posts of their sender has none of these bits are timed. */
extern _Atomic uint64_t xc_stats_mask;
static inline bool
xc_stats_sampled(uint64_t order)
{
	/* Relaxed: any recent value will do. */
	return (order & atomic_load_explicit(&xc_stats_mask, memory_order_relaxed)) == 0;
}

/* A function has returned here that began then, its call posted then. */
void xc_stats_time_run(
    struct xc_cpu *here, enum xc_level, uint64_t posted_cycles, uint64_t since_cycles);
static inline void
xc_stats_run(struct xc_cpu *here, enum xc_level level, uint64_t order, uint64_t posted_cycles,
    uint64_t since_cycles)
{
	machine_count(&here->x_figures->f_run[xc_stats_class(level)]);
	if (xc_stats_sampled(order))
		xc_stats_time_run(here, level, posted_cycles, since_cycles);
}

/* The call of that number is over; before its slot, its descriptor is given back. */
void xc_stats_time_end(struct xc_cpu *sender, enum xc_level, uint64_t posted_cycles);
static inline void
xc_stats_end(struct xc_cpu *sender, enum xc_level level, uint64_t order, uint64_t posted_cycles)
{
	if (xc_stats_sampled(order))
		xc_stats_time_end(sender, level, posted_cycles);
}

#endif
