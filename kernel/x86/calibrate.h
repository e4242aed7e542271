/*
 * The parts of calibration: measuring (calibrate_measure.c) and choosing (calibrate_choose.c, pure
 * code: also built on the host).
 */
#ifndef KERNEL_X86_CALIBRATE_H
#define KERNEL_X86_CALIBRATE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/x86/refclock.h"

#define CALIBRATE_WINDOWS 5

/* The counters, the most trusted first (calibrate.c); the LAPIC timer last: its frequency is
 * sought. */
enum {
	CALIBRATE_HPET,
	CALIBRATE_PMTIMER,
	CALIBRATE_PIT,
	CALIBRATE_SOURCES,
	CALIBRATE_LAPIC = CALIBRATE_SOURCES,
	CALIBRATE_COUNTERS
};

/* A counter and the windows in which it ran against the TSC. */
struct calibrate_counter {
	struct refclock clock;
	const char *why;                    /* not there, because; NULL when it is */
	uint64_t counts[CALIBRATE_WINDOWS]; /* counted by it */
	uint64_t cycles[CALIBRATE_WINDOWS]; /* by the TSC; 0: the window is void */
};

/* Lets all counters that are there run through the windows at once; the first source that is there
 * paces them.  About 100 ms; bounded if the counters stop. */
void calibrate_measure(struct calibrate_counter counters[CALIBRATE_COUNTERS]);

/* The median of the values that are not 0; 0 unless a majority of all lies within half a percent of
 * it. */
uint64_t calibrate_steady(const uint64_t values[CALIBRATE_WINDOWS]);
/* Whether two frequencies, none 0, differ by at most so many millionths of the second. */
bool calibrate_agree(uint64_t hz, uint64_t reference_hz, uint64_t ppm);
int64_t calibrate_ppm(uint64_t hz, uint64_t reference_hz);

#define CALIBRATE_AGREE_PPM 10000
#define CALIBRATE_DEGRADED_PPM 50000

enum calibrate_verdict {
	CALIBRATE_NONE,     /* no measurement */
	CALIBRATE_DISAGREE, /* several, and no two agree */
	CALIBRATE_AGREED,   /* at least two agree within CALIBRATE_AGREE_PPM */
	CALIBRATE_DEGRADED, /* ... only within CALIBRATE_DEGRADED_PPM */
	CALIBRATE_CLAIMED,  /* no two agree, but one agrees with a claim */
	CALIBRATE_ALONE,    /* there is one only */
};

/* Chooses among `n` measured frequencies, the most trusted first, 0 for none; `claims` may support
 * one but are never chosen.  *chosen is valid unless the verdict is NONE or DISAGREE. */
enum calibrate_verdict calibrate_choose(const uint64_t *measured, unsigned n,
    const uint64_t *claims, unsigned nclaims, unsigned *chosen);

#endif
