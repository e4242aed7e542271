/*
 * The MP table (Intel MultiProcessor Specification 1.4): floating pointer, then a table or one of
 * the default configurations.
 *
 * This table names a CPU by its APIC id alone, so in what comes from here platform_cpu.acpi_uid and
 * platform_nmi.acpi_uid hold the APIC id.
 */
#include "kernel/x86/mptable.h"

#include "kernel/x86/firmware.h"

/* Where the floating pointer may be, at a multiple of 16 (section 4). */
#define MPTABLE_BASE_MEMORY_KIB 0x413
#define MPTABLE_BASE_MEMORY_MAX_KIB 640
#define MPTABLE_BASE_MEMORY_BYTES 1024
#define MPTABLE_BIOS_START 0xf0000
#define MPTABLE_BIOS_END 0x100000
#define MPTABLE_ALIGN 16

/* Floating pointer structure (4.1). */
enum mptable_pointer_field {
	MPTABLE_POINTER_TABLE = 4,
	MPTABLE_POINTER_PARAGRAPHS = 8,
	MPTABLE_POINTER_CONFIGURATION = 11,
	MPTABLE_POINTER_FEATURES = 12,
	MPTABLE_POINTER_BYTES = 16,
};
#define MPTABLE_IMCR_PRESENT 0x80

/* Configuration table header (4.2). */
enum mptable_header_field {
	MPTABLE_LENGTH = 4,
	MPTABLE_ENTRIES = 34,
	MPTABLE_LAPIC_ADDRESS = 36,
	MPTABLE_HEADER_BYTES = 44,
};

/* Entries of the base table (4.3). */
enum mptable_type {
	MPTABLE_PROCESSOR,
	MPTABLE_BUS,
	MPTABLE_IOAPIC,
	MPTABLE_IO_INTERRUPT,
	MPTABLE_LOCAL_INTERRUPT,
	MPTABLE_TYPES
};
#define MPTABLE_PROCESSOR_BYTES 20
#define MPTABLE_ENTRY_BYTES 8
#define MPTABLE_ENABLED 1u
#define MPTABLE_INTERRUPT_NMI 1
#define MPTABLE_ALL 0xff

/* The default configurations (section 5). */
#define MPTABLE_DEFAULT_MAX 7
#define MPTABLE_DEFAULT_LAPIC 0xfee00000
#define MPTABLE_DEFAULT_IOAPIC 0xfec00000

static void
mptable_processor(struct platform *pl, struct bytes entry)
{
	uint8_t apic_id = bytes_u8(entry, 1);

	if (apic_id == MPTABLE_ALL)
		return;
	if ((bytes_u8(entry, 3) & MPTABLE_ENABLED) == 0)
		pl->cpus_disabled++;
	else
		firmware_add_cpu(pl, apic_id, apic_id);
}

static void
mptable_ioapic(struct platform *pl, struct bytes entry)
{
	if ((bytes_u8(entry, 3) & MPTABLE_ENABLED) != 0)
		firmware_add_ioapic(pl, "MP table", bytes_u32(entry, 4));
}

static void
mptable_local_interrupt(struct platform *pl, struct bytes entry)
{
	uint8_t apic_id = bytes_u8(entry, 6);

	if (bytes_u8(entry, 1) != MPTABLE_INTERRUPT_NMI)
		return;
	firmware_add_nmi(pl, "MP table",
	    (struct platform_nmi){
		.acpi_uid = apic_id == MPTABLE_ALL ? 0xffffffff : apic_id,
		.flags = bytes_u16(entry, 2),
		.lint = bytes_u8(entry, 7),
	    });
}

/* The type gives the length, so an unknown type ends the walk. */
static void
mptable_walk(struct platform *pl, struct bytes table, unsigned entries)
{
	size_t offset = MPTABLE_HEADER_BYTES;

	for (unsigned i = 0; i < entries; i++) {
		uint8_t type = bytes_u8(table, offset);
		size_t length = type == MPTABLE_PROCESSOR ? MPTABLE_PROCESSOR_BYTES
							  : MPTABLE_ENTRY_BYTES;
		struct bytes entry = bytes_part(table, offset, length);

		if (entry.size < length) {
			firmware_warn(
			    pl, "MP table: it ends within entry %u of %u", i + 1, entries);
			return;
		}
		if (type >= MPTABLE_TYPES) {
			firmware_warn(pl, "MP table: entry %u is of type %u; the rest is ignored",
			    i + 1, type);
			return;
		}
		if (type == MPTABLE_PROCESSOR)
			mptable_processor(pl, entry);
		else if (type == MPTABLE_IOAPIC)
			mptable_ioapic(pl, entry);
		else if (type == MPTABLE_LOCAL_INTERRUPT)
			mptable_local_interrupt(pl, entry);
		offset += length;
	}
}

static bool
mptable_table(struct platform *pl, acpi_fetch_t fetch, uint64_t address)
{
	struct bytes header = firmware_fetch(fetch, address, MPTABLE_HEADER_BYTES), table;
	uint16_t length = bytes_u16(header, MPTABLE_LENGTH);

	if (!bytes_match(header, 0, "PCMP") || length < MPTABLE_HEADER_BYTES) {
		firmware_warn(
		    pl, "MP table: there is no table at 0x%llx", (unsigned long long)address);
		return false;
	}
	table = firmware_fetch(fetch, address, length);
	if (table.size == 0 || bytes_sum(table) != 0) {
		firmware_warn(pl, "MP table: %s",
		    table.size == 0 ? "it cannot be read to its end"
				    : "it has a wrong checksum and is ignored");
		return false;
	}
	pl->lapic_address = bytes_u32(table, MPTABLE_LAPIC_ADDRESS);
	mptable_walk(pl, table, bytes_u16(table, MPTABLE_ENTRIES));
	return true;
}

/* Two CPUs, one I/O APIC, and NMI on LINT1 of both (section 5; 5.1 for the local interrupts). */
static bool
mptable_default(struct platform *pl, uint8_t configuration)
{
	if (configuration > MPTABLE_DEFAULT_MAX) {
		firmware_warn(
		    pl, "MP table: default configuration %u does not exist", configuration);
		return false;
	}
	pl->lapic_address = MPTABLE_DEFAULT_LAPIC;
	firmware_add_cpu(pl, 0, 0);
	firmware_add_cpu(pl, 1, 1);
	firmware_add_ioapic(pl, "MP table", MPTABLE_DEFAULT_IOAPIC);
	firmware_add_nmi(
	    pl, "MP table", (struct platform_nmi){ .acpi_uid = 0xffffffff, .lint = 1 });
	return true;
}

/* The floating pointer in [start, end); none when it is not there. */
static struct bytes
mptable_scan(acpi_fetch_t fetch, uint64_t start, uint64_t end)
{
	struct bytes area = firmware_fetch(fetch, start, end - start);

	for (size_t at = 0; bytes_has(area, at, MPTABLE_POINTER_BYTES); at += MPTABLE_ALIGN) {
		size_t length = (size_t)bytes_u8(area, at + MPTABLE_POINTER_PARAGRAPHS) *
		    MPTABLE_ALIGN;
		struct bytes pointer = bytes_part(area, at, length);

		if (length != 0 && pointer.size == length && bytes_match(pointer, 0, "_MP_") &&
		    bytes_sum(pointer) == 0)
			return pointer;
	}
	return bytes_of(NULL, 0);
}

static struct bytes
mptable_search(acpi_fetch_t fetch)
{
	uint64_t end, ebda = firmware_ebda(fetch, &end);
	uint64_t base_kib = bytes_u16(firmware_fetch(fetch, MPTABLE_BASE_MEMORY_KIB, 2), 0);
	struct bytes pointer = bytes_of(NULL, 0);

	if (ebda != 0)
		pointer = mptable_scan(fetch, ebda, end);
	if (pointer.size == 0 && base_kib != 0 && base_kib <= MPTABLE_BASE_MEMORY_MAX_KIB)
		pointer = mptable_scan(
		    fetch, (base_kib << 10) - MPTABLE_BASE_MEMORY_BYTES, base_kib << 10);
	if (pointer.size == 0)
		pointer = mptable_scan(fetch, MPTABLE_BIOS_START, MPTABLE_BIOS_END);
	return pointer;
}

bool
mptable_parse(struct platform *pl, acpi_fetch_t fetch)
{
	struct bytes pointer = mptable_search(fetch);
	uint8_t configuration = bytes_u8(pointer, MPTABLE_POINTER_CONFIGURATION);
	bool sound;

	if (pl->source == NULL)
		pl->source = "none";
	if (pointer.size == 0) {
		firmware_warn(pl, "MP table: there is none");
		return false;
	}
	if (configuration != 0)
		sound = mptable_default(pl, configuration);
	else
		sound = mptable_table(pl, fetch, bytes_u32(pointer, MPTABLE_POINTER_TABLE));
	if (!sound)
		return false;
	if (pl->ncpus == 0) {
		firmware_warn(pl, "MP table: it names no enabled CPU");
		return false;
	}
	/* Every machine with this table has the 8259s; the IMCR decides whether they bypass the
	 * APIC (3.6.2). */
	pl->has_pics = true;
	pl->has_imcr = (bytes_u8(pointer, MPTABLE_POINTER_FEATURES) & MPTABLE_IMCR_PRESENT) != 0;
	pl->source = "MP table";
	return true;
}
