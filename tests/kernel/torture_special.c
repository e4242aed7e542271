/*
 * Barriers, drains, ipi(9), sections, a machine that stands still.
 */
#include "tests/kernel/torture_special.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/ipl.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/fault.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"

/* How long a trigger may take, once all is quiet: a hang detector. */
#define SPECIAL_HANG_NS 15000000000ull
#define SPECIAL_STOP_US 50u

struct special_cpu {
	_Atomic uint64_t section;   /* odd: its CPU is in a section with preemption off */
	_Atomic uint64_t triggered; /* number of the latest trigger */
	_Atomic uint64_t seen;      /* by the handler */
} __attribute__((aligned(CACHE_LINE_BYTES)));

static struct special_cpu *special_cpus;
static unsigned special_ipi;

static struct special_cpu *
special_self(void)
{
	return &special_cpus[curcpu()->ci_index];
}

static void
special_handler(void *arg __attribute__((unused)))
{
	struct special_cpu *cpu = special_self();

	if (!calls_context_is(XC_LEVEL_HARD))
		torture_wrong("ipi(9): a handler runs in another context", 0, 0, 0);
	/* Acquire: pairs with the release in torture_trigger(). */
	atomic_store_explicit(&cpu->seen,
	    atomic_load_explicit(&cpu->triggered, memory_order_acquire), memory_order_release);
}

void
torture_special_begin(void)
{
	special_cpus = crew_alloc(ncpu, sizeof(*special_cpus));
	special_ipi = ipi_register(special_handler, NULL);
}

static void
special_nothing(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

/* The victim may have been passed over. */
void
torture_special_close(void)
{
	/* Nobody waits for a trigger; where interrupts get lost, one that waits must bring it. */
	if (fault_rescues())
		(void)xc_wait(xc_broadcast(XC_HARD, special_nothing, NULL, NULL));
	for (unsigned i = 0; i < ncpu; i++) {
		struct special_cpu *cpu = &special_cpus[i];
		uint64_t triggered = atomic_load_explicit(&cpu->triggered, memory_order_relaxed);

		if (i != torture_victim && !crew_reached(&cpu->seen, triggered, SPECIAL_HANG_NS))
			torture_wrong("ipi(9): a trigger is lost", 0, i, triggered);
	}
}

void
torture_special_end(void)
{
	ipi_unregister(special_ipi);
	crew_free(special_cpus, ncpu, sizeof(*special_cpus));
}

/* --- barriers and drains ---------------------------------------------------------------------- */

void
torture_nopreempt(void (*body)(struct torture_actor *, struct torture_dice *),
    struct torture_actor *actor, struct torture_dice *dice)
{
	struct special_cpu *cpu = special_self();

	kpreempt_disable();
	/* Sequentially consistent, these and those in torture_barrier(). */
	atomic_fetch_add_explicit(&cpu->section, 1, memory_order_seq_cst);
	body(actor, dice);
	atomic_fetch_add_explicit(&cpu->section, 1, memory_order_seq_cst);
	kpreempt_enable();
}

void
torture_barrier(void)
{
	uint64_t before[TORTURE_CPUS] = { 0 };

	for (unsigned i = 0; i < ncpu; i++)
		before[i] = atomic_load_explicit(&special_cpus[i].section, memory_order_seq_cst);
	xc_barrier(0);
	for (unsigned i = 0; i < ncpu; i++) {
		uint64_t after = atomic_load_explicit(
		    &special_cpus[i].section, memory_order_seq_cst);

		if (before[i] % 2 != 0 && after == before[i])
			torture_wrong(
			    "xc_barrier(0) returns and a section with preemption off goes on", 0, i,
			    after);
	}
	torture_count(TORTURE_BARRIERS, 1);
}

void
torture_drain(struct torture_actor *actor, struct torture_dice *dice)
{
	enum xc_level level = (enum xc_level)torture_below(dice, XC_LEVEL_NMI);

	xc_drain(calls_flags(level));
	for (unsigned i = 0; i < actor->open; i++) {
		struct torture_call *call = actor->slot[i];

		if (call->level == level && !torture_over(call))
			torture_wrong("is not over behind a drain",
			    atomic_load_explicit(&call->tag, memory_order_relaxed), level,
			    call->way);
	}
	torture_count(TORTURE_DRAINS, 1);
}

/* --- ipi(9) ----------------------------------------------------------------------------------- */

struct special_message {
	ipi_msg_t msg;
	uint64_t payload;
	uint8_t ran[TORTURE_CPUS];
};

static void
special_message(void *arg)
{
	struct special_message *message = arg;

	if (!calls_context_is(XC_LEVEL_HARD))
		torture_wrong("ipi(9): a message runs in another context", 0, 0, 0);
	if (message->payload != (uintptr_t)message)
		torture_wrong("ipi(9): a message does not see what was written before", 0, 0, 0);
	message->ran[curcpu()->ci_index]++;
}

static void
special_judge(const struct special_message *message, uint64_t must, uint64_t may)
{
	uint64_t victim = torture_victim < ncpu ? UINT64_C(1) << torture_victim : 0;

	for (unsigned i = 0; i < ncpu; i++) {
		uint64_t bit = UINT64_C(1) << i;

		if (message->ran[i] > 1 || (message->ran[i] != 0 && (may & bit) == 0) ||
		    (message->ran[i] == 0 && (must & bit & ~victim) != 0))
			torture_wrong("ipi(9): a message has not run once where it should", 0, i,
			    message->ran[i]);
	}
}

void
torture_message(struct torture_dice *dice)
{
	struct special_message message = { .payload = (uintptr_t)&message };
	uint64_t set = torture_some(dice), all = UINT64_MAX >> (TORTURE_CPUS - ncpu);
	unsigned way = torture_below(dice, 3);
	struct cpuset cpus;

	message.msg.func = special_message;
	message.msg.arg = &message;
	cpuset_zero(&cpus);
	for (unsigned i = 0; i < ncpu; i++)
		if ((set >> i & 1) != 0)
			cpuset_add(&cpus, i);
	if (way == 0) {
		set &= -set;
		ipi_unicast(&message.msg, cpu_lookup((unsigned)__builtin_ctzll(set)));
	} else if (way == 1) {
		ipi_multicast(&message.msg, &cpus);
	} else {
		set = all;
		ipi_broadcast(&message.msg, false);
	}
	ipi_wait(&message.msg);
	special_judge(&message, set, set);
	torture_count(TORTURE_IPIS, 1);
}

void
torture_trigger(struct torture_dice *dice)
{
	struct cpu_info *ci = torture_cpu(dice);

	/* Release: pairs with the acquire in special_handler(). */
	atomic_fetch_add_explicit(&special_cpus[ci->ci_index].triggered, 1, memory_order_release);
	ipi_trigger(special_ipi, ci);
	torture_count(TORTURE_IPIS, 1);
}

/* --- everybody at once ------------------------------------------------------------------------ */

struct special_phases {
	_Atomic unsigned setup, action, teardown;
};

static void
special_setup(void *arg)
{
	struct special_phases *phases = arg;

	if (atomic_load_explicit(&phases->action, memory_order_relaxed) != 0)
		torture_wrong("xc_rendezvous: one acts while another one prepares", 0, 0, 0);
	atomic_fetch_add_explicit(&phases->setup, 1, memory_order_relaxed);
}

static void
special_action(void *arg)
{
	struct special_phases *phases = arg;

	if (atomic_load_explicit(&phases->teardown, memory_order_relaxed) != 0)
		torture_wrong("xc_rendezvous: one is behind the action of another one", 0, 0, 0);
	atomic_fetch_add_explicit(&phases->action, 1, memory_order_relaxed);
}

static void
special_teardown(void *arg)
{
	struct special_phases *phases = arg;
	unsigned setup = atomic_load_explicit(&phases->setup, memory_order_relaxed);

	if (setup != atomic_load_explicit(&phases->action, memory_order_relaxed))
		torture_wrong("xc_rendezvous: not all have acted", 0, setup, 0);
	atomic_fetch_add_explicit(&phases->teardown, 1, memory_order_relaxed);
}

void
torture_rendezvous(struct torture_dice *dice)
{
	struct special_phases phases = { 0 };
	uint64_t set = torture_some(dice);
	uint64_t victim = torture_victim < ncpu ? UINT64_C(1) << torture_victim : 0;
	unsigned n, least = torture_members(set & ~victim);
	struct cpuset cpus;
	int error;

	cpuset_zero(&cpus);
	for (uint64_t left = set; left != 0; left &= left - 1)
		cpuset_add(&cpus, (unsigned)__builtin_ctzll(left));
	error = xc_rendezvous(&cpus, special_setup, special_action, special_teardown, &phases, 0);
	n = atomic_load_explicit(&phases.teardown, memory_order_relaxed);
	if (error != 0 && !(error == EHOSTDOWN && set == victim))
		torture_wrong("xc_rendezvous returns an error", 0, (uint64_t)error, set);
	if (error == 0 && (n < least || n > torture_members(set)))
		torture_wrong("xc_rendezvous: not everybody came", 0, n, set);
	torture_count(TORTURE_STOPS, 1);
}

static void
special_stopped(void *arg)
{
	uint64_t before = atomic_exchange_explicit(
	    &torture_stopped, curcpu()->ci_index + 1, memory_order_relaxed);

	if (before != 0)
		torture_wrong("xc_stop_machine: two at a time", 0, before, 0);
	delay_us(SPECIAL_STOP_US);
	atomic_store_explicit(&torture_stopped, 0, memory_order_relaxed);
	(*(unsigned *)arg)++;
}

void
torture_stop(struct torture_dice *dice)
{
	unsigned ran = 0;
	int error;

	(void)torture_throw(dice);
	error = xc_stop_machine(special_stopped, &ran, NULL);
	if (error != 0 || ran != 1)
		torture_wrong(
		    "xc_stop_machine has not run its function once", 0, (uint64_t)error, ran);
	torture_count(TORTURE_STOPS, 1);
}
