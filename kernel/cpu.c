/*
 * The table of CPUs, the set of those that run, and preemption.
 *
 * ci_nopreempt and its like are plain variables although a thread may lose its CPU between the load
 * and the store of an increment: whoever runs meanwhile has left them as found before this thread
 * comes back, for a thread that has preemption off cannot be switched away from.
 */
#include "kernel/cpu.h"

#include <stddef.h>

#include "kernel/panic.h"
#include "kernel/sched.h"

_Static_assert(offsetof(struct cpu_info, ci_self) == 0, "machine_curcpu() reads the first word");

unsigned ncpu;
/* Entries go from NULL to a CPU once; release in cpu_attach(), acquire in cpu_lookup(). */
_Atomic(struct cpu_info *) cpu_table[MAXCPUS];
static _Atomic unsigned cpu_nonline;

void
cpu_attach(struct cpu_info *ci)
{
	KASSERTMSG(ncpu < MAXCPUS, "no room for APIC id %u", ci->ci_apicid);
	KASSERTMSG(ci->ci_self == ci, "APIC id %u", ci->ci_apicid);
	ci->ci_index = ncpu;
	/* Release: pairs with cpu_lookup(). */
	atomic_store_explicit(&cpu_table[ncpu], ci, memory_order_release);
	ncpu++;
}

bool
cpu_online(const struct cpu_info *ci)
{
	/* Acquire: pairs with cpu_set_online() and cpu_set_offline(). */
	return atomic_load_explicit(&ci->ci_online, memory_order_acquire);
}

void
cpu_set_online(void)
{
	struct cpu_info *ci = curcpu();

	KASSERTMSG(!cpu_online(ci), "CPU %u", ci->ci_index);
	/* Release: pairs with cpu_online(). */
	atomic_store_explicit(&ci->ci_online, true, memory_order_release);
	/* Release: pairs with cpu_online_count(). */
	atomic_fetch_add_explicit(&cpu_nonline, 1, memory_order_release);
}

void
cpu_set_offline(void)
{
	struct cpu_info *ci = curcpu();

	KASSERTMSG(cpu_online(ci) && !machine_intr_enabled(), "CPU %u", ci->ci_index);
	/* The count first: who sees the CPU offline may restart it, which counts it again. */
	atomic_fetch_sub_explicit(&cpu_nonline, 1, memory_order_release);
	/* Release: pairs with cpu_online(); nothing of what this CPU did comes behind it. */
	atomic_store_explicit(&ci->ci_online, false, memory_order_release);
}

unsigned
cpu_online_count(void)
{
	/* Acquire: pairs with cpu_set_online() and cpu_set_offline(). */
	return atomic_load_explicit(&cpu_nonline, memory_order_acquire);
}

unsigned
cpu_distance(const struct cpu_info *a, const struct cpu_info *b)
{
	if (a == b)
		return 0;
	if (a->ci_package_id != b->ci_package_id)
		return 3;
	return a->ci_core_id == b->ci_core_id ? 1 : 2;
}

bool
cpu_intr_p(void)
{
	return curcpu()->ci_intr_depth != 0;
}

bool
cpu_softintr_p(void)
{
	return curcpu()->ci_softint.sic_level != 0;
}

bool
cpu_nmi_p(void)
{
	return curcpu()->ci_nmi_depth != 0;
}

void
kpreempt_disable(void)
{
	struct cpu_info *ci = curcpu();

	KASSERT(ci->ci_intr_depth == 0 && ci->ci_nmi_depth == 0);
	ci->ci_nopreempt++;
	/* The section must not begin above this in the compiled code; no other CPU looks. */
	atomic_signal_fence(memory_order_seq_cst);
}

void
kpreempt_enable(void)
{
	struct cpu_info *ci = curcpu();

	KASSERT(ci->ci_intr_depth == 0 && ci->ci_nmi_depth == 0);
	KASSERTMSG(ci->ci_nopreempt != 0, "CPU %u: preemption is on already", ci->ci_index);
	atomic_signal_fence(memory_order_seq_cst);
	ci->ci_nopreempt--;
	atomic_signal_fence(memory_order_seq_cst);
	sched_preempt_point();
}
