/*
 * The runner of the tests in the kernel: chooses suites, runs their cases, prints KTAP
 * (Linux, Documentation/dev-tools/ktap), looks for leaks.
 */
#include "tests/kernel/test.h"

#include <stdatomic.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/fault.h"
#include "xcall/xc_status.h"

/* Free for tests: between the timer's class and that of calls and wake-ups. */
#define TEST_VECTOR_FIRST 0x90u
#define TEST_VECTORS 32u
#define TEST_HANG_NS 60000000000ull
/* Threads that exited free themselves when their CPU next switches; give them that long. */
#define TEST_SETTLE_NS 2000000000ull
/* A wait for a cross call that lasts that long ends in a panic with its report. */
#define TEST_STALL_NS 240000000000ull

static _Atomic unsigned test_failures; /* of the running case */
static const char *test_skipped;       /* why the running case was skipped, or NULL */

void
test_fail(const char *file, int line, const char *what)
{
	atomic_fetch_add_explicit(&test_failures, 1, memory_order_relaxed);
	printf("  # %s:%d: failed: %s (CPU %u)\n", file, line, what, curcpu()->ci_index);
}

void
test_fail_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
	atomic_fetch_add_explicit(&test_failures, 1, memory_order_relaxed);
	printf("  # %s:%d: failed: %s: %#lx, %#lx (CPU %u)\n", file, line, what, a, b,
	    curcpu()->ci_index);
}

void
test_skip(const char *why)
{
	test_skipped = why;
}

bool
test_wait_at_least(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_ns() + TEST_HANG_NS;

	while (atomic_load_explicit(counter, memory_order_acquire) < value) {
		if (clock_ns() > end)
			return false;
		kthread_sleep_ns(1000000);
	}
	return true;
}

unsigned
test_vector(intr_handler_t handler)
{
	static intr_handler_t established[TEST_VECTORS];

	for (unsigned i = 0; i < TEST_VECTORS; i++) {
		if (established[i] == NULL) {
			established[i] = handler;
			intr_establish(TEST_VECTOR_FIRST + i, handler, NULL, "test");
		}
		if (established[i] == handler)
			return TEST_VECTOR_FIRST + i;
	}
	panic("the tests want more than %u vectors", TEST_VECTORS);
}

bool
test_chosen(const char *list, const char *name)
{
	size_t length = strlen(name);

	if (strcmp(list, "all") == 0)
		return true;
	for (const char *s = list; *s != '\0';) {
		size_t n = 0;

		while (s[n] != '\0' && s[n] != ',')
			n++;
		if (n == length && strncmp(s, name, n) == 0)
			return true;
		s += s[n] == ',' ? n + 1 : n;
	}
	return false;
}

/* The first case of each suite stands for it; the linker keeps a file's cases together. */
static bool
test_starts_suite(const struct test_case *t)
{
	return t == set_tests_start || strcmp(t[-1].suite, t->suite) != 0;
}

static unsigned
test_cases_in(const struct test_case *t)
{
	const char *suite = t->suite;
	unsigned n = 0;

	for (; t < set_tests_end && strcmp(t->suite, suite) == 0; t++)
		n++;
	return n;
}

static bool
test_run_case(const struct test_case *t, unsigned number)
{
	bool passed;

	atomic_store_explicit(&test_failures, 0, memory_order_relaxed);
	test_skipped = NULL;
	t->run();
	passed = atomic_load_explicit(&test_failures, memory_order_relaxed) == 0;
	if (passed && test_skipped != NULL)
		printf("  ok %u %s # SKIP %s\n", number, t->name, test_skipped);
	else
		printf("  %s %u %s\n", passed ? "ok" : "not ok", number, t->name);
	return passed;
}

struct test_resources {
	unsigned threads;
	size_t pages;
};

/* Free pages, with those counted as free that are kept for good: stacks in the cache, the tables
 * that map them, and structures that live as long as the kernel. */
static struct test_resources
test_measure(void)
{
	return (struct test_resources){
		.threads = kthread_count(),
		.pages = kmem_pages_free() + kmem_stacks_cached() * (KSTACK_BYTES / PAGE_BYTES) +
		    machine_table_pages() + kmem_pages_boot(),
	};
}

static bool
test_no_leak(const struct test_resources *before)
{
	uint64_t end = clock_ns() + TEST_SETTLE_NS;
	struct test_resources now;

	do {
		now = test_measure();
		if (now.threads == before->threads && now.pages >= before->pages)
			return true;
		kthread_sleep_ns(10000000);
	} while (clock_ns() < end);
	printf("  # leak: threads %u -> %u, free pages %zu -> %zu\n", before->threads, now.threads,
	    before->pages, now.pages);
	return false;
}

/* Calls that all CPUs have made. */
static uint64_t
test_calls(void)
{
	static struct xc_stats stats;
	struct cpu_info *ci;
	uint64_t calls = 0;

	CPU_INFO_FOREACH(ci) {
		xc_stats(ci, &stats);
		for (unsigned c = 0; c < XC_CLASSES; c++)
			calls += stats.posted[c];
	}
	return calls;
}

static bool
test_run_suite(const struct test_case *first, unsigned number)
{
	unsigned cases = test_cases_in(first), failed = 0;
	struct test_resources before = test_measure();
	uint64_t start = clock_ns(), calls = test_calls();
	bool clean;

	printf("  KTAP version 1\n  # Subtest: %s\n  1..%u\n", first->suite, cases + 1);
	for (unsigned i = 0; i < cases; i++) {
		if (!test_run_case(&first[i], i + 1))
			failed++;
	}
	clean = test_no_leak(&before);
	kmem_check_release();
	printf("  %s %u leaks_nothing\n", clean ? "ok" : "not ok", cases + 1);
	printf("  # %s: %lu ms, %lu calls\n", first->suite, (clock_ns() - start) / 1000000,
	    test_calls() - calls);
	printf("%s %u %s\n", failed == 0 && clean ? "ok" : "not ok", number, first->suite);
	return failed == 0 && clean;
}

/* Lock checking had room for all that the suites did. */
static bool
test_locks_checked(void)
{
	struct lockdebug_figures figures;

	lockdebug_figures(&figures);
	printf("# lock checking: %u of %u classes, %u of %u facts, %u reports\n", figures.classes,
	    figures.classes_max, figures.facts, figures.facts_max, figures.reports);
	return !figures.full;
}

bool
test_run(const char *list)
{
	unsigned suites = 0, number = 0;
	bool passed = true;

	for (const struct test_case *t = set_tests_start; t < set_tests_end; t++)
		suites += test_starts_suite(t) && test_chosen(list, t->suite);
	/* Without rescues: a lost notification must show, and not be made good after some
	 * seconds. */
	fault_stall_config(0, TEST_STALL_NS, false, false);
	printf("KTAP version 1\n1..%u\n", suites);
	for (const struct test_case *t = set_tests_start; t < set_tests_end; t++) {
		if (test_starts_suite(t) && test_chosen(list, t->suite))
			passed &= test_run_suite(t, ++number);
	}
	passed &= test_locks_checked();
	if (suites == 0)
		printf("# no suite is named in \"%s\"\n", list);
	return passed && suites > 0;
}

bool
test_misuse(const char *name)
{
	for (const struct test_misuse *m = set_misuses_start; m < set_misuses_end; m++) {
		if (strcmp(name, "list") == 0) {
			printf("misuse: %s\n", m->name);
		} else if (strcmp(name, m->name) == 0) {
			m->run();
			printf("misuse %s was not noticed\n", name);
			return false;
		}
	}
	if (strcmp(name, "list") == 0)
		return true;
	printf("there is no misuse case \"%s\"\n", name);
	return false;
}
