/*
 * The parts of the ACPI reader, among themselves: acpi.c finds the tables, madt.c and fadt.c read
 * them.
 */
#ifndef KERNEL_X86_ACPI_TABLES_H
#define KERNEL_X86_ACPI_TABLES_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/bytes.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/platform.h"

/* The header that every table but the RSDP and the FACS has (ACPI 6.4, 5.2.6). */
#define ACPI_HEADER_BYTES 36

/* Gets the whole table at `address` if it is sound: signature, length, checksum.  Else warns. */
bool acpi_table(struct platform *pl, acpi_fetch_t fetch, uint64_t address, const char *signature,
    struct bytes *table);
/* Both get a sound table.  True when the MADT names an enabled CPU; else *pl has nothing of it. */
bool madt_parse(struct platform *pl, struct bytes madt);
void fadt_parse(struct platform *pl, struct bytes fadt, acpi_fetch_t fetch);

#endif
