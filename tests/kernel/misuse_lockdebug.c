/*
 * Boots that must end in what lock checking says (tests/console/misuse.toml), which each case turns
 * on itself.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug.h"
#include "kernel/lockdebug_graph.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"
#include "kernel/timer.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/test.h"

static struct spinlock misuse_a = SPINLOCK_INIT("a"), misuse_b = SPINLOCK_INIT("b"),
		       misuse_c = SPINLOCK_INIT("c");
static kmutex_t misuse_m, misuse_n;
static _Atomic bool misuse_done;

static void
misuse_begin(enum ipl ipl)
{
	(void)lockdebug_set_policy(LOCKDEBUG_PANIC);
	mutex_init(&misuse_m, MUTEX_DEFAULT, ipl, "m");
	mutex_init(&misuse_n, MUTEX_DEFAULT, ipl, "n");
}

static void
misuse_end_thread(void)
{
	atomic_store_explicit(&misuse_done, true, memory_order_release);
}

/* Runs `func` on the other CPU and waits until it has said that it is done. */
static void
misuse_elsewhere(void (*func)(void *), const char *name)
{
	atomic_store_explicit(&misuse_done, false, memory_order_relaxed);
	if (kthread_create(PRI_KTHREAD, 0, cpu_lookup(1), func, NULL, NULL, "%s", name) != 0)
		return;
	while (!atomic_load_explicit(&misuse_done, memory_order_acquire))
		kthread_yield();
}

static void
misuse_in_interrupt(intr_handler_t handler)
{
	atomic_store_explicit(&misuse_done, false, memory_order_relaxed);
	machine_send_ipi(curcpu(), test_vector(handler));
	while (!atomic_load_explicit(&misuse_done, memory_order_acquire))
		machine_pause();
}

/* --- circles ---------------------------------------------------------------------------------- */

static void __attribute__((noinline)) misuse_nest(struct spinlock *outer, struct spinlock *inner)
{
	spinlock_enter(outer);
	spinlock_enter(inner);
	spinlock_exit(inner);
	spinlock_exit(outer);
}

static void
misuse_a_then_b(void *arg __attribute__((unused)))
{
	misuse_nest(&misuse_a, &misuse_b);
	misuse_end_thread();
}

static void
misuse_b_then_c(void *arg __attribute__((unused)))
{
	misuse_nest(&misuse_b, &misuse_c);
	misuse_end_thread();
}

TEST_MISUSE(lock_order_of_two)
{
	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_a_then_b, "first");
	misuse_nest(&misuse_b, &misuse_a);
}

TEST_MISUSE(lock_order_of_three)
{
	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_a_then_b, "first");
	misuse_elsewhere(misuse_b_then_c, "second");
	misuse_nest(&misuse_c, &misuse_a);
}

static void
misuse_m_then_n(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_m);
	mutex_enter(&misuse_n);
	mutex_exit(&misuse_n);
	mutex_exit(&misuse_m);
	misuse_end_thread();
}

TEST_MISUSE(lock_order_of_mutexes)
{
	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_m_then_n, "first");
	mutex_enter(&misuse_n);
	mutex_enter(&misuse_m);
}

static void
misuse_m_then_a(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_m);
	misuse_nest(&misuse_a, &misuse_b);
	mutex_exit(&misuse_m);
	misuse_end_thread();
}

TEST_MISUSE(lock_order_of_spin_mutex_and_spinlock)
{
	misuse_begin(IPL_HIGH);
	misuse_elsewhere(misuse_m_then_a, "first");
	spinlock_enter(&misuse_b);
	mutex_enter(&misuse_m);
}

static void
misuse_wait_for_m(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	spinlock_enter(&misuse_b);
	mutex_enter(&misuse_m);
}

TEST_MISUSE(lock_order_in_an_interrupt)
{
	misuse_begin(IPL_HIGH);
	misuse_elsewhere(misuse_m_then_a, "first");
	misuse_in_interrupt(misuse_wait_for_m);
}

/* A lock that was tried for is held all the same. */
TEST_MISUSE(lock_order_after_a_try)
{
	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_a_then_b, "first");
	if (spinlock_tryenter(&misuse_b))
		spinlock_enter(&misuse_a);
}

/* Waiting on a condition gives its mutex back and wants it again, behind what is still held. */
TEST_MISUSE(lock_order_after_a_wait)
{
	kcondvar_t cv;

	misuse_begin(IPL_NONE);
	cv_init(&cv, "condition");
	mutex_enter(&misuse_m);
	mutex_enter(&misuse_n);
	(void)!cv_timedwait(&cv, &misuse_m, 1);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static void
misuse_take_a(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	spinlock_enter(&misuse_a);
	spinlock_exit(&misuse_a);
	misuse_end_thread();
}

/* A tick that came meanwhile would find it too, in words of its own. */
static void
misuse_stop_ticks(void)
{
	(void)machine_intr_disable();
	timer_stop();
	machine_intr_restore(true);
}

static void __attribute__((noinline)) misuse_hold_with_interrupts_on(struct spinlock *sl)
{
	misuse_stop_ticks();
	spinlock_enter(sl);
	machine_intr_restore(true);
	spinlock_exit(sl);
}

TEST_MISUSE(lock_in_interrupts)
{
	misuse_begin(IPL_NONE);
	misuse_in_interrupt(misuse_take_a);
	misuse_hold_with_interrupts_on(&misuse_a);
}

TEST_MISUSE(lock_in_interrupts_seen_the_other_way_round)
{
	misuse_begin(IPL_NONE);
	misuse_hold_with_interrupts_on(&misuse_a);
	misuse_in_interrupt(misuse_take_a);
}

TEST_MISUSE(lock_in_interrupts_through_another)
{
	misuse_begin(IPL_NONE);
	misuse_in_interrupt(misuse_take_a);
	misuse_elsewhere(misuse_a_then_b, "first");
	misuse_hold_with_interrupts_on(&misuse_b);
}

TEST_MISUSE(lock_in_interrupts_seen_by_the_next_lock)
{
	misuse_begin(IPL_NONE);
	misuse_in_interrupt(misuse_take_a);
	misuse_stop_ticks();
	spinlock_enter(&misuse_a);
	machine_intr_restore(true);
	/* From here on they are off again. */
	spinlock_enter(&misuse_c);
}

/* --- who holds what --------------------------------------------------------------------------- */

static void
misuse_keep_m(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_m);
	misuse_end_thread();
	for (;;)
		kthread_sleep_ns(1000000000);
}

static void
misuse_keep_b(void *arg __attribute__((unused)))
{
	spinlock_enter(&misuse_b);
	misuse_end_thread();
	for (;;)
		machine_pause();
}

TEST_MISUSE(lockdebug_names_all_holders)
{
	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_keep_m, "keeper");
	misuse_elsewhere(misuse_keep_b, "spinner");
	mutex_enter(&misuse_n);
	spinlock_enter(&misuse_a);
	panic("who holds what");
}

static bool
misuse_lock_in_nmi(struct trapframe *frame __attribute__((unused)))
{
	spinlock_enter(&misuse_b);
	return true;
}

/* The tables are read wherever the NMI struck. */
TEST_MISUSE(lockdebug_in_an_nmi)
{
	misuse_begin(IPL_NONE);
	nmi_establish(misuse_lock_in_nmi);
	mutex_enter(&misuse_n);
	spinlock_enter(&misuse_a);
	(void)!machine_send_nmi(curcpu());
	for (;;)
		machine_pause();
}

/* What a panic says when checking is off. */
TEST_MISUSE(lockdebug_off_names_the_own)
{
	misuse_begin(IPL_NONE);
	(void)lockdebug_set_policy(LOCKDEBUG_OFF);
	mutex_enter(&misuse_n);
	spinlock_enter(&misuse_a);
	panic("who holds what");
}

TEST_MISUSE(lockdebug_mutex_with_a_spinlock)
{
	misuse_begin(IPL_NONE);
	spinlock_enter(&misuse_a);
	mutex_enter(&misuse_m);
}

/* Tables that are full are so in words, and what they hold is checked on. */
TEST_MISUSE(lockdebug_full)
{
	static char name[LOCKDEBUG_CLASSES][LOCKDEBUG_NAME_BYTES];
	struct lockdebug_figures figures;
	struct spinlock lock;

	misuse_begin(IPL_NONE);
	misuse_elsewhere(misuse_a_then_b, "first");
	overhear_begin();
	for (unsigned i = 0; i < LOCKDEBUG_CLASSES; i++) {
		snprintf(name[i], sizeof(name[i]), "one of many, %u", i);
		spinlock_init(&lock, name[i]);
		misuse_nest(&lock, &misuse_c);
	}
	overhear_end();
	lockdebug_figures(&figures);
	if (figures.full && figures.classes == LOCKDEBUG_CLASSES &&
	    overhear_count("lockdebug: no room for more than 192 classes of locks") == 1)
		misuse_nest(&misuse_b, &misuse_a);
}
