/*
 * The end of a kernel that found itself broken.
 *
 * One CPU panics: the first to claim panic_owner.  It stops the others by NMI, which reaches them
 * with interrupts off too, and then has console and machine to itself.  A second CPU that panics
 * meanwhile halts; a second panic on the same CPU says so in one line and gives up.
 */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stdatomic.h>

#include "boot/boot.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug.h"
#include "kernel/machine.h"
#include "kernel/printf.h"

#define PANIC_BACKTRACE_DEPTH 24
/* Polls for the others to stop: each pauses, so this is some tenths of a second; it needs no clock,
 * which may be what is broken. */
#define PANIC_STOP_POLLS 20000000u

/* Where a CPU stood when it was stopped; on its own stack, which nothing else uses any more. */
struct panic_stack {
	bool ps_exact; /* the first is no return address */
	unsigned ps_depth;
	uintptr_t ps_pc[PANIC_BACKTRACE_DEPTH];
};

static _Atomic(struct cpu_info *) panic_owner;
static _Atomic unsigned panic_stopped;
static _Atomic(void (*)(void)) panic_note;

void
panic_stop_at(const struct trapframe *frame)
{
	struct panic_stack stack;
	const struct cpu_info *owner = atomic_load_explicit(&panic_owner, memory_order_acquire);

	if (owner == NULL || owner == curcpu())
		return;
	stack.ps_exact = frame != NULL;
	stack.ps_depth = machine_backtrace(frame, stack.ps_pc, PANIC_BACKTRACE_DEPTH);
	/* Release: pairs with the acquire in panic_print_other(). */
	atomic_store_explicit(&curcpu()->ci_panic_stack, &stack, memory_order_release);
	/* Release: pairs with the acquire in panic_stop_others().  A parked CPU was not asked. */
	if (cpu_online(curcpu()))
		atomic_fetch_add_explicit(&panic_stopped, 1, memory_order_release);
	machine_halt();
}

void
panic_stop_here(void)
{
	panic_stop_at(NULL);
}

static void
panic_stop_others(void)
{
	struct cpu_info *ci;
	unsigned asked = 0;

	CPU_INFO_FOREACH(ci) {
		if (ci == curcpu() || !cpu_online(ci))
			continue;
		if (machine_send_nmi(ci))
			asked++;
		else
			printf("panic: no NMI could be sent to CPU %u\n", ci->ci_index);
	}
	for (unsigned polls = 0; polls < PANIC_STOP_POLLS; polls++) {
		if (atomic_load_explicit(&panic_stopped, memory_order_acquire) >= asked)
			return;
		machine_pause();
	}
	printf("panic: %u of %u other CPUs did not stop\n",
	    asked - atomic_load_explicit(&panic_stopped, memory_order_acquire), asked);
}

void
panic_establish(void (*note)(void))
{
	/* Release: pairs with the acquire in panic_common(). */
	atomic_store_explicit(&panic_note, note, memory_order_release);
}

/* `exact`: the first is where the code was interrupted, and no return address. */
static void
panic_print_stack(const uintptr_t *pcs, unsigned n, bool exact)
{
	char text[KSYMS_TEXT_BYTES];

	/* A return address may be the first byte of the next function: look up the call before
	 * it. */
	for (unsigned i = 0; i < n; i++)
		printf("  %#014lx  %s\n", pcs[i],
		    ksyms_format(pcs[i] - (i > 0 || !exact ? 1 : 0), text));
}

static void
panic_backtrace(const struct trapframe *frame)
{
	uintptr_t pcs[PANIC_BACKTRACE_DEPTH];
	unsigned n = machine_backtrace(frame, pcs, PANIC_BACKTRACE_DEPTH);

	printf("backtrace:\n");
	panic_print_stack(pcs, n, frame != NULL);
}

static void
panic_print_other(const struct cpu_info *other)
{
	/* Acquire: pairs with the release in panic_stop_at(). */
	const struct panic_stack *stack = atomic_load_explicit(
	    &other->ci_panic_stack, memory_order_acquire);

	if (stack == NULL) {
		printf("CPU %u did not stop: its stack is not known\n", other->ci_index);
		return;
	}
	printf("CPU %u, thread %s, was stopped at:\n", other->ci_index,
	    other->ci_curlwp != NULL ? other->ci_curlwp->l_name : "(none yet)");
	panic_print_stack(stack->ps_pc, stack->ps_depth, stack->ps_exact);
}

static _Noreturn void __attribute__((format(printf, 3, 0)))
panic_common(struct trapframe *frame, const struct cpu_info *other, const char *fmt, va_list ap)
{
	struct cpu_info *expected = NULL;
	void (*note)(void);
	char message[512];

	machine_intr_disable();
	if (!atomic_compare_exchange_strong_explicit(
		&panic_owner, &expected, curcpu(), memory_order_acq_rel, memory_order_acquire)) {
		if (expected != curcpu())
			machine_halt();
		vsnprintf(message, sizeof(message), fmt, ap);
		printf("panic within a panic: %s\n", message);
		console_close("END panic\n");
		machine_exit(BOOT_EXIT_PANIC);
	}
	console_panicking();
	panic_stop_others();

	vsnprintf(message, sizeof(message), fmt, ap);
	printf("\npanic: %s\n", message);
	printf("on CPU %u (APIC id %u), thread %s\n", curcpu()->ci_index, curcpu()->ci_apicid,
	    curlwp != NULL ? curlwp->l_name : "(none yet)");
	/* Acquire: pairs with panic_establish(). */
	note = atomic_load_explicit(&panic_note, memory_order_acquire);
	if (note != NULL)
		note();
	if (frame != NULL)
		machine_print_frame(frame);
	panic_backtrace(frame);
	if (other != NULL)
		panic_print_other(other);
	lockdebug_dump();
	console_close("END panic\n");
	machine_exit(BOOT_EXIT_PANIC);
}

void
panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	panic_common(NULL, NULL, fmt, ap);
}

void
panic_cpu(const struct cpu_info *other, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	panic_common(NULL, other, fmt, ap);
}

void
panic_frame(struct trapframe *frame, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	panic_common(frame, NULL, fmt, ap);
}

void
panic_assert(const char *expr, const char *file, int line, const char *func, const char *fmt, ...)
{
	char why[256];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	panic("assertion \"%s\" failed in %s(), %s:%d%s%s", expr, func, file, line,
	    why[0] != '\0' ? ": " : "", why);
}
