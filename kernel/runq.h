/*
 * The run queues of one CPU: a FIFO a priority, a bitmap of those that are not empty, and a word
 * that says which words of it are not 0.  No locking of their own, but that the number of threads
 * may be read by all; l_run_next links them.
 */
#ifndef KERNEL_RUNQ_H
#define KERNEL_RUNQ_H

#include <stdatomic.h>
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
	_Atomic unsigned rq_count;
	unsigned rq_words;
	uint64_t rq_bits[RUNQ_WORDS];
	struct runq_fifo rq_fifo[PRI_COUNT];
};

/* The best priority in it; PRI_IDLE when it is empty, for the idle thread stands in no queue. */
static inline pri_t
runq_top(const struct runq *rq)
{
	unsigned word;

	if (rq->rq_words == 0)
		return PRI_IDLE;
	word = 31 - (unsigned)__builtin_clz(rq->rq_words);
	return (pri_t)(word * RUNQ_WORD_BITS + 63 - (unsigned)__builtin_clzll(rq->rq_bits[word]));
}

/* How many there are; without the lock of the queues, a moment ago. */
static inline unsigned
runq_count(const struct runq *rq)
{
	/* Relaxed: what follows from it is looked at again under the lock. */
	return atomic_load_explicit(&rq->rq_count, memory_order_relaxed);
}

/* Puts a thread at the end of the FIFO of its priority, or first. */
void runq_insert(struct runq *, lwp_t *, bool first);
/* Takes a thread out; its priority is still that with which it came. */
void runq_remove(struct runq *, lwp_t *);
/* Takes out the first of the best; NULL when there is none. */
lwp_t *runq_take(struct runq *);

#endif
