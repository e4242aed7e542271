/*
 * Fixed-point factors for unit conversion.
 *
 * The multiplier keeps 64 significant bits, so the relative error is below 2^-63: less than one
 * unit in any 64-bit count.  It is made bit by bit, because a 128-bit division needs a compiler
 * library that a kernel does not have.
 */
#include "kernel/scale.h"

#define SCALE_TOP_BIT (1ull << 63)
/* Keeps every shift of a 128-bit product defined. */
#define SCALE_SHIFT_MAX 127

void
scale_init(struct scale *s, uint64_t from, uint64_t to)
{
	uint64_t multiplier = to / from, rest = to % from;
	unsigned shift = 0;

	while (multiplier < SCALE_TOP_BIT && shift < SCALE_SHIFT_MAX) {
		multiplier <<= 1;
		rest <<= 1;
		if (rest >= from) {
			rest -= from;
			multiplier |= 1;
		}
		shift++;
	}
	s->multiplier = multiplier;
	s->shift = shift;
}

uint64_t
scale_apply(const struct scale *s, uint64_t count)
{
	unsigned __int128 product = (unsigned __int128)count * s->multiplier;

	/* Rounds after the last shift but one: adding the half before could overflow. */
	if (s->shift > 0)
		product = ((product >> (s->shift - 1)) + 1) >> 1;
	return product > UINT64_MAX ? UINT64_MAX : (uint64_t)product;
}

uint64_t
scale_once(uint64_t count, uint64_t from, uint64_t to)
{
	struct scale s;

	scale_init(&s, from, to);
	return scale_apply(&s, count);
}
