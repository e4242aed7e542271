/*
 * Interrupts from CPU to CPU, and their end.
 */
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"

static _Noreturn void __attribute__((noinline))
ipi_stuck(const struct cpu_info *ci, unsigned vector)
{
	panic("LAPIC stayed busy: vector %#x for CPU %u (APIC id %u) not sent", vector,
	    ci->ci_index, ci->ci_apicid);
}

/* No fence in these: a store to an uncached register stays behind the stores before it
 * (xapic.c). */

void
machine_send_ipi(struct cpu_info *ci, unsigned vector)
{
	if (!apic->send(ci->ci_apicid, APIC_FIXED, (uint8_t)vector))
		ipi_stuck(ci, vector);
}

void
machine_send_call(struct cpu_info *ci)
{
	if (!apic->send_fixed(ci->ci_apicid, INTR_VECTOR_XCALL))
		ipi_stuck(ci, INTR_VECTOR_XCALL);
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
