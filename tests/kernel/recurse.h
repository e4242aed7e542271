/*
 * A function that overflows any stack.
 */
#ifndef TESTS_KERNEL_RECURSE_H
#define TESTS_KERNEL_RECURSE_H

#include <stdint.h>

/* Calls itself a million times from depth 0 on, with a KiB on the stack each; what it returns must
 * be used. */
uint64_t misuse_recurse(uint64_t depth);

#endif
