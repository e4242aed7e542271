/*
 * From a rate to a divider and a count, or to the next deadline.  Pure code: also built on the
 * host.
 */
#include "kernel/errno.h"
#include "kernel/timer.h"

#define TIMER_DIVIDE_MAX 128

int
timer_choose(uint64_t input_hz, uint64_t hz, uint32_t *divide, uint32_t *count)
{
	if (hz == 0)
		return EINVAL;
	for (uint32_t d = 1; d <= TIMER_DIVIDE_MAX; d *= 2) {
		uint64_t counted_hz = input_hz / d;
		/* To nearest; the half is taken off the remainder's side, so nothing overflows. */
		uint64_t n = counted_hz / hz + (counted_hz % hz >= hz - hz / 2);

		if (n > UINT32_MAX)
			continue;
		if (n < TIMER_COUNT_MIN)
			return EINVAL;
		*divide = d;
		*count = (uint32_t)n;
		return 0;
	}
	return EINVAL;
}

uint64_t
timer_deadline(uint64_t start, uint64_t cycles_hz, uint64_t hz, uint64_t now)
{
	/* Whole seconds are whole numbers of cycles and of periods; what is left is small enough to
	 * multiply. */
	uint64_t second = now - (now - start) % cycles_hz;
	uint64_t n = (now - second) * hz / cycles_hz + 1;

	return second + (n * cycles_hz + hz - 1) / hz;
}
