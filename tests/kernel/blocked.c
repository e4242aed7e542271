/*
 * Waiting until another thread waits.
 */
#include "tests/kernel/blocked.h"

#include <stdatomic.h>

#include "kernel/clock.h"

/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define BLOCKED_HANG_NS 60000000000ull

bool
blocked_wait(lwp_t *l, kmutex_t *mtx)
{
	uint64_t end = clock_ns() + BLOCKED_HANG_NS;

	while (atomic_load_explicit(&l->l_blocked_on, memory_order_relaxed) != mtx) {
		if (clock_ns() > end)
			return false;
		kthread_sleep_ns(1000000);
	}
	return true;
}
