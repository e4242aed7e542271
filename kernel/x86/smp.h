/*
 * Starting the application processors, and starting them again.
 */
#ifndef KERNEL_X86_SMP_H
#define KERNEL_X86_SMP_H

#include <stdatomic.h>
#include <stdint.h>

#include "boot/bootinfo.h"
#include "kernel/cpu.h"
#include "kernel/x86/platform.h"

/*
 * The handshake of one AP; each arrow is one compare-and-swap, so a second SIPI or a late AP loses
 * it.
 *
 *	EMPTY    -> KICKED	boot CPU, before the SIPI
 *	KICKED   -> CLAIMED	the AP, first thing in 64-bit code (ap_trampoline.asm)
 *	CLAIMED  -> ALIVE	the AP, when its tables, LAPIC and registers stand
 *	ALIVE    -> GO		boot CPU: attached, may schedule
 *	KICKED, CLAIMED -> RETIRED	boot CPU, time out: a late AP parks for good
 *	CLAIMED  -> RETIRED	the AP itself, whose LAPIC is in another mode than the boot CPU's
 *	GO       -> PARKED	the AP, which has left and halts
 *	PARKED, RETIRED, KICKED, CLAIMED -> KICKED	who restarts it, between INIT and SIPI
 * In a restart "boot CPU" is whichever CPU does it.
 */
enum smp_state { SMP_EMPTY, SMP_KICKED, SMP_CLAIMED, SMP_ALIVE, SMP_GO, SMP_RETIRED, SMP_PARKED };

struct smp_slot {
	uint32_t apic_id;
	_Atomic uint32_t state; /* enum smp_state */
	uint64_t stack_top;
	struct cpu_info *ci;
	uint64_t sipi_ns;    /* when the SIPI that started it was sent */
	uint64_t alive_ns;   /* when it was seen ALIVE */
	unsigned sipis;      /* sent to it */
	const char *failure; /* why it was left out; NULL if it was not */
};

/* At BOOT_AP_PARAMS in the trampoline page; read by ap_trampoline.asm. */
struct smp_ap_params {
	uint16_t gdt_limit;
	uint32_t gdt_base;
	uint32_t far32;
	uint16_t far32_selector;
	uint32_t far64;
	uint16_t far64_selector;
	uint32_t cr0, cr3, cr4, efer;
} __attribute__((packed));

/* Reads the firmware's tables into `platform` (ACPI, else the MP table). */
void smp_discover(const struct bootinfo *);
/* Starts all APs at once and waits for them, bounded; names those that fail.  Each that comes up is
 * attached and runs ap_main() on its own stack; the function returns when all are online.  Boot
 * CPU, calibrated. */
void smp_start(const struct bootinfo *);
/* Where STARTUP leads: the number of the trampoline's page. */
extern uint8_t smp_vector;
/* The slot of an attached AP; NULL for the boot CPU.  For tests. */
struct smp_slot *smp_slot_of(const struct cpu_info *);
/* The CPU table, a line a CPU, failed ones included. */
void smp_print(void);
/* Of the processors the tables name: all, and those that did not come up. */
unsigned smp_found(void);
unsigned smp_failed(void);

/* Supplied by the kernel above: what a started AP runs.  Does not return. */
_Noreturn void ap_main(void);

#endif
