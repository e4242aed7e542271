/*
 * Spinlocks: fair (tickets), owned, and with interrupts off while any is held.
 *
 *  - Entering turns interrupts off, leaving the last one restores what was found: locks nest in any
 *    order of release.
 *  - Who holds a spinlock must not sleep; sleeping functions assert that.
 *  - A CPU holds at most CPU_SPINLOCKS at once.
 *  - Recursion, release by a stranger, and SPINLOCK_HANG_NS in which the lock is not passed on,
 *    panic and name both parties.
 */
#ifndef KERNEL_SPINLOCK_H
#define KERNEL_SPINLOCK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/lockdebug.h"
#include "kernel/machine.h"

struct spinlock {
	_Atomic uint32_t sl_next;            /* next ticket to hand out */
	_Atomic uint32_t sl_serving;         /* ticket that holds the lock */
	_Atomic(struct cpu_info *) sl_owner; /* NULL when free */
	_Atomic uint32_t sl_where; /* the holder's caller: code lies below 4 GiB (ksyms.c) */
	_Atomic uint32_t sl_debug; /* lockdebug.c's: kind and class */
	const char *sl_name;
};

#define SPINLOCK_INIT(name) \
	{ \
		.sl_name = (name) \
	}

void spinlock_init(struct spinlock *, const char *name);
/* The same for one inside another kind of lock. */
void spinlock_init_kind(struct spinlock *, const char *name, enum lockdebug_kind);
/* Any context but NMI.  Acquire: pairs with the release in spinlock_exit(). */
void spinlock_enter(struct spinlock *);
/* The same, without waiting; false when somebody holds it. */
bool spinlock_tryenter(struct spinlock *) __attribute__((warn_unused_result));
/* Leaving the last one is a preemption point. */
void spinlock_exit(struct spinlock *);
/* The same, but no preemption point: for the scheduler, which looks for itself. */
void spinlock_exit_quiet(struct spinlock *);
/* What ci_spin_held keeps of a lock that lockdebug.c knows to be held: its address and this bit. */
#define SPINLOCK_CHECKED ((uintptr_t)1)
/* One of the locks that this CPU holds or waits for. */
static inline const struct spinlock *
spinlock_held(const struct spinlock *held)
{
	return (const struct spinlock *)((uintptr_t)held & ~SPINLOCK_CHECKED);
}

/* Whether this CPU holds it.  For assertions only. */
static inline bool
spinlock_owned(const struct spinlock *sl)
{
	/* Relaxed: see spinlock.c. */
	return atomic_load_explicit(&sl->sl_owner, memory_order_relaxed) == machine_curcpu();
}

/* What a CPU spins for at this moment, in words, written into `buf`; NULL when it does not.  Any
 * context. */
#define SPINLOCK_TEXT_BYTES 192
const char *spinlock_wanted(const struct cpu_info *, char buf[SPINLOCK_TEXT_BYTES]);

#endif
