/*
 * Cross calls inside cross calls: how deep a stack they make.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/xc_run.h"

/* What a trap, a panic and its backtrace may need on top (param.h). */
#define STACK_LEFT_BYTES 4096

static _Atomic uint64_t stack_left, stack_failed;

static void
stack_check(bool right)
{
	if (!right)
		atomic_fetch_add_explicit(&stack_failed, 1, memory_order_relaxed);
}

/* Calls its own CPU and waits, to the bound; there it looks what is left. */
static void
stack_hard(void *arg1, void *arg2)
{
	uintptr_t levels = (uintptr_t)arg1;

	stack_check(calls_context_is(XC_LEVEL_HARD));
	if (levels > 1)
		stack_check(xc_wait(xc_unicast(
				XC_HARD, stack_hard, (void *)(levels - 1), arg2, curcpu())) == 0);
	else
		atomic_store_explicit(&stack_left, (uintptr_t)&levels - (uintptr_t)curlwp->l_stack,
		    memory_order_release);
}

/* A soft interrupt of each level interrupts the one below. */
static void
stack_soft(void *arg1, void *arg2)
{
	enum xc_level level = (enum xc_level)(uintptr_t)arg1;
	bool last = level + 1 == XC_LEVEL_HARD;

	stack_check(calls_context_is(level));
	stack_check(!XC_ISERR(xc_unicast(calls_flags(level + 1), last ? stack_hard : stack_soft,
	    (void *)(uintptr_t)(last ? XC_DEPTH_MAX : level + 1), arg2, curcpu())));
}

static void
stack_low(void *arg1, void *arg2)
{
	uintptr_t levels = (uintptr_t)arg1;

	stack_check(calls_context_is(XC_LEVEL_LOW));
	if (levels > 1)
		stack_check(
		    xc_wait(xc_unicast(0, stack_low, (void *)(levels - 1), arg2, curcpu())) == 0);
	else
		stack_check(!XC_ISERR(xc_unicast(calls_flags(XC_LEVEL_SOFTCLOCK), stack_soft,
		    (void *)(uintptr_t)XC_LEVEL_SOFTCLOCK, arg2, curcpu())));
}

/* Functions of every level on top of each other, as deep as they may. */
TEST_CASE(xcall_stack, the_deepest_nesting_fits_a_stack)
{
	atomic_store_explicit(&stack_left, 0, memory_order_relaxed);
	atomic_store_explicit(&stack_failed, 0, memory_order_relaxed);
	T_ASSERT_EQ(
	    xc_wait(xc_unicast(0, stack_low, (void *)(uintptr_t)XC_DEPTH_MAX, NULL, others_last())),
	    0);
	T_ASSERT_EQ(atomic_load_explicit(&stack_failed, memory_order_relaxed), 0);
	T_ASSERT(atomic_load_explicit(&stack_left, memory_order_acquire) >= STACK_LEFT_BYTES);
}
