/*
 * What the firmware's tables say about this machine: filled in from ACPI (acpi.c) or the MP table
 * (mptable.c), read by bring-up, clocks and power-off.  Plain data.
 */
#ifndef KERNEL_X86_PLATFORM_H
#define KERNEL_X86_PLATFORM_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/param.h"

#define PLATFORM_MAX_IOAPICS 64
#define PLATFORM_MAX_NMIS 64

/* ACPI Generic Address Structure (ACPI 6.4, 5.2.3.2), the two spaces we use. */
struct platform_register {
	enum { PLATFORM_REG_NONE, PLATFORM_REG_IO, PLATFORM_REG_MEMORY } space;
	uint64_t address;
};

struct platform_cpu {
	uint32_t apic_id;
	uint32_t acpi_uid; /* from the MP table: the APIC id */
};

/* LINT pin that carries NMI (MADT types 4 and 10). */
struct platform_nmi {
	uint32_t acpi_uid; /* as in struct platform_cpu; 0xffffffff: all CPUs */
	uint8_t lint;      /* 0 or 1 */
	uint16_t flags;    /* MPS INTI flags: polarity and trigger */
};

struct platform {
	const char *source; /* "ACPI MADT", "MP table", or "none" */
	/* CPUs that may be started: enabled, one entry an APIC id, in table order. */
	struct platform_cpu cpu[MAXCPUS];
	unsigned ncpus;
	unsigned cpus_disabled;    /* entries that are not enabled */
	unsigned cpus_duplicate;   /* entries that repeat an APIC id */
	unsigned cpus_unreachable; /* beyond MAXCPUS */

	uint64_t lapic_address; /* MADT header or type 5; 0 when unknown */
	bool has_pics;          /* MADT flag PCAT_COMPAT */
	bool has_imcr;          /* MP table feature byte 2, bit 7 */
	uint64_t ioapic[PLATFORM_MAX_IOAPICS];
	unsigned nioapics;
	struct platform_nmi nmi[PLATFORM_MAX_NMIS];
	unsigned nnmis;

	struct platform_register pm_timer; /* none when absent */
	bool pm_timer_32bit;
	uint64_t hpet_address; /* 0 when absent */

	bool hw_reduced;
	struct platform_register sleep_control; /* hardware-reduced ACPI */
	struct platform_register pm1a_control, pm1b_control;
	bool has_s5; /* \_S5 found in the DSDT */
	uint8_t s5_type_a, s5_type_b;
	struct platform_register reset;
	uint8_t reset_value;

	/* Survivable faults of the tables, a sentence each; printed at boot. */
	char warning[8][96];
	unsigned nwarnings; /* counts those that did not fit, too */
};

/* This machine's; filled in once, at discovery (smp.c). */
extern struct platform platform;

#endif
