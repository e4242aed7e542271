/*
 * The input is the MADT: kernel/x86/madt.c.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/host/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_acpi_table(MACHINE_MADT, "APIC", data, size);
	return 0;
}
