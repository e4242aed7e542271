/*
 * A CPU that keeps interrupts off, and one that counts.
 */
#ifndef TESTS_KERNEL_MASKED_H
#define TESTS_KERNEL_MASKED_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/kernel/crew.h"

/* A thread that spins with interrupts off, in nothing that serves anything, until it is
 * released. */
struct masked {
	struct crew_job job;
	_Atomic uint64_t inside, release;
};

/* On another CPU than the caller's; returns when its interrupts are off. */
void masked_begin(struct masked *, struct cpu_info *);
/* Lets interrupts on; and returns once its thread has ended too, for which nothing may stay on the
 * CPU. */
void masked_release(struct masked *);
void masked_end(struct masked *);

/* A thread at the lowest priority that counts in a loop: the count stands still when its CPU
 * does. */
struct counter {
	struct crew_job job;
	_Atomic uint64_t count, stop;
};

void counter_begin(struct counter *, struct cpu_info *);
void counter_end(struct counter *);
/* Whether it moves within a minute. */
bool counter_moves(struct counter *);

#endif
