/*
 * Exceptions, and the way every interrupt enters the kernel.
 */
#ifndef KERNEL_X86_TRAP_H
#define KERNEL_X86_TRAP_H

#include <stdbool.h>
#include <stdint.h>

/* What trap.asm leaves on the stack, lowest address first.  Its order is asserted there. */
struct trapframe {
	uint64_t r15, r14, r13, r12, r11, r10, r9, r8;
	uint64_t rbp, rdi, rsi, rdx, rcx, rbx, rax;
	uint64_t vector, error;
	uint64_t rip, cs, rflags, rsp, ss;
};

/* Exception vectors (SDM vol. 3, table 6-1). */
enum {
	TRAP_DIVIDE = 0,
	TRAP_DEBUG = 1,
	TRAP_NMI = 2,
	TRAP_BREAKPOINT = 3,
	TRAP_INVALID_OPCODE = 6,
	TRAP_DOUBLE_FAULT = 8,
	TRAP_PROTECTION = 13,
	TRAP_PAGE_FAULT = 14,
	TRAP_MACHINE_CHECK = 18,
	TRAP_COUNT = 32
};

/* Fills the IDT: once, by the boot CPU, before cpu_load(). */
void trap_init(void);
/* Makes the calling CPU use it. */
void trap_load_idt(void);
/* Every vector ends here (trap.asm).  Whether to go back without IRET: from a fault inside an
 * NMI. */
bool trap_entry(struct trapframe *frame);

/* How many NMIs nobody has claimed, on all CPUs together; nothing when there was none. */
void trap_print_nmis(void);

/* Accesses that may fault: false instead of an exception (trap.asm).  Any context. */
bool trap_rdmsr(uint32_t msr, uint64_t *value);
bool trap_wrmsr(uint32_t msr, uint64_t value);
bool trap_load(const void *address, uint64_t *value);

/* An instruction that may fault, and where to go on when it does; the set is gathered by the
 * linker. */
struct trap_fixup {
	uint64_t at, resume;
};
extern const struct trap_fixup trap_fixups_start[], trap_fixups_end[];

#endif
