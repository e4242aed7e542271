/*
 * For tests/kernel/ only.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_PARAM_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_PARAM_H

#define PAGE_BYTES 4096u

#endif
