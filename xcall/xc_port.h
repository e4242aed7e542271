/*
 * Door 2: everything that xcall/ asks of the kernel around it.  A host program that supplies this list
 * runs the same sources.
 *
 *  1. CPUs: struct cpu_info with ci_index (dense from 0) and ci_xcall (ours); curcpu(), cpu_lookup(),
 *     CPU_INFO_FOREACH(), cpu_online(); MAXCPUS.
 *  2. Sets of CPUs: struct cpuset, cpuset_add() and its like.
 *  3. Threads that never change their CPU: lwp_t with l_name, l_cpu, l_blocked_on and l_xcall (ours), curlwp,
 *     kthread_create() at PRI_XCALL, the top of all priorities; kthread_foreach(), during which no
 *     thread is freed.
 *  4. mutex(9) at IPL_HIGH, which keeps interrupts off and may be taken in them; condvar(9) on such a
 *     mutex, with cv_signal() and cv_broadcast() legal wherever the mutex is.
 *  5. Adaptive mutexes are seen, not used: mutex_held_count(), mutex_owner(), l_blocked_on.
 *  6. Where the caller stands: xcp_unsleepable(), xcp_context(), cpu_nmi_p().
 *  7. xcp_preempt_disable(), xcp_preempt_enable(), xcp_pause().
 *  8. kmem_boot_alloc(), for xc_init_cpu() only.
 *  9. evcnt(9).
 * 10. panic(), KASSERTMSG(), printf(), ksyms_format(), errno values.
 * 11. COMMAND(): commands of the monitor.
 */
#ifndef XCALL_XC_PORT_H
#define XCALL_XC_PORT_H

#include "kernel/command.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/evcnt.h"
#include "kernel/kmem.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/printf.h"

/* What a function must leave as it found it. */
struct xcp_context {
	unsigned nopreempt; /* depth of preemption off */
	unsigned spinlocks; /* held by this CPU */
	unsigned mutexes;   /* adaptive ones, held by this thread */
	bool intr_on;
};

/* During bring-up there is no thread yet. */
static inline struct xcp_context
xcp_context(void)
{
	const struct cpu_info *ci = curcpu();

	return (struct xcp_context){ .nopreempt = ci->ci_nopreempt,
		.spinlocks = ci->ci_spin_depth,
		.mutexes = ci->ci_curlwp != NULL ? mutex_held_count(ci->ci_curlwp) : 0,
		.intr_on = machine_intr_enabled() };
}

/* Why the caller may not sleep here, in words that follow a function's name; NULL when it may. */
static inline const char *
xcp_unsleepable(void)
{
	const struct cpu_info *ci = curcpu();

	if (cpu_nmi_p())
		return "in an NMI";
	if (cpu_intr_p())
		return "in an interrupt";
	if (ci->ci_spin_depth != 0)
		return "with a spinlock held";
	if (!machine_intr_enabled())
		return "with interrupts off";
	if (ci->ci_nopreempt != 0)
		return "with preemption off";
	if (ci->ci_curlwp == NULL || ci->ci_curlwp->l_base_pri == PRI_IDLE)
		return "outside of threads";
	return NULL;
}

/* Interrupts are not preempted anyway, and may not ask. */
static inline void
xcp_preempt_disable(void)
{
	if (!cpu_intr_p())
		kpreempt_disable();
}

static inline void
xcp_preempt_enable(void)
{
	if (!cpu_intr_p())
		kpreempt_enable();
}

#define xcp_pause() machine_pause()

#endif
