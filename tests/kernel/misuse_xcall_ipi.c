/*
 * Misuse of ipi(9), rendezvous and stop-machine: each boot must end in a panic that names the
 * offence (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/softint.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"
#include "xcall/xcall.h"

#define MISUSE_STOP_NS 60000000000ull

static struct spinlock misuse_spinlock = SPINLOCK_INIT("misuse");
static ipi_msg_t misuse_msg;

static void
misuse_nothing(void *arg __attribute__((unused)))
{
}

/* --- identifiers ------------------------------------------------------------------------------ */

TEST_MISUSE(ipi_register_null_function)
{
	(void)ipi_register(NULL, NULL);
}

TEST_MISUSE(ipi_register_with_spinlock)
{
	spinlock_enter(&misuse_spinlock);
	(void)ipi_register(misuse_nothing, NULL);
}

/* That one is xcall's own. */
TEST_MISUSE(ipi_trigger_zero)
{
	ipi_trigger(0, curcpu());
}

TEST_MISUSE(ipi_trigger_unregistered)
{
	ipi_trigger(IPI_MAXREG - 1, curcpu());
}

TEST_MISUSE(ipi_trigger_out_of_range)
{
	ipi_trigger_broadcast(IPI_MAXREG, false);
}

TEST_MISUSE(ipi_trigger_after_unregister)
{
	unsigned ipi = ipi_register(misuse_nothing, NULL);
	struct cpuset set;

	others_all(&set);
	ipi_trigger_multi(ipi, &set);
	ipi_unregister(ipi);
	printf("unregistered\n");
	ipi_trigger_multi(ipi, &set);
}

TEST_MISUSE(ipi_unregister_twice)
{
	unsigned ipi = ipi_register(misuse_nothing, NULL);

	ipi_unregister(ipi);
	ipi_unregister(ipi);
}

TEST_MISUSE(ipi_unregister_with_spinlock)
{
	unsigned ipi = ipi_register(misuse_nothing, NULL);

	spinlock_enter(&misuse_spinlock);
	ipi_unregister(ipi);
}

static void
misuse_unregister(void *arg)
{
	ipi_unregister(*(unsigned *)arg);
}

/* It would wait for its own end. */
TEST_MISUSE(ipi_unregister_in_its_handler)
{
	static unsigned ipi;

	ipi = ipi_register(misuse_unregister, &ipi);
	ipi_trigger(ipi, curcpu());
}

/* --- CPUs, functions -------------------------------------------------------------------------- */

TEST_MISUSE(ipi_trigger_null_cpu)
{
	ipi_trigger(ipi_register(misuse_nothing, NULL), NULL);
}

TEST_MISUSE(ipi_trigger_null_set)
{
	ipi_trigger_multi(ipi_register(misuse_nothing, NULL), NULL);
}

TEST_MISUSE(ipi_message_null_function)
{
	ipi_broadcast(&misuse_msg, false);
}

TEST_MISUSE(ipi_message_foreign_cpu)
{
	static struct cpu_info stranger;

	misuse_msg.func = misuse_nothing;
	ipi_unicast(&misuse_msg, &stranger);
}

TEST_MISUSE(ipi_message_null_set)
{
	misuse_msg.func = misuse_nothing;
	ipi_multicast(&misuse_msg, NULL);
}

/* --- contexts --------------------------------------------------------------------------------- */

static void
misuse_trigger_nmi(void *arg1, void *arg2 __attribute__((unused)))
{
	ipi_trigger(*(unsigned *)arg1, curcpu());
}

TEST_MISUSE(ipi_trigger_in_nmi)
{
	static unsigned ipi;

	ipi = ipi_register(misuse_nothing, NULL);
	(void)xc_wait(xc_unicast(XC_NMI, misuse_trigger_nmi, &ipi, NULL, curcpu()));
}

static void
misuse_send_nmi(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	ipi_unicast(&misuse_msg, curcpu());
}

TEST_MISUSE(ipi_message_in_nmi)
{
	misuse_msg.func = misuse_nothing;
	(void)xc_wait(xc_unicast(XC_NMI, misuse_send_nmi, NULL, NULL, curcpu()));
}

static void
misuse_wait_nmi(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	ipi_wait(&misuse_msg);
}

TEST_MISUSE(ipi_wait_in_nmi)
{
	(void)xc_wait(xc_unicast(XC_NMI, misuse_wait_nmi, NULL, NULL, curcpu()));
}

TEST_MISUSE(ipi_wait_with_spinlock)
{
	spinlock_enter(&misuse_spinlock);
	ipi_wait(&misuse_msg);
}

static void
misuse_wait(void *arg)
{
	ipi_wait(arg);
}

TEST_MISUSE(ipi_waits_for_its_own_message)
{
	misuse_msg.func = misuse_wait;
	misuse_msg.arg = &misuse_msg;
	ipi_unicast(&misuse_msg, others_last());
	ipi_wait(&misuse_msg);
}

/* --- what a handler leaves behind ------------------------------------------------------------- */

static void
misuse_keep_spinlock(void *arg __attribute__((unused)))
{
	spinlock_enter(&misuse_spinlock);
}

static void
misuse_turn_interrupts_on(void *arg __attribute__((unused)))
{
	machine_intr_restore(true);
}

TEST_MISUSE(ipi_handler_keeps_a_spinlock)
{
	ipi_trigger(ipi_register(misuse_keep_spinlock, NULL), curcpu());
}

TEST_MISUSE(ipi_message_keeps_a_spinlock)
{
	misuse_msg.func = misuse_keep_spinlock;
	ipi_broadcast(&misuse_msg, true);
	ipi_wait(&misuse_msg);
}

TEST_MISUSE(ipi_handler_turns_interrupts_on)
{
	ipi_trigger(ipi_register(misuse_turn_interrupts_on, NULL), curcpu());
}

TEST_MISUSE(rendezvous_phase_keeps_a_spinlock)
{
	struct cpuset set;

	cpuset_zero(&set);
	cpuset_add(&set, ncpu - 1);
	(void)!xc_rendezvous(&set, NULL, misuse_keep_spinlock, NULL, NULL, 0);
}

/* --- rendezvous, stop-machine ----------------------------------------------------------------- */

static void
misuse_meet(void *arg __attribute__((unused)))
{
	struct cpuset set;

	others_all(&set);
	(void)!xc_rendezvous(&set, misuse_nothing, misuse_nothing, misuse_nothing, NULL, 0);
}

static void
misuse_meet_call(void *arg1, void *arg2 __attribute__((unused)))
{
	misuse_meet(arg1);
}

TEST_MISUSE(rendezvous_null_set)
{
	(void)!xc_rendezvous(NULL, misuse_nothing, NULL, NULL, NULL, 0);
}

TEST_MISUSE(rendezvous_with_spinlock)
{
	spinlock_enter(&misuse_spinlock);
	misuse_meet(NULL);
}

TEST_MISUSE(rendezvous_with_preemption_off)
{
	kpreempt_disable();
	misuse_meet(NULL);
}

TEST_MISUSE(rendezvous_with_interrupts_off)
{
	(void)machine_intr_disable();
	misuse_meet(NULL);
}

TEST_MISUSE(rendezvous_in_softint)
{
	softint_schedule(softint_establish(SOFTINT_CLOCK, misuse_meet, NULL));
}

TEST_MISUSE(rendezvous_in_hard_call)
{
	(void)xc_wait(xc_unicast(XC_HARD, misuse_meet_call, NULL, NULL, others_last()));
}

TEST_MISUSE(rendezvous_in_nmi)
{
	(void)xc_wait(xc_unicast(XC_NMI, misuse_meet_call, NULL, NULL, others_last()));
}

TEST_MISUSE(rendezvous_in_function)
{
	(void)xc_wait(xc_unicast(0, misuse_meet_call, NULL, NULL, others_last()));
}

static void
misuse_stop_call(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)!xc_stop_machine(misuse_nothing, NULL, NULL);
}

TEST_MISUSE(stop_machine_in_function)
{
	(void)xc_wait(xc_unicast(0, misuse_stop_call, NULL, NULL, others_last()));
}

TEST_MISUSE(stop_machine_with_spinlock)
{
	spinlock_enter(&misuse_spinlock);
	misuse_stop_call(NULL, NULL);
}

TEST_MISUSE(stop_machine_null_function)
{
	(void)!xc_stop_machine(NULL, NULL, NULL);
}

/* --- a panic while CPUs stand still ----------------------------------------------------------- */

static void
misuse_panic_stopped(bool nmi)
{
	struct cpuset set;

	others_all(&set);
	panic("%u of %u stand still", xc_stop_cpus(&set, nmi, MISUSE_STOP_NS), ncpu - 1);
}

TEST_MISUSE(panic_with_cpus_stopped_by_interrupt)
{
	misuse_panic_stopped(false);
}

TEST_MISUSE(panic_with_cpus_stopped_by_nmi)
{
	misuse_panic_stopped(true);
}

static void
misuse_panic_action(void *arg __attribute__((unused)))
{
	panic("with the machine stopped");
}

TEST_MISUSE(panic_in_stop_machine)
{
	struct cpuset set;

	cpuset_zero(&set);
	cpuset_add(&set, ncpu - 1);
	(void)!xc_stop_machine(misuse_panic_action, NULL, &set);
}
