/*
 * The input is the kernel's command line: kernel/cmdline.c.  The words are told apart a second
 * time here, in the plainest way, and both must agree.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/cmdline.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"

/* kernel/errno.h has numbers of its own: only zero counts here. */
#define TARGET_NAME "hz"
#define TARGET_MIN 1
#define TARGET_MAX 100000

static unsigned target_bad;
static size_t target_bad_bytes;

static void
target_bad_word(const char *word, size_t length)
{
	assert_true(length != 0);
	assert_null(memchr(word, ' ', length));
	assert_null(memchr(word, '\0', length));
	target_bad++;
	target_bad_bytes += length;
}

/* Words whose name is not TARGET_NAME, and whether there is one with it; *value: of the last. */
static unsigned
target_words(char *text, bool *named, const char **value)
{
	unsigned others = 0;

	*named = false;
	*value = NULL;
	for (char *word = strtok(text, " \t"); word != NULL; word = strtok(NULL, " \t")) {
		size_t name = strcspn(word, "=");

		if (name != strlen(TARGET_NAME) || memcmp(word, TARGET_NAME, name) != 0) {
			others++;
			continue;
		}
		*named = true;
		if (word[name] == '=')
			*value = word + name + 1;
	}
	return others;
}

/* What the number must be; false when it must be refused. */
static bool
target_number(const char *text, uint64_t *value)
{
	size_t digits = strspn(text, "0123456789");

	if (digits == 0 || text[digits] != '\0')
		return false;
	while (*text == '0')
		text++;
	*value = strtoull(text, NULL, 10);
	return strlen(text) <= 19 && *value >= TARGET_MIN && *value <= TARGET_MAX;
}

static void
target_compare(void)
{
	static const char *const known[] = { TARGET_NAME, NULL };
	char copy[CMDLINE_BYTES], small[8];
	const char *value;
	uint64_t want = 0, got = 77;
	bool named;
	unsigned others;

	strcpy(copy, cmdline_text());
	others = target_words(copy, &named, &value);
	assert_int_equal(cmdline_has(TARGET_NAME), named);
	target_bad = 0;
	cmdline_check(known, target_bad_word);
	assert_int_equal(target_bad, others);
	if (value != NULL && target_number(value, &want)) {
		assert_int_equal(cmdline_number(TARGET_NAME, TARGET_MIN, TARGET_MAX, &got), 0);
		assert_int_equal(got, want);
	} else {
		assert_int_not_equal(cmdline_number(TARGET_NAME, TARGET_MIN, TARGET_MAX, &got), 0);
		assert_int_equal(got, 77);
	}
	if (cmdline_value(TARGET_NAME, small, sizeof(small)))
		assert_true(value != NULL && strcmp(small, value) == 0);
	else
		assert_true(value == NULL || strlen(value) >= sizeof(small));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *line = malloc(size + 1);

	assert_non_null(line);
	memcpy(line, data, size);
	line[size] = '\0';
	cmdline_init(line);
	assert_int_equal(cmdline_truncated(), strlen(line) >= CMDLINE_BYTES);
	assert_int_equal(strncmp(cmdline_text(), line, CMDLINE_BYTES - 1), 0);
	free(line);
	target_compare();
	return 0;
}
