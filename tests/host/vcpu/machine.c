/*
 * Door 1 of the host: interrupts, NMIs, time and the end.
 *
 * Background
 *
 *	A machine may interrupt a CPU between any two instructions.  A host thread cannot be stopped
 *	just anywhere by another, and a signal handler that runs kernel code would be opaque to
 *	ThreadSanitizer.  So a virtual CPU takes what is pending itself, at safe points: when it
 *	turns interrupts on, asks who it is, looks at the clock, spins or idles.  The kernel does
 *	one of these every few lines; a loop that does none is not interrupted.
 *
 * Implementation
 *
 *	A vector is pending by a mark of its own (equal vectors merge), and each mark made is
 *	counted in vc_signals.  The virtual CPU compares that count with what it was when nothing
 *	was left to take.
 *
 *		sender						virtual CPU
 *		vc_pending[v] = true	(release)		n = vc_signals		(relaxed)
 *		vc_signals++		(relaxed)		look at all marks	(relaxed)
 *		runtime_signal()				take one: exchange	(acquire)
 *								none: vc_seen = n; runtime_wait(n)
 *
 *	What orders the sender before the handler is the mark of that vector alone, as door 1
 *	promises; and not even that for vectors that only tell a CPU to look (vcpu_only_tells()).
 *	The count is relaxed on purpose: an acquire there would order this CPU behind all that ever
 *	sent it anything, and hide from ThreadSanitizer the races that this program is for.  x86
 *	keeps the two loads in order.
 *
 *	The local APIC's rules are kept: the highest vector first; while one is in service none of
 *	its priority class or below; an EOI without an interrupt in service, or a return from one
 *	without its EOI, ends the program.
 *
 * Limits
 *
 *	An NMI is taken at safe points too, with interrupts off as well, never in another NMI.
 */
#include <stddef.h>

#include "boot/boot.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "tests/host/vcpu/runtime.h"

/* What an interrupt's handler gets: enough for a backtrace. */
struct trapframe {
	uintptr_t record; /* frame pointer where it was taken */
};

/* Vectors that were ever raised, so that not all 256 marks need a look. */
static _Atomic uint64_t vcpu_used[CPU_VECTORS / 64];

/* --- taking ----------------------------------------------------------------------------------- */

/* A vector that is pending and not kept back by the one in service; 0 when there is none.  *left:
 * there is one that is kept back. */
static unsigned
vcpu_highest(struct cpu_md *vc, bool *left)
{
	unsigned class = vc->vc_in_service == 0 ? 0 : vc->vc_service[vc->vc_in_service - 1] / 16;

	*left = false;
	for (unsigned i = CPU_VECTORS / 64; i-- != 0;) {
		uint64_t used = atomic_load_explicit(&vcpu_used[i], memory_order_relaxed);

		for (; used != 0; used &= ~(UINT64_C(1) << (63 - __builtin_clzll(used)))) {
			unsigned vector = i * 64 + 63 - (unsigned)__builtin_clzll(used);

			if (!atomic_load_explicit(&vc->vc_pending[vector], memory_order_relaxed))
				continue;
			if (vector / 16 > class)
				return vector;
			*left = true;
		}
	}
	return 0;
}

/* Whether an interrupt says no more than that the CPU should look: what it finds there is ordered
 * by the words in which it finds it.  It may not need the interrupt's order too: a sender that sees
 * the CPU told already sends none. */
static bool
vcpu_only_tells(unsigned vector)
{
	return vector == INTR_VECTOR_XCALL || vector == INTR_VECTOR_RESCHED;
}

static void
vcpu_interrupt(struct cpu_md *vc, unsigned vector, uintptr_t record)
{
	struct trapframe frame = { .record = record };
	unsigned in_service = vc->vc_in_service;

	/* Acquire: pairs with vcpu_raise(). */
	if (vcpu_only_tells(vector)) {
		if (!atomic_exchange_explicit(&vc->vc_pending[vector], false, memory_order_relaxed))
			return;
	} else if (!atomic_exchange_explicit(&vc->vc_pending[vector], false, memory_order_acquire))
		return;
	if (vector != INTR_VECTOR_SPURIOUS)
		vc->vc_service[vc->vc_in_service++] = vector;
	vc->vc_intr_on = false;
	if (vector == INTR_VECTOR_XCALL)
		intr_dispatch_call();
	else
		intr_dispatch(vector, &frame);
	KASSERTMSG(vc->vc_in_service == in_service, "vector %#x returned without its EOI", vector);
	vc->vc_intr_on = true;
}

static void
vcpu_nmi(struct cpu_md *vc, uintptr_t record)
{
	struct trapframe frame = { .record = record };
	struct cpu_info *ci = vc->vc_ci;
	bool intr_on = vc->vc_intr_on;

	vc->vc_in_nmi = true;
	vc->vc_intr_on = false;
	ci->ci_nmi_depth++;
	panic_stop_at(&frame);
	(void)nmi_dispatch(&frame);
	ci->ci_nmi_depth--;
	vc->vc_intr_on = intr_on;
	vc->vc_in_nmi = false;
}

void
vcpu_poll(void)
{
	struct cpu_md *vc = runtime_self();
	uintptr_t record = (uintptr_t)__builtin_frame_address(0);
	bool allowed = runtime_point(), left;
	unsigned vector;
	uint32_t signals;

	if (atomic_load_explicit(&vc->vc_signals, memory_order_relaxed) == vc->vc_seen)
		return;
	/* Relaxed, as for interrupts that only tell: all NMIs are one. */
	while (!vc->vc_in_nmi && atomic_load_explicit(&vc->vc_nmi, memory_order_relaxed) &&
	    atomic_exchange_explicit(&vc->vc_nmi, false, memory_order_relaxed))
		vcpu_nmi(vc, record);
	while (allowed && vc->vc_intr_on) {
		signals = atomic_load_explicit(&vc->vc_signals, memory_order_relaxed);
		vector = vcpu_highest(vc, &left);
		if (vector != 0) {
			vcpu_interrupt(vc, vector, record);
		} else {
			if (!left && !atomic_load_explicit(&vc->vc_nmi, memory_order_relaxed))
				vc->vc_seen = signals;
			return;
		}
	}
}

/* --- sending ---------------------------------------------------------------------------------- */

static void
vcpu_signal(struct cpu_md *vc)
{
	/* Relaxed: see the top. */
	atomic_fetch_add_explicit(&vc->vc_signals, 1, memory_order_relaxed);
	runtime_signal(vc);
}

void
vcpu_raise(struct cpu_md *vc, unsigned vector)
{
	uint64_t bit = UINT64_C(1) << vector % 64;

	if ((atomic_load_explicit(&vcpu_used[vector / 64], memory_order_relaxed) & bit) == 0)
		atomic_fetch_or_explicit(&vcpu_used[vector / 64], bit, memory_order_relaxed);
	/* Release: pairs with vcpu_interrupt(). */
	if (vcpu_only_tells(vector))
		atomic_exchange_explicit(&vc->vc_pending[vector], true, memory_order_relaxed);
	else
		atomic_exchange_explicit(&vc->vc_pending[vector], true, memory_order_release);
	vcpu_signal(vc);
}

void
machine_send_ipi(struct cpu_info *ci, unsigned vector)
{
	vcpu_raise(ci->ci_md, vector);
	vcpu_poll();
}

void
machine_send_call(struct cpu_info *ci)
{
	machine_send_ipi(ci, INTR_VECTOR_XCALL);
}

bool
machine_send_call_others(void)
{
	const struct cpu_info *self = runtime_self()->vc_ci;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		if (ci != self && cpu_online(ci))
			vcpu_raise(ci->ci_md, INTR_VECTOR_XCALL);
	vcpu_poll();
	return true;
}

bool
machine_send_nmi(struct cpu_info *ci)
{
	/* Relaxed: see vcpu_poll(). */
	atomic_exchange_explicit(&ci->ci_md->vc_nmi, true, memory_order_relaxed);
	vcpu_signal(ci->ci_md);
	vcpu_poll();
	return true;
}

void
machine_intr_eoi(void)
{
	struct cpu_md *vc = runtime_self();

	KASSERTMSG(vc->vc_in_service != 0, "EOI on CPU %u, which has no interrupt in service",
	    vc->vc_ci->ci_index);
	vc->vc_in_service--;
}

/* --- the inline half -------------------------------------------------------------------------- */

struct cpu_info *
machine_curcpu(void)
{
	vcpu_poll();
	return runtime_self()->vc_ci;
}

bool
machine_intr_enabled(void)
{
	vcpu_poll();
	return runtime_self()->vc_intr_on;
}

bool
machine_intr_disable(void)
{
	struct cpu_md *vc = runtime_self();
	bool was_on;

	vcpu_poll();
	was_on = vc->vc_intr_on;
	vc->vc_intr_on = false;
	return was_on;
}

void
machine_intr_restore(bool were_on)
{
	if (were_on)
		runtime_self()->vc_intr_on = true;
	vcpu_poll();
}

void
machine_pause(void)
{
	vcpu_poll();
	runtime_pause();
}

uint64_t
machine_cycles(void)
{
	vcpu_poll();
	return runtime_cycles();
}

void
machine_idle(void)
{
	struct cpu_md *vc = runtime_self();

	KASSERT(!vc->vc_intr_on && vc->vc_in_service == 0);
	vc->vc_intr_on = true;
	/* Whatever is pending was counted after vc_seen was: then this does not wait. */
	runtime_wait(vc->vc_seen);
	vcpu_poll();
}

/* The host runs others meanwhile. */
bool
machine_hypervisor(void)
{
	return true;
}

/* --- looking at code, and the end ------------------------------------------------------------- */

/* Follows saved frame pointers, which lead up within the stack. */
unsigned
machine_backtrace(const struct trapframe *frame, uintptr_t *pcs, unsigned max)
{
	const struct vcpu_context *vx = runtime_self()->vc_context;
	uintptr_t record = frame != NULL ? frame->record : (uintptr_t)__builtin_frame_address(0);
	unsigned n = 0;

	while (n < max && record % sizeof(uintptr_t) == 0 && record >= vx->vx_low &&
	    record + 2 * sizeof(uintptr_t) <= vx->vx_high) {
		const uintptr_t *words = (const uintptr_t *)record;

		if (words[1] == 0)
			break;
		pcs[n++] = words[1];
		if (words[0] <= record)
			break;
		record = words[0];
	}
	return n;
}

void
machine_print_frame(const struct trapframe *frame)
{
	printf("interrupted at frame %#lx\n", frame->record);
}

void
machine_exit(unsigned status)
{
	runtime_exit(status == BOOT_EXIT_PASS ? 0 : status == BOOT_EXIT_FAIL ? 1 : 2);
}

void
machine_reboot(void)
{
	runtime_exit(0);
}

void
machine_halt(void)
{
	struct cpu_md *vc = runtime_self();

	vc->vc_intr_on = false;
	for (;;)
		runtime_wait(atomic_load_explicit(&vc->vc_signals, memory_order_relaxed));
}
