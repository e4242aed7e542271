/*
 * What torture counts, the dice that it throws, and what it finds broken.
 */
#ifndef TESTS_KERNEL_TORTURE_COUNT_H
#define TESTS_KERNEL_TORTURE_COUNT_H

#include <stdbool.h>
#include <stdint.h>

enum torture_counter {
	/* Calls posted, by way (torture_ledger.h) and by class (enum xc_class). */
	TORTURE_POSTED_WAY,
	TORTURE_POSTED_CLASS = TORTURE_POSTED_WAY + 6,
	TORTURE_RAN = TORTURE_POSTED_CLASS + 4, /* functions that have begun */
	TORTURE_JUDGED,                         /* begun, by the records of calls that are over */
	TORTURE_WITHDRAWN,                      /* targets */
	TORTURE_CANCELS,
	TORTURE_LATE, /* cancels of calls that had begun */
	TORTURE_TIMEOUTS,
	TORTURE_BUSY,   /* posts that found no room */
	TORTURE_DOWN,   /* posts to a CPU that was gone */
	TORTURE_PASSED, /* targets of sets that were gone */
	TORTURE_READY,  /* waits that had nothing to wait for */
	TORTURE_NESTED, /* posts by functions */
	TORTURE_WAITS,  /* ended, by any kind of wait, and judged */
	TORTURE_BARRIERS,
	TORTURE_DRAINS,
	TORTURE_IPIS,
	TORTURE_STOPS, /* rendezvous and stop-machine */
	TORTURE_MASKS, /* sections with interrupts or preemption off */
	TORTURE_CYCLES,
	TORTURE_COUNTERS
};

/* Any context. */
void torture_count(enum torture_counter, uint64_t n);
uint64_t torture_counted(enum torture_counter);
void torture_count_reset(void);

/* Numbers that follow from where they start. */
struct torture_dice {
	uint64_t state;
};

uint64_t torture_hash(uint64_t);
uint64_t torture_throw(struct torture_dice *);
unsigned torture_below(struct torture_dice *, unsigned n);
bool torture_percent(struct torture_dice *, unsigned percent);
/* Members of a set; the compiler's own would be a library's function. */
unsigned torture_members(uint64_t set);

/* Notes what is broken, of which call (0: none), with two values that belong to it.  Any context,
 * prints nothing. */
void torture_wrong(const char *what, uint64_t tag, uint64_t a, uint64_t b);
unsigned torture_wrongs(void);
void torture_print_wrongs(uint64_t seed);

#endif
