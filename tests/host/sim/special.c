/*
 * Cases that a random program seldom comes to (special.h).
 */
#include "tests/host/sim/special.h"

#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/host/sim/actors.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/pool.h"
#include "tests/host/sim/scenario.h"

/* For who gave a slot back last to come to its end. */
#define SPECIAL_SETTLE_NS UINT64_C(50000000)
/* A vector that only this file uses, below that of calls. */
#define SPECIAL_VECTOR 0x90u

static const unsigned special_flags[] = { 0, XC_HIGHPRI, XC_HIGHPRI | 1u << 8, XC_HIGHPRI | 3u << 8,
	XC_HARD, XC_NMI };

static unsigned
special_any_flags(void)
{
	return special_flags[scenario_below(6)];
}

static uint32_t
special_cpu(unsigned cpu)
{
	return UINT32_C(1) << cpu;
}

static struct ledger_call *
special_post(unsigned flags, uint32_t set)
{
	struct ledger_call *call = ledger_new();
	enum ledger_way way = (set & (set - 1)) != 0 ? LEDGER_MULTICAST : LEDGER_UNICAST;

	call->work = scenario_below(4);
	return ledger_post(call, way, flags, set) ? call : NULL;
}

static void
special_end(void)
{
	kthread_sleep_ns(SPECIAL_SETTLE_NS);
	ledger_close();
}

static void
special_finish(void)
{
	actors_run();
	special_end();
}

/* --- ring ------------------------------------------------------------------------------------- */

static unsigned special_level, special_rounds;

/* Passes the call on to the neighbour, `tag` times. */
static void
special_pass(struct ledger_call *call)
{
	struct ledger_call *next;

	if (call->tag == 0)
		return;
	next = ledger_new();
	next->action = special_pass;
	next->tag = call->tag - 1;
	if (ledger_post(
		next, LEDGER_UNICAST, call->flags, special_cpu((curcpu()->ci_index + 1) % ncpu)))
		ledger_wait(next);
}

static void
special_ring_actor(struct actor *actor)
{
	unsigned flags = special_level == SPECIAL_RING_HARD ? XC_HARD
	    : scenario_below(2) != 0                        ? XC_HARD
							    : 0;
	bool off = special_level == SPECIAL_RING_HARD ||
	    (flags == XC_HARD && scenario_below(2) != 0),
	     intr = false;

	if (special_level == SPECIAL_RING_LOW)
		flags = 0, off = false;
	for (unsigned i = 0; i < special_rounds; i++) {
		struct ledger_call *call = ledger_new();

		call->action = special_pass;
		call->tag = special_level == SPECIAL_RING_NESTED ? 1 + scenario_below(3) : 0;
		if (off)
			intr = machine_intr_disable();
		if (ledger_post(call, LEDGER_UNICAST, flags, special_cpu((actor->cpu + 1) % ncpu)))
			ledger_wait(call);
		machine_intr_restore(intr);
	}
}

void
special_ring(unsigned level)
{
	special_level = level;
	special_rounds = 1 + scenario_below(4);
	for (unsigned i = 0; i < ncpu; i++)
		(void)actors_add(i, special_ring_actor, NULL);
	special_finish();
}

/* --- exhaustion ------------------------------------------------------------------------------- */

static bool special_blocked;

/* Keeps its CPU from serving: with interrupts off for so many points. */
static void
special_blocker(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 3; i++) {
		bool intr = machine_intr_disable();

		special_blocked = true;
		ledger_work(scenario_below(300));
		special_blocked = false;
		machine_intr_restore(intr);
		ledger_work(scenario_below(20));
	}
}

static void
special_exhaust_actor(struct actor *actor)
{
	struct ledger_call *call[12];
	unsigned n = 0, flags = special_any_flags(), same = scenario_below(2);

	(void)actor;
	for (unsigned i = 0; i < 12; i++) {
		if (same == 0)
			flags = special_any_flags();
		call[n] = special_post(
		    flags | (scenario_below(8) == 0 ? XC_TRY : 0), special_cpu(ncpu - 1));
		n += call[n] != NULL;
	}
	for (unsigned i = 0; i < n; i++)
		ledger_wait(call[i]);
}

void
special_exhaust(unsigned variant)
{
	(void)variant;
	pool_shrink(2, 2, 1);
	(void)actors_add(ncpu - 1, special_blocker, NULL);
	(void)actors_add(0, special_exhaust_actor, NULL);
	(void)actors_add(0, special_exhaust_actor, NULL);
	if (scenario_below(2) != 0)
		(void)actors_add(ncpu - 1, special_exhaust_actor, NULL);
	special_finish();
}

/* --- order ------------------------------------------------------------------------------------ */

static unsigned special_order_flags;

/* A device whose interrupt posts, perhaps in the middle of a thread's post. */
static void
special_device(void *arg, struct trapframe *frame)
{
	(void)arg;
	(void)frame;
	if (ledger_count() < LEDGER_CALLS / 2)
		(void)special_post(special_order_flags | XC_TRY, special_cpu(ncpu - 1));
}

static void
special_order_actor(struct actor *actor)
{
	struct xc_call *descriptors = actor->arg;

	for (unsigned i = 0; i < 5; i++) {
		struct ledger_call *call = ledger_new();

		call->descriptor = &descriptors[i];
		call->work = scenario_below(3);
		(void)ledger_post(call, scenario_below(2) != 0 ? LEDGER_DESCRIPTOR : LEDGER_UNICAST,
		    special_order_flags, special_cpu(ncpu - 1));
		if (scenario_below(3) == 0)
			machine_send_ipi(cpu_lookup(scenario_below(ncpu)), SPECIAL_VECTOR);
	}
}

/* Nobody has waited for them yet. */
static void
special_wait_all(void)
{
	for (unsigned i = 0; i < ledger_count(); i++)
		if (ledger_number(i)->posted)
			ledger_wait(ledger_number(i));
}

void
special_order(unsigned variant)
{
	static struct xc_call descriptors[3][5];

	(void)variant;
	special_order_flags = special_flags[scenario_below(5)];
	intr_establish(SPECIAL_VECTOR, special_device, NULL, "device");
	for (unsigned i = 0; i < 2 + scenario_below(2); i++)
		(void)actors_add(scenario_below(ncpu), special_order_actor, descriptors[i]);
	actors_run();
	special_wait_all();
	special_end();
}

/* --- direct ----------------------------------------------------------------------------------- */

/* What goes direct when it can, what never does, and what is withdrawn. */
static void
special_direct_actor(struct actor *actor)
{
	static const unsigned flags[] = { XC_HARD, XC_HARD, XC_HARD, XC_HARD, XC_HARD | XC_TRY,
		XC_HARD | XC_LAZY };
	struct xc_call *descriptors = actor->arg;

	for (unsigned i = 0; i < 6; i++) {
		struct ledger_call *call = ledger_new();
		enum ledger_way way = scenario_below(4) == 0 ? LEDGER_DESCRIPTOR : LEDGER_UNICAST;

		call->descriptor = &descriptors[i];
		call->work = scenario_below(6);
		if (!ledger_post(call, way, flags[scenario_below(6)],
			special_cpu(scenario_below(4) == 0 ? actor->cpu : ncpu - 1)))
			continue;
		if (way == LEDGER_UNICAST && scenario_below(4) == 0)
			ledger_cancel(call);
		else if (scenario_below(3) == 0)
			ledger_wait(call);
		ledger_work(scenario_below(4));
	}
}

/* A withdrawn call leaves its sender in the target's set, which looks for it there while these are
 * posted. */
static void
special_direct_late(struct actor *actor)
{
	struct ledger_call *call[3];

	(void)actor;
	for (unsigned i = 0; i < 6; i++) {
		for (unsigned j = 0; j < 3; j++) {
			call[j] = special_post(
			    j == 1 ? XC_HARD : XC_HARD | XC_TRY, special_cpu(ncpu - 1));
			if (j == 0 && call[j] != NULL)
				ledger_cancel(call[j]);
		}
		for (unsigned j = 1; j < 3; j++)
			if (call[j] != NULL)
				ledger_wait(call[j]);
	}
}

/* The direct slot is withdrawn from and used again while the target is about to begin. */
static void
special_direct_churn(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 16; i++) {
		struct ledger_call *call = special_post(XC_HARD, special_cpu(ncpu - 1));

		if (call != NULL && scenario_below(3) != 0)
			ledger_cancel(call);
		else if (call != NULL)
			ledger_wait(call);
	}
}

void
special_direct(unsigned variant)
{
	static struct xc_call descriptors[3][6];
	static void (*const first[])(
	    struct actor *) = { NULL, special_direct_late, special_direct_churn };
	unsigned which = scenario_below(3);

	(void)variant;
	if (which != 0)
		(void)actors_add(0, first[which], NULL);
	for (unsigned i = which != 0 ? 1 : 0; i < 2 + scenario_below(2); i++)
		(void)actors_add(scenario_below(ncpu), special_direct_actor, descriptors[i]);
	actors_run();
	special_wait_all();
	special_end();
}

/* --- reuse ------------------------------------------------------------------------------------ */

/* Waits for, cancels and asks about what others have posted, however long ago. */
static void
special_stale_actor(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 12; i++) {
		struct ledger_call *call;

		ledger_work(scenario_below(10));
		if (ledger_count() == 0)
			continue;
		call = ledger_number(scenario_below(ledger_count()));
		if (!call->posted)
			continue;
		if (scenario_below(3) == 0)
			ledger_cancel(call);
		else if (scenario_below(2) != 0)
			(void)ledger_done(call);
		else
			ledger_wait(call);
	}
}

static void
special_reuse_actor(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 10; i++) {
		struct ledger_call *call = special_post(
		    special_any_flags(), 1 + scenario_below((1u << ncpu) - 1));

		if (call != NULL && scenario_below(3) == 0)
			ledger_cancel(call);
		else if (call != NULL && scenario_below(2) != 0)
			ledger_wait(call);
	}
}

void
special_reuse(unsigned variant)
{
	(void)variant;
	pool_shrink(1, 1, 1);
	(void)actors_add(0, special_reuse_actor, NULL);
	(void)actors_add(ncpu - 1, special_stale_actor, NULL);
	if (scenario_below(2) != 0)
		(void)actors_add(scenario_below(ncpu), special_reuse_actor, NULL);
	actors_run();
	special_wait_all();
	special_end();
}

/* --- churn ------------------------------------------------------------------------------------ */

static void
special_churn_actor(struct actor *actor)
{
	(void)actor;
	for (unsigned i = 0; i < 16; i++) {
		unsigned flags = special_flags[scenario_below(4)] |
		    (scenario_below(2) != 0 ? XC_TRY : 0);
		struct ledger_call *call = special_post(flags, special_cpu(ncpu - 1));

		if (call == NULL)
			machine_pause();
		else if (scenario_below(2) != 0)
			ledger_cancel(call);
		else if (scenario_below(2) != 0)
			ledger_wait(call);
	}
}

void
special_churn(unsigned variant)
{
	(void)variant;
	pool_shrink(1, 0, 0);
	(void)actors_add(0, special_churn_actor, NULL);
	if (scenario_below(2) != 0)
		(void)actors_add(ncpu - 1, special_stale_actor, NULL);
	actors_run();
	special_wait_all();
	special_end();
}

/* --- sleep ------------------------------------------------------------------------------------ */

/* As often as `tag` says lets others go on, so that they come to their sleep. */
static void
special_spin(struct ledger_call *call)
{
	for (uint64_t i = 0; i < call->tag; i++)
		machine_pause();
}

static void
special_sleep_actor(struct actor *actor)
{
	static struct xc_call descriptor[ACTORS_MAX];

	for (unsigned i = 0; i < 6; i++) {
		struct ledger_call *call = ledger_new();
		enum ledger_way way = scenario_below(2) != 0 ? LEDGER_DESCRIPTOR : LEDGER_UNICAST;

		call->action = special_spin;
		call->tag = scenario_below(120);
		call->descriptor = &descriptor[actor->number];
		if (ledger_post(
			call, way, scenario_below(2) != 0 ? 0 : XC_HIGHPRI, special_cpu(ncpu - 1)))
			ledger_wait(call);
	}
}

void
special_sleep(unsigned variant)
{
	(void)variant;
	(void)actors_add(0, special_sleep_actor, NULL);
	if (scenario_below(2) != 0)
		(void)actors_add(scenario_below(ncpu), special_sleep_actor, NULL);
	special_finish();
}

/* --- wide ------------------------------------------------------------------------------------- */

static void
special_wide_actor(struct actor *actor)
{
	for (unsigned i = 0; i < 2; i++) {
		uint32_t set = special_cpu(actor->cpu) | special_cpu(1) | special_cpu(ncpu - 1);
		struct ledger_call *call = special_post(
		    special_any_flags(), set | special_cpu(scenario_below(ncpu)));

		if (call != NULL && scenario_below(3) == 0)
			ledger_cancel(call);
		else if (call != NULL)
			ledger_wait(call);
	}
}

void
special_wide(unsigned variant)
{
	(void)variant;
	(void)actors_add(0, special_wide_actor, NULL);
	(void)actors_add(ncpu - 1, special_wide_actor, NULL);
	special_finish();
}

/* --- several waiters -------------------------------------------------------------------------- */

static unsigned special_started, special_nwaiters;

/* Ends when all wait, or will. */
static void
special_meet(struct ledger_call *call)
{
	while (special_started < special_nwaiters)
		machine_pause();
	special_spin(call);
}

static void
special_waiter(struct actor *actor)
{
	special_started++;
	ledger_wait(actor->arg);
}

void
special_waiters(unsigned variant)
{
	struct ledger_call *call = ledger_new();

	(void)variant;
	call->action = special_meet;
	call->tag = 50 + scenario_below(200);
	special_nwaiters = 2 + scenario_below(2);
	(void)ledger_post(call, LEDGER_UNICAST, 0, special_cpu(ncpu - 1));
	for (unsigned i = 0; i < special_nwaiters; i++)
		(void)actors_add(scenario_below(ncpu - 1), special_waiter, call);
	special_finish();
}

/* --- the smallest ----------------------------------------------------------------------------- */

static void
special_pair_actor(struct actor *actor)
{
	struct ledger_call *call = ledger_new();

	(void)ledger_post(
	    call, LEDGER_UNICAST, (unsigned)(uintptr_t)actor->arg, special_cpu(1 - actor->cpu));
	ledger_wait(call);
}

static void
special_two_actor(struct actor *actor)
{
	struct ledger_call *call[2];

	for (unsigned i = 0; i < 2; i++) {
		call[i] = ledger_new();
		(void)ledger_post(call[i], LEDGER_UNICAST, (unsigned)(uintptr_t)actor->arg,
		    special_cpu(1 - actor->cpu));
	}
	for (unsigned i = 0; i < 2; i++)
		ledger_wait(call[i]);
}

void
special_two(unsigned flags)
{
	(void)actors_add(0, special_two_actor, (void *)(uintptr_t)flags);
	special_finish();
}

void
special_pair(unsigned flags)
{
	(void)actors_add(0, special_pair_actor, (void *)(uintptr_t)flags);
	(void)actors_add(1, special_pair_actor, (void *)(uintptr_t)flags);
	special_finish();
}
