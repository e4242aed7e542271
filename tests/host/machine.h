/*
 * A machine as its ACPI tables describe it: a memory image with a whole set of sound tables, to be
 * changed by each test, and what the parser made of it.
 */
#ifndef TESTS_HOST_MACHINE_H
#define TESTS_HOST_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/x86/platform.h"
#include "tests/host/table.h"

/* Where the tables lie; odd, so that nothing is aligned. */
#define MACHINE_RSDT 0x1000003
#define MACHINE_XSDT 0x3001005
#define MACHINE_MADT 0x1002001
#define MACHINE_FADT 0x1003007
#define MACHINE_HPET 0x1004003
#define MACHINE_DSDT 0x1005001

/* The table in the making, the RSDP's copy, and the result of the last parse. */
extern struct table machine_table, machine_rsdp;
extern struct platform machine_platform;

/* All tables, each sound: two CPUs, one I/O APIC, PM timer, HPET, _S5_. */
void machine_build(void);
/* Parses; returns what acpi_parse() does.  Checks what holds always. */
bool machine_parse(void);
/* The same for any parser of *pl. */
void machine_check(void);
/* Whether one of the warnings has this text in it. */
bool machine_warned(const char *text);

/* machine_table as a MADT: begin, entries, and put it into place. */
void machine_madt_begin(void);
void machine_madt_end(void);
void machine_lapic(uint8_t uid, uint8_t apic_id, uint32_t flags);
void machine_x2apic(uint32_t uid, uint32_t apic_id, uint32_t flags);
void machine_ioapic(uint32_t address);
void machine_lapic_nmi(uint8_t uid, uint16_t flags, uint8_t lint);
/* Type and length, and bytes of that length. */
void machine_entry(uint8_t type, uint8_t length, size_t bytes);
/* machine_table becomes the sound FADT of `bytes` bytes, not yet in place. */
void machine_fadt(size_t bytes);
/* A DSDT with this AML in it, in place. */
void machine_dsdt(const void *aml, size_t bytes);
/* A RSDT or XSDT of these addresses, in place. */
void machine_list(const char *signature, const uint64_t *address, size_t count);

#endif
