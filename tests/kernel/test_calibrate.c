/*
 * Calibration: which measurement is believed.
 */
#include "kernel/clock.h"
#include "kernel/machine.h"
#include "kernel/x86/calibrate.h"
#include "tests/kernel/test.h"

#define GHZ 1000000000ull

/* The verdict and the chosen source of three measurements in order of trust, and one claim. */
#define CHOOSE_EXPECT(hpet, pmtimer, pit, claim, verdict, source) \
	do { \
		const uint64_t measured[] = { (hpet), (pmtimer), (pit) }; \
		const uint64_t claimed[] = { (claim) }; \
		unsigned chosen = 99; \
		T_ASSERT_EQ(calibrate_choose(measured, 3, claimed, 1, &chosen), verdict); \
		if ((verdict) != CALIBRATE_NONE && (verdict) != CALIBRATE_DISAGREE) \
			T_ASSERT_EQ(chosen, source); \
	} while (0)

TEST_CASE(calibrate, two_agree)
{
	CHOOSE_EXPECT(GHZ, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET);
	CHOOSE_EXPECT(GHZ, GHZ + GHZ / 200, 0, 0, CALIBRATE_AGREED, CALIBRATE_HPET);
	/* A PM timer at double speed; an HPET that is wrong; a PIT that is late. */
	CHOOSE_EXPECT(GHZ, GHZ / 2, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET);
	CHOOSE_EXPECT(2 * GHZ, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_PMTIMER);
	CHOOSE_EXPECT(GHZ, GHZ, 4 * GHZ, 0, CALIBRATE_AGREED, CALIBRATE_HPET);
	CHOOSE_EXPECT(0, GHZ, GHZ, 0, CALIBRATE_AGREED, CALIBRATE_PMTIMER);
}

TEST_CASE(calibrate, one_or_none)
{
	CHOOSE_EXPECT(0, 0, GHZ, 0, CALIBRATE_ALONE, CALIBRATE_PIT);
	CHOOSE_EXPECT(0, 0, GHZ, 3 * GHZ, CALIBRATE_ALONE, CALIBRATE_PIT);
	CHOOSE_EXPECT(0, 0, 0, 0, CALIBRATE_NONE, 0);
	CHOOSE_EXPECT(0, 0, 0, GHZ, CALIBRATE_NONE, 0);
}

TEST_CASE(calibrate, disagreement)
{
	CHOOSE_EXPECT(GHZ, GHZ / 2, 0, 0, CALIBRATE_DISAGREE, 0);
	CHOOSE_EXPECT(GHZ, GHZ + GHZ * 3 / 100, 2 * GHZ, 0, CALIBRATE_DEGRADED, CALIBRATE_HPET);
	CHOOSE_EXPECT(3 * GHZ, GHZ, 2 * GHZ, 0, CALIBRATE_DISAGREE, 0);
	CHOOSE_EXPECT(3 * GHZ, GHZ, 0, GHZ, CALIBRATE_CLAIMED, CALIBRATE_PMTIMER);
	/* A claim that agrees with nobody changes nothing, nor does one against two that agree. */
	CHOOSE_EXPECT(3 * GHZ, GHZ, 0, 2 * GHZ, CALIBRATE_DISAGREE, 0);
	CHOOSE_EXPECT(3 * GHZ, GHZ, GHZ, 3 * GHZ, CALIBRATE_AGREED, CALIBRATE_PMTIMER);
	CHOOSE_EXPECT(GHZ, 3 * GHZ, 0, UINT64_MAX, CALIBRATE_DISAGREE, 0);
}

TEST_CASE(calibrate, steady_windows)
{
	static const uint64_t all[] = { GHZ, GHZ + 3, GHZ + 1, GHZ + 4, GHZ + 2 };
	static const uint64_t stopped[] = { GHZ, 9 * GHZ, GHZ + 1, 2 * GHZ, GHZ + 2 };
	static const uint64_t few[] = { GHZ, 0, 0, GHZ, 0 };
	static const uint64_t void_two[] = { 0, GHZ, GHZ + 2, 0, GHZ + 1 };
	static const uint64_t wild[] = { GHZ, 2 * GHZ, 3 * GHZ, 4 * GHZ, 5 * GHZ };

	T_ASSERT_EQ(calibrate_steady(all), GHZ + 2);
	T_ASSERT_EQ(calibrate_steady(stopped), GHZ + 2);
	T_ASSERT_EQ(calibrate_steady(few), 0);
	T_ASSERT_EQ(calibrate_steady(void_two), GHZ + 1);
	T_ASSERT_EQ(calibrate_steady(wild), 0);
	T_ASSERT_EQ(calibrate_steady((const uint64_t[CALIBRATE_WINDOWS]){ 0 }), 0);
}

TEST_CASE(calibrate, ppm)
{
	T_ASSERT_EQ(calibrate_ppm(GHZ + 1000, GHZ), 1);
	T_ASSERT_EQ(calibrate_ppm(GHZ - 5000, GHZ), (uint64_t)-5);
	T_ASSERT(calibrate_ppm(UINT64_MAX, GHZ) > 1000000);
	T_ASSERT(calibrate_agree(GHZ + GHZ / 100, GHZ, CALIBRATE_AGREE_PPM));
	T_ASSERT(!calibrate_agree(GHZ + GHZ / 100 + 1, GHZ, CALIBRATE_AGREE_PPM));
	T_ASSERT(!calibrate_agree(UINT64_MAX, GHZ, CALIBRATE_DEGRADED_PPM));
}

/* What was chosen at boot is in use. */
TEST_CASE(calibrate, in_use)
{
	T_ASSERT(clock_hz() != 0);
	T_ASSERT(calibrate_lapic_hz() != 0);
	T_ASSERT_EQ(machine_timer_input_hz(), calibrate_lapic_hz());
}
