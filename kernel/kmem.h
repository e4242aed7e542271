/*
 * Memory by the page, from what the memory map calls usable.
 */
#ifndef KERNEL_KMEM_H
#define KERNEL_KMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Gives the allocator a range of free memory, mapped already; it keeps a bitmap at its start.  Page
 * 0 is left out.  Ranges may be tiny, are disjoint, at most KMEM_RANGES.  Boot CPU, during
 * bring-up. */
#define KMEM_RANGES 512
void kmem_add(uintptr_t start, uintptr_t end);
/* Turns on red zones, the pattern in freed memory and the quarantine (kmem_check.c): before the
 * first kmem_add(), on the boot CPU. */
void kmem_check_enable(void);
bool kmem_checking(void);
/* With checks on: panics when freed memory or a red zone was written to, naming who may have done
 * it; then lets everything go that is kept aside.  Not in NMIs. */
void kmem_check_release(void);
/* Zeroed, page-aligned, contiguous; NULL when there is none.  Any context but NMI. */
void *kmem_page_alloc(size_t npages);
/* The whole of an allocation, or a part of it.  Panics when a page is free or was never ours.  Any
 * context but NMI. */
void kmem_page_free(void *, size_t npages);
/* For structures that live as long as the kernel: zeroed, on a cache line of its own; panics when
 * memory has run out.  Any context but NMI. */
void *kmem_boot_alloc(size_t bytes);
size_t kmem_pages_total(void);
size_t kmem_pages_free(void);
/* Taken by kmem_boot_alloc(): they count as free in a leak check. */
size_t kmem_pages_boot(void);
/*
 * A thread's stack of KSTACK_BYTES with guard pages, from the cache or fresh; NULL when memory has
 * run out.  Thread context.  Its pages never serve another purpose, freed or not, and the uppermost
 * `kept` bytes, a multiple of 8, stay as they were left.
 */
void *kmem_stack_alloc(void);
void kmem_stack_free(void *stack, size_t kept);
/* Stacks in the cache: they count as free in a leak check. */
size_t kmem_stacks_cached(void);

#endif
