/*
 * Tests that run inside the booted kernel.
 *
 *	TEST_CASE(mutex, excludes)
 *	{
 *		...
 *		T_ASSERT(counter == ROUNDS);
 *		T_ASSERT_EQ(seen, expected);
 *	}
 *
 * gives KTAP result "mutex.excludes".  A failed assertion is printed with file, line and values,
 * fails the case and returns from it.  Cases of a suite run in the order of the source, in a thread
 * on CPU 0 at PRI_KERNEL; the runner checks threads and pages for leaks after each suite.
 */
#ifndef TESTS_KERNEL_TEST_H
#define TESTS_KERNEL_TEST_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/intr.h"

struct test_case {
	const char *suite, *name;
	void (*run)(void);
};

/* A boot that must end in a panic: `misuse=NAME` on the command line runs it; the console harness
 * asserts the words (tests/console/misuse.toml). */
struct test_misuse {
	const char *name;
	void (*run)(void);
};

#define TEST_CASE(suite_, name_) \
	static void test_##suite_##_##name_(void); \
	static const struct test_case test_entry_##suite_##_##name_ \
	    __attribute__((used, section("set_tests"), aligned(8))) = { \
		    .suite = #suite_, .name = #name_, .run = test_##suite_##_##name_ \
	    }; \
	static void test_##suite_##_##name_(void)

#define TEST_MISUSE(name_) \
	static void test_misuse_##name_(void); \
	static const struct test_misuse test_misuse_entry_##name_ __attribute__((used, \
	    section("set_misuses"), aligned(8))) = { .name = #name_, .run = test_misuse_##name_ }; \
	static void test_misuse_##name_(void)

#define T_ASSERT(e) \
	do { \
		if (!(e)) { \
			test_fail(__FILE__, __LINE__, #e); \
			return; \
		} \
	} while (0)

#define T_ASSERT_EQ(a, b) \
	do { \
		uint64_t t_a = (uint64_t)(a), t_b = (uint64_t)(b); \
		if (t_a != t_b) { \
			test_fail_eq(__FILE__, __LINE__, #a " == " #b, t_a, t_b); \
			return; \
		} \
	} while (0)

/* Any thread, any CPU: notes the failure; the case goes on until it returns. */
void test_fail(const char *file, int line, const char *what);
void test_fail_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b);
/* Ends the case as skipped, with the reason; return after it. */
void test_skip(const char *why);
/* A generous hang detector: waits until *flag is at least `value`, yielding; false after 60 s.  An
 * emulated CPU on a loaded host can lose seconds, never a minute. */
bool test_wait_at_least(_Atomic uint64_t *counter, uint64_t value);

/* A vector that runs `handler`, from those that only tests use; the same one whenever asked for
 * that handler.  Not from two threads at once. */
unsigned test_vector(intr_handler_t handler);

/* Whether `name` stands in the comma-separated list, or that is "all". */
bool test_chosen(const char *list, const char *name);
/* Runs the suites named in `list` (comma-separated, "all"); prints KTAP; true when nothing
 * failed. */
bool test_run(const char *list);
/* Runs one misuse case; returns (false) only when there is none of that name or it did not
 * panic. */
bool test_misuse(const char *name);

extern const struct test_case set_tests_start[], set_tests_end[];
extern const struct test_misuse set_misuses_start[], set_misuses_end[];

#endif
