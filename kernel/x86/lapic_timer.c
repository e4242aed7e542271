/*
 * The LAPIC's timer: one 32-bit counter a CPU, counting down (SDM vol. 3, 11.5.4), or, where the
 * CPU has it, a comparison of the time stamp counter with a deadline (11.5.4.1).
 *
 * A change between the two ways disarms the timer, whichever it was; in the second, writes to the
 * count are ignored.
 *
 * Limits.  Some CPUs since Haswell need newer microcode for reliable deadlines; it is not looked
 * for.  Nobody gets deadlines who does not ask for them.
 */
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/refclock.h"

/* The divider's code: bits 0, 1 and 3 of its register; code n divides by 2^(n + 1), 7 by 1
 * (SDM vol. 3, figure 11-10). */
#define LAPIC_TIMER_DIVIDE_BY_1 7u
#define LAPIC_TIMER_DIVIDE_MAX 128u

/* SDM vol. 4, table 2-2; 0 disarms. */
#define LAPIC_TIMER_MSR_DEADLINE 0x6e0

static uint32_t
lapic_timer_encode(uint32_t divide)
{
	uint32_t code = LAPIC_TIMER_DIVIDE_BY_1;

	KASSERTMSG(divide != 0 && divide <= LAPIC_TIMER_DIVIDE_MAX && (divide & (divide - 1)) == 0,
	    "divider %u", divide);
	for (; divide > 1; divide /= 2)
		code = (code + 1) & 7;
	return (code & 3) | (code & 4) << 1;
}

static uint32_t
lapic_timer_decode(uint32_t reg)
{
	uint32_t code = (reg & 3) | (reg >> 1 & 4);

	return 1u << ((code + 1) & 7);
}

uint64_t
machine_timer_input_hz(void)
{
	return calibrate_lapic_hz();
}

void
machine_timer_program(uint32_t divide, uint32_t count, bool periodic)
{
	uint32_t lvt = INTR_VECTOR_TIMER | (periodic ? APIC_LVT_PERIODIC : 0);

	KASSERT(!machine_intr_enabled());
	/* Stopped before anything else changes, so that no expiry has the old count and the new
	 * mode. */
	apic->write(APIC_REG_TIMER_INITIAL, 0);
	apic->write(APIC_REG_LVT_TIMER, count == 0 ? lvt | APIC_LVT_MASKED : lvt);
	apic->write(APIC_REG_TIMER_DIVIDE, lapic_timer_encode(divide));
	/* The count comes last: it starts the timer, and in the other order the first expiry is
	 * lost. */
	if (count != 0)
		apic->write(APIC_REG_TIMER_INITIAL, count);
}

bool
machine_timer_has_deadline(void)
{
	return (cpuid(1, 0).ecx & 1u << 24) != 0;
}

void
machine_timer_deadline(uint64_t cycles, bool first)
{
	KASSERT(!machine_intr_enabled() && cycles != 0);
	if (first) {
		apic->write(APIC_REG_TIMER_INITIAL, 0);
		apic->write(APIC_REG_LVT_TIMER, INTR_VECTOR_TIMER | APIC_LVT_DEADLINE);
		/* The deadline is ignored unless the mode is there, and WRMSR does not wait for a
		 * store to memory-mapped registers (SDM vol. 3, 11.5.4.1). */
		__asm__ volatile("mfence" : : : "memory");
	}
	wrmsr(LAPIC_TIMER_MSR_DEADLINE, cycles);
}

void
machine_timer_read(struct machine_timer *t)
{
	t->lvt = apic->read(APIC_REG_LVT_TIMER);
	t->initial_count = apic->read(APIC_REG_TIMER_INITIAL);
	t->current_count = apic->read(APIC_REG_TIMER_CURRENT);
	t->divide = lapic_timer_decode(apic->read(APIC_REG_TIMER_DIVIDE));
	t->periodic = (t->lvt & APIC_LVT_MODE_MASK) == APIC_LVT_PERIODIC;
	t->deadline = (t->lvt & APIC_LVT_MODE_MASK) == APIC_LVT_DEADLINE;
	t->masked = (t->lvt & APIC_LVT_MASKED) != 0;
}

uint32_t
machine_timer_current(void)
{
	return apic->read(APIC_REG_TIMER_CURRENT);
}
