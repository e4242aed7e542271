/*
 * The time since boot, from each CPU's time stamp counter.
 */
#ifndef KERNEL_CLOCK_H
#define KERNEL_CLOCK_H

#include <stdint.h>

/* Gives the frequency of machine_cycles(); called once, by the machine's calibration. */
void clock_init(uint64_t cycles_hz);
uint64_t clock_hz(void);
/* Nanoseconds since clock_init() on this CPU's counter; 0 before.  Any context. */
uint64_t clock_ns(void);
/* Converts an interval of machine_cycles(). */
uint64_t clock_cycles_to_ns(uint64_t cycles);
uint64_t clock_ns_to_cycles(uint64_t ns);
/* Busy waits at least that long.  Any context; needs clock_init(). */
void delay_us(uint64_t us);

#endif
