/*
 * Running functions of the hard level, in few instructions (xc_run.c).
 */
#ifndef XCALL_XC_RUN_HARD_H
#define XCALL_XC_RUN_HARD_H

#include "xcall/xc_run.h"

/* What a function must leave as it found it, in a word: preemption off, spinlocks. */
static inline uint64_t
xc_run_held(const struct cpu_info *ci)
{
	return (uint64_t)ci->ci_nopreempt << 32 | ci->ci_spin_depth;
}

/* Panics: that word is another one now, interrupts are on, or the stack is another one. */
_Noreturn void xc_run_blame_hard(uintptr_t func, uint64_t held, bool elsewhere);

/* Calls a function of the hard level.  Adaptive mutexes refuse it by themselves. */
static inline void
xc_run_hard_function(xcfunc_t func, void *arg1, void *arg2)
{
	uint64_t held = xc_run_held(curcpu());
	uintptr_t sp = machine_stack_pointer();

	(*func)(arg1, arg2);
	if (xc_run_held(curcpu()) != held || machine_intr_enabled() ||
	    machine_stack_pointer() != sp)
		xc_run_blame_hard((uintptr_t)func, held, machine_stack_pointer() != sp);
}

/* Runs a handler on top of the hard level's stack, as nobody's call.  Hard interrupt context. */
static inline void
xc_run_hard(struct xc_stack *stack, void (*func)(void *), void *arg)
{
	unsigned depth = atomic_load_explicit(&stack->k_depth, memory_order_relaxed);
	uint64_t held = xc_run_held(curcpu());
	uintptr_t sp = machine_stack_pointer();

	KASSERT(depth < XC_DEPTH_MAX);
	/* The record says which function it is; nobody calls it from there. */
	xc_run_begin(stack, depth, 0, (xcfunc_t)(uintptr_t)func, machine_cycles_early());
	(*func)(arg);
	if (xc_run_held(curcpu()) != held || machine_intr_enabled() ||
	    machine_stack_pointer() != sp)
		xc_run_blame_hard((uintptr_t)func, held, machine_stack_pointer() != sp);
	xc_run_end(stack, depth);
}

#endif
