/*
 * What all reference counters have in common.
 */
#include "kernel/x86/refclock.h"

#include <stddef.h>

#include "kernel/machine.h"

/* The slowest counter moves each microsecond, and a reading takes a tenth of that at the least. */
#define REFCLOCK_MOVE_READS 100000
/* Odd.  A narrow counter may seem to run backward when the host stops the machine between two
 * readings, so most steps decide, not all. */
#define REFCLOCK_STEPS 9

uint64_t
refclock_elapsed(const struct refclock *rc, uint64_t from, uint64_t to)
{
	return (rc->counts_down ? from - to : to - from) & rc->mask;
}

/* Reads until the counter differs from `from`; false when it never does. */
static bool
refclock_step(const struct refclock *rc, uint64_t from, uint64_t *to)
{
	for (unsigned i = 0; i < REFCLOCK_MOVE_READS; i++) {
		*to = rc->read();
		if (*to != from)
			return true;
		machine_pause();
	}
	return false;
}

const char *
refclock_check(const struct refclock *rc)
{
	unsigned forward = 0;

	for (unsigned i = 0; i < REFCLOCK_STEPS; i++) {
		uint64_t from = rc->read(), to;

		if (!refclock_step(rc, from, &to))
			return "its counter stands still";
		if (refclock_elapsed(rc, from, to) <= rc->mask / 2)
			forward++;
	}
	return forward > REFCLOCK_STEPS / 2 ? NULL : "its counter jumps or runs backward";
}
