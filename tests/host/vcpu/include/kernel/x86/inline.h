/*
 * The inline half of door 1, as the host has it: functions.  Each is a safe point: what is pending
 * may come in it, as on a machine it may come before any instruction.
 */
#ifndef TESTS_HOST_VCPU_INCLUDE_KERNEL_X86_INLINE_H
#define TESTS_HOST_VCPU_INCLUDE_KERNEL_X86_INLINE_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;

struct cpu_info *machine_curcpu(void);
bool machine_intr_enabled(void);
bool machine_intr_disable(void);
void machine_intr_restore(bool were_on);
void machine_pause(void);
uint64_t machine_cycles(void);

/* Near enough, for what only compares two of one function. */
static inline __attribute__((always_inline)) uintptr_t
machine_stack_pointer(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

#endif
