/*
 * Lock checking: who holds what, and what follows from it.
 *
 * Background.  A deadlock needs its CPUs and threads to meet at the wrong moment, which a test may
 * not bring about in a year.  The orders in which they take locks need only happen once each, at
 * any time, to prove that the moment exists.  The idea, and much of the vocabulary, is that of
 * witness(4), of LOCKDEBUG in NetBSD and of Linux's lockdep.
 *
 * Implementation.  Each CPU has a table of the spinlocks that it holds, each thread one of its
 * adaptive mutexes.  Who is about to wait for a lock compares its class with the class of each lock
 * that it holds: an order that is not known yet becomes an edge of a graph of classes, with the
 * stack of that moment; unless a way leads back from the one that is wanted to the one that is
 * held, which closes a circle.  Then each edge of the circle, seen once, on whatever CPU, is one
 * party of a deadlock that waits for the others.  So what is reported need not have happened.
 *
 * Spinlocks keep interrupts off.  A holder that lets them on can be interrupted by who wants the
 * same lock; or another lock, whose holder on another CPU wants that one.  So of each class it is
 * learnt whether it is taken in interrupts, and whether it was seen held with interrupts on: when
 * another lock was wanted, or when it was given back.
 *
 * What an interrupted thread holds is not held by the interrupt, so mutexes do not count there: the
 * interrupt could not wait for one.
 *
 * A lock that was noted is marked, and its release told, whatever the policy is by then; one that
 * was taken while this was off is never told.  So the tables are right at any time.
 *
 * All is learnt in the context that shows it.  NMIs take no locks, so they never come here; they
 * may read all tables.
 *
 * Cost, in instructions, by rows of tests/bench on 2 CPUs: low_idle 3303 with this off, 8783 with
 * it on; ping_pong 3320 and 8747.  Before there was lock checking they were 3351 and 3372: the one
 * load more that a spinlock needs is made good by what left the short way for its sake.
 *
 * Rejected: classes by where a lock is initialised (one line makes all condition variables);
 * addresses instead of classes (a circle must then be made of the same few objects, and objects
 * come and go); a stack for each acquisition (a backtrace costs as much as a hundred locks).
 *
 * Limits.  Two locks of one class have no order that is checked: two of them taken crosswise are
 * found by the watchdogs only, when it happens.  Nor are waits for anything but locks: condition
 * variables, threads, calls.
 */
#include "kernel/lockdebug.h"

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug_graph.h"
#include "kernel/lockdebug_report.h"
#include "kernel/machine.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"

/* Frames of this module and of the lock's own that may stand above who asked for it. */
#define LOCKDEBUG_OWN_FRAMES 8

_Atomic int lockdebug_policy = LOCKDEBUG_OFF;
_Atomic unsigned lockdebug_spinlocks = CPU_SPINLOCKS;

/* Under the lock of the graph. */
static struct lockdebug_report lockdebug_report;
static struct lockdebug_path lockdebug_path;
static bool lockdebug_some_intr_on; /* LOCKDEBUG_INTR_ON is known of a class */

enum lockdebug_policy
lockdebug_set_policy(enum lockdebug_policy policy)
{
	int before = atomic_exchange_explicit(&lockdebug_policy, (int)policy, memory_order_relaxed);

	atomic_store_explicit(&lockdebug_spinlocks, policy == LOCKDEBUG_OFF ? CPU_SPINLOCKS : 0,
	    memory_order_relaxed);
	return (enum lockdebug_policy)before;
}

/* --- who holds what --------------------------------------------------------------------------- */

static bool
lockdebug_in_intr(const struct cpu_info *ci)
{
	return ci->ci_intr_depth != 0 || ci->ci_softint.sic_level != 0;
}

/* Where the caller notes a lock of that kind; NULL: a mutex, before there are threads. */
static struct lockdebug_table *
lockdebug_own_table(struct cpu_info *ci, unsigned kind)
{
	if (kind != LOCKDEBUG_MUTEX)
		return &ci->ci_lockdebug;
	return ci->ci_curlwp != NULL ? &ci->ci_curlwp->l_lockdebug : NULL;
}

static unsigned
lockdebug_count(const struct lockdebug_table *t)
{
	return atomic_load_explicit(&t->lt_n, memory_order_relaxed);
}

static void
lockdebug_set_held(
    struct lockdebug_held *h, const struct spinlock *sl, uintptr_t where, unsigned class)
{
	atomic_store_explicit(&h->lh_lock, sl, memory_order_relaxed);
	atomic_store_explicit(&h->lh_where, where, memory_order_relaxed);
	atomic_store_explicit(&h->lh_class, class, memory_order_relaxed);
}

static unsigned
lockdebug_held_class(const struct lockdebug_held *h)
{
	return atomic_load_explicit(&h->lh_class, memory_order_relaxed);
}

/* The count covers only whole entries, for an NMI, and for onlookers (release). */
static void
lockdebug_push(
    struct lockdebug_table *t, const struct spinlock *sl, uintptr_t where, unsigned class)
{
	static _Atomic bool said;
	unsigned n = lockdebug_count(t);

	if (n == LOCKDEBUG_HELD) {
		if (!atomic_exchange_explicit(&said, true, memory_order_relaxed))
			printf("lockdebug: %s %s is one of more than %u that are held: it is not "
			       "checked\n",
			    lockdebug_kind_words(class), lockdebug_name(class), LOCKDEBUG_HELD);
		return;
	}
	lockdebug_set_held(&t->lt_held[n], sl, where, class);
	atomic_store_explicit(&t->lt_n, n + 1, memory_order_release);
}

/* Mostly the last one. */
static void
lockdebug_pop(struct lockdebug_table *t, const struct spinlock *sl)
{
	unsigned n = lockdebug_count(t), i = n;
	struct lockdebug_held *h = t->lt_held;

	while (i != 0 && atomic_load_explicit(&h[i - 1].lh_lock, memory_order_relaxed) != sl)
		i--;
	if (i == 0)
		return; /* there was no room for it */
	for (; i < n; i++)
		lockdebug_set_held(&h[i - 1],
		    atomic_load_explicit(&h[i].lh_lock, memory_order_relaxed),
		    atomic_load_explicit(&h[i].lh_where, memory_order_relaxed),
		    lockdebug_held_class(&h[i]));
	atomic_store_explicit(&t->lt_n, n - 1, memory_order_release);
}

/* --- learning; the lock of the graph held ----------------------------------------------------- */

/* Who, where and when, now.  The stack begins at who asked for the lock, where that can be seen. */
static void
lockdebug_describe(struct lockdebug_fact *f, uintptr_t where)
{
	const struct cpu_info *ci = curcpu();
	uintptr_t pcs[LOCKDEBUG_STACK + LOCKDEBUG_OWN_FRAMES];
	unsigned n = machine_backtrace(NULL, pcs, LOCKDEBUG_STACK + LOCKDEBUG_OWN_FRAMES), own = 0;

	f->f_cpu = ci->ci_index;
	f->f_intr = lockdebug_in_intr(ci);
	snprintf(f->f_thread, sizeof(f->f_thread), "%s",
	    ci->ci_curlwp != NULL ? ci->ci_curlwp->l_name : "(none yet)");
	f->f_ns = clock_ns();
	while (own < n && pcs[own] != where)
		own++;
	if (own == n)
		own = 0;
	for (f->f_depth = 0; f->f_depth < LOCKDEBUG_STACK && own < n; own++)
		f->f_stack[f->f_depth++] = pcs[own];
}

static void
lockdebug_begin_report(void)
{
	lockdebug_report.r_n = 0;
	lockdebug_report.r_cpu = curcpu();
}

static void
lockdebug_add(const struct lockdebug_fact *f)
{
	struct lockdebug_report *r = &lockdebug_report;

	if (r->r_n < LOCKDEBUG_LINKS)
		r->r_fact[r->r_n] = f;
	r->r_n++;
}

/* The edges of the path that was found. */
static void
lockdebug_add_path(void)
{
	const struct lockdebug_path *p = &lockdebug_path;

	for (unsigned i = 1; i < p->p_n; i++)
		lockdebug_add(
		    lockdebug_find_fact(LOCKDEBUG_ORDER, p->p_class[i - 1], p->p_class[i]));
}

/* `i` is taken in interrupts, its holder may wait for `j`, and that is held with interrupts on. */
static void
lockdebug_report_inversion(unsigned i, unsigned j)
{
	struct lockdebug_report *r = &lockdebug_report;

	lockdebug_begin_report();
	lockdebug_add(lockdebug_find_fact(LOCKDEBUG_IN_INTR, i, i));
	lockdebug_add_path();
	lockdebug_add(lockdebug_find_fact(LOCKDEBUG_INTR_ON, j, j));
	if (i == j)
		snprintf(r->r_headline, sizeof(r->r_headline),
		    "lock in interrupts: %s %s is taken in an interrupt, and held with interrupts "
		    "on",
		    lockdebug_kind_words(i), lockdebug_name(i));
	else
		snprintf(r->r_headline, sizeof(r->r_headline),
		    "lock in interrupts: %s %s is taken in an interrupt, its holder may wait for "
		    "%s %s, and that is held with interrupts on",
		    lockdebug_kind_words(i), lockdebug_name(i), lockdebug_kind_words(j),
		    lockdebug_name(j));
	lockdebug_tell(r);
}

/* After something was learnt: whether an interrupt can now wait for what it interrupted.  A sound
 * kernel leaves at once. */
static void
lockdebug_check_inversions(void)
{
	unsigned n = lockdebug_nclasses();

	for (unsigned j = 0; lockdebug_some_intr_on && j < n; j++) {
		if (lockdebug_find_fact(LOCKDEBUG_INTR_ON, j, j) == NULL)
			continue;
		for (unsigned i = 0; i < n; i++) {
			if (lockdebug_find_fact(LOCKDEBUG_IN_INTR, i, i) == NULL ||
			    lockdebug_known(LOCKDEBUG_INVERSION, i, j) ||
			    !lockdebug_find_path(i, j, &lockdebug_path))
				continue;
			lockdebug_mark_known(LOCKDEBUG_INVERSION, i, j);
			lockdebug_report_inversion(i, j);
		}
	}
}

/* Refuses `f`, an order against which the path stands. */
static void
lockdebug_report_circle(const struct lockdebug_fact *f)
{
	struct lockdebug_report *r = &lockdebug_report;

	lockdebug_mark_known(LOCKDEBUG_ORDER, f->f_from, f->f_to);
	lockdebug_begin_report();
	r->r_now = *f;
	lockdebug_add(&r->r_now);
	lockdebug_add_path();
	snprintf(r->r_headline, sizeof(r->r_headline),
	    "lock order: %s on CPU %u wants %s %s and holds %s %s: a circle of %u", f->f_thread,
	    f->f_cpu, lockdebug_kind_words(f->f_to), lockdebug_name(f->f_to),
	    lockdebug_kind_words(f->f_from), lockdebug_name(f->f_from), r->r_n);
	lockdebug_tell(r);
}

/* --- learning --------------------------------------------------------------------------------- */

static void __attribute__((noinline)) lockdebug_new_fact(
    enum lockdebug_what what, unsigned from, unsigned to, uintptr_t taken, uintptr_t where)
{
	struct lockdebug_fact f = { .f_what = what, .f_from = from, .f_to = to, .f_taken = taken };
	bool intr;

	lockdebug_describe(&f, where);
	intr = lockdebug_graph_enter();
	if (lockdebug_known(what, from, to)) {
		lockdebug_graph_exit(intr);
		return;
	}
	if (what == LOCKDEBUG_ORDER && lockdebug_find_path(to, from, &lockdebug_path)) {
		lockdebug_report_circle(&f);
	} else {
		lockdebug_learn(&f);
		lockdebug_some_intr_on |= what == LOCKDEBUG_INTR_ON;
		lockdebug_check_inversions();
	}
	lockdebug_graph_exit(intr);
}

/* Of each lock of the table: `class` is wanted now. */
static void
lockdebug_learn_orders(const struct lockdebug_table *t, unsigned class, uintptr_t where)
{
	unsigned from;

	for (unsigned i = 0; i < lockdebug_count(t); i++) {
		from = lockdebug_held_class(&t->lt_held[i]);
		if (from == class || from == LOCKDEBUG_NO_CLASS ||
		    lockdebug_known(LOCKDEBUG_ORDER, from, class))
			continue;
		lockdebug_new_fact(LOCKDEBUG_ORDER, from, class,
		    atomic_load_explicit(&t->lt_held[i].lh_where, memory_order_relaxed), where);
	}
}

/* Of one class. */
static void
lockdebug_learn_use(enum lockdebug_what what, unsigned class, uintptr_t taken, uintptr_t where)
{
	if (class != LOCKDEBUG_NO_CLASS && !lockdebug_known(what, class, class))
		lockdebug_new_fact(what, class, class, taken, where);
}

/* Interrupts were on here, or are. */
static void
lockdebug_learn_intr_on(const struct lockdebug_table *t, uintptr_t where)
{
	for (unsigned i = 0; i < lockdebug_count(t); i++)
		lockdebug_learn_use(LOCKDEBUG_INTR_ON, lockdebug_held_class(&t->lt_held[i]),
		    atomic_load_explicit(&t->lt_held[i].lh_where, memory_order_relaxed), where);
}

/* Who asked for it.  A spin mutex gives the spinlock in it its own address for that. */
static uintptr_t
lockdebug_caller(const struct spinlock *sl, uintptr_t where)
{
	uintptr_t pcs[LOCKDEBUG_OWN_FRAMES];
	unsigned n;

	if (lockdebug_kind(sl) != LOCKDEBUG_SPIN_MUTEX)
		return where;
	n = machine_backtrace(NULL, pcs, LOCKDEBUG_OWN_FRAMES);
	for (unsigned i = 1; i < n; i++)
		if (pcs[i - 1] == where)
			return pcs[i];
	return where;
}

/* --- what the locks say ----------------------------------------------------------------------- */

void
lockdebug_wantlock(struct spinlock *sl, uintptr_t where, bool intr)
{
	struct cpu_info *ci = curcpu();
	unsigned class = lockdebug_class(sl);
	uintptr_t caller = lockdebug_caller(sl, where);
	const struct lockdebug_table *spins = lockdebug_own_table(ci, LOCKDEBUG_SPINLOCK);
	const struct lockdebug_table *mutexes = lockdebug_own_table(ci, LOCKDEBUG_MUTEX);

	if (intr && lockdebug_kind(sl) != LOCKDEBUG_MUTEX)
		lockdebug_learn_intr_on(spins, caller);
	if (class == LOCKDEBUG_NO_CLASS)
		return;
	lockdebug_learn_orders(spins, class, caller);
	if (mutexes != NULL && !lockdebug_in_intr(ci))
		lockdebug_learn_orders(mutexes, class, caller);
}

void
lockdebug_locked(struct spinlock *sl, uintptr_t where)
{
	struct cpu_info *ci = curcpu();
	unsigned class = lockdebug_class(sl), kind = lockdebug_kind(sl);
	struct lockdebug_table *t = lockdebug_own_table(ci, kind);
	uintptr_t caller = lockdebug_caller(sl, where);

	if (t != NULL)
		lockdebug_push(t, sl, caller, class);
	if (kind != LOCKDEBUG_MUTEX && lockdebug_in_intr(ci))
		lockdebug_learn_use(LOCKDEBUG_IN_INTR, class, caller, caller);
}

void
lockdebug_unlocked(const struct spinlock *sl, enum lockdebug_kind kind)
{
	struct lockdebug_table *t = lockdebug_own_table(curcpu(), kind);

	if (kind != LOCKDEBUG_MUTEX && machine_intr_enabled())
		lockdebug_learn_intr_on(t, (uintptr_t)__builtin_return_address(0));
	if (t != NULL)
		lockdebug_pop(t, sl);
}

void
lockdebug_figures(struct lockdebug_figures *figures)
{
	*figures = (struct lockdebug_figures){ .classes = lockdebug_nclasses(),
		.classes_max = LOCKDEBUG_CLASSES,
		.facts = lockdebug_nfacts(),
		.facts_max = LOCKDEBUG_FACTS,
		.reports = lockdebug_reports(),
		.full = lockdebug_full() };
}
