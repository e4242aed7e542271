/*
 * The threads of a scenario (actors.h): they are made first, and let go together.
 */
#include "tests/host/sim/actors.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/strategy.h"

static struct actor actors_all[ACTORS_MAX];
static unsigned actors_n, actors_ended;

struct actor *
actors_add(unsigned cpu, void (*run)(struct actor *), void *arg)
{
	struct actor *actor = &actors_all[actors_n];

	if (actors_n == ACTORS_MAX)
		sim_fail("the scenario wants more than %u actors", ACTORS_MAX);
	*actor = (struct actor){ .number = actors_n++, .cpu = cpu, .run = run, .arg = arg };
	return actor;
}

static void
actors_main(void *arg)
{
	struct actor *actor = arg;

	strategy_window(true);
	actor->run(actor);
	if (++actors_ended == actors_n)
		strategy_window(false);
}

void
actors_run(void)
{
	static const pri_t priorities[] = { PRI_USER, PRI_KERNEL, PRI_KERNEL, PRI_KTHREAD };
	lwp_t *thread[ACTORS_MAX];

	for (unsigned i = 0; i < actors_n; i++)
		if (kthread_create(priorities[scenario_below(4)], KTHREAD_MPSAFE | KTHREAD_MUSTJOIN,
			cpu_lookup(actors_all[i].cpu), actors_main, &actors_all[i], &thread[i],
			"actor/%u", i) != 0)
			sim_fail("no memory for an actor");
	for (unsigned i = 0; i < actors_n; i++)
		(void)kthread_join(thread[i]);
}
