/*
 * The page allocator: ranges of memory, each with a bitmap.
 *
 * Background.  Pages are wanted one by one (page tables, structures) or a few together (stacks,
 * tables of CPUs), seldom and never in a hurry.  What counts is that misuse is caught and that a
 * machine of many gigabytes costs nothing at boot.
 *
 * Implementation.  A range keeps one bit a page, 1 for free, at its own start (32 KiB a GiB).  The
 * search is first fit from kr_hint, the lowest word that may have a bit set: runs of single pages
 * cost a few instructions each, full ranges are skipped by their count, and a run of several pages
 * passes 64 used pages with one comparison.  Pages are zeroed on the way out, outside the lock.  A
 * bitmap was preferred to lists of free runs because it finds a double or foreign free with one
 * look, touches no free page, and cannot be broken by a stray store into one.
 *
 * With checks (kmem_check.c) a range has more tables, a search goes on where the last one ended and
 * leaves a free page on each side, a freed page is kept aside, and memory that is short gets all of
 * that back.
 *
 * Ranges are sorted by address and searched by bisection when a page comes back.  They and the
 * cached stacks are guarded by kmem_lock, a leaf of the lock order.
 *
 * Limits.  A run of several pages does not cross from one range into the next.  A search through a
 * range in which only fragments are left looks at each of its words with interrupts off: 64 K
 * words, some 20 us, for 16 GiB.
 */
#include "kernel/kmem.h"

#include <stdbool.h>

#include "kernel/kmem_check.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"

/* With checks: freed stacks that are not used again yet. */
#define KMEM_STACKS_KEPT 8u

static struct spinlock kmem_lock = SPINLOCK_INIT("kmem");
static struct kmem_range kmem_range[KMEM_RANGES];
static unsigned kmem_nranges;
static size_t kmem_total, kmem_free;
static struct kmem_stack *kmem_stacks; /* the last one freed first */
static size_t kmem_nstacks;
/* Those kept aside, the first one freed first. */
static struct kmem_stack *kmem_stacks_kept, **kmem_stacks_end = &kmem_stacks_kept;
static size_t kmem_nstacks_kept;
/* What is left of the page from which kmem_boot_alloc() serves small requests. */
static uintptr_t kmem_boot_next, kmem_boot_end;
static size_t kmem_boot_pages; /* that it has taken */

static size_t
kmem_words(const struct kmem_range *kr)
{
	return (kr->kr_npages + KMEM_WORD_PAGES - 1) / KMEM_WORD_PAGES;
}

static bool
kmem_test(const struct kmem_range *kr, size_t page)
{
	return (kr->kr_bits[page / KMEM_WORD_PAGES] >> page % KMEM_WORD_PAGES & 1) != 0;
}

void
kmem_lock_enter(void)
{
	spinlock_enter(&kmem_lock);
}

void
kmem_lock_exit(void)
{
	spinlock_exit(&kmem_lock);
}

struct kmem_range *
kmem_range_at(unsigned index)
{
	return index < kmem_nranges ? &kmem_range[index] : NULL;
}

/* Lays out a range: tables first, then the pages they describe, all free. */
static void
kmem_range_init(struct kmem_range *kr, uintptr_t start, size_t npages)
{
	const size_t page_bits = (size_t)PAGE_BYTES * 8;
	/* A page's share of the tables, in bits; words that are not full may want another page. */
	size_t share = kmem_checking() ? 2 + 8 * sizeof(struct kmem_sites) : 1;
	size_t table_pages = (npages * share + page_bits + share - 1) / (page_bits + share) +
	    kmem_checking();
	size_t page;

	if (table_pages > npages)
		table_pages = npages;
	*kr = (struct kmem_range){ .kr_bits = (uint64_t *)start };
	kr->kr_start = start + table_pages * PAGE_BYTES;
	kr->kr_npages = kr->kr_nfree = npages - table_pages;
	if (kmem_checking()) {
		kr->kr_poisoned = kr->kr_bits + kmem_words(kr);
		kr->kr_sites = (struct kmem_sites *)(kr->kr_poisoned + kmem_words(kr));
	}
	memset(kr->kr_bits, 0, table_pages * PAGE_BYTES);
	memset(kr->kr_bits, 0xff, kr->kr_npages / 8);
	for (page = kr->kr_npages / 8 * 8; page < kr->kr_npages; page++)
		kr->kr_bits[page / KMEM_WORD_PAGES] |= 1ull << page % KMEM_WORD_PAGES;
}

void
kmem_add(uintptr_t start, uintptr_t end)
{
	unsigned i;

	if (start == 0)
		start = PAGE_BYTES; /* a page at NULL could not be told from failure */
	start = (start + PAGE_BYTES - 1) / PAGE_BYTES * PAGE_BYTES;
	end = end / PAGE_BYTES * PAGE_BYTES;
	if (end < start || end - start < 2 * PAGE_BYTES)
		return; /* no room for a page and its bitmap */
	if (kmem_nranges == KMEM_RANGES) {
		printf("kmem: %zu KiB at 0x%zx left unused: more than %u ranges\n",
		    (size_t)(end - start) / 1024, (size_t)start, KMEM_RANGES);
		return;
	}
	spinlock_enter(&kmem_lock);
	for (i = kmem_nranges; i != 0 && kmem_range[i - 1].kr_start > start; i--)
		kmem_range[i] = kmem_range[i - 1];
	kmem_nranges++;
	kmem_range_init(&kmem_range[i], start, (end - start) / PAGE_BYTES);
	kmem_total += kmem_range[i].kr_npages;
	kmem_free += kmem_range[i].kr_npages;
	spinlock_exit(&kmem_lock);
}

/* The first of `npages` free pages in a row, from a word on; kr_npages when there are none. */
static size_t
kmem_find(const struct kmem_range *kr, size_t from, size_t npages)
{
	size_t page, run = 0;

	for (page = from * KMEM_WORD_PAGES; page < kr->kr_npages; page++) {
		uint64_t word = kr->kr_bits[page / KMEM_WORD_PAGES];

		if (page % KMEM_WORD_PAGES == 0 && word == 0) {
			run = 0;
			page += KMEM_WORD_PAGES - 1;
		} else if (page % KMEM_WORD_PAGES == 0 && word == UINT64_MAX &&
		    run + KMEM_WORD_PAGES < npages) {
			run += KMEM_WORD_PAGES;
			page += KMEM_WORD_PAGES - 1;
		} else if ((word >> page % KMEM_WORD_PAGES & 1) == 0)
			run = 0;
		else if (++run == npages)
			return page + 1 - npages;
	}
	return kr->kr_npages;
}

/* Marks `npages` pages used, with `gap` free ones left on each side, and returns their address; 0
 * when the range has no such run. */
static uintptr_t
kmem_range_alloc(struct kmem_range *kr, size_t npages, size_t gap)
{
	size_t page, i;

	if (kr->kr_nfree < npages + 2 * gap)
		return 0;
	while (kr->kr_hint < kmem_words(kr) && kr->kr_bits[kr->kr_hint] == 0)
		kr->kr_hint++;
	page = kr->kr_npages;
	if (gap != 0)
		page = kmem_find(kr, kr->kr_cursor, npages + 2 * gap);
	if (page == kr->kr_npages)
		page = kmem_find(kr, kr->kr_hint, npages + 2 * gap);
	if (page == kr->kr_npages)
		return 0;
	page += gap;
	for (i = page; i < page + npages; i++)
		kr->kr_bits[i / KMEM_WORD_PAGES] &= ~(1ull << i % KMEM_WORD_PAGES);
	kr->kr_nfree -= npages;
	return kr->kr_start + page * PAGE_BYTES;
}

static uintptr_t
kmem_take(size_t npages, size_t gap)
{
	uintptr_t address = 0;

	for (unsigned i = 0; i < kmem_nranges && address == 0; i++)
		address = kmem_range_alloc(&kmem_range[i], npages, gap);
	return address;
}

/* With room for red zones; else without; else from what is kept aside. */
static uintptr_t
kmem_take_checked(size_t npages)
{
	uintptr_t address = kmem_take(npages, 1);
	struct kmem_range *kr;

	if (address == 0)
		address = kmem_take(npages, 0);
	if (address == 0) {
		kmem_check_let_go();
		address = kmem_take(npages, 0);
	}
	if (address != 0) {
		kr = kmem_range_of(address, npages);
		kmem_check_taken(kr, (address - kr->kr_start) / PAGE_BYTES, npages);
	}
	return address;
}

static void *
kmem_alloc(size_t npages, uintptr_t site)
{
	struct kmem_range *kr;
	uintptr_t address;

	KASSERT(npages != 0);
	spinlock_enter(&kmem_lock);
	address = kmem_checking() ? kmem_take_checked(npages) : kmem_take(npages, 0);
	if (address != 0)
		kmem_free -= npages;
	spinlock_exit(&kmem_lock);
	if (address == 0)
		return NULL;
	if (kmem_checking()) {
		kr = kmem_range_of(address, npages);
		kmem_check_untouched(kr, (address - kr->kr_start) / PAGE_BYTES, npages, site);
	}
	return memset((void *)address, 0, npages * PAGE_BYTES);
}

void *
kmem_page_alloc(size_t npages)
{
	return kmem_alloc(npages, (uintptr_t)__builtin_return_address(0));
}

struct kmem_range *
kmem_range_of(uintptr_t address, size_t npages)
{
	unsigned low = 0, high = kmem_nranges;
	struct kmem_range *kr;
	size_t page;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (kmem_range[middle].kr_start <= address)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return NULL;
	kr = &kmem_range[low - 1];
	page = (address - kr->kr_start) / PAGE_BYTES;
	return page < kr->kr_npages && npages <= kr->kr_npages - page ? kr : NULL;
}

void
kmem_range_free(struct kmem_range *kr, size_t page, size_t npages)
{
	for (size_t i = page; i < page + npages; i++)
		kr->kr_bits[i / KMEM_WORD_PAGES] |= 1ull << i % KMEM_WORD_PAGES;
	if (page / KMEM_WORD_PAGES < kr->kr_hint)
		kr->kr_hint = page / KMEM_WORD_PAGES;
	kr->kr_nfree += npages;
}

/* The range of pages that may be freed; panics when they may not. */
static struct kmem_range *
kmem_check_free(uintptr_t address, size_t npages)
{
	struct kmem_range *kr = kmem_range_of(address, npages);
	size_t page, i;

	if (kr == NULL || address % PAGE_BYTES != 0 || npages == 0)
		panic("kmem: free of %zu foreign pages at %p", npages, (void *)address);
	page = (address - kr->kr_start) / PAGE_BYTES;
	for (i = page; i < page + npages; i++)
		if (kmem_test(kr, i) || (kmem_checking() && kmem_check_kept(kr, i)))
			panic("kmem: double free of page %p",
			    (void *)(kr->kr_start + i * PAGE_BYTES));
	return kr;
}

void
kmem_page_free(void *pages, size_t npages)
{
	uintptr_t address = (uintptr_t)pages;
	struct kmem_range *kr;
	size_t page;

	spinlock_enter(&kmem_lock);
	kr = kmem_check_free(address, npages);
	page = (address - kr->kr_start) / PAGE_BYTES;
	if (kmem_checking()) {
		kmem_check_red_zones(kr, page, npages);
		spinlock_exit(&kmem_lock);
		kmem_check_fill(pages, npages * PAGE_BYTES);
		spinlock_enter(&kmem_lock);
		(void)kmem_check_free(address, npages); /* by two at once? */
		kmem_check_keep(kr, page, npages, (uintptr_t)__builtin_return_address(0));
	} else {
		kmem_range_free(kr, page, npages);
	}
	kmem_free += npages;
	spinlock_exit(&kmem_lock);
}

/* Takes `bytes` off the page at hand; NULL when it has less. */
static void *
kmem_boot_take(size_t bytes)
{
	void *p = NULL;

	spinlock_enter(&kmem_lock);
	if (kmem_boot_end - kmem_boot_next >= bytes) {
		p = (void *)kmem_boot_next;
		kmem_boot_next += bytes;
	}
	spinlock_exit(&kmem_lock);
	return p;
}

static void *
kmem_boot_carve(size_t bytes, uintptr_t site)
{
	size_t npages;
	void *p;

	if ((p = kmem_boot_take(bytes)) != NULL)
		return p;
	npages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	if ((p = kmem_alloc(npages, site)) == NULL)
		panic("kmem: out of memory for %zu bytes, %zu of %zu pages free", bytes,
		    kmem_pages_free(), kmem_pages_total());
	/* What the last page has left serves the next ones, if it is more than there was. */
	spinlock_enter(&kmem_lock);
	kmem_boot_pages += npages;
	if (npages * PAGE_BYTES - bytes > kmem_boot_end - kmem_boot_next) {
		kmem_boot_next = (uintptr_t)p + bytes;
		kmem_boot_end = (uintptr_t)p + npages * PAGE_BYTES;
	}
	spinlock_exit(&kmem_lock);
	return p;
}

void *
kmem_boot_alloc(size_t bytes)
{
	uintptr_t site = (uintptr_t)__builtin_return_address(0);
	char *p;

	KASSERT(bytes != 0);
	bytes = (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
	if (!kmem_checking())
		return kmem_boot_carve(bytes, site);
	p = kmem_boot_carve(bytes + KMEM_TAIL_BYTES, site);
	kmem_check_tail(p + bytes, site);
	return p;
}

static size_t
kmem_read(const size_t *count)
{
	size_t n;

	spinlock_enter(&kmem_lock);
	n = *count;
	spinlock_exit(&kmem_lock);
	return n;
}

size_t
kmem_pages_total(void)
{
	return kmem_read(&kmem_total);
}

size_t
kmem_pages_free(void)
{
	return kmem_read(&kmem_free);
}

size_t
kmem_pages_boot(void)
{
	return kmem_read(&kmem_boot_pages);
}

/* The first of a list; NULL when it is empty. */
static struct kmem_stack *
kmem_stack_pop(struct kmem_stack **list)
{
	struct kmem_stack *ks = *list;

	if (ks != NULL)
		*list = ks->ks_next;
	return ks;
}

/* The one that is kept aside for longest. */
static struct kmem_stack *
kmem_stack_pop_kept(void)
{
	struct kmem_stack *ks = kmem_stack_pop(&kmem_stacks_kept);

	if (kmem_stacks_kept == NULL)
		kmem_stacks_end = &kmem_stacks_kept;
	kmem_nstacks_kept -= ks != NULL;
	return ks;
}

static void
kmem_stack_push(struct kmem_stack *ks)
{
	ks->ks_next = kmem_stacks;
	kmem_stacks = ks;
}

static void
kmem_stack_keep(struct kmem_stack *ks)
{
	ks->ks_next = NULL;
	*kmem_stacks_end = ks;
	kmem_stacks_end = &ks->ks_next;
	if (++kmem_nstacks_kept > KMEM_STACKS_KEPT)
		kmem_stack_push(kmem_stack_pop_kept());
}

void *
kmem_stack_alloc(void)
{
	struct kmem_stack *ks;
	void *fresh;

	spinlock_enter(&kmem_lock);
	ks = kmem_stack_pop(&kmem_stacks);
	kmem_nstacks -= ks != NULL;
	spinlock_exit(&kmem_lock);
	if (ks == NULL) {
		if ((fresh = machine_map_stack(KSTACK_BYTES / PAGE_BYTES)) != NULL)
			return fresh;
		spinlock_enter(&kmem_lock);
		ks = kmem_stack_pop_kept();
		kmem_nstacks -= ks != NULL;
		spinlock_exit(&kmem_lock);
	}
	if (ks != NULL && kmem_checking())
		kmem_check_stack(ks);
	return ks;
}

void
kmem_stack_free(void *stack, size_t kept)
{
	struct kmem_stack *ks = stack;

	if (kmem_checking())
		kmem_check_stack_fill(ks, (uintptr_t)stack + KSTACK_BYTES - kept,
		    (uintptr_t)__builtin_return_address(0));
	spinlock_enter(&kmem_lock);
	if (kmem_checking())
		kmem_stack_keep(ks);
	else
		kmem_stack_push(ks);
	kmem_nstacks++;
	spinlock_exit(&kmem_lock);
}

void
kmem_stacks_release(void)
{
	struct kmem_stack *ks;

	spinlock_enter(&kmem_lock);
	while ((ks = kmem_stack_pop_kept()) != NULL)
		kmem_stack_push(ks);
	for (ks = kmem_stacks; ks != NULL; ks = ks->ks_next)
		kmem_check_stack(ks);
	spinlock_exit(&kmem_lock);
}

size_t
kmem_stacks_cached(void)
{
	size_t n;

	spinlock_enter(&kmem_lock);
	n = kmem_nstacks;
	spinlock_exit(&kmem_lock);
	return n;
}
