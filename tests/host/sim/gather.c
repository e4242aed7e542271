/*
 * ipi(9), rendezvous, stop-machine.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/host/sim/actors.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/special.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"

#define GATHER_SETTLE_NS UINT64_C(50000000)
/* Enough to fall into each rendezvous of the others. */
#define GATHER_DISTURBANCES 16

static void
gather_set(struct cpuset *set, uint32_t mask)
{
	cpuset_zero(set);
	for (; mask != 0; mask &= mask - 1)
		cpuset_add(set, (unsigned)__builtin_ctz(mask));
}

static uint32_t
gather_mask(void)
{
	return 1 + scenario_below((1u << ncpu) - 1);
}

static void
gather_assert_hard(const char *what)
{
	if (!cpu_intr_p() || machine_intr_enabled())
		sim_fail("%s: not in a hard interrupt", what);
}

/* --- triggers --------------------------------------------------------------------------------- */

/* Moments, by the ledger's clock. */
static uint64_t gather_triggered[SIM_CPUS], gather_ran[SIM_CPUS];

static void
gather_triggered_intr(void *arg)
{
	uint64_t began = ledger_now();

	(void)arg;
	gather_assert_hard("ipi_trigger");
	ledger_work(scenario_below(4));
	gather_ran[curcpu()->ci_index] = began;
	engine_progress();
}

static void
gather_trigger_actor(struct actor *actor)
{
	unsigned ipi = *(const unsigned *)actor->arg;

	for (unsigned i = 0; i < 6; i++) {
		uint32_t mask = gather_mask();
		bool off = scenario_below(4) == 0, intr = false;
		struct cpuset set;

		gather_set(&set, mask);
		if (off)
			intr = machine_intr_disable();
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			if ((mask >> cpu & 1) != 0)
				gather_triggered[cpu] = ledger_now();
		ipi_trigger_multi(ipi, &set);
		machine_intr_restore(intr);
		ledger_work(scenario_below(20));
	}
}

/* --- messages --------------------------------------------------------------------------------- */

struct gather_message {
	ipi_msg_t msg;
	unsigned ran[SIM_CPUS], ended[SIM_CPUS];
};

/* A hard call and its wait, which serves what comes meanwhile. */
static void
gather_nested(void)
{
	struct ledger_call *call = ledger_new();

	if (ledger_post(call, LEDGER_UNICAST, XC_HARD | XC_TRY, UINT32_C(1) << scenario_below(ncpu)))
		ledger_wait(call);
}

static void
gather_message_intr(void *arg)
{
	struct gather_message *m = arg;
	unsigned cpu = curcpu()->ci_index;

	gather_assert_hard("ipi message");
	m->ran[cpu]++;
	ledger_work(scenario_below(6));
	if (scenario_below(3) == 0)
		gather_nested();
	m->ended[cpu]++;
	engine_progress();
}

static void
gather_message_actor(struct actor *actor)
{
	static struct gather_message all[ACTORS_MAX];
	struct gather_message *m = &all[actor->number];

	for (unsigned i = 0; i < 5; i++) {
		uint32_t mask = gather_mask();
		bool off = scenario_below(3) == 0, intr = false;
		struct cpuset set;

		gather_set(&set, mask);
		*m = (struct gather_message){ .msg = { .func = gather_message_intr, .arg = m } };
		if (off)
			intr = machine_intr_disable();
		ipi_multicast(&m->msg, &set);
		ipi_wait(&m->msg);
		machine_intr_restore(intr);
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			if (m->ran[cpu] != (mask >> cpu & 1) || m->ended[cpu] != m->ran[cpu])
				sim_fail(
				    "ipi_wait returns; of CPU %u, %s: begun %u times, ended %u times",
				    cpu, (mask >> cpu & 1) != 0 ? "sent to" : "not sent to",
				    m->ran[cpu], m->ended[cpu]);
	}
}

void
gather_ipi(unsigned variant)
{
	static unsigned ipi;

	(void)variant;
	ipi = ipi_register(gather_triggered_intr, NULL);
	for (unsigned i = 0; i < ncpu; i++)
		(void)actors_add(
		    i, scenario_below(2) != 0 ? gather_message_actor : gather_trigger_actor, &ipi);
	actors_run();
	kthread_sleep_ns(GATHER_SETTLE_NS);
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		if (gather_ran[cpu] < gather_triggered[cpu])
			sim_fail(
			    "ipi_trigger: the handler has not run on CPU %u since it was triggered",
			    cpu);
	ledger_close();
}

/* --- rendezvous ------------------------------------------------------------------------------- */

struct gather_phases {
	unsigned members;
	uint64_t opened;   /* when the first phase began */
	unsigned ended[3]; /* by phase */
	uint32_t in;       /* CPUs that have begun any */
};

/* CPUs that run a hard function of another one: not in the middle of a rendezvous. */
static unsigned gather_busy;

static void
gather_phase(struct gather_phases *g, unsigned phase)
{
	gather_assert_hard("rendezvous");
	for (unsigned before = 0; before < phase; before++)
		if (g->ended[before] != g->members)
			sim_fail("rendezvous: CPU %u begins phase %u; %u of %u have ended phase %u",
			    curcpu()->ci_index, phase, g->ended[before], g->members, before);
	if (gather_busy != 0)
		sim_fail(
		    "rendezvous: CPU %u is in a phase while another member is in the middle of a function",
		    curcpu()->ci_index);
	g->in |= UINT32_C(1) << curcpu()->ci_index;
	if (g->opened == 0)
		g->opened = clock_ns();
	ledger_work(scenario_below(8));
	g->ended[phase]++;
	engine_progress();
}

static void
gather_setup(void *arg)
{
	gather_phase(arg, 0);
}

static void
gather_action(void *arg)
{
	gather_phase(arg, 1);
}

static void
gather_teardown(void *arg)
{
	gather_phase(arg, 2);
}

/* Everyone is a member, so that whoever is in the middle of this has not come yet. */
static void
gather_busy_function(struct ledger_call *call)
{
	(void)call;
	gather_busy++;
	ledger_work(scenario_below(300));
	gather_busy--;
}

static void
gather_caller(struct actor *actor)
{
	unsigned usual = 0;

	(void)actor;
	for (unsigned i = 0; i < 5; i++) {
		/* Many end when all have just come, or are about to. */
		uint64_t timeout = usual != 0 && scenario_below(2) == 0
		    ? 1 + scenario_below(2 * usual)
		    : 0;
		uint64_t start = clock_ns();
		struct gather_phases g = { .members = ncpu };
		struct cpuset set;
		int error;

		gather_set(&set, (UINT32_C(1) << ncpu) - 1);
		error = xc_rendezvous(
		    &set, gather_setup, gather_action, gather_teardown, &g, timeout);
		engine_progress();
		if (error == ETIMEDOUT && timeout != 0)
			sim_result->near[SIM_NEAR_TIMEOUT]++;
		else if (error != 0)
			sim_fail("xc_rendezvous: error %d", error);
		else
			usual = (unsigned)(g.opened - start) % 1000000000u;
		for (unsigned phase = 0; phase < 3; phase++)
			if (g.ended[phase] != (error == 0 ? ncpu : 0))
				sim_fail(
				    "xc_rendezvous returns %d: %u of %u CPUs have ended phase %u",
				    error, g.ended[phase], ncpu, phase);
	}
}

static void
gather_disturber(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < GATHER_DISTURBANCES; i++) {
		struct ledger_call *call = ledger_new();
		bool intr = machine_intr_disable();

		call->action = gather_busy_function;
		/* It may come to the rendezvous, in its wait, while the function runs. */
		if (ledger_post(
			call, LEDGER_UNICAST, XC_HARD, UINT32_C(1) << scenario_below(ncpu))) {
			ledger_work(scenario_below(60));
			ledger_wait(call);
		}
		machine_intr_restore(intr);
		ledger_work(scenario_below(20));
	}
}

void
gather_rendezvous(unsigned variant)
{
	(void)variant;
	(void)actors_add(0, gather_caller, NULL);
	(void)actors_add(
	    scenario_below(ncpu), scenario_below(2) != 0 ? gather_caller : gather_disturber, NULL);
	(void)actors_add(ncpu - 1, gather_disturber, NULL);
	actors_run();
	kthread_sleep_ns(GATHER_SETTLE_NS);
	ledger_close();
}

/* --- stop-machine ----------------------------------------------------------------------------- */

static uint64_t gather_moves[SIM_CPUS];

static void
gather_stopped(void *arg)
{
	uint64_t before[SIM_CPUS];
	unsigned self = curcpu()->ci_index;

	(void)arg;
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		before[cpu] = gather_moves[cpu];
	ledger_work(scenario_below(60));
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		if (cpu != self && before[cpu] != gather_moves[cpu])
			sim_fail(
			    "xc_stop_machine: CPU %u moves while CPU %u has the machine stopped",
			    cpu, self);
	engine_progress();
}

static void
gather_stopper(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 2; i++) {
		ledger_work(scenario_below(40));
		if (xc_stop_machine(gather_stopped, NULL, NULL) != 0)
			sim_fail("xc_stop_machine: an error, and all CPUs are there");
	}
}

static void
gather_mover(struct actor *actor)
{
	for (unsigned i = 0; i < 60; i++) {
		gather_moves[actor->cpu]++;
		ledger_work(2);
	}
}

void
gather_stop(unsigned variant)
{
	(void)variant;
	(void)actors_add(0, gather_stopper, NULL);
	if (scenario_below(2) != 0)
		(void)actors_add(ncpu - 1, gather_stopper, NULL);
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		(void)actors_add(cpu, gather_mover, NULL);
	actors_run();
	kthread_sleep_ns(GATHER_SETTLE_NS);
	ledger_close();
}
