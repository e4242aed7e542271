/*
 * The cases of tests/kernel/test_xcall*.c as scenarios, and what they ask of their runner
 * (tests/kernel/test.h): here a failed assertion ends the run.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/kthread.h"
#include "kernel/string.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/special.h"
#include "tests/kernel/test.h"

/* As in tests/kernel/test.c. */
#define CASES_VECTOR_FIRST 0xa0u
#define CASES_VECTORS 16u
/* Cases wait up to a minute for what should come at once; and sleep for seconds. */
#define CASES_PATIENCE_NS UINT64_C(200000000000)
#define CASES_HANG_NS UINT64_C(60000000000)

/* Suites that are scenarios: none judges how long anything takes. */
static const char *const cases_suites[] = { "xcall", "xcall_barrier", "xcall_cancel",
	"xcall_descriptor", "xcall_direct", "xcall_example", "xcall_hard", "xcall_ipi",
	"xcall_ipi_example", "xcall_ipi_storm", "xcall_lazy", "xcall_levels", "xcall_order",
	"xcall_promises", "xcall_rendezvous", "xcall_room", "xcall_seed", "xcall_stack",
	"xcall_status", "xcall_stop", "xcall_storm", "xcall_timed", "xcall_wait" };

/* Cases in them that are not, by how their names begin. */
static const char *const cases_left_out[] = {
	/* As much as fits into a second, or thousands of rounds. */
	"the_set_of_targets_may_change_during_a_post",
	"is_consistent_while_slots_change_hands",
	/* They want slots to be used strictly in turn, which a target that is held up before it
	 * gives one back prevents. */
	"tickets_cross_all_edges",
	"slots_age_evenly",
	/* It wants to have been in the window at least once; a tick to stay away as long as it
	 * looks. */
	"the_low_barrier_waits_out_preemption_off",
	"a_lazy_call_runs_at_the_next_interrupt_and_not_before",
};

void
test_fail(const char *file, int line, const char *what)
{
	sim_fail("%s:%d: failed: %s", file, line, what);
}

void
test_fail_eq(const char *file, int line, const char *what, uint64_t a, uint64_t b)
{
	sim_fail("%s:%d: failed: %s: %#lx, %#lx", file, line, what, a, b);
}

void
test_skip(const char *why)
{
	(void)why;
}

bool
test_wait_at_least(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_ns() + CASES_HANG_NS;

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
	static intr_handler_t established[CASES_VECTORS];

	for (unsigned i = 0; i < CASES_VECTORS; i++) {
		if (established[i] == NULL) {
			established[i] = handler;
			intr_establish(CASES_VECTOR_FIRST + i, handler, NULL, "test");
		}
		if (established[i] == handler)
			return CASES_VECTOR_FIRST + i;
	}
	sim_fail("the cases want more than %u vectors", CASES_VECTORS);
}

static bool
cases_wanted(const struct test_case *t)
{
	bool suite = false;

	for (unsigned i = 0; i < sizeof(cases_suites) / sizeof(cases_suites[0]); i++)
		suite = suite || strcmp(t->suite, cases_suites[i]) == 0;
	for (unsigned i = 0; i < sizeof(cases_left_out) / sizeof(cases_left_out[0]); i++)
		if (strncmp(t->name, cases_left_out[i], strlen(cases_left_out[i])) == 0)
			return false;
	return suite;
}

/* Those of tests/README.md, "The promises". */
static bool
cases_promise(const struct test_case *t)
{
	return strcmp(t->suite, "xcall_promises") == 0 ||
	    strcmp(t->name, "resources_that_run_out_push_back_and_drop_nothing") == 0;
}

void
cases_run(unsigned variant)
{
	const struct test_case *t;

	do
		t = &set_tests_start[scenario_below((unsigned)(set_tests_end - set_tests_start))];
	while (!cases_wanted(t) || (variant == CASES_PROMISES && !cases_promise(t)));
	sim_result->detail = t->name;
	engine_set_patience(CASES_PATIENCE_NS);
	t->run();
}
