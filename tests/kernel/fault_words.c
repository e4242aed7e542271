/*
 * The rules of faults, from words: "drop:call:20:max=5,rescue:20".
 */
#include "tests/kernel/fault_words.h"

#include <stdbool.h>
#include <stddef.h>

#include "kernel/printf.h"
#include "kernel/string.h"
#include "xcall/xc_status.h"

#define WORDS_MS_NS UINT64_C(1000000)
#define WORDS_S_NS UINT64_C(1000000000)

struct fault_rules fault_rules;

/* The part of the text up to one of the characters. */
struct words_part {
	const char *text;
	size_t length;
};

static bool
words_is(const struct words_part *part, const char *word)
{
	return strlen(word) == part->length && strncmp(part->text, word, part->length) == 0;
}

/* The next part; false behind the last one.  Parts of a rule end at a colon, rules at a comma. */
static bool
words_next(const char **at, char end, struct words_part *part)
{
	size_t n = 0;

	if (**at == '\0')
		return false;
	while ((*at)[n] != '\0' && (*at)[n] != end)
		n++;
	*part = (struct words_part){ *at, n };
	*at += (*at)[n] == end ? n + 1 : n;
	return true;
}

/* A decimal number, not 0, behind the prefix. */
static bool
words_number(const struct words_part *part, const char *prefix, uint64_t *value)
{
	size_t skip = strlen(prefix);
	uint64_t n = 0;

	if (part->length <= skip || strncmp(part->text, prefix, skip) != 0)
		return false;
	for (size_t i = skip; i < part->length; i++) {
		unsigned digit = (unsigned char)part->text[i] - (unsigned)'0';

		if (digit > 9 || n > UINT32_MAX)
			return false;
		n = n * 10 + digit;
	}
	*value = n;
	return true;
}

static bool
words_what(const struct words_part *part, unsigned *what)
{
	static const struct {
		const char *name;
		unsigned bit;
	} names[] = { { "call", FAULT_CALL }, { "resched", FAULT_RESCHED }, { "nmi", FAULT_NMI },
		{ "init", FAULT_INIT }, { "startup", FAULT_STARTUP }, { "any", FAULT_ANY } };

	for (unsigned i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		if (words_is(part, names[i].name)) {
			*what |= names[i].bit;
			return true;
		}
	}
	return false;
}

static bool
words_option(const struct words_part *part, struct fault_rule *rule)
{
	uint64_t n;

	if (words_number(part, "to=", &n))
		rule->to = (uint32_t)n;
	else if (words_number(part, "by=", &n))
		rule->by = (uint32_t)n;
	else
		return words_what(part, &rule->what) || words_number(part, "max=", &rule->max) ||
		    words_number(part, "us=", &rule->us) || words_number(part, "", &rule->one_in);
	return true;
}

/* "rescue:20", "hang:10". */
static bool
words_setting(const struct words_part *name, const char *rest)
{
	struct words_part part;
	uint64_t n;

	if (!words_is(name, "rescue") && !words_is(name, "hang"))
		return false;
	if (!words_next(&rest, ':', &part) || *rest != '\0' || !words_number(&part, "", &n))
		return false;
	if (words_is(name, "rescue"))
		fault_rules.rescue_ns = n * WORDS_MS_NS;
	else
		fault_rules.hang_ns = n * WORDS_S_NS;
	return true;
}

static const char *
words_rule(const struct words_part *name, const char *rest, struct fault_rule *rule)
{
	static const char *const kinds[FAULT_KINDS] = { "drop", "delay", "double", "spurious",
		"stuck" };
	struct words_part part;
	unsigned kind = 0;

	while (kind < FAULT_KINDS && !words_is(name, kinds[kind]))
		kind++;
	if (kind == FAULT_KINDS)
		return "there is no such fault";
	*rule = (struct fault_rule){ .kind = (enum fault_kind)kind,
		.one_in = 1,
		.us = 1000,
		.to = FAULT_ANYBODY,
		.by = FAULT_ANYBODY };
	while (words_next(&rest, ':', &part))
		if (!words_option(&part, rule))
			return "there is no such option";
	if (rule->what == 0)
		rule->what = FAULT_ANY;
	return rule->one_in == 0 || rule->us == 0 ? "0 is no number here" : NULL;
}

/* One rule or setting, in a text of its own. */
static const char *
words_one(const char *text)
{
	const char *rest = text, *wrong;
	struct words_part name;

	if (!words_next(&rest, ':', &name))
		return "a rule is empty";
	if (words_is(&name, "lossy") && *rest == '\0') {
		wrong = words_one("drop:call:10000");
		return wrong != NULL ? wrong : words_one("hang:10");
	}
	if (words_setting(&name, rest))
		return NULL;
	if (fault_rules.n == FAULT_RULES)
		return "there are too many rules";
	wrong = words_rule(&name, rest, &fault_rules.rule[fault_rules.n]);
	if (wrong != NULL)
		return wrong;
	snprintf(fault_rules.rule[fault_rules.n].text, FAULT_RULE_BYTES, "%s", text);
	fault_rules.n++;
	return NULL;
}

const char *
fault_words(const char *text)
{
	struct words_part part;
	char one[64];
	const char *wrong = *text == '\0' ? "a rule is empty" : NULL;

	fault_rules.n = 0;
	fault_rules.rescue_ns = fault_rules.hang_ns = 0;
	while (wrong == NULL && words_next(&text, ',', &part)) {
		if (part.length >= sizeof(one))
			return "a rule is too long";
		memcpy(one, part.text, part.length);
		one[part.length] = '\0';
		wrong = words_one(one);
	}
	return wrong;
}

bool
fault_rescues(void)
{
	return fault_rules.rescue_ns != 0;
}

void
fault_stall_config(uint64_t warn_ns, uint64_t panic_ns, bool resend, bool nmi)
{
	bool rescue = fault_rescues();

	/* No NMIs when calls are rescued all the time: their answers are long. */
	xc_stall_config(rescue ? fault_rules.rescue_ns : warn_ns,
	    fault_rules.hang_ns != 0 ? fault_rules.hang_ns : panic_ns, resend || rescue,
	    nmi && !rescue);
}
