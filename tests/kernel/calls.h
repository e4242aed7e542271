/*
 * Cross calls for tests: every level by number, functions that look at where they run, functions
 * that stay.
 */
#ifndef TESTS_KERNEL_CALLS_H
#define TESTS_KERNEL_CALLS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_ticket.h"
#include "xcall/xcall.h"

/* The flags of a level. */
unsigned calls_flags(enum xc_level);
/* Whether the caller stands where a function of that level does.  Any context; prints nothing. */
bool calls_context_is(enum xc_level);
/* The CPU that follows, around. */
struct cpu_info *calls_next_cpu(void);

/* What ran, and whether where it should; per CPU too. */
struct probe {
	enum xc_level level;
	_Atomic uint64_t ran, wrong;
	_Atomic uint64_t *on; /* a count for each CPU */
};

void probe_init(struct probe *, enum xc_level);
void probe_free(struct probe *);
void probe_reset(struct probe *, enum xc_level);
/* The function of a call: arg1 is the probe. */
void probe_run(void *arg1, void *arg2);
uint64_t probe_ran(const struct probe *);
uint64_t probe_ran_on(const struct probe *, const struct cpu_info *);
/* It ran where it should: `n` times together, and `each` times on every CPU or (0) anyhow. */
bool probe_right(const struct probe *, uint64_t n, uint64_t each);

/* A function that stays until it may go: any level, with its CPU.  Never on the CPU that is to let
 * it go. */
struct latch {
	_Atomic uint64_t begun, open;
};

void latch_hold(void *arg1, void *arg2); /* arg1: the latch */
void latch_open(struct latch *);

/* Waits for that many of the tickets, all 0. */
bool calls_wait_all(const uint64_t *where, unsigned n);
/* A condition that comes soon, without sleeping: for any context; false after a minute. */
bool calls_spin_until(_Atomic uint64_t *counter, uint64_t value);

#endif
