/*
 * Torture for some seconds, with a seed that is always the same.
 */
#include "kernel/cpu.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "tests/kernel/torture.h"
#include "tests/kernel/torture_ledger.h"

#define TORTURE_SECONDS ROUNDS(5)
#define TORTURE_SEED 20080115u

TEST_CASE(torture, every_call_does_what_the_ledger_says)
{
	if (ncpu > TORTURE_CPUS) {
		test_skip("more CPUs than a word has bits");
		return;
	}
	if (ncpu > 1 && !plug_begin())
		return;
	T_ASSERT(torture_run(TORTURE_SECONDS, TORTURE_SEED));
}
