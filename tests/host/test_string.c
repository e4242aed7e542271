/*
 * kernel/string.c, against libc's.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/random.h"

/* libc's functions, under names that stay theirs. */
static void *(*const libc_memmove)(void *, const void *, size_t) = memmove;
static void *(*const libc_memset)(void *, int, size_t) = memset;
static int (*const libc_memcmp)(const void *, const void *, size_t) = memcmp;
static int (*const libc_strcmp)(const char *, const char *) = strcmp;
static int (*const libc_strncmp)(const char *, const char *, size_t) = strncmp;

#include "tests/host/kernel_names.h"

#include "kernel/string.h"

/* Longer than some words at all alignments. */
#define TEST_BYTES 80
#define TEST_SHIFTS 9

static void
test_fill(uint8_t *data, size_t size, uint64_t seed)
{
	struct random random = { seed };

	for (size_t i = 0; i < size; i++)
		data[i] = (uint8_t)random_next(&random);
}

/* From and to are exact heap blocks, so that AddressSanitizer guards their ends. */
static void
test_memcpy(void **state)
{
	(void)state;
	for (size_t n = 0; n <= TEST_BYTES; n++) {
		for (size_t a = 0; a < TEST_SHIFTS; a++) {
			for (size_t b = 0; b < TEST_SHIFTS; b++) {
				uint8_t *to = malloc(n + a), *from = malloc(n + b);

				test_fill(to, n + a, 7);
				test_fill(from, n + b, 9);
				assert_ptr_equal(memcpy(to + a, from + b, n), to + a);
				assert_int_equal(libc_memcmp(to + a, from + b, n), 0);
				if (a != 0) {
					uint8_t before[TEST_SHIFTS];

					test_fill(before, a, 7);
					assert_int_equal(libc_memcmp(to, before, a), 0);
				}
				free(to);
				free(from);
			}
		}
	}
}

static void
test_memmove(void **state)
{
	uint8_t ours[2 * TEST_BYTES], theirs[2 * TEST_BYTES];

	(void)state;
	for (size_t n = 0; n <= TEST_BYTES; n++) {
		for (size_t from = 0; from <= TEST_BYTES; from += 3) {
			for (size_t to = 0; to <= TEST_BYTES; to++) {
				test_fill(ours, sizeof(ours), 11);
				test_fill(theirs, sizeof(theirs), 11);
				assert_ptr_equal(memmove(ours + to, ours + from, n), ours + to);
				libc_memmove(theirs + to, theirs + from, n);
				assert_int_equal(libc_memcmp(ours, theirs, sizeof(ours)), 0);
			}
		}
	}
}

static void
test_memset(void **state)
{
	static const int values[] = { 0, 0x5a, 0xff, -1, 0x1234 };

	(void)state;
	for (size_t n = 0; n <= TEST_BYTES; n++) {
		for (size_t a = 0; a < TEST_SHIFTS; a++) {
			for (unsigned i = 0; i < 5; i++) {
				uint8_t *ours = malloc(n + a), *theirs = malloc(n + a);

				test_fill(ours, n + a, 13);
				test_fill(theirs, n + a, 13);
				assert_ptr_equal(memset(ours + a, values[i], n), ours + a);
				libc_memset(theirs + a, values[i], n);
				assert_int_equal(libc_memcmp(ours, theirs, n + a), 0);
				free(ours);
				free(theirs);
			}
		}
	}
}

static int
test_sign(int n)
{
	return (n > 0) - (n < 0);
}

static void
test_memcmp(void **state)
{
	(void)state;
	for (size_t n = 0; n <= 40; n++) {
		uint8_t *a = malloc(n), *b = malloc(n);

		test_fill(a, n, 17);
		test_fill(b, n, 17);
		assert_int_equal(memcmp(a, b, n), 0);
		for (size_t at = 0; at < n; at++) {
			b[at] ^= 0x80;
			assert_int_equal(
			    test_sign(memcmp(a, b, n)), test_sign(libc_memcmp(a, b, n)));
			b[at] ^= 0x80;
		}
		free(a);
		free(b);
	}
}

static void
test_strings(void **state)
{
	static const char *const text[] = { "", "a", "ab", "abc", "abd", "\xff", "a\xff", "a\x7f",
		"b" };
	const unsigned count = sizeof(text) / sizeof(text[0]);

	(void)state;
	for (unsigned i = 0; i < count; i++) {
		for (unsigned k = 0; k < count; k++) {
			assert_int_equal(test_sign(strcmp(text[i], text[k])),
			    test_sign(libc_strcmp(text[i], text[k])));
			for (size_t n = 0; n < 6; n++) {
				assert_int_equal(test_sign(strncmp(text[i], text[k], n)),
				    test_sign(libc_strncmp(text[i], text[k], n)));
			}
		}
	}
	for (size_t n = 0; n < 100; n++) {
		char *s = malloc(n + 1);

		libc_memset(s, 'q', n);
		s[n] = '\0';
		assert_int_equal(strlen(s), n);
		/* Nothing behind the n characters is read. */
		s[n] = 'x';
		assert_int_equal(strncmp(s, s, n + 1), 0);
		free(s);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_memcpy),
		cmocka_unit_test(test_memmove),
		cmocka_unit_test(test_memset),
		cmocka_unit_test(test_memcmp),
		cmocka_unit_test(test_strings),
	};

	return cmocka_run_group_tests_name("string", tests, NULL, NULL);
}
