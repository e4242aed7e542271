/*
 * Run queues.
 */
#include "kernel/runq.h"

#include <stddef.h>

/* `by` is 1, or -1 modulo 2^32. */
static void
runq_add(struct runq *rq, unsigned by)
{
	/* Relaxed: written under the lock of the queues. */
	atomic_store_explicit(&rq->rq_count, runq_count(rq) + by, memory_order_relaxed);
}

void
runq_insert(struct runq *rq, lwp_t *l, bool first)
{
	struct runq_fifo *rf = &rq->rq_fifo[l->l_pri];
	unsigned word = (unsigned)l->l_pri / RUNQ_WORD_BITS;

	if (rf->rf_head == NULL) {
		rf->rf_head = rf->rf_tail = l;
		l->l_run_next = NULL;
		rq->rq_bits[word] |= 1ull << (unsigned)l->l_pri % RUNQ_WORD_BITS;
		rq->rq_words |= 1u << word;
	} else if (first) {
		l->l_run_next = rf->rf_head;
		rf->rf_head = l;
	} else {
		l->l_run_next = NULL;
		rf->rf_tail = rf->rf_tail->l_run_next = l;
	}
	runq_add(rq, 1);
}

/* `before` is whom it stands behind, NULL: it is the first. */
static inline void
runq_unlink(struct runq *rq, lwp_t *l, lwp_t *before)
{
	struct runq_fifo *rf = &rq->rq_fifo[l->l_pri];
	unsigned word = (unsigned)l->l_pri / RUNQ_WORD_BITS;

	runq_add(rq, -1u);
	if (before != NULL)
		before->l_run_next = l->l_run_next;
	else
		rf->rf_head = l->l_run_next;
	if (l->l_run_next == NULL)
		rf->rf_tail = before;
	if (rf->rf_head != NULL)
		return;
	rq->rq_bits[word] &= ~(1ull << (unsigned)l->l_pri % RUNQ_WORD_BITS);
	if (rq->rq_bits[word] == 0)
		rq->rq_words &= ~(1u << word);
}

void
runq_remove(struct runq *rq, lwp_t *l)
{
	lwp_t *before = NULL, *at;

	for (at = rq->rq_fifo[l->l_pri].rf_head; at != l; at = at->l_run_next)
		before = at;
	runq_unlink(rq, l, before);
}

lwp_t *
runq_take(struct runq *rq)
{
	pri_t top = runq_top(rq);
	lwp_t *l;

	if (top == PRI_IDLE)
		return NULL;
	l = rq->rq_fifo[top].rf_head;
	runq_unlink(rq, l, NULL);
	return l;
}
