/*
 * Whether the page tables are what they should be: nothing writable and executable.
 */
#ifndef KERNEL_X86_AUDIT_H
#define KERNEL_X86_AUDIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What a walk through all tables found, in pages of 4 KiB. */
struct audit {
	uint64_t pages, writable, executable;
	char wrong[128];   /* the first thing that must not be; empty: nothing */
	uintptr_t address; /* where */
};

/*
 * Walks the tables, which all CPUs share, and looks for
 *  - a page that is writable and executable, that user mode may access, or that is executable and
 *    neither kernel text nor the trampoline of the APs;
 *  - a second, writable mapping of text or constants;
 *  - a page at address 0, or where a stack's guard page is;
 *  - CR0.WP or EFER.NXE off, on the calling CPU.
 * True when there is none of it.  Where CPUs have no NX, only the other things are looked for.
 * Thread context, or during bring-up; others may map and unmap meanwhile.
 */
bool audit_run(struct audit *);
/* At boot: panics with what is wrong. */
void audit_boot(void);

#endif
