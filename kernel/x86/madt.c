/*
 * The MADT: which CPUs there are, their APIC ids, the I/O APICs, the NMI lines (ACPI 6.4, 5.2.12).
 *
 * Its entries are a type and a length each, in any order.  The first entry need not be the boot
 * CPU, one CPU can have an entry of type 0 and one of type 9, and firmware fills rows with disabled
 * entries for sockets that are empty: the enabled ones, by APIC id, are the truth.
 */
#include "kernel/x86/acpi_tables.h"
#include "kernel/x86/firmware.h"

#define MADT_LAPIC_ADDRESS 36
#define MADT_FLAGS 40
#define MADT_HEADER_BYTES 44
#define MADT_PCAT_COMPAT 1u
/* Flags of a CPU (table 5.47): of the others only "online capable" has a meaning, and that is about
 * CPUs that come later. */
#define MADT_CPU_ENABLED 1u

/* Ids that address all CPUs (Intel SDM vol. 3, 10.6.1 and 10.12.9): no CPU has them. */
#define MADT_XAPIC_BROADCAST 0xff
#define MADT_X2APIC_BROADCAST 0xffffffff
/* ACPI processor UIDs that mean all CPUs (5.2.12.7, 5.2.12.13). */
#define MADT_UID8_ALL 0xff
#define MADT_UID_ALL 0xffffffff

#define MADT_ISA_IRQS 16

enum madt_type {
	MADT_LAPIC = 0,           /* 5.2.12.2 */
	MADT_IOAPIC = 1,          /* 5.2.12.3 */
	MADT_SOURCE_OVERRIDE = 2, /* 5.2.12.5 */
	MADT_LAPIC_NMI = 4,       /* 5.2.12.7 */
	MADT_LAPIC_OVERRIDE = 5,  /* 5.2.12.8 */
	MADT_X2APIC = 9,          /* 5.2.12.12 */
	MADT_X2APIC_NMI = 10,     /* 5.2.12.13 */
	MADT_TYPES
};

static void
madt_cpu(struct platform *pl, uint32_t apic_id, uint32_t uid, uint32_t flags)
{
	if ((flags & MADT_CPU_ENABLED) == 0)
		pl->cpus_disabled++;
	else
		firmware_add_cpu(pl, apic_id, uid);
}

static void
madt_lapic(struct platform *pl, struct bytes entry)
{
	uint8_t apic_id = bytes_u8(entry, 3);

	if (apic_id != MADT_XAPIC_BROADCAST)
		madt_cpu(pl, apic_id, bytes_u8(entry, 2), bytes_u32(entry, 4));
}

static void
madt_x2apic(struct platform *pl, struct bytes entry)
{
	uint32_t apic_id = bytes_u32(entry, 4);

	if (apic_id != MADT_X2APIC_BROADCAST)
		madt_cpu(pl, apic_id, bytes_u32(entry, 12), bytes_u32(entry, 8));
}

static void
madt_ioapic(struct platform *pl, struct bytes entry)
{
	firmware_add_ioapic(pl, "MADT", bytes_u32(entry, 4));
}

/* All lines of the I/O APICs are masked, so where ISA interrupts go does not matter. */
static void
madt_source_override(struct platform *pl, struct bytes entry)
{
	uint8_t bus = bytes_u8(entry, 2), irq = bytes_u8(entry, 3);

	if (bus != 0 || irq >= MADT_ISA_IRQS)
		firmware_warn(pl, "MADT: an override of IRQ %u of bus %u makes no sense", irq, bus);
}

static void
madt_lapic_nmi(struct platform *pl, struct bytes entry)
{
	uint8_t uid = bytes_u8(entry, 2);

	firmware_add_nmi(pl, "MADT",
	    (struct platform_nmi){
		.acpi_uid = uid == MADT_UID8_ALL ? MADT_UID_ALL : uid,
		.flags = bytes_u16(entry, 3),
		.lint = bytes_u8(entry, 5),
	    });
}

static void
madt_lapic_override(struct platform *pl, struct bytes entry)
{
	uint64_t address = bytes_u64(entry, 4);

	if (address == 0)
		firmware_warn(pl, "MADT: the local APIC's address is overridden with zero");
	else
		pl->lapic_address = address;
}

static void
madt_x2apic_nmi(struct platform *pl, struct bytes entry)
{
	firmware_add_nmi(pl, "MADT",
	    (struct platform_nmi){
		.acpi_uid = bytes_u32(entry, 4),
		.flags = bytes_u16(entry, 2),
		.lint = bytes_u8(entry, 8),
	    });
}

/* What is done with each type, and the length its structure has; other types are skipped. */
static const struct {
	void (*parse)(struct platform *, struct bytes entry);
	uint8_t bytes;
} madt_types[MADT_TYPES] = {
	[MADT_LAPIC] = { madt_lapic, 8 },
	[MADT_IOAPIC] = { madt_ioapic, 12 },
	[MADT_SOURCE_OVERRIDE] = { madt_source_override, 10 },
	[MADT_LAPIC_NMI] = { madt_lapic_nmi, 6 },
	[MADT_LAPIC_OVERRIDE] = { madt_lapic_override, 12 },
	[MADT_X2APIC] = { madt_x2apic, 16 },
	[MADT_X2APIC_NMI] = { madt_x2apic_nmi, 12 },
};

static void
madt_entry(struct platform *pl, struct bytes entry, size_t offset)
{
	uint8_t type = bytes_u8(entry, 0);

	if (type >= MADT_TYPES || madt_types[type].parse == NULL)
		return;
	if (entry.size < madt_types[type].bytes)
		firmware_warn(pl, "MADT: the entry at %zu, type %u, is too short with %zu bytes",
		    offset, type, entry.size);
	else
		madt_types[type].parse(pl, entry);
}

static void
madt_walk(struct platform *pl, struct bytes madt)
{
	size_t offset = MADT_HEADER_BYTES;

	while (offset < madt.size) {
		size_t length = bytes_u8(madt, offset + 1);

		if (!bytes_has(madt, offset, 2) || !bytes_has(madt, offset, length)) {
			firmware_warn(
			    pl, "MADT: the entry at %zu runs past the end of the table", offset);
			return;
		}
		if (length < 2) {
			firmware_warn(pl,
			    "MADT: the entry at %zu has length %zu; the rest is ignored", offset,
			    length);
			return;
		}
		madt_entry(pl, bytes_part(madt, offset, length), offset);
		offset += length;
	}
}

/* Leaves nothing that a reading of the MP table would mix with: the two name CPUs differently. */
static void
madt_forget(struct platform *pl)
{
	pl->cpus_disabled = 0;
	pl->lapic_address = 0;
	pl->has_pics = false;
	pl->nioapics = 0;
	pl->nnmis = 0;
}

bool
madt_parse(struct platform *pl, struct bytes madt)
{
	if (madt.size < MADT_HEADER_BYTES) {
		firmware_warn(pl, "MADT: the table has only %zu bytes and is ignored", madt.size);
		return false;
	}
	pl->lapic_address = bytes_u32(madt, MADT_LAPIC_ADDRESS);
	pl->has_pics = (bytes_u32(madt, MADT_FLAGS) & MADT_PCAT_COMPAT) != 0;
	madt_walk(pl, madt);
	if (pl->ncpus != 0)
		return true;
	firmware_warn(pl, "MADT: it names no enabled CPU");
	madt_forget(pl);
	return false;
}
