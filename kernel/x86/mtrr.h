/*
 * Memory type range registers: every CPU must have the boot CPU's.
 */
#ifndef KERNEL_X86_MTRR_H
#define KERNEL_X86_MTRR_H

#include <stdbool.h>

/* Keeps the boot CPU's registers.  Boot CPU, once, before mtrr_match(). */
void mtrr_save(void);
/* Compares the calling CPU's registers with them and, where they differ, copies them.  Returns
 * whether they differed.  Interrupts off. */
bool mtrr_match(void);

#endif
