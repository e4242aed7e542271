/*
 * kernel/timer_choose.c and kernel/scale.c: rates and clocks as numbers.
 */
#include "tests/host/cmocka_all.h"

#include "kernel/errno.h"
#include "kernel/scale.h"
#include "kernel/timer.h"
#include "tests/host/random.h"

#define TEST_ROUNDS 20000

static void
test_refused(void **state)
{
	uint32_t divide = 77, count = 77;

	(void)state;
	assert_int_equal(timer_choose(1000000000, 0, &divide, &count), EINVAL);
	assert_int_equal(timer_choose(0, 100, &divide, &count), EINVAL);
	/* A count that would round off too much, and one that no divider brings into 32 bits. */
	assert_int_equal(timer_choose(99000, 1000, &divide, &count), EINVAL);
	assert_int_equal(timer_choose(UINT64_MAX, 1, &divide, &count), EINVAL);
	assert_int_equal(divide, 77);
	assert_int_equal(count, 77);
}

static void
test_known(void **state)
{
	uint32_t divide, count;

	(void)state;
	assert_int_equal(timer_choose(1000000000, 100, &divide, &count), 0);
	assert_int_equal(divide, 1);
	assert_int_equal(count, 10000000);
	assert_int_equal(timer_choose(1000000000, 3, &divide, &count), 0);
	assert_int_equal(count, 333333333);
	assert_int_equal(timer_choose(TIMER_COUNT_MIN, 1, &divide, &count), 0);
	assert_int_equal(count, TIMER_COUNT_MIN);
	/* 2^32 does not fit any more, and is halved. */
	assert_int_equal(timer_choose(0xffffffff, 1, &divide, &count), 0);
	assert_int_equal(divide, 1);
	assert_int_equal(timer_choose(0x100000000, 1, &divide, &count), 0);
	assert_int_equal(divide, 2);
	assert_int_equal(count, 0x80000000);
	assert_int_equal(timer_choose(0xffffffffull * 128, 1, &divide, &count), 0);
	assert_int_equal(divide, 128);
	assert_int_equal(count, 0xffffffff);
}

/* The period that was made differs from the one asked for by at most half a count and a divider. */
static void
test_error(void **state)
{
	struct random random = { 0x74696d6572 };

	(void)state;
	for (unsigned i = 0; i < TEST_ROUNDS; i++) {
		uint64_t input_hz = 1 + random_below(&random, 8000000000ull);
		uint64_t hz = TIMER_HZ_MIN + random_below(&random, TIMER_HZ_MAX);
		uint64_t got, slack;
		uint32_t divide, count;

		if (timer_choose(input_hz, hz, &divide, &count) != 0) {
			assert_true(input_hz / hz <= TIMER_COUNT_MIN);
			continue;
		}
		assert_true(divide != 0 && divide <= 128 && (divide & (divide - 1)) == 0);
		assert_true(count >= TIMER_COUNT_MIN);
		/* In counts of the input clock a second: divide * count * hz against input_hz. */
		got = (uint64_t)divide * count * hz;
		slack = divide * (hz / 2 + 1) + divide;
		assert_true(got <= input_hz + slack && input_hz <= got + slack);
	}
}

static void
test_scale(void **state)
{
	struct random random = { 0x7363616c65 };

	(void)state;
	for (unsigned i = 0; i < TEST_ROUNDS; i++) {
		uint64_t from = 1 + random_below(&random, 10000000000ull),
			 count = random_next(&random);
		uint64_t to = 1 + random_below(&random, 10000000000ull);
		unsigned __int128 exact;
		struct scale scale;
		uint64_t got, slack;

		count >>= random_below(&random, 64);
		exact = ((unsigned __int128)count * to + from / 2) / from;
		scale_init(&scale, from, to);
		got = scale_apply(&scale, count);
		assert_int_equal(got, scale_once(count, from, to));
		/* The factor is off by 2^-63 of itself at most, and rounding by a half. */
		slack = exact >> 63 != 0 ? 2 : 1;
		if (exact > UINT64_MAX - slack)
			assert_true(got >= UINT64_MAX - 2 * slack);
		else
			assert_true(
			    got <= (uint64_t)exact + slack && (uint64_t)exact <= got + slack);
	}
}

/* Each deadline is the least whole number of cycles that is no earlier than a multiple, and after
 * `now`. */
static void
test_deadline(void **state)
{
	struct random random = { 11 };

	(void)state;
	assert_int_equal(timer_deadline(0, 1000, 3, 0), 334);
	assert_int_equal(timer_deadline(0, 1000, 3, 333), 334);
	assert_int_equal(timer_deadline(0, 1000, 3, 334), 667);
	assert_int_equal(timer_deadline(0, 1000, 3, 667), 1000);
	assert_int_equal(timer_deadline(5, 1000, 3, 1005), 1339);
	for (unsigned i = 0; i < 100000; i++) {
		uint64_t hz = 1 + random_below(&random, 10000);
		uint64_t cycles_hz = 100000000 + random_below(&random, 9900000000);
		uint64_t start = random_below(&random, UINT64_C(1) << 40);
		/* Up to ten years later. */
		uint64_t now = start +
		    (random_below(&random, UINT64_C(1) << 60) >> random_below(&random, 60));
		uint64_t deadline = timer_deadline(start, cycles_hz, hz, now);
		unsigned __int128 n = ((unsigned __int128)(now - start) * hz) / cycles_hz + 1;

		assert_true(deadline > now);
		assert_int_equal(deadline - start, (uint64_t)((n * cycles_hz + hz - 1) / hz));
		/* The next one follows a period later, give or take the rounding. */
		assert_in_range(timer_deadline(start, cycles_hz, hz, deadline) - deadline,
		    cycles_hz / hz, cycles_hz / hz + 1);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_known),
		cmocka_unit_test(test_error),
		cmocka_unit_test(test_scale),
	};

	return cmocka_run_group_tests_name("timer_choose", tests, NULL, NULL);
}
