/*
 * A virtual CPU: a struct cpu_md, which the kernel knows as ci_md, and what the machine does with
 * it for those who let it execute (runtime.h).
 *
 * It runs one context at a time; the kernel switches contexts by machine_switch(), and none ever
 * changes its virtual CPU.  Interrupts and NMIs are pending marks; the virtual CPU takes them
 * itself at its safe points, by vcpu_poll(): each function of inline.h is one, and machine_idle().
 */
#ifndef TESTS_HOST_VCPU_VCPU_H
#define TESTS_HOST_VCPU_VCPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu.h"
#include "kernel/machine.h"

#define VCPU_MAX 64
/* The kernel's memory. */
#define VCPU_MEMORY_BYTES (UINT64_C(128) << 20)
/* Priority classes of vectors: no more can be in service, one inside the other. */
#define VCPU_CLASSES 16

/* What can be switched to. */
struct vcpu_context {
	uintptr_t vx_sp;           /* while it does not run */
	uintptr_t vx_low, vx_high; /* bounds of the stack */
	void (*vx_entry)(void *);  /* what a thread begins with */
	void *vx_arg;
	void *vx_fiber; /* the sanitizer's record (fiber.h) */
};

/* Keys: c constant once it runs; o the virtual CPU itself; a atomic, for all. */
struct cpu_md {
	struct cpu_info *vc_ci;               /* c */
	void (*vc_entry)(void);               /* c: what it begins with, at each start */
	void *vc_runtime;                     /* c: the runtime's own */
	struct vcpu_context vc_idle;          /* o: where it began */
	struct vcpu_context *vc_context;      /* o: what runs */
	bool vc_intr_on, vc_in_nmi;           /* o */
	unsigned vc_service[VCPU_CLASSES];    /* o: vectors whose EOI has not come */
	unsigned vc_in_service;               /* o: how many */
	_Atomic bool vc_pending[CPU_VECTORS]; /* a */
	_Atomic bool vc_nmi;                  /* a */
	_Atomic uint32_t vc_signals;          /* a: grows by one a mark */
	uint32_t vc_seen;                     /* o: what it was when nothing was left to take */
	struct machine_timer vc_timer;        /* o */
	uint64_t vc_timer_start;              /* o: when its count was loaded */
	_Atomic uint64_t vc_deadline;         /* a: when it expires next, in cycles; 0: never */
	_Atomic uint64_t vc_period;           /* a: in cycles; 0: one-shot */
};

/* Takes what is pending on the calling virtual CPU: NMIs unless it is in one, interrupts when they
 * are on. */
void vcpu_poll(void);
/* Marks a vector as pending there and tells the runtime.  Any context of any virtual CPU or of the
 * runtime. */
void vcpu_raise(struct cpu_md *, unsigned vector);
/* If its deadline is reached: raises the timer's vector and sets the next one.  By the runtime,
 * from anywhere. */
void vcpu_timer_expire(struct cpu_md *, uint64_t now);
/* Once, before the first stack is asked for. */
void vcpu_init_stacks(void);
/* Saves what a function must keep on the stack and the stack's pointer to *save, and goes on at
 * `sp`. */
void vcpu_switch_stack(uintptr_t *save, uintptr_t sp);
/* Makes a stack on which vcpu_switch_stack() begins with entry(arg), which must not return. */
uintptr_t vcpu_prepare_stack(uintptr_t top, void (*entry)(void *), void *arg);

#endif
