/*
 * Races on purpose: a run of one of these in which ThreadSanitizer stays silent proves nothing.
 * `run --races` wants a report from each (misuse=race_...  on the command line).
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "tests/kernel/twin_seed.h"
#include "xcall/xcall.h"

/* Plain memory. */
static uint64_t race_data;

static void
race_store(void *arg1, void *arg2 __attribute__((unused)))
{
	race_data++;
	/* Relaxed: says that it ran, and orders nothing. */
	atomic_fetch_add_explicit((_Atomic uint64_t *)arg1, 1, memory_order_relaxed);
}

static void
race_await(_Atomic uint64_t *counter, uint64_t value)
{
	while (atomic_load_explicit(counter, memory_order_relaxed) < value)
		machine_pause();
}

/* Defect 7 of the calls of 2008 (test_xcall_seed.c): the fast path of the wait has no acquire. */
TEST_MISUSE(race_seed_wait)
{
	_Atomic uint64_t ran = 0;
	uint64_t where;

	twin_start(false);
	where = twin_unicast(0, race_store, &ran, NULL, cpu_lookup(ncpu - 1));
	race_await(&ran, 1);
	/* Until it is counted as well. */
	kthread_sleep_ns(100000000);
	(void)twin_wait(where);
	race_data++;
	twin_stop();
}

/* Nobody waits at all: what a call has done is not seen before its end. */
TEST_MISUSE(race_without_wait)
{
	_Atomic uint64_t ran = 0;

	(void)xc_unicast(0, race_store, &ran, NULL, cpu_lookup(ncpu - 1));
	race_await(&ran, 1);
	race_data++;
}

/* The argument is changed behind the post. */
TEST_MISUSE(race_after_post)
{
	_Atomic uint64_t ran = 0;
	uint64_t where = xc_unicast(0, race_store, &ran, NULL, cpu_lookup(ncpu - 1));

	race_data++;
	xc_wait(where);
}

static void
race_thread(void *arg)
{
	_Atomic uint64_t *here = arg;

	atomic_fetch_add_explicit(here, 1, memory_order_relaxed);
	race_await(here, 2);
	for (unsigned i = 0; i < 1000; i++) {
		race_data++;
		machine_pause();
	}
}

/* Two CPUs and no lock. */
TEST_MISUSE(race_without_lock)
{
	_Atomic uint64_t here = 0;
	struct crew_job job[2];

	for (unsigned i = 0; i < 2; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, race_thread, &here);
	for (unsigned i = 0; i < 2; i++)
		crew_join(&job[i]);
}
