/*
 * Spinlocks taken inside others, inline: for the paths of the scheduler and its like, which take
 * two at each sleep and each wake-up.  The checks are those of spinlock.c, less what the outer lock
 * has passed: interrupts are off, and this is no NMI.  Whatever is odd, and everything while locks
 * are checked (lockdebug.h), goes the way of spinlock.c.
 */
#ifndef KERNEL_SPINLOCK_INNER_H
#define KERNEL_SPINLOCK_INNER_H

#include "kernel/cpu.h"
#include "kernel/spinlock.h"

/* Waits for its ticket: somebody else holds the lock. */
void spinlock_wait(struct spinlock *, struct cpu_info *, uint32_t ticket, uintptr_t where);

#define SPINLOCK_CALLER() ((uintptr_t)__builtin_return_address(0))

/* It is this CPU's now. */
static inline void
spinlock_take(struct spinlock *sl, struct cpu_info *ci, uintptr_t where)
{
	atomic_store_explicit(&sl->sl_owner, ci, memory_order_relaxed);
	atomic_store_explicit(&sl->sl_where, (uint32_t)where, memory_order_relaxed);
}

/* Whether that brought the lock; else it is to be waited for. */
static inline bool
spinlock_draw(struct spinlock *sl, uint32_t *ticket)
{
	/* Relaxed: the acquire is below, or in spinlock_wait(). */
	*ticket = atomic_fetch_add_explicit(&sl->sl_next, 1, memory_order_relaxed);
	/* Acquire: pairs with spinlock_pass(). */
	return atomic_load_explicit(&sl->sl_serving, memory_order_acquire) == *ticket;
}

/* Gives the lock, which is this CPU's, to the next ticket. */
static inline void
spinlock_pass(struct spinlock *sl)
{
	uint32_t serving;

	atomic_store_explicit(&sl->sl_owner, NULL, memory_order_relaxed);
	serving = atomic_load_explicit(&sl->sl_serving, memory_order_relaxed);
	/* Release: pairs with the acquires in spinlock_draw(), _wait() and _try(). */
	atomic_store_explicit(&sl->sl_serving, serving + 1, memory_order_release);
}

/* spinlock_enter() and spinlock_exit() of who holds another one meanwhile. */
static inline void
spinlock_enter_inner(struct spinlock *sl)
{
	struct cpu_info *ci = curcpu();
	unsigned depth = ci->ci_spin_depth;
	uint32_t ticket;

	if (depth == 0 ||
	    depth >= atomic_load_explicit(&lockdebug_spinlocks, memory_order_relaxed) ||
	    atomic_load_explicit(&sl->sl_owner, memory_order_relaxed) == ci) {
		spinlock_enter(sl);
		return;
	}
	ci->ci_spin_held[depth] = sl;
	ci->ci_spin_depth = depth + 1;
	if (!spinlock_draw(sl, &ticket))
		spinlock_wait(sl, ci, ticket, SPINLOCK_CALLER());
	spinlock_take(sl, ci, SPINLOCK_CALLER());
}

static inline void
spinlock_exit_inner(struct spinlock *sl)
{
	struct cpu_info *ci = curcpu();
	unsigned last = ci->ci_spin_depth - 1;

	if (last == 0 || ci->ci_spin_held[last] != sl ||
	    atomic_load_explicit(&sl->sl_owner, memory_order_relaxed) != ci) {
		spinlock_exit_quiet(sl);
		return;
	}
	spinlock_pass(sl);
	ci->ci_spin_depth = last;
}

#endif
