/*
 * Run queues.
 */
#include "kernel/runq.h"

#include <stddef.h>

pri_t
runq_top(const struct runq *rq)
{
	for (unsigned i = RUNQ_WORDS; i-- != 0;)
		if (rq->rq_bits[i] != 0)
			return (pri_t)(i * RUNQ_WORD_BITS) + RUNQ_WORD_BITS - 1 -
			    __builtin_clzll(rq->rq_bits[i]);
	return PRI_IDLE;
}

void
runq_insert(struct runq *rq, lwp_t *l, bool first)
{
	struct runq_fifo *rf = &rq->rq_fifo[l->l_pri];

	l->l_run_next = first ? rf->rf_head : NULL;
	if (rf->rf_head == NULL)
		rf->rf_head = rf->rf_tail = l;
	else if (first)
		rf->rf_head = l;
	else
		rf->rf_tail = rf->rf_tail->l_run_next = l;
	rq->rq_bits[l->l_pri / RUNQ_WORD_BITS] |= 1ull << l->l_pri % RUNQ_WORD_BITS;
	rq->rq_count++;
}

void
runq_remove(struct runq *rq, lwp_t *l)
{
	struct runq_fifo *rf = &rq->rq_fifo[l->l_pri];
	lwp_t *before = NULL;

	if (rf->rf_head == l) {
		rf->rf_head = l->l_run_next;
	} else {
		for (before = rf->rf_head; before->l_run_next != l;)
			before = before->l_run_next;
		before->l_run_next = l->l_run_next;
	}
	if (rf->rf_tail == l)
		rf->rf_tail = before;
	if (rf->rf_head == NULL)
		rq->rq_bits[l->l_pri / RUNQ_WORD_BITS] &= ~(1ull << l->l_pri % RUNQ_WORD_BITS);
	rq->rq_count--;
}

lwp_t *
runq_take(struct runq *rq)
{
	pri_t top = runq_top(rq);
	lwp_t *l;

	if (top == PRI_IDLE)
		return NULL;
	l = rq->rq_fifo[top].rf_head;
	runq_remove(rq, l);
	return l;
}
