/*
 * What is counted and timed.
 *
 * Each CPU counts what it does itself, but for the end of a call, which its last target counts with
 * the sender.  Counts are exact, and whoever has waited for a call finds it counted.  Times go into
 * histograms with bins of powers of two, for one call in so many by its number among the posts of
 * its sender: so all times of a broadcast are taken, or none.
 *
 * Limits
 *
 * Times between two CPUs compare their cycle counters; where those differ, a time that would be
 * negative counts as none.  A sender that posts in a pattern as long as that number shows always
 * the same part of it; choose another number then.  A call that was withdrawn counts as complete
 * when that is done.
 */
#include "xcall/xc_stats.h"

#include <stddef.h>

#include "xcall/xc_internal.h"

#define XC_STATS_EVERY 64u
_Atomic uint64_t xc_stats_mask = XC_STATS_EVERY - 1;

static struct evcnt xc_unicast_ev, xc_broadcast_ev;
/* Calls that ran inline in bring-up. */
static _Atomic uint64_t xc_early_unicasts, xc_early_broadcasts;
static struct evcnt xc_full_ev, xc_empty_ev, xc_stall_ev, xc_resent_ev;

static uint64_t
xc_stats_get(const _Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

static uint64_t
xc_stats_sum(bool unicast)
{
	const struct cpu_info *ci;
	const struct xc_cpu *xc;
	uint64_t posted = 0, broadcasts = 0;

	CPU_INFO_FOREACH(ci) {
		if ((xc = xc_cpu_lookup(ci->ci_index)) == NULL)
			continue;
		for (unsigned c = 0; c < XC_CLASSES; c++)
			posted += xc_stats_get(&xc->x_figures->f_posted[c]);
		broadcasts += xc_stats_get(&xc->x_figures->f_broadcasts);
	}
	return unicast ? posted - broadcasts + xc_stats_get(&xc_early_unicasts)
		       : broadcasts + xc_stats_get(&xc_early_broadcasts);
}

static uint64_t
xc_stats_unicasts(void)
{
	return xc_stats_sum(true);
}

static uint64_t
xc_stats_broadcasts(void)
{
	return xc_stats_sum(false);
}

void
xc_stats_init(void)
{
	evcnt_attach_sum(
	    &xc_unicast_ev, EVCNT_TYPE_MISC, "crosscall", "unicast", xc_stats_unicasts);
	evcnt_attach_sum(
	    &xc_broadcast_ev, EVCNT_TYPE_MISC, "crosscall", "broadcast", xc_stats_broadcasts);
	evcnt_attach_dynamic(&xc_full_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "no room");
	evcnt_attach_dynamic(
	    &xc_empty_ev, EVCNT_TYPE_INTR, NULL, "crosscall", "interrupt for nothing");
	evcnt_attach_dynamic(&xc_stall_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "stalled wait");
	evcnt_attach_dynamic(&xc_resent_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "announced again");
}

void
xc_stats_init_cpu(struct xc_cpu *xc)
{
	xc->x_figures = kmem_boot_alloc(sizeof(*xc->x_figures));
}

void
xc_stats_early(bool unicast)
{
	xc_stats_add(unicast ? &xc_early_unicasts : &xc_early_broadcasts);
}

void
xc_stats_full(struct xc_cpu *self, enum xc_level level)
{
	evcnt_increment(&xc_full_ev);
	xc_stats_add(&self->x_figures->f_full[xc_stats_class(level)]);
}

void
xc_stats_stall(struct xc_cpu *self, bool resent)
{
	evcnt_increment(resent ? &xc_resent_ev : &xc_stall_ev);
	/* A CPU that had no xc_init_cpu() may wait, too. */
	if (self != NULL)
		xc_stats_add(resent ? &self->x_figures->f_resent : &self->x_figures->f_stalls);
}

void
xc_stats_served(struct xc_cpu *here)
{
	machine_count(&here->x_figures->f_served);
}

void
xc_stats_empty(struct xc_cpu *here)
{
	evcnt_increment(&xc_empty_ev);
	machine_count(&here->x_figures->f_empty);
}

static void
xc_stats_time(struct xc_times *times, uint64_t from, uint64_t to)
{
	uint64_t ns = to > from ? clock_cycles_to_ns(to - from) : 0;
	unsigned bin = ns != 0 ? 63u - (unsigned)__builtin_clzll(ns) : 0;

	xc_stats_add(&times->t_bin[bin < XC_HISTOGRAM_BINS ? bin : XC_HISTOGRAM_BINS - 1]);
}

void
xc_stats_time_run(
    struct xc_cpu *here, enum xc_level level, uint64_t posted_cycles, uint64_t since_cycles)
{
	struct xc_figures *f = here->x_figures;
	enum xc_class class = xc_stats_class(level);

	xc_stats_time(&f->f_begin[class], posted_cycles, since_cycles);
	xc_stats_time(&f->f_run_ns[class], since_cycles, machine_cycles());
}

void
xc_stats_time_end(struct xc_cpu *sender, enum xc_level level, uint64_t posted_cycles)
{
	xc_stats_time(
	    &sender->x_figures->f_complete[xc_stats_class(level)], posted_cycles, machine_cycles());
}

void
xc_stats_sample(unsigned every)
{
	KASSERTMSG(every != 0 && (every & (every - 1)) == 0,
	    "xc_stats_sample: %u is not a power of two", every);
	atomic_store_explicit(&xc_stats_mask, every - 1, memory_order_relaxed);
}

static void
xc_stats_copy(struct xc_histogram *to, const struct xc_times *from)
{
	to->h_count = 0;
	for (unsigned i = 0; i < XC_HISTOGRAM_BINS; i++) {
		to->h_bin[i] = xc_stats_get(&from->t_bin[i]);
		to->h_count += to->h_bin[i];
	}
}

void
xc_stats(const struct cpu_info *ci, struct xc_stats *stats)
{
	const struct xc_cpu *xc = xc_cpu_lookup(ci->ci_index);
	const struct xc_figures *f;

	KASSERTMSG(xc != NULL, "xc_stats: CPU %u had no xc_init_cpu()", ci->ci_index);
	f = xc->x_figures;
	for (unsigned c = 0; c < XC_CLASSES; c++) {
		stats->posted[c] = xc_stats_get(&f->f_posted[c]);
		stats->run[c] = xc_stats_get(&f->f_run[c]);
		stats->full[c] = xc_stats_get(&f->f_full[c]);
		xc_stats_copy(&stats->begin[c], &f->f_begin[c]);
		xc_stats_copy(&stats->run_ns[c], &f->f_run_ns[c]);
		xc_stats_copy(&stats->complete[c], &f->f_complete[c]);
	}
	stats->interrupts = xc_stats_get(&ci->ci_intr_count[INTR_VECTOR_XCALL]);
	stats->empty = xc_stats_get(&f->f_empty);
	stats->served_waiting = xc_stats_get(&f->f_served);
	stats->resent = xc_stats_get(&f->f_resent);
	stats->stalls = xc_stats_get(&f->f_stalls);
}
