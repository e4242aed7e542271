/*
 * Threads and gates for tests that need several actors.
 */
#include "tests/kernel/crew.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/kmem.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "tests/kernel/test.h"

static void
crew_main(void *arg)
{
	struct crew_job *job = arg;

	job->func(job->arg);
	/* Release: pairs with crew_reached(). */
	atomic_store_explicit(&job->done, 1, memory_order_release);
}

void
crew_start(struct crew_job *job, struct cpu_info *ci, pri_t pri, void (*func)(void *), void *arg)
{
	job->func = func;
	job->arg = arg;
	job->thread = NULL;
	atomic_store_explicit(&job->done, 0, memory_order_relaxed);
	if (kthread_create(pri, KTHREAD_MUSTJOIN, ci, crew_main, job, &job->thread, "crew/%u",
		ci->ci_index) != 0)
		test_fail(__FILE__, __LINE__, "a thread can be created");
}

void
crew_join(struct crew_job *job)
{
	if (job->thread != NULL)
		kthread_join(job->thread);
	job->thread = NULL;
}

bool
crew_reached(_Atomic uint64_t *counter, uint64_t value, uint64_t within_ns)
{
	uint64_t end = clock_ns() + within_ns;

	/* Acquire: pairs with the release of whoever counts. */
	while (atomic_load_explicit(counter, memory_order_acquire) < value) {
		if (clock_ns() > end)
			return false;
		kthread_sleep_ns(1000000);
	}
	return true;
}

void
gate_init(struct gate *gate)
{
	mutex_init(&gate->lock, MUTEX_DEFAULT, IPL_NONE, "gate");
	cv_init(&gate->opened, "gate");
	gate->open = false;
}

void
gate_pass(struct gate *gate)
{
	mutex_enter(&gate->lock);
	while (!gate->open)
		cv_wait(&gate->opened, &gate->lock);
	mutex_exit(&gate->lock);
}

void
gate_open(struct gate *gate)
{
	mutex_enter(&gate->lock);
	gate->open = true;
	cv_broadcast(&gate->opened);
	mutex_exit(&gate->lock);
}

void
gate_destroy(struct gate *gate)
{
	cv_destroy(&gate->opened);
	mutex_destroy(&gate->lock);
}

static size_t
crew_pages(unsigned n, unsigned bytes)
{
	return ((size_t)n * bytes + PAGE_BYTES - 1) / PAGE_BYTES;
}

void *
crew_alloc(unsigned n, unsigned bytes)
{
	void *memory = kmem_page_alloc(crew_pages(n, bytes));

	KASSERTMSG(memory != NULL, "no memory for a test");
	return memory;
}

void
crew_free(void *memory, unsigned n, unsigned bytes)
{
	kmem_page_free(memory, crew_pages(n, bytes));
}

uint64_t
crew_random(uint64_t *state)
{
	/* Marsaglia's xorshift64. */
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}
