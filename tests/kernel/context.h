/*
 * Every context that code can stand in, for tests of who may do what.
 */
#ifndef TESTS_KERNEL_CONTEXT_H
#define TESTS_KERNEL_CONTEXT_H

#include <stdbool.h>

enum context {
	CONTEXT_THREAD,
	CONTEXT_SPINLOCK,
	CONTEXT_NOPREEMPT,
	CONTEXT_INTR_OFF,
	CONTEXT_SOFTINT,
	CONTEXT_HARDIRQ,
	CONTEXT_NMI,
	CONTEXT_FUNCTION, /* a low-priority one */
	CONTEXT_EARLY,    /* before the other CPUs are up: no CPU takes calls */
	CONTEXTS
};

/* Runs func(arg) in that context on the caller's CPU, and returns when it is over; false when it
 * did not begin.  By one thread at a time. */
bool context_run(enum context, void (*func)(void *), void *arg) __attribute__((warn_unused_result));

#endif
