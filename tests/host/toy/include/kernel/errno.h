/*
 * The host's own.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_ERRNO_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_ERRNO_H

#include <errno.h>

#endif
