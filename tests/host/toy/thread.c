/*
 * Threads, and what they sleep for.  The turns of the CPUs (cpu.c) make each stretch of code
 * without a call of a machine_*() function whole, so no lock is needed here.
 */
#include "kernel/kthread.h"

#include <stdarg.h>
#include <stdlib.h>

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "tests/host/toy/toy.h"

#define TOY_STACK_BYTES 131072u
#define TOY_JOIN_NS 100000u
#define TOY_FOREVER UINT64_MAX

static lwp_t *toy_threads;
static uint64_t toy_switches;

/* --- which thread runs ------------------------------------------------------------------------ */

static void
toy_wake(lwp_t *l, bool timed_out)
{
	l->l_state = TOY_RUNNABLE;
	l->l_for = NULL;
	l->l_timed_out = timed_out;
}

/* The best runnable thread of the CPU; of equals, who has waited longest. */
static lwp_t *
toy_best(const struct cpu_info *ci)
{
	uint64_t now = clock_ns();
	lwp_t *best = NULL;

	for (lwp_t *l = toy_threads; l != NULL; l = l->l_next) {
		if (l->l_cpu != ci)
			continue;
		if (l->l_state == TOY_SLEEPING && now >= l->l_wake_ns)
			toy_wake(l, true);
		if (l->l_state == TOY_RUNNABLE &&
		    (best == NULL || l->l_pri > best->l_pri ||
			(l->l_pri == best->l_pri && l->l_ran < best->l_ran)))
			best = l;
	}
	return best;
}

void
toy_reschedule(void)
{
	struct cpu_info *ci = curcpu();
	lwp_t *self = ci->ci_curlwp, *best = toy_best(ci);

	if (best == self ||
	    (self->l_state == TOY_RUNNABLE && best->l_pri == self->l_pri && !ci->ci_yield))
		return;
	ci->ci_yield = false;
	best->l_ran = ++toy_switches;
	ci->ci_curlwp = best;
	swapcontext(&self->l_context, &best->l_context);
}

/* Until it is woken, or the time: whether it is the time.  Interrupts off. */
static bool
toy_sleep(const void *for_, uint64_t wake_ns)
{
	lwp_t *self = curlwp;

	KASSERTMSG(curcpu()->ci_nopreempt == 0 && curcpu()->ci_spin_depth == 0 && !cpu_intr_p() &&
		!cpu_softintr_p(),
	    "toy: thread %s may not sleep here", self->l_name);
	self->l_for = for_;
	self->l_wake_ns = wake_ns;
	self->l_state = TOY_SLEEPING;
	toy_reschedule();
	return self->l_timed_out;
}

static uint64_t
toy_deadline(uint64_t timeout_ns)
{
	uint64_t now = clock_ns();

	return timeout_ns < TOY_FOREVER - now ? now + timeout_ns : TOY_FOREVER;
}

uint64_t
toy_thread_wake_ns(void)
{
	uint64_t first = TOY_FOREVER;

	for (const lwp_t *l = toy_threads; l != NULL; l = l->l_next)
		if (l->l_state == TOY_RUNNABLE && l->l_base_pri != PRI_IDLE && l->l_cpu->ci_online)
			return 0;
		else if (l->l_state == TOY_SLEEPING && l->l_wake_ns < first)
			first = l->l_wake_ns;
	return first;
}

/* --- threads ---------------------------------------------------------------------------------- */

/* Threads and stacks are never given back. */
static lwp_t *
toy_thread_new(struct cpu_info *ci, pri_t pri, const char *name)
{
	lwp_t *l = kmem_boot_alloc(sizeof(*l));

	snprintf(l->l_name, sizeof(l->l_name), "%s", name);
	l->l_cpu = ci;
	l->l_pri = l->l_base_pri = pri;
	l->l_next = toy_threads;
	toy_threads = l;
	return l;
}

static void
toy_thread_main(void)
{
	lwp_t *self = curlwp;

	machine_intr_restore(true);
	self->l_func(self->l_arg);
	(void)machine_intr_disable();
	self->l_state = TOY_DEAD;
	toy_reschedule();
}

static lwp_t *
toy_thread_start(lwp_t *l, void (*func)(void *), void *arg)
{
	l->l_func = func;
	l->l_arg = arg;
	getcontext(&l->l_context);
	l->l_context.uc_stack.ss_sp = kmem_boot_alloc(TOY_STACK_BYTES);
	l->l_context.uc_stack.ss_size = TOY_STACK_BYTES;
	makecontext(&l->l_context, toy_thread_main, 0);
	return l;
}

void
toy_thread_create_idle(struct cpu_info *ci, void (*func)(void *))
{
	ci->ci_curlwp = toy_thread_start(toy_thread_new(ci, PRI_IDLE, "idle"), func, NULL);
}

void
toy_thread_adopt(const char *name)
{
	curcpu()->ci_curlwp = toy_thread_new(curcpu(), PRI_KERNEL, name);
}

int
kthread_create(pri_t pri, int flags __attribute__((unused)), struct cpu_info *ci,
    void (*func)(void *), void *arg, lwp_t **out, const char *fmt, ...)
{
	char name[LWP_NAME_BYTES];
	va_list ap;
	lwp_t *l;

	va_start(ap, fmt);
	vsnprintf(name, sizeof(name), fmt, ap);
	va_end(ap);
	l = toy_thread_start(toy_thread_new(ci, pri, name), func, arg);
	if (out != NULL)
		*out = l;
	return 0;
}

void
kthread_sleep_ns(uint64_t ns)
{
	bool on = machine_intr_disable();

	(void)toy_sleep(NULL, toy_deadline(ns));
	machine_intr_restore(on);
}

void
kthread_await(uint64_t until_ns)
{
	bool on = machine_intr_disable();
	lwp_t *self = curlwp;

	if (!self->l_roused)
		(void)toy_sleep(&self->l_roused, until_ns);
	self->l_roused = false;
	machine_intr_restore(on);
}

void
kthread_rouse(lwp_t *l)
{
	l->l_roused = true;
	if (l->l_state == TOY_SLEEPING && l->l_for == &l->l_roused)
		toy_wake(l, false);
}

void
kthread_yield(void)
{
	curcpu()->ci_yield = true;
	machine_pause();
}

void
kthread_join(lwp_t *l)
{
	while (l->l_state != TOY_DEAD)
		kthread_sleep_ns(TOY_JOIN_NS);
}

void
kthread_foreach(void (*visit)(lwp_t *, void *arg), void *arg)
{
	for (lwp_t *l = toy_threads; l != NULL; l = l->l_next)
		visit(l, arg);
}

/* --- locks ------------------------------------------------------------------------------------ */

/* The lock is its holder's, and interrupts stay off, until the CPU gives its last one back. */
void
spinlock_enter(struct spinlock *lock)
{
	bool on = machine_intr_disable();
	struct cpu_info *ci = curcpu();

	KASSERTMSG(lock->sl_holder != ci, "toy: spinlock %s is held", lock->sl_name);
	if (ci->ci_spin_depth++ == 0)
		ci->ci_spin_saved = on;
	while (lock->sl_holder != NULL) {
		ci->ci_spin_wants = lock->sl_name;
		machine_pause();
	}
	ci->ci_spin_wants = NULL;
	lock->sl_holder = ci;
}

/* Whether interrupts are to be on again. */
static bool
toy_spinlock_give(struct spinlock *lock)
{
	struct cpu_info *ci = curcpu();

	KASSERTMSG(lock->sl_holder == ci, "toy: spinlock %s is not held", lock->sl_name);
	lock->sl_holder = NULL;
	return --ci->ci_spin_depth == 0 && ci->ci_spin_saved;
}

void
spinlock_exit(struct spinlock *lock)
{
	if (toy_spinlock_give(lock))
		machine_intr_restore(true);
}

const char *
spinlock_wanted(const struct cpu_info *ci, char text[SPINLOCK_TEXT_BYTES])
{
	if (ci->ci_spin_wants == NULL)
		return NULL;
	snprintf(text, SPINLOCK_TEXT_BYTES, "%s", ci->ci_spin_wants);
	return text;
}

const char *
lockdebug_held_by_cpu(const struct cpu_info *ci __attribute__((unused)),
    unsigned i __attribute__((unused)), char text[LOCKDEBUG_TEXT_BYTES] __attribute__((unused)))
{
	return NULL;
}

const char *
lockdebug_held_by_lwp(const struct lwp *l __attribute__((unused)),
    unsigned i __attribute__((unused)), char text[LOCKDEBUG_TEXT_BYTES] __attribute__((unused)))
{
	return NULL;
}

void
mutex_init(kmutex_t *m, int type __attribute__((unused)), int ipl, const char *name)
{
	*m = (kmutex_t){
		.mtx_name = name, .mtx_spins = ipl != IPL_NONE, .mtx_lock = { name, NULL }
	};
}

void
mutex_destroy(kmutex_t *m)
{
	KASSERT(m->mtx_lock.sl_holder == NULL && mutex_owner(m) == NULL);
}

lwp_t *
mutex_owner(const kmutex_t *m)
{
	return atomic_load_explicit(&m->mtx_owner, memory_order_relaxed);
}

unsigned
mutex_held_count(const lwp_t *l)
{
	return l->l_mutexes;
}

void
mutex_enter(kmutex_t *m)
{
	lwp_t *self = curlwp;
	bool on;

	if (m->mtx_spins) {
		spinlock_enter(&m->mtx_lock);
		return;
	}
	KASSERTMSG(mutex_owner(m) != self, "toy: mutex %s is held", m->mtx_name);
	on = machine_intr_disable();
	while (mutex_owner(m) != NULL) {
		atomic_store_explicit(&self->l_blocked_on, m, memory_order_relaxed);
		(void)toy_sleep(m, TOY_FOREVER);
	}
	atomic_store_explicit(&self->l_blocked_on, NULL, memory_order_relaxed);
	atomic_store_explicit(&m->mtx_owner, self, memory_order_relaxed);
	self->l_mutexes++;
	machine_intr_restore(on);
}

static void
toy_wake_all(const void *for_)
{
	for (lwp_t *l = toy_threads; l != NULL; l = l->l_next)
		if (l->l_state == TOY_SLEEPING && l->l_for == for_)
			toy_wake(l, false);
}

/* Whether interrupts are to be on again: they are off now. */
static bool
toy_mutex_give(kmutex_t *m)
{
	bool on;

	if (m->mtx_spins)
		return toy_spinlock_give(&m->mtx_lock);
	on = machine_intr_disable();
	KASSERTMSG(mutex_owner(m) == curlwp, "toy: mutex %s is not held", m->mtx_name);
	atomic_store_explicit(&m->mtx_owner, NULL, memory_order_relaxed);
	curlwp->l_mutexes--;
	toy_wake_all(m);
	return on;
}

void
mutex_exit(kmutex_t *m)
{
	if (toy_mutex_give(m))
		machine_intr_restore(true);
}

/* --- condition variables ---------------------------------------------------------------------- */

void
cv_init(kcondvar_t *cv, const char *name)
{
	cv->cv_name = name;
}

void
cv_destroy(kcondvar_t *cv)
{
	for (const lwp_t *l = toy_threads; l != NULL; l = l->l_next)
		KASSERTMSG(l->l_for != cv, "toy: %s waits for %s", l->l_name, cv->cv_name);
}

int
cv_timedwait(kcondvar_t *cv, kmutex_t *m, uint64_t timeout_ns)
{
	uint64_t wake_ns = toy_deadline(timeout_ns);
	bool on = toy_mutex_give(m), timed_out = toy_sleep(cv, wake_ns);

	machine_intr_restore(on);
	mutex_enter(m);
	return timed_out ? EWOULDBLOCK : 0;
}

void
cv_wait(kcondvar_t *cv, kmutex_t *m)
{
	(void)!cv_timedwait(cv, m, TOY_FOREVER);
}

/* One too many is no harm: who waits looks again. */
void
cv_signal(kcondvar_t *cv)
{
	cv_broadcast(cv);
}

void
cv_broadcast(kcondvar_t *cv)
{
	toy_wake_all(cv);
}
