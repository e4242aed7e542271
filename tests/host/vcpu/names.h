/*
 * Gives the kernel's functions that libc has too a name of their own: those of ../kernel_names.h,
 * and what only the whole kernel has.  A kernel's sched_yield() would serve libc's callers as well.
 */
#ifndef TESTS_HOST_VCPU_NAMES_H
#define TESTS_HOST_VCPU_NAMES_H

#include "tests/host/kernel_names.h"

#define sched_yield(...) kernel_sched_yield(__VA_ARGS__)

#endif
