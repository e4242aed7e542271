/*
 * Counters of each CPU.
 *
 * A CPU adds with interrupts off and no locked instruction, since nobody else writes its count.
 * That is why only it can set it to zero: a hard call, which cannot fall between its load and its
 * store.  The count of a CPU that is offline can be read by anybody, but not set: the CPU may come
 * back at any moment.
 */
#include "kernel/clients/pcounter.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "xcall/xcall.h"

struct pcounter_cpu {
	_Atomic uint64_t pc_count; /* written by its CPU, with interrupts off */
} __attribute__((aligned(CACHE_LINE_BYTES)));

struct pcounter {
	struct pcounter_cpu *p_cpu; /* ncpu of them */
};

struct pcounter_request {
	struct pcounter *counter;
	bool take;
	_Atomic uint64_t sum;
	_Atomic uint64_t seen[CPUSET_WORDS]; /* CPUs that have answered */
};

struct pcounter *
pcounter_create(void)
{
	struct pcounter *counter = kmem_boot_alloc(sizeof(*counter));

	counter->p_cpu = kmem_boot_alloc(ncpu * sizeof(*counter->p_cpu));
	return counter;
}

void
pcounter_add(struct pcounter *counter, uint64_t n)
{
	bool intr = machine_intr_disable();
	_Atomic uint64_t *count = &counter->p_cpu[curcpu()->ci_index].pc_count;

	/* Relaxed: this CPU's own; a reader elsewhere gets it through the cross call. */
	atomic_store_explicit(
	    count, atomic_load_explicit(count, memory_order_relaxed) + n, memory_order_relaxed);
	machine_intr_restore(intr);
}

/* On each CPU, in a hard interrupt. */
static void
pcounter_visit(void *arg1, void *arg2 __attribute__((unused)))
{
	struct pcounter_request *request = arg1;
	_Atomic uint64_t *count = &request->counter->p_cpu[curcpu()->ci_index].pc_count;

	atomic_fetch_add_explicit(
	    &request->sum, atomic_load_explicit(count, memory_order_relaxed), memory_order_relaxed);
	if (request->take)
		atomic_store_explicit(count, 0, memory_order_relaxed);
	atomic_fetch_or_explicit(&request->seen[curcpu()->ci_index / 64],
	    UINT64_C(1) << curcpu()->ci_index % 64, memory_order_relaxed);
}

/* Asks every CPU that is online; the sum of what they said. */
static uint64_t
pcounter_ask(struct pcounter_request *request)
{
	uint64_t where = xc_broadcast(XC_HARD, pcounter_visit, request, NULL);

	KASSERTMSG(!XC_ISERR(where), "pcounter: error %d", XC_ERRNO(where));
	xc_wait(where);
	return atomic_load_explicit(&request->sum, memory_order_relaxed);
}

uint64_t
pcounter_read(const struct pcounter *counter)
{
	struct pcounter_request request = { .counter = (struct pcounter *)(uintptr_t)counter };
	uint64_t sum = pcounter_ask(&request);

	for (unsigned i = 0; i < ncpu; i++)
		if ((atomic_load_explicit(&request.seen[i / 64], memory_order_relaxed) >> i % 64 &
			1) == 0)
			sum += atomic_load_explicit(
			    &counter->p_cpu[i].pc_count, memory_order_relaxed);
	return sum;
}

uint64_t
pcounter_take(struct pcounter *counter)
{
	struct pcounter_request request = { .counter = counter, .take = true };

	return pcounter_ask(&request);
}
