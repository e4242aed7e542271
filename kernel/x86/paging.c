/*
 * The kernel's page tables (SDM vol. 3, 4.5: four levels).
 *
 * Background.  Physical memory is mapped one to one, so a physical address is a pointer.  The first
 * tables (entry.asm) map 4 GiB readable, writable and executable; this file builds the ones that
 * stay.
 *
 * Implementation.  Memory that the loader's map calls usable or ACPI's is mapped in pages of 2 MiB,
 * its ragged ends in pages of 4 KiB, writable and not executable.  The image is then mapped over it
 * by section: text read-only and executable, constants read-only, data writable.  A large page that
 * has to differ in parts is split.  Page 0 and the guard pages of the boot CPU's stacks stay
 * unmapped.  Devices and tables outside memory are mapped when somebody asks.  Stacks get addresses
 * of their own in the upper half, with a hole on each side, because a one-to-one mapping has no
 * holes.
 *
 * Rules for callers.
 *  - What is mapped once stays mapped, with the same access: no CPU has to be told to forget a
 *    translation.  The exceptions (splitting, paging_make_text, a change of caching) happen on the
 *    boot CPU before other CPUs run, and are asserted to.  Windows (machine_window_map) are theirs
 *    to tell who change them: kernel/clients/tlb.c does.
 *  - Nothing is both writable and executable.
 *
 * Limits.  No unmapping but of windows; no pages of 1 GiB; five-level paging is switched off at
 * entry.
 */
#include "kernel/x86/paging.h"

#include <stdatomic.h>

#include "boot/bootinfo.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"

#define PAGING_CR4_PGE (1ull << 7)

/* From there on forgetting everything is cheaper than each page by itself; a guess, as
 * everybody's. */
#define PAGING_INVALIDATE_PAGES 32u

#define PAGING_LARGE_BYTES 0x200000ull

/* Stacks live from here on: an address range that nothing physical reaches. */
#define PAGING_STACK_BASE 0xffffc00000000000ull
/* The lower half of the address space, which the one-to-one mapping must stay in. */
#define PAGING_IDENTITY_END 0x0000800000000000ull

extern const uint8_t image_start[], text_start[], text_end[], rodata_start[], rodata_end[],
    data_start[], image_end[], boot_stack_guard[];

static struct spinlock paging_lock = SPINLOCK_INIT("paging");
static uint64_t *paging_pml4;
static _Atomic size_t paging_tables; /* pages that became page tables */
static uint64_t paging_nx;           /* PAGING_NX, or 0 where the CPU has none */
static uint64_t paging_physical_end; /* first address the CPU cannot form */
static uint64_t paging_stack_next = PAGING_STACK_BASE + PAGE_BYTES;

static uint64_t
paging_cache_bits(enum paging_cache cache)
{
	/* Entries of the PAT as cpu.c programs it: 0 WB, 1 (PWT) WC, 3 (PCD, PWT) UC.  A CPU with
	 * no PAT takes PWT for write-through, which is slower and as correct. */
	static const uint64_t bits[] = {
		[PAGING_WRITE_BACK] = 0,
		[PAGING_UNCACHED] = PAGING_PCD | PAGING_PWT,
		[PAGING_WRITE_COMBINING] = PAGING_PWT,
	};

	return bits[cache];
}

static void
paging_invalidate(uint64_t address)
{
	__asm__ volatile("invlpg (%0)" : : "r"(address) : "memory");
}

static uint64_t *
paging_new_table(void)
{
	uint64_t *table = kmem_page_alloc(1);

	if (table != NULL) /* relaxed: a statistic */
		atomic_fetch_add_explicit(&paging_tables, 1, memory_order_relaxed);
	return table;
}

size_t
machine_table_pages(void)
{
	return atomic_load_explicit(&paging_tables, memory_order_relaxed);
}

/* Replaces a 2 MiB entry by a table of 512 small ones that mean the same. */
static bool
paging_split(uint64_t *entry)
{
	uint64_t *table = paging_new_table();

	if (table == NULL)
		return false;
	KASSERT(cpu_online_count() <= 1);
	for (unsigned i = 0; i < PAGING_ENTRIES; i++)
		table[i] = (*entry & ~PAGING_LARGE) + i * PAGE_BYTES;
	*entry = (uintptr_t)table | PAGING_PRESENT | PAGING_WRITE;
	return true;
}

/*
 * The entry for `address` at level 1 (4 KiB) or 2 (2 MiB); NULL when a table is missing and
 * `create` is false or memory has run out.  At level 1 a large page in the way is split.
 */
static uint64_t *
paging_entry(uint64_t address, unsigned level, bool create)
{
	uint64_t *table = paging_pml4, *entry;

	for (unsigned l = 4;; l--) {
		entry = &table[address >> (12 + 9 * (l - 1)) & (PAGING_ENTRIES - 1)];
		if (l == level)
			return entry;
		if ((*entry & PAGING_PRESENT) == 0) {
			uint64_t *fresh = create ? paging_new_table() : NULL;

			if (fresh == NULL)
				return NULL;
			*entry = (uintptr_t)fresh | PAGING_PRESENT | PAGING_WRITE;
		} else if ((*entry & PAGING_LARGE) != 0 && (!create || !paging_split(entry))) {
			return NULL;
		}
		table = (uint64_t *)(*entry & PAGING_ADDRESS);
	}
}

/* The entry that translates `address`, at whichever level; NULL when none does. */
static const uint64_t *
paging_find(uint64_t address)
{
	const uint64_t *entry = paging_entry(address, 2, false);

	if (entry == NULL || (*entry & PAGING_PRESENT) == 0)
		return NULL;
	if ((*entry & PAGING_LARGE) != 0)
		return entry;
	entry = paging_entry(address, 1, false);
	return (*entry & PAGING_PRESENT) != 0 ? entry : NULL;
}

/* Maps one small page, whatever stood there before. */
static bool
paging_set(uint64_t address, uint64_t physical, uint64_t bits)
{
	uint64_t *entry = paging_entry(address, 1, true);
	uint64_t old;

	if (entry == NULL)
		return false;
	old = *entry;
	*entry = bits == 0 ? 0 : physical | bits;
	if ((old & PAGING_PRESENT) != 0 && old != *entry) {
		KASSERT(cpu_online_count() <= 1);
		paging_invalidate(address);
	}
	return true;
}

/* Maps what is not mapped yet of [start, end) one to one, in large pages where they fit. */
static bool
paging_fill(uint64_t start, uint64_t end, uint64_t bits)
{
	uint64_t *entry;

	for (uint64_t a = start; a < end;) {
		entry = paging_entry(a, 2, true);
		if (entry == NULL)
			return false;
		if ((*entry & PAGING_PRESENT) == 0 && a % PAGING_LARGE_BYTES == 0 &&
		    end - a >= PAGING_LARGE_BYTES) {
			*entry = a | bits | PAGING_LARGE;
			a += PAGING_LARGE_BYTES;
			continue;
		}
		if (paging_find(a) == NULL && !paging_set(a, a, bits))
			return false;
		a += PAGE_BYTES;
	}
	return true;
}

/* Gives the already mapped pages of [start, end) other caching; access stays as it is. */
static bool
paging_recache(uint64_t start, uint64_t end, uint64_t cache)
{
	const uint64_t mask = PAGING_PCD | PAGING_PWT;
	const uint64_t *found;

	for (uint64_t a = start; a < end; a += PAGE_BYTES) {
		found = paging_find(a);
		if (found == NULL || (*found & mask) == cache)
			continue;
		if (paging_entry(a, 1, true) == NULL)
			return false;
		found = paging_find(a);
		if (!paging_set(a, a, (*found & ~PAGING_ADDRESS & ~mask) | cache))
			return false;
	}
	return true;
}

bool
paging_map_identity(uint64_t start, uint64_t bytes, enum paging_cache cache)
{
	uint64_t first = start & ~(uint64_t)(PAGE_BYTES - 1), end,
		 cache_bits = paging_cache_bits(cache);
	bool done;

	if (bytes == 0 || start + bytes < start || start + bytes > paging_physical_end ||
	    first == 0)
		return false;
	end = (start + bytes + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
	spinlock_enter(&paging_lock);
	done = paging_recache(first, end, cache_bits) &&
	    paging_fill(
		first, end, PAGING_PRESENT | PAGING_WRITE | PAGING_GLOBAL | paging_nx | cache_bits);
	spinlock_exit(&paging_lock);
	return done;
}

bool
paging_mapped(uint64_t start, uint64_t bytes)
{
	if (bytes > UINT64_MAX - start)
		return false;
	for (uint64_t a = start & ~(uint64_t)(PAGE_BYTES - 1); a < start + bytes; a += PAGE_BYTES) {
		if (a >= PAGING_IDENTITY_END || paging_find(a) == NULL)
			return false;
	}
	return true;
}

struct paging_access
paging_access(uintptr_t address)
{
	struct paging_access access = { .writable = true, .executable = true, .user = true };

	for (unsigned level = 4; level != 0; level--) {
		const uint64_t *entry = paging_entry(address, level, false);

		if (entry == NULL || (*entry & PAGING_PRESENT) == 0)
			return (struct paging_access){ .present = false };
		access.writable &= (*entry & PAGING_WRITE) != 0;
		access.executable &= (*entry & PAGING_NX) == 0;
		access.user &= (*entry & PAGING_USER) != 0;
		if (level < 4 && (*entry & PAGING_LARGE) != 0)
			break;
	}
	access.present = true;
	return access;
}

bool
paging_make_text(uintptr_t page)
{
	bool done;

	spinlock_enter(&paging_lock);
	done = paging_set(page, page, PAGING_PRESENT | PAGING_GLOBAL);
	spinlock_exit(&paging_lock);
	return done;
}

void *
machine_map_stack(size_t npages)
{
	uint64_t lowest;

	spinlock_enter(&paging_lock);
	lowest = paging_stack_next;
	paging_stack_next += (npages + 1) * PAGE_BYTES;
	spinlock_exit(&paging_lock);
	for (size_t i = 0; i < npages; i++) {
		void *page = kmem_page_alloc(1);
		bool done;

		if (page == NULL)
			return NULL;
		spinlock_enter(&paging_lock);
		done = paging_set(lowest + i * PAGE_BYTES, (uintptr_t)page,
		    PAGING_PRESENT | PAGING_WRITE | PAGING_GLOBAL | paging_nx);
		spinlock_exit(&paging_lock);
		if (!done)
			return NULL;
	}
	return (void *)lowest;
}

/* --- what other CPUs have to be told of (door 1) ---------------------------------------------- */

uintptr_t
machine_window_alloc(void)
{
	uint64_t window;

	spinlock_enter(&paging_lock);
	window = paging_stack_next;
	paging_stack_next += 2 * PAGE_BYTES;
	if (paging_entry(window, 1, true) == NULL)
		window = 0;
	spinlock_exit(&paging_lock);
	return window;
}

void
machine_window_map(uintptr_t window, void *page)
{
	uint64_t *entry, bits = PAGING_PRESENT | PAGING_WRITE | PAGING_GLOBAL | paging_nx;

	KASSERTMSG(window >= PAGING_STACK_BASE, "%#lx is no window", window);
	spinlock_enter(&paging_lock);
	entry = paging_entry(window, 1, false);
	KASSERTMSG(entry != NULL, "%#lx is no window", window);
	*entry = page != NULL ? (uintptr_t)page | bits : 0;
	spinlock_exit(&paging_lock);
}

/* INVLPG forgets global translations too, and so does a change of CR4.PGE, which forgets all (SDM
 * vol. 3, 4.10.4.1).  What interrupts it finds PGE off: nothing depends on it. */
void
machine_tlb_invalidate(uintptr_t address, size_t npages)
{
	uint64_t cr4;

	if (npages > PAGING_INVALIDATE_PAGES) {
		__asm__ volatile("movq %%cr4, %0" : "=r"(cr4));
		__asm__ volatile("movq %0, %%cr4" : : "r"(cr4 & ~PAGING_CR4_PGE) : "memory");
		__asm__ volatile("movq %0, %%cr4" : : "r"(cr4) : "memory");
		return;
	}
	for (size_t i = 0; i < npages; i++)
		paging_invalidate(address + i * PAGE_BYTES);
}

/* CR0.WP lets ring 0 write to pages that are read-only (SDM vol. 3, 2.5): off for a moment in which
 * nothing else runs here but an NMI, so that the tables never have a page that is writable and
 * executable. */
void
machine_text_write(uintptr_t address, const void *bytes, size_t length)
{
	uint64_t cr0;

	KASSERT(!machine_intr_enabled() && address >= (uintptr_t)text_start &&
	    length <= (uintptr_t)text_end - address);
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0 & ~(uint64_t)CPU_CR0_WP) : "memory");
	memcpy((void *)address, bytes, length);
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0) : "memory");
}

/* CPUID serialises: instructions are fetched anew after it (SDM vol. 3, 9.3 and 9.1.3). */
void
machine_text_sync(void)
{
	(void)cpuid(0, 0);
}

static void
paging_map_section(const uint8_t *start, const uint8_t *end, uint64_t bits)
{
	for (uint64_t a = (uintptr_t)start; a < (uintptr_t)end; a += PAGE_BYTES) {
		if (!paging_set(a, a, bits))
			panic("no memory for the kernel's own page tables");
	}
}

void
paging_init(const struct bootinfo *bi)
{
	unsigned bits = cpuid(0x80000000, 0).eax >= 0x80000008 ? cpuid(0x80000008, 0).eax & 0xff
							       : 36;
	uint64_t data;

	paging_nx = cpu_has_nx() ? PAGING_NX : 0;
	paging_physical_end = bits < 47 ? 1ull << bits : PAGING_IDENTITY_END;
	paging_pml4 = paging_new_table();
	KASSERT(paging_pml4 != NULL && (uintptr_t)paging_pml4 < 1ull << 32);
	data = PAGING_PRESENT | PAGING_WRITE | PAGING_GLOBAL | paging_nx;

	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct bootinfo_region *r = &bi->region[i];
		uint64_t start = (r->start + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		uint64_t end = r->end & ~(uint64_t)(PAGE_BYTES - 1);

		if (r->type == BOOTINFO_RESERVED)
			continue;
		if (r->type == BOOTINFO_ACPI) { /* tables may begin anywhere in a page */
			start = r->start & ~(uint64_t)(PAGE_BYTES - 1);
			end = (r->end + PAGE_BYTES - 1) & ~(uint64_t)(PAGE_BYTES - 1);
		}
		if (start == 0)
			start = PAGE_BYTES;
		if (end > paging_physical_end)
			end = paging_physical_end;
		if (start < end && !paging_fill(start, end, data))
			panic("no memory for the page tables of %#lx-%#lx", r->start, r->end);
	}
	paging_map_section(text_start, text_end, PAGING_PRESENT | PAGING_GLOBAL);
	paging_map_section(rodata_start, rodata_end, PAGING_PRESENT | PAGING_GLOBAL | paging_nx);
	paging_map_section(data_start, image_end, data);
	if (!paging_set((uintptr_t)boot_stack_guard, 0, 0))
		panic("no memory for the guard page of the boot stack");
	for (unsigned i = 0; i <= CPU_IST_COUNT; i++) {
		if (!paging_set(cpu_boot_ist_guard(i), 0, 0))
			panic("no memory for the guard pages of the boot CPU's stacks");
	}
	__asm__ volatile("movq %0, %%cr3" : : "r"((uint64_t)(uintptr_t)paging_pml4) : "memory");
}

uint64_t
paging_end(void)
{
	return paging_physical_end;
}

uint32_t
paging_root(void)
{
	return (uint32_t)(uintptr_t)paging_pml4;
}
