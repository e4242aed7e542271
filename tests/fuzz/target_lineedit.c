/*
 * The input is what is typed at the console: kernel/main/lineedit.c.
 *
 * A terminal that knows the printable characters, backspace, newline and bell shows at any time
 * what the editor holds.
 */
#include <stdbool.h>
#include <string.h>

#include "kernel/main/lineedit.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"

static char target_shown[LINEEDIT_BYTES];
static size_t target_column;

static void
target_echo(const char *text)
{
	if (strcmp(text, "\a") == 0)
		return;
	if (strcmp(text, "\b \b") == 0) {
		assert_true(target_column > 0);
		target_column--;
		return;
	}
	if (strcmp(text, "\n") == 0 || strcmp(text, "^C\n") == 0)
		return;
	assert_int_equal(strlen(text), 1);
	assert_in_range(text[0], 0x20, 0x7e);
	assert_true(target_column < LINEEDIT_BYTES - 1);
	target_shown[target_column++] = text[0];
}

static void
target_check(const struct lineedit *le)
{
	assert_true(le->le_length < LINEEDIT_BYTES);
	assert_int_equal(strlen(le->le_line), le->le_length);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct lineedit le;

	target_column = 0;
	lineedit_init(&le, target_echo);
	for (size_t i = 0; i < size; i++) {
		enum lineedit_result result = lineedit_input(&le, (char)data[i]);

		target_check(&le);
		if (result == LINEEDIT_DROPPED) {
			assert_int_equal(le.le_length, 0);
			target_column = 0;
		}
		assert_int_equal(le.le_length, target_column);
		assert_memory_equal(le.le_line, target_shown, target_column);
		if (result == LINEEDIT_LINE) {
			lineedit_clear(&le);
			target_column = 0;
		}
	}
	return 0;
}
