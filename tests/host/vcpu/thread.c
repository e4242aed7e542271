/*
 * Door 1 of the host: stacks, and the switch from one to another.
 *
 * Stacks lie in a row of places of their own, each between guard pages; the records of what runs on
 * them stand in a table beside it, for a kernel may do with a free stack what it likes.  The "stack
 * pointer" that the kernel is given is the address of such a record.  The pages of a stack are
 * taken from the kernel's allocator too, so that its counts and its leak checks are right, and are
 * then left alone.
 */
#include <stddef.h>
#include <sys/mman.h>

#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "tests/host/vcpu/fiber.h"
#include "tests/host/vcpu/runtime.h"

/* What vcpu_switch_stack() pops, as in kernel/x86/switch.asm, which it is. */
struct vcpu_frame {
	uint64_t r15, r14, r13, r12, rbx, rbp;
	uint64_t rip;
	uint64_t pad; /* where the stack pointer stands then */
};

void vcpu_begin(void);

/* Room for all stacks that the kernel's memory could hold. */
#define VCPU_STACKS (VCPU_MEMORY_BYTES / KSTACK_BYTES)
/* From one stack to the next, with a guard page between. */
#define VCPU_STACK_STRIDE (KSTACK_BYTES + PAGE_BYTES)

static char *vcpu_stacks;
static struct vcpu_context vcpu_contexts[VCPU_STACKS];
static _Atomic size_t vcpu_nstacks;

void
vcpu_init_stacks(void)
{
	vcpu_stacks = mmap(NULL, VCPU_STACKS * VCPU_STACK_STRIDE + PAGE_BYTES, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (vcpu_stacks == MAP_FAILED)
		panic("no room for stacks from the host");
}

void *
machine_map_stack(size_t npages)
{
	char *stack;
	size_t n;

	KASSERT(npages == KSTACK_BYTES / PAGE_BYTES);
	if (kmem_page_alloc(npages) == NULL)
		return NULL;
	n = atomic_fetch_add_explicit(&vcpu_nstacks, 1, memory_order_relaxed);
	KASSERT(n < VCPU_STACKS);
	stack = vcpu_stacks + n * VCPU_STACK_STRIDE + PAGE_BYTES;
	if (mprotect(stack, KSTACK_BYTES, PROT_READ | PROT_WRITE) != 0)
		panic("no memory for a stack from the host");
	return stack;
}

size_t
machine_table_pages(void)
{
	return 0;
}

uintptr_t
vcpu_prepare_stack(uintptr_t top, void (*entry)(void *), void *arg)
{
	struct vcpu_frame *frame = (struct vcpu_frame *)(top / 16 * 16 - 8 - sizeof(*frame));

	*frame = (struct vcpu_frame){
		.r12 = (uintptr_t)arg,
		.rbx = (uintptr_t)entry,
		.rip = (uintptr_t)vcpu_begin,
	};
	return (uintptr_t)frame;
}

static void
vcpu_thread_main(void *arg)
{
	struct vcpu_context *vx = arg;

	fiber_arrive(vx);
	vx->vx_entry(vx->vx_arg);
	panic("a thread's first function has returned");
}

uintptr_t
machine_thread_prepare(uintptr_t stack_top, void (*entry)(void *), void *arg)
{
	size_t n = (stack_top - (uintptr_t)vcpu_stacks) / VCPU_STACK_STRIDE;
	struct vcpu_context *vx = &vcpu_contexts[n];

	vx->vx_low = (uintptr_t)vcpu_stacks + n * VCPU_STACK_STRIDE + PAGE_BYTES;
	vx->vx_high = vx->vx_low + KSTACK_BYTES;
	KASSERT(stack_top > vx->vx_low && stack_top <= vx->vx_high);
	vx->vx_entry = entry;
	vx->vx_arg = arg;
	fiber_create(vx);
	vx->vx_sp = vcpu_prepare_stack(stack_top, vcpu_thread_main, vx);
	return (uintptr_t)vx;
}

void
machine_switch(uintptr_t *save_sp, uintptr_t sp)
{
	struct cpu_md *vc = runtime_self();
	struct vcpu_context *from = vc->vc_context, *to = (struct vcpu_context *)sp;

	KASSERT(!vc->vc_intr_on);
	*save_sp = (uintptr_t)from;
	vc->vc_context = to;
	fiber_leave(from, to);
	vcpu_switch_stack(&from->vx_sp, to->vx_sp);
	fiber_arrive(from);
}
