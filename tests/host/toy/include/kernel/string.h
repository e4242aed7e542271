/*
 * For tests/kernel/ only: the host's own.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_STRING_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_STRING_H

#include <string.h>

#endif
