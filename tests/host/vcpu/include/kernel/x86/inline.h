/*
 * The inline half of door 1, as the host has it: functions.  Each is a safe point: what is pending
 * may come in it, as on a machine it may come before any instruction.
 */
#ifndef TESTS_HOST_VCPU_INCLUDE_KERNEL_X86_INLINE_H
#define TESTS_HOST_VCPU_INCLUDE_KERNEL_X86_INLINE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_info;

struct cpu_info *machine_curcpu(void);
bool machine_intr_enabled(void);
bool machine_intr_disable(void);
void machine_intr_restore(bool were_on);
void machine_pause(void);
uint64_t machine_cycles(void);
#define machine_cycles_early() machine_cycles()
void machine_send_call(struct cpu_info *ci);
bool machine_send_call_others(void);
void machine_intr_eoi(void);

static inline void
machine_count(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

/* Near enough, for what only compares two of one function. */
static inline __attribute__((always_inline)) uintptr_t
machine_stack_pointer(void)
{
	return (uintptr_t)__builtin_frame_address(0);
}

#endif
