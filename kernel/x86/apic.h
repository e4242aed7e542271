/*
 * The local APIC, behind operations that the xAPIC (memory-mapped) implements now and the x2APIC
 * can join.  Facts: Intel SDM vol. 3, chapter 11.
 *
 * All functions act on the calling CPU's LAPIC and want interrupts off, or no interrupt handler
 * that uses the same register.
 */
#ifndef KERNEL_X86_APIC_H
#define KERNEL_X86_APIC_H

#include <stdbool.h>
#include <stdint.h>

struct platform;

/* ICR delivery modes (SDM vol. 3, 11.6.1). */
enum apic_delivery { APIC_FIXED = 0, APIC_NMI = 4, APIC_INIT = 5, APIC_STARTUP = 6 };

struct apic_ops {
	const char *name;
	uint32_t (*id)(void);
	uint32_t (*read)(unsigned reg); /* register offset as in the xAPIC map, e.g. 0x20 */
	void (*write)(unsigned reg, uint32_t value);
	/* Sends an interrupt command and waits (bounded) until the LAPIC has taken it; false if
	 * not. */
	bool (*send)(uint32_t apic_id, enum apic_delivery mode, uint8_t vector);
	/* The same, of a fixed interrupt, without the wait for its own delivery; false when the one
	 * before was not taken.  Interrupts off, not in an NMI. */
	bool (*send_fixed)(uint32_t apic_id, uint8_t vector);
};

/* Who puts others there sets machine_lapic_watched (send.h) too. */
extern const struct apic_ops *apic;

/* The back-end for memory-mapped registers, mapped already at `base`. */
const struct apic_ops *xapic_init(uintptr_t base);

/* IA32_APIC_BASE (SDM vol. 3, 11.4.4 and 11.12.1). */
#define APIC_BASE_MSR 0x1b
#define APIC_BASE_X2APIC (1u << 10)
#define APIC_BASE_ENABLE (1u << 11)

/* Local vector table and spurious-vector bits (SDM vol. 3, figures 11-8 and 11-23). */
#define APIC_LVT_ACTIVE_LOW (1u << 13)
#define APIC_LVT_MASKED (1u << 16)
#define APIC_LVT_PERIODIC (1u << 17)
#define APIC_LVT_DEADLINE (2u << 17)
#define APIC_LVT_MODE_MASK (3u << 17)
#define APIC_LVT_DELIVERY_SHIFT 8
#define APIC_SVR_ENABLE (1u << 8)

/* xAPIC register offsets used outside xapic.c (SDM vol. 3, table 11-1). */
enum {
	APIC_REG_ID = 0x20,
	APIC_REG_VERSION = 0x30,
	APIC_REG_TPR = 0x80,
	APIC_REG_EOI = 0xb0,
	APIC_REG_LDR = 0xd0,
	APIC_REG_DFR = 0xe0,
	APIC_REG_SVR = 0xf0,
	APIC_REG_ISR = 0x100,
	APIC_REG_IRR = 0x200,
	APIC_REG_ESR = 0x280,
	APIC_REG_LVT_CMCI = 0x2f0,
	APIC_REG_ICR_LOW = 0x300,
	APIC_REG_ICR_HIGH = 0x310,
	APIC_REG_LVT_TIMER = 0x320,
	APIC_REG_LVT_THERMAL = 0x330,
	APIC_REG_LVT_PERF = 0x340,
	APIC_REG_LVT_LINT0 = 0x350,
	APIC_REG_LVT_LINT1 = 0x360,
	APIC_REG_LVT_ERROR = 0x370,
	APIC_REG_TIMER_INITIAL = 0x380,
	APIC_REG_TIMER_CURRENT = 0x390,
	APIC_REG_TIMER_DIVIDE = 0x3e0,
};

/* Chooses the back-end from IA32_APIC_BASE before any register access, maps the registers.  NULL,
 * or a sentence that says why this LAPIC cannot be used (none, globally disabled, left in x2APIC
 * mode). */
const char *apic_init(const struct platform *);
/* What is wrong with the mode of this CPU's LAPIC, compared with the boot CPU's, or NULL; touches
 * none of its registers. */
const char *apic_check_cpu(void);
/* Brings this CPU's LAPIC to the state the kernel depends on; every CPU.  Returns how many stale
 * interrupts were found: those in service are ended; those only requested arrive when interrupts go
 * on, and their handlers find nothing due.  Panics when this CPU's LAPIC is in another mode than
 * the boot CPU's. */
unsigned apic_init_cpu(const struct platform *, uint32_t acpi_uid);
/* Silences this CPU's LAPIC: closes all local vectors, takes what is pending, and disables it by
 * software; then it accepts only NMI, SMI, INIT and STARTUP (SDM vol. 3, 11.4.7.2).  Interrupts off
 * on entry and return. */
void apic_silence(void);
/* Routes the legacy controllers away: PICs remapped and masked, IMCR, all IOAPIC lines masked. */
void apic_mask_legacy(const struct platform *);
/* Handlers for the error and spurious vectors; once, by the boot CPU. */
void apic_establish(void);

#endif
