/*
 * ACPI tables -> struct platform.  Pure code, no trust in a single length: also built on the host
 * and fuzzed.
 */
#ifndef KERNEL_X86_ACPI_H
#define KERNEL_X86_ACPI_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/x86/platform.h"

/* Gives readable memory for a physical range, or NULL where there is none.  Stays valid. */
typedef const void *(*acpi_fetch_t)(uint64_t address, size_t bytes);

/* A copy of an RSDP, wherever it was found: checks the signature and the checksum of the part that
 * every revision has; acpi_parse() falls back on that part when the rest is not sound. */
bool acpi_rsdp_valid(const void *rsdp, size_t bytes);
/* Searches the BIOS areas (ACPI 6.4, 5.2.5.1): first KiB of the EBDA, 0xe0000..0xfffff; 0: none. */
uint64_t acpi_rsdp_search(acpi_fetch_t fetch);
/*
 * Walks RSDP -> XSDT or RSDT -> MADT, FADT (and DSDT for \_S5), HPET.  Fills *pl as far as the
 * tables are sound; true when a usable MADT named at least one enabled CPU.  *pl must be zeroed.
 */
bool acpi_parse(struct platform *pl, const void *rsdp, size_t rsdp_bytes, acpi_fetch_t fetch);

#endif
