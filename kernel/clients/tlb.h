/*
 * Telling other CPUs to forget translations of kernel addresses ("TLB shootdown").
 */
#ifndef KERNEL_CLIENTS_TLB_H
#define KERNEL_CLIENTS_TLB_H

#include <stddef.h>
#include <stdint.h>

/*
 * When this returns, no CPU uses a translation of [address, address + npages pages) that it has
 * from before the call: what was mapped there may be freed and used for something else.
 *	- Context: a thread, or a soft interrupt, with interrupts on.
 *	- NMI handlers must not touch memory that is mapped so: a CPU says that it will forget
 *	  before it has, and only an NMI comes between.  Ordinary memory only, with one type of
 *	  caching: a CPU may read ahead through the old translation until it has forgotten it.
 *	- Service threads and interrupt handlers must not touch it either: they also run on a CPU
 *	  that goes offline or comes back, which nobody tells.
 *	- Any number of callers at once.
 */
void tlb_shootdown(uintptr_t address, size_t npages);
/* This CPU forgets everything: for one that has become a target of cross calls again. */
void tlb_flush(void);

/* A page-sized window on memory: replaces the page that is seen there (NULL: none) and shoots the
 * old one down. */
void tlb_remap(uintptr_t window, void *page);

#endif
