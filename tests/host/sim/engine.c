/*
 * The runtime of ../vcpu/runtime.h as coroutines: one thread of the host, in which one virtual CPU
 * executes until a scheduling point.
 *
 * Background
 *
 *	What several CPUs do to memory is an interleaving of what each does.  Who can choose the
 *	interleaving can repeat it, and can look for the bad one.
 *
 * Implementation
 *
 *	A virtual CPU that does not execute is a stack pointer; what runs on it, and its stack, are
 *	its own.  At each point (point.h; a spin; an idle wait) strategy.c says who goes on.  It is
 *	the only source of choice: no signal, no clock of the host, no address that differs from run
 *	to run.  So the seed determines every step.
 *
 *	Interrupts are taken by ../vcpu/machine.c whenever the kernel calls it, and here at each
 *	point.  strategy_hold() keeps a new one back for some points of its target, so that it comes
 *	anywhere.
 *
 *	Time is virtual: a point takes step_ns, a spin as much.  When all virtual CPUs idle it jumps
 *	to the next expiry of a local timer.  When they only spin, reading and never writing, it
 *	runs faster and faster, so that a loop that waits for the clock ends in bounded steps.
 *
 *	Broken, apart from what the code under test says itself: nobody can run and no timer is set;
 *	all idle for longer than a scenario's patience, ticks aside; more steps than allowed.
 *
 * Limits
 *
 *	All memory is sequentially consistent: what only a store buffer, or a compiler, or a weaker
 *	machine does is not seen here.  Two points of a file of layer 1 enclose plain code that is
 *	not divided.
 */
#include <stdint.h>
#include <sys/mman.h>

#include "kernel/cpu.h"
#include "kernel/param.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/lines.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/strategy.h"
#include "tests/host/sim/trace.h"
#include "tests/host/vcpu/runtime.h"

/* Of the context in which a virtual CPU begins; signal handlers and printf() of the host run on it
 * too. */
#define ENGINE_STACK_BYTES 262144u
/* So many points without a write, a virtual CPU, make the clock run faster. */
#define ENGINE_QUIET_POINTS 64u
#define ENGINE_QUIET_NS 20000u
#define ENGINE_PATIENCE_NS UINT64_C(5000000000)

struct engine_cpu {
	struct cpu_md *ec_md;
	uintptr_t ec_sp; /* while it does not execute */
	void (*ec_entry)(void);
	unsigned ec_hold; /* points until it takes what is pending */
};

static struct engine_cpu engine_all[SIM_CPUS];
static unsigned engine_self;
static uint32_t engine_runnable; /* a bit a virtual CPU: it does not wait */
static uint32_t engine_started;
static uintptr_t engine_host_sp, engine_ready_sp;
static bool engine_active;
static uint64_t engine_now = 1000000; /* 0 would be "never" for a timer */
static uint64_t engine_step_ns = 10;
static uint64_t engine_next_expiry = UINT64_MAX;
static uint64_t engine_idle_ns, engine_patience = ENGINE_PATIENCE_NS;
static unsigned engine_quiet; /* points since the last write */
uint64_t engine_steps;
bool sim_fine;
unsigned sim_passed;

unsigned
engine_cpu(void)
{
	return engine_self;
}

void
engine_progress(void)
{
	engine_idle_ns = 0;
}

void
engine_set_patience(uint64_t ns)
{
	engine_patience = ns;
}

/* --- time ------------------------------------------------------------------------------------- */

static uint64_t
engine_earliest(void)
{
	uint64_t earliest = UINT64_MAX;

	for (unsigned i = 0; i < SIM_CPUS; i++) {
		const struct cpu_md *md = engine_all[i].ec_md;
		uint64_t deadline;

		if (md == NULL)
			continue;
		deadline = atomic_load_explicit(&md->vc_deadline, memory_order_relaxed);
		if (deadline != 0 && deadline < earliest)
			earliest = deadline;
	}
	return earliest;
}

static void
engine_expire(void)
{
	if (engine_now < engine_next_expiry)
		return;
	for (unsigned i = 0; i < SIM_CPUS; i++)
		if (engine_all[i].ec_md != NULL)
			vcpu_timer_expire(engine_all[i].ec_md, engine_now);
	engine_next_expiry = engine_earliest();
}

/* Everyone idles: on to what happens next. */
static void
engine_jump(void)
{
	if (engine_next_expiry == UINT64_MAX)
		sim_fail("deadlock: no virtual CPU can run and no timer is set");
	if (engine_now < engine_next_expiry) {
		engine_idle_ns += engine_next_expiry - engine_now;
		engine_now = engine_next_expiry;
	}
	if (engine_active && engine_idle_ns > engine_patience)
		sim_fail("deadlock: all virtual CPUs idle but for ticks, for %u ms of virtual time",
		    (unsigned)(engine_idle_ns / 1000000));
	engine_expire();
}

/* --- switching -------------------------------------------------------------------------------- */

static void
engine_switch(unsigned to)
{
	unsigned from = engine_self;

	if (to == from)
		return;
	engine_self = to;
	vcpu_switch_stack(&engine_all[from].ec_sp, engine_all[to].ec_sp);
}

/* Before the runs begin: in turn. */
static unsigned
engine_round(unsigned self, uint32_t mask, enum sim_kind kind)
{
	unsigned next = self;

	if (kind != SIM_PAUSE && kind != SIM_IDLE && (mask >> self & 1) != 0)
		return self;
	do
		next = (next + 1) % SIM_CPUS;
	while ((mask >> next & 1) == 0);
	return next;
}

static void
engine_choose(enum sim_kind kind, unsigned site)
{
	while (engine_runnable == 0)
		engine_jump();
	engine_switch(engine_active ? strategy_next(engine_self, engine_runnable, kind, site)
				    : engine_round(engine_self, engine_runnable, kind));
}

/* One point: a step of time, then somebody goes on. */
static void
engine_point(enum sim_kind kind, unsigned site)
{
	struct engine_cpu *ec = &engine_all[engine_self];

	sim_passed = 0;
	engine_now += engine_step_ns;
	if (kind == SIM_STORE || kind == SIM_MODIFIED || kind == SIM_COMPARED)
		engine_quiet = 0;
	else if (++engine_quiet > ENGINE_QUIET_POINTS * SIM_CPUS && kind == SIM_PAUSE)
		engine_now += ENGINE_QUIET_NS + engine_quiet;
	engine_expire();
	if (ec->ec_hold != 0)
		ec->ec_hold--;
	if (engine_active && ++engine_steps > sim.max_steps && sim.lenient)
		sim_pass();
	if (engine_steps > sim.max_steps)
		sim_fail("more than %u steps: a loop that does not end, or STEPS is too small",
		    (unsigned)sim.max_steps);
	engine_choose(kind, site);
}

void
sim_before(const struct sim_site *site, const volatile void *object)
{
	if (!engine_active) {
		sim_passed = 0;
		engine_now += engine_step_ns;
		engine_expire();
		return;
	}
	trace_step(engine_self, site, NULL, 0);
	engine_point((enum sim_kind)site->kind, trace_site_index(site));
	vcpu_poll();
	lines_touch(object, engine_self, site->kind != SIM_LOAD,
	    trace_site_of_xcall(trace_site_index(site)));
}

void
sim_after(const struct sim_site *site)
{
	if (!engine_active)
		return;
	engine_point(SIM_SWITCHED, trace_site_index(site));
	vcpu_poll();
}

bool
sim_spurious(void)
{
	return engine_active && strategy_spurious();
}

/* --- the runtime ------------------------------------------------------------------------------ */

struct cpu_md *
runtime_self(void)
{
	return engine_all[engine_self].ec_md;
}

uint64_t
runtime_cycles(void)
{
	return engine_now;
}

bool
runtime_point(void)
{
	return engine_all[engine_self].ec_hold == 0;
}

void
runtime_pause(void)
{
	if (engine_active)
		trace_step(engine_self, NULL, "spins", 0);
	engine_all[engine_self].ec_hold = 0;
	engine_point(SIM_PAUSE, 0);
}

void
runtime_wait(uint32_t seen)
{
	struct engine_cpu *ec = &engine_all[engine_self];

	ec->ec_hold = 0;
	if (atomic_load_explicit(&ec->ec_md->vc_signals, memory_order_relaxed) != seen)
		return;
	if (engine_active)
		trace_step(engine_self, NULL, "idles", 0);
	engine_runnable &= ~(UINT32_C(1) << engine_self);
	engine_choose(SIM_IDLE, 0);
}

void
runtime_signal(struct cpu_md *md)
{
	unsigned target = md->vc_ci->ci_index;
	uint32_t bit = UINT32_C(1) << target;

	if ((engine_started & bit) == 0)
		return;
	engine_quiet = 0;
	if (engine_active) {
		engine_all[target].ec_hold = (engine_runnable & bit) != 0 ? strategy_hold(target)
									  : 0;
		trace_step(engine_self, NULL, "interrupts CPU", target);
	}
	engine_runnable |= bit;
}

void
runtime_deadline(void)
{
	engine_next_expiry = engine_earliest();
}

void
runtime_exit(int status)
{
	sim_fail("the machine was ended with status %d", status);
}

/* --- beginning -------------------------------------------------------------------------------- */

static void
engine_main(void *arg)
{
	struct engine_cpu *ec = arg;

	ec->ec_entry();
	sim_fail("a virtual CPU came to its end");
}

/* Again: what the virtual CPU did before it parked, or is about to park, is forgotten; its stack
 * too. */
void
runtime_start(struct cpu_md *md, void (*entry)(void))
{
	unsigned index = md->vc_ci->ci_index;
	struct engine_cpu *ec = &engine_all[index];
	char *stack = mmap(NULL, ENGINE_STACK_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (stack == MAP_FAILED)
		sim_fail("no memory for the stack of a virtual CPU");
	ec->ec_md = md;
	ec->ec_entry = entry;
	md->vc_idle.vx_low = (uintptr_t)stack;
	md->vc_idle.vx_high = (uintptr_t)stack + ENGINE_STACK_BYTES;
	md->vc_context = &md->vc_idle;
	ec->ec_sp = vcpu_prepare_stack(md->vc_idle.vx_high, engine_main, ec);
	engine_started |= UINT32_C(1) << index;
	engine_runnable |= UINT32_C(1) << index;
}

void
runtime_park(void)
{
	uint32_t bit = UINT32_C(1) << engine_self;

	trace_step(engine_self, NULL, "parks", 0);
	engine_started &= ~bit;
	engine_runnable &= ~bit;
	engine_choose(SIM_IDLE, 0);
	__builtin_unreachable();
}

void
engine_boot(struct cpu_md *md, void (*entry)(void))
{
	runtime_start(md, entry);
	engine_self = md->vc_ci->ci_index;
	vcpu_switch_stack(&engine_host_sp, engine_all[engine_self].ec_sp);
}

void
engine_ready(void)
{
	vcpu_switch_stack(&engine_ready_sp, engine_host_sp);
}

void
engine_resume(void)
{
	uintptr_t unused;

	vcpu_switch_stack(&unused, engine_ready_sp);
	__builtin_unreachable();
}

void
engine_begin(uint64_t step_ns)
{
	engine_step_ns = step_ns;
	engine_active = true;
	engine_idle_ns = 0;
}
