/*
 * Misuse of CPUs that come and go: each boot must end in a panic that names the offence
 * (tests/console/misuse.toml).
 */
#include <stddef.h>

#include "kernel/clients/hotplug.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

static void
misuse_set(struct cpu_info *ci, bool online)
{
	char why[HOTPLUG_WHY_BYTES];

	if (cpu_setstate(ci, online, why) != 0)
		printf("refused: %s\n", why);
}

TEST_MISUSE(hotplug_null_cpu)
{
	misuse_set(NULL, false);
}

TEST_MISUSE(hotplug_foreign_cpu)
{
	static struct cpu_info stranger;

	misuse_set(&stranger, false);
}

static void
misuse_leave(void *arg1, void *arg2 __attribute__((unused)))
{
	misuse_set(arg1, false);
}

TEST_MISUSE(hotplug_in_a_cross_call)
{
	xc_wait(xc_unicast(0, misuse_leave, cpu_lookup(1), NULL, cpu_lookup(1)));
}

static void
misuse_sleep(void *arg __attribute__((unused)))
{
	kthread_sleep_ns(3600000000000ull);
}

TEST_MISUSE(hotplug_service_thread_with_a_deadline)
{
	if (kthread_create(PRI_KTHREAD, KTHREAD_SERVICE, cpu_lookup(1), misuse_sleep, NULL, NULL,
		"sleeper") != 0)
		return;
	kthread_sleep_ns(10000000);
	misuse_set(cpu_lookup(1), false);
}

TEST_MISUSE(hotplug_leave_in_any_thread)
{
	sched_leave();
}

TEST_MISUSE(hotplug_restart_of_a_running_cpu)
{
	printf("%s\n", machine_cpu_restart(cpu_lookup(1)));
}

/* The parked CPU is neither asked to stop nor waited for. */
TEST_MISUSE(hotplug_panic_with_a_cpu_offline)
{
	misuse_set(cpu_lookup(1), false);
	panic("one CPU is offline");
}
