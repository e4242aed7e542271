/*
 * Finding the ACPI tables: RSDP, then XSDT or RSDT, then the tables we read (ACPI 6.4, 5.2).
 *
 * A table counts only when its signature, its length and its checksum are right, and is fetched
 * anew in its whole length; what is wrong becomes a warning, and the machine goes on with less.
 */
#include "kernel/x86/acpi.h"

#include "kernel/x86/acpi_tables.h"
#include "kernel/x86/firmware.h"

/* RSDP (5.2.5.3).  Revision 0, of ACPI 1.0, ends behind the address of the RSDT. */
enum acpi_rsdp_field {
	ACPI_RSDP_REVISION = 15,
	ACPI_RSDP_RSDT = 16,
	ACPI_RSDP_BYTES_V0 = 20,
	ACPI_RSDP_LENGTH = 20,
	ACPI_RSDP_XSDT = 24,
	ACPI_RSDP_BYTES_V2 = 36,
};

#define ACPI_RSDP_SIGNATURE "RSD PTR "

/* Where a BIOS leaves it, at a multiple of 16 (5.2.5.1). */
#define ACPI_BIOS_START 0xe0000
#define ACPI_BIOS_END 0x100000
#define ACPI_RSDP_ALIGN 16

/* Longer tables are broken: the largest real ones, DSDTs, stay below 1 MiB. */
#define ACPI_TABLE_MAX_BYTES (4u << 20)
/* As many tables as are looked at; large servers have less than 100. */
#define ACPI_MAX_TABLES 1024

/* HPET table (IA-PC HPET 1.0a, 3.2.4): a Generic Address Structure at 40. */
#define ACPI_HPET_SPACE 40
#define ACPI_HPET_ADDRESS 44
#define ACPI_HPET_BYTES 56

/* The tables we look for, while the list of tables is walked. */
struct acpi_found {
	struct bytes madt, fadt, hpet;
};

/* The part that every revision has: what stands behind may be rubbish in revision 0. */
bool
acpi_rsdp_valid(const void *rsdp, size_t bytes)
{
	struct bytes b = bytes_of(rsdp, bytes);

	return bytes_has(b, 0, ACPI_RSDP_BYTES_V0) && bytes_match(b, 0, ACPI_RSDP_SIGNATURE) &&
	    bytes_sum(bytes_part(b, 0, ACPI_RSDP_BYTES_V0)) == 0;
}

static uint64_t
acpi_rsdp_scan(acpi_fetch_t fetch, uint64_t start, uint64_t end)
{
	struct bytes area = firmware_fetch(fetch, start, end - start);

	for (size_t at = 0; bytes_has(area, at, ACPI_RSDP_BYTES_V0); at += ACPI_RSDP_ALIGN) {
		if (acpi_rsdp_valid(area.data + at, area.size - at))
			return start + at;
	}
	return 0;
}

uint64_t
acpi_rsdp_search(acpi_fetch_t fetch)
{
	uint64_t end, ebda = firmware_ebda(fetch, &end), address = 0;

	if (ebda != 0)
		address = acpi_rsdp_scan(fetch, ebda, end);
	if (address == 0)
		address = acpi_rsdp_scan(fetch, ACPI_BIOS_START, ACPI_BIOS_END);
	return address;
}

/* Two tables are known by another name than the one they carry. */
static const char *
acpi_name(const char *signature)
{
	if (signature[0] == 'A')
		return "MADT";
	return signature[0] == 'F' ? "FADT" : signature;
}

bool
acpi_table(struct platform *pl, acpi_fetch_t fetch, uint64_t address, const char *signature,
    struct bytes *table)
{
	struct bytes header = firmware_fetch(fetch, address, ACPI_HEADER_BYTES);
	const char *name = acpi_name(signature);
	uint32_t length = bytes_u32(header, 4);

	if (header.size == 0) {
		firmware_warn(
		    pl, "%s: it cannot be read at 0x%llx", name, (unsigned long long)address);
	} else if (!bytes_match(header, 0, signature)) {
		firmware_warn(pl, "%s: it is not at 0x%llx", name, (unsigned long long)address);
	} else if (length < ACPI_HEADER_BYTES || length > ACPI_TABLE_MAX_BYTES) {
		firmware_warn(pl, "%s: a length of %u bytes is impossible; ignored", name, length);
	} else {
		*table = firmware_fetch(fetch, address, length);
		if (table->size == 0)
			firmware_warn(
			    pl, "%s: its %u bytes reach beyond memory; ignored", name, length);
		else if (bytes_sum(*table) != 0)
			firmware_warn(pl, "%s: the checksum is wrong; ignored", name);
		else
			return true;
	}
	*table = bytes_of(NULL, 0);
	return false;
}

/* The RSDP's address of the XSDT; 0 when there is none, or none that a second checksum vouches
 * for. */
static uint64_t
acpi_xsdt_address(struct platform *pl, struct bytes rsdp)
{
	uint32_t length = bytes_u32(rsdp, ACPI_RSDP_LENGTH);

	if (bytes_u8(rsdp, ACPI_RSDP_REVISION) < 2)
		return 0;
	if (length < ACPI_RSDP_BYTES_V2 || !bytes_has(rsdp, 0, length) ||
	    bytes_sum(bytes_part(rsdp, 0, length)) != 0) {
		firmware_warn(pl, "RSDP: its second part is not sound; the RSDT is used");
		return 0;
	}
	return bytes_u64(rsdp, ACPI_RSDP_XSDT);
}

/* Looks at one table of the list and keeps it when it is ours, the first of its kind and sound. */
static void
acpi_look(struct platform *pl, acpi_fetch_t fetch, uint64_t address, struct acpi_found *found)
{
	struct bytes header = firmware_fetch(fetch, address, ACPI_HEADER_BYTES);

	if (header.size == 0) {
		firmware_warn(
		    pl, "ACPI: the table at 0x%llx cannot be read", (unsigned long long)address);
	} else if (bytes_match(header, 0, "APIC")) {
		if (found->madt.size == 0)
			acpi_table(pl, fetch, address, "APIC", &found->madt);
		else
			firmware_warn(pl, "MADT: a second one at 0x%llx is ignored",
			    (unsigned long long)address);
	} else if (bytes_match(header, 0, "FACP")) {
		if (found->fadt.size == 0)
			acpi_table(pl, fetch, address, "FACP", &found->fadt);
	} else if (bytes_match(header, 0, "HPET")) {
		/* Further tables describe further blocks; one clock is enough. */
		if (found->hpet.size == 0)
			acpi_table(pl, fetch, address, "HPET", &found->hpet);
	}
}

/* RSDT (5.2.7) and XSDT (5.2.8) differ in the size of an address. */
static void
acpi_walk(struct platform *pl, acpi_fetch_t fetch, struct bytes list, unsigned address_bytes,
    struct acpi_found *found)
{
	size_t count = (list.size - ACPI_HEADER_BYTES) / address_bytes;

	if (count > ACPI_MAX_TABLES) {
		firmware_warn(pl, "ACPI: the list names %zu tables; the first %u are looked at",
		    count, ACPI_MAX_TABLES);
		count = ACPI_MAX_TABLES;
	}
	for (size_t i = 0; i < count; i++) {
		uint64_t address = bytes_number(
		    list, ACPI_HEADER_BYTES + i * address_bytes, address_bytes);

		if (address != 0)
			acpi_look(pl, fetch, address, found);
	}
}

static bool
acpi_find(struct platform *pl, struct bytes rsdp, acpi_fetch_t fetch, struct acpi_found *found)
{
	uint64_t xsdt = acpi_xsdt_address(pl, rsdp), rsdt = bytes_u32(rsdp, ACPI_RSDP_RSDT);
	struct bytes list;

	if (xsdt != 0 && acpi_table(pl, fetch, xsdt, "XSDT", &list))
		acpi_walk(pl, fetch, list, 8, found);
	else if (rsdt != 0 && acpi_table(pl, fetch, rsdt, "RSDT", &list))
		acpi_walk(pl, fetch, list, 4, found);
	else
		return false;
	return true;
}

static void
acpi_hpet(struct platform *pl, struct bytes hpet)
{
	if (hpet.size < ACPI_HPET_BYTES)
		firmware_warn(pl, "HPET: the table has only %zu bytes and is ignored", hpet.size);
	else if (bytes_u8(hpet, ACPI_HPET_SPACE) != 0)
		firmware_warn(pl, "HPET: it does not lie in memory and is not used");
	else
		pl->hpet_address = bytes_u64(hpet, ACPI_HPET_ADDRESS);
}

bool
acpi_parse(struct platform *pl, const void *rsdp, size_t rsdp_bytes, acpi_fetch_t fetch)
{
	struct acpi_found found = { .madt = { NULL, 0 } };

	pl->source = "none";
	if (!acpi_rsdp_valid(rsdp, rsdp_bytes)) {
		firmware_warn(pl, "RSDP: signature or checksum is wrong; no ACPI");
		return false;
	}
	if (!acpi_find(pl, bytes_of(rsdp, rsdp_bytes), fetch, &found)) {
		firmware_warn(pl, "ACPI: neither XSDT nor RSDT can be used");
		return false;
	}
	if (found.fadt.size != 0)
		fadt_parse(pl, found.fadt, fetch);
	if (found.hpet.size != 0)
		acpi_hpet(pl, found.hpet);
	if (found.madt.size == 0) {
		firmware_warn(pl, "ACPI: there is no MADT that can be used");
		return false;
	}
	if (!madt_parse(pl, found.madt))
		return false;
	pl->source = "ACPI MADT";
	return true;
}
