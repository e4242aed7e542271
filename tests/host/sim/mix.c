/*
 * Random programs: a few threads that post, wait, cancel and look, each drawn from the seed by the
 * weights of a profile.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/host/sim/actors.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/mix.h"
#include "tests/host/sim/pool.h"
#include "tests/host/sim/scenario.h"

/* Descriptors of an actor. */
#define MIX_DESCRIPTORS 3u
/* Calls of an actor that nobody has waited for yet. */
#define MIX_OPEN 4u
#define MIX_SETTLE_NS UINT64_C(50000000)

struct mix_actor {
	struct ledger_call *open[MIX_OPEN];
	unsigned nopen;
	struct xc_call descriptor[MIX_DESCRIPTORS];
};

static const struct mix_profile mix_profiles[MIX_PROFILES] = {
	[MIX_LOW] = { .low = 1 },
	[MIX_SOFT] = { .soft = 1 },
	[MIX_HARD] = { .hard = 1, .intr_off = 30 },
	[MIX_NMI] = { .nmi = 1, .intr_off = 30 },
	[MIX_LEVELS] = { .low = 2, .soft = 2, .hard = 2, .nmi = 1, .intr_off = 15, .nested = 10 },
	[MIX_SETS] = { .low = 1, .soft = 1, .hard = 1, .nmi = 1, .sets = 80, .cancel = 10 },
	[MIX_DESCRIPTOR] = { .low = 1,
	    .soft = 1,
	    .hard = 1,
	    .descriptors = 60,
	    .cancel = 10,
	    .timed = 10 },
	[MIX_CANCEL] = { .low = 2, .soft = 1, .hard = 2, .nmi = 1, .sets = 30, .cancel = 60 },
	[MIX_TIMED] = { .low = 2, .soft = 1, .hard = 2, .nmi = 1, .timed = 60, .cancel = 20 },
	[MIX_NESTED] = { .low = 3, .soft = 1, .hard = 2, .nested = 70 },
	[MIX_LAZY] = { .low = 1, .soft = 1, .hard = 2, .lazy = 50, .intr_off = 20, .sets = 20 },
	[MIX_ALL] = { .low = 2,
	    .soft = 2,
	    .hard = 2,
	    .nmi = 1,
	    .intr_off = 15,
	    .nested = 15,
	    .sets = 25,
	    .descriptors = 20,
	    .cancel = 15,
	    .timed = 15,
	    .lazy = 10,
	    .try = 10 },
};

static const struct mix_profile *mix;
static unsigned mix_posts;

static bool
mix_percent(unsigned percent)
{
	return scenario_below(100) < percent;
}

static unsigned
mix_flags(const struct mix_profile *profile, bool may_nmi)
{
	unsigned at = scenario_below(
	    profile->low + profile->soft + profile->hard + (may_nmi ? profile->nmi : 0));

	if (at < profile->low)
		return 0;
	at -= profile->low;
	if (at < profile->soft)
		return XC_HIGHPRI | scenario_below(4) << 8;
	at -= profile->soft;
	return at < profile->hard ? XC_HARD : XC_NMI;
}

static uint32_t
mix_set(void)
{
	uint32_t all = (UINT32_C(1) << ncpu) - 1, set = 0;

	while (set == 0)
		set = scenario_below(all) + 1;
	return set;
}

/* --- what functions do ------------------------------------------------------------------------ */

/* Posts another call, of a level that the context allows, and waits for it if that is allowed. */
static void
mix_nested(struct ledger_call *call)
{
	struct ledger_call *next = ledger_new();
	unsigned flags = mix_flags(mix, false);
	enum ledger_way way = mix_percent(mix->sets) ? LEDGER_MULTICAST : LEDGER_UNICAST;
	uint32_t set = way == LEDGER_UNICAST ? UINT32_C(1) << scenario_below(ncpu) : mix_set();
	bool wait = call->level == XC_LEVEL_LOW || (flags & XC_HARD) != 0;

	/* The call that runs here may hold the last room of its sender's, which is this CPU. */
	if ((flags & XC_HARD) != 0)
		flags |= XC_TRY;
	next->work = scenario_below(4);
	if (ledger_post(next, way, flags, set) && wait && mix_percent(70))
		ledger_wait(next);
}

/* --- what actors do --------------------------------------------------------------------------- */

static struct xc_call *
mix_free_descriptor(struct mix_actor *a)
{
	for (unsigned i = 0; i < MIX_DESCRIPTORS; i++)
		if (xc_call_done(&a->descriptor[i]))
			return &a->descriptor[i];
	return NULL;
}

/* Deals with one of its open calls, or with anybody's. */
static void
mix_settle(struct mix_actor *a)
{
	static const uint64_t timeouts[] = { 0, 1000, 10000, 100000, 1000000, 20000000 };
	unsigned at = scenario_below(a->nopen);
	struct ledger_call *call = a->open[at],
			   *other = ledger_number(scenario_below(ledger_count()));
	bool own = mix_percent(80) || !other->posted || other->way == LEDGER_DESCRIPTOR;

	if (!own)
		call = other;
	if (mix_percent(mix->cancel))
		ledger_cancel(call);
	else if (mix_percent(mix->timed) && !ledger_timedwait(call, timeouts[scenario_below(6)]))
		return;
	else if (mix_percent(20) && !ledger_done(call))
		return;
	else
		ledger_wait(call);
	if (own)
		a->open[at] = a->open[--a->nopen];
}

static void
mix_post(struct mix_actor *a)
{
	static const enum ledger_way sets[] = { LEDGER_MULTICAST, LEDGER_BROADCAST,
		LEDGER_BROADCAST, LEDGER_ANY };
	struct ledger_call *call = ledger_new();
	unsigned flags = mix_flags(mix, true);
	enum ledger_way way = mix_percent(mix->sets) ? sets[scenario_below(4)] : LEDGER_UNICAST;
	uint32_t set = UINT32_C(1) << scenario_below(ncpu);
	bool off = mix_percent(mix->intr_off), intr = false, posted;

	if ((flags & XC_NMI) == 0 && mix_percent(mix->descriptors) &&
	    (call->descriptor = mix_free_descriptor(a)) != NULL)
		way = LEDGER_DESCRIPTOR;
	if (way == LEDGER_MULTICAST || way == LEDGER_ANY)
		set = mix_set();
	if ((flags & XC_NMI) == 0 && mix_percent(mix->lazy))
		flags |= XC_LAZY;
	if (mix_percent(mix->try))
		flags |= XC_TRY;
	if (way >= LEDGER_MULTICAST && way <= LEDGER_ANY && mix_percent(20))
		flags |= XC_NOSELF;
	call->work = scenario_below(6);
	if ((flags & XC_NMI) == 0 && mix_percent(mix->nested))
		call->action = mix_nested;
	if (off)
		intr = machine_intr_disable();
	posted = ledger_post(call, way, flags, set);
	if (posted && off && call->level >= XC_LEVEL_HARD && mix_percent(50))
		ledger_wait(call);
	machine_intr_restore(intr);
	if (posted)
		a->open[a->nopen++] = call;
}

static void
mix_actor(struct actor *actor)
{
	struct mix_actor *a = actor->arg;

	for (unsigned i = 0; i < mix_posts; i++) {
		while (a->nopen == MIX_OPEN)
			mix_settle(a);
		mix_post(a);
		if (a->nopen != 0 && mix_percent(50))
			mix_settle(a);
		ledger_work(scenario_below(8));
	}
	while (a->nopen != 0)
		mix_settle(a);
}

/* Without a tick a lazy call runs when somebody waits for it, or when another interrupt comes. */
static void
mix_stop_tick(void *arg1, void *arg2)
{
	bool intr = machine_intr_disable();

	(void)arg1;
	(void)arg2;
	machine_timer_program(1, 0, false);
	machine_intr_restore(intr);
}

static void
mix_stop_ticks(void)
{
	for (unsigned i = 1; i < ncpu; i++)
		xc_wait(xc_unicast(0, mix_stop_tick, NULL, NULL, cpu_lookup(i)));
}

void
mix_actors(unsigned profile, unsigned actors, unsigned posts)
{
	static struct mix_actor all[ACTORS_MAX];

	mix = &mix_profiles[profile];
	mix_posts = posts;
	/* Not both: who waits for room does not announce the lazy calls that have it. */
	if (profile == MIX_LAZY && scenario_below(2) == 0)
		mix_stop_ticks();
	else if (scenario_below(2) == 0)
		pool_shrink(1 + scenario_below(3), 1 + scenario_below(2), 1);
	for (unsigned i = 0; i < actors; i++)
		(void)actors_add(i < 2 ? (ncpu - 1) * i : scenario_below(ncpu), mix_actor, &all[i]);
	actors_run();
	/* Who gave a slot back last may not have come to its end. */
	kthread_sleep_ns(MIX_SETTLE_NS);
	ledger_close();
}

void
mix_run(unsigned profile)
{
	mix_actors(profile, 2 + scenario_below(3), 2 + scenario_below(7));
}
