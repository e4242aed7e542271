/*
 * What torture counts, throws and finds.
 */
#include "tests/kernel/torture_count.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/printf.h"

/* Those behind are only counted. */
#define COUNT_WRONGS 16u

struct count_wrong {
	const char *what;
	uint64_t tag, a, b;
	unsigned cpu;
	_Atomic bool there;
};

static _Atomic uint64_t count_sum[TORTURE_COUNTERS];
static struct count_wrong count_wrong[COUNT_WRONGS];
static _Atomic uint32_t count_wrongs;

void
torture_count(enum torture_counter counter, uint64_t n)
{
	atomic_fetch_add_explicit(&count_sum[counter], n, memory_order_relaxed);
}

uint64_t
torture_counted(enum torture_counter counter)
{
	return atomic_load_explicit(&count_sum[counter], memory_order_relaxed);
}

void
torture_count_reset(void)
{
	for (unsigned i = 0; i < TORTURE_COUNTERS; i++)
		atomic_store_explicit(&count_sum[i], 0, memory_order_relaxed);
	for (unsigned i = 0; i < COUNT_WRONGS; i++)
		atomic_store_explicit(&count_wrong[i].there, false, memory_order_relaxed);
	atomic_store_explicit(&count_wrongs, 0, memory_order_relaxed);
}

uint64_t
torture_hash(uint64_t x)
{
	/* The finaliser of splitmix64. */
	x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
	x = (x ^ x >> 27) * 0x94d049bb133111eb;
	return x ^ x >> 31;
}

uint64_t
torture_throw(struct torture_dice *dice)
{
	dice->state += 0x9e3779b97f4a7c15;
	return torture_hash(dice->state);
}

unsigned
torture_below(struct torture_dice *dice, unsigned n)
{
	return (unsigned)((torture_throw(dice) >> 32) * n >> 32);
}

bool
torture_percent(struct torture_dice *dice, unsigned percent)
{
	return torture_below(dice, 100) < percent;
}

unsigned
torture_members(uint64_t set)
{
	unsigned n = 0;

	for (; set != 0; set &= set - 1)
		n++;
	return n;
}

void
torture_wrong(const char *what, uint64_t tag, uint64_t a, uint64_t b)
{
	uint32_t n = atomic_fetch_add_explicit(&count_wrongs, 1, memory_order_relaxed);
	struct count_wrong *wrong = &count_wrong[n];

	if (n >= COUNT_WRONGS)
		return;
	wrong->what = what;
	wrong->tag = tag;
	wrong->a = a;
	wrong->b = b;
	wrong->cpu = curcpu()->ci_index;
	/* Release: pairs with the acquire in torture_print_wrongs(). */
	atomic_store_explicit(&wrong->there, true, memory_order_release);
}

unsigned
torture_wrongs(void)
{
	return atomic_load_explicit(&count_wrongs, memory_order_relaxed);
}

void
torture_print_wrongs(uint64_t seed)
{
	for (unsigned i = 0; i < COUNT_WRONGS; i++) {
		const struct count_wrong *wrong = &count_wrong[i];

		if (!atomic_load_explicit(&wrong->there, memory_order_acquire))
			continue;
		printf(
		    "torture: VIOLATION: %s: call %#lx, seen on CPU %u, values %#lx %#lx, seed %lu\n",
		    wrong->what, wrong->tag, wrong->cpu, wrong->a, wrong->b, seed);
	}
}
