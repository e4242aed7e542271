/*
 * Interrupts sent and ended in a few instructions: part of inline.h.
 *
 * No fence: a store to an uncached register stays behind the stores before it (xapic.c).
 */
#ifndef KERNEL_X86_SEND_H
#define KERNEL_X86_SEND_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;
/* The local APIC's registers, mapped uncached (xapic.c), and of them (SDM vol. 3, table 11-1 and
 * figure 11-12) the end of an interrupt and the command: delivery status, level assert, target. */
extern uintptr_t machine_lapic;
#define X86_LAPIC_EOI 0xb0
#define X86_LAPIC_ICR_LOW 0x300
#define X86_LAPIC_ICR_HIGH 0x310
#define X86_LAPIC_ICR_PENDING 0x1000u
#define X86_LAPIC_ICR_ASSERT 0x4000u
#define X86_LAPIC_ICR_OTHERS 0xc0000u /* shorthand: all but this one */
#define X86_LAPIC_ICR_TARGET_SHIFT 24
#define X86_CALL_VECTOR 0xe0u /* INTR_VECTOR_XCALL */

/* The head of struct cpu_info; ipi.c holds the two together. */
struct x86_cpu_head {
	struct cpu_info *self;
	unsigned index;
	uint32_t apicid;
};

/* Somebody stands between: the operations of apic.h must be used.  ipi.c does. */
extern bool machine_lapic_watched;
void machine_send_call_slow(struct cpu_info *ci);
void machine_intr_eoi_slow(void);

/* SDM vol. 3, 11.4.1: aligned 32-bit moves.  The two halves of a command stand together. */
static inline void
machine_intr_eoi(void)
{
	if (__builtin_expect(machine_lapic_watched, 0))
		machine_intr_eoi_slow();
	else
		__asm__ volatile("movl $0, %c1(%0)" ::"r"(machine_lapic), "i"(X86_LAPIC_EOI)
				 : "memory");
}

static inline bool
machine_send_busy(uintptr_t lapic)
{
	uint32_t value;

	__asm__ volatile("movl %c2(%1), %0"
			 : "=r"(value)
			 : "r"(lapic), "i"(X86_LAPIC_ICR_LOW)
			 : "memory");
	return (value & X86_LAPIC_ICR_PENDING) != 0;
}

/* No wait for its own delivery: the next command waits for that, and finds it done. */
static inline void
machine_send_call(struct cpu_info *ci)
{
	const struct x86_cpu_head *head = (const struct x86_cpu_head *)ci;
	uintptr_t lapic = machine_lapic;

	if (__builtin_expect(machine_lapic_watched, 0) ||
	    __builtin_expect(machine_send_busy(lapic), 0)) {
		machine_send_call_slow(ci);
		return;
	}
	__asm__ volatile("movl %1, %c3(%0); movl %2, %c4(%0)"
			 :
			 : "r"(lapic), "r"(head->apicid << X86_LAPIC_ICR_TARGET_SHIFT),
			 "i"(X86_LAPIC_ICR_ASSERT | X86_CALL_VECTOR), "i"(X86_LAPIC_ICR_HIGH),
			 "i"(X86_LAPIC_ICR_LOW)
			 : "memory");
}

/* Whether every CPU of the machine was started: one that waits for its first SIPI must not get an
 * interrupt (smp.c). */
extern bool machine_send_others_ok;

static inline bool
machine_send_call_others(void)
{
	uintptr_t lapic = machine_lapic;

	if (!machine_send_others_ok || machine_lapic_watched || machine_send_busy(lapic))
		return false;
	__asm__ volatile("movl %1, %c2(%0)"
			 :
			 : "r"(lapic),
			 "i"(X86_LAPIC_ICR_OTHERS | X86_LAPIC_ICR_ASSERT | X86_CALL_VECTOR),
			 "i"(X86_LAPIC_ICR_LOW)
			 : "memory");
	return true;
}

#endif
