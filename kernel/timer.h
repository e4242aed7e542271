/*
 * The local timer of each CPU: programming it, and the record of when it expired.
 *
 * Only the CPU itself can touch its timer: timer_program() acts on the calling CPU.
 */
#ifndef KERNEL_TIMER_H
#define KERNEL_TIMER_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/machine.h"

struct cpu_info;

/* TIMER_DEADLINE ticks as TIMER_PERIODIC does, but each expiry is a value of machine_cycles():
 * exact multiples of the period after the setting, with no drift against the clock.  Not every CPU
 * has it. */
enum timer_mode { TIMER_OFF, TIMER_ONESHOT, TIMER_PERIODIC, TIMER_DEADLINE };

/* What was asked and what it became.  A rate is exact up to one count of the timer's input
 * clock. */
struct timer_setting {
	enum timer_mode mode;
	uint64_t hz;         /* asked; one-shot: 1/hz seconds once */
	uint32_t divide;     /* chosen divider; 1 for a deadline */
	uint32_t count;      /* chosen initial count; 0 for a deadline */
	uint64_t generation; /* counts timer_program() calls on this CPU */
	uint64_t set_ns;     /* clock_ns() when it was programmed */
};

/* Expiries kept since the last timer_program(). */
#define TIMER_SAMPLES 64

struct timer_sample {
	uint64_t expiry_cycles; /* machine_cycles() at the expiry: entry of the handler less what
				 * the timer had counted since; one-shot: entry of the handler;
				 * deadline: the deadline */
	uint64_t late_cycles;   /* how much later the handler began */
};

/* A consistent copy of a CPU's record. */
struct timer_record {
	struct timer_setting setting;
	struct machine_timer registers; /* read back right after programming */
	uint64_t expiries;              /* since timer_program() */
	unsigned nsamples;              /* valid entries of sample[], oldest first */
	struct timer_sample sample[TIMER_SAMPLES];
};

/* Rates timer_program() takes; the upper bound keeps a CPU from drowning in its own interrupts. */
#define TIMER_HZ_MIN 1
#define TIMER_HZ_MAX 10000

/* Makes the record of `ci`; claims the vector on the first call. */
void timer_init_cpu(struct cpu_info *ci);
/* Programs the calling CPU's timer and empties its record.  0, EINVAL for a rate out of bounds or
 * not reachable with this timer's input clock, EOPNOTSUPP for deadlines where there are none.  Any
 * context but NMI.  (timer_set() is for other CPUs: kernel/clients/timers.h.) */
int timer_program(enum timer_mode mode, uint64_t hz) __attribute__((warn_unused_result));
/* For a CPU that leaves: stops its timer.  For one that arrives: sets it going as it was when it
 * was stopped (a one-shot anew, for its whole time), or the first time at HZ; EINVAL if that rate
 * cannot be reached.  The CPU itself, interrupts off. */
void timer_stop(void);
int timer_start(void) __attribute__((warn_unused_result));
/* Copies the record of any CPU; retries while that CPU is writing.  Any context but NMI. */
void timer_get(const struct cpu_info *ci, struct timer_record *);
/* Interrupts that stood for no new expiry: of an earlier setting, or recorded with the one before;
 * all CPUs since boot. */
uint64_t timer_stale(void);
/* Divider and count for a rate: the smallest divider whose count fits 32 bits, the count rounded to
 * nearest.  0, or EINVAL for a rate of 0 or one that a count below TIMER_COUNT_MIN would round off
 * by more than 0.5 %.  Pure. */
#define TIMER_COUNT_MIN 100
int timer_choose(uint64_t input_hz, uint64_t hz, uint32_t *divide, uint32_t *count);
/* The first of start + n/hz seconds, n = 1, 2 ..., rounded up, that lies after `now`; all in
 * cycles, `now` not before `start`.  Pure. */
uint64_t timer_deadline(uint64_t start, uint64_t cycles_hz, uint64_t hz, uint64_t now);

#endif
