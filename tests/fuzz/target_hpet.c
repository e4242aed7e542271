/*
 * The input is the HPET table: kernel/x86/acpi.c.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/host/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_acpi_table(MACHINE_HPET, "HPET", data, size);
	return 0;
}
