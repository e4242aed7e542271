/*
 * Instructions that do nothing and that compilers never emit: they tell QEMU's plugin
 * (tests/bench/plugin.c) where a sample begins and ends.
 */
#ifndef TESTS_BENCH_KERNEL_BENCH_MARK_H
#define TESTS_BENCH_KERNEL_BENCH_MARK_H

#include <stdint.h>

static inline void
bench_mark_begin(void)
{
	__asm__ volatile("xchgw %%bx, %%bx" : : : "memory");
}

static inline void
bench_mark_end(void)
{
	__asm__ volatile("xchgw %%cx, %%cx" : : : "memory");
}

/* Until the next interrupt; interrupts are on. */
static inline void
bench_mark_halt(void)
{
	__asm__ volatile("hlt" : : : "memory");
}

/* Two million instructions. */
static inline void
bench_mark_loop(void)
{
	uint64_t n = 1000000;

	__asm__ volatile("1: decq %0; jnz 1b" : "+r"(n) : : "cc");
}

#endif
