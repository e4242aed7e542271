/*
 * A little of everything in a few seconds: what boots with odd loaders and CPU counts run.
 */
#include <stdatomic.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/param.h"
#include "kernel/timer.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

static _Atomic uint64_t smoke_count;

TEST_CASE(smoke, every_cpu_is_online_with_an_id_of_its_own)
{
	struct cpu_info *ci, *other;

	CPU_INFO_FOREACH(ci) {
		T_ASSERT(cpu_online(ci));
		CPU_INFO_FOREACH(other)
			T_ASSERT(ci == other || ci->ci_apicid != other->ci_apicid);
	}
	T_ASSERT_EQ(cpu_online_count(), ncpu);
}

TEST_CASE(smoke, every_timer_ticks)
{
	struct timer_record before, now;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		uint64_t end = clock_ns() + 60000000000ull;

		timer_get(ci, &before);
		do {
			T_ASSERT(clock_ns() < end);
			kthread_sleep_ns(1000000);
			timer_get(ci, &now);
		} while (now.expiries == before.expiries);
	}
}

static void
smoke_note(void *arg1, void *arg2)
{
	if (arg1 != NULL && arg1 != curcpu())
		test_fail(__FILE__, __LINE__, "the call runs on the CPU it was sent to");
	if (arg2 != &smoke_count)
		test_fail(__FILE__, __LINE__, "the second argument arrives");
	atomic_fetch_add_explicit(&smoke_count, 1, memory_order_relaxed);
}

TEST_CASE(smoke, a_unicast_runs_on_each_cpu)
{
	struct cpu_info *ci;
	uint64_t n = 0;

	atomic_store_explicit(&smoke_count, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci) {
		T_ASSERT_EQ(xc_wait(xc_unicast(0, smoke_note, ci, &smoke_count, ci)), 0);
		T_ASSERT_EQ(atomic_load_explicit(&smoke_count, memory_order_relaxed), ++n);
	}
}

TEST_CASE(smoke, a_broadcast_runs_everywhere_once)
{
	atomic_store_explicit(&smoke_count, 0, memory_order_relaxed);
	T_ASSERT_EQ(xc_wait(xc_broadcast(0, smoke_note, NULL, &smoke_count)), 0);
	T_ASSERT_EQ(atomic_load_explicit(&smoke_count, memory_order_relaxed), ncpu);
}

TEST_CASE(smoke, memory_comes_zeroed_and_goes_back)
{
	size_t before = kmem_pages_free();
	uint64_t *page = kmem_page_alloc(1);

	T_ASSERT(page != NULL);
	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++)
		T_ASSERT_EQ(page[i], 0);
	page[7] = 7;
	kmem_page_free(page, 1);
	T_ASSERT_EQ(kmem_pages_free(), before);
}
