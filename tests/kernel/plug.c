/*
 * CPUs that go offline and come back, for tests.
 */
#include "tests/kernel/plug.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clients/hotplug.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/printf.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

bool
plug_set(struct cpu_info *ci, bool online)
{
	char why[HOTPLUG_WHY_BYTES];
	int error = cpu_setstate(ci, online, why);

	if (error != 0)
		printf("  # CPU %u, %s: error %d: %s\n", ci->ci_index,
		    online ? "online" : "offline", error, why);
	return error == 0;
}

bool
plug_begin(void)
{
	struct cpu_info *ci;

	if (ncpu < 2) {
		test_skip("one CPU only");
		return false;
	}
	CPU_INFO_FOREACH(ci)
		if (!cpu_online(ci) && !plug_set(ci, true))
			test_fail(__FILE__, __LINE__, "a CPU is offline and does not come back");
	return true;
}

/* arg1: where to note the CPU. */
static void
plug_note(void *arg1, void *arg2 __attribute__((unused)))
{
	*(unsigned *)arg1 = curcpu()->ci_index;
}

bool
plug_answers(struct cpu_info *ci)
{
	unsigned cpu = MAXCPUS;

	return xc_wait(xc_unicast(0, plug_note, &cpu, NULL, ci)) == 0 && cpu == ci->ci_index;
}

bool
plug_refuses(struct cpu_info *ci)
{
	static unsigned cpu;

	return xc_unicast(0, plug_note, &cpu, NULL, ci) == XC_ERROR(EHOSTDOWN);
}

uint64_t
plug_interrupts(const struct cpu_info *ci)
{
	uint64_t n = 0;

	for (unsigned v = 0; v < CPU_VECTORS; v++)
		n += atomic_load_explicit(&ci->ci_intr_count[v], memory_order_relaxed);
	return n;
}
