/*
 * Running functions, and knowing which run.
 *
 * Each level of a CPU has a stack of records of the functions on it, for those who look from
 * elsewhere: the search for closed chains, the report of a stall, the dump.  They take no lock: a
 * record may change under them, and what they make of it is checked twice (xc_chain.c) or told as
 * of a moment.
 */
#include "xcall/xc_run.h"

#include <stddef.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_slot.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_thread.h"

static unsigned
xc_run_limit(enum xc_level level)
{
	return level == XC_LEVEL_LOW || level == XC_LEVEL_HARD ? XC_DEPTH_MAX : 1;
}

void
xc_run_init(struct xc_stack *stack, enum xc_level level)
{
	stack->k_run = kmem_boot_alloc(xc_run_limit(level) * sizeof(*stack->k_run));
}

/* Apart from its callers, whose stack frames nest. */
static _Noreturn void __attribute__((noinline))
xc_run_blame(uintptr_t func, const struct xcp_context *before, bool elsewhere)
{
	const struct xcp_context after = xcp_context();
	char name[KSYMS_TEXT_BYTES];

	panic("xcall: %s did not leave its context as it found it: preemption off %u (was %u), "
	      "interrupts %s (were %s), spinlocks %u (were %u), mutexes %u (were %u), %s stack",
	    ksyms_format(func, name), after.nopreempt, before->nopreempt,
	    after.intr_on ? "on" : "off", before->intr_on ? "on" : "off", after.spinlocks,
	    before->spinlocks, after.mutexes, before->mutexes, elsewhere ? "another" : "same");
}

_Noreturn void
xc_run_blame_hard(uintptr_t func, uint64_t held, bool elsewhere)
{
	xc_run_blame(func,
	    &(struct xcp_context){
		.nopreempt = (uint32_t)(held >> 32), .spinlocks = (uint32_t)held },
	    elsewhere);
}

static void
xc_run_check(uintptr_t func, const struct xcp_context *before, bool elsewhere)
{
	struct xcp_context after = xcp_context();

	if (after.nopreempt != before->nopreempt || after.spinlocks != before->spinlocks ||
	    after.mutexes != before->mutexes || after.intr_on != before->intr_on || elsewhere)
		xc_run_blame(func, before, elsewhere);
}

void
xc_run_function(xcfunc_t func, void *arg1, void *arg2)
{
	struct xcp_context before = xcp_context();
	uintptr_t stack = machine_stack_pointer();

	(*func)(arg1, arg2);
	xc_run_check((uintptr_t)func, &before, machine_stack_pointer() != stack);
}

void
xc_run_handler(void (*func)(void *), void *arg)
{
	struct xcp_context before = xcp_context();
	uintptr_t stack = machine_stack_pointer();

	(*func)(arg);
	xc_run_check((uintptr_t)func, &before, machine_stack_pointer() != stack);
}

/* Of a descriptor: the record says so until the end. */
static void
xc_run_set_call(struct xc_run *run, struct xc_call *call, uint64_t number)
{
	/* Relaxed: on the way in the depth comes after them, on the way out before. */
	atomic_store_explicit(&run->r_call, call, memory_order_relaxed);
	atomic_store_explicit(&run->r_number, number, memory_order_relaxed);
}

void
xc_run_job(struct xc_cpu *xc, enum xc_level level, const struct xc_job *job)
{
	struct xc_stack *stack = &xc->x_stack[level];
	uint64_t since = machine_cycles();
	unsigned depth = atomic_load_explicit(&stack->k_depth, memory_order_relaxed);

	KASSERT(depth < xc_run_limit(level));
	if (job->j_call != NULL)
		xc_run_set_call(&stack->k_run[depth], job->j_call, job->j_number);
	xc_run_begin(stack, depth, job->j_ticket, job->j_func, since);
	/* Release: pairs with xc_drain_calls(), which then looks for the record. */
	if (job->j_call != NULL)
		atomic_store_explicit(
		    &xc->x_inbox[level].i_begun, job->j_number, memory_order_release);
	if (level == XC_LEVEL_HARD)
		xc_run_hard_function(job->j_func, job->j_arg1, job->j_arg2);
	else
		xc_run_function(job->j_func, job->j_arg1, job->j_arg2);
	xc_stats_run(xc, level, job->j_order, job->j_posted, since);
	if (job->j_slot != NULL) {
		xc_slot_finish(job->j_sender, job->j_slot, xc->x_ci->ci_index);
	} else {
		xc_stats_end(job->j_sender, level, job->j_order, job->j_posted);
		xc_descriptor_finish(job->j_call);
	}
	/* Last: a drain that no longer finds the record may give the descriptor away. */
	xc_run_end(stack, depth);
	if (job->j_call != NULL)
		xc_run_set_call(&stack->k_run[depth], NULL, 0);
}

unsigned
xc_run_depth(const struct xc_stack *stack)
{
	return atomic_load_explicit(&stack->k_depth, memory_order_acquire);
}

bool
xc_run_is(const struct xc_run *run, const struct xc_ref *ref)
{
	return ref->f_ticket != 0
	    ? atomic_load_explicit(&run->r_ticket, memory_order_relaxed) == ref->f_ticket
	    : atomic_load_explicit(&run->r_call, memory_order_relaxed) == ref->f_call;
}

bool
xc_run_wait(const struct xc_run *run, struct xc_ref *ref)
{
	/* Acquire: pairs with xc_run_set_wait(). */
	ref->f_ticket = atomic_load_explicit(&run->r_wait_ticket, memory_order_acquire);
	ref->f_call = atomic_load_explicit(&run->r_wait_call, memory_order_acquire);
	return ref->f_ticket != 0 || ref->f_call != NULL;
}

void
xc_run_set_wait(struct xc_run *run, const struct xc_ref *ref)
{
	/* Release: pairs with xc_run_wait(). */
	atomic_store_explicit(
	    &run->r_wait_ticket, ref != NULL ? ref->f_ticket : 0, memory_order_release);
	atomic_store_explicit(
	    &run->r_wait_call, ref != NULL ? ref->f_call : NULL, memory_order_release);
}

void
xc_run_assert_not_own(struct xc_cpu *xc, const struct xc_ref *ref, const char *who)
{
	/* The functions of xcall/N are below on this stack only in that thread; those of the other
	 * levels stand below whatever runs here now. */
	unsigned level = xc_thread_self() == xc ? XC_LEVEL_LOW : XC_LEVEL_SOFTCLOCK;
	char name[KSYMS_TEXT_BYTES];

	for (; level < XC_LEVELS; level++) {
		struct xc_stack *stack = &xc->x_stack[level];

		for (unsigned i = 0; i < xc_run_depth(stack); i++)
			KASSERTMSG(!xc_run_is(&stack->k_run[i], ref),
			    "%s: inside the call's own function %s, which it would wait for for ever",
			    who,
			    ksyms_format((uintptr_t)atomic_load_explicit(
					     &stack->k_run[i].r_func, memory_order_relaxed),
				name));
	}
}
