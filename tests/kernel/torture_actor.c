/*
 * The actors of torture: what each does at each step.
 *
 * The dice of a step start from seed, actor and number of the step alone, not from what happened
 * before: the same seed is the same choice at each step, as far as the step comes.
 */
#include "tests/kernel/torture_actor.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/intr.h"
#include "kernel/ipl.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/softint.h"
#include "kernel/timer.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/test.h"
#include "tests/kernel/torture_special.h"
#include "xcall/xc_status.h"

/* Interrupts, or preemption, stay off for up to that long. */
#define ACTOR_MASK_US 100u
/* Calls in a row, at most. */
#define ACTOR_BURST 6u
/* Between two calls of a ring: from none to what the target takes to serve one. */
#define ACTOR_RING_SPINS 400u
/* A soft interrupt of the first level; the timer's; the vector's. */
#define ACTOR_SOFT TORTURE_THREADS
#define ACTOR_TIMER (ACTOR_SOFT + SOFTINT_COUNT)
#define ACTOR_VECTOR (ACTOR_TIMER + 1)

static struct torture_actor *actor_all; /* by CPU */
static _Atomic bool actor_going;
static bool actor_ring; /* constant while they go */
static void *actor_softint[SOFTINT_COUNT];
static unsigned actor_vector;
static _Atomic(intr_hook_t) actor_hook; /* that was there before */

static struct torture_actor *
actor_here(unsigned which)
{
	return &actor_all[curcpu()->ci_index * TORTURE_ACTORS + which];
}

static bool
actor_goes(void)
{
	/* Acquire: pairs with torture_actors_start(). */
	return atomic_load_explicit(&actor_going, memory_order_acquire);
}

static struct torture_call *
actor_any_call(struct torture_dice *dice)
{
	struct torture_actor *actor = &actor_all[torture_below(dice, ncpu * TORTURE_ACTORS)];

	return &actor->call[torture_below(dice, TORTURE_OPEN)];
}

struct cpu_info *
torture_cpu(struct torture_dice *dice)
{
	unsigned n = torture_below(dice, ncpu);

	return cpu_lookup(n == torture_victim ? 0 : n);
}

uint64_t
torture_some(struct torture_dice *dice)
{
	uint64_t all = torture_all();
	uint64_t set = torture_throw(dice) & all;

	return set != 0 ? set : all;
}

/* --- calls ------------------------------------------------------------------------------------ */

static unsigned
actor_flags(struct torture_dice *dice, enum torture_way way)
{
	static const uint8_t levels[] = { XC_LEVEL_LOW, XC_LEVEL_LOW, XC_LEVEL_LOW, XC_LEVEL_LOW,
		XC_LEVEL_SOFTCLOCK, XC_LEVEL_SOFTBIO, XC_LEVEL_SOFTNET, XC_LEVEL_SOFTSERIAL,
		XC_LEVEL_HARD, XC_LEVEL_HARD, XC_LEVEL_HARD, XC_LEVEL_HARD, XC_LEVEL_NMI };
	enum xc_level level = (enum xc_level)levels[torture_below(dice, sizeof(levels))];
	unsigned flags;

	if (way == TORTURE_DESCRIPTOR && level == XC_LEVEL_NMI)
		level = XC_LEVEL_HARD;
	flags = calls_flags(level);
	if (level != XC_LEVEL_NMI && torture_percent(dice, 12))
		flags |= XC_LAZY;
	if (torture_percent(dice, 10))
		flags |= XC_TRY;
	if (torture_percent(dice, 15))
		flags |= XC_NOSELF;
	return flags;
}

static uint64_t
actor_tag(struct torture_actor *actor)
{
	return (uint64_t)(actor->number + 1) << 40 | ++actor->calls;
}

static void
actor_post(struct torture_actor *actor, enum torture_place place, struct torture_dice *dice)
{
	static const uint8_t ways[] = { TORTURE_UNICAST, TORTURE_UNICAST, TORTURE_UNICAST,
		TORTURE_UNICAST, TORTURE_BROADCAST, TORTURE_MULTICAST, TORTURE_ANY, TORTURE_COND,
		TORTURE_DESCRIPTOR, TORTURE_DESCRIPTOR };
	enum torture_way way = (enum torture_way)ways[torture_below(dice, sizeof(ways))];
	unsigned flags = actor_flags(dice, way);
	uint64_t set = way == TORTURE_UNICAST || way == TORTURE_DESCRIPTOR
	    ? UINT64_C(1) << torture_below(dice, ncpu)
	    : torture_some(dice);
	struct torture_call *call = actor->slot[actor->open];

	if (place == TORTURE_SPINS)
		flags |= XC_TRY;
	call->nests = torture_percent(dice, 15);
	if (torture_post(call, actor_tag(actor), way, flags, set, dice))
		actor->open++;
}

/* One of its open calls, which moves to the end when it is over. */
static void
actor_settle_one(
    struct torture_actor *actor, unsigned at, enum torture_place place, struct torture_dice *dice)
{
	struct torture_call *call = actor->slot[at];

	if (!torture_settle(call, place, dice))
		return;
	actor->slot[at] = actor->slot[--actor->open];
	actor->slot[actor->open] = call;
}

static void
actor_settle(struct torture_actor *actor, enum torture_place place, struct torture_dice *dice)
{
	unsigned at = torture_below(dice, TORTURE_OPEN);

	if (actor->open != 0)
		actor_settle_one(actor, at % actor->open, place, dice);
}

/* Those that are over by themselves. */
static void
actor_sweep(struct torture_actor *actor, const struct torture_dice *dice)
{
	struct torture_dice other = *dice;

	for (unsigned i = actor->open; i-- != 0;)
		actor_settle_one(actor, i, TORTURE_ASKS, &other);
}

static void
actor_burst(struct torture_actor *actor, enum torture_place place, struct torture_dice *dice)
{
	unsigned n = 1 + torture_below(dice, ACTOR_BURST);

	/* At times as many as it can: more than its CPU has room for, if others do the same. */
	if (torture_percent(dice, 5))
		n = TORTURE_OPEN;
	for (; n != 0; n--)
		if (actor->open < TORTURE_OPEN)
			actor_post(actor, place, dice);
}

/* A few calls, and some time, where it may not sleep. */
static void
actor_spin(struct torture_actor *actor, struct torture_dice *dice)
{
	actor_sweep(actor, dice);
	actor_burst(actor, TORTURE_SPINS, dice);
	actor_settle(actor, TORTURE_SPINS, dice);
	delay_us(torture_below(dice, ACTOR_MASK_US));
}

static void
actor_begin_step(struct torture_actor *actor, struct torture_dice *dice)
{
	dice->state = torture_hash(actor->seed + ++actor->step);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void
actor_doing(struct torture_actor *actor, const char *what)
{
	atomic_store_explicit(&actor->doing, what, memory_order_relaxed);
}

static void
actor_mask(struct torture_actor *actor, struct torture_dice *dice)
{
	bool intr;

	torture_count(TORTURE_MASKS, 1);
	if (torture_percent(dice, 50)) {
		torture_nopreempt(actor_spin, actor, dice);
		return;
	}
	intr = machine_intr_disable();
	actor_spin(actor, dice);
	machine_intr_restore(intr);
}

static void
actor_rare(struct torture_actor *actor, struct torture_dice *dice)
{
	unsigned at = torture_below(dice, 100);

	if (at < 30) {
		actor_doing(actor, "barrier");
		torture_barrier();
	} else if (at < 60) {
		actor_doing(actor, "drain");
		torture_drain(actor, dice);
	} else if (at < 85) {
		actor_doing(actor, "rendezvous");
		torture_rendezvous(dice);
	} else {
		actor_doing(actor, "stop-machine");
		torture_stop(dice);
	}
}

static void
actor_interrupt(struct torture_dice *dice)
{
	struct cpu_info *ci = torture_cpu(dice);
	unsigned level = torture_below(dice, SOFTINT_COUNT);

	if (torture_percent(dice, 50))
		softint_schedule(actor_softint[level]);
	else
		machine_send_ipi(ci, actor_vector);
}

static void
actor_other(struct torture_actor *actor, struct torture_dice *dice)
{
	unsigned at = torture_below(dice, 100);

	if (at < 25) {
		actor_doing(actor, "interrupts");
		actor_interrupt(dice);
	} else if (at < 45) {
		actor_doing(actor, "interrupts off");
		actor_mask(actor, dice);
	} else if (at < 60) {
		actor_doing(actor, "ipi(9) message");
		torture_message(dice);
	} else if (at < 75) {
		actor_doing(actor, "ipi(9) trigger");
		torture_trigger(dice);
	} else if (at < 90) {
		actor_doing(actor, "wait for another one's call");
		torture_look(actor_any_call(dice), dice);
	} else {
		actor_rare(actor, dice);
	}
}

static void
actor_step(struct torture_actor *actor)
{
	struct torture_dice dice;
	unsigned at;

	actor_begin_step(actor, &dice);
	at = torture_below(&dice, 100);
	if (at < 40)
		actor_sweep(actor, &dice);
	if (actor->open == TORTURE_OPEN || (at >= 70 && at < 80)) {
		actor_doing(actor, "wait");
		actor_settle(actor, TORTURE_THREAD, &dice);
	} else if (at < 70) {
		actor_doing(actor, "post");
		actor_burst(actor, TORTURE_THREAD, &dice);
	} else {
		actor_other(actor, &dice);
	}
	actor_doing(actor, "calls of functions");
	torture_reap();
	atomic_fetch_add_explicit(&actor->steps, 1, memory_order_relaxed);
}

/* Some calls to the next CPU, close to each other, and a wait for all. */
static void
actor_step_ring(struct torture_actor *actor)
{
	uint64_t set = UINT64_C(1) << (curcpu()->ci_index + 1) % ncpu;
	struct torture_dice dice;

	actor_begin_step(actor, &dice);
	actor_doing(actor, "ring");
	for (unsigned n = 1 + torture_below(&dice, 3); n != 0; n--) {
		enum torture_way way = torture_percent(&dice, 70) ? TORTURE_UNICAST
								  : TORTURE_DESCRIPTOR;
		unsigned flags = actor_flags(&dice, way) & ~XC_TRY;

		actor->slot[actor->open]->nests = false;
		if (torture_post(actor->slot[actor->open], actor_tag(actor), way, flags, set, &dice))
			actor->open++;
		for (unsigned spin = torture_below(&dice, ACTOR_RING_SPINS); spin != 0; spin--)
			machine_pause();
	}
	for (; actor->open != 0; actor->open--)
		torture_finish(actor->slot[actor->open - 1]);
	atomic_fetch_add_explicit(&actor->steps, 1, memory_order_relaxed);
}

/* Without a tick a lazy call runs when somebody waits for it.  CPU 0 keeps its own: who watches
 * sleeps there. */
static void
actor_tick(bool on)
{
	bool intr = machine_intr_disable();

	if (!on)
		timer_stop();
	else if (timer_start() != 0)
		torture_wrong("the timer cannot be set going again", 0, curcpu()->ci_index, 0);
	machine_intr_restore(intr);
}

static void
actor_thread_ring(struct torture_actor *actor)
{
	bool stop = curcpu()->ci_index != 0;

	if (stop)
		actor_tick(false);
	while (actor_goes())
		actor_step_ring(actor);
	if (stop)
		actor_tick(true);
}

static void
actor_thread(void *arg)
{
	struct torture_actor *actor = arg;

	if (actor_ring)
		actor_thread_ring(actor);
	while (actor_goes())
		actor_step(actor);
	actor_doing(actor, "end");
	for (; actor->open != 0; actor->open--)
		torture_finish(actor->slot[actor->open - 1]);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void
actor_in_interrupt(struct torture_actor *actor)
{
	struct torture_dice dice;

	if (!actor_goes() || actor_ring)
		return;
	actor_begin_step(actor, &dice);
	actor_sweep(actor, &dice);
	actor_burst(actor, TORTURE_SPINS, &dice);
	if (torture_percent(&dice, 10))
		actor_settle(actor, TORTURE_SPINS, &dice);
}

static void
actor_soft(void *arg)
{
	actor_in_interrupt(actor_here(ACTOR_SOFT + (unsigned)(uintptr_t)arg));
}

static void
actor_vector_handler(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	actor_in_interrupt(actor_here(ACTOR_VECTOR));
}

/* At the end of every interrupt but calls.  What it posts leads to others, so that only the timer's
 * count: else threads would not run any more. */
static void
actor_exit(void)
{
	struct torture_actor *actor;
	uint64_t ticks;
	/* Acquire: pairs with torture_actors_create(). */
	intr_hook_t hook = atomic_load_explicit(&actor_hook, memory_order_acquire);

	if (hook != NULL)
		hook();
	if (!actor_goes() || actor_ring)
		return;
	actor = actor_here(ACTOR_TIMER);
	ticks = atomic_load_explicit(
	    &curcpu()->ci_intr_count[INTR_VECTOR_TIMER], memory_order_relaxed);
	if (ticks == actor->ticks)
		return;
	actor->ticks = ticks;
	actor_in_interrupt(actor);
	/* And on CPUs without threads of ours. */
	softint_schedule(actor_softint[actor->step % SOFTINT_COUNT]);
}

/* --- all of them ------------------------------------------------------------------------------ */

void
torture_actors_create(uint64_t seed)
{
	unsigned n = ncpu * TORTURE_ACTORS;

	actor_all = crew_alloc(n, sizeof(*actor_all));
	for (unsigned i = 0; i < n; i++) {
		actor_all[i].number = i;
		actor_all[i].seed = torture_hash(torture_hash(seed) + i);
		for (unsigned j = 0; j < TORTURE_OPEN; j++)
			actor_all[i].slot[j] = &actor_all[i].call[j];
	}
	for (unsigned i = 0; i < SOFTINT_COUNT; i++) {
		actor_softint[i] = softint_establish(i, actor_soft, (void *)(uintptr_t)i);
		KASSERT(actor_softint[i] != NULL);
	}
	actor_vector = test_vector(actor_vector_handler);
	/* Nobody runs ours before it is set: interrupts that come between find NULL, once. */
	atomic_store_explicit(&actor_hook, intr_establish_exit(actor_exit), memory_order_release);
}

void
torture_actors_destroy(void)
{
	(void)intr_establish_exit(atomic_load_explicit(&actor_hook, memory_order_relaxed));
	/* Ours may still run somewhere. */
	xc_barrier(XC_HARD);
	xc_barrier(0);
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_disestablish(actor_softint[i]);
	crew_free(actor_all, ncpu * TORTURE_ACTORS, sizeof(*actor_all));
}

static bool
actor_has_thread(unsigned number)
{
	return number % TORTURE_ACTORS < (actor_ring ? 1 : TORTURE_THREADS) &&
	    number / TORTURE_ACTORS != torture_victim;
}

void
torture_actors_start(bool ring)
{
	actor_ring = ring;
	/* Release: pairs with actor_goes(). */
	atomic_store_explicit(&actor_going, true, memory_order_release);
	for (unsigned i = 0; i < ncpu * TORTURE_ACTORS; i++) {
		actor_all[i].since_ns = 0;
		if (actor_has_thread(i))
			crew_start(&actor_all[i].job, cpu_lookup(i / TORTURE_ACTORS), PRI_USER,
			    actor_thread, &actor_all[i]);
	}
}

const struct torture_actor *
torture_actors_stop(uint64_t within_ns)
{
	atomic_store_explicit(&actor_going, false, memory_order_release);
	for (unsigned i = 0; i < ncpu * TORTURE_ACTORS; i++)
		if (actor_has_thread(i) && !crew_reached(&actor_all[i].job.done, 1, within_ns))
			return &actor_all[i];
	for (unsigned i = 0; i < ncpu * TORTURE_ACTORS; i++)
		crew_join(&actor_all[i].job);
	return NULL;
}

void
torture_actors_close(void)
{
	/* xcall/N runs: no interrupt that began before is still on its CPU. */
	xc_barrier(0);
	for (unsigned i = 0; i < ncpu * TORTURE_ACTORS; i++)
		for (; actor_all[i].open != 0; actor_all[i].open--)
			torture_finish(actor_all[i].slot[actor_all[i].open - 1]);
	xc_barrier(0);
	torture_reap_all();
}

const struct torture_actor *
torture_actors_stuck(uint64_t ns)
{
	uint64_t now = clock_ns(), n;

	for (unsigned i = 0; i < ncpu * TORTURE_ACTORS; i++) {
		struct torture_actor *actor = &actor_all[i];

		n = atomic_load_explicit(&actor->steps, memory_order_relaxed);
		if (n != actor->seen || !actor_has_thread(i) || actor->since_ns == 0) {
			actor->seen = n;
			actor->since_ns = now;
		} else if (now - actor->since_ns > ns) {
			return actor;
		}
	}
	return NULL;
}
