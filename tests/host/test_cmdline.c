/*
 * kernel/cmdline.c.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/cmdline.h"
#include "kernel/errno.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000

static void
test_words(void **state)
{
	(void)state;
	cmdline_init("  hold\thz=100  test=mutex,condvar \t a==b =c hz=250 x=");
	assert_true(cmdline_has("hold"));
	assert_true(cmdline_has("hz"));
	assert_true(cmdline_has("a"));
	assert_true(cmdline_has("x"));
	assert_false(cmdline_has("hol"));
	assert_false(cmdline_has("holdx"));
	assert_false(cmdline_has("100"));
	assert_false(cmdline_has("hz=100"));
	assert_false(cmdline_has("b"));
	assert_false(cmdline_has("c"));
	assert_false(cmdline_truncated());
	assert_string_equal(
	    cmdline_text(), "  hold\thz=100  test=mutex,condvar \t a==b =c hz=250 x=");
	cmdline_init("");
	assert_false(cmdline_has("hold"));
	assert_false(cmdline_has(""));
	cmdline_init(" \t ");
	assert_false(cmdline_has(""));
}

static void
test_values(void **state)
{
	char buf[32];

	(void)state;
	cmdline_init("hz=100 hold a==b hz=250 x= hold=1 hold");
	assert_true(cmdline_value("hz", buf, sizeof(buf)));
	assert_string_equal(buf, "250");
	assert_true(cmdline_value("a", buf, sizeof(buf)));
	assert_string_equal(buf, "=b");
	assert_true(cmdline_value("x", buf, sizeof(buf)));
	assert_string_equal(buf, "");
	/* A bare word has no value and takes none away. */
	assert_true(cmdline_value("hold", buf, sizeof(buf)));
	assert_string_equal(buf, "1");
	assert_false(cmdline_value("nothing", buf, sizeof(buf)));
	assert_string_equal(buf, "1");
}

/* The buffer is as large as said, to the byte. */
static void
test_value_fits(void **state)
{
	(void)state;
	cmdline_init("test=abcdef");
	for (size_t size = 0; size < 10; size++) {
		char *buf = malloc(size);

		assert_int_equal(cmdline_value("test", buf, size), size > 6);
		if (size > 6)
			assert_string_equal(buf, "abcdef");
		free(buf);
	}
}

static void
test_numbers(void **state)
{
	static const struct {
		const char *line;
		int error;
		uint64_t value;
	} cases[] = {
		{ "n=0", 0, 0 },
		{ "n=250", 0, 250 },
		{ "n=000000000000000000000000000000250", 0, 250 },
		{ "n=18446744073709551615", 0, UINT64_MAX },
		{ "n=18446744073709551616", EINVAL, 0 },
		{ "n=18446744073709551620", EINVAL, 0 },
		{ "n=99999999999999999999999", EINVAL, 0 },
		{ "n=", EINVAL, 0 },
		{ "n=-1", EINVAL, 0 },
		{ "n=+1", EINVAL, 0 },
		{ "n=1x", EINVAL, 0 },
		{ "n=0x10", EINVAL, 0 },
		{ "n=1=2", EINVAL, 0 },
		{ "n=\xb1", EINVAL, 0 },
		{ "n=5 n=6", 0, 6 },
		{ "n=5 n=six", EINVAL, 0 },
		{ "n", ENOENT, 0 },
		{ "m=1", ENOENT, 0 },
		{ "", ENOENT, 0 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		uint64_t value = 0x5a5a;

		cmdline_init(cases[i].line);
		assert_int_equal(cmdline_number("n", 0, UINT64_MAX, &value), cases[i].error);
		assert_int_equal(value, cases[i].error != 0 ? 0x5a5a : cases[i].value);
	}
}

static void
test_bounds(void **state)
{
	static const struct {
		const char *line;
		int error;
	} cases[] = { { "hz=0", EINVAL }, { "hz=1", 0 }, { "hz=10000", 0 },
		{ "hz=10001", EINVAL } };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		uint64_t value = 77;

		cmdline_init(cases[i].line);
		assert_int_equal(cmdline_number("hz", 1, 10000, &value), cases[i].error);
		assert_int_equal(value == 77, cases[i].error != 0);
	}
}

static void
test_truncation(void **state)
{
	char text[2 * CMDLINE_BYTES];

	(void)state;
	for (size_t length = CMDLINE_BYTES - 3; length < CMDLINE_BYTES + 3; length++) {
		char *exact = malloc(length + 1);

		memset(text, 'x', length);
		text[length] = '\0';
		memcpy(exact, text, length + 1);
		cmdline_init(exact);
		free(exact);
		assert_int_equal(cmdline_truncated(), length > CMDLINE_BYTES - 1);
		assert_int_equal(strlen(cmdline_text()),
		    length > CMDLINE_BYTES - 1 ? CMDLINE_BYTES - 1 : length);
	}
	cmdline_init("again");
	assert_false(cmdline_truncated());
	assert_string_equal(cmdline_text(), "again");
}

static char test_bad_words[256];

static void
test_bad(const char *word, size_t length)
{
	strncat(test_bad_words, word, length);
	strcat(test_bad_words, "|");
}

static void
test_check(void **state)
{
	static const char *const known[] = { "hz", "hold", NULL };
	static const char *const none[] = { NULL };

	(void)state;
	cmdline_init("hz=1 hzz hold hold=3 =5 h nope=hz hz");
	test_bad_words[0] = '\0';
	cmdline_check(known, test_bad);
	assert_string_equal(test_bad_words, "hzz|=5|h|nope=hz|");
	test_bad_words[0] = '\0';
	cmdline_init(" a\tb=1 ");
	cmdline_check(none, test_bad);
	assert_string_equal(test_bad_words, "a|b=1|");
}

static void
test_mutations(void **state)
{
	static const char *const known[] = { "hz", NULL };
	static const char good[] = "  hold\thz=100  test=mutex,condvar \t a==b =c hz=250 x=";
	struct random random = { 0x636d646c };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		char *text = malloc(sizeof(good)), buf[8];
		uint64_t value = 5;

		memcpy(text, good, sizeof(good));
		random_spoil(&random, (uint8_t *)text, sizeof(good) - 1);
		cmdline_init(text);
		free(text);
		if (cmdline_value("test", buf, sizeof(buf)))
			assert_true(strlen(buf) < sizeof(buf));
		if (cmdline_number("hz", 1, 1000, &value) == 0)
			assert_in_range(value, 1, 1000);
		else
			assert_int_equal(value, 5);
		test_bad_words[0] = '\0';
		cmdline_check(known, test_bad);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_value_fits),
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_truncation),
		cmocka_unit_test(test_check),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("cmdline", tests, NULL, NULL);
}
