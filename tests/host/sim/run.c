/*
 * One run: everything that it does is drawn from its seed.
 */
#include <stddef.h>
#include <string.h>

#include "kernel/cpu.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/run.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/special.h"
#include "tests/host/sim/strategy.h"
#include "xcall/xc_status.h"

/* Longer than a scenario's patience. */
#define RUN_STALL_NS UINT64_C(1000000000000)

static uint64_t run_state; /* the scenario's numbers */

unsigned
scenario_below(unsigned bound)
{
	return sim_below(&run_state, bound);
}

static unsigned
run_weights(void)
{
	unsigned sum = 0;

	for (unsigned i = 0; scenario_number(i) != NULL; i++)
		sum += scenario_number(i)->weight;
	return sum;
}

/* The same for every process that asks: before the boot, and in the run. */
static const struct scenario *
run_scenario(uint64_t seed)
{
	uint64_t state = seed ^ UINT64_C(0x5c5c5c5c5c5c5c5c);
	unsigned at = sim_below(&state, run_weights());

	for (unsigned i = 0; sim.scenario != NULL && scenario_number(i) != NULL; i++)
		if (strcmp(sim.scenario, scenario_number(i)->name) == 0)
			return scenario_number(i);
	if (sim.scenario != NULL)
		sim_fail("there is no scenario \"%s\"", sim.scenario);
	for (unsigned i = 0;; i++) {
		if (at < scenario_number(i)->weight)
			return scenario_number(i);
		at -= scenario_number(i)->weight;
	}
}

unsigned
run_cpus(uint64_t seed)
{
	static const unsigned cpus[] = { 2, 2, 2, 3, 3, 4 };
	uint64_t state = seed ^ UINT64_C(0x3636363636363636);
	unsigned drawn = cpus[sim_below(&state, 6)], least = run_scenario(seed)->cpus;

	return drawn > least ? drawn : least;
}

void
run_main(void)
{
	/* Of one CPU; the others' time goes by as well.  The longest leaves a tick some thousand
	 * steps. */
	static const unsigned steps_ns[] = { 20, 200, 2000, 6000 };
	const struct scenario *s = run_scenario(sim.seed);
	uint64_t state = (sim.seed * SIM_RUNS + sim.run) * UINT64_C(0x2545f4914f6cdd1d) + 1;

	run_state = sim_random(&state);
	sim_result->scenario = s->name;
	strategy_init(
	    sim_random(&state), sim.strategy != NULL || !s->clocked ? sim.strategy : "walk", ncpu);
	ledger_online = (UINT32_C(1) << ncpu) - 1;
	sim.lenient = s->clocked;
	/* No rescue: what is lost stays lost. */
	if (s->run != cases_run)
		xc_stall_config(RUN_STALL_NS, 0, false, false);
	sim.max_steps *= s->steps != 0 ? s->steps : 1;
	engine_begin(
	    1 + steps_ns[s->clocked ? 2 + sim_below(&state, 2) : sim_below(&state, 4)] / ncpu);
	s->run(s->variant);
	sim_pass();
}
