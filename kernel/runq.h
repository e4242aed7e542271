/*
 * The run queues of one CPU: a FIFO a priority, and a bitmap of those that are not empty.  No
 * locking of their own; l_run_next links the threads.
 */
#ifndef KERNEL_RUNQ_H
#define KERNEL_RUNQ_H

#include <stdbool.h>
#include <stdint.h>

#include "kernel/lwp.h"

#define RUNQ_WORD_BITS 64
#define RUNQ_WORDS ((PRI_COUNT + RUNQ_WORD_BITS - 1) / RUNQ_WORD_BITS)

struct runq_fifo {
	struct lwp *rf_head, *rf_tail;
};

/* All zero is empty. */
struct runq {
	unsigned rq_count;
	uint64_t rq_bits[RUNQ_WORDS];
	struct runq_fifo rq_fifo[PRI_COUNT];
};

/* The best priority in it; PRI_IDLE when it is empty, for the idle thread stands in no queue. */
pri_t runq_top(const struct runq *);
/* Puts a thread at the end of the FIFO of its priority, or first. */
void runq_insert(struct runq *, lwp_t *, bool first);
/* Takes a thread out; its priority is still that with which it came. */
void runq_remove(struct runq *, lwp_t *);
/* Takes out the first of the best; NULL when there is none. */
lwp_t *runq_take(struct runq *);

#endif
