/*
 * Does a local timer do what was asked?  Judged from its registers and the intervals between its
 * expiries, never from a count of ticks.  Pure code: also built on the host.
 */
#ifndef KERNEL_MAIN_JUDGE_H
#define KERNEL_MAIN_JUDGE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/timer.h"

enum judge_verdict {
	JUDGE_OK,        /* registers and intervals are right; ticks may have been dropped */
	JUDGE_REGISTERS, /* divider, count or mode read back differ from what the rate needs */
	JUDGE_INTERVAL,  /* the timer expires at another rate */
	JUDGE_SILENT,    /* fewer than JUDGE_MIN_INTERVALS expiries in the time given */
};

/* Below this many intervals nothing is said about a rate. */
#define JUDGE_MIN_INTERVALS 16u
/* The median interval may be off by this much: twenty times what a crystal is off, a twentieth of
 * the step between two rates that the main job tells apart. */
#define JUDGE_TOLERANCE_PPM 1000

struct judge_result {
	enum judge_verdict verdict;
	uint64_t interval_ns; /* median interval of a single tick */
	int64_t error_ppm;    /* of that against the rate asked for */
	uint64_t missed;      /* expiries that no interrupt was seen for, between those that were */
	unsigned intervals;   /* judged */
};

/* `input_hz` drives the timer before its divider, `cycles_hz` the sample's clock. */
void judge_timer(
    const struct timer_record *, uint64_t input_hz, uint64_t cycles_hz, struct judge_result *);
const char *judge_name(enum judge_verdict);

#endif
