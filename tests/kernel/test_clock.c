/*
 * Clock: conversions, monotonicity, delays.
 */
#include "kernel/clock.h"
#include "kernel/machine.h"
#include "kernel/scale.h"
#include "tests/kernel/test.h"

#define NS_PER_S 1000000000ull
#define SECONDS_PER_CENTURY 3155760000ull

TEST_CASE(clock, scale_edges)
{
	struct scale s;

	T_ASSERT_EQ(scale_once(0, 3000000000, NS_PER_S), 0);
	T_ASSERT_EQ(scale_once(3000000000, 3000000000, NS_PER_S), NS_PER_S);
	T_ASSERT_EQ(scale_once(2599998051, 2599998051, NS_PER_S), NS_PER_S);
	T_ASSERT_EQ(scale_once(UINT64_MAX, 7, 7), UINT64_MAX);
	T_ASSERT_EQ(scale_once(1, 3, 1), 0);
	T_ASSERT_EQ(scale_once(2, 3, 1), 1);
	T_ASSERT_EQ(scale_once(3, 2, UINT64_MAX), UINT64_MAX);
	T_ASSERT_EQ(scale_once(5, 1, UINT32_MAX), 5 * (uint64_t)UINT32_MAX);
	T_ASSERT_EQ(scale_once(UINT64_MAX, INT64_MAX, 1), 2);
	T_ASSERT_EQ(scale_once(123, 456, 0), 0);
	/* A factor of one must keep every bit. */
	scale_init(&s, 1000003, 1000003);
	T_ASSERT_EQ(scale_apply(&s, 0x8000000000000001), 0x8000000000000001);
}

TEST_CASE(clock, century)
{
	uint64_t hz = clock_hz();

	T_ASSERT(hz != 0);
	T_ASSERT_EQ(clock_cycles_to_ns(0), 0);
	T_ASSERT_EQ(clock_cycles_to_ns(hz), NS_PER_S);
	T_ASSERT_EQ(clock_ns_to_cycles(NS_PER_S), hz);
	/* The counter itself wraps within a century above 5.8 GHz. */
	if (hz < UINT64_MAX / SECONDS_PER_CENTURY)
		T_ASSERT_EQ(
		    clock_cycles_to_ns(hz * SECONDS_PER_CENTURY), NS_PER_S * SECONDS_PER_CENTURY);
	T_ASSERT(clock_ns_to_cycles(UINT64_MAX) >= clock_ns_to_cycles(UINT64_MAX - 1));
}

TEST_CASE(clock, monotonic)
{
	uint64_t first = clock_ns(), last = first;

	for (unsigned i = 0; i < 100000; i++) {
		uint64_t now = clock_ns();

		T_ASSERT(now >= last);
		last = now;
	}
	T_ASSERT(last > first);
}

/* Never shorter.  How much longer is the host's affair. */
TEST_CASE(clock, delay)
{
	static const uint64_t us[] = { 0, 1, 7, 100, 1000, 20000 };

	for (unsigned i = 0; i < sizeof(us) / sizeof(us[0]); i++) {
		uint64_t cycles = machine_cycles(), ns = clock_ns();

		delay_us(us[i]);
		T_ASSERT(clock_ns() - ns >= us[i] * 1000);
		T_ASSERT(machine_cycles() - cycles >= clock_hz() / 1000000 * us[i]);
	}
}
