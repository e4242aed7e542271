/*
 * What kmem.c and its checks share (kmem_check.c).  Nobody else includes this.
 */
#ifndef KERNEL_KMEM_CHECK_H
#define KERNEL_KMEM_CHECK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KMEM_WORD_PAGES 64

/* Who took and gave back a page last: return addresses; kernel text lies below 4 GiB. */
struct kmem_sites {
	uint32_t allocated, freed;
};

/* Guarded by the lock of kmem.c. */
struct kmem_range {
	uintptr_t kr_start; /* the page of bit 0, behind the tables */
	size_t kr_npages;
	size_t kr_nfree;
	size_t kr_hint;    /* no bit is set in the words below */
	uint64_t *kr_bits; /* 1: free; bits behind the last page are 0 */
	/* With checks only: where the last search ended; which pages hold the pattern, free or kept
	 * aside; who had them. */
	size_t kr_cursor;
	uint64_t *kr_poisoned;
	struct kmem_sites *kr_sites;
};

/* The lowest bytes of a freed stack. */
struct kmem_stack {
	struct kmem_stack *ks_next;
	uintptr_t ks_end;   /* with checks: the pattern goes so far */
	uintptr_t ks_freed; /* by whom */
};

/* --- kmem.c, for its checks --- */
void kmem_lock_enter(void);
void kmem_lock_exit(void);
/* The ranges by index; NULL behind the last. */
struct kmem_range *kmem_range_at(unsigned index);
/* The range that holds all of these pages, or NULL. */
struct kmem_range *kmem_range_of(uintptr_t address, size_t npages);
/* Stacks that are kept aside may be used, if their pattern is whole. */
void kmem_stacks_release(void);
/* Marks pages free.  Lock held. */
void kmem_range_free(struct kmem_range *, size_t page, size_t npages);

/* --- kmem_check.c, for kmem.c; each with checks on only --- */
/* Of an allocation, lock held: makes red zones of its neighbours.  Then, lock not held: that nobody
 * wrote to the pages while they were free; notes who has them now. */
void kmem_check_taken(struct kmem_range *, size_t page, size_t npages);
void kmem_check_untouched(struct kmem_range *, size_t page, size_t npages, uintptr_t site);
/* Of a free, lock held: whether the pages are kept aside already; that the red zones are whole.
 * Then, lock not held: the pattern.  Then, lock held: keeps them aside. */
bool kmem_check_kept(const struct kmem_range *, size_t page);
void kmem_check_red_zones(struct kmem_range *, size_t page, size_t npages);
void kmem_check_fill(void *start, size_t bytes);
void kmem_check_keep(struct kmem_range *, size_t page, size_t npages, uintptr_t site);
/* Of a stack: the pattern between its lowest bytes and `end`; and that it is whole. */
void kmem_check_stack_fill(struct kmem_stack *, uintptr_t end, uintptr_t site);
void kmem_check_stack(const struct kmem_stack *);
/* A red zone behind a piece of kmem_boot_alloc(), which has room for it. */
#define KMEM_TAIL_BYTES 64
void kmem_check_tail(void *tail, uintptr_t site);
/* All that is kept aside becomes free.  Lock held. */
void kmem_check_let_go(void);

#endif
