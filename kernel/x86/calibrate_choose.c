/*
 * Which measurement to believe.  Pure code: also built on the host.
 */
#include <stddef.h>

#include "kernel/scale.h"
#include "kernel/x86/calibrate.h"

#define CALIBRATE_STEADY_PPM 5000
#define CALIBRATE_STEADY_MIN (CALIBRATE_WINDOWS / 2 + 1)

/* What is further off is printed as this. */
#define CALIBRATE_PPM_MAX 9999999

static uint64_t
calibrate_distance(uint64_t a, uint64_t b)
{
	return a > b ? a - b : b - a;
}

int64_t
calibrate_ppm(uint64_t hz, uint64_t reference_hz)
{
	uint64_t ppm = scale_once(calibrate_distance(hz, reference_hz), reference_hz, 1000000);

	if (ppm > CALIBRATE_PPM_MAX)
		ppm = CALIBRATE_PPM_MAX;
	return hz < reference_hz ? -(int64_t)ppm : (int64_t)ppm;
}

bool
calibrate_agree(uint64_t hz, uint64_t reference_hz, uint64_t ppm)
{
	/* Any values: a claim may be absurd. */
	return calibrate_distance(hz, reference_hz) <= scale_once(reference_hz, 1000000, ppm);
}

uint64_t
calibrate_steady(const uint64_t values[CALIBRATE_WINDOWS])
{
	uint64_t sorted[CALIBRATE_WINDOWS] = { 0 }, median;
	unsigned n = 0, near = 0;

	for (unsigned i = 0; i < CALIBRATE_WINDOWS; i++) {
		unsigned at = n;

		if (values[i] == 0)
			continue;
		for (; at > 0 && sorted[at - 1] > values[i]; at--)
			sorted[at] = sorted[at - 1];
		sorted[at] = values[i];
		n++;
	}
	if (n < CALIBRATE_STEADY_MIN)
		return 0;
	median = sorted[n / 2];
	for (unsigned i = 0; i < n; i++)
		near += calibrate_agree(sorted[i], median, CALIBRATE_STEADY_PPM);
	return near >= CALIBRATE_STEADY_MIN ? median : 0;
}

/* The first measurement that agrees with another one; `n` when there is none. */
static unsigned
calibrate_first_agreed(
    const uint64_t *measured, unsigned n, const uint64_t *others, unsigned nothers, uint64_t ppm)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned j = 0; measured[i] != 0 && j < nothers; j++)
			if (&measured[i] != &others[j] && others[j] != 0 &&
			    calibrate_agree(others[j], measured[i], ppm))
				return i;
	return n;
}

enum calibrate_verdict
calibrate_choose(const uint64_t *measured, unsigned n, const uint64_t *claims, unsigned nclaims,
    unsigned *chosen)
{
	unsigned usable = 0;

	for (unsigned i = 0; i < n; i++)
		if (measured[i] != 0 && usable++ == 0)
			*chosen = i;
	if (usable == 0)
		return CALIBRATE_NONE;
	if (usable == 1)
		return CALIBRATE_ALONE;
	*chosen = calibrate_first_agreed(measured, n, measured, n, CALIBRATE_AGREE_PPM);
	if (*chosen < n)
		return CALIBRATE_AGREED;
	*chosen = calibrate_first_agreed(measured, n, measured, n, CALIBRATE_DEGRADED_PPM);
	if (*chosen < n)
		return CALIBRATE_DEGRADED;
	*chosen = calibrate_first_agreed(measured, n, claims, nclaims, CALIBRATE_AGREE_PPM);
	return *chosen < n ? CALIBRATE_CLAIMED : CALIBRATE_DISAGREE;
}
