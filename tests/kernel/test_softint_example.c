/*
 * The example of softint(9), as it stands there (tests/lint/examples compares them), at work.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/softint.h"
#include "tests/kernel/test.h"

struct line {
	void *sih;
	_Atomic unsigned fresh; /* bytes since the last report */
	_Atomic uint64_t total; /* bytes reported */
};

/* Soft interrupt: interrupts are on, any number of bytes may have come. */
static void
line_report(void *arg)
{
	struct line *line = arg;
	unsigned n;

	n = atomic_exchange_explicit(&line->fresh, 0, memory_order_relaxed);
	atomic_fetch_add_explicit(&line->total, n, memory_order_release);
}

/* Hardware interrupt: a byte has come. */
static void
line_intr(void *arg, struct trapframe *frame)
{
	struct line *line = arg;

	(void)frame;
	atomic_fetch_add_explicit(&line->fresh, 1, memory_order_relaxed);
	softint_schedule(line->sih);
}

static bool
line_attach(struct line *line)
{
	line->sih = softint_establish(SOFTINT_SERIAL, line_report, line);
	return line->sih != NULL;
}

/* The device is silent: nobody calls line_intr() any more. */
static void
line_detach(struct line *line)
{
	softint_disestablish(line->sih);
}

static struct line softint_line;

/* The device: each interrupt of the test's vector is a byte. */
static void
softint_line_intr(void *arg __attribute__((unused)), struct trapframe *frame)
{
	line_intr(&softint_line, frame);
}

TEST_CASE(softint, the_example_of_the_manual_works)
{
	uint64_t before = atomic_load_explicit(&softint_line.total, memory_order_relaxed), sent = 0;
	struct cpu_info *ci;

	T_ASSERT(line_attach(&softint_line));
	CPU_INFO_FOREACH(ci) {
		machine_send_ipi(ci, test_vector(softint_line_intr));
		sent++;
	}
	T_ASSERT(test_wait_at_least(&softint_line.total, before + sent));
	line_detach(&softint_line);
	T_ASSERT_EQ(atomic_load_explicit(&softint_line.total, memory_order_relaxed), before + sent);
}
