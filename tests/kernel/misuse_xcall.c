/*
 * Misuse of cross calls: each boot must end in a panic that names the offence
 * (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/ipl.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_cpu.h"
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

/* --- arguments -------------------------------------------------------------------------------- */

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

TEST_MISUSE(xcall_contradictory_flags)
{
	(void)xc_broadcast(XC_HIGHPRI | XC_HARD, misuse_nothing, NULL, NULL);
}

TEST_MISUSE(xcall_ipl_without_highpri)
{
	(void)xc_broadcast(xc_encode_ipl(IPL_SOFTNET), misuse_nothing, NULL, NULL);
}

TEST_MISUSE(xcall_invalid_ipl)
{
	xc_barrier(XC_HIGHPRI | 0x400);
}

TEST_MISUSE(xcall_encode_hard_ipl)
{
	(void)xc_encode_ipl(IPL_HIGH);
}

TEST_MISUSE(xcall_lazy_nmi)
{
	(void)xc_unicast(XC_NMI | XC_LAZY, misuse_nothing, NULL, NULL, curcpu());
}

TEST_MISUSE(xcall_unicast_noself)
{
	(void)xc_unicast(XC_NOSELF, misuse_nothing, NULL, NULL, curcpu());
}

TEST_MISUSE(xcall_null_set)
{
	(void)xc_multicast(0, misuse_nothing, NULL, NULL, NULL);
}

TEST_MISUSE(xcall_any_of_null_set)
{
	(void)xc_any(XC_HARD, misuse_nothing, NULL, NULL, NULL);
}

TEST_MISUSE(xcall_null_predicate)
{
	static const struct cpuset set;

	(void)xc_cond(0, NULL, misuse_nothing, NULL, NULL, &set);
}

TEST_MISUSE(xcall_init_twice)
{
	xc_init_cpu(curcpu());
}

/* --- descriptors ------------------------------------------------------------------------------ */

static struct xc_call misuse_call;

TEST_MISUSE(xcall_descriptor_null_function)
{
	xc_call_init(&misuse_call, NULL, NULL, NULL);
}

TEST_MISUSE(xcall_descriptor_nmi)
{
	xc_call_init(&misuse_call, misuse_nothing, NULL, NULL);
	(void)!xc_call_post(&misuse_call, XC_NMI, curcpu());
}

TEST_MISUSE(xcall_descriptor_foreign_cpu)
{
	static struct cpu_info stranger;

	xc_call_init(&misuse_call, misuse_nothing, NULL, NULL);
	(void)!xc_call_post(&misuse_call, 0, &stranger);
}

TEST_MISUSE(xcall_descriptor_noself)
{
	xc_call_init(&misuse_call, misuse_nothing, NULL, NULL);
	(void)!xc_call_post(&misuse_call, XC_HARD | XC_NOSELF, curcpu());
}

/* Made anew while it stands in an inbox. */
TEST_MISUSE(xcall_descriptor_reused)
{
	bool intr = machine_intr_disable();

	xc_call_init(&misuse_call, misuse_nothing, NULL, NULL);
	(void)!xc_call_post(&misuse_call, XC_HARD, curcpu());
	xc_call_init(&misuse_call, misuse_nothing, NULL, NULL);
	machine_intr_restore(intr);
	kthread_sleep_ns(1000000000);
}

/* --- inside functions ------------------------------------------------------------------------- */

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

/* Finds its own ticket, or descriptor, as soon as the poster has told. */
static void
misuse_wait_for_own(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	while (atomic_load_explicit(&misuse_step, memory_order_acquire) == 0)
		machine_pause();
	(void)xc_wait(misuse_ticket);
}

static void
misuse_cancel_own(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	while (atomic_load_explicit(&misuse_step, memory_order_acquire) == 0)
		machine_pause();
	(void)xc_cancel(misuse_ticket, NULL);
}

static void
misuse_cancel_descriptor(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)!xc_call_cancel(&misuse_call);
}

static void
misuse_post_to_last(unsigned flags, xcfunc_t func)
{
	misuse_ticket = xc_unicast(flags, func, NULL, NULL, misuse_last_cpu());
	misuse_next_step();
	(void)xc_wait(misuse_ticket);
}

TEST_MISUSE(xcall_hard_waits_for_its_own_call)
{
	misuse_post_to_last(XC_HARD, misuse_wait_for_own);
}

TEST_MISUSE(xcall_hard_cancels_its_own_call)
{
	misuse_post_to_last(XC_HARD, misuse_cancel_own);
}

TEST_MISUSE(xcall_low_cancels_its_own_call)
{
	misuse_post_to_last(0, misuse_cancel_own);
}

TEST_MISUSE(xcall_low_cancels_its_own_descriptor)
{
	xc_call_init(&misuse_call, misuse_cancel_descriptor, NULL, NULL);
	(void)!xc_call_post(&misuse_call, 0, misuse_last_cpu());
	(void)xc_call_wait(&misuse_call);
}

static void
misuse_wait_for_descriptor(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_call_wait(&misuse_call);
}

TEST_MISUSE(xcall_low_waits_for_its_own_descriptor)
{
	xc_call_init(&misuse_call, misuse_wait_for_descriptor, NULL, NULL);
	(void)!xc_call_post(&misuse_call, 0, misuse_last_cpu());
	(void)xc_call_wait(&misuse_call);
}

TEST_MISUSE(xcall_hard_waits_for_its_own_descriptor)
{
	xc_call_init(&misuse_call, misuse_wait_for_descriptor, NULL, NULL);
	(void)!xc_call_post(&misuse_call, XC_HARD, misuse_last_cpu());
	(void)xc_call_wait(&misuse_call);
}

static void
misuse_wait_for_low(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)xc_wait(xc_unicast(0, misuse_nothing, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_soft_waits_for_low)
{
	(void)xc_wait(xc_unicast(XC_HIGHPRI, misuse_wait_for_low, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_hard_waits_for_low)
{
	(void)xc_wait(xc_unicast(XC_HARD, misuse_wait_for_low, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_nmi_posts)
{
	(void)xc_wait(xc_unicast(XC_NMI, misuse_wait_for_low, NULL, NULL, curcpu()));
}

/* --- CPUs that come and go -------------------------------------------------------------------- */

TEST_MISUSE(xcall_online_by_another)
{
	xc_cpu_online(misuse_last_cpu());
}

TEST_MISUSE(xcall_dying_by_another)
{
	(void)!xc_cpu_dying(misuse_last_cpu());
}

/* --- what a function leaves behind ------------------------------------------------------------ */

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

TEST_MISUSE(xcall_soft_leaks_preemption)
{
	(void)xc_wait(xc_unicast(XC_HIGHPRI, misuse_leak_preemption, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_soft_leaks_interrupts)
{
	(void)xc_wait(xc_unicast(XC_HIGHPRI, misuse_leak_interrupts, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_hard_leaks_spinlock)
{
	(void)xc_wait(xc_unicast(XC_HARD, misuse_leak_spinlock, NULL, NULL, curcpu()));
}

static void
misuse_turn_on(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	machine_intr_restore(true);
}

TEST_MISUSE(xcall_hard_turns_interrupts_on)
{
	(void)xc_wait(xc_unicast(XC_HARD, misuse_turn_on, NULL, NULL, curcpu()));
}

static void
misuse_leak_depth(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	curcpu()->ci_nopreempt++;
}

TEST_MISUSE(xcall_nmi_leaks_preemption)
{
	(void)xc_wait(xc_unicast(XC_NMI, misuse_leak_depth, NULL, NULL, curcpu()));
}

TEST_MISUSE(xcall_descriptor_leaks_spinlock)
{
	xc_call_init(&misuse_call, misuse_leak_spinlock, NULL, NULL);
	(void)!xc_call_post(&misuse_call, XC_HARD, curcpu());
}

/* --- chains ----------------------------------------------------------------------------------- */

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
