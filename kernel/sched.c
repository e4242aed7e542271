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
 *	LS_ONCPU	LS_SLEEPING	sched_sleep, kthread_await
 *	LS_SLEEPING	LS_RUNNABLE	sched_ready: wake-up or timeout
 *	LS_SLEEPING	LS_ONCPU	kthread_await, roused meanwhile
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
 * Most threads wait for something that another CPU is just doing, on a CPU that has nothing else to
 * run.  So who waits in kthread_await() or on a condition variable looks for its wake-up first,
 * SCHED_LOOKS times, about as long as a switch takes: then it costs neither a switch nor an
 * interrupt.  And who sleeps when nobody is ready idles on its own stack, with the idle thread as
 * the current one (sched_wait); if it is the next to run, it just goes on.  The idle thread's own
 * stack serves when the last thread has ended, and for CPUs that leave.  Rejected: always to switch
 * to the idle thread, two switches for each sleep on a CPU with one thread to run.
 *
 * Times are counted in cycles and converted when somebody asks.
 *
 * kthread_await() and kthread_rouse() are for a thread that waits for one thing only, and are
 * cheaper than a queue: a flag, and this pair:
 *
 *	sleeper, run-queue lock			waker
 *	l_state = LS_SLEEPING, seq_cst		l_roused = 1, seq_cst
 *	l_roused, seq_cst: set, so it stays	l_state, seq_cst: asleep, so it takes
 *	or clear: leaves the CPU		the lock and makes it ready
 *
 * ci_resched says that the CPU should look at its queues.  It is set under the run-queue lock by
 * whoever changes them so, on another CPU followed by INTR_VECTOR_RESCHED, and cleared under the
 * lock by the CPU itself when it looks.  Somebody always looks after it was set:
 *	- in an interrupt, or in soft interrupts: the end of the outermost (sched_intr_exit); the
 *	  RESCHED interrupt exists for that alone;
 *	- with spinlocks held or preemption off: the end of that section (sched_preempt_point);
 *	- with interrupts off in a thread: the CPU sends itself RESCHED, which waits until they are
 *	  on;
 *	- idle: looks with interrupts off before it waits, and machine_idle() leaves no gap; ends of
 *	  interrupts leave it to that look.
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
#include "kernel/sched_internal.h"
#include "kernel/sleepq.h"
#include "kernel/timer.h"

/* --- locks and states ------------------------------------------------------------------------- */

void
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

bool
sched_running(const lwp_t *l)
{
	return sched_state(l) == LS_ONCPU;
}

unsigned
sched_ready_count(const struct cpu_info *ci)
{
	return runq_count(&ci->ci_sched->sc_ready);
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
	l->l_slice_left = sc->sc_slice;
	sched_set_state(l, LS_RUNNABLE);
	runq_insert(&sc->sc_ready, l, false);
	sched_kick(sc, l->l_pri);
}

/* --- switching -------------------------------------------------------------------------------- */

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

/* Makes a thread the current one. */
static void
sched_begin(struct sched_cpu *sc, lwp_t *next)
{
	next->l_since = sc->sc_cur->l_since;
	next->l_switches++;
	if (next->l_slice_left == 0)
		next->l_slice_left = sc->sc_slice;
	sched_set_state(next, LS_ONCPU);
	sc->sc_cur = sc->sc_ci->ci_curlwp = next;
}

/* Idles on the stack of who leaves, until there is somebody to run, and takes him out of the
 * queue. */
static lwp_t *
sched_wait(struct sched_cpu *sc)
{
	struct cpu_info *ci = sc->sc_ci;
	lwp_t *next;

	sched_begin(sc, sc->sc_idle);
	do {
		spinlock_exit_quiet(&sc->sc_lock);
		/* Relaxed: who set it from elsewhere has sent an interrupt. */
		while (!atomic_load_explicit(&ci->ci_resched, memory_order_relaxed)) {
			machine_idle();
			machine_intr_disable();
		}
		spinlock_enter(&sc->sc_lock);
		atomic_store_explicit(&ci->ci_resched, false, memory_order_relaxed);
		next = runq_take(&sc->sc_ready);
	} while (next == NULL);
	sched_account(sc->sc_idle);
	sched_set_state(sc->sc_idle, LS_RUNNABLE);
	return next;
}

/* Gives the CPU to the best ready thread.  Interrupts off before the run-queue lock was taken; the
 * running thread has its new state.  Returns when the caller has the CPU again, with the lock
 * released. */
static void
sched_switch(struct sched_cpu *sc)
{
	lwp_t *self = sc->sc_cur, *next;

	KASSERT(sc->sc_ci == curcpu());
	atomic_store_explicit(&sc->sc_ci->ci_resched, false, memory_order_relaxed);
	next = runq_take(&sc->sc_ready);
	if (next == NULL)
		/* Nobody idles on a stack that is to be freed, or left as the CPU leaves. */
		next = sched_state(self) == LS_ZOMBIE || sc->sc_leaving ? sc->sc_idle
									: sched_wait(sc);
	sched_begin(sc, next);
	if (next == self) {
		spinlock_exit_quiet(&sc->sc_lock);
		return;
	}
	sc->sc_prev = self;
	machine_switch(&self->l_sp, next->l_sp);
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
	sched_account(l);
	if (yield)
		l->l_slice_left = 0;
	if (top == PRI_IDLE || top < l->l_pri || (top == l->l_pri && l->l_slice_left != 0)) {
		atomic_store_explicit(&sc->sc_ci->ci_resched, false, memory_order_relaxed);
		spinlock_exit_quiet(&sc->sc_lock);
		return;
	}
	sched_set_state(l, LS_RUNNABLE);
	if (l != sc->sc_idle) {
		runq_insert(&sc->sc_ready, l, l->l_slice_left != 0);
		l->l_preempted += !yield;
	}
	sched_switch(sc);
}

static inline bool
sched_wanted(const struct cpu_info *ci)
{
	/* Relaxed: who set it from elsewhere has sent an interrupt.  Idle looks by itself. */
	return atomic_load_explicit(&ci->ci_resched, memory_order_relaxed) &&
	    ci->ci_curlwp != NULL && ci->ci_curlwp->l_base_pri != PRI_IDLE &&
	    (ci->ci_nopreempt | ci->ci_spin_depth | ci->ci_intr_depth | ci->ci_nmi_depth |
		ci->ci_softint.sic_level) == 0;
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

bool
sched_look(const _Atomic uintptr_t *word, uintptr_t value)
{
	const struct runq *ready = &curcpu()->ci_sched->sc_ready;

	/* Acquire: pairs with who changes it. */
	for (unsigned i = 0; i < SCHED_LOOKS; i++) {
		if (atomic_load_explicit(word, memory_order_acquire) != value)
			return true;
		if (runq_count(ready) != 0)
			return false;
		machine_pause();
	}
	return atomic_load_explicit(word, memory_order_acquire) != value;
}

/* Leaves the CPU.  Run-queue lock held, interrupts off before; it is left released. */
static void
sched_leave_until(struct sched_cpu *sc, lwp_t *l, uint64_t until_ns)
{
	if (until_ns != SLEEPQ_FOREVER) {
		l->l_sleep_until_ns = until_ns;
		sched_deadline_insert(sc, l);
	}
	sched_account(l);
	sched_switch(sc);
}

void
sched_sleep(uint64_t until_ns)
{
	struct sched_cpu *sc = curcpu()->ci_sched;
	bool intr = machine_intr_disable();
	lwp_t *l = curlwp;

	spinlock_enter(&sc->sc_lock);
	/* Relaxed: the lock orders it. */
	if (atomic_load_explicit(&l->l_queue, memory_order_relaxed) == NULL) {
		spinlock_exit_quiet(&sc->sc_lock);
	} else {
		sched_set_state(l, LS_SLEEPING);
		sched_leave_until(sc, l, until_ns);
	}
	sched_intr_exit();
	machine_intr_restore(intr);
}

/* Leaves the CPU until it is roused, or the time comes. */
static void
sched_await(struct sched_cpu *sc, lwp_t *l, uint64_t until_ns)
{
	bool intr = machine_intr_disable();

	spinlock_enter(&sc->sc_lock);
	/* Sequentially consistent, both: pair with kthread_rouse(). */
	atomic_store_explicit(&l->l_state, LS_SLEEPING, memory_order_seq_cst);
	if (atomic_load_explicit(&l->l_roused, memory_order_seq_cst) != 0) {
		sched_set_state(l, LS_ONCPU);
		spinlock_exit_quiet(&sc->sc_lock);
	} else {
		sched_leave_until(sc, l, until_ns);
	}
	sched_intr_exit();
	machine_intr_restore(intr);
}

void
kthread_await(uint64_t until_ns)
{
	lwp_t *l = curlwp;

	sched_assert_sleepable("kthread_await");
	if (!sched_look(&l->l_roused, 0) && (until_ns == SLEEPQ_FOREVER || clock_ns() < until_ns))
		sched_await(l->l_cpu->ci_sched, l, until_ns);
	/* Acquire: pairs with kthread_rouse().  An exchange: the caller looks for what he was
	 * roused for after this, lest he miss what comes with a rouse that this takes away. */
	(void)atomic_exchange_explicit(&l->l_roused, 0, memory_order_seq_cst);
}

void
kthread_rouse(lwp_t *l)
{
	struct sched_cpu *sc = l->l_cpu->ci_sched;

	/* Sequentially consistent, both: pair with sched_await(). */
	if (atomic_exchange_explicit(&l->l_roused, 1, memory_order_seq_cst) != 0 ||
	    atomic_load_explicit(&l->l_state, memory_order_seq_cst) != LS_SLEEPING)
		return;
	spinlock_enter(&sc->sc_lock);
	/* Asleep in a queue it finds the flag when it awaits next. */
	if (sched_state(l) == LS_SLEEPING &&
	    atomic_load_explicit(&l->l_queue, memory_order_relaxed) == NULL)
		sched_ready(l);
	spinlock_exit(&sc->sc_lock);
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
	sched_account(sc->sc_cur);
	sched_switch(sc);
	panic("%s came back from the dead", curlwp->l_name);
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
	sched_account(sc->sc_idle);
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
	sc->sc_slice = clock_ns_to_cycles(SCHED_SLICE_NS);
	sc->sc_idle->l_since = machine_cycles();
	sc->sc_idle->l_switches++;
	sched_set_state(sc->sc_idle, LS_ONCPU);
	spinlock_exit_quiet(&sc->sc_lock);
	/* Threads made during bring-up have set ci_resched, and so may reaping, in a switch. */
	for (;;) {
		machine_intr_disable();
		while (atomic_load_explicit(&ci->ci_resched, memory_order_relaxed))
			sched_reschedule(sc, false);
		if (sc->sc_leaving)
			sched_park(sc);
		else
			machine_idle();
	}
}
