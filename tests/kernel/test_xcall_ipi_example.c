/*
 * The examples of ipi(9), as they stand there (tests/lint/examples compares them), at work.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"

struct gift {
	_Atomic(struct gift *) next;
};

struct gifts {
	_Atomic(struct gift *) given; /* by any CPU */
	unsigned taken;               /* by its own CPU */
};

static struct gifts *gifts; /* one a CPU */
static unsigned gifts_ipi;

/* The owner's interrupt: takes all there are. */
static void
gifts_take(void *arg)
{
	struct gifts *own = &gifts[curcpu()->ci_index];
	struct gift *gift;

	(void)arg;
	gift = atomic_exchange_explicit(&own->given, NULL, memory_order_acquire);
	for (; gift != NULL; gift = atomic_load_explicit(&gift->next, memory_order_relaxed))
		own->taken++;
}

/* Any context but a non-maskable interrupt. */
static void
gifts_give(struct gift *gift, struct cpu_info *owner)
{
	struct gifts *theirs = &gifts[owner->ci_index];
	struct gift *first = atomic_load_explicit(&theirs->given, memory_order_relaxed);

	do {
		atomic_store_explicit(&gift->next, first, memory_order_relaxed);
	} while (!atomic_compare_exchange_weak_explicit(
	    &theirs->given, &first, gift, memory_order_release, memory_order_relaxed));
	if (first == NULL)
		ipi_trigger(gifts_ipi, owner);
}

static bool
gifts_attach(void)
{
	gifts_ipi = ipi_register(gifts_take, NULL);
	return gifts_ipi != 0;
}

#define GIFTS_EACH 40

/* Gives to each CPU in turn. */
static void
gifts_giver(void *arg)
{
	struct gift *gift = arg;

	for (unsigned i = 0; i < GIFTS_EACH * ncpu; i++)
		gifts_give(&gift[i], cpu_lookup(i % ncpu));
}

TEST_CASE(xcall_ipi_example, gifts_are_all_taken)
{
	unsigned each = GIFTS_EACH * ncpu, wrong = 0;
	struct gift *gift = crew_alloc(ncpu * each, sizeof(*gift));
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;

	gifts = crew_alloc(ncpu, sizeof(*gifts));
	T_ASSERT(gifts_attach());
	CPU_INFO_FOREACH(ci)
		crew_start(
		    &job[ci->ci_index], ci, PRI_KERNEL, gifts_giver, &gift[ci->ci_index * each]);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	ipi_unregister(gifts_ipi);
	for (unsigned i = 0; i < ncpu; i++)
		wrong += gifts[i].taken != GIFTS_EACH * ncpu;
	crew_free(gifts, ncpu, sizeof(*gifts));
	crew_free(job, ncpu, sizeof(*job));
	crew_free(gift, ncpu * each, sizeof(*gift));
	T_ASSERT_EQ(wrong, 0);
}

struct census {
	_Atomic unsigned idle;
};

static void
census_look(void *arg)
{
	struct census *census = arg;

	if (curlwp->l_pri == PRI_IDLE)
		atomic_fetch_add_explicit(&census->idle, 1, memory_order_relaxed);
}

static unsigned
census_idle(void)
{
	struct census census = { .idle = 0 };
	ipi_msg_t msg = { .func = census_look, .arg = &census };

	ipi_broadcast(&msg, true);
	ipi_wait(&msg);
	return atomic_load_explicit(&census.idle, memory_order_relaxed);
}

TEST_CASE(xcall_ipi_example, the_census_counts_others)
{
	T_ASSERT(census_idle() <= ncpu - 1);
}
