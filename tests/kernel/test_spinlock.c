/*
 * Spinlocks: exclusion, interrupts, fairness.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/spinlock.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

/* Rounds are bounded by time: a ticket lock with more CPUs than the host has cores crawls. */
#define SPINLOCK_ROUNDS 20000
#define SPINLOCK_ROUNDS_NS 500000000ull
#define SPINLOCK_CREW 8

struct spinlock_shared {
	struct spinlock lock;
	struct crew_job job[SPINLOCK_CREW];
	uint64_t count; /* guarded by lock, if it works */
	_Atomic uint64_t rounds, started;
	unsigned order[SPINLOCK_CREW], norder; /* guarded by lock */
};

static struct spinlock_shared spinlock_shared;

static unsigned
spinlock_crew_size(void)
{
	return ncpu < SPINLOCK_CREW ? ncpu : SPINLOCK_CREW;
}

static struct spinlock_shared *
spinlock_setup(void)
{
	struct spinlock_shared *s = &spinlock_shared;

	spinlock_init(&s->lock, "test");
	s->count = 0;
	s->norder = 0;
	atomic_store_explicit(&s->rounds, 0, memory_order_relaxed);
	atomic_store_explicit(&s->started, 0, memory_order_relaxed);
	return s;
}

/* Waits for the rest of the crew, so that all fight at once. */
static void
spinlock_line_up(struct spinlock_shared *s)
{
	atomic_fetch_add_explicit(&s->started, 1, memory_order_relaxed);
	while (atomic_load_explicit(&s->started, memory_order_relaxed) < spinlock_crew_size())
		machine_pause();
}

static void
spinlock_counter(void *arg)
{
	struct spinlock_shared *s = arg;
	uint64_t end = clock_ns() + SPINLOCK_ROUNDS_NS, n;

	spinlock_line_up(s);
	for (n = 0; n < SPINLOCK_ROUNDS && clock_ns() < end; n++) {
		uint64_t seen;

		spinlock_enter(&s->lock);
		seen = s->count;
		machine_pause();
		s->count = seen + 1;
		spinlock_exit(&s->lock);
	}
	atomic_fetch_add_explicit(&s->rounds, n, memory_order_relaxed);
}

TEST_CASE(spinlock, excludes_all_cpus)
{
	struct spinlock_shared *s = spinlock_setup();
	unsigned n = spinlock_crew_size();

	for (unsigned i = 0; i < n; i++)
		crew_start(&s->job[i], cpu_lookup(i), PRI_KERNEL, spinlock_counter, s);
	for (unsigned i = 0; i < n; i++)
		crew_join(&s->job[i]);
	T_ASSERT_EQ(s->count, atomic_load_explicit(&s->rounds, memory_order_relaxed));
	T_ASSERT(s->count > n);
}

TEST_CASE(spinlock, interrupts_are_off_inside_and_restored)
{
	struct spinlock_shared *s = spinlock_setup();
	bool inside, after;

	T_ASSERT(machine_intr_enabled());
	spinlock_enter(&s->lock);
	inside = machine_intr_enabled();
	spinlock_exit(&s->lock);
	T_ASSERT(!inside);
	T_ASSERT(machine_intr_enabled());

	T_ASSERT(machine_intr_disable());
	spinlock_enter(&s->lock);
	spinlock_exit(&s->lock);
	after = machine_intr_enabled();
	machine_intr_restore(true);
	T_ASSERT(!after);
}

/* Enters a, b, c and leaves them in the order that the three digits give. */
static bool
spinlock_nest(struct spinlock lock[3], unsigned first, unsigned second, unsigned third)
{
	bool off = true;

	for (unsigned i = 0; i < 3; i++)
		spinlock_enter(&lock[i]);
	off &= curcpu()->ci_spin_depth == 3;
	spinlock_exit(&lock[first]);
	off &= !machine_intr_enabled() && !spinlock_owned(&lock[first]);
	spinlock_exit(&lock[second]);
	off &= !machine_intr_enabled() && spinlock_owned(&lock[third]);
	spinlock_exit(&lock[third]);
	return off && machine_intr_enabled() && curcpu()->ci_spin_depth == 0;
}

TEST_CASE(spinlock, nests_in_any_order_of_release)
{
	struct spinlock lock[3];

	for (unsigned i = 0; i < 3; i++)
		spinlock_init(&lock[i], "nested");
	T_ASSERT(spinlock_nest(lock, 0, 1, 2));
	T_ASSERT(spinlock_nest(lock, 0, 2, 1));
	T_ASSERT(spinlock_nest(lock, 1, 0, 2));
	T_ASSERT(spinlock_nest(lock, 1, 2, 0));
	T_ASSERT(spinlock_nest(lock, 2, 0, 1));
	T_ASSERT(spinlock_nest(lock, 2, 1, 0));
}

TEST_CASE(spinlock, owned_only_inside)
{
	struct spinlock_shared *s = spinlock_setup();
	bool inside;

	T_ASSERT(!spinlock_owned(&s->lock));
	spinlock_enter(&s->lock);
	inside = spinlock_owned(&s->lock);
	spinlock_exit(&s->lock);
	T_ASSERT(inside);
	T_ASSERT(!spinlock_owned(&s->lock));
}

TEST_CASE(spinlock, tryenter_takes_a_free_lock)
{
	struct spinlock_shared *s = spinlock_setup();
	bool inside;

	for (unsigned i = 0; i < 3; i++) {
		T_ASSERT(spinlock_tryenter(&s->lock));
		inside = machine_intr_enabled() || !spinlock_owned(&s->lock);
		spinlock_exit(&s->lock);
		T_ASSERT(!inside);
		T_ASSERT(machine_intr_enabled());
	}
	/* It mixes with enter: tickets stay in step. */
	spinlock_enter(&s->lock);
	spinlock_exit(&s->lock);
	T_ASSERT(spinlock_tryenter(&s->lock));
	spinlock_exit(&s->lock);
}

/* Tries for a lock that another CPU holds, and reports in rounds: 1 refused, 2 taken or worse. */
static void
spinlock_trier(void *arg)
{
	struct spinlock_shared *s = arg;
	uint64_t result = 2;

	if (spinlock_tryenter(&s->lock))
		spinlock_exit(&s->lock);
	else if (machine_intr_enabled() && curcpu()->ci_spin_depth == 0)
		result = 1;
	atomic_store_explicit(&s->rounds, result, memory_order_release);
}

TEST_CASE(spinlock, tryenter_refuses_a_held_lock)
{
	struct spinlock_shared *s = spinlock_setup();
	uint64_t result;

	if (ncpu < 2) {
		test_skip("a second CPU must try");
		return;
	}
	spinlock_enter(&s->lock);
	crew_start(&s->job[0], cpu_lookup(1), PRI_KERNEL, spinlock_trier, s);
	while ((result = atomic_load_explicit(&s->rounds, memory_order_acquire)) == 0)
		machine_pause();
	spinlock_exit(&s->lock);
	crew_join(&s->job[0]);
	T_ASSERT_EQ(result, 1);
}

static void
spinlock_queue_up(void *arg)
{
	struct spinlock_shared *s = arg;

	spinlock_enter(&s->lock);
	s->order[s->norder++] = curcpu()->ci_index;
	spinlock_exit(&s->lock);
}

TEST_CASE(spinlock, serves_in_order_of_arrival)
{
	struct spinlock_shared *s = spinlock_setup();
	unsigned n = spinlock_crew_size();

	if (ncpu < 3) {
		test_skip("two other CPUs must wait");
		return;
	}
	/* Backwards, so that the order is not that of the indexes. */
	spinlock_enter(&s->lock);
	for (unsigned i = n - 1; i != 0; i--) {
		crew_start(&s->job[i], cpu_lookup(i), PRI_KERNEL, spinlock_queue_up, s);
		while (atomic_load_explicit(&s->lock.sl_next, memory_order_relaxed) != n - i + 1)
			machine_pause();
	}
	spinlock_exit(&s->lock);
	for (unsigned i = 1; i < n; i++)
		crew_join(&s->job[i]);
	T_ASSERT_EQ(s->norder, n - 1);
	for (unsigned i = 0; i < s->norder; i++)
		T_ASSERT_EQ(s->order[i], n - 1 - i);
}
