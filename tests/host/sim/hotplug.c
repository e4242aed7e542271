/*
 * A CPU that comes and goes while others post to it; barriers and drains.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "tests/host/sim/actors.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/special.h"
#include "xcall/xc_cpu.h"
#include "xcall/xcall.h"

#define HOTPLUG_SETTLE_NS UINT64_C(50000000)

static unsigned hotplug_cpu; /* which */
static const unsigned hotplug_flags[] = { 0, XC_HIGHPRI, XC_HIGHPRI | 2u << 8, XC_HARD, XC_NMI,
	XC_HARD | XC_LAZY };

/* Whatever was posted to the CPU has run when it has gone; and nothing comes any more. */
static void
hotplug_check_gone(void)
{
	for (unsigned i = 0; i < ledger_count(); i++) {
		const struct ledger_call *call = ledger_number(i);

		if (call->posted && (call->must >> hotplug_cpu & 1) != 0 &&
		    !ledger_ran(call, hotplug_cpu))
			sim_fail("call %u was posted to CPU %u, which has gone without running it",
			    i, hotplug_cpu);
	}
}

static uint64_t
hotplug_begun(void)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < ledger_count(); i++)
		n += ledger_number(i)->begun[hotplug_cpu] != 0;
	return n;
}

static void
hotplug_actor(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 2; i++) {
		uint64_t begun;
		int error;

		ledger_work(scenario_below(100));
		error = xc_cpu_dying(curcpu());
		if (error != 0)
			sim_fail("xc_cpu_dying: error %d, and other CPUs are there", error);
		hotplug_check_gone();
		begun = hotplug_begun();
		ledger_work(scenario_below(200));
		if (hotplug_begun() != begun)
			sim_fail("CPU %u has gone, and runs a call", hotplug_cpu);
		xc_cpu_online(curcpu());
	}
}

static void
hotplug_poster(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 5; i++) {
		struct ledger_call *call = ledger_new();
		enum ledger_way way = scenario_below(3) == 0 ? LEDGER_BROADCAST : LEDGER_UNICAST;

		call->work = scenario_below(8);
		if (ledger_post(
			call, way, hotplug_flags[scenario_below(6)], UINT32_C(1) << hotplug_cpu) &&
		    scenario_below(2) != 0)
			ledger_wait(call);
		ledger_work(scenario_below(40));
	}
	for (unsigned i = 0; i < ledger_count(); i++)
		if (ledger_number(i)->posted)
			ledger_wait(ledger_number(i));
}

void
hotplug_run(unsigned variant)
{
	(void)variant;
	hotplug_cpu = ncpu - 1;
	ledger_flux = UINT32_C(1) << hotplug_cpu;
	ledger_online &= ~ledger_flux;
	(void)actors_add(hotplug_cpu, hotplug_actor, NULL);
	(void)actors_add(0, hotplug_poster, NULL);
	(void)actors_add(scenario_below(ncpu - 1), hotplug_poster, NULL);
	actors_run();
	kthread_sleep_ns(HOTPLUG_SETTLE_NS);
	ledger_close();
}

/* --- barrier ---------------------------------------------------------------------------------- */

static uint64_t hotplug_section[SIM_CPUS]; /* number of the section that this CPU is in; 0: none */

static void
hotplug_section_actor(struct actor *actor)
{
	for (unsigned i = 1; i <= 5; i++) {
		kpreempt_disable();
		hotplug_section[actor->cpu] = i;
		ledger_work(scenario_below(60));
		hotplug_section[actor->cpu] = 0;
		kpreempt_enable();
		ledger_work(scenario_below(20));
	}
}

static void
hotplug_barrier_actor(struct actor *actor)
{
	uint64_t before[SIM_CPUS];

	(void)actor;
	for (unsigned i = 0; i < 3; i++) {
		ledger_work(scenario_below(60));
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			before[cpu] = hotplug_section[cpu];
		xc_barrier(0);
		engine_progress();
		for (unsigned cpu = 0; cpu < ncpu; cpu++)
			if (before[cpu] != 0 && hotplug_section[cpu] == before[cpu])
				sim_fail(
				    "xc_barrier: CPU %u is still in the section with preemption off that it "
				    "was in before",
				    cpu);
	}
}

void
hotplug_barrier(unsigned variant)
{
	(void)variant;
	(void)actors_add(0, hotplug_barrier_actor, NULL);
	for (unsigned cpu = 1; cpu < ncpu; cpu++)
		(void)actors_add(cpu, hotplug_section_actor, NULL);
	actors_run();
	kthread_sleep_ns(HOTPLUG_SETTLE_NS);
	ledger_close();
}

/* --- drain ------------------------------------------------------------------------------------ */

static void
hotplug_drain_poster(struct actor *actor)
{
	struct xc_call *descriptors = actor->arg;

	for (unsigned i = 0; i < 4; i++) {
		struct ledger_call *call = ledger_new();

		call->work = scenario_below(40);
		call->descriptor = &descriptors[i];
		(void)ledger_post(call, scenario_below(3) == 0 ? LEDGER_DESCRIPTOR : LEDGER_UNICAST,
		    hotplug_flags[scenario_below(4)], UINT32_C(1) << scenario_below(ncpu));
	}
}

static void
hotplug_drain_actor(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 3; i++) {
		unsigned flags = hotplug_flags[scenario_below(4)];
		uint64_t before;

		ledger_work(scenario_below(100));
		before = ledger_now();
		xc_drain(flags);
		engine_progress();
		for (unsigned n = 0; n < ledger_count(); n++) {
			const struct ledger_call *call = ledger_number(n);

			for (unsigned cpu = 0; cpu < ncpu; cpu++)
				if (call->posted && call->post_end < before &&
				    call->flags == flags && (call->must >> cpu & 1) != 0 &&
				    !ledger_ran(call, cpu))
					sim_fail(
					    "xc_drain: call %u, posted before it, has not run", n);
		}
	}
}

void
hotplug_drain(unsigned variant)
{
	static struct xc_call descriptors[2][4];

	(void)variant;
	(void)actors_add(0, hotplug_drain_actor, NULL);
	(void)actors_add(scenario_below(ncpu), hotplug_drain_poster, descriptors[0]);
	(void)actors_add(scenario_below(ncpu), hotplug_drain_poster, descriptors[1]);
	actors_run();
	for (unsigned i = 0; i < ledger_count(); i++)
		if (ledger_number(i)->posted)
			ledger_wait(ledger_number(i));
	kthread_sleep_ns(HOTPLUG_SETTLE_NS);
	ledger_close();
}
