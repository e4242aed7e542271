/*
 * Who may sleep (sched_context.c).
 */
#ifndef KERNEL_SCHED_CONTEXT_H
#define KERNEL_SCHED_CONTEXT_H

#include <stdbool.h>

#include "kernel/cpu.h"
#include "kernel/lwp.h"
#include "kernel/machine.h"

/* Whether the caller may sleep here: in a thread other than idle, interrupts and preemption on, no
 * spinlock held; or with that one. */
static inline bool
sched_sleepable(void)
{
	const struct cpu_info *ci = curcpu();

	return (ci->ci_intr_depth | ci->ci_nmi_depth | ci->ci_softint.sic_level | ci->ci_nopreempt |
		   ci->ci_spin_depth) == 0 &&
	    ci->ci_curlwp != NULL && ci->ci_curlwp->l_base_pri != PRI_IDLE &&
	    machine_intr_enabled();
}

bool sched_sleepable_with(const struct spinlock *);
/* Panics with the reason why not: "`operation` `object`: sleeping ..."; `object` may be "", the
 * spinlock NULL. */
_Noreturn void sched_panic_sleeping(
    const struct spinlock *allowed, const char *operation, const char *object);
/* Both together, no spinlock allowed; `what` names the operation. */
void sched_assert_sleepable(const char *what);

#endif
