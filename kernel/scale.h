/*
 * Converting counts of one frequency into counts of another without division.  Pure code: also
 * built on the host.
 */
#ifndef KERNEL_SCALE_H
#define KERNEL_SCALE_H

#include <stdint.h>

/* A factor as multiplier / 2^shift. */
struct scale {
	uint64_t multiplier; /* 64 significant bits */
	unsigned shift;
};

/* The factor to / from; `from` in [1, 2^63). */
void scale_init(struct scale *, uint64_t from, uint64_t to);
/* The converted count, rounded to nearest; UINT64_MAX when it does not fit. */
uint64_t scale_apply(const struct scale *, uint64_t count);
/* count * to / from, once. */
uint64_t scale_once(uint64_t count, uint64_t from, uint64_t to);

#endif
