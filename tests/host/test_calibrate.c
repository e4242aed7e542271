/*
 * kernel/x86/calibrate_choose.c: which measurement of the clocks is believed.
 */
#include "tests/host/cmocka_all.h"

#include "kernel/x86/calibrate.h"

#define GHZ 1000000000ull
#define NOT_CHOSEN 99

/* Three measurements in order of trust, one claim, and what must come of them. */
struct row {
	uint64_t hpet, pmtimer, pit, claim;
	enum calibrate_verdict verdict;
	unsigned chosen;
};

static void
check_rows(const struct row *rows, unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		const struct row *r = &rows[i];
		const uint64_t measured[] = { r->hpet, r->pmtimer, r->pit };
		unsigned chosen = NOT_CHOSEN;

		assert_int_equal(calibrate_choose(measured, 3, &r->claim, 1, &chosen), r->verdict);
		if (r->verdict != CALIBRATE_NONE && r->verdict != CALIBRATE_DISAGREE)
			assert_int_equal(chosen, r->chosen);
	}
}

static void
test_two_agree(void **state)
{
	static const struct row rows[] = {
		{ GHZ, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET },
		{ GHZ, GHZ + GHZ / 200, 0, 0, CALIBRATE_AGREED, CALIBRATE_HPET },
		{ 0, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_PMTIMER },
		/* A PM timer at double speed; an HPET that is wrong; a PIT that is late. */
		{ GHZ, GHZ / 2, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET },
		{ 2 * GHZ, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_PMTIMER },
		{ GHZ, GHZ, 4 * GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET },
		/* A claim never overrules two that agree. */
		{ 3 * GHZ, GHZ, GHZ, 3 * GHZ, CALIBRATE_AGREED, CALIBRATE_PMTIMER },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
test_one_or_none(void **state)
{
	static const struct row rows[] = {
		{ 0, 0, GHZ, 0, CALIBRATE_ALONE, CALIBRATE_PIT },
		{ 0, 0, GHZ, 3 * GHZ, CALIBRATE_ALONE, CALIBRATE_PIT },
		{ 0, 0, 0, 0, CALIBRATE_NONE, 0 },
		{ 0, 0, 0, GHZ, CALIBRATE_NONE, 0 },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
test_disagreement(void **state)
{
	static const struct row rows[] = {
		{ GHZ, GHZ / 2, 0, 0, CALIBRATE_DISAGREE, 0 },
		{ 3 * GHZ, GHZ, 2 * GHZ, 0, CALIBRATE_DISAGREE, 0 },
		{ GHZ, GHZ + GHZ * 3 / 100, 2 * GHZ, 0, CALIBRATE_DEGRADED, CALIBRATE_HPET },
		/* A claim breaks the tie, unless it agrees with nobody or is absurd. */
		{ 3 * GHZ, GHZ, 0, GHZ, CALIBRATE_CLAIMED, CALIBRATE_PMTIMER },
		{ 3 * GHZ, GHZ, 0, 2 * GHZ, CALIBRATE_DISAGREE, 0 },
		{ GHZ, 3 * GHZ, 0, UINT64_MAX, CALIBRATE_DISAGREE, 0 },
	};

	(void)state;
	check_rows(rows, sizeof(rows) / sizeof(rows[0]));
}

static void
test_steady_windows(void **state)
{
	static const uint64_t all[] = { GHZ, GHZ + 3, GHZ + 1, GHZ + 4, GHZ + 2 };
	static const uint64_t stopped[] = { GHZ, 9 * GHZ, GHZ + 1, 2 * GHZ, GHZ + 2 };
	static const uint64_t two_void[] = { 0, GHZ, GHZ + 2, 0, GHZ + 1 };
	static const uint64_t few[] = { GHZ, 0, 0, GHZ, 0 };
	static const uint64_t wild[] = { GHZ, 2 * GHZ, 3 * GHZ, 4 * GHZ, 5 * GHZ };
	static const uint64_t none[CALIBRATE_WINDOWS];

	(void)state;
	assert_int_equal(calibrate_steady(all), GHZ + 2);
	assert_int_equal(calibrate_steady(stopped), GHZ + 2);
	assert_int_equal(calibrate_steady(two_void), GHZ + 1);
	assert_int_equal(calibrate_steady(few), 0);
	assert_int_equal(calibrate_steady(wild), 0);
	assert_int_equal(calibrate_steady(none), 0);
}

static void
test_ppm(void **state)
{
	(void)state;
	assert_int_equal(calibrate_ppm(GHZ + 1000, GHZ), 1);
	assert_int_equal(calibrate_ppm(GHZ - 5000, GHZ), -5);
	assert_true(calibrate_ppm(UINT64_MAX, GHZ) > 1000000);
	assert_true(calibrate_agree(GHZ + GHZ / 100, GHZ, CALIBRATE_AGREE_PPM));
	assert_false(calibrate_agree(GHZ + GHZ / 100 + 1, GHZ, CALIBRATE_AGREE_PPM));
	assert_false(calibrate_agree(UINT64_MAX, GHZ, CALIBRATE_DEGRADED_PPM));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_two_agree),
		cmocka_unit_test(test_one_or_none),
		cmocka_unit_test(test_disagreement),
		cmocka_unit_test(test_steady_windows),
		cmocka_unit_test(test_ppm),
	};

	return cmocka_run_group_tests_name("calibrate", tests, NULL, NULL);
}
