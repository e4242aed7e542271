/*
 * From a rate to a divider and a count.  Pure code: also built on the host.
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
