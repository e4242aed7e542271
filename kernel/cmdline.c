/*
 * The kernel command line, kept as the text it was and searched anew for each question: it is short
 * and is asked at boot.
 */
#include "kernel/cmdline.h"

#include "kernel/errno.h"
#include "kernel/string.h"

/* A word of the line: its name ends at the first '=', or is all of it. */
struct cmdline_word {
	const char *text;
	size_t length;
	size_t name_length;
};

/* Constant once cmdline_init() is done. */
static char cmdline_copy[CMDLINE_BYTES];
static bool cmdline_cut;

void
cmdline_init(const char *text)
{
	size_t n = 0;

	for (; n < CMDLINE_BYTES - 1 && text[n] != '\0'; n++)
		cmdline_copy[n] = text[n];
	cmdline_copy[n] = '\0';
	cmdline_cut = text[n] != '\0';
}

const char *
cmdline_text(void)
{
	return cmdline_copy;
}

bool
cmdline_truncated(void)
{
	return cmdline_cut;
}

static bool
cmdline_blank(char c)
{
	return c == ' ' || c == '\t';
}

/* The word at or behind *at, which moves behind it; false at the end of the line. */
static bool
cmdline_next(const char **at, struct cmdline_word *word)
{
	const char *p = *at;

	while (cmdline_blank(*p))
		p++;
	word->text = p;
	while (*p != '\0' && *p != '=' && !cmdline_blank(*p))
		p++;
	word->name_length = (size_t)(p - word->text);
	while (*p != '\0' && !cmdline_blank(*p))
		p++;
	word->length = (size_t)(p - word->text);
	*at = p;
	return word->length != 0;
}

static bool
cmdline_named(const struct cmdline_word *word, const char *name)
{
	return strlen(name) == word->name_length &&
	    memcmp(word->text, name, word->name_length) == 0;
}

bool
cmdline_has(const char *name)
{
	const char *at = cmdline_copy;
	struct cmdline_word word;

	while (cmdline_next(&at, &word)) {
		if (cmdline_named(&word, name))
			return true;
	}
	return false;
}

/* The value of the last `name=value`; NULL when there is none. */
static const char *
cmdline_find(const char *name, size_t *length)
{
	const char *at = cmdline_copy, *value = NULL;
	struct cmdline_word word;

	while (cmdline_next(&at, &word)) {
		if (word.name_length < word.length && cmdline_named(&word, name)) {
			value = word.text + word.name_length + 1;
			*length = word.length - word.name_length - 1;
		}
	}
	return value;
}

bool
cmdline_value(const char *name, char *buf, size_t size)
{
	size_t length;
	const char *value = cmdline_find(name, &length);

	if (value == NULL || length >= size)
		return false;
	memcpy(buf, value, length);
	buf[length] = '\0';
	return true;
}

int
cmdline_number(const char *name, uint64_t min, uint64_t max, uint64_t *value)
{
	size_t length;
	const char *text = cmdline_find(name, &length);
	uint64_t n = 0;

	if (text == NULL)
		return ENOENT;
	if (length == 0)
		return EINVAL;
	for (size_t i = 0; i < length; i++) {
		unsigned digit = (unsigned char)text[i] - (unsigned)'0';

		if (digit > 9 || n > (UINT64_MAX - digit) / 10)
			return EINVAL;
		n = n * 10 + digit;
	}
	if (n < min || n > max)
		return EINVAL;
	*value = n;
	return 0;
}

void
cmdline_check(const char *const *known, void (*bad)(const char *word, size_t length))
{
	const char *at = cmdline_copy;
	struct cmdline_word word;

	while (cmdline_next(&at, &word)) {
		const char *const *name = known;

		while (*name != NULL && !cmdline_named(&word, *name))
			name++;
		if (*name == NULL)
			bad(word.text, word.length);
	}
}
