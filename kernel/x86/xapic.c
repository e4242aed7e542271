/*
 * The LAPIC's memory-mapped back-end (xAPIC).
 *
 * Every access is one aligned 32-bit move (SDM vol. 3, 11.4.1).  The registers are mapped uncached,
 * so a store to them stays behind all earlier stores of this CPU (SDM vol. 3, 9.2.2 and 12.3): who
 * receives an interrupt sees what its sender wrote before, without a fence.
 *
 * A command is two stores: the destination to the high half, then the low half, which sends.  An
 * interrupt handler between the two that sent a command of its own would leave its destination for
 * ours, so interrupts are off around the pair.  An NMI cannot be turned off; a sender in an NMI
 * puts the high half back instead.
 */
#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/io.h"

/* Delivery status of ICR (SDM vol. 3, figure 11-12). */
#define XAPIC_ICR_PENDING (1u << 12)
/* Level assert: set for all but INIT de-assert (SDM vol. 3, 11.6.1). */
#define XAPIC_ICR_ASSERT (1u << 14)
#define XAPIC_ID_SHIFT 24

/* A command is taken within microseconds; a million uncached reads last tens of milliseconds. */
#define XAPIC_SEND_TRIES 1000000

uintptr_t machine_lapic;

static uint32_t
xapic_read(unsigned reg)
{
	return mmio_read32(machine_lapic + reg);
}

static void
xapic_write(unsigned reg, uint32_t value)
{
	mmio_write32(machine_lapic + reg, value);
}

static uint32_t
xapic_id(void)
{
	return xapic_read(APIC_REG_ID) >> XAPIC_ID_SHIFT;
}

static bool
xapic_wait_idle(void)
{
	for (unsigned i = 0; i < XAPIC_SEND_TRIES; i++) {
		if ((xapic_read(APIC_REG_ICR_LOW) & XAPIC_ICR_PENDING) == 0)
			return true;
		machine_pause();
	}
	return false;
}

static bool
xapic_send(uint32_t apic_id, enum apic_delivery mode, uint8_t vector)
{
	bool intr = machine_intr_disable(), in_nmi = cpu_nmi_p(), sent = false;
	uint32_t high = 0;

	if (xapic_wait_idle()) {
		if (in_nmi)
			high = xapic_read(APIC_REG_ICR_HIGH);
		xapic_write(APIC_REG_ICR_HIGH, apic_id << XAPIC_ID_SHIFT);
		xapic_write(APIC_REG_ICR_LOW,
		    XAPIC_ICR_ASSERT | (uint32_t)mode << APIC_LVT_DELIVERY_SHIFT | vector);
		sent = xapic_wait_idle();
		if (in_nmi)
			xapic_write(APIC_REG_ICR_HIGH, high);
	}
	machine_intr_restore(intr);
	return sent;
}

/* No wait for its delivery: the next command waits for that, and finds it done. */
static bool
xapic_send_fixed(uint32_t apic_id, uint8_t vector)
{
	if ((xapic_read(APIC_REG_ICR_LOW) & XAPIC_ICR_PENDING) != 0 && !xapic_wait_idle())
		return false;
	xapic_write(APIC_REG_ICR_HIGH, apic_id << XAPIC_ID_SHIFT);
	xapic_write(
	    APIC_REG_ICR_LOW, XAPIC_ICR_ASSERT | APIC_FIXED << APIC_LVT_DELIVERY_SHIFT | vector);
	return true;
}

static const struct apic_ops xapic_ops = {
	.name = "xAPIC",
	.id = xapic_id,
	.read = xapic_read,
	.write = xapic_write,
	.send = xapic_send,
	.send_fixed = xapic_send_fixed,
};

const struct apic_ops *
xapic_init(uintptr_t base)
{
	machine_lapic = base;
	return &xapic_ops;
}
