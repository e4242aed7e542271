/*
 * Threads and gates for tests that need several actors.
 */
#ifndef TESTS_KERNEL_CREW_H
#define TESTS_KERNEL_CREW_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"

/* A thread that runs func(arg) once. */
struct crew_job {
	void (*func)(void *);
	void *arg;
	_Atomic uint64_t done;
	lwp_t *thread;
};

/* A failure to create it fails the case, and runs nothing; join is legal all the same. */
void crew_start(struct crew_job *, struct cpu_info *, pri_t, void (*func)(void *), void *arg);
void crew_join(struct crew_job *);

/* Waits until the counter is at least `value`, for at most that time; whether it is. */
bool crew_reached(_Atomic uint64_t *counter, uint64_t value, uint64_t within_ns);

/* Closed at first; whoever passes sleeps until it is open, without a mutex. */
struct gate {
	kmutex_t lock;
	kcondvar_t opened;
	bool open;
};

void gate_init(struct gate *);
void gate_pass(struct gate *);
void gate_open(struct gate *);
/* When nobody is in it any more. */
void gate_destroy(struct gate *);

/* Zeroed memory for `n` objects of `bytes`, and back. */
void *crew_alloc(unsigned n, unsigned bytes);
void crew_free(void *, unsigned n, unsigned bytes);

/* The next of a sequence of pseudo-random numbers; *state starts from anything but 0. */
uint64_t crew_random(uint64_t *state);

#endif
