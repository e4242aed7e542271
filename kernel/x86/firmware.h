/*
 * What the readers of the ACPI tables and of the MP table share.
 */
#ifndef KERNEL_X86_FIRMWARE_H
#define KERNEL_X86_FIRMWARE_H

#include <stddef.h>
#include <stdint.h>

#include "boot/bytes.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/platform.h"

/* Notes a survivable fault: a sentence that names the table. */
void firmware_warn(struct platform *pl, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* Exactly `bytes` bytes at `address`; none when they cannot be had.  Address zero is no address. */
struct bytes firmware_fetch(acpi_fetch_t fetch, uint64_t address, size_t bytes);
/* The first KiB of the extended BIOS data area, to *end at most; 0 when its pointer makes no
 * sense. */
uint64_t firmware_ebda(acpi_fetch_t fetch, uint64_t *end);

/* Enters an enabled CPU, unless the table has its APIC id already or is full; counts that. */
void firmware_add_cpu(struct platform *pl, uint32_t apic_id, uint32_t acpi_uid);
/* These two drop repetitions; `table` is for the warning that something is wrong or does not
 * fit. */
void firmware_add_ioapic(struct platform *pl, const char *table, uint64_t address);
void firmware_add_nmi(struct platform *pl, const char *table, struct platform_nmi nmi);

#endif
