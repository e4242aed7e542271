/*
 * A machine as its ACPI tables describe it.
 */
#include "tests/host/machine.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/x86/acpi.h"
#include "tests/host/cmocka_all.h"
#include "tests/host/image.h"

struct table machine_table, machine_rsdp;
struct platform machine_platform;

void
machine_madt_begin(void)
{
	table_acpi_begin(&machine_table, "APIC", 3);
	table_number(&machine_table, 0xfee00000, 4);
	table_number(&machine_table, 1, 4);
}

void
machine_madt_end(void)
{
	table_acpi_end(&machine_table);
	image_place_table(MACHINE_MADT, &machine_table);
}

void
machine_lapic(uint8_t uid, uint8_t apic_id, uint32_t flags)
{
	table_number(&machine_table, 0x0800, 2);
	table_number(&machine_table, uid, 1);
	table_number(&machine_table, apic_id, 1);
	table_number(&machine_table, flags, 4);
}

void
machine_x2apic(uint32_t uid, uint32_t apic_id, uint32_t flags)
{
	table_number(&machine_table, 0x1009, 4);
	table_number(&machine_table, apic_id, 4);
	table_number(&machine_table, flags, 4);
	table_number(&machine_table, uid, 4);
}

void
machine_ioapic(uint32_t address)
{
	table_number(&machine_table, 0x0c01, 4);
	table_number(&machine_table, address, 4);
	table_number(&machine_table, 0, 4);
}

void
machine_lapic_nmi(uint8_t uid, uint16_t flags, uint8_t lint)
{
	table_number(&machine_table, 0x0604, 2);
	table_number(&machine_table, uid, 1);
	table_number(&machine_table, flags, 2);
	table_number(&machine_table, lint, 1);
}

void
machine_entry(uint8_t type, uint8_t length, size_t bytes)
{
	table_number(&machine_table, type, 1);
	if (bytes < 2)
		return;
	table_number(&machine_table, length, 1);
	for (size_t i = 2; i < bytes; i++)
		table_number(&machine_table, 0x11 * (i % 15 + 1), 1);
}

void
machine_fadt(size_t bytes)
{
	table_acpi_begin(&machine_table, "FACP", 6);
	table_zero(&machine_table, 276 - machine_table.size);
	table_set(&machine_table, 40, MACHINE_DSDT, 4);
	table_set(&machine_table, 64, 0x604, 4);
	table_set(&machine_table, 76, 0x608, 4);
	table_set(&machine_table, 89, 2, 1);
	table_set(&machine_table, 91, 4, 1);
	table_set(&machine_table, 112, 1u << 8 | 1u << 10, 4);
	table_gas(&machine_table, 116, 1, 0xcf9);
	table_set(&machine_table, 128, 0x0f, 1);
	table_set(&machine_table, 140, MACHINE_DSDT, 8);
	table_gas(&machine_table, 172, 1, 0x1604);
	table_gas(&machine_table, 208, 1, 0x1608);
	machine_table.size = bytes;
	table_acpi_end(&machine_table);
}

void
machine_dsdt(const void *aml, size_t bytes)
{
	static struct table dsdt;

	table_acpi_begin(&dsdt, "DSDT", 2);
	table_zero(&dsdt, bytes);
	memcpy(dsdt.data + dsdt.size - bytes, aml, bytes);
	table_acpi_end(&dsdt);
	image_place_table(MACHINE_DSDT, &dsdt);
}

void
machine_list(const char *signature, const uint64_t *address, size_t count)
{
	static struct table list;
	unsigned address_bytes = signature[0] == 'X' ? 8 : 4;

	table_acpi_begin(&list, signature, 1);
	for (size_t i = 0; i < count; i++)
		table_number(&list, address[i], address_bytes);
	table_acpi_end(&list);
	image_place_table(address_bytes == 8 ? MACHINE_XSDT : MACHINE_RSDT, &list);
}

void
machine_build(void)
{
	static const uint64_t tables[] = { MACHINE_FADT, 0, MACHINE_MADT, MACHINE_HPET };
	static const uint8_t aml[] = { 0x10, 0x20, 0x08, '_', 'S', '5', '_', 0x12, 0x08, 0x04, 0x0a,
		5, 0x0a, 6, 0x00, 0x00 };

	image_reset();
	machine_list("RSDT", tables, 4);
	machine_list("XSDT", tables, 4);
	machine_fadt(276);
	image_place_table(MACHINE_FADT, &machine_table);
	table_acpi_begin(&machine_table, "HPET", 1);
	table_number(&machine_table, 0x8086a201, 4);
	table_zero(&machine_table, 16);
	table_gas(&machine_table, 40, 0, 0xfed00000);
	table_acpi_end(&machine_table);
	image_place_table(MACHINE_HPET, &machine_table);
	machine_dsdt(aml, sizeof(aml));
	table_rsdp(&machine_rsdp, 2, MACHINE_RSDT, MACHINE_XSDT);
	machine_madt_begin();
	machine_lapic(0, 0, 1);
	machine_lapic(1, 1, 1);
	machine_ioapic(0xfec00000);
	machine_lapic_nmi(0xff, 5, 1);
	machine_madt_end();
}

void
machine_check(void)
{
	const struct platform *pl = &machine_platform;

	assert_true(pl->ncpus <= MAXCPUS);
	assert_true(pl->nioapics <= PLATFORM_MAX_IOAPICS);
	assert_true(pl->nnmis <= PLATFORM_MAX_NMIS);
	for (unsigned i = 0; i < pl->nnmis; i++)
		assert_true(pl->nmi[i].lint <= 1);
	for (unsigned i = 0; i < 8; i++)
		assert_non_null(memchr(pl->warning[i], 0, sizeof(pl->warning[i])));
	for (unsigned i = 0; i < pl->nwarnings && i < 8; i++)
		assert_true(pl->warning[i][0] != '\0');
	assert_true(pl->s5_type_a <= 7 && pl->s5_type_b <= 7);
	assert_non_null(pl->source);
	assert_int_equal(strcmp(pl->source, "none") == 0, pl->ncpus == 0);
}

bool
machine_parse(void)
{
	uint8_t *rsdp = table_exact(&machine_rsdp, machine_rsdp.size);
	bool usable;

	memset(&machine_platform, 0, sizeof(machine_platform));
	usable = acpi_parse(&machine_platform, rsdp, machine_rsdp.size, image_fetch);
	free(rsdp);
	image_release();
	machine_check();
	assert_int_equal(usable, machine_platform.ncpus != 0);
	return usable;
}

bool
machine_warned(const char *text)
{
	for (unsigned i = 0; i < machine_platform.nwarnings && i < 8; i++) {
		if (strstr(machine_platform.warning[i], text) != NULL)
			return true;
	}
	return false;
}
