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
 * Ranges are sorted by address and searched by bisection when a page comes back.  They and the
 * cached stacks are guarded by kmem_lock, a leaf of the lock order.
 *
 * Limits.  A run of several pages does not cross from one range into the next.  A search through a
 * range in which only fragments are left looks at each of its words with interrupts off: 64 K
 * words, some 20 us, for 16 GiB.
 */
#include "kernel/kmem.h"

#include <stdbool.h>

#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"

#define KMEM_WORD_PAGES 64

struct kmem_range {
	uintptr_t kr_start; /* the page of bit 0, behind the bitmap */
	size_t kr_npages;
	size_t kr_nfree;
	size_t kr_hint;    /* no bit is set in the words below */
	uint64_t *kr_bits; /* 1: free; bits behind the last page are 0 */
};

/* A freed stack holds the link to the next in its lowest bytes. */
struct kmem_stack {
	struct kmem_stack *ks_next;
};

static struct spinlock kmem_lock = SPINLOCK_INIT("kmem");
static struct kmem_range kmem_range[KMEM_RANGES];
static unsigned kmem_nranges;
static size_t kmem_total, kmem_free;
static struct kmem_stack *kmem_stacks;
static size_t kmem_nstacks;
/* What is left of the page from which kmem_boot_alloc() serves small requests. */
static uintptr_t kmem_boot_next, kmem_boot_end;

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

/* Lays out a range: bitmap first, then the pages it describes, all free. */
static void
kmem_range_init(struct kmem_range *kr, uintptr_t start, size_t npages)
{
	const size_t pages_a_page = (size_t)PAGE_BYTES * 8;
	size_t bitmap_pages = (npages + pages_a_page) / (pages_a_page + 1);
	size_t page;

	kr->kr_bits = (uint64_t *)start;
	kr->kr_start = start + bitmap_pages * PAGE_BYTES;
	kr->kr_npages = kr->kr_nfree = npages - bitmap_pages;
	kr->kr_hint = 0;
	memset(kr->kr_bits, 0, bitmap_pages * PAGE_BYTES);
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

/* The first of `npages` free pages in a row, from the hint on; kr_npages when there are none. */
static size_t
kmem_find(struct kmem_range *kr, size_t npages)
{
	size_t words = kmem_words(kr), page, run = 0;

	while (kr->kr_hint < words && kr->kr_bits[kr->kr_hint] == 0)
		kr->kr_hint++;
	for (page = kr->kr_hint * KMEM_WORD_PAGES; page < kr->kr_npages; page++) {
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

/* Marks `npages` pages used and returns their address; 0 when the range has no such run. */
static uintptr_t
kmem_range_alloc(struct kmem_range *kr, size_t npages)
{
	size_t page, i;

	if (kr->kr_nfree < npages)
		return 0;
	page = kmem_find(kr, npages);
	if (page == kr->kr_npages)
		return 0;
	for (i = page; i < page + npages; i++)
		kr->kr_bits[i / KMEM_WORD_PAGES] &= ~(1ull << i % KMEM_WORD_PAGES);
	kr->kr_nfree -= npages;
	return kr->kr_start + page * PAGE_BYTES;
}

void *
kmem_page_alloc(size_t npages)
{
	uintptr_t address = 0;
	unsigned i;

	KASSERT(npages != 0);
	spinlock_enter(&kmem_lock);
	for (i = 0; i < kmem_nranges && address == 0; i++)
		address = kmem_range_alloc(&kmem_range[i], npages);
	if (address != 0)
		kmem_free -= npages;
	spinlock_exit(&kmem_lock);
	if (address == 0)
		return NULL;
	return memset((void *)address, 0, npages * PAGE_BYTES);
}

/* The range that holds all of these pages, or NULL. */
static struct kmem_range *
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
kmem_page_free(void *pages, size_t npages)
{
	uintptr_t address = (uintptr_t)pages;
	struct kmem_range *kr;
	size_t page, i;

	spinlock_enter(&kmem_lock);
	kr = kmem_range_of(address, npages);
	if (kr == NULL || address % PAGE_BYTES != 0 || npages == 0)
		panic("kmem: free of %zu foreign pages at %p", npages, pages);
	page = (address - kr->kr_start) / PAGE_BYTES;
	for (i = page; i < page + npages; i++) {
		if (kmem_test(kr, i))
			panic("kmem: double free of page %p",
			    (void *)(kr->kr_start + i * PAGE_BYTES));
		kr->kr_bits[i / KMEM_WORD_PAGES] |= 1ull << i % KMEM_WORD_PAGES;
	}
	if (page / KMEM_WORD_PAGES < kr->kr_hint)
		kr->kr_hint = page / KMEM_WORD_PAGES;
	kr->kr_nfree += npages;
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

void *
kmem_boot_alloc(size_t bytes)
{
	size_t npages;
	void *p;

	KASSERT(bytes != 0);
	bytes = (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
	if ((p = kmem_boot_take(bytes)) != NULL)
		return p;
	npages = (bytes + PAGE_BYTES - 1) / PAGE_BYTES;
	if ((p = kmem_page_alloc(npages)) == NULL)
		panic("kmem: out of memory for %zu bytes, %zu of %zu pages free", bytes,
		    kmem_pages_free(), kmem_pages_total());
	/* What the last page has left serves the next ones, if it is more than there was. */
	spinlock_enter(&kmem_lock);
	if (npages * PAGE_BYTES - bytes > kmem_boot_end - kmem_boot_next) {
		kmem_boot_next = (uintptr_t)p + bytes;
		kmem_boot_end = (uintptr_t)p + npages * PAGE_BYTES;
	}
	spinlock_exit(&kmem_lock);
	return p;
}

size_t
kmem_pages_total(void)
{
	size_t n;

	spinlock_enter(&kmem_lock);
	n = kmem_total;
	spinlock_exit(&kmem_lock);
	return n;
}

size_t
kmem_pages_free(void)
{
	size_t n;

	spinlock_enter(&kmem_lock);
	n = kmem_free;
	spinlock_exit(&kmem_lock);
	return n;
}

void *
kmem_stack_alloc(void)
{
	struct kmem_stack *ks;

	spinlock_enter(&kmem_lock);
	if ((ks = kmem_stacks) != NULL) {
		kmem_stacks = ks->ks_next;
		kmem_nstacks--;
	}
	spinlock_exit(&kmem_lock);
	return ks != NULL ? ks : machine_map_stack(KSTACK_BYTES / PAGE_BYTES);
}

void
kmem_stack_free(void *stack)
{
	struct kmem_stack *ks = stack;

	spinlock_enter(&kmem_lock);
	ks->ks_next = kmem_stacks;
	kmem_stacks = ks;
	kmem_nstacks++;
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
