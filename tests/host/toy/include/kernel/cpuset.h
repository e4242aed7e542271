/*
 * For tests/kernel/ only.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_CPUSET_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_CPUSET_H

#include "cpu.h"

#endif
