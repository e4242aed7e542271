/*
 * Boots that must end in a panic which names who did what: locks, sleeping, threads, memory
 * (tests/console/misuse.toml).
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/spinlock.h"
#include "tests/kernel/test.h"

static struct spinlock misuse_spin = SPINLOCK_INIT("guard");
static kmutex_t misuse_mutex, misuse_other;
static kcondvar_t misuse_cv;
static _Atomic unsigned misuse_ready;

static void
misuse_setup(enum ipl ipl)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, ipl, "victim");
	mutex_init(&misuse_other, MUTEX_DEFAULT, ipl, "other");
	cv_init(&misuse_cv, "condition");
}

/* Runs `func` in a thread of its own and waits until it has counted itself ready. */
static lwp_t *
misuse_thread(struct cpu_info *ci, int flags, void (*func)(void *), const char *name)
{
	unsigned ready = atomic_load_explicit(&misuse_ready, memory_order_acquire);
	lwp_t *l = NULL;

	if (kthread_create(PRI_KTHREAD, flags, ci, func, NULL, &l, "%s", name) != 0)
		return NULL;
	while (atomic_load_explicit(&misuse_ready, memory_order_acquire) == ready)
		kthread_yield();
	return l;
}

static void
misuse_set_ready(void)
{
	atomic_fetch_add_explicit(&misuse_ready, 1, memory_order_release);
}

static void
misuse_in_interrupt(intr_handler_t handler)
{
	machine_send_ipi(curcpu(), test_vector(handler));
	for (;;)
		machine_pause();
}

/* --- spinlocks -------------------------------------------------------------------------------- */

TEST_MISUSE(spinlock_recursion)
{
	spinlock_enter(&misuse_spin);
	spinlock_enter(&misuse_spin);
}

TEST_MISUSE(spinlock_try_recursion)
{
	spinlock_enter(&misuse_spin);
	if (spinlock_tryenter(&misuse_spin))
		spinlock_exit(&misuse_spin);
}

TEST_MISUSE(spinlock_exit_unheld)
{
	spinlock_exit(&misuse_spin);
}

static void
misuse_hold_spinlock(void *arg __attribute__((unused)))
{
	spinlock_enter(&misuse_spin);
	misuse_set_ready();
	for (;;)
		machine_pause();
}

TEST_MISUSE(spinlock_exit_by_another_cpu)
{
	misuse_thread(cpu_lookup(1), 0, misuse_hold_spinlock, "holder");
	spinlock_exit(&misuse_spin);
}

TEST_MISUSE(spinlock_hang)
{
	misuse_thread(cpu_lookup(1), 0, misuse_hold_spinlock, "holder");
	spinlock_enter(&misuse_spin);
}

TEST_MISUSE(spinlocks_too_many)
{
	static struct spinlock lock[CPU_SPINLOCKS + 1];

	for (unsigned i = 0; i <= CPU_SPINLOCKS; i++) {
		spinlock_init(&lock[i], "one of many");
		spinlock_enter(&lock[i]);
	}
}

static void
misuse_keep_spinlock(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	spinlock_enter(&misuse_spin);
}

TEST_MISUSE(interrupt_keeps_a_spinlock)
{
	misuse_in_interrupt(misuse_keep_spinlock);
}

TEST_MISUSE(vector_taken)
{
	intr_establish(INTR_VECTOR_RESCHED, misuse_keep_spinlock, NULL, "misuse");
}

TEST_MISUSE(preemption_on_twice)
{
	kpreempt_disable();
	kpreempt_enable();
	kpreempt_enable();
}

/* --- mutexes ---------------------------------------------------------------------------------- */

TEST_MISUSE(mutex_recursion)
{
	misuse_setup(IPL_NONE);
	mutex_enter(&misuse_mutex);
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_try_recursion)
{
	misuse_setup(IPL_NONE);
	mutex_enter(&misuse_mutex);
	if (mutex_tryenter(&misuse_mutex))
		mutex_exit(&misuse_mutex);
}

static void
misuse_hold_mutex(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	misuse_set_ready();
	for (;;)
		kthread_sleep_ns(1000000000);
}

static void
misuse_want_mutex(void *arg __attribute__((unused)))
{
	misuse_set_ready();
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_exit_by_a_stranger)
{
	misuse_setup(IPL_NONE);
	misuse_thread(cpu_lookup(1), 0, misuse_hold_mutex, "holder");
	mutex_exit(&misuse_mutex);
}

TEST_MISUSE(mutex_exit_unheld)
{
	misuse_setup(IPL_NONE);
	mutex_exit(&misuse_mutex);
}

TEST_MISUSE(mutex_destroy_busy)
{
	lwp_t *l;

	misuse_setup(IPL_NONE);
	misuse_thread(cpu_lookup(1), 0, misuse_hold_mutex, "holder");
	l = misuse_thread(cpu_lookup(0), 0, misuse_want_mutex, "waiter");
	while (atomic_load_explicit(&l->l_blocked_on, memory_order_relaxed) == NULL)
		kthread_yield();
	mutex_destroy(&misuse_mutex);
}

TEST_MISUSE(spin_mutex_destroy_busy)
{
	misuse_setup(IPL_HIGH);
	mutex_enter(&misuse_mutex);
	mutex_destroy(&misuse_mutex);
}

static void
misuse_other_then_mutex(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_other);
	misuse_set_ready();
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_deadlock)
{
	lwp_t *l;

	misuse_setup(IPL_NONE);
	mutex_enter(&misuse_mutex);
	l = misuse_thread(cpu_lookup(1), 0, misuse_other_then_mutex, "rival");
	while (atomic_load_explicit(&l->l_blocked_on, memory_order_relaxed) == NULL)
		kthread_yield();
	mutex_enter(&misuse_other);
}

TEST_MISUSE(mutex_with_a_spinlock)
{
	misuse_setup(IPL_NONE);
	spinlock_enter(&misuse_spin);
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_with_preemption_off)
{
	misuse_setup(IPL_NONE);
	kpreempt_disable();
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_with_interrupts_off)
{
	misuse_setup(IPL_NONE);
	machine_intr_disable();
	mutex_enter(&misuse_mutex);
}

static void
misuse_enter_mutex(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(mutex_in_an_interrupt)
{
	misuse_setup(IPL_NONE);
	misuse_in_interrupt(misuse_enter_mutex);
}

/* --- condition variables ---------------------------------------------------------------------- */

TEST_MISUSE(cv_wait_with_a_spinlock)
{
	misuse_setup(IPL_NONE);
	mutex_enter(&misuse_mutex);
	spinlock_enter(&misuse_spin);
	cv_wait(&misuse_cv, &misuse_mutex);
}

TEST_MISUSE(cv_wait_with_another_spin_mutex)
{
	misuse_setup(IPL_HIGH);
	mutex_enter(&misuse_other);
	mutex_enter(&misuse_mutex);
	cv_wait(&misuse_cv, &misuse_mutex);
}

TEST_MISUSE(cv_wait_without_the_mutex)
{
	misuse_setup(IPL_NONE);
	cv_wait(&misuse_cv, &misuse_mutex);
}

static void
misuse_wait(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	cv_wait(&misuse_cv, &misuse_mutex);
}

TEST_MISUSE(cv_wait_in_an_interrupt)
{
	misuse_setup(IPL_HIGH);
	misuse_in_interrupt(misuse_wait);
}

static void
misuse_wait_with_mutex(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	misuse_set_ready();
	cv_wait(&misuse_cv, &misuse_mutex);
}

TEST_MISUSE(cv_wait_with_two_mutexes)
{
	misuse_setup(IPL_NONE);
	misuse_thread(cpu_lookup(0), 0, misuse_wait_with_mutex, "first");
	mutex_enter(&misuse_other);
	cv_wait(&misuse_cv, &misuse_other);
}

TEST_MISUSE(cv_destroy_busy)
{
	misuse_setup(IPL_NONE);
	misuse_thread(cpu_lookup(0), 0, misuse_wait_with_mutex, "first");
	cv_destroy(&misuse_cv);
}

/* --- threads ---------------------------------------------------------------------------------- */

static void
misuse_return_with_mutex(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	misuse_set_ready();
}

TEST_MISUSE(exit_with_a_mutex)
{
	misuse_setup(IPL_NONE);
	misuse_thread(cpu_lookup(0), 0, misuse_return_with_mutex, "careless");
}

static void
misuse_return_unpreemptible(void *arg __attribute__((unused)))
{
	misuse_set_ready();
	kpreempt_disable();
}

TEST_MISUSE(exit_with_preemption_off)
{
	misuse_thread(cpu_lookup(0), 0, misuse_return_unpreemptible, "careless");
}

static void
misuse_sleep(void *arg __attribute__((unused)))
{
	misuse_set_ready();
	for (;;)
		kthread_sleep_ns(1000000000);
}

TEST_MISUSE(join_self)
{
	(void)kthread_join(curlwp);
}

TEST_MISUSE(join_unjoinable)
{
	(void)kthread_join(misuse_thread(cpu_lookup(0), 0, misuse_sleep, "free"));
}

static lwp_t *misuse_target;

static void
misuse_join(void *arg __attribute__((unused)))
{
	misuse_set_ready();
	(void)kthread_join(misuse_target);
}

TEST_MISUSE(join_twice)
{
	misuse_target = misuse_thread(cpu_lookup(0), KTHREAD_MUSTJOIN, misuse_sleep, "joined");
	misuse_thread(cpu_lookup(0), 0, misuse_join, "first");
	(void)kthread_join(misuse_target);
}

static void
misuse_end(void *arg __attribute__((unused)))
{
	misuse_set_ready();
}

TEST_MISUSE(join_ended_and_joined)
{
	lwp_t *l = misuse_thread(cpu_lookup(0), KTHREAD_MUSTJOIN, misuse_end, "short");

	(void)kthread_join(l);
	(void)kthread_join(l);
}

TEST_MISUSE(yield_with_a_spinlock)
{
	spinlock_enter(&misuse_spin);
	kthread_yield();
}

/* --- memory ----------------------------------------------------------------------------------- */

TEST_MISUSE(page_freed_twice)
{
	char *pages = kmem_page_alloc(4);

	kmem_page_free(pages + 2 * PAGE_BYTES, 1);
	kmem_page_free(pages, 4);
}

TEST_MISUSE(page_freed_foreign)
{
	static char page[PAGE_BYTES] __attribute__((aligned(PAGE_BYTES)));

	kmem_page_free(page, 1);
}

TEST_MISUSE(page_freed_unaligned)
{
	char *page = kmem_page_alloc(1);

	kmem_page_free(page + 8, 1);
}
