/*
 * The page tables, for tests that break them on purpose.
 */
#ifndef TESTS_KERNEL_TABLES_H
#define TESTS_KERNEL_TABLES_H

#include <stdint.h>

/* The entry on the way to `address` at a level: 4 the highest, 1 that of a page of 4 KiB.  NULL
 * when the way ends before. */
uint64_t *tables_entry(uintptr_t address, unsigned level);
/* A fresh address where `page` is seen, with these bits of paging.h; 0 when memory has run out. */
uintptr_t tables_map(const void *page, uint64_t bits);
/* Opens the tables on the way to an address to user mode: the page's own entry then decides. */
void tables_open(uintptr_t address);

#endif
