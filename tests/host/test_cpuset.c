/*
 * kernel/cpuset.c, against an array of booleans.
 */
#include "tests/host/cmocka_all.h"

#include <stdbool.h>
#include <string.h>

#include "kernel/cpuset.h"
#include "tests/host/random.h"

#define TEST_STEPS 20000

static struct cpuset test_set;
static bool test_model[MAXCPUS];

/* Every question, answered by both. */
static void
test_compare(void)
{
	unsigned count = 0, next = CPUSET_END;

	for (unsigned i = MAXCPUS; i-- > 0;) {
		assert_int_equal(cpuset_has(&test_set, i), test_model[i]);
		assert_int_equal(cpuset_next(&test_set, i), next);
		if (test_model[i]) {
			next = i;
			count++;
		}
	}
	assert_int_equal(cpuset_first(&test_set), next);
	assert_int_equal(cpuset_count(&test_set), count);
	assert_int_equal(cpuset_empty(&test_set), count == 0);
}

static void
test_edges(void **state)
{
	static const unsigned edges[] = { 0, 1, 62, 63, 64, 65, 127, 128, 254, 255, 256,
		MAXCPUS - 65, MAXCPUS - 64, MAXCPUS - 2, MAXCPUS - 1 };

	(void)state;
	memset(&test_set, 0xff, sizeof(test_set));
	memset(test_model, true, sizeof(test_model));
	test_compare();
	cpuset_zero(&test_set);
	memset(test_model, false, sizeof(test_model));
	test_compare();
	for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		cpuset_add(&test_set, edges[i]);
		cpuset_add(&test_set, edges[i]);
		test_model[edges[i]] = true;
		test_compare();
	}
	for (unsigned i = 0; i < sizeof(edges) / sizeof(edges[0]); i++) {
		cpuset_remove(&test_set, edges[i]);
		cpuset_remove(&test_set, edges[i]);
		test_model[edges[i]] = false;
		test_compare();
	}
}

static void
test_random(void **state)
{
	struct random random = { 0x637075736574 };

	(void)state;
	cpuset_zero(&test_set);
	memset(test_model, false, sizeof(test_model));
	for (unsigned i = 0; i < TEST_STEPS; i++) {
		unsigned index = (unsigned)random_below(&random, MAXCPUS);

		test_model[index] = random_below(&random, 2) == 0;
		if (test_model[index])
			cpuset_add(&test_set, index);
		else
			cpuset_remove(&test_set, index);
		if (i % 500 == 0)
			test_compare();
	}
	test_compare();
}

static void
test_copy(void **state)
{
	struct cpuset copy;

	(void)state;
	cpuset_zero(&test_set);
	cpuset_add(&test_set, 3);
	cpuset_add(&test_set, MAXCPUS - 1);
	memset(&copy, 0xff, sizeof(copy));
	cpuset_copy(&copy, &test_set);
	cpuset_remove(&test_set, 3);
	assert_true(cpuset_has(&copy, 3));
	assert_true(cpuset_has(&copy, MAXCPUS - 1));
	assert_int_equal(cpuset_count(&copy), 2);
	assert_int_equal(cpuset_first(&copy), 3);
	assert_int_equal(cpuset_next(&copy, 3), MAXCPUS - 1);
}

static void
test_index_asserted(void **state)
{
	(void)state;
	expect_assert_failure(cpuset_add(&test_set, MAXCPUS));
	expect_assert_failure(cpuset_remove(&test_set, MAXCPUS));
	expect_assert_failure((void)cpuset_has(&test_set, ~0u));
	expect_assert_failure((void)cpuset_next(&test_set, MAXCPUS));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_edges),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_index_asserted),
	};

	return cmocka_run_group_tests_name("cpuset", tests, NULL, NULL);
}
