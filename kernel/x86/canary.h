/*
 * The stack protector: a word in front of each buffer's return address, looked at before the
 * function returns (-fstack-protector-strong).
 */
#ifndef KERNEL_X86_CANARY_H
#define KERNEL_X86_CANARY_H

#include <stdint.h>

/* The word, by the compilers' name.  Made by entry.asm before the first C function runs,
 * among the constants: paging_init() makes it read-only.  The lowest byte is 0. */
extern const uintptr_t __stack_chk_guard;

/* Where its 56 other bits come from, for the banner. */
const char *canary_source(void);

#endif
