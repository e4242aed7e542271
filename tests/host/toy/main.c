/*
 * Brings the toy up, as a kernel would: all CPUs first, then xcall's part of each.  Then the cases
 * of tests/kernel/test.h that are linked in.
 *
 *	xcall-toy [CPUs [suite]]
 *
 * Exit status: 0 all passed, 1 not all, 2 panic.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/clock.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "tests/host/toy/toy.h"
#include "tests/kernel/test.h"
#include "xcall/xc_cpu.h"

#define TOY_CPUS 4u
/* As in the kernel: by the toy's clock, which only passes so far when something hangs. */
#define TOY_WAIT_NS 60000000000u
#define TOY_LOOK_NS 100000u

/* The linker gathers the cases, and names their section's ends. */
extern const struct test_case __start_set_tests[], __stop_set_tests[];

static unsigned toy_failures;
static bool toy_failed;
static const char *toy_skipped;

void
test_fail(const char *file, int line, const char *what)
{
	printf("# %s:%d: %s\n", file, line, what);
	toy_failed = true;
}

void
test_fail_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
	printf("# %s:%d: %s: %#lx, %#lx\n", file, line, what, (unsigned long)a, (unsigned long)b);
	toy_failed = true;
}

void
test_skip(const char *why)
{
	toy_skipped = why;
}

bool
test_wait_at_least(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_ns() + TOY_WAIT_NS;

	while (atomic_load_explicit(counter, memory_order_acquire) < value && clock_ns() < end)
		kthread_sleep_ns(TOY_LOOK_NS);
	return atomic_load_explicit(counter, memory_order_acquire) >= value;
}

unsigned
test_vector(intr_handler_t handler)
{
	static intr_handler_t established[INTR_VECTOR_XCALL];

	for (unsigned vector = 1; vector < INTR_VECTOR_XCALL; vector++) {
		if (established[vector] == handler)
			return vector;
		if (established[vector] == NULL) {
			established[vector] = handler;
			intr_establish(vector, handler, NULL, "test");
			return vector;
		}
	}
	panic("toy: too many test vectors");
}

static void
toy_run(const struct test_case *test, unsigned number)
{
	toy_failed = false;
	toy_skipped = NULL;
	test->run();
	toy_failures += toy_failed;
	printf("%sok %u %s.%s%s%s\n", toy_failed ? "not " : "", number, test->suite, test->name,
	    toy_skipped != NULL ? " # SKIP " : "", toy_skipped != NULL ? toy_skipped : "");
	fflush(stdout);
}

int
main(int argc, char **argv)
{
	unsigned cpus = argc > 1 ? (unsigned)atoi(argv[1]) : TOY_CPUS, number = 0;
	const char *suite = argc > 2 ? argv[2] : NULL;
	struct cpu_info *ci;

	if (cpus < 1 || cpus > MAXCPUS) {
		fprintf(stderr, "1 to %u CPUs\n", MAXCPUS);
		return 1;
	}
	toy_boot(cpus);
	CPU_INFO_FOREACH(ci)
		xc_init_cpu(ci);
	for (const struct test_case *test = __start_set_tests; test < __stop_set_tests; test++)
		if (suite == NULL || strcmp(suite, test->suite) == 0)
			toy_run(test, ++number);
	printf("# %u CPUs: %u cases, %u failed, %lu ms of the toy's time\n", cpus, number,
	    toy_failures, (unsigned long)(clock_ns() / 1000000));
	return number == 0 || toy_failures != 0;
}
