/*
 * Exceptions: what is fatal, what is expected, and NMIs.
 */
#include "kernel/x86/trap.h"

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"

/* SDM vol. 3, figure 6-8: a 64-bit gate. */
struct trap_gate {
	uint16_t offset_low, selector;
	uint8_t ist, type;
	uint16_t offset_middle;
	uint32_t offset_high, reserved;
} __attribute__((packed));

#define TRAP_GATE_INTERRUPT 0x8e /* present, ring 0, interrupts off on entry */
#define TRAP_VECTORS 256

static struct trap_gate trap_idt[TRAP_VECTORS] __attribute__((aligned(16)));

/* Operand of LIDT, also the APs' (ap_trampoline.asm). */
struct trap_idt_operand {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));
extern const struct trap_idt_operand trap_idt_pointer;
const struct trap_idt_operand trap_idt_pointer = { sizeof(trap_idt) - 1, (uintptr_t)trap_idt };

extern const uintptr_t trap_stubs[TRAP_VECTORS];
extern const char trap_stub_call[];

static const char *const trap_names[TRAP_COUNT] = {
	[0] = "divide error",
	[1] = "debug exception",
	[2] = "NMI",
	[3] = "breakpoint",
	[4] = "overflow",
	[5] = "bound range exceeded",
	[6] = "invalid opcode",
	[7] = "device not available",
	[8] = "double fault",
	[10] = "invalid TSS",
	[11] = "segment not present",
	[12] = "stack fault",
	[13] = "general protection fault",
	[14] = "page fault",
	[16] = "x87 error",
	[17] = "alignment check",
	[18] = "machine check",
	[19] = "SIMD error",
	[20] = "virtualization exception",
	[21] = "control protection fault",
};

void
trap_init(void)
{
	static const uint8_t ist[TRAP_COUNT] = {
		[TRAP_NMI] = CPU_IST_NMI,
		[TRAP_DOUBLE_FAULT] = CPU_IST_DOUBLE_FAULT,
		[TRAP_MACHINE_CHECK] = CPU_IST_MACHINE_CHECK,
	};

	for (unsigned v = 0; v < TRAP_VECTORS; v++) {
		uintptr_t stub = v == INTR_VECTOR_XCALL ? (uintptr_t)trap_stub_call : trap_stubs[v];

		trap_idt[v] = (struct trap_gate){
			.offset_low = (uint16_t)stub,
			.selector = BOOT_SEL_CODE64,
			.ist = v < TRAP_COUNT ? ist[v] : 0,
			.type = TRAP_GATE_INTERRUPT,
			.offset_middle = (uint16_t)(stub >> 16),
			.offset_high = (uint32_t)(stub >> 32),
		};
	}
}

void
trap_load_idt(void)
{
	__asm__ volatile("lidt %0" : : "m"(trap_idt_pointer));
}

static uint64_t
trap_fault_address(void)
{
	uint64_t cr2;

	__asm__ volatile("movq %%cr2, %0" : "=r"(cr2));
	return cr2;
}

/* Whether an access that trap.asm marked as one that may fault did so; if yes, it answers false. */
static bool
trap_fixed_up(struct trapframe *frame)
{
	if (frame->vector != TRAP_PROTECTION && frame->vector != TRAP_PAGE_FAULT)
		return false;
	for (const struct trap_fixup *f = trap_fixups_start; f < trap_fixups_end; f++) {
		if (f->at == frame->rip) {
			frame->rip = f->resume;
			return true;
		}
	}
	return false;
}

/* An NMI that is not ours (a panic's stop request, one that a handler knows) is counted and
 * survived: boards send them for reasons of their own, and a debugger may. */
static void __attribute__((noinline)) trap_nmi(struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();

	ci->ci_nmi_depth++;
	panic_stop_at(frame);
	if (!nmi_dispatch(frame))
		atomic_fetch_add_explicit(&ci->ci_md->nmis, 1, memory_order_relaxed);
	ci->ci_nmi_depth--;
}

/* What a page fault was about.  At an address that is mapped for user mode, ring 0 was stopped by
 * SMEP or SMAP, whatever else the page allows. */
static const char *
trap_fault_reason(const struct trapframe *frame, uint64_t address)
{
	if ((frame->error & 1) == 0)
		return "no page for";
	if (paging_access(address).user)
		return frame->error & 16 ? "SMEP, a page open to user mode:"
					 : "SMAP, a page open to user mode:";
	return "protection violation by";
}

/*
 * A push into the guard page faults, and so does the push of that fault's frame: a double fault
 * whose address lies beside the stack pointer.  The boot CPU's first stacks have no guard page:
 * they are there before paging_init().
 */
static bool
trap_overflow(const struct trapframe *frame, uint64_t address)
{
	return frame->vector == TRAP_DOUBLE_FAULT &&
	    address - (frame->rsp - PAGE_BYTES) < 2 * PAGE_BYTES;
}

/* They may be the only word of broken hardware.  An NMI cannot print; the next tick does, each time
 * that they have doubled. */
static void __attribute__((noinline)) trap_say_nmis(void)
{
	struct cpu_info *ci = curcpu();
	/* Relaxed: this CPU counted them. */
	uint64_t nmis = atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed);

	if (nmis == 0 || nmis < 2 * ci->ci_md->nmis_said)
		return;
	ci->ci_md->nmis_said = nmis;
	printf("nmi: CPU %u has taken %lu that nobody claimed\n", ci->ci_index, nmis);
}

void
trap_print_nmis(void)
{
	struct cpu_info *ci;
	uint64_t sum = 0;

	CPU_INFO_FOREACH(ci)
		sum += atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed);
	if (sum != 0)
		printf("nmi: %lu in all that nobody claimed\n", sum);
}

static _Noreturn void __attribute__((noinline)) trap_fatal(struct trapframe *frame)
{
	const struct lwp *l = curlwp;
	const char *name = trap_names[frame->vector];
	uint64_t address = trap_fault_address();
	bool in_nmi = cpu_nmi_p();

	if (name == NULL)
		name = "reserved exception";
	if (frame->vector == TRAP_DOUBLE_FAULT || frame->vector == TRAP_MACHINE_CHECK)
		curcpu()->ci_nmi_depth++; /* on a stack of its own, whatever was interrupted */
	if (trap_overflow(frame, address)) {
		if (in_nmi)
			panic_frame(frame,
			    "stack overflow in an NMI: its guard page was hit at %#lx", address);
		panic_frame(frame, "stack overflow of thread %s: its guard page was hit at %#lx",
		    l != NULL ? l->l_name : "(none)", address);
	}
	if (frame->vector == TRAP_PAGE_FAULT)
		panic_frame(frame, "page fault: %s %s at %#lx, from %#lx",
		    trap_fault_reason(frame, address),
		    frame->error & 16      ? "an instruction fetch"
			: frame->error & 2 ? "a write"
					   : "a read",
		    address, frame->rip);
	panic_frame(frame, "%s, error code %#lx, at %#lx", name, frame->error, frame->rip);
}

bool
trap_entry(struct trapframe *frame)
{
	if (frame->vector >= TRAP_COUNT) {
		if (frame->vector == INTR_VECTOR_TIMER)
			trap_say_nmis();
		intr_dispatch((unsigned)frame->vector, frame);
		return false;
	}
	if (frame->vector == TRAP_NMI) {
		trap_nmi(frame);
		return false;
	}
	if (!trap_fixed_up(frame))
		trap_fatal(frame);
	return cpu_nmi_p();
}

void
machine_print_frame(const struct trapframe *f)
{
	printf("rip %016lx  rsp %016lx  rflags %08lx  vector %lu  error %lx\n", f->rip, f->rsp,
	    f->rflags, f->vector, f->error);
	printf("rax %016lx  rbx %016lx  rcx %016lx  rdx %016lx\n", f->rax, f->rbx, f->rcx, f->rdx);
	printf("rsi %016lx  rdi %016lx  rbp %016lx  r8  %016lx\n", f->rsi, f->rdi, f->rbp, f->r8);
	printf("r9  %016lx  r10 %016lx  r11 %016lx  r12 %016lx\n", f->r9, f->r10, f->r11, f->r12);
	printf("r13 %016lx  r14 %016lx  r15 %016lx  cr2 %016lx\n", f->r13, f->r14, f->r15,
	    trap_fault_address());
}

/* Follows the chain of saved frame pointers, each read as one that may be broken. */
unsigned
machine_backtrace(const struct trapframe *frame, uintptr_t *pcs, unsigned max)
{
	uint64_t record, pc, next;
	unsigned n = 0;

	if (frame != NULL) {
		record = frame->rbp;
		if (n < max)
			pcs[n++] = frame->rip;
	} else {
		record = (uint64_t)(uintptr_t)__builtin_frame_address(0);
	}
	while (n < max && record != 0 && record % 8 == 0) {
		if (!trap_load((const void *)(record + 8), &pc) ||
		    !trap_load((const void *)record, &next) || pc == 0)
			break;
		pcs[n++] = pc;
		if (next <= record) /* stacks grow down: callers' records lie above */
			break;
		record = next;
	}
	return n;
}
