/*
 * The page allocator and the cache of stacks.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "kernel/x86/paging.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define MEMORY_PAGES 200 /* more than three words of the bitmap */
#define MEMORY_STRESS_NS 500000000ull
#define MEMORY_HELD 16
#define MEMORY_CREW 8
/* Taking all memory means zeroing it, on the host too. */
#define MEMORY_EXHAUST_PAGES ((size_t)(1024 * 1024 * 1024) / PAGE_BYTES)

static bool
memory_is_zero(const void *memory, size_t npages)
{
	const uint64_t *word = memory;

	for (size_t i = 0; i < npages * PAGE_BYTES / sizeof(*word); i++)
		if (word[i] != 0)
			return false;
	return true;
}

TEST_CASE(memory, pages_are_aligned_distinct_and_zeroed)
{
	static char *page[MEMORY_PAGES];
	size_t before = kmem_pages_free();

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < MEMORY_PAGES; i++) {
			page[i] = kmem_page_alloc(1);
			T_ASSERT(page[i] != NULL && (uintptr_t)page[i] % PAGE_BYTES == 0);
			T_ASSERT(memory_is_zero(page[i], 1));
			/* A page given out twice is not zero any more the second time. */
			memset(page[i], 0xa5, PAGE_BYTES);
		}
		T_ASSERT_EQ(kmem_pages_free(), before - MEMORY_PAGES);
		for (unsigned i = 0; i < MEMORY_PAGES; i++)
			kmem_page_free(page[i], 1);
		T_ASSERT_EQ(kmem_pages_free(), before);
	}
}

TEST_CASE(memory, runs_are_contiguous_and_zeroed)
{
	static const size_t length[] = { 1, 2, 3, 63, 64, 65, 127, 128, 129, 200, 512 };
	enum { RUNS = sizeof(length) / sizeof(length[0]) };
	static char *run[RUNS];
	size_t before = kmem_pages_free();

	for (unsigned round = 0; round < 2; round++) {
		for (unsigned i = 0; i < RUNS; i++) {
			run[i] = kmem_page_alloc(length[i]);
			T_ASSERT(run[i] != NULL && (uintptr_t)run[i] % PAGE_BYTES == 0);
			T_ASSERT(memory_is_zero(run[i], length[i]));
			memset(run[i], 0xa5, length[i] * PAGE_BYTES);
		}
		for (unsigned i = 0; i < RUNS; i++)
			kmem_page_free(run[i], length[i]);
		T_ASSERT_EQ(kmem_pages_free(), before);
	}
}

TEST_CASE(memory, neighbours_freed_apart_make_one_run_again)
{
	char *run, *again;

	kmem_check_release();
	run = kmem_page_alloc(MEMORY_PAGES);
	T_ASSERT(run != NULL);
	/* Odd ones, then even ones: no two calls free neighbours. */
	for (unsigned i = 1; i < MEMORY_PAGES; i += 2)
		kmem_page_free(run + i * PAGE_BYTES, 1);
	again = kmem_page_alloc(2);
	/* The last one may have a free neighbour outside. */
	T_ASSERT(again != NULL);
	T_ASSERT(again < run || again >= run + (MEMORY_PAGES - 1) * PAGE_BYTES);
	kmem_page_free(again, 2);
	for (unsigned i = 0; i < MEMORY_PAGES; i += 2)
		kmem_page_free(run + i * PAGE_BYTES, 1);
	kmem_check_release();
	again = kmem_page_alloc(MEMORY_PAGES);
	T_ASSERT(again == run);
	kmem_page_free(again, MEMORY_PAGES);
}

TEST_CASE(memory, counts_add_up)
{
	size_t total = kmem_pages_total(), before = kmem_pages_free();
	void *page;

	T_ASSERT(before != 0 && before < total);
	page = kmem_page_alloc(1);
	T_ASSERT(page != NULL);
	T_ASSERT_EQ(kmem_pages_free(), before - 1);
	T_ASSERT_EQ(kmem_pages_total(), total);
	kmem_page_free(page, 1);
	T_ASSERT(kmem_page_alloc(total + 1) == NULL);
	T_ASSERT(kmem_page_alloc(SIZE_MAX / PAGE_BYTES) == NULL);
	T_ASSERT_EQ(kmem_pages_free(), before);
}

/* A run that the test holds; the list is kept in the memory itself. */
struct memory_run {
	struct memory_run *next;
	size_t npages;
};

/* Takes all memory, largest runs first; the cached stacks, too. */
static struct memory_run *
memory_take_all(void)
{
	struct memory_run *list = NULL, *run;

	for (size_t n = kmem_pages_free(); n != 0;) {
		if ((run = kmem_page_alloc(n)) == NULL) {
			n /= 2;
			continue;
		}
		run->next = list;
		run->npages = n;
		list = run;
	}
	return list;
}

static void
memory_give_back(struct memory_run *list)
{
	while (list != NULL) {
		struct memory_run *next = list->next;

		kmem_page_free(list, list->npages);
		list = next;
	}
}

/* With all memory taken: makes holes of many lengths at all places of a bitmap's word, and looks
 * that each is found, and that nothing longer is. */
static bool
memory_holes_are_found(const struct memory_run *list)
{
	static const size_t length[] = { 1, 2, 63, 64, 65, 127, 128, 129, 192 };
	char *base;
	bool found = true;

	/* Behind the first page of a long run, which keeps the list. */
	while (list != NULL && list->npages < 300)
		list = list->next;
	if (list == NULL)
		return false;
	base = (char *)(uintptr_t)list + PAGE_BYTES;
	for (size_t at = 0; at < 65; at++)
		for (unsigned i = 0; i < sizeof(length) / sizeof(length[0]); i++) {
			char *hole = base + at * PAGE_BYTES;

			kmem_page_free(hole, length[i]);
			found &= kmem_page_alloc(length[i] + 1) == NULL;
			found &= kmem_page_alloc(length[i]) == hole;
			if (!found)
				return false;
		}
	return found;
}

static void
memory_nothing(void *arg __attribute__((unused)))
{
}

TEST_CASE(memory, exhaustion_is_null_and_recovers)
{
	struct memory_run *list, *stacks = NULL, *stack;
	size_t before = kmem_pages_free();
	lwp_t *l = NULL;
	bool page_refused, run_refused, holes_found;
	int error;

	if (before > MEMORY_EXHAUST_PAGES) {
		test_skip("more than 1 GiB: taking all of it would take it from the host");
		return;
	}
	list = memory_take_all();
	while ((stack = kmem_stack_alloc()) != NULL) {
		stack->next = stacks;
		stacks = stack;
	}
	page_refused = kmem_page_alloc(1) == NULL && kmem_pages_free() == 0;
	run_refused = kmem_page_alloc(2) == NULL;
	holes_found = memory_holes_are_found(list);
	error = kthread_create(PRI_KERNEL, KTHREAD_MUSTJOIN, NULL, memory_nothing, NULL, &l, "no");
	memory_give_back(list);
	while ((stack = stacks) != NULL) {
		stacks = stack->next;
		kmem_stack_free(stack, 0);
	}
	T_ASSERT(page_refused);
	T_ASSERT(run_refused);
	T_ASSERT(holes_found);
	T_ASSERT_EQ(error, ENOMEM);
	T_ASSERT(l == NULL);
	T_ASSERT_EQ(kmem_pages_free(), before);
	T_ASSERT_EQ(
	    kthread_create(PRI_KERNEL, KTHREAD_MUSTJOIN, NULL, memory_nothing, NULL, &l, "yes"), 0);
	T_ASSERT_EQ(kthread_join(l), 0);
}

TEST_CASE(memory, a_freed_stack_is_the_next_one)
{
	char *stack = kmem_stack_alloc();
	size_t cached = kmem_stacks_cached(), pages = kmem_pages_free();

	T_ASSERT(stack != NULL && (uintptr_t)stack % PAGE_BYTES == 0);
	memset(stack, 0xa5, KSTACK_BYTES);
	kmem_stack_free(stack, KSTACK_BYTES / 2);
	T_ASSERT_EQ(kmem_stacks_cached(), cached + 1);
	kmem_check_release();
	/* Type-stable: the upper part stays as it was. */
	for (unsigned i = KSTACK_BYTES / 2; i < KSTACK_BYTES; i++)
		T_ASSERT_EQ((unsigned char)stack[i], 0xa5);
	T_ASSERT(kmem_stack_alloc() == stack);
	T_ASSERT_EQ(kmem_stacks_cached(), cached);
	T_ASSERT_EQ(kmem_pages_free(), pages);
	kmem_stack_free(stack, 0);
}

/* --- with checks (kmem_check.c) --------------------------------------------------------------- */

#define MEMORY_ASIDE 100

TEST_CASE(memory, a_freed_page_is_kept_aside_and_poisoned)
{
	size_t before = kmem_pages_free();
	uint64_t *page, *other;

	if (!kmem_checking()) {
		test_skip("the checks of memory are off");
		return;
	}
	page = kmem_page_alloc(1);
	T_ASSERT(page != NULL);
	page[7] = 7;
	kmem_page_free(page, 1);
	T_ASSERT_EQ(kmem_pages_free(), before); /* it counts as free */
	for (unsigned i = 0; i < PAGE_BYTES / sizeof(*page); i++)
		T_ASSERT_EQ(page[i], 0xfdfdfdfdfdfdfdfd);
	for (unsigned i = 0; i < MEMORY_ASIDE; i++) {
		other = kmem_page_alloc(1);
		T_ASSERT(other != NULL && other != page);
		kmem_page_free(other, 1);
	}
	kmem_check_release();
	T_ASSERT_EQ(kmem_pages_free(), before);
}

TEST_CASE(memory, red_zones_lie_between_runs)
{
	enum { RUNS = 8 };
	char *run[RUNS];

	if (!kmem_checking()) {
		test_skip("the checks of memory are off");
		return;
	}
	for (unsigned i = 0; i < RUNS; i++) {
		run[i] = kmem_page_alloc(2);
		T_ASSERT(run[i] != NULL);
		for (unsigned j = 0; j < i; j++)
			T_ASSERT(
			    run[i] >= run[j] + 3 * PAGE_BYTES || run[i] + 3 * PAGE_BYTES <= run[j]);
		T_ASSERT_EQ(*(const unsigned char *)(run[i] - 1), 0xfd);
		T_ASSERT_EQ((unsigned char)run[i][2 * PAGE_BYTES], 0xfd);
	}
	for (unsigned i = 0; i < RUNS; i++)
		kmem_page_free(run[i], 2);
}

/* What lies below the part that is kept is poisoned, and the stack is not the next one. */
TEST_CASE(memory, a_freed_stack_is_kept_aside_and_poisoned)
{
	unsigned char *stack, *other;

	if (!kmem_checking()) {
		test_skip("the checks of memory are off");
		return;
	}
	stack = kmem_stack_alloc();
	T_ASSERT(stack != NULL);
	memset(stack, 0xa5, KSTACK_BYTES);
	kmem_stack_free(stack, 128);
	for (unsigned i = 64; i < KSTACK_BYTES; i++)
		T_ASSERT_EQ(stack[i], i < KSTACK_BYTES - 128 ? 0xfd : 0xa5);
	other = kmem_stack_alloc();
	T_ASSERT(other != NULL && other != stack);
	kmem_stack_free(other, 0);
}

struct memory_worker {
	struct crew_job job;
	uint64_t seed;
};

struct memory_held {
	uint64_t *run;
	size_t words;
	uint64_t stamp; /* in its first and last word */
};

static void
memory_drop(struct memory_held *held)
{
	if (held->run == NULL)
		return;
	if (held->run[0] != held->stamp || held->run[held->words - 1] != held->stamp)
		test_fail(__FILE__, __LINE__, "nobody else writes to it");
	kmem_page_free(held->run, held->words * sizeof(uint64_t) / PAGE_BYTES);
	held->run = NULL;
}

/* Takes and gives back runs of random length, each stamped. */
static void
memory_work(void *arg)
{
	struct memory_worker *w = arg;
	struct memory_held held[MEMORY_HELD] = { { NULL, 0, 0 } };
	uint64_t end = clock_ns() + MEMORY_STRESS_NS;

	for (unsigned i = 0; i < MEMORY_HELD || clock_ns() < end; i++) {
		struct memory_held *h = &held[i % MEMORY_HELD];
		size_t npages = 1 + crew_random(&w->seed) % 5;

		memory_drop(h);
		h->run = kmem_page_alloc(npages);
		if (h->run == NULL)
			continue;
		if (!memory_is_zero(h->run, npages))
			test_fail(__FILE__, __LINE__, "pages are zeroed");
		h->words = npages * PAGE_BYTES / sizeof(uint64_t);
		h->stamp = w->seed;
		h->run[0] = h->run[h->words - 1] = h->stamp;
	}
	for (unsigned i = 0; i < MEMORY_HELD; i++)
		memory_drop(&held[i]);
}

TEST_CASE(memory, all_cpus_share_it)
{
	static struct memory_worker worker[MEMORY_CREW];
	unsigned n = ncpu < MEMORY_CREW ? ncpu : MEMORY_CREW;
	size_t before = kmem_pages_free() + kmem_stacks_cached() * (KSTACK_BYTES / PAGE_BYTES);

	for (unsigned i = 0; i < n; i++) {
		worker[i].seed = i + 1;
		crew_start(&worker[i].job, cpu_lookup(i), PRI_KERNEL, memory_work, &worker[i]);
	}
	for (unsigned i = 0; i < n; i++)
		crew_join(&worker[i].job);
	T_ASSERT_EQ(kmem_pages_free() + kmem_stacks_cached() * (KSTACK_BYTES / PAGE_BYTES), before);
}

/* An address from a firmware table may be anything. */
TEST_CASE(memory, a_range_that_wraps_is_not_mapped)
{
	static const uint8_t inside;

	T_ASSERT(paging_mapped((uintptr_t)&inside, 1));
	T_ASSERT(!paging_mapped(0, 1));
	T_ASSERT(!paging_mapped(UINT64_MAX, 2));
	T_ASSERT(!paging_mapped(UINT64_MAX - PAGE_BYTES, 2 * PAGE_BYTES));
	T_ASSERT(!paging_map_identity(UINT64_MAX - 1, 16, PAGING_UNCACHED));
	T_ASSERT(!paging_map_identity(paging_end() - 1, 2, PAGING_UNCACHED));
}
