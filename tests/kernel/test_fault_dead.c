/*
 * A CPU that is gone for good: it is named, what it owes is taken back, the others go on.  It costs
 * the CPU, so it wants a boot of its own: the word dead on the command line.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/x86/apic.h"
#include "tests/kernel/test.h"
#include "xcall/xc_status.h"
#include "xcall/xcall.h"

#define DEAD_WARN_NS 20000000ull
#define DEAD_WAIT_NS 200000000ull
#define DEAD_ROUNDS 200u

static _Atomic uint64_t dead_ran[MAXCPUS]; /* by CPU */

static void
dead_count(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&dead_ran[curcpu()->ci_index], 1, memory_order_relaxed);
}

static uint64_t
dead_sum(void)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < ncpu; i++)
		sum += atomic_load_explicit(&dead_ran[i], memory_order_relaxed);
	return sum;
}

/* INIT stops it where it stands (SDM vol. 3, 9.4.4), and from then on it takes a STARTUP only.  It
 * should stand in nothing that others need, so it has gone idle before. */
static bool
dead_kill(struct cpu_info *victim)
{
	kthread_sleep_ns(100000000);
	return apic->send(victim->ci_apicid, APIC_INIT, 0);
}

/* Every call to the others runs once, while those to the dead one stay. */
static bool
dead_others_go_on(struct cpu_info *victim)
{
	static const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD, XC_NMI };
	uint64_t before = dead_sum(), n = 0;
	struct cpu_info *ci;

	for (unsigned i = 0; i < DEAD_ROUNDS; i++) {
		CPU_INFO_FOREACH(ci) {
			if (ci == victim)
				continue;
			if (xc_wait(xc_unicast(flags[i % 4], dead_count, NULL, NULL, ci)) != 0)
				return false;
			n++;
		}
	}
	return dead_sum() == before + n;
}

TEST_CASE(fault_dead, a_dead_cpu_is_named_and_the_others_go_on)
{
	static const unsigned flags[] = { XC_HARD, 0, XC_HIGHPRI };
	struct cpu_info *victim = cpu_lookup(ncpu - 1);
	unsigned withdrawn;
	uint64_t where[3];
	int result[3];
	bool others;

	if (!cmdline_has("dead") || ncpu < 2) {
		test_skip("costs a CPU: on two or more, with the word dead on the command line");
		return;
	}
	T_ASSERT(dead_kill(victim));
	/* Without NMIs: one that hits a CPU behind INIT may end an emulator. */
	xc_stall_config(DEAD_WARN_NS, 0, true, false);
	for (unsigned i = 0; i < 3; i++) {
		where[i] = xc_unicast(flags[i], dead_count, NULL, NULL, victim);
		result[i] = xc_timedwait(where[i], DEAD_WAIT_NS);
	}
	xc_stall_config(0, 0, false, false);
	others = dead_others_go_on(victim);
	for (unsigned i = 0; i < 3; i++) {
		T_ASSERT_EQ(result[i], ETIMEDOUT);
		/* At once, and without its help. */
		T_ASSERT_EQ(xc_cancel(where[i], &withdrawn), 0);
		T_ASSERT_EQ(withdrawn, 1);
		T_ASSERT_EQ(xc_wait(where[i]), ECANCELED);
	}
	T_ASSERT(others && dead_others_go_on(victim));
	T_ASSERT_EQ(atomic_load_explicit(&dead_ran[victim->ci_index], memory_order_relaxed), 0);
}
