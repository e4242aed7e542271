/*
 * The machine-dependent half of a CPU: descriptor tables, special stacks, control-register state.
 */
#ifndef KERNEL_X86_CPU_H
#define KERNEL_X86_CPU_H

#include <stdbool.h>
#include <stdint.h>

#include "boot/boot.h"
#include "kernel/cpu.h"

/* SDM vol. 3, 2.2.1 and 2.5. */
#define CPU_CR0_WP (1u << 16)
#define CPU_EFER_NXE (1u << 11)
#define CPU_CR4_UMIP (1u << 11)
#define CPU_CR4_SMEP (1u << 20)
#define CPU_CR4_SMAP (1u << 21)

/* IST slots of the 64-bit TSS (SDM vol. 3, 7.7): the events that may hit a broken stack. */
enum { CPU_IST_NMI = 1, CPU_IST_DOUBLE_FAULT, CPU_IST_MACHINE_CHECK, CPU_IST_COUNT = 3 };

/* SDM vol. 3, figure 7-11; the I/O map lies beyond the limit, so there is none. */
struct cpu_tss {
	uint32_t reserved0;
	uint64_t rsp[3];
	uint64_t reserved1;
	uint64_t ist[7];
	uint64_t reserved2;
	uint16_t reserved3, iomap;
} __attribute__((packed));

/* Registers that must agree on all CPUs. */
struct cpu_control {
	uint64_t cr0, cr4, efer, pat;
};

struct cpu_md {
	uint64_t gdt[BOOT_SEL_TSS / 8 + 2];
	struct cpu_tss tss;
	struct cpu_control control;
	uint32_t acpi_uid;
	_Atomic uint64_t nmis;     /* taken on this CPU that nobody claimed */
	uint64_t nmis_said;        /* as many as the console was told of; the CPU itself */
	bool mtrrs_copied;         /* they differed from the boot CPU's */
	unsigned stale_interrupts; /* drained from the LAPIC when it was set up */
};

/* The boot CPU's cpu_info, complete enough for curcpu(), spinlocks and panics: GS base, GDT, TSS,
 * IDT. */
void cpu_init_boot(void);
/* Makes a cpu_info with stacks for an AP; NULL when memory has run out. */
struct cpu_info *cpu_create(uint32_t apic_id, uint32_t acpi_uid);
/* Loads GDT, TSS, IDT on the calling CPU, whose GS base is set, and brings CR0, CR4, EFER and PAT
 * to the kernel's values. */
void cpu_load(struct cpu_info *ci);
/* The values of the calling CPU. */
void cpu_read_control(struct cpu_control *);
/* Compares an AP's registers with the boot CPU's; prints each difference; false when there is
 * one. */
bool cpu_check_control(const struct cpu_info *ci);
/* Splits the APIC id of the calling CPU into package, core and thread as CPUID describes it
 * (topology.c). */
void cpu_read_topology(struct cpu_info *ci);
/* The protections of CR4 that the calling CPU has. */
uint64_t cpu_protections(void);
/* The console's line on what protects the kernel from itself, over all attached CPUs. */
void cpu_print_protection(void);
/* The guard pages around the boot CPU's stacks for NMIs and the like: CPU_IST_COUNT and one. */
uintptr_t cpu_boot_ist_guard(unsigned i);
/* CPUID feature, by name. */
bool cpu_has_nx(void);
bool cpu_has_mtrr(void);
/* The words of CPUID's brand string, for the banner. */
void cpu_brand(char brand[49]);

#endif
