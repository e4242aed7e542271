/*
 * The examples of xcall(9), as they stand there (tests/lint/examples compares them), at work.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/cpuset.h"
#include "kernel/errno.h"
#include "kernel/machine.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xcall.h"

struct tally {
	_Atomic unsigned cpus;
	_Atomic unsigned busy;
};

/* Runs on each CPU in turn of its own: looks at what only that CPU may look at. */
static void
tally_cpu(void *arg1, void *arg2)
{
	struct tally *tally = arg1;
	unsigned limit = *(const unsigned *)arg2;

	atomic_fetch_add_explicit(&tally->cpus, 1, memory_order_relaxed);
	if (curcpu()->ci_nthreads > limit)
		atomic_fetch_add_explicit(&tally->busy, 1, memory_order_relaxed);
}

static unsigned
tally_busy(unsigned limit)
{
	struct tally tally = { .cpus = 0 };

	xc_wait(xc_broadcast(0, tally_cpu, &tally, &limit));
	return atomic_load_explicit(&tally.busy, memory_order_relaxed);
}

/* Hard interrupt context: no sleep, no adaptive mutex. */
static void
stamp(void *arg1, void *arg2)
{
	(void)arg2;
	*(uint64_t *)arg1 = machine_cycles();
}

/* The cycle counter of another CPU; 0 when it is not there, or does not answer within a second. */
static uint64_t
stamp_of(struct cpu_info *ci)
{
	uint64_t cycles = 0, where;
	int error;

	where = xc_unicast(XC_HARD, stamp, &cycles, NULL, ci);
	if (XC_ISERR(where))
		return 0;
	error = xc_timedwait(where, 1000000000);
	if (error == ETIMEDOUT)
		xc_cancel(where, NULL); /* after this nothing writes to `cycles' */
	return cycles;
}

/* One of these for each CPU that a driver wants to poke, for as long as the driver is there. */
static struct xc_call poke;

static bool
poke_cpu(struct cpu_info *ci)
{
	/* EBUSY: the last poke is still on its way, which does as well. */
	int error = xc_call_post(&poke, XC_HIGHPRI, ci);

	return error == 0 || error == EBUSY;
}

static _Atomic unsigned example_poked;

static void
example_count(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
	atomic_fetch_add_explicit(&example_poked, 1, memory_order_relaxed);
}

TEST_CASE(xcall_example, of_the_manual)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct tally tally = { .cpus = 0 };
	unsigned none = 0;

	xc_wait(xc_broadcast(0, tally_cpu, &tally, &none));
	T_ASSERT_EQ(atomic_load_explicit(&tally.cpus, memory_order_relaxed), ncpu);
	T_ASSERT_EQ(tally_busy(UINT32_MAX), 0);
	/* Each CPU has its idle thread and its xcall/N. */
	T_ASSERT_EQ(tally_busy(1), ncpu);
	T_ASSERT(stamp_of(other) != 0);
	xc_call_init(&poke, example_count, NULL, NULL);
	T_ASSERT(poke_cpu(other));
	T_ASSERT_EQ(xc_call_wait(&poke), 0);
	T_ASSERT_EQ(atomic_load_explicit(&example_poked, memory_order_relaxed), 1);
}
