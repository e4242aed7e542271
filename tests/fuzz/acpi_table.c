/*
 * A machine with one table that the fuzzer wrote.
 *
 * The tables are put into place once, and only the fuzzed one anew for each input.  What must hold
 * for every input is what tests/host/machine.c asserts after each parse.
 */
#include <stdbool.h>
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"
#include "tests/host/image.h"
#include "tests/host/machine.h"

#define ACPI_TABLE_CHECKSUM 9

/* Ports have 16 bits, and address zero is none. */
static void
acpi_table_parse(void)
{
	const struct platform *pl = &machine_platform;
	const struct platform_register *reg[] = { &pl->pm_timer, &pl->sleep_control,
		&pl->pm1a_control, &pl->pm1b_control, &pl->reset };

	(void)machine_parse();
	for (unsigned i = 0; i < sizeof(reg) / sizeof(reg[0]); i++) {
		assert_true(reg[i]->space == PLATFORM_REG_NONE || reg[i]->address != 0);
		assert_true(reg[i]->space != PLATFORM_REG_IO || reg[i]->address <= UINT16_MAX);
	}
}

void
fuzz_acpi_table(uint64_t address, const char *signature, const uint8_t *data, size_t size)
{
	static bool built;

	if (!built)
		machine_build();
	built = true;
	if (size == 0)
		return;
	image_place(address, data, size);
	acpi_table_parse();

	machine_table.size = size;
	memcpy(machine_table.data, data, size);
	if (size < 36)
		return;
	memcpy(machine_table.data, signature, 4);
	table_set(&machine_table, 4, size, 4);
	table_checksum(&machine_table, 0, size, ACPI_TABLE_CHECKSUM);
	image_place_table(address, &machine_table);
	acpi_table_parse();
}
