/*
 * A function that overflows any stack.
 */
#include "tests/kernel/recurse.h"

#include <stdatomic.h>

uint64_t
misuse_recurse(uint64_t depth)
{
	_Atomic uint64_t room[128];

	if (depth > 1000000)
		return depth;
	atomic_store_explicit(&room[depth % 128], depth, memory_order_relaxed);
	return misuse_recurse(depth + 1) + atomic_load_explicit(&room[0], memory_order_relaxed);
}
