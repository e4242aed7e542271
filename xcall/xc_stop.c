/*
 * CPUs that stand still, for debuggers and panics.
 *
 * Background
 *
 * Whoever stops the machine may have interrupted anything, and so may have those who are stopped:
 * no lock can be taken, and no call posted.  What remains is a word a CPU.
 *
 * Implementation
 *
 *	from		to		by
 *	NONE		WANTED		xc_stop_cpus: then XC_IPI_STOP
 *	NONE, WANTED	WANTED_NMI	xc_stop_cpus by NMI: then an NMI
 *	WANTED		PARKED		the CPU, in the interrupt
 *	WANTED_NMI	PARKED		the CPU, in the NMI
 *	PARKED		NONE		xc_restart_cpus; the CPU sees it and goes on
 *	WANTED*		NONE		xc_stop_cpus, when time is up
 *
 * Each by compare-and-swap.  Only PARKED counts as stopped, and only a restart takes that away: a
 * CPU that is slow to leave after a restart, and finds itself wanted again, has not run in between
 * and parks when the next interrupt comes.
 *
 * Two CPUs that stopped each other would both stand for ever.  xc_stop_owner admits one; who waits
 * for his turn looks at his own word, and parks.  The owner is never asked to stop, as only owners
 * ask; not even by an NMI of its own that stops others, which goes on under the same owner.  A
 * restart takes its turn too: in the middle of it, one that has been let go could stop others, and
 * count some that are just being let go.
 *
 * A CPU that is parked in an NMI gets no other: if another CPU panics it would not be stopped by
 * that, so it looks itself (panic_stop_here()).
 *
 * Limits
 *
 * An interrupt that was sent for a stop whose time was up comes later and finds nothing wanted.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "xcall/rendezvous.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_ipi.h"
#include "xcall/xc_post.h"
#include "xcall/xc_stop.h"

enum { XC_STOP_NONE, XC_STOP_WANTED, XC_STOP_WANTED_NMI, XC_STOP_PARKED };

static _Atomic(struct xc_cpu *) xc_stop_owner;

/* --- who is stopped --------------------------------------------------------------------------- */

static bool
xc_stop_change(struct xc_cpu *xc, uint32_t from, uint32_t to)
{
	/* Release and acquire: what a CPU did before it parked is visible to who sees it parked,
	 * what was done meanwhile to the CPU when it goes on. */
	return atomic_compare_exchange_strong_explicit(
	    &xc->x_stop, &from, to, memory_order_acq_rel, memory_order_acquire);
}

static uint32_t
xc_stop_state(const struct xc_cpu *xc)
{
	/* Acquire: pairs with xc_stop_change(). */
	return atomic_load_explicit(&xc->x_stop, memory_order_acquire);
}

/* Stands still if that is wanted.  Interrupts off, or in an NMI. */
static bool
xc_stop_park(struct xc_cpu *self, uint32_t wanted)
{
	if (!xc_stop_change(self, wanted, XC_STOP_PARKED))
		return false;
	while (xc_stop_state(self) == XC_STOP_PARKED) {
		panic_stop_here();
		xcp_pause();
	}
	return true;
}

void
xc_stop_intr(void *arg __attribute__((unused)))
{
	(void)xc_stop_park(xc_self(), XC_STOP_WANTED);
}

static bool
xc_stop_nmi(struct trapframe *frame __attribute__((unused)))
{
	struct xc_cpu *self = xc_self();

	return self != NULL && xc_stop_park(self, XC_STOP_WANTED_NMI);
}

void
xc_stop_init(void)
{
	nmi_establish(xc_stop_nmi);
}

/* --- who stops them --------------------------------------------------------------------------- */

/* Makes this CPU the one that stops others or lets them go; false when its turn does not come in
 * time. */
static bool
xc_stop_claim(struct xc_cpu *self, uint64_t timeout_ns, bool *nested)
{
	uint64_t deadline = xc_wait_deadline(timeout_ns);
	struct xc_cpu *owner;

	for (;;) {
		owner = NULL;
		/* Acquire: pairs with xc_stop_release(). */
		*nested = !atomic_compare_exchange_strong_explicit(
		    &xc_stop_owner, &owner, self, memory_order_acquire, memory_order_relaxed);
		if (!*nested || owner == self)
			return true;
		if (xc_stop_park(self, XC_STOP_WANTED) || xc_stop_park(self, XC_STOP_WANTED_NMI))
			deadline = xc_wait_deadline(timeout_ns);
		if (clock_ns() >= deadline)
			return false;
		panic_stop_here();
		xcp_pause();
	}
}

static void
xc_stop_release(bool nested)
{
	/* Release: pairs with xc_stop_claim(). */
	if (!nested)
		atomic_store_explicit(&xc_stop_owner, NULL, memory_order_release);
}

static void
xc_stop_ask(struct xc_cpu *self, struct xc_cpu *target, bool nmi)
{
	if (nmi) {
		if (xc_stop_change(target, XC_STOP_NONE, XC_STOP_WANTED_NMI) ||
		    xc_stop_change(target, XC_STOP_WANTED, XC_STOP_WANTED_NMI))
			xcp_send_nmi(target->x_ci);
	} else if (xc_stop_change(target, XC_STOP_NONE, XC_STOP_WANTED)) {
		xc_ipi_send(self, target, XC_IPI_STOP, false);
	}
}

/* The next member after `cpu` that is a target, and not this CPU; NULL at the end. */
static struct xc_cpu *
xc_stop_next(const struct cpuset *set, unsigned *cpu)
{
	const struct cpu_info *self = curcpu(), *ci;
	struct xc_cpu *xc;

	for (; *cpu < ncpu; *cpu = cpuset_next(set, *cpu)) {
		ci = cpu_lookup(*cpu);
		if (ci == self || (xc = xc_post_target(ci)) == NULL)
			continue;
		*cpu = cpuset_next(set, *cpu);
		return xc;
	}
	return NULL;
}

/* Whether one of them is to stop and has not. */
static bool
xc_stop_wanted(const struct cpuset *set)
{
	unsigned cpu = cpuset_first(set);
	struct xc_cpu *xc;
	uint32_t state;

	while ((xc = xc_stop_next(set, &cpu)) != NULL) {
		state = xc_stop_state(xc);
		if (state == XC_STOP_WANTED || state == XC_STOP_WANTED_NMI)
			return true;
	}
	return false;
}

/* How many stand still; the others are not wanted any more. */
static unsigned
xc_stop_settle(const struct cpuset *set)
{
	unsigned cpu = cpuset_first(set), stopped = 0;
	struct xc_cpu *xc;

	while ((xc = xc_stop_next(set, &cpu)) != NULL) {
		if (!xc_stop_change(xc, XC_STOP_WANTED, XC_STOP_NONE) &&
		    !xc_stop_change(xc, XC_STOP_WANTED_NMI, XC_STOP_NONE) &&
		    xc_stop_state(xc) == XC_STOP_PARKED)
			stopped++;
		else
			printf("xc_stop_cpus: CPU %u (APIC id %u) did not stop\n",
			    xc->x_ci->ci_index, xc->x_ci->ci_apicid);
	}
	return stopped;
}

unsigned
xc_stop_cpus(const struct cpuset *set, bool nmi, uint64_t timeout_ns)
{
	struct xc_cpu *self = xc_self(), *xc;
	unsigned cpu, stopped = 0;
	uint64_t deadline;
	bool intr, nested;

	KASSERTMSG(set != NULL, "xc_stop_cpus: NULL set");
	if (self == NULL)
		return 0;
	/* The fixed interrupt that an NMI interrupted may be half sent. */
	nmi = nmi || cpu_nmi_p();
	intr = machine_intr_disable();
	if (xc_stop_claim(self, timeout_ns, &nested)) {
		for (cpu = cpuset_first(set); (xc = xc_stop_next(set, &cpu)) != NULL;)
			xc_stop_ask(self, xc, nmi);
		deadline = xc_wait_deadline(timeout_ns);
		while (xc_stop_wanted(set) && clock_ns() < deadline) {
			panic_stop_here();
			xcp_pause();
		}
		stopped = xc_stop_settle(set);
		xc_stop_release(nested);
	} else {
		printf("xc_stop_cpus: CPU %u: another one stops CPUs and does not come to an end\n",
		    self->x_ci->ci_index);
	}
	machine_intr_restore(intr);
	return stopped;
}

void
xc_restart_cpus(const struct cpuset *set)
{
	struct xc_cpu *self = xc_self(), *xc;
	bool intr, nested;

	KASSERTMSG(set != NULL, "xc_restart_cpus: NULL set");
	if (self == NULL)
		return;
	intr = machine_intr_disable();
	(void)xc_stop_claim(self, XC_FOREVER, &nested);
	for (unsigned i = cpuset_first(set); i < ncpu; i = cpuset_next(set, i))
		if ((xc = xc_cpu_lookup(i)) != NULL)
			(void)xc_stop_change(xc, XC_STOP_PARKED, XC_STOP_NONE);
	xc_stop_release(nested);
	machine_intr_restore(intr);
}
