/*
 * Sets of CPUs: a bit each.
 */
#include "kernel/cpuset.h"

#include "kernel/panic.h"

#define CPUSET_BIT(index) (UINT64_C(1) << ((index) % 64))

void
cpuset_zero(struct cpuset *set)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++)
		set->cs_word[i] = 0;
}

void
cpuset_copy(struct cpuset *to, const struct cpuset *from)
{
	for (unsigned i = 0; i < CPUSET_WORDS; i++)
		to->cs_word[i] = from->cs_word[i];
}

void
cpuset_add(struct cpuset *set, unsigned index)
{
	KASSERT(index < MAXCPUS);
	set->cs_word[index / 64] |= CPUSET_BIT(index);
}

void
cpuset_remove(struct cpuset *set, unsigned index)
{
	KASSERT(index < MAXCPUS);
	set->cs_word[index / 64] &= ~CPUSET_BIT(index);
}

bool
cpuset_has(const struct cpuset *set, unsigned index)
{
	KASSERT(index < MAXCPUS);
	return (set->cs_word[index / 64] & CPUSET_BIT(index)) != 0;
}

bool
cpuset_empty(const struct cpuset *set)
{
	return cpuset_first(set) == CPUSET_END;
}

unsigned
cpuset_count(const struct cpuset *set)
{
	unsigned count = 0;

	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		/* Each round takes the lowest bit off. */
		for (uint64_t word = set->cs_word[i]; word != 0; word &= word - 1)
			count++;
	}
	return count;
}

/* The lowest member at or above `index`, which may be MAXCPUS. */
static unsigned
cpuset_from(const struct cpuset *set, unsigned index)
{
	uint64_t mask = ~(CPUSET_BIT(index) - 1);

	for (unsigned i = index / 64; i < CPUSET_WORDS; i++) {
		uint64_t word = set->cs_word[i] & mask;

		if (word != 0)
			return i * 64 + (unsigned)__builtin_ctzll(word);
		mask = UINT64_MAX;
	}
	return CPUSET_END;
}

unsigned
cpuset_first(const struct cpuset *set)
{
	return cpuset_from(set, 0);
}

unsigned
cpuset_next(const struct cpuset *set, unsigned index)
{
	KASSERT(index < MAXCPUS);
	return cpuset_from(set, index + 1);
}
