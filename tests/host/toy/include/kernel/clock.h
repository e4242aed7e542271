/*
 * Time: one cycle of the toy is a nanosecond.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_CLOCK_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_CLOCK_H

#include <stdint.h>

/* Never steps back.  Any context. */
uint64_t clock_ns(void);
uint64_t clock_cycles_to_ns(uint64_t cycles);

/* For tests/kernel/ only. */
void delay_us(uint64_t us);

#endif
