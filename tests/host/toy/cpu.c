/*
 * Virtual CPUs that one thread of the host runs in turns.
 *
 * Background
 *
 * xcall/ asks for CPUs that interrupt each other (xcall/xc_port.h).  This is about the least that
 * is: a CPU is a record and the context of the thread that it runs; only one CPU at a time goes
 * forward.  So nothing here is atomic, and every run is like every other one.
 *
 * Implementation
 *
 * machine_pause() lets the next CPU go forward, and so does turning interrupts on or off, now and
 * then.  A CPU whose turn comes takes its NMI; what else is pending it takes whenever its
 * interrupts are on, in toy_open(): interrupts, then soft interrupts, then a better thread.  All of
 * them run on the stack of the thread that they interrupt.  Time is counted, not measured: it
 * passes with each turn and each look at it, and jumps when all CPUs are idle.
 *
 * Limits
 *
 * A loop that calls nothing of this file stops all CPUs.  There is no store buffer and no
 * reordering: order between CPUs is tested elsewhere (tests/host/vcpu, tests/model).
 */
#include "kernel/cpu.h"

#include "kernel/clock.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/panic.h"
#include "kernel/softint.h"
#include "tests/host/toy/toy.h"

#define TOY_NS_PER_TURN 200u
#define TOY_NS_PER_LOOK 20u
#define TOY_TICK_NS 1000000u
#define TOY_VECTOR_TICK 0u
/* Steps of one CPU before the next one's turn; a prime, so that the turns fall everywhere. */
#define TOY_STEPS_PER_TURN 7u
#define TOY_SOFTINTS 16u
#define TOY_NMI_HANDLERS 8u
/* When nobody has anything to do for so long, nothing is coming. */
#define TOY_HANG_NS 1000000000000000u

unsigned ncpu;

static struct cpu_info *toy_cpu; /* goes forward */
static struct cpu_info toy_cpus[MAXCPUS];
static uint64_t toy_now_ns, toy_steps;
static unsigned toy_idle_turns;

static struct toy_vector {
	intr_handler_t v_func;
	void *v_arg;
} toy_vectors[CPU_VECTORS];
static intr_hook_t toy_exit_hook;
static nmi_handler_t toy_nmis[TOY_NMI_HANDLERS];
static struct toy_softint {
	unsigned s_level; /* from 1 on */
	void (*s_func)(void *);
	void *s_arg;
	bool s_due[MAXCPUS];
} toy_softints[TOY_SOFTINTS];

/* --- turns ------------------------------------------------------------------------------------ */

static void
toy_nmi(struct cpu_info *ci)
{
	bool on = ci->ci_intr_on;

	ci->ci_nmi_pending = false;
	ci->ci_nmi_depth = 1;
	ci->ci_intr_on = false;
	for (unsigned i = 0; i < TOY_NMI_HANDLERS && toy_nmis[i] != NULL; i++)
		(void)toy_nmis[i](NULL);
	ci->ci_intr_on = on;
	ci->ci_nmi_depth = 0;
}

/* The next CPU goes forward; returns when it is this one's turn again. */
static void
toy_turn(void)
{
	struct cpu_info *ci = toy_cpu, *next = ci;

	toy_now_ns += TOY_NS_PER_TURN;
	if (ci->ci_curlwp->l_base_pri != PRI_IDLE)
		toy_idle_turns = 0;
	do
		next = &toy_cpus[(next->ci_index + 1) % ncpu];
	while (!next->ci_online && next != ci);
	if (next != ci) {
		toy_cpu = next;
		swapcontext(&ci->ci_curlwp->l_context, &next->ci_curlwp->l_context);
	}
	if (ci->ci_nmi_pending && ci->ci_nmi_depth == 0)
		toy_nmi(ci);
}

static void
toy_step(void)
{
	if (++toy_steps % TOY_STEPS_PER_TURN == 0 && ncpu != 0)
		toy_turn();
}

static void
toy_interrupt(struct cpu_info *ci, unsigned vector)
{
	bool on = intr_enter();

	ci->ci_pending &= ~(1u << vector);
	atomic_fetch_add_explicit(&ci->ci_intr_count[vector], 1, memory_order_relaxed);
	if (vector == TOY_VECTOR_TICK)
		ci->ci_yield = true;
	else
		toy_vectors[vector].v_func(toy_vectors[vector].v_arg, NULL);
	intr_leave(on);
}

/* Runs what is scheduled of the highest level, if none of that or above runs. */
static bool
toy_softint(struct cpu_info *ci)
{
	unsigned level = ci->ci_softints != 0 ? 31u - (unsigned)__builtin_clz(ci->ci_softints) : 0;
	unsigned before = ci->ci_softlevel;

	if (level <= before)
		return false;
	ci->ci_softints &= ~(1u << level);
	ci->ci_softlevel = level;
	for (unsigned i = 0; i < TOY_SOFTINTS; i++) {
		if (toy_softints[i].s_level != level || !toy_softints[i].s_due[ci->ci_index])
			continue;
		toy_softints[i].s_due[ci->ci_index] = false;
		toy_softints[i].s_func(toy_softints[i].s_arg);
	}
	ci->ci_softlevel = before;
	return true;
}

/* Interrupts are on: all that was waiting for that. */
static void
toy_open(struct cpu_info *ci)
{
	if (toy_now_ns >= ci->ci_next_tick) {
		ci->ci_next_tick = toy_now_ns + TOY_TICK_NS;
		ci->ci_pending |= 1u << TOY_VECTOR_TICK;
	}
	do
		while (ci->ci_pending != 0)
			toy_interrupt(ci, 31u - (unsigned)__builtin_clz(ci->ci_pending));
	while (toy_softint(ci));
	if (ci->ci_softlevel == 0 && ci->ci_nopreempt == 0) {
		ci->ci_intr_on = false;
		toy_reschedule();
		ci->ci_intr_on = true;
	}
}

/* --- interrupts ------------------------------------------------------------------------------- */

bool
machine_intr_enabled(void)
{
	return toy_cpu->ci_intr_on;
}

bool
machine_intr_disable(void)
{
	bool on = toy_cpu->ci_intr_on;

	toy_step();
	toy_cpu->ci_intr_on = false;
	return on;
}

void
machine_intr_restore(bool on)
{
	struct cpu_info *ci = toy_cpu;

	ci->ci_intr_on = on;
	toy_step();
	if (on)
		toy_open(ci);
}

void
machine_pause(void)
{
	struct cpu_info *ci = toy_cpu;

	toy_turn();
	if (ci->ci_intr_on)
		toy_open(ci);
}

void
machine_send_ipi(struct cpu_info *ci, unsigned vector)
{
	ci->ci_pending |= 1u << vector;
}

void
machine_send_call(struct cpu_info *ci)
{
	machine_send_ipi(ci, INTR_VECTOR_XCALL);
}

bool
machine_send_call_others(void)
{
	return false;
}

bool
machine_send_nmi(struct cpu_info *ci)
{
	ci->ci_nmi_pending = true;
	if (ci == toy_cpu && ci->ci_nmi_depth == 0)
		toy_nmi(ci);
	return true;
}

void
intr_establish(
    unsigned vector, intr_handler_t func, void *arg, const char *name __attribute__((unused)))
{
	toy_vectors[vector] = (struct toy_vector){ func, arg };
}

intr_hook_t
intr_establish_exit(intr_hook_t hook)
{
	intr_hook_t before = toy_exit_hook;

	toy_exit_hook = hook;
	return before;
}

bool
intr_enter(void)
{
	bool on = machine_intr_disable();

	toy_cpu->ci_intr_depth++;
	return on;
}

void
intr_leave(bool on)
{
	if (toy_cpu->ci_intr_depth == 1 && toy_exit_hook != NULL)
		toy_exit_hook();
	toy_cpu->ci_intr_depth--;
	machine_intr_restore(on);
}

void
nmi_establish(nmi_handler_t func)
{
	for (unsigned i = 0; i < TOY_NMI_HANDLERS; i++) {
		if (toy_nmis[i] == NULL) {
			toy_nmis[i] = func;
			return;
		}
	}
	panic("toy: too many NMI handlers");
}

void *
softint_establish(unsigned flags, void (*func)(void *), void *arg)
{
	for (struct toy_softint *s = toy_softints; s < toy_softints + TOY_SOFTINTS; s++) {
		if (s->s_level != 0)
			continue;
		*s = (struct toy_softint){ .s_level = (flags & ~(unsigned)SOFTINT_MPSAFE) + 1,
			.s_func = func,
			.s_arg = arg };
		return s;
	}
	return NULL;
}

void
softint_schedule(void *cookie)
{
	struct toy_softint *s = cookie;

	s->s_due[toy_cpu->ci_index] = true;
	toy_cpu->ci_softints |= 1u << s->s_level;
	if (toy_cpu->ci_intr_on)
		toy_open(toy_cpu);
}

void
softint_disestablish(void *cookie)
{
	*(struct toy_softint *)cookie = (struct toy_softint){ .s_level = 0 };
}

/* --- where the caller stands ------------------------------------------------------------------ */

bool
cpu_nmi_p(void)
{
	return toy_cpu->ci_nmi_depth != 0;
}

bool
cpu_intr_p(void)
{
	return toy_cpu->ci_intr_depth != 0;
}

bool
cpu_softintr_p(void)
{
	return toy_cpu->ci_softlevel != 0;
}

void
kpreempt_disable(void)
{
	toy_cpu->ci_nopreempt++;
}

void
kpreempt_enable(void)
{
	toy_cpu->ci_nopreempt--;
	if (toy_cpu->ci_intr_on)
		toy_open(toy_cpu);
}

/* --- CPUs ------------------------------------------------------------------------------------- */

struct cpu_info *
curcpu(void)
{
	return toy_cpu;
}

struct cpu_info *
cpu_lookup(unsigned index)
{
	return index < ncpu ? &toy_cpus[index] : NULL;
}

bool
cpu_online(const struct cpu_info *ci)
{
	return ci->ci_online;
}

unsigned
cpu_distance(const struct cpu_info *a, const struct cpu_info *b)
{
	return a != b;
}

/* The thread that a CPU runs when it has no other. */
static void
toy_idle(void *arg __attribute__((unused)))
{
	uint64_t wake;

	for (;;) {
		toy_idle_turns++;
		machine_pause();
		if (toy_idle_turns <= 2 * ncpu)
			continue;
		/* Nobody but idle threads ran in two rounds. */
		wake = toy_thread_wake_ns();
		if (wake > toy_now_ns + TOY_HANG_NS)
			panic("toy: everybody sleeps");
		if (wake > toy_now_ns)
			toy_now_ns = wake;
		toy_idle_turns = 0;
	}
}

void
toy_boot(unsigned cpus)
{
	for (unsigned i = 0; i < cpus; i++)
		toy_cpus[i] = (struct cpu_info){
			.ci_index = i, .ci_apicid = i, .ci_online = true, .ci_intr_on = true
		};
	toy_cpu = &toy_cpus[0];
	for (unsigned i = 0; i < cpus; i++)
		toy_thread_create_idle(&toy_cpus[i], toy_idle);
	toy_thread_adopt("main");
	ncpu = cpus;
}

void
toy_cpu_park(void)
{
	struct cpu_info *ci = toy_cpu;
	bool on = machine_intr_disable();

	ci->ci_online = false;
	toy_turn();
	machine_intr_restore(on);
}

void
toy_cpu_unpark(struct cpu_info *ci)
{
	ci->ci_online = true;
}

/* --- time ------------------------------------------------------------------------------------- */

uint64_t
clock_ns(void)
{
	return toy_now_ns += TOY_NS_PER_LOOK;
}

uint64_t
machine_cycles(void)
{
	return clock_ns();
}

uint64_t
clock_cycles_to_ns(uint64_t cycles)
{
	return cycles;
}

void
delay_us(uint64_t us)
{
	uint64_t end = clock_ns() + us * 1000;

	while (clock_ns() < end)
		machine_pause();
}
