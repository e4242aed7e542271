/*
 * Interrupt vectors: their numbers, who handles them, how often they came.
 */
#ifndef KERNEL_INTR_H
#define KERNEL_INTR_H

#include <stdint.h>

struct trapframe;

/*
 * A vector's upper four bits are its priority class (SDM vol. 3, 11.8.3): calls and wake-ups stand
 * above the timer, so that a storm of ticks cannot starve them.
 */
enum {
	INTR_VECTOR_PIC = 0x20,      /* 16 lines of the masked legacy controllers */
	INTR_VECTOR_TIMER = 0x40,    /* local timer */
	INTR_VECTOR_RESCHED = 0xd0,  /* a thread was made ready here */
	INTR_VECTOR_ERROR = 0xfe,    /* local APIC error */
	INTR_VECTOR_SPURIOUS = 0xff, /* local APIC spurious: no EOI */
};

/* Runs in hard interrupt context with interrupts off.  The dispatcher has not sent the EOI yet; it
 * does after the handler. */
typedef void (*intr_handler_t)(void *arg, struct trapframe *frame);

/* Gives a vector its handler, once, before interrupts of that vector can arrive. */
void intr_establish(unsigned vector, intr_handler_t handler, void *arg, const char *name);
/* Called by the machine for vectors 32..255, interrupts off. */
void intr_dispatch(unsigned vector, struct trapframe *frame);
/* How often a vector came on a CPU's behalf since boot, all CPUs together; unclaimed ones too. */
uint64_t intr_count(unsigned vector);
uint64_t intr_unclaimed(void);

#endif
