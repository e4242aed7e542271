/*
 * The input is the FADT: kernel/x86/fadt.c.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/host/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_acpi_table(MACHINE_FADT, "FACP", data, size);
	return 0;
}
