/*
 * A sanitizer makes each round some ten times dearer, and sees in one what a machine shows once in
 * a thousand.
 */
#ifndef TESTS_HOST_VCPU_INCLUDE_TESTS_KERNEL_ROUNDS_H
#define TESTS_HOST_VCPU_INCLUDE_TESTS_KERNEL_ROUNDS_H

#define ROUNDS(n) (((n) + 3) / 4)

#endif
