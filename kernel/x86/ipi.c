/*
 * Interrupts from CPU to CPU, and their end.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"

_Static_assert(offsetof(struct cpu_info, ci_self) == offsetof(struct x86_cpu_head, self) &&
	offsetof(struct cpu_info, ci_index) == offsetof(struct x86_cpu_head, index) &&
	offsetof(struct cpu_info, ci_apicid) == offsetof(struct x86_cpu_head, apicid),
    "send.h reads the head of struct cpu_info");
_Static_assert(X86_CALL_VECTOR == INTR_VECTOR_XCALL, "the vector of send.h");

static _Noreturn void __attribute__((noinline))
ipi_stuck(const struct cpu_info *ci, unsigned vector)
{
	panic("LAPIC stayed busy: vector %#x for CPU %u (APIC id %u) not sent", vector,
	    ci->ci_index, ci->ci_apicid);
}

/* No fence here: a store to an uncached register stays behind the stores before it (xapic.c). */

void
machine_send_ipi(struct cpu_info *ci, unsigned vector)
{
	if (!apic->send(ci->ci_apicid, APIC_FIXED, (uint8_t)vector))
		ipi_stuck(ci, vector);
}

void
machine_send_call_slow(struct cpu_info *ci)
{
	if (!apic->send_fixed(ci->ci_apicid, INTR_VECTOR_XCALL))
		ipi_stuck(ci, INTR_VECTOR_XCALL);
}

void
machine_intr_eoi_slow(void)
{
	apic->write(APIC_REG_EOI, 0);
}

bool machine_lapic_watched;
bool machine_send_others_ok;

bool
machine_send_nmi(struct cpu_info *ci)
{
	return apic->send(ci->ci_apicid, APIC_NMI, 0);
}
