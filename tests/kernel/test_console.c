/*
 * The console: no line is torn or lost, whoever prints at the same time.
 *
 * What reaches the devices is seen through one more device, which keeps what it is given.  It is
 * called under the console lock, so its variables need no other.
 */
#include <stdatomic.h>
#include <stdbool.h>

#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/test.h"

/* --- many CPUs print -------------------------------------------------------------------------- */

/* All threads together; a real serial line takes 5 ms for each. */
#define CONSOLE_LINES 400
#define CONSOLE_LINES_MIN 4
#define CONSOLE_LINE_BYTES 96

static lwp_t *console_thread[MAXCPUS];
static unsigned console_threads, console_lines;
static _Atomic uint64_t console_ready;

/* The checker's: the line that arrives, the next number expected of each thread, and what was
 * wrong. */
static char console_line[CONSOLE_LINE_BYTES];
static unsigned console_line_length;
static unsigned console_next_number[MAXCPUS];
static unsigned console_torn, console_interruptible;

/* The line that a thread prints as its number-th. */
static void
console_compose(char buf[CONSOLE_LINE_BYTES], unsigned id, unsigned number)
{
	char pattern[33];

	memset(pattern, 'a' + (int)((id + number) % 26), sizeof(pattern) - 1);
	pattern[sizeof(pattern) - 1] = '\0';
	snprintf(buf, CONSOLE_LINE_BYTES, "# line of %u: %u %s", id, number, pattern);
}

static const char *
console_scan_number(const char *text, unsigned *value)
{
	for (*value = 0; *text >= '0' && *text <= '9'; text++)
		*value = *value * 10 + (unsigned)(*text - '0');
	return text;
}

static void
console_check_line(void)
{
	static const char prefix[] = "# line of ";
	char expected[CONSOLE_LINE_BYTES];
	const char *text = console_line + sizeof(prefix) - 1;
	unsigned id, number;

	if (strncmp(console_line, prefix, sizeof(prefix) - 1) != 0)
		return;
	text = console_scan_number(text, &id);
	if (*text == ':')
		console_scan_number(text + 2, &number);
	else
		number = UINT32_MAX;
	console_compose(expected, id, number);
	if (strcmp(console_line, expected) != 0 || id >= console_threads ||
	    number != console_next_number[id])
		console_torn++;
	else
		console_next_number[id]++;
}

static void
console_check_put(char c)
{
	/* An interrupt here could switch to a thread that prints into this line. */
	if (machine_intr_enabled())
		console_interruptible++;
	if (c != '\n') {
		if (console_line_length < CONSOLE_LINE_BYTES - 1)
			console_line[console_line_length++] = c;
		return;
	}
	console_line[console_line_length] = '\0';
	console_line_length = 0;
	console_check_line();
}

static struct console_device console_checker = { .name = "checker", .put = console_check_put };

static void
console_print_lines(void *arg)
{
	unsigned id = (unsigned)(uintptr_t)arg;
	char text[CONSOLE_LINE_BYTES];

	atomic_fetch_add_explicit(&console_ready, 1, memory_order_relaxed);
	if (!test_wait_at_least(&console_ready, console_threads))
		test_fail(__FILE__, __LINE__, "all printing threads start");
	for (unsigned number = 0; number < console_lines; number++) {
		console_compose(text, id, number);
		printf("%s\n", text);
	}
}

TEST_CASE(console, lines_of_many_cpus_stay_whole)
{
	unsigned made = 0;

	console_threads = ncpu > 1 ? ncpu : 2;
	console_lines = CONSOLE_LINES / console_threads;
	if (console_lines < CONSOLE_LINES_MIN)
		console_lines = CONSOLE_LINES_MIN;
	console_torn = console_interruptible = console_line_length = 0;
	memset(console_next_number, 0, sizeof(console_next_number));
	atomic_store_explicit(&console_ready, 0, memory_order_relaxed);
	console_attach(&console_checker);
	while (made < console_threads &&
	    kthread_create(PRI_KERNEL, KTHREAD_MUSTJOIN, cpu_lookup(made % ncpu),
		console_print_lines, (void *)(uintptr_t)made, &console_thread[made], "printer/%u",
		made) == 0)
		made++;
	for (unsigned i = 0; i < made; i++)
		kthread_join(console_thread[i]);
	console_detach(&console_checker);
	T_ASSERT_EQ(made, console_threads);
	T_ASSERT_EQ(console_torn, 0);
	T_ASSERT_EQ(console_interruptible, 0);
	for (unsigned i = 0; i < console_threads; i++)
		T_ASSERT_EQ(console_next_number[i], console_lines);
}

/* --- who continues whose line ----------------------------------------------------------------- */

static char console_record[1024];
static unsigned console_record_length;
/* What to do when '|' is printed: stands for an NMI or a trap at that point. */
static void (*console_at_bar)(void);

static void
console_record_put(char c)
{
	if (console_record_length < sizeof(console_record) - 1)
		console_record[console_record_length++] = c;
	console_record[console_record_length] = '\0';
	if (c == '|')
		console_at_bar();
}

static struct console_device console_recorder = { .name = "recorder", .put = console_record_put };

static void
console_begin_record(void)
{
	console_record_length = 0;
	console_record[0] = '\0';
	console_attach(&console_recorder);
}

static void
console_print_nested(void)
{
	printf("# nes");
	printf("ted\n");
}

/* On the CPU that holds the console lock: as from an NMI that struck inside printf(). */
TEST_CASE(console, what_nests_in_printf_has_its_own_line)
{
	console_at_bar = console_print_nested;
	console_begin_record();
	printf("# before|# after\n");
	printf("# whole\n");
	console_detach(&console_recorder);
	T_ASSERT(strcmp(console_record, "# before|\n# nested\n# after\n# whole\n") == 0);
}

static void
console_print_once(void *arg __attribute__((unused)))
{
	printf("# of another CPU\n");
}

TEST_CASE(console, another_cpu_does_not_continue_a_line)
{
	lwp_t *l;
	int error;

	if (ncpu < 2) {
		test_skip("needs two CPUs");
		return;
	}
	console_begin_record();
	printf("# in ");
	printf("parts\n# left open");
	error = kthread_create(
	    PRI_KERNEL, KTHREAD_MUSTJOIN, cpu_lookup(1), console_print_once, NULL, &l, "printer");
	if (error == 0)
		kthread_join(l);
	printf("# again\n");
	console_detach(&console_recorder);
	T_ASSERT_EQ(error, 0);
	T_ASSERT(
	    strcmp(console_record, "# in parts\n# left open\n# of another CPU\n# again\n") == 0);
}

TEST_CASE(console, a_detached_device_gets_nothing)
{
	console_begin_record();
	printf("# attached\n");
	console_detach(&console_recorder);
	printf("# detached\n");
	T_ASSERT(strcmp(console_record, "# attached\n") == 0);
}

/* --- panics ----------------------------------------------------------------------------------- */

static void
console_panic(void)
{
	panic("from inside printf");
}

TEST_MISUSE(panic_inside_printf)
{
	console_at_bar = console_panic;
	console_begin_record();
	printf("half a line|");
}

static _Atomic uint64_t console_held;

static void
console_hold(void)
{
	atomic_store_explicit(&console_held, 1, memory_order_release);
	for (;;)
		machine_pause();
}

static void
console_print_and_hold(void *arg __attribute__((unused)))
{
	printf("half a line|");
}

/* The holder of the console lock never lets go: the panic must be read all the same. */
TEST_MISUSE(panic_while_console_is_held)
{
	console_at_bar = console_hold;
	console_begin_record();
	if (ncpu < 2 ||
	    kthread_create(
		PRI_KERNEL, 0, cpu_lookup(1), console_print_and_hold, NULL, NULL, "holder") != 0)
		return;
	if (test_wait_at_least(&console_held, 1))
		panic("the console is held");
}
