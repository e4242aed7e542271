/*
 * Numbers that look random and are the same in every run: George Marsaglia's xorshift with 64 bits.
 */
#ifndef TESTS_HOST_RANDOM_H
#define TESTS_HOST_RANDOM_H

#include <stddef.h>
#include <stdint.h>

struct random {
	uint64_t state; /* never 0 */
};

static inline uint64_t
random_next(struct random *r)
{
	r->state ^= r->state << 13;
	r->state ^= r->state >> 7;
	r->state ^= r->state << 17;
	return r->state;
}

static inline size_t
random_below(struct random *r, size_t bound)
{
	return (size_t)(random_next(r) % bound);
}

/* Spoils one to four places of the data: a bit, a byte, or a number with a mean value. */
static inline void
random_spoil(struct random *r, uint8_t *data, size_t size)
{
	static const uint8_t mean[] = { 0, 1, 2, 7, 8, 0x7f, 0x80, 0xff };

	for (size_t times = 1 + random_below(r, 4); size != 0 && times > 0; times--) {
		size_t at = random_below(r, size);
		uint8_t byte = mean[random_below(r, sizeof(mean))];

		switch (random_below(r, 3)) {
		case 0:
			data[at] ^= (uint8_t)(1u << random_below(r, 8));
			break;
		case 1:
			data[at] = (uint8_t)random_next(r);
			break;
		default:
			at &= ~(size_t)3;
			for (size_t i = at; i < size && i < at + 4; i++)
				data[i] = byte;
			break;
		}
	}
}

#endif
