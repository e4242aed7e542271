/*
 * How lock checking says what is wrong.  For lockdebug*.c.
 */
#ifndef KERNEL_LOCKDEBUG_REPORT_H
#define KERNEL_LOCKDEBUG_REPORT_H

#include "kernel/lockdebug_graph.h"

/* Links of a circle that are told. */
#define LOCKDEBUG_LINKS 16

/* One at a time: under the lock of the graph. */
struct lockdebug_report {
	char r_headline[256];
	struct lockdebug_fact r_now; /* what is refused; never learnt */
	unsigned r_n;                /* what there is to tell */
	const struct lockdebug_fact
	    *r_fact[LOCKDEBUG_LINKS]; /* in this order; those there is room for */
	const struct cpu_info *r_cpu; /* whose it is */
};

/* Panics with it, or prints it and comes back, as the policy says. */
void lockdebug_tell(struct lockdebug_report *);
/* How many so far. */
unsigned lockdebug_reports(void);
/* A fact in words, with its stack. */
void lockdebug_print_fact(const struct lockdebug_fact *, const struct lockdebug_report *);

#endif
