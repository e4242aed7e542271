/*
 * Interrupt vectors: the table of handlers and the dispatcher.
 *
 * Counters are kept by each CPU for itself and summed by the reader: an interrupt writes no line
 * that another CPU writes.  Interrupts stay off in handlers, so they do not nest and a counter
 * needs no atomic increment, only stores that a reader on another CPU sees whole.
 */
#include "kernel/intr.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/sched.h"

/* Vectors below belong to exceptions (SDM vol. 3, 6.3.1). */
#define INTR_VECTOR_MIN 32

struct intr_source {
	_Atomic(intr_handler_t) is_handler; /* set once, last; NULL: unclaimed */
	void *is_arg;
	const char *is_name;
};

static struct intr_source intr_source[CPU_VECTORS];

void
intr_establish(unsigned vector, intr_handler_t handler, void *arg, const char *name)
{
	struct intr_source *is;

	KASSERTMSG(vector >= INTR_VECTOR_MIN && vector < CPU_VECTORS, "vector %u", vector);
	is = &intr_source[vector];
	KASSERTMSG(atomic_load_explicit(&is->is_handler, memory_order_relaxed) == NULL,
	    "vector %u belongs to %s, wanted by %s", vector, is->is_name, name);
	is->is_arg = arg;
	is->is_name = name;
	/* Release: pairs with the acquire in intr_dispatch(). */
	atomic_store_explicit(&is->is_handler, handler, memory_order_release);
}

/* Only this CPU writes the counter, with interrupts off. */
static void
intr_count_one(_Atomic uint64_t *counter)
{
	uint64_t n = atomic_load_explicit(counter, memory_order_relaxed);

	atomic_store_explicit(counter, n + 1, memory_order_relaxed);
}

void
intr_dispatch(unsigned vector, struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();
	struct intr_source *is;
	intr_handler_t handler;
	unsigned spin_depth = ci->ci_spin_depth;

	KASSERTMSG(vector >= INTR_VECTOR_MIN && vector < CPU_VECTORS, "vector %u", vector);
	ci->ci_intr_depth++;
	intr_count_one(&ci->ci_intr_count[vector]);
	is = &intr_source[vector];
	/* Acquire: pairs with intr_establish(). */
	handler = atomic_load_explicit(&is->is_handler, memory_order_acquire);
	if (handler != NULL)
		handler(is->is_arg, frame);
	else
		intr_count_one(&ci->ci_intr_unclaimed);
	KASSERTMSG(!machine_intr_enabled() && ci->ci_spin_depth == spin_depth,
	    "handler of vector %u (%s) left interrupts %s and %u spinlocks held", vector,
	    is->is_name != NULL ? is->is_name : "unclaimed", machine_intr_enabled() ? "on" : "off",
	    ci->ci_spin_depth - spin_depth);
	/* A spurious interrupt sets no in-service bit (SDM vol. 3, 11.9); an EOI for one that came
	 * through the legacy controllers finds none set and does nothing. */
	if (vector != INTR_VECTOR_SPURIOUS)
		machine_intr_eoi();
	if (--ci->ci_intr_depth == 0)
		sched_intr_exit();
}

uint64_t
intr_count(unsigned vector)
{
	struct cpu_info *ci;
	uint64_t sum = 0;

	KASSERTMSG(vector < CPU_VECTORS, "vector %u", vector);
	CPU_INFO_FOREACH(ci)
		sum += atomic_load_explicit(&ci->ci_intr_count[vector], memory_order_relaxed);
	return sum;
}

uint64_t
intr_unclaimed(void)
{
	struct cpu_info *ci;
	uint64_t sum = 0;

	CPU_INFO_FOREACH(ci)
		sum += atomic_load_explicit(&ci->ci_intr_unclaimed, memory_order_relaxed);
	return sum;
}
