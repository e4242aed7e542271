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
 * so that their generations, and with them the life of the ticket format, advance evenly.
 *
 * A target looks for its calls without a lock: on a broadcast all CPUs look into one pool at once, and a fair
 * lock that 255 of them want is passed on once in a host's time slice when they outnumber the host's.  It takes the
 * call that was posted first (s_order) of those that still have it in `todo`, which keeps the order between
 * one sender and one target even when posts from an interrupt overtake the notification of the thread below it:
 *
 *	sender, under p				target (xc_slot_begin)
 *	fills s_todo, release; s_order = n	posted = x_posted, acquire
 *	s_state = live(g), release		for each slot in x_live:
 *	x_live gets its bit			    s_state read, acquire: live(g)
 *	x_posted = n, release			    its bit in s_todo, acquire
 *	enters the inbox			    s_state read again: the same, or passed over
 *
 * Whatever was posted up to `posted` is seen; what is newer is passed over, lest it be taken before an older
 * call that the search went by too early.  Its notification comes after it was posted, so after this
 * target took the sender out of its inbox: the target will look again.  A slot whose state is the same before and
 * after holds one and the same call in between: what was read belongs together.  Nobody but the
 * target itself takes its bit out of `todo`, and a call that has not begun everywhere cannot end.
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
 * The targets of a broadcast all write two lines of its slot.  A slot holds a bit for each of MAXCPUS, about
 * 45 KiB a CPU.  Rejected: a list of live calls under the pool lock (see above); one slot for the machine
 * (2008), where one slow call stalls all; a queue for each pair of CPUs, which grows with the square; memory
 * of the caller's, which forbids a post without a wait.
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

static struct xc_slot *
xc_queue_take(struct xc_queue *queue)
{
	struct xc_slot *slot = queue->q_first;

	if (slot == NULL)
		return NULL;
	queue->q_first = slot->s_next;
	if (queue->q_first == NULL)
		queue->q_end = &queue->q_first;
	return slot;
}

/* Its place in x_live. */
static uint64_t
xc_slot_bit(const struct xc_slot *slot)
{
	return UINT64_C(1) << (slot - slot->s_home->x_slot);
}

void
xc_pool_init(struct xc_cpu *xc)
{
	mutex_init(&xc->x_pool_lock, MUTEX_DEFAULT, IPL_HIGH, "xcpool");
	cv_init(&xc->x_freed, "xcslot");
	xc_queue_init(&xc->x_free);
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
	while ((slot = xc_queue_take(&xc->x_free)) == NULL) {
		if (!may_sleep) {
			mutex_exit(&xc->x_pool_lock);
			return NULL;
		}
		cv_wait(&xc->x_freed, &xc->x_pool_lock);
	}
	/* Relaxed: a hint for xcall/N, which decides under the lock. */
	atomic_fetch_sub_explicit(&xc->x_nfree, 1, memory_order_relaxed);
	KASSERT(slot->s_waiters == NULL);
	return slot;
}

void
xc_slot_target(struct xc_slot *slot, unsigned cpu)
{
	/* Release: pairs with the acquire of the same word in xc_slot_holds().  Who sees this bit must not
	 * see, at its second look, the state of the call that the slot held before. */
	atomic_fetch_or_explicit(
	    &slot->s_todo[cpu / 64], UINT64_C(1) << cpu % 64, memory_order_release);
	/* Relaxed: the state that makes the call live comes after it. */
	atomic_fetch_add_explicit(&slot->s_unfinished, 1, memory_order_relaxed);
}

unsigned
xc_slot_queued(const struct xc_slot *slot)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CPUSET_WORDS; i++) {
		uint64_t word = atomic_load_explicit(&slot->s_todo[i], memory_order_relaxed);

		for (; word != 0; word &= word - 1)
			n++;
	}
	return n;
}

uint64_t
xc_slot_ticket(const struct xc_slot *slot)
{
	struct xc_cpu *xc = slot->s_home;
	/* Relaxed: the caller posts the call, or is a target that has not returned; so it is live, and the
	 * word stands still. */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);

	return xc_ticket_make(
	    xc->x_ci->ci_index, (unsigned)(slot - xc->x_slot), xc_state_generation(state));
}

uint64_t
xc_pool_publish(struct xc_slot *slot)
{
	struct xc_cpu *xc = slot->s_home;
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	uint64_t generation = xc_state_generation(state) + 1, order;

	KASSERTMSG(
	    generation <= XC_GENERATION_MAX, "CPU %u: tickets are used up", xc->x_ci->ci_index);
	KASSERT(state == xc_state_over(generation - 1) &&
	    atomic_load_explicit(&slot->s_unfinished, memory_order_relaxed) != 0);
	order = atomic_load_explicit(&xc->x_posted, memory_order_relaxed) + 1;
	atomic_store_explicit(&slot->s_order, order, memory_order_relaxed);
	/* Release, state and count: pair with the acquires in xc_slot_begin(); the caller's stores before
	 * the post are visible to the function.  The bit comes between them, and needs no order. */
	atomic_store_explicit(&slot->s_state, xc_state_live(generation), memory_order_release);
	atomic_fetch_or_explicit(&xc->x_live, xc_slot_bit(slot), memory_order_relaxed);
	atomic_store_explicit(&xc->x_posted, order, memory_order_release);
	return xc_slot_ticket(slot);
}

/* Whether a live call of `posted` or before has that target to begin yet; its order. */
static bool
xc_slot_holds(const struct xc_slot *slot, unsigned cpu, uint64_t posted, uint64_t *order)
{
	/* Acquire, state: pairs with xc_pool_publish().  Acquire, todo: pairs with xc_slot_target(), and
	 * stands before the second look. */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
	uint64_t todo = atomic_load_explicit(&slot->s_todo[cpu / 64], memory_order_acquire);

	if (state != xc_state_live(xc_state_generation(state)) || (todo >> cpu % 64 & 1) == 0 ||
	    atomic_load_explicit(&slot->s_state, memory_order_relaxed) != state)
		return false;
	/* From here on the call cannot end: it has yet to begin here. */
	*order = atomic_load_explicit(&slot->s_order, memory_order_relaxed);
	return *order <= posted;
}

struct xc_slot *
xc_slot_begin(struct xc_cpu *sender, unsigned cpu, bool *more)
{
	/* Acquire: pairs with xc_pool_publish(): all calls up to this one are seen. */
	uint64_t posted = atomic_load_explicit(&sender->x_posted, memory_order_acquire);
	uint64_t live = atomic_load_explicit(&sender->x_live, memory_order_relaxed);
	uint64_t first = UINT64_MAX, order;
	struct xc_slot *found = NULL, *slot;

	*more = false;
	for (; live != 0; live &= live - 1) {
		slot = &sender->x_slot[__builtin_ctzll(live)];
		if (!xc_slot_holds(slot, cpu, posted, &order))
			continue;
		*more = found != NULL;
		if (order < first) {
			first = order;
			found = slot;
		}
	}
	/* Relaxed: what follows it is ordered by xc_slot_finish(). */
	if (found != NULL)
		atomic_fetch_and_explicit(
		    &found->s_todo[cpu / 64], ~(UINT64_C(1) << cpu % 64), memory_order_relaxed);
	return found;
}

/* The pool is locked; the slot's last target has returned. */
static void
xc_slot_retire(struct xc_cpu *xc, struct xc_slot *slot)
{
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	struct xc_waiter *waiter;

	KASSERT(xc_slot_queued(slot) == 0);
	/* A dump must not show what was called once. */
	slot->s_func = NULL;
	slot->s_arg1 = slot->s_arg2 = NULL;
	/* Release: pairs with the acquire in xc_slot_life().  What the other targets did is ordered
	 * before by the count that they passed through. */
	atomic_store_explicit(
	    &slot->s_state, xc_state_over(xc_state_generation(state)), memory_order_release);
	cv_broadcast(&slot->s_over);
	for (waiter = slot->s_waiters; waiter != NULL; waiter = waiter->w_next)
		xc_thread_wake(waiter->w_server);
	slot->s_waiters = NULL;

	atomic_fetch_and_explicit(&xc->x_live, ~xc_slot_bit(slot), memory_order_relaxed);
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
	/* Release for this target's effects, acquire for those of the others: the last one passes all on.
	 * Who is not the last must not touch the slot after this. */
	unsigned left = atomic_fetch_sub_explicit(&slot->s_unfinished, 1, memory_order_acq_rel);

	KASSERT(left != 0);
	if (left != 1)
		return;
	mutex_enter(&xc->x_pool_lock);
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
xc_slot_waits_for(const struct xc_slot *slot, uint64_t ticket, unsigned cpu)
{
	uint64_t order;

	return xc_slot_life(slot, ticket) == XC_LIVE &&
	    xc_slot_holds(slot, cpu, UINT64_MAX, &order) && xc_slot_ticket(slot) == ticket;
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
