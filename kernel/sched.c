/*
 * The scheduler of each CPU.
 *
 * Background.  Threads are bound, so each CPU has run queues of its own and no thread is looked for
 * elsewhere. Rejected: migration (a thread that may change CPUs at any instruction makes curcpu() a
 * guess, and the service thread of a CPU must run there or not at all).
 *
 * Implementation.  One FIFO a priority and a bitmap of those not empty; all guarded by the CPU's
 * run-queue lock, like everything marked r in lwp.h.  The idle thread, which bring-up turns into,
 * stands in no queue.
 *
 *	from		to		by
 *	LS_IDLE		LS_RUNNABLE	sched_ready: a new thread
 *	LS_RUNNABLE	LS_ONCPU	sched_switch, which picks it
 *	LS_ONCPU	LS_RUNNABLE	sched_reschedule: a better one, or an equal's turn
 *	LS_ONCPU	LS_SLEEPING	sched_sleep
 *	LS_SLEEPING	LS_RUNNABLE	sched_ready: wake-up or timeout
 *	LS_ONCPU	LS_ZOMBIE	sched_exit
 *	LS_IDLE		LS_ONCPU	sched_start: the idle thread; and back, sched_park
 *
 * A switch holds the run-queue lock from the decision until the next thread is on its stack, and
 * that thread releases it (sched_switched; a new one comes there through sched_enter_thread).  So
 * nobody sees a thread whose registers are only half saved: it could be picked by its own CPU
 * alone, which is busy switching, and who makes it ready waits for the lock.  Interrupts are off
 * for all callers of sched_switch(), before they take the lock; what ci_spin_intr says is therefore
 * the same for both threads, and needs no saving.  A thread that ends is reaped by the one that
 * runs next on that CPU: nobody frees the stack that it stands on.
 *
 * ci_resched says that the CPU should look at its queues.  It is set under the run-queue lock by
 * whoever changes them so, on another CPU followed by INTR_VECTOR_RESCHED, and cleared under the
 * lock by the CPU itself when it looks.  Somebody always looks after it was set:
 *	- in an interrupt, or in soft interrupts: the end of the outermost (sched_intr_exit); the
 *	  RESCHED interrupt exists for that alone;
 *	- with spinlocks held or preemption off: the end of that section (sched_preempt_point);
 *	- with interrupts off in a thread: the CPU sends itself RESCHED, which waits until they are
 *	  on;
 *	- idle: looks with interrupts off before it waits, and machine_idle() leaves no gap.
 * So a second interrupt is spared while it is set.
 *
 * Equals take turns of SCHED_SLICE_NS, by the clock, looked at on each tick whatever its rate.  Who
 * is preempted by a better thread goes back to the head of its queue with what is left of its turn.
 *
 * Sleepers with a deadline are in a list of their CPU, sorted; the tick takes the due ones out
 * (sleepq.c tells why it only tries the queue's lock).
 *
 * Lock order: turnstile, list of threads, sleep queues, run queue; never two run queues.
 *
 * Limits.  Without ticks there are no slices and no timeouts.  A deadline is inserted in linear
 * time.
 */
#include "kernel/sched.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/runq.h"
#include "kernel/sleepq.h"
#include "kernel/spinlock.h"
#include "kernel/timer.h"

/* How often one tick tries for a sleep queue's lock before it leaves the rest to the next: a lock
 * that is always taken must not keep the CPU in its interrupt. */
#define SCHED_TIMEOUT_TRIES 1000

/* Locking: sc_lock, but for sc_ci and sc_idle, which are constant, and sc_leaving. */
struct sched_cpu {
	struct spinlock sc_lock;
	struct cpu_info *sc_ci;
	lwp_t *sc_idle;
	lwp_t *sc_cur;        /* NULL until sched_start(), and while the CPU is offline */
	lwp_t *sc_prev;       /* who leaves in the switch under way */
	lwp_t *sc_timeouts;   /* sleepers with a deadline, soonest first */
	bool sc_leaving;      /* asked to leave; only this CPU's threads use it */
	struct runq sc_ready; /* who could run; neither sc_cur nor sc_idle */
};

/* --- locks and states ------------------------------------------------------------------------- */

/* Makes the CPU look at its queues if that priority beats what it runs. */
static void
sched_kick(struct sched_cpu *sc, pri_t pri)
{
	struct cpu_info *ci = sc->sc_ci;

	if (sc->sc_cur != NULL && pri <= sc->sc_cur->l_pri)
		return;
	/* Relaxed: the run-queue lock orders it. */
	if (atomic_exchange_explicit(&ci->ci_resched, true, memory_order_relaxed))
		return;
	if (ci != curcpu() && sc->sc_cur != NULL)
		machine_send_ipi(ci, INTR_VECTOR_RESCHED);
}

void
sched_lock(lwp_t *l)
{
	spinlock_enter(&l->l_cpu->ci_sched->sc_lock);
}

void
sched_unlock(lwp_t *l)
{
	spinlock_exit(&l->l_cpu->ci_sched->sc_lock);
}

static int
sched_state(const lwp_t *l)
{
	/* Relaxed: the run-queue lock orders it; without that lock the answer is stale anyhow. */
	return atomic_load_explicit(&l->l_state, memory_order_relaxed);
}

static void
sched_set_state(lwp_t *l, int state)
{
	atomic_store_explicit(&l->l_state, state, memory_order_relaxed);
}

bool
sched_running(const lwp_t *l)
{
	return sched_state(l) == LS_ONCPU;
}

unsigned
sched_ready_count(const struct cpu_info *ci)
{
	struct sched_cpu *sc = ci->ci_sched;
	unsigned n;

	spinlock_enter(&sc->sc_lock);
	n = sc->sc_ready.rq_count;
	spinlock_exit(&sc->sc_lock);
	return n;
}

/* --- deadlines -------------------------------------------------------------------------------- */

static void
sched_deadline_insert(struct sched_cpu *sc, lwp_t *l)
{
	lwp_t **link = &sc->sc_timeouts;

	while (*link != NULL && (*link)->l_sleep_until_ns <= l->l_sleep_until_ns)
		link = &(*link)->l_timeout_next;
	l->l_timeout_next = *link;
	*link = l;
}

static void
sched_deadline_remove(struct sched_cpu *sc, lwp_t *l)
{
	lwp_t **link = &sc->sc_timeouts;

	while (*link != l)
		link = &(*link)->l_timeout_next;
	*link = l->l_timeout_next;
	l->l_sleep_until_ns = SLEEPQ_FOREVER;
}

void
sched_ready(lwp_t *l)
{
	struct sched_cpu *sc = l->l_cpu->ci_sched;
	int state = sched_state(l);

	KASSERT(spinlock_owned(&sc->sc_lock));
	if (state != LS_SLEEPING && state != LS_IDLE)
		return; /* it will see in sched_sleep() that nothing is left to wait for */
	if (l->l_sleep_until_ns != SLEEPQ_FOREVER)
		sched_deadline_remove(sc, l);
	l->l_slice_left_ns = SCHED_SLICE_NS;
	sched_set_state(l, LS_RUNNABLE);
	runq_insert(&sc->sc_ready, l, false);
	sched_kick(sc, l->l_pri);
}

/* Takes `l` out of its sleep queue; false when that has to be tried again.  Run-queue lock held. */
static bool
sched_try_timeout(lwp_t *l)
{
	struct sleepq *sq = atomic_load_explicit(&l->l_queue, memory_order_relaxed);

	if (sq == NULL)
		return true;
	if (!spinlock_tryenter(sq->sq_lock))
		return false;
	sleepq_remove(sq, l, ETIMEDOUT);
	sched_ready(l);
	spinlock_exit_quiet(sq->sq_lock);
	return true;
}

void
sched_timeout(lwp_t *l)
{
	bool done;

	do {
		sched_lock(l);
		done = sched_try_timeout(l);
		sched_unlock(l);
		machine_pause();
	} while (!done);
}

static void
sched_expire(struct sched_cpu *sc, uint64_t now)
{
	bool due = true;

	for (unsigned tries = 0; due && tries < SCHED_TIMEOUT_TRIES;) {
		spinlock_enter(&sc->sc_lock);
		due = sc->sc_timeouts != NULL && sc->sc_timeouts->l_sleep_until_ns <= now;
		if (due && !sched_try_timeout(sc->sc_timeouts))
			tries++;
		spinlock_exit(&sc->sc_lock);
		machine_pause();
	}
}

/* --- switching -------------------------------------------------------------------------------- */

/* Counts the running thread's time up to `now`. */
static void
sched_account(lwp_t *l, uint64_t now)
{
	uint64_t ran = now > l->l_since_ns ? now - l->l_since_ns : 0;

	l->l_run_ns += ran;
	l->l_slice_left_ns = l->l_slice_left_ns > ran ? l->l_slice_left_ns - ran : 0;
	l->l_since_ns = now;
}

/* The second half of a switch, on the stack of the thread switched to: releases the run-queue lock,
 * and reaps the one that went if it will not come back. */
static void
sched_switched(void)
{
	struct sched_cpu *sc = curcpu()->ci_sched;
	lwp_t *prev = sc->sc_prev;
	bool ended = sched_state(prev) == LS_ZOMBIE;

	KASSERT(!curcpu()->ci_spin_intr && curcpu()->ci_spin_depth == 1);
	sc->sc_prev = NULL;
	spinlock_exit_quiet(&sc->sc_lock);
	if (ended)
		kthread_reap(prev);
}

/* Gives the CPU to the best ready thread.  Interrupts off before the run-queue lock was taken; the
 * running thread has its new state.  Returns when the caller has the CPU again, with the lock
 * released. */
static void
sched_switch(struct sched_cpu *sc)
{
	lwp_t *prev = sc->sc_cur, *next = runq_take(&sc->sc_ready);

	KASSERT(sc->sc_ci == curcpu());
	if (next == NULL)
		next = sc->sc_idle;
	atomic_store_explicit(&sc->sc_ci->ci_resched, false, memory_order_relaxed);
	next->l_since_ns = prev->l_since_ns;
	next->l_switches++;
	if (next->l_slice_left_ns == 0)
		next->l_slice_left_ns = SCHED_SLICE_NS;
	sched_set_state(next, LS_ONCPU);
	sc->sc_prev = prev;
	sc->sc_cur = next;
	sc->sc_ci->ci_curlwp = next;
	machine_switch(&prev->l_sp, next->l_sp);
	sched_switched();
}

/* Looks at the queues; switches when a better thread is ready, or an equal whose turn it is. */
static void
sched_reschedule(struct sched_cpu *sc, bool yield)
{
	lwp_t *l;
	pri_t top;

	spinlock_enter(&sc->sc_lock);
	l = sc->sc_cur;
	top = runq_top(&sc->sc_ready);
	sched_account(l, clock_ns());
	if (yield)
		l->l_slice_left_ns = 0;
	if (top == PRI_IDLE || top < l->l_pri || (top == l->l_pri && l->l_slice_left_ns != 0)) {
		atomic_store_explicit(&sc->sc_ci->ci_resched, false, memory_order_relaxed);
		spinlock_exit_quiet(&sc->sc_lock);
		return;
	}
	sched_set_state(l, LS_RUNNABLE);
	if (l != sc->sc_idle) {
		runq_insert(&sc->sc_ready, l, l->l_slice_left_ns != 0);
		l->l_preempted += !yield;
	}
	sched_switch(sc);
}

static bool
sched_wanted(const struct cpu_info *ci)
{
	/* Relaxed: who set it from elsewhere has sent an interrupt. */
	return atomic_load_explicit(&ci->ci_resched, memory_order_relaxed) &&
	    ci->ci_curlwp != NULL && ci->ci_nopreempt == 0 && ci->ci_spin_depth == 0 &&
	    ci->ci_intr_depth == 0 && ci->ci_nmi_depth == 0 && ci->ci_softint.sic_level == 0;
}

void
sched_intr_exit(void)
{
	struct cpu_info *ci = curcpu();

	/* Again and again: reaping may have made a thread ready. */
	while (sched_wanted(ci))
		sched_reschedule(ci->ci_sched, false);
}

void
sched_preempt_point(void)
{
	struct cpu_info *ci = curcpu();

	if (!sched_wanted(ci))
		return;
	if (!machine_intr_enabled()) {
		machine_send_ipi(ci, INTR_VECTOR_RESCHED);
		return;
	}
	machine_intr_disable();
	sched_intr_exit();
	machine_intr_restore(true);
}

void
sched_enter_thread(void)
{
	sched_switched();
	sched_intr_exit();
	machine_intr_restore(true);
}

void
sched_sleep(uint64_t until_ns)
{
	struct sched_cpu *sc = curcpu()->ci_sched;
	bool intr = machine_intr_disable();
	lwp_t *l;

	spinlock_enter(&sc->sc_lock);
	l = sc->sc_cur;
	if (atomic_load_explicit(&l->l_queue, memory_order_relaxed) == NULL) {
		spinlock_exit_quiet(&sc->sc_lock);
	} else {
		sched_set_state(l, LS_SLEEPING);
		l->l_sleep_until_ns = until_ns;
		if (until_ns != SLEEPQ_FOREVER)
			sched_deadline_insert(sc, l);
		sched_account(l, clock_ns());
		sched_switch(sc);
	}
	sched_intr_exit();
	machine_intr_restore(intr);
}

void
sched_yield(void)
{
	bool intr = machine_intr_disable();

	sched_reschedule(curcpu()->ci_sched, true);
	sched_intr_exit();
	machine_intr_restore(intr);
}

_Noreturn void
sched_exit(void)
{
	struct sched_cpu *sc = curcpu()->ci_sched;

	machine_intr_disable();
	spinlock_enter(&sc->sc_lock);
	sched_set_state(sc->sc_cur, LS_ZOMBIE);
	sched_account(sc->sc_cur, clock_ns());
	sched_switch(sc);
	panic("%s came back from the dead", curlwp->l_name);
}

void
sched_tick(struct cpu_info *ci)
{
	struct sched_cpu *sc = ci->ci_sched;
	uint64_t now = clock_ns();
	lwp_t *l;

	if (sc == NULL || ci->ci_curlwp == NULL)
		return; /* the timer is on before the scheduler */
	sched_expire(sc, now);
	spinlock_enter(&sc->sc_lock);
	l = sc->sc_cur;
	sched_account(l, now);
	if (l->l_slice_left_ns == 0 && runq_top(&sc->sc_ready) == l->l_pri && l != sc->sc_idle)
		atomic_store_explicit(&ci->ci_resched, true, memory_order_relaxed);
	spinlock_exit(&sc->sc_lock);
}

/* --- priorities ------------------------------------------------------------------------------- */

/* Takes the run-queue lock of `l` and, if it stands in a sleep queue, that queue's: *sq is the
 * queue, *taken whether its lock was not held before. */
static void
sched_lock_with_queue(lwp_t *l, struct sleepq **sq, bool *taken)
{
	for (;;) {
		sched_lock(l);
		*taken = false;
		*sq = atomic_load_explicit(&l->l_queue, memory_order_relaxed);
		if (*sq == NULL || spinlock_owned((*sq)->sq_lock))
			return;
		*taken = spinlock_tryenter((*sq)->sq_lock);
		if (*taken)
			return;
		sched_unlock(l);
		machine_pause();
	}
}

void
sched_set_priority(lwp_t *l, pri_t pri)
{
	struct sched_cpu *sc = l->l_cpu->ci_sched;
	struct sleepq *sq;
	bool taken, ready;

	sched_lock_with_queue(l, &sq, &taken);
	/* A thread on its way to sleep stands in a sleep queue, and in a run queue too when
	 * preempted. */
	ready = sched_state(l) == LS_RUNNABLE && l != sc->sc_idle;
	if (ready)
		runq_remove(&sc->sc_ready, l);
	l->l_pri = pri;
	if (sq != NULL)
		sleepq_requeue(sq, l);
	if (ready)
		runq_insert(&sc->sc_ready, l, false);
	sched_kick(sc, runq_top(&sc->sc_ready));
	if (taken) {
		KASSERT(sq != NULL);
		spinlock_exit_quiet(sq->sq_lock);
	}
	sched_unlock(l);
}

/* --- who may sleep ---------------------------------------------------------------------------- */

bool
sched_sleepable(const struct spinlock *allowed)
{
	const struct cpu_info *ci = curcpu();

	if (ci->ci_curlwp == NULL || ci->ci_curlwp == ci->ci_sched->sc_idle ||
	    ci->ci_intr_depth != 0 || ci->ci_nmi_depth != 0 || ci->ci_softint.sic_level != 0 ||
	    ci->ci_nopreempt != 0)
		return false;
	if (allowed == NULL)
		return ci->ci_spin_depth == 0 && machine_intr_enabled();
	return ci->ci_spin_depth == 1 && spinlock_held(ci->ci_spin_held[0]) == allowed &&
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
	else if (ci->ci_curlwp == ci->ci_sched->sc_idle)
		why = "in the idle thread";
	panic("%s%s%s: sleeping %s%s, by %s on CPU %u", operation, space, object, why, what, who,
	    ci->ci_index);
}

void
sched_assert_sleepable(const char *what)
{
	if (!sched_sleepable(NULL))
		sched_panic_sleeping(NULL, what, "");
}

/* --- start ------------------------------------------------------------------------------------ */

/* The handler has nothing to do: what counts is the end of the interrupt. */
static void
sched_resched_intr(void *arg, struct trapframe *frame)
{
	(void)arg;
	(void)frame;
}

void
sched_init_cpu(struct cpu_info *ci)
{
	struct sched_cpu *sc = kmem_boot_alloc(sizeof(*sc));

	if (ci->ci_index == 0)
		intr_establish(INTR_VECTOR_RESCHED, sched_resched_intr, NULL, "reschedule");
	spinlock_init(&sc->sc_lock, "run queue");
	sc->sc_ci = ci;
	ci->ci_sched = sc;
	sc->sc_idle = kthread_create_idle(ci);
}

void
sched_leave(void)
{
	const lwp_t *l = curlwp;

	KASSERTMSG((l->l_flags & KTHREAD_SERVICE) != 0, "%s is no service thread", l->l_name);
	l->l_cpu->ci_sched->sc_leaving = true;
	/* Now, and not in sched_park(): a tick that is pending still finds a thread. */
	timer_stop();
}

/* The idle thread leaves, unless something is ready.  From here to sched_start() the CPU has no
 * current thread, as in bring-up: who is made ready waits in its queue, and no interrupt is sent
 * for it.  Interrupts off. */
static void
sched_park(struct sched_cpu *sc)
{
	spinlock_enter(&sc->sc_lock);
	if (runq_top(&sc->sc_ready) != PRI_IDLE) {
		spinlock_exit_quiet(&sc->sc_lock);
		return;
	}
	KASSERTMSG(sc->sc_timeouts == NULL, "CPU %u leaves, and %s sleeps with a deadline there",
	    sc->sc_ci->ci_index, sc->sc_timeouts->l_name);
	sc->sc_leaving = false;
	sched_account(sc->sc_idle, clock_ns());
	sched_set_state(sc->sc_idle, LS_IDLE);
	sc->sc_cur = sc->sc_ci->ci_curlwp = NULL;
	spinlock_exit_quiet(&sc->sc_lock);
	machine_cpu_park();
}

_Noreturn void
sched_start(void)
{
	struct cpu_info *ci = curcpu();
	struct sched_cpu *sc = ci->ci_sched;

	machine_intr_disable();
	KASSERT(ci->ci_spin_depth == 0 && ci->ci_nopreempt == 0 && ci->ci_intr_depth == 0);
	spinlock_enter(&sc->sc_lock);
	sc->sc_cur = ci->ci_curlwp = sc->sc_idle;
	sc->sc_idle->l_since_ns = clock_ns();
	sc->sc_idle->l_switches++;
	sched_set_state(sc->sc_idle, LS_ONCPU);
	spinlock_exit_quiet(&sc->sc_lock);
	/* Threads made during bring-up have set ci_resched. */
	for (;;) {
		machine_intr_disable();
		sched_intr_exit();
		if (sc->sc_leaving)
			sched_park(sc);
		machine_idle();
	}
}
