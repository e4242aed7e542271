/*
 * kernel/main/judge.c: a timer that is right passes whatever the host dropped, one that is wrong
 * never does.
 */
#include "tests/host/cmocka_all.h"

#include <string.h>

#include "kernel/main/judge.h"

#define INPUT_HZ 1000000000ull
#define CYCLES_HZ 2600000000ull
#define ASKED_HZ 200ull

static struct timer_record record;
static struct judge_result result;

/* A record of `n` samples whose expiries stand at the given multiples of `period` cycles. */
static void
judge_make(const unsigned *at, unsigned n, uint64_t period)
{
	memset(&record, 0, sizeof(record));
	record.setting.mode = TIMER_PERIODIC;
	record.setting.hz = ASKED_HZ;
	assert_int_equal(
	    timer_choose(INPUT_HZ, ASKED_HZ, &record.setting.divide, &record.setting.count), 0);
	record.registers.divide = record.setting.divide;
	record.registers.initial_count = record.setting.count;
	record.registers.periodic = true;
	record.nsamples = n;
	for (unsigned i = 0; i < n; i++)
		record.sample[i].expiry_cycles = 5000 + at[i] * period;
}

static void
judge_make_regular(unsigned step, uint64_t period)
{
	unsigned at[32];

	for (unsigned i = 0; i < 32; i++)
		at[i] = i * step;
	judge_make(at, 32, period);
}

static enum judge_verdict
judge_now(void)
{
	judge_timer(&record, INPUT_HZ, CYCLES_HZ, &result);
	return result.verdict;
}

static void
test_right_timer(void **state)
{
	(void)state;
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_OK);
	assert_int_equal(result.interval_ns, 5000000);
	assert_int_equal(result.error_ppm, 0);
	assert_int_equal(result.missed, 0);
	assert_int_equal(result.intervals, 31);
}

static void
test_dropped_ticks_are_no_fault(void **state)
{
	const unsigned at[] = { 0, 1, 4, 5, 9, 10, 11, 20, 21, 22, 24, 27, 28, 29, 40, 41, 42, 44,
		45 };

	(void)state;
	judge_make(at, sizeof(at) / sizeof(at[0]), CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_OK);
	assert_int_equal(result.missed, 45 - 18);
	assert_int_equal(result.interval_ns, 5000000);
}

static void
test_wrong_rates(void **state)
{
	static const struct {
		unsigned step;
		uint64_t numerator, denominator; /* of the right period */
	} wrong[] = {
		{ 1, 2, 1 }, { 1, 3, 1 }, { 1, 1, 2 }, { 1, 1, 4 }, { 1, 101, 100 }, { 1, 99, 100 },
		{ 1, 10021, 10000 }, { 1, 4, 3 }, { 1, 2, 3 }, { 1, 5, 2 }, { 1, 1, 16 },
		{ 1, 16, 1 },
		{ 2, 1, 1 }, /* every second tick, always: the same as half the rate */
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		judge_make_regular(wrong[i].step,
		    CYCLES_HZ / ASKED_HZ * wrong[i].numerator / wrong[i].denominator);
		assert_int_equal(judge_now(), JUDGE_INTERVAL);
	}
}

static void
test_error_in_ppm(void **state)
{
	(void)state;
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ + CYCLES_HZ / ASKED_HZ / 10000);
	assert_int_equal(judge_now(), JUDGE_OK);
	assert_int_equal(result.error_ppm, 100);
	assert_int_equal(result.interval_ns, 5000500);
}

static void
test_registers_decide_first(void **state)
{
	(void)state;
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	record.registers.initial_count++;
	assert_int_equal(judge_now(), JUDGE_REGISTERS);
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	record.registers.divide *= 2;
	assert_int_equal(judge_now(), JUDGE_REGISTERS);
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	record.registers.masked = true;
	assert_int_equal(judge_now(), JUDGE_REGISTERS);
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	record.registers.periodic = false;
	assert_int_equal(judge_now(), JUDGE_REGISTERS);
}

static void
test_too_few_ticks(void **state)
{
	const unsigned at[] = { 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16 };

	(void)state;
	judge_make(at, 0, CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_SILENT);
	judge_make(at, 1, CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_SILENT);
	judge_make(at, JUDGE_MIN_INTERVALS, CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_SILENT);
	judge_make(at, JUDGE_MIN_INTERVALS + 1, CYCLES_HZ / ASKED_HZ);
	assert_int_equal(judge_now(), JUDGE_OK);
}

static void
test_time_that_stands_or_runs_back(void **state)
{
	(void)state;
	judge_make_regular(1, CYCLES_HZ / ASKED_HZ);
	for (unsigned i = 0; i < record.nsamples; i++)
		record.sample[i].expiry_cycles = 1000000000000ull - i * 13000000;
	assert_int_equal(judge_now(), JUDGE_INTERVAL);
	for (unsigned i = 0; i < record.nsamples; i++)
		record.sample[i].expiry_cycles = 7;
	assert_int_equal(judge_now(), JUDGE_INTERVAL);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_right_timer),
		cmocka_unit_test(test_dropped_ticks_are_no_fault),
		cmocka_unit_test(test_wrong_rates),
		cmocka_unit_test(test_error_in_ppm),
		cmocka_unit_test(test_registers_decide_first),
		cmocka_unit_test(test_too_few_ticks),
		cmocka_unit_test(test_time_that_stands_or_runs_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
