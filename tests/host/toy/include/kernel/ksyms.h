/*
 * Addresses as text; the toy has no symbols.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_KSYMS_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_KSYMS_H

#include <stdint.h>

#define KSYMS_TEXT_BYTES 32

/* Returns the text. */
const char *ksyms_format(uintptr_t, char text[KSYMS_TEXT_BYTES]);

#endif
