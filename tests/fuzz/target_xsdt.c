/*
 * The input is the XSDT, the list of tables with 64-bit addresses: kernel/x86/acpi.c.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/host/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_acpi_table(MACHINE_XSDT, "XSDT", data, size);
	return 0;
}
