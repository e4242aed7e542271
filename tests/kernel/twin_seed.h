/*
 * The cross calls of 2008 as a twin: the same algorithm, written anew on this kernel's mutexes,
 * condition variables and threads.  Tests show that it fails where xcall/ must not.
 *
 * Beyond the algorithm, only what a test needs to get out again: a twin can be stopped however
 * stuck it is.
 */
#ifndef TESTS_KERNEL_TWIN_SEED_H
#define TESTS_KERNEL_TWIN_SEED_H

#include <stdbool.h>
#include <stdint.h>

#include "xcall/xcall.h"

struct cpu_info;

/*
 * Makes the threads twin/N, one a CPU, at PRI_KTHREAD: below other bands, as PRI_XCALL was.
 * admit_on_done: with the repair of 2016, which admits a call only when the one before it has
 * finished.
 */
void twin_start(bool admit_on_done);
/* Every twin_wait() and every post that is stuck returns; the threads end.  No function may be
 * running. */
void twin_stop(void);

uint64_t twin_unicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci);
uint64_t twin_broadcast(unsigned flags, xcfunc_t func, void *arg1, void *arg2);
int twin_wait(uint64_t where);

/* SPCF_RUNNING: whether a broadcast goes there; without it the CPU's thread does not take calls
 * either. */
void twin_set_running(struct cpu_info *ci, bool running);
/* As after that many calls. */
void twin_set_count(uint64_t count);

#endif
