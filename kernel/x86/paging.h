/*
 * The kernel's page tables: physical memory one to one, nothing both writable and executable.
 */
#ifndef KERNEL_X86_PAGING_H
#define KERNEL_X86_PAGING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bootinfo;

/* Bits of an entry (SDM vol. 3, table 4-15 ff.), and how many a table has. */
#define PAGING_PRESENT 0x001ull
#define PAGING_WRITE 0x002ull
#define PAGING_USER 0x004ull
#define PAGING_PWT 0x008ull
#define PAGING_PCD 0x010ull
#define PAGING_LARGE 0x080ull
#define PAGING_GLOBAL 0x100ull
#define PAGING_NX (1ull << 63)
#define PAGING_ADDRESS 0x000ffffffffff000ull
#define PAGING_ENTRIES 512u

/* Caching of a mapping; the PAT is programmed to make these true (paging.c). */
enum paging_cache { PAGING_WRITE_BACK, PAGING_UNCACHED, PAGING_WRITE_COMBINING };

/* Makes [start, start + bytes) of physical memory readable and writable at the same address, not
 * executable.  For device registers, tables and framebuffers; harmless for what is mapped already
 * with the same caching.  False when page tables cannot be had.  Not in interrupts. */
bool paging_map_identity(uint64_t start, uint64_t bytes, enum paging_cache cache);
/* The final tables: usable and ACPI memory of the loader's map, the image by section; then CR3.
 * Boot CPU, once, when kmem has memory below 4 GiB. */
void paging_init(const struct bootinfo *);
/* The end of what can be mapped one to one; memory above it is not.  After paging_init(). */
uint64_t paging_end(void);
/* Root of the tables, for the APs; below 4 GiB. */
uint32_t paging_root(void);
/* Makes one page of mapped memory executable and read-only.  Boot CPU, before the APs run. */
bool paging_make_text(uintptr_t page);
/* What a page may be used for, from the tables themselves.  User: by user mode, too. */
struct paging_access {
	bool present, writable, executable, user;
};
struct paging_access paging_access(uintptr_t address);
/* Whether a physical range is mapped (any caching). */
bool paging_mapped(uint64_t start, uint64_t bytes);

#endif
