/*
 * Stores to memory that is not one's own: what the checks of memory find (kernel/kmem_check.c).
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "tests/kernel/test.h"

/* As if it were the kernel's: what is named is a function, not a place in the test. */
static __attribute__((noinline)) char *
misuse_owner(size_t npages)
{
	char *pages = kmem_page_alloc(npages);

	return pages;
}

static __attribute__((noinline)) void
misuse_freer(char *pages, size_t npages)
{
	kmem_page_free(pages, npages);
}

TEST_MISUSE(write_after_free)
{
	char *page = misuse_owner(1);

	misuse_freer(page, 1);
	page[100] = 1;
	kmem_check_release();
}

/* Nobody looks at all of memory: the next owner of the page finds it. */
TEST_MISUSE(write_after_free_found_by_the_next_owner)
{
	char *page = misuse_owner(1);

	misuse_freer(page, 1);
	page[PAGE_BYTES - 1] = 1;
	while (kmem_pages_free() != 0)
		(void)kmem_page_alloc(1);
}

TEST_MISUSE(write_behind_pages)
{
	char *pages = misuse_owner(3);

	memset(pages, 1, (size_t)3 * PAGE_BYTES + 1);
	misuse_freer(pages, 3);
}

TEST_MISUSE(write_before_pages)
{
	char *pages = misuse_owner(3);

	pages[-1] = 1;
	misuse_freer(pages, 3);
}

static __attribute__((noinline)) char *
misuse_piece(void)
{
	char *piece = kmem_boot_alloc(200);

	return piece;
}

/* A piece is a number of cache lines. */
TEST_MISUSE(write_behind_a_piece)
{
	char *piece = misuse_piece();

	memset(piece, 1, 256 + 8);
	kmem_check_release();
}

static _Atomic uintptr_t misuse_local;

static void
misuse_leave_local(void *arg)
{
	char local[256];

	memset(local, 0, sizeof(local));
	/* By way of a number: the compiler sees that the pointer outlives the variable. */
	atomic_store_explicit((_Atomic uintptr_t *)arg, (uintptr_t)local, memory_order_release);
}

/* A pointer to a variable of a thread that has ended. */
TEST_MISUSE(write_to_the_stack_of_a_dead_thread)
{
	lwp_t *l;

	if (kthread_create(PRI_KERNEL, KTHREAD_MUSTJOIN, NULL, misuse_leave_local, &misuse_local,
		&l, "short") != 0)
		return;
	(void)kthread_join(l);
	((char *)atomic_load_explicit(&misuse_local, memory_order_acquire))[16] = 1;
	kmem_check_release();
}
