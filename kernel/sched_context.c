/*
 * Who may sleep, and in which words one is told who may not.
 */
#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/spinlock.h"

bool
sched_sleepable_with(const struct spinlock *lock)
{
	const struct cpu_info *ci = curcpu();

	return ci->ci_curlwp != NULL && ci->ci_curlwp->l_base_pri != PRI_IDLE &&
	    (ci->ci_intr_depth | ci->ci_nmi_depth | ci->ci_softint.sic_level | ci->ci_nopreempt) ==
	    0 &&
	    ci->ci_spin_depth == 1 && spinlock_held(ci->ci_spin_held[0]) == lock &&
	    ci->ci_spin_intr;
}

/* The last spinlock that this CPU took, other than `allowed`; NULL when there is none. */
static const struct spinlock *
sched_spinlock_held(const struct cpu_info *ci, const struct spinlock *allowed)
{
	for (unsigned i = ci->ci_spin_depth; i-- != 0;)
		if (spinlock_held(ci->ci_spin_held[i]) != allowed)
			return spinlock_held(ci->ci_spin_held[i]);
	return NULL;
}

_Noreturn void
sched_panic_sleeping(const struct spinlock *allowed, const char *operation, const char *object)
{
	const struct cpu_info *ci = curcpu();
	const struct spinlock *held = sched_spinlock_held(ci, allowed);
	const char *who = ci->ci_curlwp != NULL ? ci->ci_curlwp->l_name : "no thread";
	const char *space = object[0] != '\0' ? " " : "", *why = "with interrupts off", *what = "";

	if (ci->ci_nmi_depth != 0)
		why = "in an NMI";
	else if (ci->ci_intr_depth != 0)
		why = "in an interrupt";
	else if (ci->ci_softint.sic_level != 0)
		why = "in a soft interrupt";
	else if (ci->ci_curlwp == NULL)
		why = "before the scheduler runs";
	else if (held != NULL) {
		why = "with a spinlock held: ";
		what = held->sl_name;
	} else if (ci->ci_nopreempt != 0)
		why = "with preemption off";
	else if (ci->ci_curlwp->l_base_pri == PRI_IDLE)
		why = "in the idle thread";
	panic("%s%s%s: sleeping %s%s, by %s on CPU %u", operation, space, object, why, what, who,
	    ci->ci_index);
}

void
sched_assert_sleepable(const char *what)
{
	if (!sched_sleepable())
		sched_panic_sleeping(NULL, what, "");
}
