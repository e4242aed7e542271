/*
 * Door 1 of the host: virtual CPUs that leave and come back.
 */
#include "kernel/cpu.h"
#include "kernel/clock.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "tests/host/vcpu/runtime.h"

/* A hang detector, as generous as the tests'. */
#define VCPU_ONLINE_NS 60000000000ull

void
machine_cpu_park(void)
{
	struct cpu_md *vc = runtime_self();

	KASSERTMSG(vc->vc_entry != NULL, "the boot CPU cannot be restarted");
	/* What is pending is taken; the timer is stopped, and others have been told. */
	machine_intr_restore(true);
	(void)machine_intr_disable();
	cpu_set_offline();
	runtime_park();
}

/* As a reset leaves it. */
static void
vcpu_reset(struct cpu_md *vc)
{
	for (unsigned vector = 0; vector < CPU_VECTORS; vector++)
		atomic_store_explicit(&vc->vc_pending[vector], false, memory_order_relaxed);
	atomic_store_explicit(&vc->vc_nmi, false, memory_order_relaxed);
	vc->vc_intr_on = vc->vc_in_nmi = false;
	vc->vc_in_service = 0;
}

const char *
machine_cpu_restart(struct cpu_info *ci)
{
	uint64_t end = clock_ns() + VCPU_ONLINE_NS;

	KASSERTMSG(!cpu_online(ci), "CPU %u", ci->ci_index);
	vcpu_reset(ci->ci_md);
	runtime_start(ci->ci_md, ci->ci_md->vc_entry);
	while (!cpu_online(ci)) {
		if (clock_ns() > end)
			return "no answer";
		machine_pause();
	}
	return NULL;
}
