/*
 * Strategies: who goes on at a point, and for how long an interrupt is kept back.
 *
 *	walk	At each point, with a probability from the seed (1 to 1/256), anybody.
 *	pct	Probabilistic concurrency testing (Burckhardt, Kothari, Musuvathi, Nagarakatte,
 *		ASPLOS 2010): each virtual CPU has a priority, the best that can run does; at d
 *		steps, drawn beforehand, whoever runs gets the worst.  A defect that needs d orders
 *		of events is found with a probability that does not vanish with the length of the
 *		run.
 *	place	As pct, but what stops a virtual CPU is a place in xcall/: some of them, by the
 *		seed, so many times; and it stands still for many steps.  Finds windows of few
 *		instructions, each time through them.
 *	all	Exhaustive: every run that differs from turns without preemption in at most `depth`
 *		choices (delay bounding: Emmi, Qadeer, Rakamaric, POPL 2011).  At each choice the
 *		process forks; the child deviates.
 *
 * Whoever spins gets the worst priority: what it waits for is up to others.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/host/sim/engine.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/strategy.h"
#include "tests/host/sim/trace.h"

#define STRATEGY_CHANGES 6
/* More are not told apart. */
#define STRATEGY_SITES 1024u
/* Until the target spins or idles. */
#define STRATEGY_HOLD_LONG 1000000u

enum strategy_kind { STRATEGY_WALK, STRATEGY_PCT, STRATEGY_PLACE, STRATEGY_ALL };

static const char *const strategy_names[] = { "walk", "pct", "place", "all" };

static enum strategy_kind strategy_kind;
static uint64_t strategy_state;
static unsigned strategy_shift; /* walk: 2 to the power of -shift */
static int strategy_priority[SIM_CPUS], strategy_worst;
static uint64_t strategy_change[STRATEGY_CHANGES]; /* pct: steps */
static unsigned strategy_changes;
static unsigned strategy_places, strategy_residue; /* place: the sites with that residue */
static unsigned strategy_odds,
    strategy_stall;              /* place: stop once in so many visits, for so many steps */
static unsigned strategy_stalls; /* place: so often at each of them */
static uint8_t strategy_used[STRATEGY_SITES]; /* place: so often it did */
static uint64_t strategy_stalled[SIM_CPUS];   /* place: until that step */
static unsigned strategy_holds;               /* how interrupts are kept back: 0 never, to 3 */
static bool strategy_weak;                    /* weak operations fail for no reason */
static unsigned strategy_left;                /* all: deviations to go */
static bool strategy_open;                    /* all: and now is the time */

/* Sebastiano Vigna's splitmix64: any state will do. */
uint64_t
sim_random(uint64_t *state)
{
	uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

const char *
strategy_name(unsigned number)
{
	return number < sizeof(strategy_names) / sizeof(strategy_names[0]) ? strategy_names[number]
									   : NULL;
}

static void
strategy_draw_kind(const char *name)
{
	static const enum strategy_kind kinds[] = { STRATEGY_WALK, STRATEGY_PCT, STRATEGY_PLACE,
		STRATEGY_PLACE };

	strategy_kind = kinds[sim_below(&strategy_state, 4)];
	for (unsigned i = 0; name != NULL && strategy_name(i) != NULL; i++)
		if (strcmp(name, strategy_name(i)) == 0)
			strategy_kind = (enum strategy_kind)i;
}

static void
strategy_draw_changes(void)
{
	static const unsigned lengths[] = { 100, 300, 1000, 3000, 10000 };
	unsigned length = lengths[sim_below(&strategy_state, 5)];

	strategy_changes = 1 + sim_below(&strategy_state, STRATEGY_CHANGES);
	for (unsigned i = 0; i < strategy_changes; i++)
		strategy_change[i] = sim_below(&strategy_state, length);
}

void
strategy_init(uint64_t seed, const char *name, unsigned ncpus)
{
	static const unsigned shifts[] = { 0, 1, 2, 3, 4, 5, 6, 8 };
	static const unsigned stalls[] = { 30, 240, 1920, 7680 };

	strategy_state = seed * 2 + 1;
	strategy_draw_kind(name);
	strategy_shift = shifts[sim_below(&strategy_state, 8)];
	for (unsigned i = 0; i < ncpus; i++)
		strategy_priority[i] = (int)sim_below(&strategy_state, 1000);
	strategy_worst = 0;
	strategy_draw_changes();
	strategy_places = 8u << sim_below(&strategy_state, 3);
	strategy_residue = sim_below(&strategy_state, strategy_places);
	strategy_odds = 1 + sim_below(&strategy_state, 4);
	strategy_stall = stalls[sim_below(&strategy_state, 4)];
	strategy_stalls = 1 + sim_below(&strategy_state, 8);
	strategy_holds = sim_below(&strategy_state, 4);
	strategy_weak = sim_below(&strategy_state, 4) == 0;
	strategy_left = sim.depth;
	sim_fine = sim_below(&strategy_state, 8) == 0;
	if (strategy_kind == STRATEGY_ALL) {
		strategy_holds = 0;
		strategy_weak = sim_fine = false;
	}
	sim_result->strategy = strategy_name(strategy_kind);
}

void
strategy_window(bool open)
{
	strategy_open = open;
}

bool
strategy_spurious(void)
{
	return strategy_weak && sim_below(&strategy_state, 8) == 0;
}

/* --- exhaustive ------------------------------------------------------------------------------- */

/* True in a child, which deviates; false in the process that goes on as it was. */
static bool
strategy_deviate(void)
{
	int status;
	pid_t pid;

	if (strategy_left == 0 || !strategy_open)
		return false;
	fflush(stdout);
	pid = fork();
	if (pid < 0)
		sim_fail("fork failed");
	if (pid == 0) {
		strategy_left--;
		return true;
	}
	/* What the child counted is in the shared result; its steps up to here are ours too. */
	if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status) != 0) {
		if (!sim_result->failed)
			sim_fail("a run of the search crashed, with status %#x", (unsigned)status);
		_exit(1);
	}
	return false;
}

static unsigned
strategy_turn(unsigned self, uint32_t mask)
{
	unsigned next = self;

	do
		next = (next + 1) % SIM_CPUS;
	while ((mask >> next & 1) == 0);
	return next;
}

static unsigned
strategy_next_all(unsigned self, uint32_t mask, enum sim_kind kind, unsigned site)
{
	bool moves = kind == SIM_PAUSE || kind == SIM_IDLE;
	unsigned next = self;

	/* Who spins finds nothing new before another has run. */
	if (kind == SIM_PAUSE && (mask & (mask - 1)) != 0)
		mask &= ~(UINT32_C(1) << self);
	if (moves)
		next = strategy_turn(self, mask);
	/* Only before operations of xcall/: after them is before the next one, but for plain
	 * memory. */
	else if (kind == SIM_SWITCHED || !trace_site_of_xcall(site))
		return next;
	/* Each deviation passes over one who had the turn. */
	for (unsigned others = (unsigned)__builtin_popcount(mask) - 1;
	     others != 0 && strategy_deviate(); others--)
		next = strategy_turn(next, mask);
	return next;
}

/* --- random ----------------------------------------------------------------------------------- */

static unsigned
strategy_best(uint32_t mask)
{
	unsigned best = (unsigned)__builtin_ctz(mask);

	for (unsigned i = best + 1; i < SIM_CPUS; i++)
		if ((mask >> i & 1) != 0 && strategy_priority[i] > strategy_priority[best])
			best = i;
	return best;
}

static unsigned
strategy_anybody(uint32_t mask)
{
	for (unsigned n = sim_below(&strategy_state, (unsigned)__builtin_popcount(mask)); n != 0;
	     n--)
		mask &= mask - 1;
	return (unsigned)__builtin_ctz(mask);
}

static unsigned
strategy_next_walk(unsigned self, uint32_t mask, enum sim_kind kind)
{
	uint32_t others = mask & ~(UINT32_C(1) << self);

	if (kind == SIM_PAUSE && others != 0)
		return strategy_anybody(others);
	if (kind != SIM_IDLE && (sim_random(&strategy_state) & ((1u << strategy_shift) - 1)) != 0)
		return self;
	return strategy_anybody(mask);
}

/* Of the set, those that do not stand still; all, when all do. */
static uint32_t
strategy_moving(uint32_t mask)
{
	uint32_t moving = mask;

	for (unsigned i = 0; i < SIM_CPUS; i++)
		if (strategy_stalled[i] > engine_steps)
			moving &= ~(UINT32_C(1) << i);
	return moving != 0 ? moving : mask;
}

static unsigned
strategy_next_place(unsigned self, uint32_t mask, enum sim_kind kind, unsigned site)
{
	if (kind == SIM_PAUSE)
		strategy_priority[self] = --strategy_worst;
	else if (kind != SIM_IDLE && site % strategy_places == strategy_residue &&
	    trace_site_of_xcall(site) && strategy_used[site % STRATEGY_SITES] < strategy_stalls &&
	    sim_below(&strategy_state, strategy_odds) == 0) {
		strategy_used[site % STRATEGY_SITES]++;
		strategy_stalled[self] = engine_steps + sim_below(&strategy_state, strategy_stall);
	}
	/* Lest the one demoted last waits until all others are through. */
	if (sim_below(&strategy_state, 64) == 0)
		strategy_priority[strategy_anybody(mask)] = (int)sim_below(&strategy_state, 1000);
	return strategy_best(strategy_moving(mask));
}

static bool
strategy_demotes(enum sim_kind kind)
{
	if (kind == SIM_PAUSE)
		return true;
	if (kind == SIM_IDLE)
		return false;
	for (unsigned i = 0; i < strategy_changes; i++)
		if (strategy_change[i] == engine_steps)
			return true;
	return false;
}

unsigned
strategy_next(unsigned self, uint32_t mask, enum sim_kind kind, unsigned site)
{
	switch (strategy_kind) {
	case STRATEGY_WALK:
		return strategy_next_walk(self, mask, kind);
	case STRATEGY_ALL:
		return strategy_next_all(self, mask, kind, site);
	case STRATEGY_PLACE:
		return strategy_next_place(self, mask, kind, site);
	case STRATEGY_PCT:
		break;
	}
	if (strategy_demotes(kind))
		strategy_priority[self] = --strategy_worst;
	return strategy_best(mask);
}

unsigned
strategy_hold(unsigned target)
{
	(void)target;
	if (strategy_kind == STRATEGY_ALL)
		return strategy_deviate() ? STRATEGY_HOLD_LONG : 0;
	switch (strategy_holds) {
	case 0:
		return 0;
	case 1:
		return sim_below(&strategy_state, 4) == 0 ? sim_below(&strategy_state, 64) : 0;
	case 2:
		return sim_below(&strategy_state, 16);
	default:
		return sim_below(&strategy_state, 256);
	}
}
