/*
 * The kernel's own symbol table, linked in.
 */
#ifndef KERNEL_KSYMS_H
#define KERNEL_KSYMS_H

#include <stdint.h>

/* The function that contains `pc` and the offset in it; NULL when it is in none.  Any context. */
const char *ksyms_lookup(uintptr_t pc, uintptr_t *offset);
/* Room for "function+0x123" of any symbol. */
#define KSYMS_TEXT_BYTES 96
/* Writes "function+0xoffset", or the bare address, into `buf`; returns buf. */
const char *ksyms_format(uintptr_t pc, char buf[KSYMS_TEXT_BYTES]);

#endif
