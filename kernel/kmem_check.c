/*
 * Checks of memory: red zones, a pattern in freed memory, and a quarantine.
 *
 * Background.  A page allocator sees nothing of what is done with its pages.  A store behind the
 * end of a run hits whoever comes next, a store to freed memory hits its next owner, and both show
 * much later and elsewhere.  With the word `memcheck` on the command line, and by itself in tests,
 * such stores are found and named, for the price of time and memory.
 *
 * Implementation.  A page is in one of four states, by its bits in kr_bits and kr_poisoned:
 *	free 1, poisoned 0	never used
 *	free 0, poisoned 0	somebody's
 *	free 0, poisoned 1	freed, kept aside
 *	free 1, poisoned 1	freed, may be taken; or a red zone
 * Who frees a page fills it with the pattern.  It is kept aside until as many others have been
 * freed, and the search for free pages goes round and round: a page stays unused for long, and any
 * store to it breaks the pattern, which is looked at when the page is taken again and, all pages
 * at once, by kmem_check_release(), which the runner of the tests calls after each suite.
 *
 * A red zone is no memory of its own: it is a free page beside a run, as long as there is another
 * place for the next run.  A free therefore looks at its neighbours.  When memory runs short, red
 * zones and what is kept aside are given out as any other free page: what succeeds without checks
 * succeeds with them, and counts of free pages are the same.
 *
 * Stacks keep the pattern below the part that must stay readable (the lwp_t, kthread.c); their red
 * zones are the guard pages.  Pieces of kmem_boot_alloc(), which live for ever, have a line of
 * pattern behind them.
 *
 * The store itself is over when it is found.  So the report names everybody who may have done it:
 * who had the page last and who freed it, and who has the pages on either side.
 *
 * Limits.  Reads are not found, but see the pattern, which is no address (bits 63 to 47 differ: a
 * general protection fault).  A store of the pattern itself is not found.  A long overrun that
 * jumps over a page is not, either.
 */
#include "kernel/kmem_check.h"

#include "kernel/kmem.h"
#include "kernel/ksyms.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"

#define KMEM_PATTERN 0xfdfdfdfdfdfdfdfdull
#define KMEM_PATTERN_BYTE 0xfd
/* Pages that are kept aside: 2 MiB. */
#define KMEM_KEPT 512u

struct kmem_tail {
	/* What an overrun hits first. */
	uint64_t kt_pattern[KMEM_TAIL_BYTES / sizeof(uint64_t) - 2];
	struct kmem_tail *kt_next;
	uintptr_t kt_site;
};

_Static_assert(sizeof(struct kmem_tail) == KMEM_TAIL_BYTES, "kmem_boot_alloc() makes room for it");

static bool kmem_check_on;
/* A ring: pages kept aside, the oldest at kmem_kept_first.  Lock of kmem.c, as all below. */
static uintptr_t kmem_kept[KMEM_KEPT];
static unsigned kmem_kept_first, kmem_kept_n;
static struct kmem_tail *kmem_tails;

void
kmem_check_enable(void)
{
	KASSERT(kmem_range_at(0) == NULL);
	kmem_check_on = true;
}

bool
kmem_checking(void)
{
	return kmem_check_on;
}

/* --- the pattern ------------------------------------------------------------------------------ */

void
kmem_check_fill(void *start, size_t bytes)
{
	uint64_t *word = start;

	for (size_t i = 0; i < bytes / sizeof(*word); i++)
		word[i] = KMEM_PATTERN;
}

/* The first byte that is not the pattern; `bytes` when all are. */
static size_t
kmem_check_look(const void *start, size_t bytes)
{
	const uint64_t *word = start;
	const uint8_t *byte = start;
	size_t i;

	for (i = 0; i < bytes / sizeof(*word); i++)
		if (word[i] != KMEM_PATTERN)
			break;
	for (i *= sizeof(*word); i < bytes; i++)
		if (byte[i] != KMEM_PATTERN_BYTE)
			break;
	return i;
}

static const char *
kmem_check_name(uintptr_t site, char text[KSYMS_TEXT_BYTES])
{
	/* A return address: the call stands before it. */
	return site != 0 ? ksyms_format(site - 1, text) : "nobody";
}

/* --- pages ------------------------------------------------------------------------------------ */

static uint64_t
kmem_check_bit(const uint64_t *bits, size_t page)
{
	return bits[page / KMEM_WORD_PAGES] >> page % KMEM_WORD_PAGES & 1;
}

static char *
kmem_check_page(const struct kmem_range *kr, size_t page)
{
	return (char *)(kr->kr_start + page * PAGE_BYTES);
}

/* Who has a page now, if somebody has. */
static const char *
kmem_check_owner(const struct kmem_range *kr, size_t page, char text[KSYMS_TEXT_BYTES])
{
	if (page >= kr->kr_npages || kmem_check_bit(kr->kr_bits, page) ||
	    kmem_check_bit(kr->kr_poisoned, page))
		return "nobody";
	return kmem_check_name(kr->kr_sites[page].allocated, text);
}

static void
kmem_check_whole(const struct kmem_range *kr, size_t page)
{
	char a[KSYMS_TEXT_BYTES], b[KSYMS_TEXT_BYTES], c[KSYMS_TEXT_BYTES], d[KSYMS_TEXT_BYTES];
	const uint8_t *start = (const uint8_t *)kmem_check_page(kr, page);
	size_t offset = kmem_check_look(start, PAGE_BYTES);

	if (offset == PAGE_BYTES)
		return;
	panic("kmem: free page %p was written to: byte %zu is %#x; it was last allocated by %s and "
	      "freed by %s; the page before is of %s, the page behind of %s",
	    (const void *)start, offset, start[offset],
	    kmem_check_name(kr->kr_sites[page].allocated, a),
	    kmem_check_name(kr->kr_sites[page].freed, b), kmem_check_owner(kr, page - 1, c),
	    kmem_check_owner(kr, page + 1, d));
}

/* A free page beside a run becomes a red zone, if it does not hold the pattern already. */
static void
kmem_check_make_zone(struct kmem_range *kr, size_t page)
{
	if (page >= kr->kr_npages || !kmem_check_bit(kr->kr_bits, page) ||
	    kmem_check_bit(kr->kr_poisoned, page))
		return;
	kmem_check_fill(kmem_check_page(kr, page), PAGE_BYTES);
	kr->kr_poisoned[page / KMEM_WORD_PAGES] |= 1ull << page % KMEM_WORD_PAGES;
}

void
kmem_check_taken(struct kmem_range *kr, size_t page, size_t npages)
{
	kr->kr_cursor = (page + npages) / KMEM_WORD_PAGES;
	kmem_check_make_zone(kr, page - 1);
	kmem_check_make_zone(kr, page + npages);
}

/* A page at a time: interrupts stay off for no longer than one takes. */
void
kmem_check_untouched(struct kmem_range *kr, size_t page, size_t npages, uintptr_t site)
{
	for (size_t i = page; i < page + npages; i++) {
		kmem_lock_enter();
		if (kmem_check_bit(kr->kr_poisoned, i)) {
			kmem_check_whole(kr, i);
			kr->kr_poisoned[i / KMEM_WORD_PAGES] &= ~(1ull << i % KMEM_WORD_PAGES);
		}
		kr->kr_sites[i].allocated = (uint32_t)site;
		kmem_lock_exit();
	}
}

bool
kmem_check_kept(const struct kmem_range *kr, size_t page)
{
	return kmem_check_bit(kr->kr_poisoned, page);
}

void
kmem_check_red_zones(struct kmem_range *kr, size_t page, size_t npages)
{
	if (page != 0 && kmem_check_bit(kr->kr_poisoned, page - 1))
		kmem_check_whole(kr, page - 1);
	if (page + npages < kr->kr_npages && kmem_check_bit(kr->kr_poisoned, page + npages))
		kmem_check_whole(kr, page + npages);
}

/* The oldest of the pages that are kept aside may be taken from now on. */
static void
kmem_check_let_go_one(void)
{
	uintptr_t address = kmem_kept[kmem_kept_first];
	struct kmem_range *kr = kmem_range_of(address, 1);

	kmem_range_free(kr, (address - kr->kr_start) / PAGE_BYTES, 1);
	kmem_kept_first = (kmem_kept_first + 1) % KMEM_KEPT;
	kmem_kept_n--;
}

void
kmem_check_keep(struct kmem_range *kr, size_t page, size_t npages, uintptr_t site)
{
	for (size_t i = page; i < page + npages; i++) {
		kr->kr_poisoned[i / KMEM_WORD_PAGES] |= 1ull << i % KMEM_WORD_PAGES;
		kr->kr_sites[i].freed = (uint32_t)site;
		if (kmem_kept_n == KMEM_KEPT)
			kmem_check_let_go_one();
		kmem_kept[(kmem_kept_first + kmem_kept_n++) % KMEM_KEPT] = (uintptr_t)
		    kmem_check_page(kr, i);
	}
}

void
kmem_check_let_go(void)
{
	while (kmem_kept_n != 0)
		kmem_check_let_go_one();
}

/* --- stacks, and pieces that live for ever ---------------------------------------------------- */

void
kmem_check_stack_fill(struct kmem_stack *ks, uintptr_t end, uintptr_t site)
{
	KASSERTMSG(end % sizeof(uint64_t) == 0, "%#lx", end);
	ks->ks_end = end;
	ks->ks_freed = site;
	kmem_check_fill(ks + 1, end - (uintptr_t)(ks + 1));
}

void
kmem_check_stack(const struct kmem_stack *ks)
{
	uintptr_t start = (uintptr_t)(ks + 1), stack = (uintptr_t)ks;
	char text[KSYMS_TEXT_BYTES];
	size_t offset;

	if (ks->ks_end < start || ks->ks_end > stack + KSTACK_BYTES)
		panic("kmem: the lowest bytes of the free stack %p were written to",
		    (const void *)ks);
	offset = kmem_check_look(ks + 1, ks->ks_end - start);
	if (offset != ks->ks_end - start)
		panic("kmem: free stack %p was written to: byte %zu is %#x; it was freed by %s",
		    (const void *)ks, start + offset - stack, ((const uint8_t *)start)[offset],
		    kmem_check_name(ks->ks_freed, text));
}

void
kmem_check_tail(void *tail, uintptr_t site)
{
	struct kmem_tail *kt = tail;

	kmem_check_fill(kt->kt_pattern, sizeof(kt->kt_pattern));
	kt->kt_site = site;
	kmem_lock_enter();
	kt->kt_next = kmem_tails;
	kmem_tails = kt;
	kmem_lock_exit();
}

static void
kmem_check_tails(void)
{
	char text[KSYMS_TEXT_BYTES];
	size_t offset;

	for (const struct kmem_tail *kt = kmem_tails; kt != NULL; kt = kt->kt_next) {
		offset = kmem_check_look(kt->kt_pattern, sizeof(kt->kt_pattern));
		if (offset != sizeof(kt->kt_pattern))
			panic("kmem: overrun: %zu bytes behind the piece that ends at %p, which "
			      "was allocated by %s",
			    offset, (const void *)kt, kmem_check_name(kt->kt_site, text));
	}
}

/* --- everything at once ----------------------------------------------------------------------- */

static void
kmem_check_range(struct kmem_range *kr)
{
	for (size_t i = 0; i < kr->kr_npages; i++) {
		if (i % KMEM_WORD_PAGES == 0 && kr->kr_poisoned[i / KMEM_WORD_PAGES] == 0) {
			i += KMEM_WORD_PAGES - 1;
			continue;
		}
		kmem_lock_enter();
		if (kmem_check_bit(kr->kr_poisoned, i))
			kmem_check_whole(kr, i);
		kmem_lock_exit();
	}
}

void
kmem_check_release(void)
{
	struct kmem_range *kr;

	if (!kmem_check_on)
		return;
	for (unsigned i = 0; (kr = kmem_range_at(i)) != NULL; i++)
		kmem_check_range(kr);
	kmem_lock_enter();
	kmem_check_tails();
	kmem_check_let_go();
	for (unsigned i = 0; (kr = kmem_range_at(i)) != NULL; i++)
		kr->kr_cursor = 0;
	kmem_lock_exit();
	kmem_stacks_release();
}
