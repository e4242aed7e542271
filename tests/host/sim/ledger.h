/*
 * The ledger: every call of a run, what became of it on each CPU, and whether that was right.
 *
 * Checked as it happens: runs where it was posted to, in the context of its level, once, after its
 * post and before anybody is told that it is over; with the arguments of the post; calls of one
 * sender to one target at one level in the order of their posts.  At the end: every call that was
 * posted and not withdrawn has run on all its targets, and the sender's slots, boards and credits
 * are all back.
 *
 * All of it is plain memory and no scheduling point: what is noted is noted at once.
 */
#ifndef TESTS_HOST_SIM_LEDGER_H
#define TESTS_HOST_SIM_LEDGER_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/sim/sim.h"
#include "xcall/xc_call.h"
#include "xcall/xc_ticket.h"

#define LEDGER_CALLS 512u

enum ledger_way {
	LEDGER_UNICAST,
	LEDGER_MULTICAST,
	LEDGER_BROADCAST,
	LEDGER_ANY,
	LEDGER_DESCRIPTOR,
	LEDGER_WAYS
};

struct ledger_call {
	unsigned number;
	/* Set by the scenario between ledger_new() and ledger_post(). */
	unsigned work;                        /* points that the function takes */
	void (*action)(struct ledger_call *); /* what it does then; NULL: nothing */
	struct xc_call *descriptor;           /* for LEDGER_DESCRIPTOR: not in use */
	uint64_t tag;                         /* the scenario's own */

	enum ledger_way way;
	unsigned flags;
	enum xc_level level;
	unsigned sender;
	bool posted;                   /* the post has returned, with a ticket */
	int error;                     /* or with this */
	uint32_t may;                  /* where it may run */
	uint32_t must;                 /* where it must */
	uint64_t ticket;               /* not for a descriptor */
	uint64_t post_start, post_end; /* moments: of the ledger's own clock */
	bool cancelled;                /* somebody has begun to cancel it */
	unsigned withdrawn;            /* targets, by all who cancelled it */
	bool over;                     /* somebody was told that it is over */
	unsigned in;                   /* written before the post: the function must see it */
	uint64_t begun[SIM_CPUS], ended[SIM_CPUS]; /* moments; 0: not */
};

/* CPUs that are targets for sure, and such as come or go meanwhile.  Set by the scenario. */
extern uint32_t ledger_online, ledger_flux;

/* A new call. */
struct ledger_call *ledger_new(void);
unsigned ledger_count(void);
struct ledger_call *ledger_number(unsigned);
/* Posts it to those CPUs; false: it was not, and may not have been. */
bool ledger_post(struct ledger_call *, enum ledger_way, unsigned flags, uint32_t set);
/* The calls of xcall.h and xc_call.h by the same names, with their results judged. */
void ledger_wait(struct ledger_call *);
bool ledger_timedwait(struct ledger_call *, uint64_t ns);
bool ledger_done(struct ledger_call *);
void ledger_cancel(struct ledger_call *);
/* Whether it has returned on that CPU. */
bool ledger_ran(const struct ledger_call *, unsigned cpu);
uint64_t ledger_now(void);
/* Everything was waited for: the sum. */
void ledger_close(void);
/* Some points in which nothing happens. */
void ledger_work(unsigned points);
/* Of the calls that are not over, where they stand: part of a failure. */
void ledger_print(void);

#endif
