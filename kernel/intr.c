/*
 * Interrupt vectors: the table of handlers and the dispatcher; the way out of interrupts; NMIs.
 *
 * Counters are kept by each CPU for itself and summed by the reader: an interrupt writes no line
 * that another CPU writes.
 *
 * The way out of the outermost interrupt: the exit hook, still in it; soft interrupts; the
 * scheduler.  Code between intr_enter() and intr_leave() takes the same way where its caller had
 * interrupts on.  Where they were off, nothing may run here that an interrupt would not have run:
 * the caller may be in the middle of anything that it turned them off for.  What is due then is not
 * lost:
 *	- soft interrupts: the CPU sends itself RESCHED, whose end runs them (softint_kick());
 *	- a switch: the same, or the end of the section that forbids it (sched_preempt_point());
 *	- the hook, which has no flag that says that it is due: comes with the next interrupt.
 */
#include "kernel/intr.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/softint.h"

/* Vectors below belong to exceptions (SDM vol. 3, 6.3.1). */
#define INTR_VECTOR_MIN 32

struct intr_source {
	_Atomic(intr_handler_t) is_handler; /* set once, last; NULL: unclaimed */
	void *is_arg;
	const char *is_name;
};

static struct intr_source intr_source[CPU_VECTORS];

static _Atomic(intr_hook_t) intr_exit_hook;

/* Each entry is set once; no gaps. */
#define INTR_NMI_HANDLERS 8
static _Atomic(nmi_handler_t) intr_nmi_handlers[INTR_NMI_HANDLERS];

void
intr_establish(unsigned vector, intr_handler_t handler, void *arg, const char *name)
{
	struct intr_source *is;

	KASSERTMSG(vector >= INTR_VECTOR_MIN && vector < CPU_VECTORS, "vector %u", vector);
	is = &intr_source[vector];
	KASSERTMSG(atomic_load_explicit(&is->is_handler, memory_order_relaxed) == NULL,
	    "vector %u belongs to %s, wanted by %s", vector, is->is_name, name);
	is->is_arg = arg;
	is->is_name = name;
	/* Release: pairs with the acquire in intr_dispatch(). */
	atomic_store_explicit(&is->is_handler, handler, memory_order_release);
}

/* The way out after the hook.  Interrupts off. */
static inline void
intr_unwind(struct cpu_info *ci)
{
	if (--ci->ci_intr_depth != 0)
		return;
	/* Relaxed, both: the CPU itself wrote them, or who did has sent an interrupt. */
	if (atomic_load_explicit(&ci->ci_softint.sic_pending, memory_order_relaxed) != 0)
		softint_run();
	if (atomic_load_explicit(&ci->ci_resched, memory_order_relaxed))
		sched_intr_exit();
}

/* Leaves an interrupt; the outermost one by the way at the top of this file.  Interrupts off. */
static void
intr_exit(struct cpu_info *ci)
{
	intr_hook_t hook;

	if (ci->ci_intr_depth == 1) {
		/* Acquire: pairs with intr_establish_exit(). */
		hook = atomic_load_explicit(&intr_exit_hook, memory_order_acquire);
		if (hook != NULL)
			hook();
	}
	intr_unwind(ci);
}

static _Noreturn void __attribute__((noinline))
intr_blame(const struct intr_source *is, unsigned spin_depth)
{
	const struct cpu_info *ci = curcpu();

	panic("handler of vector %u (%s) left interrupts %s and %u spinlocks held",
	    (unsigned)(is - intr_source), is->is_name != NULL ? is->is_name : "unclaimed",
	    machine_intr_enabled() ? "on" : "off", ci->ci_spin_depth - spin_depth);
}

/* Counts the interrupt and runs its handler. */
static inline void
intr_run(struct cpu_info *ci, unsigned vector, struct trapframe *frame)
{
	const struct intr_source *is = &intr_source[vector];
	intr_handler_t handler;

	ci->ci_intr_depth++;
	machine_count(&ci->ci_intr_count[vector]);
	/* Acquire: pairs with intr_establish(). */
	handler = atomic_load_explicit(&is->is_handler, memory_order_acquire);
	if (handler != NULL)
		handler(is->is_arg, frame);
	else
		machine_count(&ci->ci_intr_unclaimed);
}

void
intr_dispatch(unsigned vector, struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();
	unsigned spin_depth = ci->ci_spin_depth;

	KASSERTMSG(vector >= INTR_VECTOR_MIN && vector < CPU_VECTORS, "vector %u", vector);
	intr_run(ci, vector, frame);
	if (machine_intr_enabled() || ci->ci_spin_depth != spin_depth)
		intr_blame(&intr_source[vector], spin_depth);
	/* A spurious interrupt sets no in-service bit (SDM vol. 3, 11.9); an EOI for one that came
	 * through the legacy controllers finds none set and does nothing. */
	if (vector != INTR_VECTOR_SPURIOUS)
		machine_intr_eoi();
	intr_exit(ci);
}

/* The shortest way.  What its handler runs it checks itself. */
void
intr_dispatch_call(void)
{
	struct cpu_info *ci = curcpu();

	intr_run(ci, INTR_VECTOR_XCALL, NULL);
	machine_intr_eoi();
	intr_unwind(ci);
}

intr_hook_t
intr_establish_exit(intr_hook_t hook)
{
	/* Release: pairs with the acquire in intr_exit(). */
	return atomic_exchange_explicit(&intr_exit_hook, hook, memory_order_acq_rel);
}

bool
intr_enter(void)
{
	bool were_on = machine_intr_disable();
	struct cpu_info *ci = curcpu();

	KASSERTMSG(ci->ci_nmi_depth == 0, "in an NMI");
	KASSERTMSG(ci->ci_intr_depth == 0 || !were_on, "interrupts on in an interrupt");
	ci->ci_intr_depth++;
	return were_on;
}

void
intr_leave(bool were_on)
{
	struct cpu_info *ci = curcpu();

	KASSERTMSG(!machine_intr_enabled() && ci->ci_intr_depth != 0, "interrupts %s, depth %u",
	    machine_intr_enabled() ? "on" : "off", ci->ci_intr_depth);
	KASSERTMSG(!were_on || ci->ci_spin_depth == 0, "%u spinlocks left held", ci->ci_spin_depth);
	if (were_on) {
		intr_exit(ci);
		machine_intr_restore(true);
	} else if (--ci->ci_intr_depth == 0) {
		softint_kick();
		sched_preempt_point();
	}
}

void
nmi_establish(nmi_handler_t handler)
{
	nmi_handler_t before;

	for (unsigned i = 0; i < INTR_NMI_HANDLERS; i++) {
		before = NULL;
		/* Release: pairs with the acquire in nmi_dispatch(). */
		if (atomic_compare_exchange_strong_explicit(&intr_nmi_handlers[i], &before, handler,
			memory_order_release, memory_order_relaxed))
			return;
	}
	panic("nmi_establish: %u handlers are there already", INTR_NMI_HANDLERS);
}

bool
nmi_dispatch(struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();
	struct trapframe *outer = ci->ci_nmi_frame;
	bool claimed = false;

	ci->ci_nmi_frame = frame;
	for (unsigned i = 0; i < INTR_NMI_HANDLERS; i++) {
		/* Acquire: pairs with nmi_establish(). */
		nmi_handler_t handler = atomic_load_explicit(
		    &intr_nmi_handlers[i], memory_order_acquire);

		if (handler == NULL)
			break;
		claimed |= handler(frame);
	}
	ci->ci_nmi_frame = outer;
	return claimed;
}

uint64_t
intr_count(unsigned vector)
{
	struct cpu_info *ci;
	uint64_t sum = 0;

	KASSERTMSG(vector < CPU_VECTORS, "vector %u", vector);
	CPU_INFO_FOREACH(ci)
		sum += atomic_load_explicit(&ci->ci_intr_count[vector], memory_order_relaxed);
	return sum;
}

uint64_t
intr_unclaimed(void)
{
	struct cpu_info *ci;
	uint64_t sum = 0;

	CPU_INFO_FOREACH(ci)
		sum += atomic_load_explicit(&ci->ci_intr_unclaimed, memory_order_relaxed);
	return sum;
}
