/*
 * The legacy interrupt controllers, put out of the way: this kernel takes interrupts from LAPICs
 * only.
 *
 * Firmware leaves lines open in all of them.  The two 8259 PICs are remapped as well as masked,
 * because a masked PIC can still raise its spurious interrupts (lines 7 and 15), and at the vectors
 * it has after reset those look like exceptions.
 */
#include "kernel/intr.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/io.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/platform.h"

/* Command ports; the data port follows each. */
#define LEGACY_PIC_MASTER 0x20
#define LEGACY_PIC_SLAVE 0xa0
#define LEGACY_PIC_LINES 8
#define LEGACY_PIC_MASK_ALL 0xff
/* 8259A data sheet: ICW1 edge, cascaded, ICW4 follows; the slave is at line 2; 8086 mode. */
#define LEGACY_ICW1 0x11
#define LEGACY_ICW3_MASTER 0x04
#define LEGACY_ICW3_SLAVE 0x02
#define LEGACY_ICW4 0x01

/* MultiProcessor Specification 1.4, 3.6.2.1. */
#define LEGACY_IMCR_SELECT 0x22
#define LEGACY_IMCR_DATA 0x23
#define LEGACY_IMCR_REGISTER 0x70
#define LEGACY_IMCR_TO_APIC 0x01

/* 82093AA data sheet, 3.1 and 3.2. */
#define LEGACY_IOAPIC_SELECT 0x00
#define LEGACY_IOAPIC_WINDOW 0x10
#define LEGACY_IOAPIC_BYTES 0x14
#define LEGACY_IOAPIC_VERSION 1
#define LEGACY_IOAPIC_MAX_ENTRY(v) ((v) >> 16 & 0xff)
#define LEGACY_IOAPIC_ENTRY_LOW(n) (0x10 + 2 * (n))
#define LEGACY_IOAPIC_ENTRY_HIGH(n) (0x11 + 2 * (n))
#define LEGACY_IOAPIC_MASKED (1u << 16)
/* The index register has eight bits. */
#define LEGACY_IOAPIC_ENTRIES 120

static void
legacy_pic_init(uint16_t port, uint8_t vector, uint8_t cascade)
{
	outb(port, LEGACY_ICW1);
	outb(port + 1, vector);
	outb(port + 1, cascade);
	outb(port + 1, LEGACY_ICW4);
	outb(port + 1, LEGACY_PIC_MASK_ALL);
}

static uint32_t
legacy_ioapic_read(uintptr_t base, unsigned index)
{
	mmio_write32(base + LEGACY_IOAPIC_SELECT, index);
	return mmio_read32(base + LEGACY_IOAPIC_WINDOW);
}

static void
legacy_ioapic_write(uintptr_t base, unsigned index, uint32_t value)
{
	mmio_write32(base + LEGACY_IOAPIC_SELECT, index);
	mmio_write32(base + LEGACY_IOAPIC_WINDOW, value);
}

static void
legacy_ioapic_mask(uint64_t base)
{
	uint32_t version;
	unsigned entries;

	if (!paging_map_identity(base, LEGACY_IOAPIC_BYTES, PAGING_UNCACHED)) {
		printf("ioapic: %#lx cannot be mapped; its lines are left as they are\n", base);
		return;
	}
	version = legacy_ioapic_read(base, LEGACY_IOAPIC_VERSION);
	if (version == 0xffffffff) {
		printf("ioapic: nothing at %#lx\n", base);
		return;
	}
	entries = LEGACY_IOAPIC_MAX_ENTRY(version) + 1;
	for (unsigned i = 0; i < entries && i < LEGACY_IOAPIC_ENTRIES; i++) {
		legacy_ioapic_write(
		    base, LEGACY_IOAPIC_ENTRY_LOW(i), LEGACY_IOAPIC_MASKED | INTR_VECTOR_SPURIOUS);
		legacy_ioapic_write(base, LEGACY_IOAPIC_ENTRY_HIGH(i), 0);
	}
}

void
apic_mask_legacy(const struct platform *pl)
{
	/* Only an ACPI MADT can say that there are no PICs. */
	if (pl->has_pics || strcmp(pl->source, "ACPI MADT") != 0) {
		legacy_pic_init(LEGACY_PIC_MASTER, INTR_VECTOR_PIC, LEGACY_ICW3_MASTER);
		legacy_pic_init(
		    LEGACY_PIC_SLAVE, INTR_VECTOR_PIC + LEGACY_PIC_LINES, LEGACY_ICW3_SLAVE);
	}
	if (pl->has_imcr) {
		outb(LEGACY_IMCR_SELECT, LEGACY_IMCR_REGISTER);
		outb(LEGACY_IMCR_DATA, LEGACY_IMCR_TO_APIC);
	}
	for (unsigned i = 0; i < pl->nioapics && i < PLATFORM_MAX_IOAPICS; i++)
		legacy_ioapic_mask(pl->ioapic[i]);
}
