/*
 * Looking at cross calls: one call, the figures of a CPU, everything; and what happens when a CPU
 * does not answer.
 */
#ifndef XCALL_XC_STATUS_H
#define XCALL_XC_STATUS_H

#include <stdbool.h>
#include <stdint.h>

#include "xcall/xcall.h"

struct cpu_info;
struct cpuset;

struct xc_status {
	xcfunc_t func;                    /* NULL: complete */
	unsigned flags;                   /* where it runs, and XC_LAZY */
	unsigned sender;                  /* index of the posting CPU */
	unsigned posted, begun, finished; /* how many targets; those withdrawn count as finished */
	uint64_t age_ns;
};

/* Contexts in which functions run: the rows of the figures. */
enum xc_class { XC_CLASS_LOW, XC_CLASS_SOFT, XC_CLASS_HARD, XC_CLASS_NMI, XC_CLASSES };

/* Bin n counts what took 2^n nanoseconds up to less than 2^(n+1); the last also all above. */
#define XC_HISTOGRAM_BINS 40
struct xc_histogram {
	uint64_t h_count, h_bin[XC_HISTOGRAM_BINS];
};

struct xc_stats {
	uint64_t posted[XC_CLASSES];              /* calls, by this CPU */
	uint64_t run[XC_CLASSES];                 /* functions, on this CPU */
	uint64_t interrupts, empty;               /* taken for calls; found nothing */
	uint64_t served_waiting;                  /* hard functions run in a wait of this CPU */
	uint64_t full[XC_CLASSES];                /* posts that found no room */
	uint64_t resent, stalls;                  /* of this CPU's waits */
	struct xc_histogram begin[XC_CLASSES];    /* post to begin, of functions run here */
	struct xc_histogram run_ns[XC_CLASSES];   /* begin to end, of functions run here */
	struct xc_histogram complete[XC_CLASSES]; /* post to complete, of calls posted here */
};

/* 0; EINVAL for a forged ticket; the errno of an error ticket.  A stale one is complete.  Any
 * context. */
int xc_status(uint64_t where, struct xc_status *) __attribute__((warn_unused_result));
/* Which targets; any may be NULL; all are empty for a complete call.  As xc_status(). */
int xc_status_sets(uint64_t where, struct cpuset *posted, struct cpuset *begun,
    struct cpuset *finished) __attribute__((warn_unused_result));
/* A copy of the figures, each a moment old.  Any context. */
void xc_stats(const struct cpu_info *, struct xc_stats *);
/* One call in `every`, a power of two, is timed for the histograms, 1 all of them; 64 by default.
 * Any context. */
void xc_stats_sample(unsigned every);
/* Prints what the CPU has posted and what it runs; takes no lock of xcall's.  Any context. */
void xc_dump(const struct cpu_info *);

/*
 * After warn_ns (0: never) a wait says what it waits for: call, function, sender, age, and for each
 * missing CPU how far it is, whether it takes interrupts, which lock it spins for; later with
 * growing gaps.  After panic_ns (0: never) it panics.  `resend`: a call that was never taken is
 * announced again.  `nmi`: a missing CPU is asked for its backtrace, once a stall.  By default 5 s
 * (60 s for more than 16 CPUs under a hypervisor), never, yes, yes.  For waits that begin later.
 * Any context.
 */
void xc_stall_config(uint64_t warn_ns, uint64_t panic_ns, bool resend, bool nmi);

#endif
