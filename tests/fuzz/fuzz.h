/*
 * What the fuzz targets share.  Each target is one file, target_NAME.c, with the function that
 * libFuzzer calls for every input; a promise that is broken ends the process, and libFuzzer keeps
 * the input.
 */
#ifndef TESTS_FUZZ_FUZZ_H
#define TESTS_FUZZ_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Called by libFuzzer; returns 0. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/*
 * Feeds the ACPI reader a machine whose tables are sound but for the one at `address`, which is the
 * input: first as it is, then with signature, length and checksum made right, so that its inside is
 * looked at, too.
 */
void fuzz_acpi_table(uint64_t address, const char *signature, const uint8_t *data, size_t size);

#endif
