/*
 * The prompt: reads a line, finds the command, runs it.
 *
 * Limits: the UART is polled (uart.c says why) and keeps 16 characters.  The monitor looks every
 * MONITOR_POLL_NS, and once something came goes on looking for MONITOR_BURST_NS, so that what is
 * typed, or pasted at 115200 baud once the first character was seen, arrives whole.
 */
#include "kernel/main/monitor.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/console.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/main/lineedit.h"
#include "kernel/printf.h"
#include "kernel/string.h"

#define MONITOR_PROMPT "xcall> "
#define MONITOR_WORDS 8
#define MONITOR_POLL_NS 10000000ull
/* Some characters' time at 115200 baud (87 us each). */
#define MONITOR_BURST_NS 2000000ull

static void
monitor_echo(const char *text)
{
	printf("%s", text);
}

/* Splits a line at its blanks, in place.  How many words; more than `max` is max + 1. */
static int
monitor_split(char *line, char **word, int max)
{
	int n = 0;

	for (;;) {
		while (*line == ' ')
			*line++ = '\0';
		if (*line == '\0')
			return n;
		if (n == max)
			return max + 1;
		word[n++] = line;
		while (*line != ' ' && *line != '\0')
			line++;
	}
}

/* The first command, by name, that comes behind `last` (NULL: of all). */
static const struct command *
monitor_next(const struct command *last)
{
	const struct command *c, *best = NULL;

	for (c = set_commands_start; c < set_commands_end; c++)
		if ((last == NULL || strcmp(c->name, last->name) > 0) &&
		    (best == NULL || strcmp(c->name, best->name) < 0))
			best = c;
	return best;
}

static void
monitor_print_help(void)
{
	const struct command *c;

	for (c = monitor_next(NULL); c != NULL; c = monitor_next(c))
		printf("  %-10s %-14s %s\n", c->name, c->usage, c->help);
}

COMMAND(help, "", "this list")
{
	monitor_print_help();
	return 0;
}

static void
monitor_execute(char *line)
{
	char *word[MONITOR_WORDS];
	int n = monitor_split(line, word, MONITOR_WORDS);
	const struct command *c;

	if (n == 0)
		return;
	if (n > MONITOR_WORDS) {
		printf("more than %d words\n", MONITOR_WORDS);
		return;
	}
	for (c = set_commands_start; c < set_commands_end; c++) {
		if (strcmp(c->name, word[0]) != 0)
			continue;
		if (c->run(n, word) != 0)
			printf("usage: %s %s\n", c->name, c->usage);
		return;
	}
	printf("unknown command: %s\n", word[0]);
	monitor_print_help();
}

/* The next character, however long it takes. */
static char
monitor_read(void)
{
	static uint64_t last_ns;
	int c;

	while ((c = console_get()) < 0) {
		if (clock_ns() - last_ns < MONITOR_BURST_NS)
			machine_pause();
		else
			kthread_sleep_ns(MONITOR_POLL_NS);
	}
	last_ns = clock_ns();
	return (char)c;
}

void
monitor_run(void)
{
	struct lineedit le;
	enum lineedit_result result;

	lineedit_init(&le, monitor_echo);
	for (;;) {
		printf("%s", MONITOR_PROMPT);
		lineedit_clear(&le);
		while ((result = lineedit_input(&le, monitor_read())) == LINEEDIT_MORE)
			continue;
		if (result == LINEEDIT_LINE)
			monitor_execute(le.le_line);
	}
}
