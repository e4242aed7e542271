/*
 * softint(9).
 *
 * Background.  A hard interrupt keeps all others off, so it should do little and leave the rest for
 * later.  A thread is one place for the rest; but it must be woken and switched to, and waits its
 * turn.  A soft interrupt runs at once when the hard one is over, before any thread goes on, and
 * others can interrupt it.
 *
 * Implementation.  The table of soft interrupts is common; each CPU has its own list of pending
 * ones a level, in the order in which they were scheduled, and a word that says which level runs.
 * Only the CPU itself touches these, with interrupts off, so no lock is taken to schedule or to run
 * one.
 *
 * softint_run() runs, best level first, what is pending above the level that runs already, with
 * interrupts on around each function.  It is called at the end of the outermost hard interrupt.
 * One that comes while a function runs ends the same way, but there only higher levels are above;
 * so levels nest, each at most once, and the stack is bounded: a function of each level, and a hard
 * interrupt on top of each.  What comes for the same level or a lower one is found by the loop that
 * stands below on the stack.  The scheduler switches when no level runs (sched_wanted()): a thread
 * stays while a soft interrupt stands on its stack.
 *
 * Nothing that is pending above the running level is forgotten:
 *	- scheduled in a hard interrupt: its end calls softint_run();
 *	- scheduled elsewhere with interrupts on: softint_schedule() calls it;
 *	- scheduled elsewhere with interrupts off: the CPU sends itself RESCHED.  One such interrupt
 *	  is enough until interrupts are on, so it is sent for the first only.
 *
 * Taking one away must wait until no CPU runs it, and nothing down here can ask another CPU.  So
 * each CPU shows what is pending and what runs, as two sets; whoever takes one away polls them.  A
 * CPU that begins one adds it to the second before it takes it from the first:
 *
 *	CPU					softint_disestablish
 *	pending |= it
 *	...
 *	running |= it				read pending (acquire)
 *	pending &= ~it	(release)		read running (acquire)
 *	function
 *	running &= ~it	(release)
 *
 * A reader that no longer finds it in the first has the second from before or later: it finds it
 * there, or the function has returned.
 *
 * Rejected: a thread a level and CPU, as NetBSD has them (its soft interrupts may block on locks;
 * ours must not, and save the switch); lists linked through the handles (a handle is pending on
 * many CPUs at once).
 *
 * Rules for callers: softint.h.
 *
 * Limits.  SOFTINT_HANDLES of them.  One that schedules itself for ever lets no thread run.
 * Spinlocks keep soft interrupts off, as they keep all interrupts off; kpreempt_disable() does not.
 */
#include "kernel/softint.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/spinlock.h"

/*
 *	from		to		by
 *	SI_FREE		SI_LIVE		softint_establish
 *	SI_LIVE		SI_DYING	softint_disestablish: pending runs are left out from here on
 *	SI_DYING	SI_FREE		softint_disestablish, when no CPU knows it any more
 */
enum softint_state { SI_FREE, SI_LIVE, SI_DYING };

/* Locking: softint_lock; in a live one all is constant. */
struct softint {
	_Atomic int si_state;
	unsigned si_level; /* 1 .. SOFTINT_COUNT */
	void (*si_func)(void *);
	void *si_arg;
} __attribute__((aligned(32))); /* a power of two: cookies become numbers by a shift */

_Static_assert(SOFTINT_HANDLES == 64, "the sets of a CPU are words of 64 bits");

static struct spinlock softint_lock = SPINLOCK_INIT("soft interrupts");
static struct softint softint_table[SOFTINT_HANDLES];

/* The number of a live soft interrupt. */
static inline unsigned
softint_number(const void *cookie, const char *operation)
{
	uintptr_t offset = (uintptr_t)cookie - (uintptr_t)softint_table;
	unsigned n = (unsigned)(offset / sizeof(struct softint));

	/* Acquire: pairs with the release in softint_establish(). */
	if (offset >= sizeof(softint_table) || offset % sizeof(struct softint) != 0 ||
	    atomic_load_explicit(&softint_table[n].si_state, memory_order_acquire) != SI_LIVE)
		panic("%s: %#lx is no soft interrupt", operation, (uintptr_t)cookie);
	return n;
}

void *
softint_establish(unsigned flags, void (*func)(void *), void *arg)
{
	unsigned level = flags & SOFTINT_LVLMASK;
	struct softint *found = NULL;

	KASSERTMSG(func != NULL, "NULL function");
	KASSERTMSG(level < SOFTINT_COUNT && (flags & ~(SOFTINT_LVLMASK | SOFTINT_MPSAFE)) == 0,
	    "flags %#x", flags);
	spinlock_enter(&softint_lock);
	for (unsigned i = 0; found == NULL && i < SOFTINT_HANDLES; i++) {
		struct softint *si = &softint_table[i];

		if (atomic_load_explicit(&si->si_state, memory_order_relaxed) == SI_FREE)
			found = si;
	}
	if (found != NULL) {
		found->si_level = level + 1;
		found->si_func = func;
		found->si_arg = arg;
		/* Release: pairs with the acquires in softint_number() and softint_call(). */
		atomic_store_explicit(&found->si_state, SI_LIVE, memory_order_release);
	}
	spinlock_exit(&softint_lock);
	return found;
}

/* Whether any CPU has it pending or runs it. */
static bool
softint_known(uint64_t bit)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		const struct softint_cpu *sic = &ci->ci_softint;

		/* Acquire, in this order: pairs with the releases in softint_take() and
		 * softint_end(). */
		if ((atomic_load_explicit(&sic->sic_pending, memory_order_acquire) & bit) != 0 ||
		    (atomic_load_explicit(&sic->sic_running, memory_order_acquire) & bit) != 0)
			return true;
	}
	return false;
}

void
softint_disestablish(void *cookie)
{
	unsigned n = softint_number(cookie, "softint_disestablish");
	struct softint *si = &softint_table[n];

	sched_assert_sleepable("softint_disestablish");
	/* Relaxed: who still finds it live runs it, and is waited for. */
	atomic_store_explicit(&si->si_state, SI_DYING, memory_order_relaxed);
	while (softint_known((uint64_t)1 << n)) {
		kthread_yield();
		machine_pause();
	}
	spinlock_enter(&softint_lock);
	atomic_store_explicit(&si->si_state, SI_FREE, memory_order_relaxed);
	spinlock_exit(&softint_lock);
}

/* --- one CPU's lists; interrupts off in all of these ------------------------------------------ */

/* The highest level that has something pending; 0: none. */
static inline unsigned
softint_best(const struct softint_cpu *sic)
{
	return sic->sic_levels != 0 ? 32 - (unsigned)__builtin_clz(sic->sic_levels) : 0;
}

/* Adds it to its level's list; false when it is there already. */
static inline bool
softint_append(struct softint_cpu *sic, unsigned n, unsigned level)
{
	uint64_t pending = atomic_load_explicit(&sic->sic_pending, memory_order_relaxed);
	uint8_t *first = &sic->sic_first[level - 1], *last = &sic->sic_last[level - 1];

	if ((pending >> n & 1) != 0)
		return false;
	sic->sic_next[n] = 0;
	if (*first == 0) {
		*first = (uint8_t)(n + 1);
		sic->sic_levels |= 1u << (level - 1);
	} else {
		sic->sic_next[*last - 1] = (uint8_t)(n + 1);
	}
	*last = (uint8_t)(n + 1);
	/* Relaxed: whoever takes it away afterwards was told so by other means. */
	atomic_store_explicit(&sic->sic_pending, pending | (uint64_t)1 << n, memory_order_relaxed);
	return true;
}

/* Takes the first of a level and marks it as running. */
static inline unsigned
softint_take(struct softint_cpu *sic, unsigned level)
{
	unsigned n = sic->sic_first[level - 1] - 1u;
	uint64_t bit = (uint64_t)1 << n, pending, running;

	sic->sic_first[level - 1] = sic->sic_next[n];
	if (sic->sic_next[n] == 0)
		sic->sic_levels &= ~(1u << (level - 1));
	running = atomic_load_explicit(&sic->sic_running, memory_order_relaxed);
	atomic_store_explicit(&sic->sic_running, running | bit, memory_order_relaxed);
	pending = atomic_load_explicit(&sic->sic_pending, memory_order_relaxed);
	/* Release: pairs with the acquire in softint_known(). */
	atomic_store_explicit(&sic->sic_pending, pending & ~bit, memory_order_release);
	return n;
}

/* Not running any more. */
static inline void
softint_end(struct softint_cpu *sic, unsigned n)
{
	uint64_t running = atomic_load_explicit(&sic->sic_running, memory_order_relaxed);

	/* Release: pairs with the acquire in softint_known(). */
	atomic_store_explicit(
	    &sic->sic_running, running & ~((uint64_t)1 << n), memory_order_release);
}

/* --- running ---------------------------------------------------------------------------------- */

/* The function did not leave everything as it found it. */
static _Noreturn void __attribute__((noinline, cold))
softint_blame(const struct cpu_info *ci, const struct softint *si, unsigned nopreempt)
{
	char name[KSYMS_TEXT_BYTES];

	panic("soft interrupt %s did not leave its context as it found it: interrupts %s, "
	      "spinlocks %u, preemption off %u (was %u)",
	    ksyms_format((uintptr_t)si->si_func, name), machine_intr_enabled() ? "on" : "off",
	    ci->ci_spin_depth, ci->ci_nopreempt, nopreempt);
}

static inline void
softint_call(struct cpu_info *ci, const struct softint *si)
{
	unsigned nopreempt = ci->ci_nopreempt;

	/* Acquire: pairs with the release in softint_establish(). */
	if (atomic_load_explicit(&si->si_state, memory_order_acquire) != SI_LIVE)
		return;
	machine_intr_restore(true);
	si->si_func(si->si_arg);
	if (ci->ci_spin_depth != 0 || ci->ci_nopreempt != nopreempt || ci->ci_intr_depth != 0 ||
	    !machine_intr_disable())
		softint_blame(ci, si, nopreempt);
}

void
softint_run(void)
{
	struct cpu_info *ci = curcpu();
	struct softint_cpu *sic = &ci->ci_softint;
	unsigned below = sic->sic_level, level, n;

	KASSERT(!machine_intr_enabled() && ci->ci_intr_depth == 0 && ci->ci_nmi_depth == 0);
	while ((level = softint_best(sic)) > below) {
		KASSERTMSG(ci->ci_spin_depth == 0, "%u spinlocks held", ci->ci_spin_depth);
		n = softint_take(sic, level);
		sic->sic_level = level;
		softint_call(ci, &softint_table[n]);
		sic->sic_level = below;
		softint_end(sic, n);
	}
}

void
softint_kick(void)
{
	struct cpu_info *ci = curcpu();

	if (softint_best(&ci->ci_softint) > ci->ci_softint.sic_level)
		machine_send_ipi(ci, INTR_VECTOR_RESCHED);
}

/* Scheduled outside of interrupts, above what runs: runs it, or sees to it that it will.  `first`:
 * nothing else was due. */
static void
softint_start(struct cpu_info *ci, bool were_on, bool first)
{
	if (were_on) {
		softint_run();
		sched_intr_exit();
	} else if (first) {
		machine_send_ipi(ci, INTR_VECTOR_RESCHED);
	}
}

void
softint_schedule(void *cookie)
{
	unsigned n = softint_number(cookie, "softint_schedule"), level = softint_table[n].si_level;
	bool were_on = machine_intr_disable();
	struct cpu_info *ci = curcpu();
	struct softint_cpu *sic = &ci->ci_softint;
	unsigned best = softint_best(sic);

	KASSERTMSG(ci->ci_nmi_depth == 0, "in an NMI");
	if (softint_append(sic, n, level) && ci->ci_intr_depth == 0 && level > sic->sic_level)
		softint_start(ci, were_on, best <= sic->sic_level);
	machine_intr_restore(were_on);
}
