/*
 * Boots that must be stopped by what protects the kernel from itself: the stack canary, SMEP, SMAP,
 * the audit of the page tables.
 */
#include <stdatomic.h>
#include <stdint.h>

#include "kernel/kmem.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/x86/audit.h"
#include "kernel/x86/paging.h"
#include "tests/kernel/tables.h"
#include "tests/kernel/test.h"

static _Atomic uintptr_t misuse_zero;

static uintptr_t
misuse_hidden(uintptr_t value)
{
	return value + atomic_load_explicit(&misuse_zero, memory_order_relaxed);
}

/* Half of it lies behind the buffer: over the canary, not over the caller's frame. */
static __attribute__((noinline)) void
misuse_overrun_buffer(void)
{
	char buffer[16];

	memset(buffer, 'A', misuse_hidden(32));
	printf("%.16s\n", buffer);
}

TEST_MISUSE(stack_buffer_overrun)
{
	misuse_overrun_buffer();
}

/* A page of returns, open to user mode. */
static uintptr_t
misuse_user_page(uint64_t bits)
{
	void *page = kmem_page_alloc(1);
	uintptr_t window;

	memset(page, 0xc3, PAGE_BYTES);
	window = tables_map(page, PAGING_PRESENT | PAGING_USER | bits);
	tables_open(window);
	return window;
}

TEST_MISUSE(execute_user_page)
{
	((void (*)(void))misuse_user_page(0))();
}

TEST_MISUSE(read_user_page)
{
	printf("%lu\n", *(const uint64_t *)(misuse_user_page(0) + 8));
}

TEST_MISUSE(write_user_page)
{
	*(uint64_t *)(misuse_user_page(PAGING_WRITE) + 8) = 1;
}

TEST_MISUSE(writable_and_executable_page)
{
	(void)tables_map(kmem_page_alloc(1), PAGING_PRESENT | PAGING_WRITE);
	audit_boot();
}
