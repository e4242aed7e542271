/*
 * CPUs and calls that stand still on purpose, and waits that report soon: for tests of the report
 * of a stall.
 */
#ifndef TESTS_KERNEL_STALLED_H
#define TESTS_KERNEL_STALLED_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "tests/kernel/masked.h"
#include "xcall/xc_status.h"

#define STALLED_WARN_NS 20000000ull
/* Long enough for a report or two. */
#define STALLED_WAIT_NS 200000000ull

/* From now on waits report after that time, and what they say is heard (overhear.h). */
void stalled_begin(uint64_t warn_ns, bool resend);
/* Then the figures are those of the calling CPU, and these two what it has added to them since. */
void stalled_end(void);
extern struct xc_stats stalled_stats;
extern uint64_t stalled_resent, stalled_stalls;

/* Functions to call: counts; stand at the gate arg1. */
extern _Atomic uint64_t stalled_ran;
void stalled_count_up(void *, void *);
void stalled_pass(void *arg1, void *arg2);
void stalled_pass_too(void *arg1, void *arg2);

/* Spins in it until the struct masked (masked.h) arg1 is released: to call by XC_NMI. */
void stalled_spin_in_nmi(void *arg1, void *arg2);

/* The last CPU; NULL, and the case is skipped, when there are less. */
struct cpu_info *stalled_target(unsigned cpus);
/* Whether a line about that CPU goes on so. */
bool stalled_said_cpu(const struct cpu_info *, const char *words);

#endif
