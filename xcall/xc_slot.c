/*
 * Slots: where a call lives from its post to its end.
 *
 * Background
 *
 * A call needs memory that outlives the poster's stack frame, that an interrupt can get without
 * allocating, that a target may read at a moment when the call is withdrawn and the memory serves
 * the next one, and that still tells, long after, that this very call is over.
 *
 * Implementation
 *
 * Each CPU owns a pool of XC_POOL slots, used by whoever posts on it.  A post has interrupts off,
 * so a CPU takes slots one at a time; anybody gives them back.  They are taken in turn, so that
 * their generations, and with them the life of the ticket format, advance evenly.  Credits bound
 * how many the classes of levels hold: a hard call never waits for a slot that only a thread could
 * free.
 *
 * Targets are bits in group words, XC_GROUP_CPUS to a word: one word in the slot, or, when the
 * targets are in more than one group, a board of words on lines of their own.  Who empties the
 * `unfinished` of a group counts down s_groups; who empties that ends the call.  No line is written
 * by more than XC_GROUP_CPUS targets, and a waiter can tell who is missing.
 *
 *	from			to			by
 *	over (g-1), free	over (g-1), taken	xc_slot_take
 *	over (g-1), taken	live (g)		xc_slot_publish
 *	live (g)		over (g)		xc_slot_retire: last target, or a cancel
 *	over (g), taken		over (g), free		xc_slot_retire
 *
 * A target looks for its calls without a lock: on a broadcast all CPUs look into one pool at once.
 * It wants the call that was posted first of those that still have it in `todo`:
 *
 *	sender, in a post			target (xc_slot_find)
 *	writes the group words, tag g		bound = x_posted, acquire
 *	s_order = n				for each slot in x_live:
 *	s_state = live(g), release		    s_state, acquire: live(g)
 *	x_live gets its bit			    group word, acquire: tag g, and its bit
 *	x_posted = n, release			    s_order: not after the bound
 *
 * Whatever was posted up to the bound is seen.  What is newer is passed over, lest it begin before
 * an older call that the search went by too early; its notification comes after the one that this
 * target has taken.
 *
 * What was found may be withdrawn, and the slot serve another call, at any moment until it is
 * claimed.  The claim is a compare-and-swap that wants the tag: it succeeds for the call that was
 * found or not at all, and from then on that call cannot end before this target has returned.
 *
 *	last target				waiter
 *	func() writes its results
 *	s_state = over(g), seq_cst		s_waited = true, seq_cst
 *	s_waited read, seq_cst			s_state read, seq_cst: live, so it sleeps
 *	set: wakes them				or over: reads the results
 *
 * One of the two sees the other.  The same pair stands between x_wanted and the free slot.
 *
 * Limits
 *
 * A search costs a look a live slot of the sender.  A post fills in its groups with interrupts off,
 * in time linear in them.  Rejected: one slot for the machine (2008), where one slow call stalls
 * all; a queue for each pair of CPUs, which grows with the square; one counter of targets, a line
 * that all of them write; slots set aside for a class, whose generations would not last.
 */
#include "xcall/xc_slot.h"

#include <stddef.h>

#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wide.h"

/* Boards of a CPU: calls with targets in more than one group that it may have in flight, by
 * class. */
#define XC_BOARDS 8u
static const uint32_t xc_boards[XC_CREDITS] = {
	[XC_CREDIT_SLEEP] = 0x0f,
	[XC_CREDIT_HARD] = 0x70,
	[XC_CREDIT_NMI] = 0x80,
};
static const int xc_credits[XC_CREDITS] = {
	[XC_CREDIT_SLEEP] = XC_ROOM_SLEEP,
	[XC_CREDIT_HARD] = XC_ROOM_HARD,
	[XC_CREDIT_NMI] = XC_ROOM_NMI,
};
_Static_assert(
    XC_ROOM_SLEEP + XC_ROOM_HARD + XC_ROOM_NMI == XC_POOL, "who has a credit finds a slot");

enum xc_credit
xc_slot_credit(enum xc_level level)
{
	return level == XC_LEVEL_NMI ? XC_CREDIT_NMI
	    : level == XC_LEVEL_HARD ? XC_CREDIT_HARD
				     : XC_CREDIT_SLEEP;
}

static unsigned
xc_slot_ngroups(void)
{
	return (ncpu + XC_GROUP_CPUS - 1) / XC_GROUP_CPUS;
}

void
xc_slot_init_cpu(struct xc_cpu *xc)
{
	/* The last board is the wide slot's; where there is one group only, nobody else needs
	 * one. */
	xc->x_board = kmem_boot_alloc(
	    (xc_slot_ngroups() > 1 ? (XC_BOARDS + 1) * xc_slot_ngroups() : 1) *
	    sizeof(*xc->x_board));
	for (unsigned c = 0; c < XC_CREDITS; c++)
		atomic_store_explicit(&xc->x_credit[c], xc_credits[c], memory_order_relaxed);
	atomic_store_explicit(&xc->x_boards, (1u << XC_BOARDS) - 1, memory_order_relaxed);
	atomic_store_explicit(&xc->x_free, XC_ALL_FREE, memory_order_relaxed);
	xc_direct_init_cpu(xc);
	xc_wide_init_cpu(xc);
}

struct xc_board_group *
xc_slot_wide_board(struct xc_cpu *xc, struct xc_slot *slot)
{
	unsigned board = xc_slot_ngroups() > 1 ? XC_BOARDS : 0;

	atomic_store_explicit(&slot->s_board, (uint8_t)board, memory_order_relaxed);
	return &xc->x_board[board * xc_slot_ngroups()];
}

static uint64_t
xc_slot_bit(const struct xc_cpu *xc, const struct xc_slot *slot)
{
	return UINT64_C(1) << (slot - xc->x_slot);
}

/* --- room ------------------------------------------------------------------------------------- */

bool
xc_slot_room(const struct xc_cpu *xc, enum xc_level level, bool wide)
{
	enum xc_credit class = xc_slot_credit(level);

	return atomic_load_explicit(&xc->x_credit[class], memory_order_seq_cst) > 0 &&
	    (!wide ||
		(atomic_load_explicit(&xc->x_boards, memory_order_seq_cst) & xc_boards[class]) != 0);
}

struct xc_slot *
xc_slot_take(struct xc_cpu *xc, enum xc_level level, bool wide)
{
	enum xc_credit class = xc_slot_credit(level);
	uint64_t free, later;
	uint32_t boards;
	unsigned board = XC_NO_BOARD, index;
	struct xc_slot *slot;

	KASSERT(!machine_intr_enabled());
	if (!xc_slot_room(xc, level, wide))
		return NULL;
	/* Only this CPU takes away, and not in an interrupt of this: what there was is there still.
	 * Acquire, here and below: pairs with the release in xc_slot_retire(). */
	atomic_fetch_sub_explicit(&xc->x_credit[class], 1, memory_order_acquire);
	if (wide) {
		boards = atomic_load_explicit(&xc->x_boards, memory_order_acquire);
		board = (unsigned)__builtin_ctz(boards & xc_boards[class]);
		atomic_fetch_and_explicit(&xc->x_boards, ~(1u << board), memory_order_relaxed);
	}
	free = atomic_load_explicit(&xc->x_free, memory_order_acquire);
	KASSERT(free != 0);
	later = free & UINT64_MAX << xc->x_next;
	index = (unsigned)__builtin_ctzll(later != 0 ? later : free);
	xc->x_next = (index + 1) % XC_SLOTS;
	atomic_fetch_and_explicit(&xc->x_free, ~(UINT64_C(1) << index), memory_order_relaxed);
	slot = &xc->x_slot[index];
	/* Relaxed, all of these: the state that makes the call live comes after them. */
	atomic_store_explicit(&slot->s_board, (uint8_t)board, memory_order_relaxed);
	atomic_store_explicit(&slot->s_groups, 0, memory_order_relaxed);
	atomic_store_explicit(&slot->s_waited, false, memory_order_relaxed);
	atomic_store_explicit(&slot->s_cancels, false, memory_order_relaxed);
	if (wide)
		for (unsigned g = 0; g < xc_slot_ngroups(); g++)
			atomic_store_explicit(
			    &xc->x_board[board * xc_slot_ngroups() + g].b_group.g_word, 0,
			    memory_order_relaxed);
	return slot;
}

/* --- groups ----------------------------------------------------------------------------------- */

/* Where a CPU's bit in that slot would be; what is there may belong to another call: the tag
 * tells. */
static const struct xc_group *
xc_slot_group_of(const struct xc_cpu *xc, const struct xc_slot *slot, unsigned cpu)
{
	/* Relaxed: the tag of the word tells whether they were of one call. */
	unsigned board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);
	unsigned base = atomic_load_explicit(&slot->s_base, memory_order_relaxed);

	if (board != XC_NO_BOARD)
		return &xc->x_board[board * xc_slot_ngroups() + cpu / XC_GROUP_CPUS].b_group;
	return base == cpu - cpu % XC_GROUP_CPUS ? &slot->s_group : NULL;
}

/* The same, to be changed. */
static struct xc_group *
xc_slot_own_group(struct xc_cpu *xc, struct xc_slot *slot, unsigned cpu)
{
	unsigned board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);

	if (board != XC_NO_BOARD)
		return &xc->x_board[board * xc_slot_ngroups() + cpu / XC_GROUP_CPUS].b_group;
	return &slot->s_group;
}

/* Where all targets of such a group stand, of a call that is live or is being posted. */
static _Atomic uint32_t *
xc_slot_posted_of(const struct xc_cpu *xc, struct xc_slot *slot, unsigned cpu)
{
	unsigned board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);

	if (board != XC_NO_BOARD)
		return &xc->x_board[board * xc_slot_ngroups() + cpu / XC_GROUP_CPUS].b_posted;
	return &slot->s_group_posted;
}

void
xc_slot_target(struct xc_cpu *xc, struct xc_slot *slot, unsigned base, uint32_t mask)
{
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	struct xc_group *group = xc_slot_own_group(xc, slot, base);

	KASSERT(base % XC_GROUP_CPUS == 0 && mask != 0 && mask <= XC_GROUP_MASK);
	atomic_store_explicit(&slot->s_base, (uint16_t)base, memory_order_relaxed);
	atomic_store_explicit(xc_slot_posted_of(xc, slot, base), mask, memory_order_relaxed);
	/* Relaxed, all of these: the state that makes the call live comes after them. */
	atomic_store_explicit(&group->g_word,
	    xc_group_tag((unsigned)(slot - xc->x_slot), xc_state_generation(state) + 1) |
		(uint64_t)mask << XC_GROUP_CPUS | mask,
	    memory_order_relaxed);
	atomic_fetch_add_explicit(&slot->s_groups, 1, memory_order_relaxed);
}

uint64_t
xc_slot_publish(struct xc_cpu *xc, struct xc_slot *slot, enum xc_level level)
{
	uint64_t generation = xc_state_generation(
				  atomic_load_explicit(&slot->s_state, memory_order_relaxed)) +
	    1;
	uint64_t order = atomic_load_explicit(&xc->x_posted, memory_order_relaxed) + 1;

	KASSERTMSG(
	    generation <= XC_GENERATION_MAX, "CPU %u: tickets are used up", xc->x_ci->ci_index);
	KASSERT(atomic_load_explicit(&slot->s_groups, memory_order_relaxed) != 0);
	atomic_store_explicit(&slot->s_order, order, memory_order_relaxed);
	atomic_store_explicit(&slot->s_posted, machine_cycles(), memory_order_relaxed);
	/* Release, state and order: pair with the acquires in xc_slot_find() and xc_inbox_next();
	 * the caller's stores before the post are visible to the function.  The bit comes between
	 * them. */
	atomic_store_explicit(
	    &slot->s_state, xc_state_live(generation, level), memory_order_release);
	atomic_fetch_or_explicit(&xc->x_live[level], xc_slot_bit(xc, slot), memory_order_relaxed);
	atomic_store_explicit(&xc->x_posted, order, memory_order_release);
	return xc_ticket_make(xc->x_ci->ci_index, (unsigned)(slot - xc->x_slot), generation);
}

/* --- the target's side ------------------------------------------------------------------------ */

/* Whether a group word is of the call that `state` says and still has the CPU's bit in `todo`. */
static bool
xc_slot_todo(const struct xc_cpu *sender, const struct xc_slot *slot, uint64_t state, uint64_t word,
    unsigned cpu)
{
	unsigned index = (unsigned)(slot - sender->x_slot);

	return xc_group_is(word, xc_group_tag(index, xc_state_generation(state))) &&
	    (word >> cpu % XC_GROUP_CPUS & 1) != 0;
}

/* Whether the call in the slot, if there is one, waits for that CPU to begin it; its order and its
 * state. */
static bool
xc_slot_holds(const struct xc_cpu *sender, const struct xc_slot *slot, enum xc_level level,
    unsigned cpu, uint64_t *order, uint64_t *state)
{
	const struct xc_group *group;
	uint64_t word;

	/* Acquire: pairs with xc_slot_publish(). */
	*state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
	if ((*state & XC_STATE_LIVE) == 0 || xc_state_level(*state) != level ||
	    (group = xc_slot_group_of(sender, slot, cpu)) == NULL)
		return false;
	/* Acquire: the order must not be older than the word. */
	word = atomic_load_explicit(&group->g_word, memory_order_acquire);
	if (!xc_slot_todo(sender, slot, *state, word, cpu))
		return false;
	*order = atomic_load_explicit(&slot->s_order, memory_order_relaxed);
	return true;
}

struct xc_slot *
xc_slot_find(struct xc_cpu *sender, enum xc_level level, unsigned cpu, uint64_t bound,
    uint64_t *order, bool *more, uint64_t *state)
{
	/* Relaxed: what was posted up to the bound was seen with the bound. */
	uint64_t live = atomic_load_explicit(&sender->x_live[level], memory_order_relaxed);
	uint64_t this_order, this_state;
	struct xc_slot *found = NULL, *slot;

	*more = false;
	for (; live != 0; live &= live - 1) {
		slot = &sender->x_slot[__builtin_ctzll(live)];
		if (!xc_slot_holds(sender, slot, level, cpu, &this_order, &this_state) ||
		    this_order > bound)
			continue;
		*more = found != NULL;
		if (found == NULL || this_order < *order) {
			*order = this_order;
			*state = this_state;
			found = slot;
		}
	}
	return found;
}

bool
xc_slot_claim(struct xc_cpu *sender, struct xc_slot *slot, uint64_t state, unsigned cpu)
{
	struct xc_group *group = xc_slot_own_group(sender, slot, cpu);
	uint64_t word = atomic_load_explicit(&group->g_word, memory_order_relaxed);

	do {
		if (!xc_slot_todo(sender, slot, state, word, cpu))
			return false;
		/* Acquire: pairs, as the look at the state did, with xc_slot_publish(). */
	} while (!atomic_compare_exchange_weak_explicit(&group->g_word, &word,
	    word & ~(UINT64_C(1) << cpu % XC_GROUP_CPUS), memory_order_acquire,
	    memory_order_relaxed));
	return true;
}

/* Whether somebody has withdrawn targets of the call, which is over but for its state. */
static bool
xc_slot_was_cancelled(struct xc_cpu *xc, struct xc_slot *slot)
{
	unsigned board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);
	uint64_t words = 0;

	/* Relaxed: who withdrew set this before he changed the word that brought us here. */
	if (!atomic_load_explicit(&slot->s_cancels, memory_order_relaxed))
		return false;
	if (board == XC_NO_BOARD)
		words = atomic_load_explicit(&slot->s_group.g_word, memory_order_relaxed);
	else
		for (unsigned g = 0; g < xc_slot_ngroups(); g++)
			words |= atomic_load_explicit(
			    &xc->x_board[board * xc_slot_ngroups() + g].b_group.g_word,
			    memory_order_relaxed);
	return (words & XC_GROUP_CANCELLED) != 0;
}

/* The slot, whose call is over, serves the next one. */
static void
xc_slot_free(struct xc_cpu *xc, struct xc_slot *slot, enum xc_credit class)
{
	unsigned board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);

	/* Release, all three: pair with xc_slot_take().  The credit comes last: who has one finds
	 * the rest. */
	if (board != XC_NO_BOARD)
		atomic_fetch_or_explicit(&xc->x_boards, 1u << board, memory_order_release);
	atomic_fetch_or_explicit(&xc->x_free, xc_slot_bit(xc, slot), memory_order_release);
	/* Sequentially consistent: x_wanted is read after the credit is there, as
	 * xc_thread_sleep_slot() and xc_thread_wait_slot() look for room after they have raised
	 * it. */
	atomic_fetch_add_explicit(&xc->x_credit[class], 1, memory_order_seq_cst);
}

/* The last target has returned, or was withdrawn: ends the call. */
static void
xc_slot_retire(struct xc_cpu *xc, struct xc_slot *slot)
{
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	enum xc_level level = xc_state_level(state);
	enum xc_credit class = xc_slot_credit(level);
	bool waited;

	KASSERTMSG((state & XC_STATE_LIVE) != 0, "slot %zu of CPU %u", (size_t)(slot - xc->x_slot),
	    xc->x_ci->ci_index);
	/* Relaxed: they are constant while the call is live. */
	xc_stats_end(xc_cpu_lookup(xc_slot_sender(xc, slot)), level,
	    atomic_load_explicit(&slot->s_order, memory_order_relaxed),
	    atomic_load_explicit(&slot->s_posted, memory_order_relaxed));
	state &= ~(uint64_t)XC_STATE_LIVE;
	if (xc_slot_was_cancelled(xc, slot))
		state |= XC_STATE_CANCELLED;
	if (slot == xc->x_direct_slot)
		atomic_store_explicit(&slot->s_groups, 1, memory_order_relaxed);
	else
		/* Release: pairs with xc_drain_slots(), which passes over what is not live. */
		atomic_fetch_and_explicit(
		    &xc->x_live[level], ~xc_slot_bit(xc, slot), memory_order_release);
	if (slot == &xc->x_slot[XC_WIDE])
		xc_wide_over(xc);
	/* Release: pairs with xc_slot_result(); what the other targets did came before, through the
	 * words that they and we changed.  Sequentially consistent: s_waited is read after it. */
	atomic_store_explicit(&slot->s_state, state, memory_order_seq_cst);
	if (slot == &xc->x_slot[XC_WIDE])
		return; /* the next call may be in it */
	waited = atomic_load_explicit(&slot->s_waited, memory_order_seq_cst);

	if (slot == xc->x_direct_slot) {
		xc_direct_free(xc);
		return;
	}
	xc_slot_free(xc, slot, class);
	if (class == XC_CREDIT_NMI)
		return; /* an NMI wakes nobody */
	if (waited)
		xc_thread_wake_waiters(xc, (unsigned)(slot - xc->x_slot));
	if (atomic_load_explicit(&xc->x_wanted[class], memory_order_seq_cst) != 0)
		xc_thread_wake_posters(xc, class);
}

void
xc_slot_group_done(struct xc_cpu *xc, struct xc_slot *slot)
{
	/* Release for what this group did, acquire for the others: the last one passes all on.  Who
	 * is not the last must not touch the slot after this. */
	if (atomic_fetch_sub_explicit(&slot->s_groups, 1, memory_order_acq_rel) == 1)
		xc_slot_retire(xc, slot);
}

void
xc_slot_finish(struct xc_cpu *sender, struct xc_slot *slot, unsigned cpu)
{
	struct xc_group *group = xc_slot_own_group(sender, slot, cpu);
	uint64_t bit = UINT64_C(1) << (XC_GROUP_CPUS + cpu % XC_GROUP_CPUS);
	/* Release and acquire, as with s_groups. */
	uint64_t word = atomic_fetch_and_explicit(&group->g_word, ~bit, memory_order_acq_rel);

	KASSERT((word & bit) != 0);
	if (((word & ~bit) >> XC_GROUP_CPUS & XC_GROUP_MASK) == 0)
		xc_slot_group_done(sender, slot);
}

/* --- withdrawing ------------------------------------------------------------------------------ */

/* Takes out of one group who has not begun; how many. */
static unsigned
xc_group_withdraw(struct xc_cpu *xc, struct xc_slot *slot, struct xc_group *group, uint64_t tag)
{
	uint64_t word = atomic_load_explicit(&group->g_word, memory_order_relaxed), left;
	uint64_t todo;
	unsigned withdrawn = 0;

	do {
		todo = word & XC_GROUP_MASK;
		if (!xc_group_is(word, tag) || todo == 0)
			return 0;
		left = (word & ~(todo | todo << XC_GROUP_CPUS)) | XC_GROUP_CANCELLED;
		/* As in xc_slot_finish(). */
	} while (!atomic_compare_exchange_weak_explicit(
	    &group->g_word, &word, left, memory_order_acq_rel, memory_order_relaxed));
	if ((left >> XC_GROUP_CPUS & XC_GROUP_MASK) == 0)
		xc_slot_group_done(xc, slot);
	for (; todo != 0; todo &= todo - 1)
		withdrawn++;
	return withdrawn;
}

unsigned
xc_slot_withdraw(struct xc_cpu *xc, struct xc_slot *slot, uint64_t ticket)
{
	uint64_t tag = xc_group_tag(xc_ticket_slot(ticket), xc_ticket_generation(ticket));
	bool intr = machine_intr_disable();
	unsigned withdrawn = 0, board;

	if (xc_slot_result(slot, ticket) == EBUSY) {
		/* A hint that the end of the call looks at; it comes before the words are
		 * changed. */
		atomic_store_explicit(&slot->s_cancels, true, memory_order_release);
		board = atomic_load_explicit(&slot->s_board, memory_order_relaxed);
		if (board == XC_NO_BOARD)
			withdrawn = xc_group_withdraw(xc, slot, &slot->s_group, tag);
		else
			for (unsigned g = 0; g < xc_slot_ngroups(); g++)
				withdrawn += xc_group_withdraw(xc, slot,
				    &xc->x_board[board * xc_slot_ngroups() + g].b_group, tag);
	}
	machine_intr_restore(intr);
	return withdrawn;
}

/* --- looking ---------------------------------------------------------------------------------- */

struct xc_slot *
xc_slot_lookup(uint64_t ticket, struct xc_cpu **owner)
{
	*owner = xc_cpu_lookup(xc_ticket_cpu(ticket));
	return *owner != NULL ? &(*owner)->x_slot[xc_ticket_slot(ticket)] : NULL;
}

unsigned
xc_slot_sender(const struct xc_cpu *owner, const struct xc_slot *slot)
{
	uint32_t from = 0;

	/* Relaxed: who looks at a call that may end looks at its state again. */
	if (slot == owner->x_direct_slot)
		from = atomic_load_explicit(&slot->s_taken, memory_order_relaxed);
	return from != 0 ? from - 1 : owner->x_ci->ci_index;
}

uint64_t
xc_slot_ticket(const struct xc_cpu *xc, const struct xc_slot *slot, uint64_t state)
{
	return xc_ticket_make(
	    xc->x_ci->ci_index, (unsigned)(slot - xc->x_slot), xc_state_generation(state));
}

int
xc_slot_result(const struct xc_slot *slot, uint64_t ticket)
{
	uint64_t generation = xc_ticket_generation(ticket);
	/* Acquire: pairs with xc_slot_retire().  Sequentially consistent: a waiter has set s_waited
	 * before. */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_seq_cst);

	if (generation == 0 || generation > xc_state_generation(state))
		return EINVAL;
	if (generation < xc_state_generation(state))
		return 0;
	if ((state & XC_STATE_LIVE) != 0)
		return EBUSY;
	return (state & XC_STATE_CANCELLED) != 0 ? ECANCELED : 0;
}

bool
xc_slot_group(const struct xc_cpu *xc, const struct xc_slot *slot, uint64_t ticket, unsigned group,
    uint32_t *posted, uint32_t *todo, uint32_t *unfinished)
{
	const struct xc_group *g = xc_slot_group_of(xc, slot, group * XC_GROUP_CPUS);
	uint64_t tag = xc_group_tag(xc_ticket_slot(ticket), xc_ticket_generation(ticket)), word;

	if (g == NULL || xc_slot_result(slot, ticket) != EBUSY)
		return false;
	*posted = atomic_load_explicit(
	    xc_slot_posted_of(xc, (struct xc_slot *)(uintptr_t)slot, group * XC_GROUP_CPUS),
	    memory_order_relaxed);
	/* Acquire: the state is looked at again after it. */
	word = atomic_load_explicit(&g->g_word, memory_order_acquire);
	*todo = word & XC_GROUP_MASK;
	*unfinished = word >> XC_GROUP_CPUS & XC_GROUP_MASK;
	if (slot == &xc->x_slot[XC_WIDE] &&
	    xc_group_is(word, xc_group_tag(XC_WIDE, xc_ticket_generation(ticket) + 1))) {
		/* Its last target prepares the groups for the next call (xc_wide_over()). */
		*todo = *unfinished = 0;
		return *posted != 0 && xc_slot_result(slot, ticket) == EBUSY;
	}
	return xc_group_is(word, tag) && xc_slot_result(slot, ticket) == EBUSY;
}

void
xc_slot_foreach_todo(const struct xc_cpu *xc, const struct xc_slot *slot, uint64_t ticket,
    void (*visit)(unsigned cpu, void *arg), void *arg)
{
	uint32_t posted, todo, unfinished;

	for (unsigned g = 0; g < xc_slot_ngroups(); g++) {
		if (!xc_slot_group(xc, slot, ticket, g, &posted, &todo, &unfinished))
			continue;
		for (; todo != 0; todo &= todo - 1)
			visit(g * XC_GROUP_CPUS + (unsigned)__builtin_ctz(todo), arg);
	}
}
