/*
 * Door 2: everything that xcall/ asks of the kernel around it.  README.md goes through it for who ports.
 *
 *  1. CPUs: struct cpu_info with ci_index (dense from 0), ci_spin_depth, ci_intr_count, ci_xcall (ours); curcpu(),
 *     cpu_lookup(), cpu_online(), CPU_INFO_FOREACH(); ncpu, constant before the first xc_init_cpu(); MAXCPUS; cpu_distance().
 *  2. Sets of CPUs: struct cpuset, cpuset_add() and its like.
 *  3. Threads that never change their CPU: lwp_t with l_name, l_cpu, l_blocked_on and l_xcall (ours), curlwp,
 *     kthread_create() at PRI_XCALL, the top; kthread_sleep_ns(); kthread_foreach(), which frees none.
 *  4. mutex(9) at IPL_HIGH, which keeps interrupts off and may be taken in them; condvar(9) on such a
 *     mutex, with cv_broadcast() legal wherever the mutex is.
 *  5. Adaptive mutexes are seen, not used: mutex_held_count(), mutex_owner(), l_blocked_on.
 *  6. Where the caller stands: xcp_unsleepable(), xcp_context(), cpu_nmi_p(), cpu_intr_p(), cpu_softintr_p().
 *  7. machine_intr_disable(), _restore(), _enabled(); kpreempt_disable(), _enable(); xcp_pause().
 *  8. Interrupts: INTR_VECTOR_XCALL, above the timer's, intr_establish(); intr_enter(), intr_leave();
 *     intr_establish_exit(); xcp_send_call().
 *  9. NMIs: nmi_establish(); xcp_send_nmi(), which a CPU may also send itself.
 * 10. softint(9).
 * 11. Time: machine_cycles(); clock_ns(), which never steps back; clock_cycles_to_ns().
 * 12. kmem_boot_alloc(), for xc_init_cpu() only.
 * 13. evcnt(9), panic(), panic_stop_here(), KASSERTMSG(), printf(), vsnprintf(), errno values; COMMAND() of the monitor.
 *     For reports: ksyms_format(), machine_backtrace(), spinlock_wanted(), machine_hypervisor().
 */
#ifndef XCALL_XC_PORT_H
#define XCALL_XC_PORT_H

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/evcnt.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/softint.h"

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
	if (cpu_softintr_p())
		return "in a soft interrupt";
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

#define xcp_pause() machine_pause()

/* Any context but NMI; the stores before are visible to the handler. */
static inline void
xcp_send_call(struct cpu_info *ci)
{
	machine_send_ipi(ci, INTR_VECTOR_XCALL);
}

/* A LAPIC that stays busy has lost nothing: the request word is set, and a resend comes with the stall's report. */
static inline void
xcp_send_nmi(struct cpu_info *ci)
{
	(void)!machine_send_nmi(ci);
}

#endif
