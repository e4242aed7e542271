/*
 * Entries of the page tables, by the way that the CPU takes (SDM vol. 3, 4.5).
 */
#include "tests/kernel/tables.h"

#include <stddef.h>

#include "kernel/machine.h"
#include "kernel/x86/paging.h"

uint64_t *
tables_entry(uintptr_t address, unsigned level)
{
	uint64_t *table = (uint64_t *)(uintptr_t)paging_root();

	for (unsigned l = 4;; l--) {
		uint64_t *entry = &table[address >> (12 + 9 * (l - 1)) & (PAGING_ENTRIES - 1)];

		if (l == level)
			return entry;
		if ((*entry & PAGING_PRESENT) == 0 || (l < 4 && (*entry & PAGING_LARGE) != 0))
			return NULL;
		table = (uint64_t *)(*entry & PAGING_ADDRESS);
	}
}

uintptr_t
tables_map(const void *page, uint64_t bits)
{
	uintptr_t window = machine_window_alloc();

	if (window != 0)
		*tables_entry(window, 1) = (uintptr_t)page | bits;
	return window;
}

void
tables_open(uintptr_t address)
{
	for (unsigned level = 4; level > 1; level--)
		*tables_entry(address, level) |= PAGING_USER;
}
