/*
 * Counters against the TSC.
 *
 * A reading of a counter stands between two of the TSC: the bracket.  A wide one (a
 * system-management interrupt, a host that had other things to do) says little about when the
 * counter was read, so the narrowest of several counts.  All counters are read at both ends of the
 * same window; what happens in between, however long, is harmless, unless a counter wraps.  Windows
 * have different lengths, so that a periodic disturbance does not hit all alike.
 */
#include <stddef.h>

#include "kernel/machine.h"
#include "kernel/scale.h"
#include "kernel/x86/calibrate.h"

/* Readings at each end of a window. */
#define CALIBRATE_BRACKETS 8
/* Both brackets together may be a 200th of the window: more could hide an error of half a
 * percent. */
#define CALIBRATE_BRACKET_PART 200
/* The PIT wraps after 54.9 ms: the longest window leaves room for a host that stops us for 30
 * ms. */
#define CALIBRATE_WINDOW_US(i) (16000 + 2000 * (i))
#define CALIBRATE_US_PER_S 1000000

/* Waiting ends after so many polls, or so many cycles (a second or more), if the pacing counter
 * stops.  Between polls a loop without memory or device accesses: an emulator that counts
 * instructions takes orders of magnitude longer for an access than for these. */
#define CALIBRATE_POLLS 1000000
#define CALIBRATE_POLL_CYCLES ((uint64_t)1 << 33)
#define CALIBRATE_POLL_LOOP 500

struct calibrate_reading {
	uint64_t cycles, width, count;
};

static void
calibrate_read(const struct refclock *rc, struct calibrate_reading *best)
{
	best->width = UINT64_MAX;
	for (unsigned i = 0; i < CALIBRATE_BRACKETS; i++) {
		uint64_t before = machine_cycles();
		uint64_t count = rc->read();
		uint64_t width = machine_cycles() - before;

		if (width < best->width) {
			best->width = width;
			best->cycles = before + width / 2;
			best->count = count;
		}
	}
}

static void
calibrate_wait(const struct refclock *pace, unsigned us)
{
	uint64_t start = pace->read(), start_cycles = machine_cycles();
	uint64_t counts = scale_once(us, CALIBRATE_US_PER_S, pace->hz);

	for (unsigned i = 0; i < CALIBRATE_POLLS; i++) {
		if (refclock_elapsed(pace, start, pace->read()) >= counts ||
		    machine_cycles() - start_cycles > CALIBRATE_POLL_CYCLES)
			return;
		for (unsigned j = 0; j < CALIBRATE_POLL_LOOP; j++)
			__asm__ volatile("");
		machine_pause();
	}
}

/* Enters one window of one counter, or voids it. */
static void
calibrate_enter(struct calibrate_counter *c, unsigned window, const struct calibrate_reading *start,
    const struct calibrate_reading *end)
{
	uint64_t counts = refclock_elapsed(&c->clock, start->count, end->count);
	uint64_t cycles = end->cycles - start->cycles;

	if (counts == 0 || (start->width + end->width) > cycles / CALIBRATE_BRACKET_PART)
		cycles = 0;
	c->counts[window] = counts;
	c->cycles[window] = cycles;
}

static void
calibrate_window(struct calibrate_counter *counters, const struct refclock *pace, unsigned window)
{
	struct calibrate_reading start[CALIBRATE_COUNTERS], end[CALIBRATE_COUNTERS];

	for (unsigned i = 0; i < CALIBRATE_COUNTERS; i++)
		if (counters[i].why == NULL)
			calibrate_read(&counters[i].clock, &start[i]);
	calibrate_wait(pace, CALIBRATE_WINDOW_US(window));
	for (unsigned i = 0; i < CALIBRATE_COUNTERS; i++)
		if (counters[i].why == NULL)
			calibrate_read(&counters[i].clock, &end[i]);
	for (unsigned i = 0; i < CALIBRATE_COUNTERS; i++)
		if (counters[i].why == NULL)
			calibrate_enter(&counters[i], window, &start[i], &end[i]);
}

void
calibrate_measure(struct calibrate_counter counters[CALIBRATE_COUNTERS])
{
	const struct refclock *pace = NULL;

	for (unsigned i = 0; i < CALIBRATE_SOURCES && pace == NULL; i++)
		if (counters[i].why == NULL)
			pace = &counters[i].clock;
	if (pace == NULL)
		return;
	for (unsigned window = 0; window < CALIBRATE_WINDOWS; window++)
		calibrate_window(counters, pace, window);
}
