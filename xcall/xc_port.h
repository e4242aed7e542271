/*
 * Door 2: all that xcall/ asks of the kernel around it.  README.md says what each must do, by the
 * same numbers; tests/host/toy/include/kernel/ has the prototypes.
 *  1. struct cpu_info: ci_index, ci_apicid, ci_curlwp, ci_spin_depth, ci_intr_depth, ci_nmi_depth,
 *     ci_nopreempt, ci_intr_count[CPU_VECTORS] (atomic), ci_xcall (ours); curcpu(), cpu_lookup(),
 *     cpu_online(), cpu_distance(), CPU_INFO_FOREACH(); ncpu, MAXCPUS, CACHE_LINE_BYTES.
 *  2. struct cpuset: cs_word[CPUSET_WORDS]; CPUSET_END; cpuset_zero(), _add(), _remove(), _has(),
 *     _empty(), _first(), _next().
 *  3. lwp_t: l_name[LWP_NAME_BYTES], l_cpu, l_base_pri, l_blocked_on (atomic), l_xcall (ours);
 *     kthread_create(), _sleep_ns(), _await(), _rouse(), _foreach(); curlwp, PRI_XCALL, PRI_IDLE,
 *     KTHREAD_ flags.
 *  4. kmutex_t: mtx_name; mutex_init(), _enter(), _exit(); MUTEX_DEFAULT, IPL_HIGH; kcondvar_t;
 *     cv_init(), _wait(), _timedwait(), _broadcast().
 *  5. mutex_held_count(), mutex_owner(), l_blocked_on: adaptive mutexes are seen, not used.
 *  6. cpu_nmi_p(), cpu_intr_p(), cpu_softintr_p(); xcp_unsleepable(), xcp_context().
 *  7. machine_intr_disable(), _restore(), _enabled(); kpreempt_disable(), _enable(); xcp_pause().
 *  8. intr_establish(), intr_enter(), intr_leave(), _quick() of both, intr_establish_exit();
 *     intr_hook_t, struct trapframe (opaque), INTR_VECTOR_XCALL; xcp_send_call(),
 *     machine_send_call_others().
 *  9. nmi_establish(), xcp_send_nmi().
 * 10. softint_establish(), _schedule(); SOFTINT_MPSAFE, SOFTINT_ and IPL_SOFT: four levels each.
 * 11. clock_ns(), machine_cycles(), _early(), clock_cycles_to_ns(). 12. kmem_boot_alloc().
 * 13. panic(), _establish(), _stop_here(), KASSERT(), KASSERTMSG(); machine_count(), _backtrace(),
 *     _hypervisor(), _stack_pointer(); evcnt_attach_dynamic(), _sum(), _increment(); printf() and
 *     such; EBUSY and such; ksyms_format(), spinlock_wanted(), lockdebug_held_by_cpu(), _by_lwp().
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
	unsigned mutexes;   /* adaptive ones, held by this thread; in bring-up there is none yet */
	bool intr_on;
};

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
/* Interrupts off, not in an NMI; the stores before are visible to the handler. */
static inline void
xcp_send_call(struct cpu_info *ci)
{
	machine_send_call(ci);
}

/* One that cannot be sent (false) is not lost: a stall's report sends it again. */
static inline bool
xcp_send_nmi(struct cpu_info *ci)
{
	return machine_send_nmi(ci);
}

#endif
