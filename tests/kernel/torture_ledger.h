/*
 * The ledger of torture: a record a call, and what must be true of it.
 *
 * A record is filled in, posted, and judged when somebody says that the call is over.  Its tag is
 * the call's number, never used twice, and travels as the function's second argument: a function
 * that comes late, or once more, finds another tag.
 *
 * All that the ledger shares is relaxed: that a function sees what was written before its post, and
 * the waiter what the function wrote, is for xcall to see to.
 */
#ifndef TESTS_KERNEL_TORTURE_LEDGER_H
#define TESTS_KERNEL_TORTURE_LEDGER_H

#include <stdatomic.h>

#include "tests/kernel/torture_count.h"
#include "xcall/xc_call.h"
#include "xcall/xc_ticket.h"

#define TORTURE_CPUS 64u
#define TORTURE_NOBODY UINT32_MAX

enum torture_way {
	TORTURE_UNICAST,
	TORTURE_BROADCAST,
	TORTURE_MULTICAST,
	TORTURE_ANY,
	TORTURE_COND,
	TORTURE_DESCRIPTOR,
	TORTURE_WAYS
};

/* Where the owner of a call stands: may sleep; may not, but spin for hard calls; only asks. */
enum torture_place { TORTURE_THREAD, TORTURE_SPINS, TORTURE_ASKS };

/*
 * Locking keys:
 *	a	atomic
 *	p	the owner before the post; constant then, until the call is over
 *	w	the owner
 */
struct torture_call {
	_Atomic uint64_t tag;       /* a: 0, not in use */
	enum torture_way way;       /* p */
	unsigned flags, sender;     /* p */
	enum xc_level level;        /* p */
	bool nests;                 /* p: its function posts on */
	uint64_t payload;           /* p: what the function must see */
	uint64_t start;             /* p: the sender's clock before the post */
	_Atomic uint64_t end;       /* a: and behind it; 0 before */
	_Atomic uint64_t may, must; /* a: CPUs */
	_Atomic uint64_t ticket;    /* a: 0, none that others may ask for */
	_Atomic bool cancelled;     /* a */
	unsigned withdrawn;         /* w */
	struct xc_call descriptor;
	_Atomic uint64_t begun, ended; /* a: CPUs */
	uint64_t result[TORTURE_CPUS]; /* the function on that CPU, before it returns */
};

/* The CPU that comes and goes, or TORTURE_NOBODY; how often it has begun or ended to: modulo 4 as
 * in test_hotplug_storm.c.  0: it is there; 2: it is not. */
extern unsigned torture_victim;
extern _Atomic uint64_t torture_plugged;
/* The CPU on which a function runs while all others stand still, plus 1; 0. */
extern _Atomic uint64_t torture_stopped;

/* A bit for each CPU. */
uint64_t torture_all(void);
/* Memory for the order of calls, and back. */
void torture_ledger_begin(void);
void torture_ledger_end(void);
/* Posts a record that is not in use to the CPUs of `set`, not empty; false: it was refused. */
bool torture_post(struct torture_call *, uint64_t tag, enum torture_way, unsigned flags,
    uint64_t set, struct torture_dice *);
/* Asks, waits, waits with a timeout or cancels; when the call is over, judges it and frees the
 * record: true. */
bool torture_settle(struct torture_call *, enum torture_place, struct torture_dice *);
/* Waits until it is over.  Threads. */
void torture_finish(struct torture_call *);
/* Of somebody else's: asks or waits for what it finds there. */
void torture_look(struct torture_call *, struct torture_dice *);
/* Whether it is over, without judging it. */
bool torture_over(struct torture_call *);
/* What functions post (torture_child.c): memory for it; a post by this function, and its wait where
 * it may; takes back those of this CPU that are over; of all CPUs, waiting. */
void torture_children_begin(void);
void torture_children_end(void);
void torture_nest(const struct torture_call *, struct torture_dice *);
void torture_reap(void);
void torture_reap_all(void);

#endif
