/*
 * The host's own.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_PRINTF_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_PRINTF_H

#include <stdio.h>

#endif
