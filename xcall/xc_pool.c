/*
 * Slots: where a call lives from its post to its end.
 *
 * Background
 *
 * A call needs memory that outlives the poster's stack frame, that an interrupt can get without allocating,
 * and that still tells, long after, that this very call is over.
 *
 * Implementation
 *
 * Each CPU owns XC_SLOTS slots, used by whoever posts on that CPU.  Free ones queue up and are used in turn,
 * so that their generations, and with them the life of the ticket format, advance evenly.  Live ones stand
 * in the order of their posts; a target takes the first that still has it in `todo`, which keeps the order
 * between one sender and one target even when posts from an interrupt overtake the notification of the
 * thread below it.
 *
 * A call has a count and a state word of its own.  No other call can pay for it (defects 1 and 3 of the
 * design), and since the state word only grows, a waiter that sleeps through the end of its call and the
 * whole life of the next one in the same slot still sees that its own is over.
 *
 *	target (last one)			waiter
 *	func() writes its results
 *	s_state = over(g), release		s_state read, acquire: over(g) or later
 *						reads the results
 *	wakes s_over, still under p		or: takes p, sees live(g), sleeps, which releases p
 *
 * Whoever sees `live` under the pool lock is asleep before the last target can get that lock to end the
 * call: no wake-up falls between.  An xcall/N sleeps under its inbox lock instead; there the last target
 * passes through that lock after it has changed the state, to the same effect.
 *
 * Limits
 *
 * A broadcast takes the sender's pool lock twice a target.  A slot holds a whole struct cpuset, about 45 KiB
 * a CPU.  Rejected: one slot for the machine (2008), where one slow call stalls all; a queue for each
 * pair of CPUs, which grows with the square; memory of the caller's, which forbids a post without a wait.
 */
#include "xcall/xc_pool.h"

#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_thread.h"

static void
xc_queue_init(struct xc_queue *queue)
{
	queue->q_first = NULL;
	queue->q_end = &queue->q_first;
}

static void
xc_queue_append(struct xc_queue *queue, struct xc_slot *slot)
{
	slot->s_next = NULL;
	*queue->q_end = slot;
	queue->q_end = &slot->s_next;
}

static void
xc_queue_remove(struct xc_queue *queue, struct xc_slot *slot)
{
	struct xc_slot **at;

	for (at = &queue->q_first; *at != slot; at = &(*at)->s_next)
		KASSERT(*at != NULL);
	*at = slot->s_next;
	if (slot->s_next == NULL)
		queue->q_end = at;
}

void
xc_pool_init(struct xc_cpu *xc)
{
	mutex_init(&xc->x_pool_lock, MUTEX_DEFAULT, IPL_HIGH, "xcpool");
	cv_init(&xc->x_freed, "xcslot");
	xc_queue_init(&xc->x_free);
	xc_queue_init(&xc->x_live);
	for (unsigned i = 0; i < XC_SLOTS; i++) {
		xc->x_slot[i].s_home = xc;
		cv_init(&xc->x_slot[i].s_over, "xcwait");
		xc_queue_append(&xc->x_free, &xc->x_slot[i]);
	}
	atomic_store_explicit(&xc->x_nfree, XC_SLOTS, memory_order_relaxed);
}

struct xc_slot *
xc_pool_take(struct xc_cpu *xc, bool may_sleep)
{
	struct xc_slot *slot;

	mutex_enter(&xc->x_pool_lock);
	while ((slot = xc->x_free.q_first) == NULL) {
		if (!may_sleep) {
			mutex_exit(&xc->x_pool_lock);
			return NULL;
		}
		cv_wait(&xc->x_freed, &xc->x_pool_lock);
	}
	xc_queue_remove(&xc->x_free, slot);
	/* Relaxed: a hint for xcall/N, which decides under the lock. */
	atomic_fetch_sub_explicit(&xc->x_nfree, 1, memory_order_relaxed);
	KASSERT(slot->s_unfinished == 0 && slot->s_waiters == NULL);
	return slot;
}

void
xc_slot_target(struct xc_slot *slot, unsigned cpu)
{
	cpuset_add(&slot->s_todo, cpu);
	slot->s_unfinished++;
}

uint64_t
xc_slot_ticket(const struct xc_slot *slot)
{
	struct xc_cpu *xc = slot->s_home;
	/* Relaxed: the caller posted the call or runs it, both of which took the pool lock. */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);

	return xc_ticket_make(
	    xc->x_ci->ci_index, (unsigned)(slot - xc->x_slot), xc_state_generation(state));
}

uint64_t
xc_pool_publish(struct xc_slot *slot)
{
	struct xc_cpu *xc = slot->s_home;
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	uint64_t generation = xc_state_generation(state) + 1;

	KASSERTMSG(
	    generation <= XC_GENERATION_MAX, "CPU %u: tickets are used up", xc->x_ci->ci_index);
	KASSERT(state == xc_state_over(generation - 1) && slot->s_unfinished != 0);
	/* Relaxed: who has the ticket got it from this CPU, after this. */
	atomic_store_explicit(&slot->s_state, xc_state_live(generation), memory_order_relaxed);
	xc_queue_append(&xc->x_live, slot);
	atomic_fetch_add_explicit(&xc->x_posted, 1, memory_order_relaxed);
	return xc_slot_ticket(slot);
}

struct xc_slot *
xc_slot_begin(struct xc_cpu *sender, unsigned cpu, bool *more)
{
	struct xc_slot *found = NULL, *slot;

	*more = false;
	/* Acquire by the lock: pairs with the poster's exit from it, so the caller's stores before
	 * the post are visible to the function. */
	mutex_enter(&sender->x_pool_lock);
	for (slot = sender->x_live.q_first; slot != NULL && !*more; slot = slot->s_next) {
		if (!cpuset_has(&slot->s_todo, cpu))
			continue;
		if (found == NULL) {
			cpuset_remove(&slot->s_todo, cpu);
			found = slot;
		} else
			*more = true;
	}
	mutex_exit(&sender->x_pool_lock);
	return found;
}

/* The pool is locked; the slot's last target has returned. */
static void
xc_slot_retire(struct xc_cpu *xc, struct xc_slot *slot)
{
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	struct xc_waiter *waiter;

	KASSERT(cpuset_empty(&slot->s_todo));
	/* A dump must not show what was called once. */
	slot->s_func = NULL;
	slot->s_arg1 = slot->s_arg2 = NULL;
	/* Release: pairs with the acquire in xc_slot_life().  What the other targets did is ordered
	 * before by the lock under which they counted down. */
	atomic_store_explicit(
	    &slot->s_state, xc_state_over(xc_state_generation(state)), memory_order_release);
	cv_broadcast(&slot->s_over);
	for (waiter = slot->s_waiters; waiter != NULL; waiter = waiter->w_next)
		xc_thread_wake(waiter->w_server);
	slot->s_waiters = NULL;

	xc_queue_remove(&xc->x_live, slot);
	xc_queue_append(&xc->x_free, slot);
	/* Sequentially consistent, both: pair with xc_thread_wait_slot(), which sets x_server_wants
	 * before it reads x_nfree. */
	atomic_fetch_add_explicit(&xc->x_nfree, 1, memory_order_seq_cst);
	cv_signal(&xc->x_freed);
	if (atomic_load_explicit(&xc->x_server_wants, memory_order_seq_cst))
		xc_thread_wake(xc);
}

void
xc_slot_finish(struct xc_slot *slot)
{
	struct xc_cpu *xc = slot->s_home;

	mutex_enter(&xc->x_pool_lock);
	KASSERT(slot->s_unfinished != 0);
	if (--slot->s_unfinished == 0)
		xc_slot_retire(xc, slot);
	mutex_exit(&xc->x_pool_lock);
}

struct xc_slot *
xc_slot_lookup(uint64_t ticket)
{
	struct xc_cpu *xc = xc_cpu_lookup(xc_ticket_cpu(ticket));

	return xc != NULL ? &xc->x_slot[xc_ticket_slot(ticket)] : NULL;
}

enum xc_life
xc_slot_life(const struct xc_slot *slot, uint64_t ticket)
{
	uint64_t generation = xc_ticket_generation(ticket);
	/* Acquire: pairs with the release in xc_slot_retire(). */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_acquire);

	if (generation == 0 || generation > xc_state_generation(state))
		return XC_FORGED;
	return state == xc_state_live(generation) ? XC_LIVE : XC_OVER;
}

bool
xc_slot_waits_for(struct xc_slot *slot, uint64_t ticket, unsigned cpu)
{
	bool waits;

	mutex_enter(&slot->s_home->x_pool_lock);
	waits = xc_slot_life(slot, ticket) == XC_LIVE && cpuset_has(&slot->s_todo, cpu);
	mutex_exit(&slot->s_home->x_pool_lock);
	return waits;
}

bool
xc_slot_enlist(struct xc_slot *slot, uint64_t ticket, struct xc_waiter *waiter)
{
	bool live;

	mutex_enter(&slot->s_home->x_pool_lock);
	live = xc_slot_life(slot, ticket) == XC_LIVE;
	if (live) {
		waiter->w_next = slot->s_waiters;
		slot->s_waiters = waiter;
	}
	mutex_exit(&slot->s_home->x_pool_lock);
	return live;
}

/* The waiter may be gone from the list: the end of the call empties it.  The lock also keeps this from
 * returning while that end still walks over the waiter, which stands on the caller's stack. */
void
xc_slot_delist(struct xc_slot *slot, struct xc_waiter *waiter)
{
	struct xc_waiter **at;

	mutex_enter(&slot->s_home->x_pool_lock);
	for (at = &slot->s_waiters; *at != NULL && *at != waiter; at = &(*at)->w_next)
		continue;
	if (*at != NULL)
		*at = waiter->w_next;
	mutex_exit(&slot->s_home->x_pool_lock);
}
