/*
 * What can hit a CPU that is offline, and a CPU that does not come back.
 */
#include "kernel/clients/hotplug.h"
#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/string.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/smp.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"

#define MS UINT64_C(1000000)

static void
stray(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
}

/* It slept through what was sent to it, and comes back as ever. */
static void
check_undisturbed(struct cpu_info *ci, uint64_t interrupts)
{
	kthread_sleep_ns(5 * MS);
	T_ASSERT(!cpu_online(ci));
	T_ASSERT_EQ(plug_interrupts(ci), interrupts);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(plug_answers(ci));
}

/* ICR: destination shorthand "all excluding self", assert (SDM vol. 3, figure 11-12). */
#define ICR_ALL_BUT_SELF 0xc4000u

TEST_CASE(hotplug_machine, a_parked_cpu_takes_nmis_and_no_interrupts)
{
	unsigned vector = test_vector(stray);
	struct cpu_info *ci;
	uint64_t interrupts, nmis;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	T_ASSERT(plug_set(ci, false));
	interrupts = plug_interrupts(ci);
	nmis = atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed);
	for (unsigned i = 0; i < 5; i++) {
		T_ASSERT(machine_send_nmi(ci));
		machine_send_ipi(ci, vector);
		kthread_sleep_ns(2 * MS);
	}
	apic->write(APIC_REG_ICR_LOW, ICR_ALL_BUT_SELF | vector);
	check_undisturbed(ci, interrupts);
	T_ASSERT(atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed) > nmis);
}

/* INIT alone; INIT and a STARTUP that nobody asked for, which leads through the trampoline to its
 * end. */
TEST_CASE(hotplug_machine, a_parked_cpu_survives_init_and_startup)
{
	unsigned vector = test_vector(stray);
	struct cpu_info *ci;
	uint64_t interrupts;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	for (unsigned i = 0; i < 2; i++) {
		T_ASSERT(plug_set(ci, false));
		interrupts = plug_interrupts(ci);
		T_ASSERT(apic->send(ci->ci_apicid, APIC_INIT, 0));
		T_ASSERT(i == 0 || apic->send(ci->ci_apicid, APIC_STARTUP, smp_vector));
		machine_send_ipi(ci, vector);
		check_undisturbed(ci, interrupts);
	}
}

/* Nothing has that APIC id: INIT and STARTUP reach nobody. */
#define NOBODY 0xfe

TEST_CASE(hotplug_machine, a_cpu_that_does_not_answer_stays_offline)
{
	char why[HOTPLUG_WHY_BYTES];
	struct smp_slot *slot;
	struct cpu_info *ci;
	uint64_t start;

	if (!plug_begin())
		return;
	ci = cpu_lookup(1);
	slot = smp_slot_of(ci);
	T_ASSERT(plug_set(ci, false));
	slot->apic_id = NOBODY;
	start = clock_ns();
	T_ASSERT_EQ(cpu_setstate(ci, true, why), ETIMEDOUT);
	T_ASSERT(clock_ns() - start < 20000 * MS);
	slot->apic_id = ci->ci_apicid;
	T_ASSERT(strlen(why) != 0);
	T_ASSERT(!cpu_online(ci) && plug_refuses(ci));
	T_ASSERT_EQ(cpu_online_count(), ncpu - 1);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT(plug_answers(ci));
}
