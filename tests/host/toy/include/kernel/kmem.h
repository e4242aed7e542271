/*
 * Memory for good.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_KMEM_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_KMEM_H

#include <stddef.h>

/* Zeroed, on a cache line of its own. */
void *kmem_boot_alloc(size_t bytes);

/* For tests/kernel/ only. */
void *kmem_page_alloc(size_t pages);
void kmem_page_free(void *, size_t pages);
size_t kmem_pages_free(void);

#endif
