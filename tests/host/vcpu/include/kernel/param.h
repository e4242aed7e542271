/*
 * The kernel's numbers, but for those that a host needs otherwise.
 */
#ifndef TESTS_HOST_VCPU_INCLUDE_KERNEL_PARAM_H
#define TESTS_HOST_VCPU_INCLUDE_KERNEL_PARAM_H

#include_next "kernel/param.h"

/* A sanitizer's report is made on the stack of the thread that it is about. */
#undef KSTACK_BYTES
#define KSTACK_BYTES 262144

/* Nothing here waits for hardware: tests that sleep a tick should not sleep long. */
#undef HZ
#define HZ 1000

#endif
