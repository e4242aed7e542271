/*
 * CPUs that go offline and come back, for tests.
 */
#ifndef TESTS_KERNEL_PLUG_H
#define TESTS_KERNEL_PLUG_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;

/* Brings all CPUs online, whatever the case before has left.  False on one CPU: the case is skipped
 * then. */
bool plug_begin(void);
/* Takes the CPU out or in; says why not and returns false if that is refused. */
bool plug_set(struct cpu_info *, bool online);
/* Whether it runs a cross call; whether it is no target of one.  One thread at a time. */
bool plug_answers(struct cpu_info *);
bool plug_refuses(struct cpu_info *);
/* Interrupts that it has taken. */
uint64_t plug_interrupts(const struct cpu_info *);

#endif
