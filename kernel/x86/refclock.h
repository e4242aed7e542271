/*
 * Free-running counters of known frequency, against which the time stamp counter and the local
 * timer are calibrated; and the calibration itself.
 */
#ifndef KERNEL_X86_REFCLOCK_H
#define KERNEL_X86_REFCLOCK_H

#include <stdbool.h>
#include <stdint.h>

struct platform;

struct refclock {
	const char *name;
	uint64_t hz;   /* nominal; 0: not there */
	uint64_t mask; /* the counter wraps after this value */
	bool counts_down;
	uint64_t (*read)(void); /* bounded */
};

/* Probe each device: a counter that does not move, or has an absurd frequency, is not there (hz 0,
 * with the reason in *why). */
void pmtimer_probe(const struct platform *, struct refclock *, const char **why);
void hpet_probe(const struct platform *, struct refclock *, const char **why);
void pit_probe(const struct platform *, struct refclock *, const char **why);

/* What CPUID claims the TSC's frequency to be: leaf 0x15 (crystal and ratio), leaf 0x16 (nominal
 * base frequency); 0 where it claims nothing, with the reason in *why. */
uint64_t cpuid_clock_crystal(const char **why);
uint64_t cpuid_clock_nominal(const char **why);

/* Counts from one reading to a later one. */
uint64_t refclock_elapsed(const struct refclock *, uint64_t from, uint64_t to);
/* NULL when the counter moves, and forward; else what is wrong with it.  Bounded. */
const char *refclock_check(const struct refclock *);

/*
 * Measures the TSC against every counter, compares with CPUID leaves 0x15 and 0x16, chooses, and
 * then measures the LAPIC timer against the TSC; calls clock_init().  Boot CPU, interrupts off, the
 * LAPIC initialised.  Panics with the reasons when nothing usable is there.
 */
void calibrate(const struct platform *);
/* Prints the calibration table: each source, frequency, ppm against the chosen one, why (not)
 * chosen. */
void calibrate_print(void);
/* Frequency of the LAPIC timer's input; 0 before calibrate(). */
uint64_t calibrate_lapic_hz(void);

#endif
