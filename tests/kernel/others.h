/*
 * The other CPUs, for tests that need all of them, or one less.
 */
#ifndef TESTS_KERNEL_OTHERS_H
#define TESTS_KERNEL_OTHERS_H

#include <stdbool.h>

struct cpu_info;
struct cpuset;

/* The CPU of the highest index; all CPUs. */
struct cpu_info *others_last(void);
void others_all(struct cpuset *);
/* Makes a CPU no target of cross calls, as one that has left, or one again.  Nobody calls it, or
 * calls from it, meanwhile. */
void others_set_target(struct cpu_info *, bool target);

#endif
