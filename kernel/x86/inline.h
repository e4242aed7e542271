/*
 * The inline half of kernel/machine.h: operations of a few instructions.
 */
#ifndef KERNEL_X86_INLINE_H
#define KERNEL_X86_INLINE_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/x86/send.h"

struct cpu_info;

/* EFLAGS.IF (Intel SDM vol. 1, 3.4.3). */
#define X86_EFLAGS_IF 0x200u

/* GS base of each CPU is its struct cpu_info, whose first field points to itself. */
static inline struct cpu_info *
machine_curcpu(void)
{
	struct cpu_info *ci;

	__asm__ volatile("movq %%gs:0, %0" : "=r"(ci));
	return ci;
}

static inline bool
machine_intr_enabled(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0" : "=r"(flags) : : "memory");
	return (flags & X86_EFLAGS_IF) != 0;
}

static inline bool
machine_intr_disable(void)
{
	uint64_t flags;

	__asm__ volatile("pushfq; popq %0; cli" : "=r"(flags) : : "memory");
	return (flags & X86_EFLAGS_IF) != 0;
}

static inline void
machine_intr_restore(bool were_on)
{
	if (were_on)
		__asm__ volatile("sti" : : : "memory");
}

/* Where the stack pointer stands: two readings of one function are the same. */
static inline __attribute__((always_inline)) uintptr_t
machine_stack_pointer(void)
{
	uintptr_t sp;

	__asm__ volatile("movq %%rsp, %0" : "=r"(sp) : : "memory");
	return sp;
}

static inline void
machine_pause(void)
{
	__asm__ volatile("pause" : : : "memory");
}

/* RDTSC is not serialising (SDM vol. 2, RDTSC): LFENCE keeps it behind the loads before it. */
static inline uint64_t
machine_cycles(void)
{
	uint32_t low, high;

	__asm__ volatile("lfence; rdtsc" : "=a"(low), "=d"(high) : : "memory");
	return (uint64_t)high << 32 | low;
}

/* The same, not kept behind anything: a few cycles early. */
static inline uint64_t
machine_cycles_early(void)
{
	uint64_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return high << 32 | low;
}

/* One instruction: what interrupts it on this CPU, an NMI too, comes before it or after. */
static inline void
machine_count(_Atomic uint64_t *counter)
{
	__asm__ volatile("incq %0" : "+m"(*(uint64_t *)(uintptr_t)counter) : : "cc");
}

#endif
