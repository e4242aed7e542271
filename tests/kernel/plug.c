/*
 * CPUs that go offline and come back, for tests.
 */
#include "tests/kernel/plug.h"

#include "kernel/clients/hotplug.h"
#include "kernel/cpu.h"
#include "kernel/printf.h"
#include "tests/kernel/test.h"

bool
plug_set(struct cpu_info *ci, bool online)
{
	char why[HOTPLUG_WHY_BYTES];
	int error = cpu_setstate(ci, online, why);

	if (error != 0)
		printf("  # CPU %u, %s: error %d: %s\n", ci->ci_index, online ? "online" : "offline",
		    error, why);
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
