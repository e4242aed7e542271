/*
 * The monitor's line editor: what it keeps, what it echoes, and that no input overruns it.
 */
#include "tests/host/cmocka_all.h"

#include <string.h>

#include "kernel/main/lineedit.h"

static char lineedit_echoed[4096];
static size_t lineedit_echoed_length;

static void
test_echo(const char *text)
{
	size_t n = strlen(text);

	assert_true(lineedit_echoed_length + n < sizeof(lineedit_echoed));
	memcpy(lineedit_echoed + lineedit_echoed_length, text, n + 1);
	lineedit_echoed_length += n;
}

static void
test_begin(struct lineedit *le)
{
	lineedit_echoed[0] = '\0';
	lineedit_echoed_length = 0;
	lineedit_init(le, test_echo);
}

/* Feeds `n` characters, all of which but the last must leave the line open; returns the last
 * result. */
static enum lineedit_result
test_feed_bytes(struct lineedit *le, const char *text, size_t n)
{
	enum lineedit_result result = LINEEDIT_MORE;

	for (size_t i = 0; i < n; i++) {
		assert_int_equal(result, LINEEDIT_MORE);
		result = lineedit_input(le, text[i]);
		assert_true(le->le_length < LINEEDIT_BYTES);
		assert_int_equal(strlen(le->le_line), le->le_length);
	}
	return result;
}

static enum lineedit_result
test_feed(struct lineedit *le, const char *text)
{
	return test_feed_bytes(le, text, strlen(text));
}

static void
lineedit_keeps_and_echoes(void **state)
{
	struct lineedit le;

	(void)state;
	test_begin(&le);
	assert_int_equal(test_feed(&le, "timer all 250\r"), LINEEDIT_LINE);
	assert_string_equal(le.le_line, "timer all 250");
	assert_string_equal(lineedit_echoed, "timer all 250\n");
}

static void
lineedit_erases(void **state)
{
	struct lineedit le;

	(void)state;
	test_begin(&le);
	test_feed(&le,
	    "\b\x7f"
	    "ab\bc\x7f\x7f\x7f\x7f"
	    "x");
	assert_string_equal(le.le_line, "x");
	assert_string_equal(lineedit_echoed, "ab\b \bc\b \b\b \bx");
	test_begin(&le);
	test_feed(&le, "abc\x15z");
	assert_string_equal(le.le_line, "z");
	assert_string_equal(lineedit_echoed, "abc\b \b\b \b\b \bz");
}

static void
lineedit_drops_the_line(void **state)
{
	struct lineedit le;

	(void)state;
	test_begin(&le);
	assert_int_equal(test_feed(&le, "reboot\x03"), LINEEDIT_DROPPED);
	assert_string_equal(le.le_line, "");
	assert_string_equal(lineedit_echoed, "reboot^C\n");
	assert_int_equal(test_feed(&le, "help\n"), LINEEDIT_LINE);
	assert_string_equal(le.le_line, "help");
}

/* Each way to end a line ends one line. */
static void
lineedit_ends_lines_once(void **state)
{
	static const struct {
		const char *text;
		size_t bytes;
		unsigned lines;
	} cases[] = {
		{ "a\rb\r", 4, 2 },
		{ "a\nb\n", 4, 2 },
		{ "a\r\nb\r\n", 6, 2 },
		{ "a\r\0b\r\0", 6, 2 },
		{ "a\n\rb\n", 5, 3 },
		{ "\r\n\r\n", 4, 2 },
		{ "\r\r", 2, 2 },
		{ "\n\n", 2, 2 },
		{ "\r\n\n", 3, 2 },
	};
	struct lineedit le;

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		unsigned lines = 0;

		test_begin(&le);
		for (size_t at = 0; at < cases[i].bytes; at++) {
			if (lineedit_input(&le, cases[i].text[at]) != LINEEDIT_LINE)
				continue;
			lines++;
			lineedit_clear(&le);
		}
		assert_int_equal(lines, cases[i].lines);
	}
}

static void
lineedit_swallows_escapes(void **state)
{
	struct lineedit le;

	(void)state;
	test_begin(&le);
	test_feed(&le, "a\x1b[Ab\x1b[1;5Cc\x1bOPd\x1b[3~e\x1bxf\x1b[?25hg");
	assert_string_equal(le.le_line, "abcdefg");
	assert_string_equal(lineedit_echoed, "abcdefg");
	/* Cut short by a control character: that still counts. */
	assert_int_equal(test_feed(&le, "\x1b[12\r"), LINEEDIT_LINE);
	assert_string_equal(le.le_line, "abcdefg");
	lineedit_clear(&le);
	assert_int_equal(test_feed(&le, "h\x1b\x1b[Bi\x1bO\n"), LINEEDIT_LINE);
	assert_string_equal(le.le_line, "hi");
}

static void
lineedit_ignores_the_rest(void **state)
{
	static const char rest[] = "a\0\x01\x04\t\x1a\x1c\x80\xc3\xa4\xff"
				   "b";
	struct lineedit le;

	(void)state;
	test_begin(&le);
	assert_int_equal(test_feed_bytes(&le, rest, sizeof(rest) - 1), LINEEDIT_MORE);
	assert_string_equal(le.le_line, "ab");
	assert_string_equal(lineedit_echoed, "ab");
}

static void
lineedit_rings_when_full(void **state)
{
	struct lineedit le;

	(void)state;
	test_begin(&le);
	for (int i = 0; i < LINEEDIT_BYTES - 1; i++)
		test_feed(&le, "x");
	assert_null(strchr(lineedit_echoed, '\a'));
	test_feed(&le, "yz");
	assert_int_equal(le.le_length, LINEEDIT_BYTES - 1);
	assert_string_equal(lineedit_echoed + LINEEDIT_BYTES - 1, "\a\a");
	test_feed(&le, "\bw");
	assert_int_equal(le.le_line[LINEEDIT_BYTES - 2], 'w');
	assert_int_equal(test_feed(&le, "\r"), LINEEDIT_LINE);
	assert_int_equal(strlen(le.le_line), LINEEDIT_BYTES - 1);
}

/* Noise: the line stays within bounds and printable whatever comes. */
static void
lineedit_survives_noise(void **state)
{
	uint32_t seed = 1;
	struct lineedit le;

	(void)state;
	test_begin(&le);
	for (unsigned i = 0; i < 200000; i++) {
		seed = seed * 1664525u + 1013904223u;
		lineedit_echoed_length = 0;
		if (lineedit_input(&le, (char)(seed >> 24)) != LINEEDIT_MORE)
			lineedit_clear(&le);
		assert_true(le.le_length < LINEEDIT_BYTES);
		assert_int_equal(strlen(le.le_line), le.le_length);
		for (unsigned at = 0; at < le.le_length; at++)
			assert_in_range((unsigned char)le.le_line[at], ' ', '~');
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(lineedit_keeps_and_echoes),
		cmocka_unit_test(lineedit_erases),
		cmocka_unit_test(lineedit_drops_the_line),
		cmocka_unit_test(lineedit_ends_lines_once),
		cmocka_unit_test(lineedit_swallows_escapes),
		cmocka_unit_test(lineedit_ignores_the_rest),
		cmocka_unit_test(lineedit_rings_when_full),
		cmocka_unit_test(lineedit_survives_noise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
