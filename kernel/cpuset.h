/*
 * Sets of CPUs, by index.  Pure code: also built on the host.
 *
 * A set is plain memory: whoever shares one guards it.  Sets are large (512 bytes): pass by
 * pointer, and keep them off deep stacks.
 */
#ifndef KERNEL_CPUSET_H
#define KERNEL_CPUSET_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/param.h"

#define CPUSET_WORDS (MAXCPUS / 64)

struct cpuset {
	uint64_t cs_word[CPUSET_WORDS];
};

/* What cpuset_first() and cpuset_next() return behind the last member. */
#define CPUSET_END MAXCPUS

void cpuset_zero(struct cpuset *);
void cpuset_copy(struct cpuset *to, const struct cpuset *from);
/* `index` below MAXCPUS in all of these. */
void cpuset_add(struct cpuset *, unsigned index);
void cpuset_remove(struct cpuset *, unsigned index);
bool cpuset_has(const struct cpuset *, unsigned index);
bool cpuset_empty(const struct cpuset *);
unsigned cpuset_count(const struct cpuset *);
/* The lowest member; the lowest member above `index`. */
unsigned cpuset_first(const struct cpuset *);
unsigned cpuset_next(const struct cpuset *, unsigned index);

#endif
