/*
 * kernel/printf.c's formatter, against libc's.
 */
#include "tests/host/cmocka_all.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* libc's, under a name that stays its own. */
static int (*const libc_vsnprintf)(char *, size_t, const char *, va_list) = vsnprintf;
static int (*const libc_snprintf)(char *, size_t, const char *, ...) = snprintf;

#include "tests/host/kernel_names.h"

#include "kernel/printf.h"
#include "kernel/string.h"

#define TEST_BYTES 512

/* Formats with both, into room of every interesting size, and wants the same text and length. */
static void
test_same(const char *fmt, ...)
{
	static const size_t rooms[] = { 0, 1, 2, 5, TEST_BYTES };
	char theirs[TEST_BYTES];

	for (unsigned i = 0; i < sizeof(rooms) / sizeof(rooms[0]); i++) {
		char *ours = malloc(rooms[i]);
		int length, want;
		va_list ap;

		va_start(ap, fmt);
		want = libc_vsnprintf(theirs, rooms[i], fmt, ap);
		va_end(ap);
		va_start(ap, fmt);
		length = vsnprintf(ours, rooms[i], fmt, ap);
		va_end(ap);
		if (length != want || (rooms[i] != 0 && strcmp(ours, theirs) != 0))
			fail_msg("\"%s\" in %zu bytes: \"%s\" (%d), libc \"%s\" (%d)", fmt,
			    rooms[i], rooms[i] == 0 ? "" : ours, length,
			    rooms[i] == 0 ? "" : theirs, want);
		free(ours);
	}
}

static const char *const test_flags[] = { "", "-", "0", "+", " ", "#", "-0", "+0", "0#", "-#",
	"+-" };
static const char *const test_widths[] = { "", "1", "5", "12", "30" };
static const char *const test_precisions[] = { "", ".", ".0", ".1", ".5", ".25" };

/* Calls test(fmt) for each format of flags, width, precision and `tail`. */
static void
test_each_format(const char *tail, void (*test)(const char *fmt))
{
	for (unsigned f = 0; f < sizeof(test_flags) / sizeof(test_flags[0]); f++) {
		for (unsigned w = 0; w < sizeof(test_widths) / sizeof(test_widths[0]); w++) {
			for (unsigned p = 0;
			     p < sizeof(test_precisions) / sizeof(test_precisions[0]); p++) {
				char fmt[32];

				libc_snprintf(fmt, sizeof(fmt), "<%%%s%s%s%s>", test_flags[f],
				    test_widths[w], test_precisions[p], tail);
				test(fmt);
			}
		}
	}
}

static void
test_ints(const char *fmt)
{
	static const int values[] = { 0, 1, -1, 9, 10, 255, -32768, 65536, INT_MAX, INT_MIN };

	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		test_same(fmt, values[i]);
}

static void
test_longs(const char *fmt)
{
	static const long values[] = { 0, 7, -7, 1l << 32, LONG_MAX, LONG_MIN };

	for (unsigned i = 0; i < sizeof(values) / sizeof(values[0]); i++)
		test_same(fmt, values[i]);
}

static void
test_texts(const char *fmt)
{
	test_same(fmt, "");
	test_same(fmt, "a");
	test_same(fmt, "twelve bytes");
	test_same(fmt, "longer than any of the widths that are tried");
}

static void
test_chars(const char *fmt)
{
	test_same(fmt, 'x');
	test_same(fmt, '%');
}

static void
test_numbers(void **state)
{
	static const char *const ints[] = { "d", "i", "u", "x", "X", "hd", "hu", "hx", "hhd", "hhu",
		"hhX" };
	static const char *const longs[] = { "ld", "lu", "lx", "lX", "lld", "llu", "llx", "zd",
		"zu", "zx" };

	(void)state;
	for (unsigned i = 0; i < sizeof(ints) / sizeof(ints[0]); i++)
		test_each_format(ints[i], test_ints);
	for (unsigned i = 0; i < sizeof(longs) / sizeof(longs[0]); i++)
		test_each_format(longs[i], test_longs);
}

/* Flags that C leaves undefined for these conversions stay out. */
static void
test_text(void **state)
{
	(void)state;
	for (unsigned w = 0; w < sizeof(test_widths) / sizeof(test_widths[0]); w++) {
		for (unsigned left = 0; left < 2; left++) {
			char fmt[32];

			libc_snprintf(
			    fmt, sizeof(fmt), "<%%%s%sc>", left ? "-" : "", test_widths[w]);
			test_chars(fmt);
			for (unsigned p = 0;
			     p < sizeof(test_precisions) / sizeof(test_precisions[0]); p++) {
				libc_snprintf(fmt, sizeof(fmt), "<%%%s%s%ss>", left ? "-" : "",
				    test_widths[w], test_precisions[p]);
				test_texts(fmt);
			}
		}
	}
}

static void
test_stars(void **state)
{
	(void)state;
	for (int width = -20; width <= 20; width += 5) {
		for (int precision = -2; precision <= 12; precision++) {
			test_same("<%*.*d>", width, precision, -1234);
			test_same("<%-*.*x>", width, precision, 0xbeef);
			test_same("<%0*d>", width, 42);
			test_same("<%*.*s>", width, precision, "some text");
			test_same("<%.*s>", precision, "some text");
		}
	}
}

static void
test_mixtures(void **state)
{
	(void)state;
	test_same("");
	test_same("no conversion at all");
	test_same("100%%");
	test_same("%s: %d of %u at %#lx (%c) %5.2s|%%", "cpu", -3, 4u, 0xfee00000ul, 'z', "abc");
	test_same("%llx %hhx %zu", 0x123456789abcdefull, 0x1ff, (size_t)-1);
	test_same("%p", (void *)0x1234);
}

/* A text that its end does not terminate is fine when a precision ends it before. */
static void
test_unterminated(void **state)
{
	char *three = malloc(3), buf[16];

	(void)state;
	three[0] = 'o';
	three[1] = 'n';
	three[2] = 'e';
	assert_int_equal(snprintf(buf, sizeof(buf), "%.3s", three), 3);
	assert_string_equal(buf, "one");
	assert_int_equal(snprintf(buf, sizeof(buf), "%.*s", 2, three), 2);
	assert_string_equal(buf, "on");
	free(three);
}

/* For formats that the compiler would warn of. */
static int
test_odd(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int length;

	va_start(ap, fmt);
	length = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return length;
}

/* What C leaves open: the kernel must stay on its feet. */
static void
test_own_ways(void **state)
{
	char buf[32];

	(void)state;
	test_odd(buf, sizeof(buf), "%s", (char *)NULL);
	assert_string_equal(buf, "(null)");
	test_odd(buf, sizeof(buf), "%p", (void *)NULL);
	assert_string_equal(buf, "0x0");
	test_odd(buf, sizeof(buf), "a%qb");
	assert_string_equal(buf, "a%qb");
	test_odd(buf, sizeof(buf), "end%");
	assert_string_equal(buf, "end%");
	test_odd(buf, sizeof(buf), "end%-08.3l");
	assert_string_equal(buf, "end%-08.3l");
	/* No width makes it print for minutes. */
	assert_in_range(test_odd(buf, sizeof(buf), "%*d", INT_MIN, 1), 1, 5000);
	assert_in_range(test_odd(buf, sizeof(buf), "%*d", INT_MAX, 1), 1, 5000);
	assert_in_range(test_odd(buf, sizeof(buf), "%.*d", INT_MAX, 1), 1, 5000);
	assert_in_range(test_odd(buf, sizeof(buf), "%99999999999999999999d", 1), 1, 5000);
}

static void
test_put(void *cookie, char c)
{
	char **at = cookie;

	*(*at)++ = c;
}

static void
test_format_into(char *to, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	printf_format(test_put, &to, fmt, ap);
	va_end(ap);
	*to = '\0';
}

static void
test_format(void **state)
{
	char buf[64];

	(void)state;
	test_format_into(buf, "%d %s %c", 12, "three", '4');
	assert_string_equal(buf, "12 three 4");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_stars),
		cmocka_unit_test(test_mixtures),
		cmocka_unit_test(test_unterminated),
		cmocka_unit_test(test_own_ways),
		cmocka_unit_test(test_format),
	};

	return cmocka_run_group_tests_name("printf", tests, NULL, NULL);
}
