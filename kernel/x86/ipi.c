/*
 * Interrupts from CPU to CPU, and their end.
 */
#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"

void
machine_send_ipi(struct cpu_info *ci, unsigned vector)
{
	/* No fence: a store to an uncached register stays behind the stores before it (xapic.c). */
	if (!apic->send_fixed(ci->ci_apicid, (uint8_t)vector))
		panic("LAPIC stayed busy: vector %#x for CPU %u (APIC id %u) not sent", vector,
		    ci->ci_index, ci->ci_apicid);
}

bool
machine_send_nmi(struct cpu_info *ci)
{
	return apic->send(ci->ci_apicid, APIC_NMI, 0);
}

void
machine_intr_eoi(void)
{
	apic->write(APIC_REG_EOI, 0);
}
