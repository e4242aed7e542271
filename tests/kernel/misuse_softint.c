/*
 * Boots that must end in a panic which names who did what: soft interrupts, intr_enter(), NMI
 * handlers (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/softint.h"
#include "kernel/spinlock.h"
#include "tests/kernel/test.h"

static struct spinlock misuse_lock = SPINLOCK_INIT("guard");
static kmutex_t misuse_mutex;
static kcondvar_t misuse_cv;
static void *misuse_cookie;

/* Runs `func` in a soft interrupt on this CPU. */
static void
misuse_run(void (*func)(void *))
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "victim");
	cv_init(&misuse_cv, "condition");
	misuse_cookie = softint_establish(SOFTINT_NET, func, NULL);
	softint_schedule(misuse_cookie);
}

static void
misuse_nothing(void *arg __attribute__((unused)))
{
}

/* --- sleeping --------------------------------------------------------------------------------- */

static void
misuse_enter(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(softint_enters_a_mutex)
{
	misuse_run(misuse_enter);
}

static void
misuse_sleep(void *arg __attribute__((unused)))
{
	kthread_sleep_ns(1000);
}

TEST_MISUSE(softint_sleeps)
{
	misuse_run(misuse_sleep);
}

static void
misuse_wait(void *arg __attribute__((unused)))
{
	cv_wait(&misuse_cv, &misuse_mutex);
}

TEST_MISUSE(softint_waits)
{
	misuse_run(misuse_wait);
}

static void
misuse_disestablish(void *arg __attribute__((unused)))
{
	softint_disestablish(misuse_cookie);
}

TEST_MISUSE(softint_disestablishes_itself)
{
	misuse_run(misuse_disestablish);
}

/* --- not as it was found ---------------------------------------------------------------------- */

static void
misuse_leave_interrupts_off(void *arg __attribute__((unused)))
{
	machine_intr_disable();
}

TEST_MISUSE(softint_leaves_interrupts_off)
{
	misuse_run(misuse_leave_interrupts_off);
}

static void
misuse_keep_spinlock(void *arg __attribute__((unused)))
{
	spinlock_enter(&misuse_lock);
}

TEST_MISUSE(softint_keeps_a_spinlock)
{
	misuse_run(misuse_keep_spinlock);
}

static void
misuse_leave_preemption_off(void *arg __attribute__((unused)))
{
	kpreempt_disable();
}

TEST_MISUSE(softint_leaves_preemption_off)
{
	misuse_run(misuse_leave_preemption_off);
}

/* --- wrong arguments, wrong context ----------------------------------------------------------- */

TEST_MISUSE(softint_null_function)
{
	misuse_cookie = softint_establish(SOFTINT_NET, NULL, NULL);
}

TEST_MISUSE(softint_unknown_level)
{
	misuse_cookie = softint_establish(SOFTINT_SERIAL + 1, misuse_nothing, NULL);
}

TEST_MISUSE(softint_schedules_a_stranger)
{
	softint_schedule(&misuse_mutex);
}

TEST_MISUSE(softint_schedules_after_the_end)
{
	misuse_run(misuse_nothing);
	softint_disestablish(misuse_cookie);
	softint_schedule(misuse_cookie);
}

TEST_MISUSE(softint_ends_twice)
{
	misuse_run(misuse_nothing);
	softint_disestablish(misuse_cookie);
	softint_disestablish(misuse_cookie);
}

/* An NMI that this CPU sends itself; the handler does what it must not. */
static bool
misuse_nmi_schedule(struct trapframe *frame __attribute__((unused)))
{
	softint_schedule(misuse_cookie);
	return true;
}

static bool
misuse_nmi_enter(struct trapframe *frame __attribute__((unused)))
{
	intr_leave(intr_enter());
	return true;
}

static void
misuse_in_nmi(nmi_handler_t handler)
{
	nmi_establish(handler);
	if (machine_send_nmi(curcpu()))
		for (;;)
			machine_pause();
}

TEST_MISUSE(softint_scheduled_in_nmi)
{
	misuse_run(misuse_nothing);
	misuse_in_nmi(misuse_nmi_schedule);
}

TEST_MISUSE(intr_enter_in_nmi)
{
	misuse_in_nmi(misuse_nmi_enter);
}

TEST_MISUSE(intr_leave_without_enter)
{
	intr_leave(true);
}

TEST_MISUSE(intr_leave_with_a_spinlock)
{
	bool on = intr_enter();

	spinlock_enter(&misuse_lock);
	intr_leave(on);
}

TEST_MISUSE(nmi_handlers_too_many)
{
	for (unsigned i = 0; i < 100; i++)
		nmi_establish(misuse_nmi_enter);
}
