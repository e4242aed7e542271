/*
 * A CPU that keeps interrupts off, and one that counts.
 */
#include "tests/kernel/masked.h"

#include "tests/kernel/test.h"

static void
masked_spin(void *arg)
{
	struct masked *masked = arg;
	bool intr = machine_intr_disable();

	atomic_store_explicit(&masked->inside, 1, memory_order_release);
	while (atomic_load_explicit(&masked->release, memory_order_acquire) == 0)
		machine_pause();
	machine_intr_restore(intr);
}

void
masked_begin(struct masked *masked, struct cpu_info *ci)
{
	atomic_store_explicit(&masked->inside, 0, memory_order_relaxed);
	atomic_store_explicit(&masked->release, 0, memory_order_relaxed);
	crew_start(&masked->job, ci, PRI_KERNEL, masked_spin, masked);
	(void)test_wait_at_least(&masked->inside, 1);
}

void
masked_release(struct masked *masked)
{
	atomic_store_explicit(&masked->release, 1, memory_order_release);
}

void
masked_end(struct masked *masked)
{
	masked_release(masked);
	crew_join(&masked->job);
}

static void
counter_run(void *arg)
{
	struct counter *counter = arg;

	while (atomic_load_explicit(&counter->stop, memory_order_acquire) == 0) {
		atomic_fetch_add_explicit(&counter->count, 1, memory_order_release);
		machine_pause();
	}
}

void
counter_begin(struct counter *counter, struct cpu_info *ci)
{
	atomic_store_explicit(&counter->count, 0, memory_order_relaxed);
	atomic_store_explicit(&counter->stop, 0, memory_order_relaxed);
	crew_start(&counter->job, ci, PRI_USER, counter_run, counter);
	(void)test_wait_at_least(&counter->count, 1);
}

void
counter_end(struct counter *counter)
{
	atomic_store_explicit(&counter->stop, 1, memory_order_release);
	crew_join(&counter->job);
}

bool
counter_moves(struct counter *counter)
{
	uint64_t now = atomic_load_explicit(&counter->count, memory_order_acquire);

	return test_wait_at_least(&counter->count, now + 1);
}
