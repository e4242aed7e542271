/*
 * Intel MultiProcessor Specification 1.4 table -> struct platform: the fallback for machines whose
 * MADT is absent or corrupt.  Pure code: also built on the host and fuzzed.
 */
#ifndef KERNEL_X86_MPTABLE_H
#define KERNEL_X86_MPTABLE_H

#include <stdbool.h>

#include "kernel/x86/acpi.h"
#include "kernel/x86/platform.h"

/* Searches the floating pointer (EBDA, last KiB of base memory, BIOS area) and reads the table or
 * the default configuration 1..7 it names.  Adds to *pl; true when at least one CPU was found. */
bool mptable_parse(struct platform *pl, acpi_fetch_t fetch);

#endif
