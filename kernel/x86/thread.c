/*
 * The first stack frame of a thread: what machine_switch() (switch.asm) pops.
 */
#include <stddef.h>

#include "kernel/machine.h"
#include "kernel/panic.h"

void machine_thread_begin(void);

struct thread_frame {
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t pad; /* where the stack pointer stands then */
};

_Static_assert(sizeof(struct thread_frame) == 64, "the layout is switch.asm's");

uintptr_t
machine_thread_prepare(uintptr_t stack_top, void (*entry)(void *), void *arg)
{
	struct thread_frame *frame;

	KASSERTMSG(stack_top % 16 == 0, "stack top 0x%zx", (size_t)stack_top);
	/* The stack is aligned to 16 before a call (System V ABI, 3.2.2): at `pad`. */
	frame = (struct thread_frame *)(stack_top - 8 - sizeof(*frame));
	*frame = (struct thread_frame){
		.r12 = (uintptr_t)arg,
		.rbx = (uintptr_t)entry,
		.rip = (uintptr_t)machine_thread_begin,
	};
	return (uintptr_t)frame;
}
