/*
 * The input is the RSDP and, behind it, the RSDT that it names: kernel/x86/acpi.c.
 *
 * It is parsed as it is, then with its checksums made right, then as the BIOS area in which the
 * RSDP has to be found.
 */
#include <string.h>

#include "kernel/x86/acpi.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"
#include "tests/host/image.h"
#include "tests/host/machine.h"

#define TARGET_RSDP_BYTES 36
#define TARGET_RSDP_BYTES_V0 20
#define TARGET_RSDT_CHECKSUM 9
/* The word that tells where the EBDA is, and where this target puts it. */
#define TARGET_EBDA_POINTER 0x40e
#define TARGET_EBDA 0x9fc00

static void
target_search(const uint8_t *data, size_t size)
{
	static const uint8_t segment[2] = { TARGET_EBDA >> 4 & 0xff, TARGET_EBDA >> 12 };
	uint8_t area[1024] = { 0 };
	uint64_t found;

	memcpy(area, data, size < sizeof(area) ? size : sizeof(area));
	image_place(TARGET_EBDA_POINTER, segment, sizeof(segment));
	image_place(TARGET_EBDA, area, sizeof(area));
	found = acpi_rsdp_search(image_fetch);
	image_release();
	assert_true(found == 0 ||
	    (found >= TARGET_EBDA && found % 16 == 0 &&
		found + TARGET_RSDP_BYTES_V0 <= TARGET_EBDA + sizeof(area)));
	if (found != 0)
		assert_memory_equal(area + (found - TARGET_EBDA), "RSD PTR ", 8);
}

static void
target_sound(size_t size)
{
	struct table *t = &machine_rsdp;

	memcpy(t->data, "RSD PTR ", 8);
	table_checksum(t, 0, TARGET_RSDP_BYTES_V0, 8);
	if (size < TARGET_RSDP_BYTES)
		return;
	table_set(t, 20, TARGET_RSDP_BYTES, 4);
	table_checksum(t, 0, TARGET_RSDP_BYTES, 32);
	if (size < TARGET_RSDP_BYTES + 36)
		return;
	memcpy(machine_table.data, t->data + TARGET_RSDP_BYTES, size - TARGET_RSDP_BYTES);
	machine_table.size = size - TARGET_RSDP_BYTES;
	memcpy(machine_table.data, "RSDT", 4);
	table_set(&machine_table, 4, machine_table.size, 4);
	table_checksum(&machine_table, 0, machine_table.size, TARGET_RSDT_CHECKSUM);
	image_place_table(MACHINE_RSDT, &machine_table);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct table *t = &machine_rsdp;

	if (size > 1024)
		return 0;
	machine_build();
	memcpy(t->data, data, size);
	t->size = size < TARGET_RSDP_BYTES ? size : TARGET_RSDP_BYTES;
	(void)machine_parse();
	target_search(data, size);
	if (size < TARGET_RSDP_BYTES_V0)
		return 0;
	target_sound(size);
	(void)machine_parse();
	return 0;
}
