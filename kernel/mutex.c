/*
 * mutex(9).
 *
 * Background.  Most critical sections are shorter than a switch, so a contender looks whether the
 * owner is on a CPU now and if so waits for it there; if not it sleeps.  An owner that sleeps or is
 * preempted while a better thread waits for it would let middling threads decide how long that
 * takes, so it inherits the best waiter's priority.
 *
 * Implementation.  mtx_owner is the owner's lwp_t, with MUTEX_WAITERS in its lowest bit once
 * somebody sleeps or is about to; 0 is free.  The uncontended enter and exit are one
 * compare-and-swap each.  An owner that finds the bit cannot leave that way: it takes the turnstile
 * lock and hands the mutex to the first of the queue, the best waiter.  The word never becomes 0
 * meanwhile, so nobody overtakes a sleeper.  With the turnstile lock held and the bit set the owner
 * cannot change, and neither can the chain of who waits for what:
 *
 *	owner					contender
 *						turnstile lock
 *						CAS owner -> owner | WAITERS
 *	CAS owner -> 0 fails			sleepq_enter, lend priority
 *	turnstile lock (waits)			turnstile unlock
 *	owner word = contender			sleepq_wait
 *	wake contender, give back priority
 *	turnstile unlock
 *						owns the mutex
 *
 * When the owner's CAS comes first, the contender's finds 0 and takes the mutex.
 *
 * A thread's effective priority is the larger of its own and that of the best waiter of each mutex
 * it holds (l_held).  Lending walks the chain: the owner, what it sleeps for, that one's owner, and
 * so on; a chain that ends at its beginning is a deadlock and panics.  Giving back is only needed
 * at a hand-off, for a wait for a mutex ends in no other way: the new owner was the best waiter and
 * so needs nothing from the rest.
 *
 * One turnstile lock serves all mutexes, and guards their queues.  It is taken only on the way to
 * sleep and to a hand-off, which cost a switch each.  Rejected: a lock a mutex with a
 * hand-over-hand walk (a chain then changes under the walker, and the mutex at its end may be
 * destroyed), and hashed turnstiles (the same, but rarer).  The single lock never goes away, so
 * mutex_exit() touches the mutex for the last time before it releases it, and mutex_destroy() has
 * only to take it once.
 *
 * MUTEX_CHECKED says that the owner's taking of the mutex was noted by lockdebug.c, and so its
 * leaving must be.  It too sends the owner the longer way, so that the short one need not ask.
 *
 * The owner that a contender watches may have ended: its lwp_t stays readable (kthread.c), and what
 * is read there decides only between spinning and sleeping.
 *
 * Rules for callers: mutex.h.  Lock order: turnstile before sleep queues and run queues.
 *
 * Limits.  l_held is a list: leaving a mutex is linear in the mutexes held.  The lent priority is
 * not taken back from a thread further up the chain before that thread's own hand-off.
 */
#include "kernel/mutex.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/sched.h"

#define MUTEX_CALLER() ((uintptr_t)__builtin_return_address(0))

static struct spinlock mutex_turnstile = SPINLOCK_INIT("turnstile");

static lwp_t *
mutex_owner_of(uintptr_t word)
{
	return (lwp_t *)(word & ~MUTEX_BITS);
}

static const char *
mutex_owner_name(uintptr_t word)
{
	return word != 0 ? mutex_owner_of(word)->l_name : "nobody";
}

void
mutex_init(kmutex_t *mtx, enum mutex_type type, enum ipl ipl, const char *name)
{
	KASSERT(type == MUTEX_DEFAULT);
	atomic_init(&mtx->mtx_owner, 0);
	spinlock_init_kind(
	    &mtx->mtx_spin, name, ipl == IPL_NONE ? LOCKDEBUG_MUTEX : LOCKDEBUG_SPIN_MUTEX);
	sleepq_init(&mtx->mtx_queue, &mutex_turnstile);
	mtx->mtx_held_next = NULL;
	mtx->mtx_ipl = ipl;
	mtx->mtx_name = name;
}

void
mutex_destroy(kmutex_t *mtx)
{
	const struct cpu_info *ci;
	uintptr_t owner;
	unsigned waiters;

	ci = atomic_load_explicit(&mtx->mtx_spin.sl_owner, memory_order_relaxed);
	if (ci != NULL)
		panic("destroying busy mutex %s, owned by CPU %u", mtx->mtx_name, ci->ci_index);
	/* Whoever handed it over is done with it when this lock is free. */
	spinlock_enter(&mutex_turnstile);
	owner = atomic_load_explicit(&mtx->mtx_owner, memory_order_relaxed);
	waiters = sleepq_count(&mtx->mtx_queue);
	spinlock_exit(&mutex_turnstile);
	if (owner != 0)
		panic("destroying busy mutex %s, owned by %s, %u waiters", mtx->mtx_name,
		    mutex_owner_name(owner), waiters);
}

/* --- what a thread holds ---------------------------------------------------------------------- */

static inline void
mutex_held_add(lwp_t *l, kmutex_t *mtx)
{
	mtx->mtx_held_next = l->l_held;
	l->l_held = mtx;
	l->l_held_count++;
}

static inline void
mutex_held_remove(lwp_t *l, kmutex_t *mtx)
{
	kmutex_t **link = &l->l_held;

	while (*link != mtx)
		link = &(*link)->mtx_held_next;
	*link = mtx->mtx_held_next;
	mtx->mtx_held_next = NULL;
	l->l_held_count--;
}

unsigned
mutex_held_count(const lwp_t *l)
{
	return l->l_held_count;
}

/* --- turnstile: who sleeps, who lends.  Its lock held in all of these ------------------------- */

/* What a thread sleeps for, or NULL. */
static kmutex_t *
mutex_blocker(const lwp_t *l)
{
	return atomic_load_explicit(&l->l_blocked_on, memory_order_relaxed);
}

/* Lends the priority of `l`, which is about to sleep for `mtx`, to all that stand in its way. */
static void
mutex_lend(lwp_t *l, kmutex_t *mtx)
{
	pri_t pri = l->l_pri;
	kmutex_t *next = mtx;
	lwp_t *owner;

	while (next != NULL) {
		owner = mutex_owner_of(
		    atomic_load_explicit(&next->mtx_owner, memory_order_relaxed));
		if (owner == l)
			panic("mutex %s: deadlock: %s wants it, %s owns it and waits for mutex %s, "
			      "which in the end %s owns",
			    mtx->mtx_name, l->l_name, mutex_owner(mtx)->l_name,
			    mutex_blocker(mutex_owner(mtx))->mtx_name, l->l_name);
		if (owner->l_pri < pri)
			sched_set_priority(owner, pri);
		next = mutex_blocker(owner);
	}
}

/* Takes back from the calling thread what it was lent for mutexes that it holds no more. */
static void
mutex_unlend(lwp_t *l)
{
	pri_t pri = l->l_base_pri;
	const lwp_t *waiter;

	for (const kmutex_t *mtx = l->l_held; mtx != NULL; mtx = mtx->mtx_held_next) {
		waiter = sleepq_first(&mtx->mtx_queue);
		if (waiter != NULL && waiter->l_pri > pri)
			pri = waiter->l_pri;
	}
	if (pri != l->l_pri)
		sched_set_priority(l, pri);
}

/* Marks the mutex as waited for; false when it was free, and is now the caller's. */
static bool
mutex_mark_waiters(kmutex_t *mtx, lwp_t *l)
{
	uintptr_t word = atomic_load_explicit(&mtx->mtx_owner, memory_order_relaxed);

	for (;;) {
		uintptr_t want = word == 0 ? (uintptr_t)l : word | MUTEX_WAITERS;

		/* Acquire: pairs with the release in mutex_exit(), for the case that it was free;
		 * else with that of whoever took it, whose lwp_t is looked at next.  Release: the
		 * same from the other side. */
		if (atomic_compare_exchange_weak_explicit(
			&mtx->mtx_owner, &word, want, memory_order_acq_rel, memory_order_relaxed))
			return word != 0;
	}
}

/* Sleeps until the mutex has been handed to the caller, or takes it if it has become free. */
static void
mutex_sleep(kmutex_t *mtx, lwp_t *l)
{
	spinlock_enter(&mutex_turnstile);
	if (!mutex_mark_waiters(mtx, l)) {
		spinlock_exit(&mutex_turnstile);
		mutex_held_add(l, mtx);
		return;
	}
	/* Release: pairs with the acquire of who follows the chain without the turnstile lock, to
	 * look at this mutex (xcall, the monitor). */
	atomic_store_explicit(&l->l_blocked_on, mtx, memory_order_release);
	sleepq_enter(&mtx->mtx_queue, mtx, mtx->mtx_name);
	mutex_lend(l, mtx);
	spinlock_exit(&mutex_turnstile);
	(void)sleepq_wait(SLEEPQ_FOREVER);
	/* Acquire: pairs with the release in mutex_hand_off(). */
	KASSERT(mutex_owner_of(atomic_load_explicit(&mtx->mtx_owner, memory_order_acquire)) == l);
}

/* Gives the caller's mutex, which is waited for, to the best waiter. */
static void
mutex_hand_off(kmutex_t *mtx, lwp_t *l)
{
	uintptr_t word;
	lwp_t *next;

	spinlock_enter(&mutex_turnstile);
	next = sleepq_first(&mtx->mtx_queue);
	KASSERTMSG(next != NULL, "mutex %s", mtx->mtx_name);
	atomic_store_explicit(&next->l_blocked_on, NULL, memory_order_relaxed);
	mutex_held_add(next, mtx);
	word = (uintptr_t)next | (next->l_sleep_next != NULL ? MUTEX_WAITERS : 0);
	/* Release: pairs with the acquire in mutex_sleep(). */
	atomic_store_explicit(&mtx->mtx_owner, word, memory_order_release);
	(void)sleepq_wake_one(&mtx->mtx_queue);
	mutex_unlend(l);
	spinlock_exit(&mutex_turnstile);
}

/* --- entering and leaving --------------------------------------------------------------------- */

static inline lwp_t *
mutex_check_context(const kmutex_t *mtx, const char *operation)
{
	if (!sched_sleepable())
		sched_panic_sleeping(NULL, operation, mtx->mtx_name);
	return curlwp;
}

/* One attempt; false with the word that was found. */
static inline bool
mutex_take(kmutex_t *mtx, lwp_t *l, uintptr_t *word)
{
	*word = 0;
	/* Acquire: pairs with the release in mutex_exit().  Release: pairs with
	 * mutex_mark_waiters(). */
	if (!atomic_compare_exchange_strong_explicit(
		&mtx->mtx_owner, word, (uintptr_t)l, memory_order_acq_rel, memory_order_relaxed))
		return false;
	mutex_held_add(l, mtx);
	return true;
}

static void
mutex_check_recursion(const kmutex_t *mtx, const lwp_t *l, uintptr_t word)
{
	if (mutex_owner_of(word) == l)
		panic("mutex %s: recursion by %s", mtx->mtx_name, l->l_name);
}

/* Watches the owner while it runs and nobody sleeps for the mutex; whether that brought the
 * mutex. */
static bool
mutex_spin(kmutex_t *mtx, lwp_t *l, uintptr_t word)
{
	uint64_t start = clock_ns();

	do {
		if (word != 0 &&
		    ((word & MUTEX_WAITERS) != 0 || !sched_running(mutex_owner_of(word))))
			return false;
		machine_pause();
		word = atomic_load_explicit(&mtx->mtx_owner, memory_order_relaxed);
		if (word == 0 && mutex_take(mtx, l, &word))
			return true;
	} while (clock_ns() - start < MUTEX_SPIN_NS);
	return false;
}

/* Somebody has it, as the word says. */
static void __attribute__((noinline)) mutex_contend(kmutex_t *mtx, lwp_t *l, uintptr_t word)
{
	mutex_check_recursion(mtx, l, word);
	if (!mutex_spin(mtx, l, word))
		mutex_sleep(mtx, l);
}

/* The caller has it now. */
static void __attribute__((noinline)) mutex_note_checked(kmutex_t *mtx, uintptr_t where)
{
	/* Relaxed: only the owner looks for it. */
	atomic_fetch_or_explicit(&mtx->mtx_owner, MUTEX_CHECKED, memory_order_relaxed);
	lockdebug_locked(&mtx->mtx_spin, where);
}

static void __attribute__((noinline)) mutex_enter_checked(kmutex_t *mtx, lwp_t *l, uintptr_t where)
{
	uintptr_t word;

	lockdebug_wantlock(&mtx->mtx_spin, where, true);
	if (!mutex_take(mtx, l, &word))
		mutex_contend(mtx, l, word);
	mutex_note_checked(mtx, where);
}

static inline void
mutex_enter_by(kmutex_t *mtx, lwp_t *l, uintptr_t where)
{
	uintptr_t word;

	if (lockdebug_on())
		mutex_enter_checked(mtx, l, where);
	else if (!mutex_take(mtx, l, &word))
		mutex_contend(mtx, l, word);
}

void
mutex_enter_adaptive(kmutex_t *mtx, lwp_t *l)
{
	mutex_enter_by(mtx, l, MUTEX_CALLER());
}

void
mutex_enter(kmutex_t *mtx)
{
	if (mtx->mtx_ipl != IPL_NONE)
		spinlock_enter(&mtx->mtx_spin);
	else
		mutex_enter_by(mtx, mutex_check_context(mtx, "mutex_enter"), MUTEX_CALLER());
}

bool
mutex_tryenter(kmutex_t *mtx)
{
	uintptr_t word;
	lwp_t *l;

	if (mtx->mtx_ipl != IPL_NONE)
		return spinlock_tryenter(&mtx->mtx_spin);
	l = mutex_check_context(mtx, "mutex_tryenter");
	if (!mutex_take(mtx, l, &word)) {
		mutex_check_recursion(mtx, l, word);
		return false;
	}
	if (lockdebug_on())
		mutex_note_checked(mtx, MUTEX_CALLER());
	return true;
}

/* Lets go of a mutex whose word has one of the bits. */
static void __attribute__((noinline)) mutex_exit_slowly(kmutex_t *mtx, lwp_t *l, uintptr_t word)
{
	if ((word & MUTEX_CHECKED) != 0)
		lockdebug_unlocked(&mtx->mtx_spin, LOCKDEBUG_MUTEX);
	/* Release: as in mutex_exit(). */
	if ((word & MUTEX_WAITERS) != 0 ||
	    !atomic_compare_exchange_strong_explicit(
		&mtx->mtx_owner, &word, 0, memory_order_release, memory_order_relaxed))
		mutex_hand_off(mtx, l);
}

void
mutex_exit_adaptive(kmutex_t *mtx, lwp_t *l)
{
	uintptr_t word = atomic_load_explicit(&mtx->mtx_owner, memory_order_relaxed);

	if (mutex_owner_of(word) != l)
		panic("mutex %s: exit by %s, owned by %s", mtx->mtx_name, l->l_name,
		    mutex_owner_name(word));
	mutex_held_remove(l, mtx);
	word = (uintptr_t)l;
	/* Release: pairs with the acquires in mutex_take() and mutex_mark_waiters(). */
	if (!atomic_compare_exchange_strong_explicit(
		&mtx->mtx_owner, &word, 0, memory_order_release, memory_order_relaxed))
		mutex_exit_slowly(mtx, l, word);
}

void
mutex_exit(kmutex_t *mtx)
{
	if (mtx->mtx_ipl != IPL_NONE)
		spinlock_exit(&mtx->mtx_spin);
	else
		mutex_exit_adaptive(mtx, mutex_check_context(mtx, "mutex_exit"));
}

bool
mutex_owned(const kmutex_t *mtx)
{
	if (mtx->mtx_ipl != IPL_NONE)
		return spinlock_owned(&mtx->mtx_spin);
	return curlwp != NULL && mutex_owner(mtx) == curlwp;
}
