/*
 * Calls of every kind by all CPUs, under a fault that strikes again and again, with torture's
 * ledger (fault_storm.c).
 */
#ifndef TESTS_KERNEL_FAULT_STORM_H
#define TESTS_KERNEL_FAULT_STORM_H

#include <stdbool.h>

struct torture_dice;

struct fault_storm {
	const char *rules; /* fault.h; the first is counted, or, with `strike`, none */
	/* By a thread of each CPU, time and again, until it has done it often enough. */
	void (*strike)(struct torture_dice *);
	unsigned levels; /* bits by enum xc_level; 0: all */
	/* Of the stalls' settings; 0 ms: no report, no second announcement. */
	unsigned warn_ms;
};

/* Whether the fault struck as often as the word faults= asks for, every call ran exactly once where
 * it should, and every wait ended; says how often what happened. */
bool fault_storm(const struct fault_storm *, const char *name);

#endif
