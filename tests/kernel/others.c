/*
 * The other CPUs, for tests that need all of them, or one less.
 */
#include "tests/kernel/others.h"

#include "kernel/cpu.h"
#include "xcall/xc_internal.h"

struct cpu_info *
others_last(void)
{
	return cpu_lookup(ncpu - 1);
}

void
others_all(struct cpuset *set)
{
	cpuset_zero(set);
	for (unsigned i = 0; i < ncpu; i++)
		cpuset_add(set, i);
}

void
others_set_target(struct cpu_info *ci, bool target)
{
	uint64_t bit = UINT64_C(1) << ci->ci_index % 64;
	_Atomic uint64_t *word = &xc_targets.t_set[ci->ci_index / 64];

	if (target) {
		atomic_fetch_or_explicit(word, bit, memory_order_release);
		atomic_fetch_add_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	} else {
		atomic_fetch_and_explicit(word, ~bit, memory_order_release);
		atomic_fetch_sub_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	}
	atomic_fetch_add_explicit(&xc_targets.t_version, 1, memory_order_release);
}
