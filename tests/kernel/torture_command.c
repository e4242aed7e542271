/*
 * Torture from the monitor.
 */
#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/errno.h"
#include "tests/kernel/torture.h"

#define TORTURE_COMMAND_SECONDS 10u

/* A decimal number, at most `max`. */
static bool
torture_command_number(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || n > (max - (uint64_t)(*text - '0')) / 10)
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
	}
	*value = n;
	return true;
}

COMMAND(torture, "[SECONDS] [SEED]", "random cross calls of every kind, with a ledger")
{
	uint64_t seconds = TORTURE_COMMAND_SECONDS, seed = clock_ns();

	if (argc > 3 ||
	    (argc > 1 &&
		(!torture_command_number(argv[1], TORTURE_SECONDS_MAX, &seconds) || seconds == 0)) ||
	    (argc > 2 && !torture_command_number(argv[2], UINT32_MAX, &seed)))
		return EINVAL;
	(void)torture_run((unsigned)seconds, seed);
	return 0;
}
