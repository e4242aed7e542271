/*
 * Every context that code can stand in.
 */
#include "tests/kernel/context.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/softint.h"
#include "kernel/spinlock.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

/* What the handlers run; one at a time. */
static struct {
	void (*func)(void *);
	void *arg;
	_Atomic(struct cpu_info *) nmi; /* whose NMI is to serve it; NULL */
	_Atomic uint64_t done;
} context_request;

static struct spinlock context_lock = SPINLOCK_INIT("context");

static void
context_serve(void)
{
	context_request.func(context_request.arg);
	atomic_store_explicit(&context_request.done, 1, memory_order_release);
}

static void
context_soft(void *arg __attribute__((unused)))
{
	context_serve();
}

static void
context_hard(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	context_serve();
}

static bool
context_nmi(struct trapframe *frame __attribute__((unused)))
{
	struct cpu_info *self = curcpu();

	/* Each CPU is shown all its NMIs: those of others see nothing but this. */
	if (!atomic_compare_exchange_strong_explicit(
		&context_request.nmi, &self, NULL, memory_order_acquire, memory_order_relaxed))
		return false;
	context_serve();
	return true;
}

static void
context_low(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	context_serve();
}

static void
context_by_softint(void)
{
	void *cookie = softint_establish(SOFTINT_SERIAL, context_soft, NULL);

	if (cookie == NULL)
		return;
	softint_schedule(cookie);
	softint_disestablish(cookie);
}

static void
context_by_interrupt(void)
{
	machine_send_ipi(curcpu(), test_vector(context_hard));
	(void)calls_spin_until(&context_request.done, 1);
}

static void
context_by_nmi(void)
{
	static bool established;

	if (!established)
		nmi_establish(context_nmi);
	established = true;
	atomic_store_explicit(&context_request.nmi, curcpu(), memory_order_release);
	(void)!machine_send_nmi(curcpu());
	(void)calls_spin_until(&context_request.done, 1);
}

static void
context_early(void)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		others_set_target(ci, false);
	context_serve();
	CPU_INFO_FOREACH(ci)
		others_set_target(ci, true);
}

/* In a thread, which some of its states keep from being switched. */
static void
context_in_thread(enum context context)
{
	bool intr;

	switch (context) {
	case CONTEXT_SPINLOCK:
		spinlock_enter(&context_lock);
		context_serve();
		spinlock_exit(&context_lock);
		break;
	case CONTEXT_NOPREEMPT:
		kpreempt_disable();
		context_serve();
		kpreempt_enable();
		break;
	case CONTEXT_INTR_OFF:
		intr = machine_intr_disable();
		context_serve();
		machine_intr_restore(intr);
		break;
	default:
		context_serve();
		break;
	}
}

bool
context_run(enum context context, void (*func)(void *), void *arg)
{
	context_request.func = func;
	context_request.arg = arg;
	atomic_store_explicit(&context_request.done, 0, memory_order_relaxed);
	switch (context) {
	case CONTEXT_SOFTINT:
		context_by_softint();
		break;
	case CONTEXT_HARDIRQ:
		context_by_interrupt();
		break;
	case CONTEXT_NMI:
		context_by_nmi();
		break;
	case CONTEXT_FUNCTION:
		(void)xc_wait(xc_unicast(0, context_low, NULL, NULL, curcpu()));
		break;
	case CONTEXT_EARLY:
		context_early();
		break;
	default:
		context_in_thread(context);
		break;
	}
	return atomic_load_explicit(&context_request.done, memory_order_acquire) != 0;
}
