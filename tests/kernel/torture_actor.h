/*
 * The actors of torture: on each CPU threads, soft interrupts, what comes at the end of the timer's
 * interrupts, and a vector.
 */
#ifndef TESTS_KERNEL_TORTURE_ACTOR_H
#define TESTS_KERNEL_TORTURE_ACTOR_H

#include <stdatomic.h>
#include <stdint.h>

#include "tests/kernel/crew.h"
#include "tests/kernel/torture_ledger.h"

#define TORTURE_THREADS 2u
/* Threads, soft interrupts of each level, the timer, the vector. */
#define TORTURE_ACTORS (TORTURE_THREADS + SOFTINT_COUNT + 2)
/* Calls of an actor that are not settled. */
#define TORTURE_OPEN 24u

struct torture_actor {
	struct crew_job job; /* threads */
	uint64_t seed, step; /* the actor */
	uint64_t calls;      /* the actor: for tags */
	unsigned number, open;
	uint64_t ticks;              /* the timer's actor: of its CPU, at its last step */
	_Atomic uint64_t steps;      /* for who looks whether it moves */
	_Atomic(const char *) doing; /* the same */
	uint64_t seen, since_ns;     /* who looks: `steps`, and since when */
	struct torture_call call[TORTURE_OPEN]; /* the first `open` are posted */
	struct torture_call *slot[TORTURE_OPEN];
};

/* Memory, soft interrupts, handlers: once a run. */
void torture_actors_create(uint64_t seed);
void torture_actors_destroy(void);
/* Sets all going, but the threads of the victim; stops them.  Which one does not stop within that
 * time, or NULL.  `ring`: one thread a CPU, which calls the next CPU alone: a notification that is
 * lost is made good by nobody. */
void torture_actors_start(bool ring);
const struct torture_actor *torture_actors_stop(uint64_t within_ns);
/* Settles what is left and puts things in order for the next start.  All CPUs are online. */
void torture_actors_close(void);
/* The thread that has not moved for that long, or NULL. */
const struct torture_actor *torture_actors_stuck(uint64_t ns);
/* A CPU that stays; a set, not empty. */
struct cpu_info *torture_cpu(struct torture_dice *);
uint64_t torture_some(struct torture_dice *);

#endif
