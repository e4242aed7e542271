/*
 * Slots: where a call lives from its post to its end (xc_pool.c).
 */
#ifndef XCALL_XC_POOL_H
#define XCALL_XC_POOL_H

#include <stdbool.h>
#include <stdint.h>

struct xc_cpu;
struct xc_slot;
struct xc_waiter;

enum xc_life { XC_LIVE, XC_OVER, XC_FORGED };

void xc_pool_init(struct xc_cpu *xc);
/* A free slot, with the pool locked.  NULL, and the pool not locked: none is free and the caller may
 * not sleep. */
struct xc_slot *xc_pool_take(struct xc_cpu *xc, bool may_sleep);
/* Pool locked, before xc_pool_publish(). */
void xc_slot_target(struct xc_slot *slot, unsigned cpu);
/* Makes the call live and gives its ticket.  Pool locked. */
uint64_t xc_pool_publish(struct xc_slot *slot);

/* The oldest call of the sender that `cpu` has not begun, which it now has; NULL when there is none.
 * *more: there is another one behind it. */
struct xc_slot *xc_slot_begin(struct xc_cpu *sender, unsigned cpu, bool *more);
/* A target has returned.  The last one ends the call and wakes all who wait for that. */
void xc_slot_finish(struct xc_slot *slot);

/* How many targets have not begun. */
unsigned xc_slot_queued(const struct xc_slot *slot);
/* The ticket of a live call. */
uint64_t xc_slot_ticket(const struct xc_slot *slot);
/* The slot that a ticket names; NULL when there is none.  Any context. */
struct xc_slot *xc_slot_lookup(uint64_t ticket);
/* Acquire, when the call is over: pairs with xc_slot_finish().  Any context. */
enum xc_life xc_slot_life(const struct xc_slot *slot, uint64_t ticket);
/* Whether `cpu` is a target of the live call and has not begun it. */
bool xc_slot_waits_for(const struct xc_slot *slot, uint64_t ticket, unsigned cpu);
/* The end of the call will wake that xcall/N; false when it is over already. */
bool xc_slot_enlist(struct xc_slot *slot, uint64_t ticket, struct xc_waiter *waiter);
void xc_slot_delist(struct xc_slot *slot, struct xc_waiter *waiter);

#endif
