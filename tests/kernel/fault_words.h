/*
 * The rules of faults (fault.h), from words.
 */
#ifndef TESTS_KERNEL_FAULT_WORDS_H
#define TESTS_KERNEL_FAULT_WORDS_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/kernel/fault.h"

enum fault_kind { FAULT_DROP, FAULT_DELAY, FAULT_DOUBLE, FAULT_SPURIOUS, FAULT_STUCK, FAULT_KINDS };

/* What a rule hits: bits. */
#define FAULT_CALL 0x01u
#define FAULT_RESCHED 0x02u
#define FAULT_NMI 0x04u
#define FAULT_INIT 0x08u
#define FAULT_STARTUP 0x10u
#define FAULT_OTHER 0x20u /* nothing hits it */
#define FAULT_ANY (FAULT_CALL | FAULT_RESCHED | FAULT_NMI)

#define FAULT_ANYBODY UINT32_MAX
#define FAULT_RULE_BYTES 40u

struct fault_rule {
	char text[FAULT_RULE_BYTES]; /* cut */
	enum fault_kind kind;
	unsigned what;
	uint64_t one_in, max, us;
	uint32_t to, by;
	_Atomic uint64_t met, done; /* messages that it might have hit, that it hit */
};

struct fault_rules {
	unsigned n;
	struct fault_rule rule[FAULT_RULES];
	uint64_t rescue_ns, hang_ns;
};

extern struct fault_rules fault_rules;

/* Fills it in; NULL, or what is wrong. */
const char *fault_words(const char *text);

#endif
