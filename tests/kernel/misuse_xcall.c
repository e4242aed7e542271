/*
 * Misuse of cross calls: each boot must end in a panic that names the offence (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/intr.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

static struct spinlock misuse_spinlock = SPINLOCK_INIT("misuse");
static kmutex_t misuse_mutex, misuse_other;
static uint64_t misuse_ticket;
static _Atomic uint64_t misuse_step;

static void
misuse_nothing(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

static struct cpu_info *
misuse_last_cpu(void)
{
	return cpu_lookup(ncpu - 1);
}

static void
misuse_next_step(void)
{
	atomic_fetch_add_explicit(&misuse_step, 1, memory_order_release);
}

/* --- arguments ------------------------------------------------------------------------------------------ */

TEST_MISUSE(xcall_null_function)
{
	(void)xc_unicast(0, NULL, NULL, NULL, curcpu());
}

TEST_MISUSE(xcall_null_function_broadcast)
{
	(void)xc_broadcast(0, NULL, NULL, NULL);
}

TEST_MISUSE(xcall_null_cpu)
{
	(void)xc_unicast(0, misuse_nothing, NULL, NULL, NULL);
}

TEST_MISUSE(xcall_foreign_cpu)
{
	static struct cpu_info stranger;

	(void)xc_unicast(0, misuse_nothing, NULL, NULL, &stranger);
}

TEST_MISUSE(xcall_unknown_flags)
{
	(void)xc_broadcast(0x80, misuse_nothing, NULL, NULL);
}

TEST_MISUSE(xcall_highpri)
{
	(void)xc_broadcast(XC_HIGHPRI, misuse_nothing, NULL, NULL);
}

TEST_MISUSE(xcall_hard)
{
	(void)xc_unicast(XC_HARD, misuse_nothing, NULL, NULL, curcpu());
}

TEST_MISUSE(xcall_nmi)
{
	(void)xc_unicast(XC_NMI, misuse_nothing, NULL, NULL, curcpu());
}

TEST_MISUSE(xcall_barrier_flags)
{
	xc_barrier(XC_HIGHPRI);
}

TEST_MISUSE(xcall_init_twice)
{
	xc_init_cpu(curcpu());
}

/* --- contexts ------------------------------------------------------------------------------------------- */

/* As the handler of an NMI sees it. */
TEST_MISUSE(xcall_post_in_nmi)
{
	(void)machine_intr_disable();
	curcpu()->ci_nmi_depth++;
	(void)xc_unicast(0, misuse_nothing, NULL, NULL, curcpu());
}

/* A call that is over: the wait is wrong whether or not it would sleep. */
static uint64_t
misuse_finished_call(void)
{
	uint64_t where = xc_unicast(0, misuse_nothing, NULL, NULL, curcpu());

	(void)xc_wait(where);
	return where;
}

TEST_MISUSE(xcall_wait_in_nmi)
{
	uint64_t where = misuse_finished_call();

	(void)machine_intr_disable();
	curcpu()->ci_nmi_depth++;
	(void)xc_wait(where);
}

TEST_MISUSE(xcall_wait_with_spinlock)
{
	uint64_t where = misuse_finished_call();

	spinlock_enter(&misuse_spinlock);
	(void)xc_wait(where);
}

TEST_MISUSE(xcall_wait_without_preemption)
{
	uint64_t where = misuse_finished_call();

	kpreempt_disable();
	(void)xc_wait(where);
}

TEST_MISUSE(xcall_wait_without_interrupts)
{
	uint64_t where = misuse_finished_call();

	(void)machine_intr_disable();
	(void)xc_wait(where);
}

static void
misuse_wait_handler(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	(void)xc_wait(misuse_ticket);
}

TEST_MISUSE(xcall_wait_in_interrupt)
{
	misuse_ticket = misuse_finished_call();
	machine_send_ipi(curcpu(), test_vector(misuse_wait_handler));
	kthread_sleep_ns(1000000000);
}

TEST_MISUSE(xcall_barrier_with_spinlock)
{
	spinlock_enter(&misuse_spinlock);
	xc_barrier(0);
}

static void
misuse_wait_holding(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	(void)xc_wait(xc_unicast(0, misuse_nothing, NULL, NULL, cpu_lookup(0)));
	mutex_exit(&misuse_mutex);
}

TEST_MISUSE(xcall_function_waits_with_mutex)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	(void)xc_wait(xc_unicast(0, misuse_wait_holding, NULL, NULL, misuse_last_cpu()));
}

static void
misuse_barrier_holding(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	mutex_enter(&misuse_mutex);
	xc_barrier(0);
	mutex_exit(&misuse_mutex);
}

TEST_MISUSE(xcall_barrier_in_function_with_mutex)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	(void)xc_wait(xc_unicast(0, misuse_barrier_holding, NULL, NULL, misuse_last_cpu()));
}

/* --- what a function leaves behind ---------------------------------------------------------------------- */

static void
misuse_leak_preemption(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	kpreempt_disable();
}

static void
misuse_leak_interrupts(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)machine_intr_disable();
}

static void
misuse_leak_spinlock(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	spinlock_enter(&misuse_spinlock);
}

static void
misuse_leak_mutex(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_enter(&misuse_mutex);
}

TEST_MISUSE(xcall_function_leaks_preemption)
{
	(void)xc_wait(xc_unicast(0, misuse_leak_preemption, NULL, NULL, misuse_last_cpu()));
}

TEST_MISUSE(xcall_function_leaks_interrupts)
{
	(void)xc_wait(xc_unicast(0, misuse_leak_interrupts, NULL, NULL, misuse_last_cpu()));
}

TEST_MISUSE(xcall_function_leaks_spinlock)
{
	(void)xc_wait(xc_unicast(0, misuse_leak_spinlock, NULL, NULL, misuse_last_cpu()));
}

TEST_MISUSE(xcall_function_leaks_mutex)
{
	(void)xc_wait(xc_unicast(0, misuse_leak_mutex, NULL, NULL, misuse_last_cpu()));
}

/* --- chains --------------------------------------------------------------------------------------------- */

static void
misuse_wait_for_ticket(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_wait(misuse_ticket);
}

/* Posts a function that will find its own ticket. */
static void
misuse_post_knowing(xcfunc_t func, struct cpu_info *ci)
{
	kpreempt_disable();
	misuse_ticket = xc_unicast(0, func, NULL, NULL, ci);
	kpreempt_enable();
	(void)xc_wait(misuse_ticket);
}

TEST_MISUSE(xcall_waits_for_its_own_call)
{
	misuse_post_knowing(misuse_wait_for_ticket, curcpu());
}

static void
misuse_nest_below(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_wait(xc_unicast(0, misuse_wait_for_ticket, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_waits_for_a_call_below)
{
	misuse_post_knowing(misuse_nest_below, curcpu());
}

static void
misuse_ask_last(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_wait(xc_unicast(0, misuse_wait_for_ticket, NULL, NULL, misuse_last_cpu()));
}

TEST_MISUSE(xcall_waits_around_two_cpus)
{
	misuse_post_knowing(misuse_ask_last, curcpu());
}

static void
misuse_descend(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_wait(xc_unicast(0, misuse_descend, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_nests_beyond_the_depth)
{
	(void)xc_wait(xc_unicast(0, misuse_descend, NULL, NULL, misuse_last_cpu()));
}

static void
misuse_take(void *arg1, void *arg2 __attribute__((unused)))
{
	misuse_next_step();
	mutex_enter(arg1);
	mutex_exit(arg1);
}

/* Holds what its callee needs. */
TEST_MISUSE(xcall_mutex_of_the_caller)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_enter(&misuse_mutex);
	(void)xc_wait(xc_unicast(0, misuse_take, &misuse_mutex, NULL, misuse_last_cpu()));
}

/* Waits for a harmless call, behind one that needs the mutex. */
TEST_MISUSE(xcall_mutex_in_an_earlier_call)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_enter(&misuse_mutex);
	(void)xc_unicast(0, misuse_take, &misuse_mutex, NULL, misuse_last_cpu());
	(void)xc_wait(xc_unicast(0, misuse_nothing, NULL, NULL, misuse_last_cpu()));
}

static void
misuse_take_later(void *arg1, void *arg2)
{
	/* Longer than a wait looks before it sleeps. */
	kthread_sleep_ns(300000000);
	misuse_take(arg1, arg2);
}

TEST_MISUSE(xcall_mutex_after_the_wait_began)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_enter(&misuse_mutex);
	(void)xc_wait(xc_unicast(0, misuse_take_later, &misuse_mutex, NULL, misuse_last_cpu()));
}

static void
misuse_second_caller(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_other);
	misuse_next_step();
	(void)xc_wait(xc_unicast(0, misuse_take, &misuse_mutex, NULL, misuse_last_cpu()));
	mutex_exit(&misuse_other);
}

/* Two callers, each of which holds what the other's callee needs. */
TEST_MISUSE(xcall_mutexes_of_two_callers)
{
	struct crew_job job;

	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_init(&misuse_other, MUTEX_DEFAULT, IPL_NONE, "other");
	mutex_enter(&misuse_mutex);
	crew_start(&job, misuse_last_cpu(), PRI_KERNEL, misuse_second_caller, NULL);
	(void)test_wait_at_least(&misuse_step, 1);
	(void)xc_wait(xc_unicast(0, misuse_take, &misuse_other, NULL, cpu_lookup(0)));
}

static void
misuse_between(void *arg __attribute__((unused)))
{
	mutex_enter(&misuse_other);
	misuse_next_step();
	mutex_enter(&misuse_mutex);
	mutex_exit(&misuse_mutex);
	mutex_exit(&misuse_other);
}

/* A thread that knows nothing of cross calls stands between. */
TEST_MISUSE(xcall_mutex_through_a_third_thread)
{
	struct crew_job job;

	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_init(&misuse_other, MUTEX_DEFAULT, IPL_NONE, "other");
	mutex_enter(&misuse_mutex);
	crew_start(&job, misuse_last_cpu(), PRI_KERNEL, misuse_between, NULL);
	(void)test_wait_at_least(&misuse_step, 1);
	(void)xc_wait(xc_unicast(0, misuse_take, &misuse_other, NULL, cpu_lookup(0)));
}

/* A broadcast, of which one leg comes back. */
static void
misuse_take_on_last(void *arg1, void *arg2)
{
	if (curcpu() == misuse_last_cpu())
		misuse_take(arg1, arg2);
}

TEST_MISUSE(xcall_mutex_of_a_broadcaster)
{
	mutex_init(&misuse_mutex, MUTEX_DEFAULT, IPL_NONE, "misuse");
	mutex_enter(&misuse_mutex);
	(void)xc_wait(xc_broadcast(0, misuse_take_on_last, &misuse_mutex, NULL));
}
