/*
 * Interrupt vectors: their numbers, who handles them, how often they came; NMIs; code that runs as
 * if in an interrupt.
 */
#ifndef KERNEL_INTR_H
#define KERNEL_INTR_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu.h"

struct trapframe;

/*
 * A vector's upper four bits are its priority class (SDM vol. 3, 11.8.3): calls and wake-ups stand
 * above the timer, so that a storm of ticks cannot starve them.
 */
enum {
	INTR_VECTOR_PIC = 0x20,      /* 16 lines of the masked legacy controllers */
	INTR_VECTOR_TIMER = 0x40,    /* local timer */
	INTR_VECTOR_RESCHED = 0xd0,  /* a thread or a soft interrupt was made ready here */
	INTR_VECTOR_XCALL = 0xe0,    /* cross calls */
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
/* The same for INTR_VECTOR_XCALL, whose entry saves no frame: its handler gets NULL.  Nor is there
 * the hook at its end, or a look at what the handler left behind. */
void intr_dispatch_call(void);
/* How often a vector came on a CPU's behalf since boot, all CPUs together; unclaimed ones too. */
uint64_t intr_count(unsigned vector);
uint64_t intr_unclaimed(void);

/*
 * Hard interrupt context without an interrupt: between the two cpu_intr_p() holds and interrupts
 * are off.
 *	- Any context but NMI; nests, also inside handlers.  What runs between leaves spinlocks as
 *	  it found them.
 *	- intr_enter() returns whether interrupts were on; that goes to the intr_leave() that
 *	  belongs to it.
 *	- Outermost, and interrupts were on: intr_leave() takes the way out of an interrupt: the
 *	  exit hook, soft interrupts, a switch to a better thread.  Interrupts are on again when it
 *	  returns.
 *	- Outermost, and interrupts were off: soft interrupts and the switch wait until the caller
 *	  lets them on; lazy work (the exit hook) waits for the next interrupt.  Interrupts are off
 *	  when it returns.
 */
bool intr_enter(void) __attribute__((warn_unused_result));
void intr_leave(bool were_on);
/* The same in a few instructions, interrupts off: enters; leaves by the way of were_on if nothing
 * waits there but the hook, which is left out; false: nothing done, use intr_leave(). */
static inline void
intr_enter_quick(struct cpu_info *ci)
{
	ci->ci_intr_depth++;
}
static inline bool
intr_leave_quick(struct cpu_info *ci)
{
	/* Relaxed: as in the slow way. */
	if (ci->ci_intr_depth != 1 || ci->ci_spin_depth != 0 ||
	    atomic_load_explicit(&ci->ci_softint.sic_pending, memory_order_relaxed) != 0 ||
	    atomic_load_explicit(&ci->ci_resched, memory_order_relaxed))
		return false;
	ci->ci_intr_depth = 0;
	return true;
}

/*
 * Sets the one hook at the end of every outermost hard interrupt but INTR_VECTOR_XCALL, after the
 * EOI, before soft interrupts and the scheduler: in hard interrupt context, interrupts off, on
 * every CPU.  Returns the one before, or NULL; it may still be running on other CPUs.
 */
typedef void (*intr_hook_t)(void);
intr_hook_t intr_establish_exit(intr_hook_t hook);

/*
 * Adds a handler of NMIs, for ever; a handful fit.  Thread context, or bring-up.
 *	- Each NMI is shown to all handlers: several requests may have become one NMI, and an NMI
 *	  says nothing of its sender.  A handler returns whether it found something of its own to
 *	  do.
 *	- It runs in NMI context on a stack of its own: memory and atomics only, no lock, no printf.
 *	- The interrupted registers are `frame`, and curcpu()->ci_nmi_frame until the handler
 *	  returns.
 */
typedef bool (*nmi_handler_t)(struct trapframe *frame);
void nmi_establish(nmi_handler_t handler);
/* Called by the machine, in NMI context; whether somebody claimed the NMI. */
bool nmi_dispatch(struct trapframe *frame);

#endif
