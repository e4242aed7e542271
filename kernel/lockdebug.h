/*
 * Lock checking: learns in which order locks are taken, and says so when two orders contradict each
 * other, before that becomes a deadlock; keeps who holds what since where.
 *
 *  - Locks of one name and kind are one class, and classes are what has an order.  Two locks of a
 *    class nest freely.
 *  - Reported once each, with every link's two locks, threads, CPUs and stacks: the acquisition
 *    that closes a circle of classes; a spinlock that is taken in interrupts and held with
 *    interrupts on somewhere, or waited for by who holds such a one.
 *  - Trying for a lock waits for nothing, and so adds no order before it; what is taken after does.
 *  - Off it costs the locks nearly nothing (spinlock.c, mutex.c).  On, nothing is allocated: what
 *    the tables have no room for is said once, and left unchecked.
 */
#ifndef KERNEL_LOCKDEBUG_H
#define KERNEL_LOCKDEBUG_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_info;
struct lwp;
struct spinlock;

enum lockdebug_kind {
	LOCKDEBUG_SPINLOCK,
	LOCKDEBUG_MUTEX, /* adaptive */
	LOCKDEBUG_SPIN_MUTEX,
	LOCKDEBUG_CONDVAR, /* the spinlock inside */
	LOCKDEBUG_KINDS,
};

/* What spinlock.h keeps for this module: a kind; a class once one has been found. */
#define LOCKDEBUG_TAG(kind) ((uint32_t)(kind) << 16)

/* Of one CPU (spinlocks) or one thread (adaptive mutexes), oldest first.  Written by its owner;
 * onlookers may find an entry that has just changed, and nothing worse. */
#define LOCKDEBUG_HELD 12
struct lockdebug_table {
	_Atomic unsigned lt_n;
	struct lockdebug_held {
		_Atomic(const struct spinlock *) lh_lock; /* which; nobody follows it */
		_Atomic uintptr_t lh_where;               /* where it was taken */
		_Atomic unsigned lh_class;
	} lt_held[LOCKDEBUG_HELD];
};

enum lockdebug_policy { LOCKDEBUG_OFF, LOCKDEBUG_PANIC, LOCKDEBUG_REPORT };
/* Any time; locks that are held by then are not known.  Returns what was. */
enum lockdebug_policy lockdebug_set_policy(enum lockdebug_policy);

extern _Atomic int lockdebug_policy;
/* How many spinlocks a CPU may hold, by the short way: CPU_SPINLOCKS, or none when this is on. */
extern _Atomic unsigned lockdebug_spinlocks;
static inline bool
lockdebug_on(void)
{
	return __builtin_expect(
	    atomic_load_explicit(&lockdebug_policy, memory_order_relaxed) != LOCKDEBUG_OFF, 0);
}

/* For spinlock.c and mutex.c, when lockdebug_on(); an adaptive mutex is shown by its mtx_spin.
 * `where`: who asked for it.  Before it is waited for (`intr`: with interrupts on until then); once
 * it is held; when it is let go, by its address alone: it may be gone by then. */
void lockdebug_wantlock(struct spinlock *, uintptr_t where, bool intr);
void lockdebug_locked(struct spinlock *, uintptr_t where);
void lockdebug_unlocked(const struct spinlock *, enum lockdebug_kind);

/* "mutex gate, taken at main+0x12": the `i`th lock that the CPU, or the thread, holds; NULL: no
 * more, or off.  Any context. */
#define LOCKDEBUG_TEXT_BYTES 160
const char *lockdebug_held_by_cpu(
    const struct cpu_info *, unsigned i, char buf[LOCKDEBUG_TEXT_BYTES]);
const char *lockdebug_held_by_lwp(const struct lwp *, unsigned i, char buf[LOCKDEBUG_TEXT_BYTES]);
/* Prints what a panic that was caused here has to say, and who holds what.  By panic(), when the
 * others stand still. */
void lockdebug_dump(void);

struct lockdebug_figures {
	unsigned classes, classes_max, facts, facts_max; /* learnt, and the room for them */
	unsigned reports;                                /* since boot */
	bool full;                                       /* something found no room */
};
void lockdebug_figures(struct lockdebug_figures *);

#endif
