/*
 * The verdict on a local timer.
 *
 * Background.  An emulator, or a board in system management mode, can be late with an interrupt or
 * merge two: counting ticks over a second then accuses a timer that is programmed rightly.  And a
 * timer that is programmed wrongly must not hide behind "the host dropped some".
 *
 * Implementation.  Each sample is the time of an expiry, already freed of the handler's delay
 * (timer.c).  Two successive samples therefore lie a whole number n of periods apart, whatever was
 * dropped.  n comes from rounding; what is left over is the error, and its median is the timer's.
 * n - 1 ticks were missed.
 *  - A timer that is too fast shows intervals that are no whole multiple, or none at all:
 *    JUDGE_INTERVAL.
 *  - A timer that runs at 1/g of the rate shows only multiples of g: the greatest common divisor of
 *    all n tells, because drops by chance leave it at 1 over JUDGE_MIN_INTERVALS intervals.
 *  - Registers that differ from what the rate asks for decide before all that.
 */
#include "kernel/main/judge.h"

static uint64_t
judge_gcd(uint64_t a, uint64_t b)
{
	while (b != 0) {
		uint64_t rest = a % b;

		a = b;
		b = rest;
	}
	return a;
}

/* Insertion sort: TIMER_SAMPLES values at most. */
static int64_t
judge_median(int64_t *value, unsigned n)
{
	for (unsigned i = 1; i < n; i++) {
		int64_t v = value[i];
		unsigned j = i;

		for (; j > 0 && value[j - 1] > v; j--)
			value[j] = value[j - 1];
		value[j] = v;
	}
	return value[n / 2];
}

static bool
judge_registers(const struct timer_record *r, uint64_t input_hz)
{
	uint32_t divide, count;

	return timer_choose(input_hz, r->setting.hz, &divide, &count) == 0 &&
	    r->setting.mode == TIMER_PERIODIC && r->registers.periodic && !r->registers.masked &&
	    r->registers.divide == divide && r->registers.initial_count == count;
}

void
judge_timer(
    const struct timer_record *r, uint64_t input_hz, uint64_t cycles_hz, struct judge_result *j)
{
	int64_t error[TIMER_SAMPLES];
	uint64_t gcd = 0, period = cycles_hz / r->setting.hz;

	*j = (struct judge_result){ .verdict = JUDGE_OK };
	for (unsigned i = 1; i < r->nsamples; i++) {
		int64_t d = (int64_t)(r->sample[i].expiry_cycles - r->sample[i - 1].expiry_cycles);
		uint64_t n = d > 0 ? ((uint64_t)d + period / 2) / period : 0;

		/* Not one period apart: the whole interval is the error. */
		error[j->intervals++] = (d - (int64_t)(n * period)) * 1000000 /
		    (int64_t)(n > 0 ? n * period : period);
		if (n > 1)
			j->missed += n - 1;
		gcd = judge_gcd(gcd, n);
	}
	if (j->intervals > 0) {
		j->error_ppm = judge_median(error, j->intervals);
		/* 1e9/hz ns is a whole period; its error in ppm is at most 10^6. */
		j->interval_ns = (uint64_t)((int64_t)(1000000000 / r->setting.hz) *
		    (1000000 + j->error_ppm) / 1000000);
	}
	if (!judge_registers(r, input_hz))
		j->verdict = JUDGE_REGISTERS;
	else if (j->intervals < JUDGE_MIN_INTERVALS)
		j->verdict = JUDGE_SILENT;
	else if (j->error_ppm > JUDGE_TOLERANCE_PPM || j->error_ppm < -JUDGE_TOLERANCE_PPM ||
	    gcd != 1)
		j->verdict = JUDGE_INTERVAL;
}

const char *
judge_name(enum judge_verdict v)
{
	static const char *const names[] = {
		[JUDGE_OK] = "ok",
		[JUDGE_REGISTERS] = "WRONG REGISTERS",
		[JUDGE_INTERVAL] = "WRONG RATE",
		[JUDGE_SILENT] = "TOO FEW TICKS",
	};

	return names[v];
}
