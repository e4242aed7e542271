/*
 * The input is the DSDT: the search for _S5_ in kernel/x86/fadt.c.
 */
#include "tests/fuzz/fuzz.h"
#include "tests/host/machine.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	fuzz_acpi_table(MACHINE_DSDT, "DSDT", data, size);
	return 0;
}
