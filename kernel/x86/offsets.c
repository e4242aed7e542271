/*
 * Offsets and numbers for assembly: this file is compiled to assembler text, from which the
 * Makefile takes the marked lines as offsets.inc.  It makes no code.
 */
#include <stddef.h>

#include "boot/boot.h"
#include "kernel/x86/smp.h"
#include "kernel/x86/trap.h"

void offsets(void);

#define DEFINE(name, value) __asm__ volatile("\n->" #name " %c0" : : "i"(value))

void
offsets(void)
{
	DEFINE(BOOT_STACK_BYTES, BOOT_STACK_BYTES);
	DEFINE(BOOT_SEL_CODE32, BOOT_SEL_CODE32);
	DEFINE(BOOT_SEL_CODE64, BOOT_SEL_CODE64);
	DEFINE(BOOT_SEL_DATA, BOOT_SEL_DATA);
	DEFINE(BOOT_MAGIC_PVH, BOOT_MAGIC_PVH);
	DEFINE(BOOT_DEBUG_EXIT_PORT, BOOT_DEBUG_EXIT_PORT);
	DEFINE(BOOT_EXIT_FAIL, BOOT_EXIT_FAIL);
	DEFINE(BOOT_AP_PARAMS, BOOT_AP_PARAMS);
	DEFINE(BOOT_AP_GDT, offsetof(struct smp_ap_params, gdt_limit));
	DEFINE(BOOT_AP_FAR32, offsetof(struct smp_ap_params, far32));
	DEFINE(BOOT_AP_FAR64, offsetof(struct smp_ap_params, far64));
	DEFINE(BOOT_AP_CR0, offsetof(struct smp_ap_params, cr0));
	DEFINE(BOOT_AP_CR3, offsetof(struct smp_ap_params, cr3));
	DEFINE(BOOT_AP_CR4, offsetof(struct smp_ap_params, cr4));
	DEFINE(BOOT_AP_EFER, offsetof(struct smp_ap_params, efer));
	DEFINE(SMP_KICKED, SMP_KICKED);
	DEFINE(SMP_CLAIMED, SMP_CLAIMED);
	DEFINE(SMP_SLOT_BYTES, sizeof(struct smp_slot));
	DEFINE(SMP_SLOT_APIC_ID, offsetof(struct smp_slot, apic_id));
	DEFINE(SMP_SLOT_STATE, offsetof(struct smp_slot, state));
	DEFINE(SMP_SLOT_STACK_TOP, offsetof(struct smp_slot, stack_top));
	DEFINE(SMP_SLOT_CPU, offsetof(struct smp_slot, ci));
	DEFINE(TRAPFRAME_R15, offsetof(struct trapframe, r15));
	DEFINE(TRAPFRAME_RAX, offsetof(struct trapframe, rax));
	DEFINE(TRAPFRAME_VECTOR, offsetof(struct trapframe, vector));
	DEFINE(TRAPFRAME_RIP, offsetof(struct trapframe, rip));
	DEFINE(TRAPFRAME_RFLAGS, offsetof(struct trapframe, rflags));
	DEFINE(TRAPFRAME_RSP, offsetof(struct trapframe, rsp));
}
