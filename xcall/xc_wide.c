/*
 * The wide slot: the short way of a hard call to all others.
 *
 * Background
 *
 * A broadcast by way of the inboxes writes two lines of each target, and each target searches the
 * sender's pool for it.  But what is said is the same for all, and the local APIC reaches all with
 * one command.
 *
 * Implementation
 *
 * Each CPU keeps one slot, the last but one, with a board of its own for calls to all targets, one
 * at a time.  Such a call is published once, in xc_wides, and announced by one command to all
 * others: x_notify has no part in it.  Targets look there whenever they have taken a notification.
 *
 *	sender, interrupts off			target, after it has emptied x_notify
 *	slot is over (g-1), acquire
 *	its group's word, tag g			w_live: not 0
 *	x_live and w_senders get their bits	w_senders: the sender
 *	w_live one more				s_state, acquire: live(g)
 *	s_state = live(g), release		group word, acquire: tag g, and its bit
 *	x_posted = n, release			its inbox is empty, else serves that first
 *	one command to all others		todo bit out, by compare-and-swap
 *						func(), unfinished bit out
 *
 * Each call sends its own command, so a look that missed it is followed by another: equal vectors
 * may merge, but one that is requested after the look began comes after it.  xc_wides and x_live
 * have the call before it is live: targets may have begun for another reason, and once it is live
 * the last of them may take it out again before the sender has done anything more.
 *
 * The groups of others are ready before the post: who ends a call writes them for the next
 * generation, all their CPUs in `todo` and `unfinished`.  Nobody takes that for a call, for no
 * state is live with that generation.  So the sender writes its own group only, and what it does is
 * the same whatever the number of CPUs.  When targets have come or gone since (t_version) it writes
 * them all.  The set and its version are read in the post, as every post reads the set (xc_cpu.c).
 *
 * Order.  The call is one of the sender's hard calls, in x_live and with a number, so whoever
 * searches the sender's slots finds it in its turn, and nothing goes direct while it is live.  What
 * its sender has posted to a target before is in the inbox there, or in the direct slot, when the
 * target sees the sender in w_senders.  So it serves these first.
 *
 * Limits
 *
 * One at a time for each sender; others, those to subsets, and all while there is no room for hard
 * calls, lest they overtake who waits for some, take the long way.  A look costs a
 * word for 64 CPUs while any such call is live.  A target that has begun by an earlier interrupt
 * takes another one for nothing.
 */
#include "xcall/xc_wide.h"

#include <stddef.h>

#include "xcall/xc_direct.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_slot.h"
#include "xcall/xc_stats.h"

struct xc_wides xc_wides;

void
xc_wide_init_cpu(struct xc_cpu *xc)
{
	struct xc_slot *slot = &xc->x_slot[XC_WIDE];
	unsigned cpu = xc->x_ci->ci_index;

	xc->x_wide = xc_slot_wide_board(xc, slot);
	xc->x_group = cpu / XC_GROUP_CPUS;
	xc->x_bit = UINT64_C(1) << cpu % XC_GROUP_CPUS;
	/* Relaxed: nobody knows the slot yet. */
	atomic_store_explicit(
	    &slot->s_state, xc_state_over(0, XC_LEVEL_HARD), memory_order_relaxed);
}

/* The word of a group none of whose CPUs has begun. */
static inline uint64_t
xc_wide_word(uint64_t generation, uint32_t mask)
{
	return xc_group_tag(XC_WIDE, generation) | (uint64_t)mask << XC_GROUP_CPUS | mask;
}

/* --- posts ------------------------------------------------------------------------------------ */

/* Targets have come or gone: writes all groups anew. */
static void __attribute__((noinline, cold))
xc_wide_prepare(struct xc_cpu *self, uint64_t generation)
{
	unsigned groups = (ncpu + XC_GROUP_CPUS - 1) / XC_GROUP_CPUS, others = 0;
	struct cpuset targets;
	uint32_t mask;

	/* Acquire: pairs with xc_cpu_change().  The set is not older. */
	self->x_wide_version = atomic_load_explicit(&xc_targets.t_version, memory_order_acquire);
	xc_cpu_targets(&targets, NULL);
	for (unsigned g = 0; g < groups; g++) {
		mask = targets.cs_word[g * XC_GROUP_CPUS / 64] >> g * XC_GROUP_CPUS % 64 &
		    XC_GROUP_MASK;
		atomic_store_explicit(&self->x_wide[g].b_posted, mask, memory_order_relaxed);
		atomic_store_explicit(&self->x_wide[g].b_group.g_word,
		    xc_wide_word(generation, mask), memory_order_relaxed);
		if (g == self->x_group)
			self->x_wide_own = mask & ~(uint32_t)self->x_bit;
		else
			others += mask != 0;
	}
	self->x_wide_groups = others;
	self->x_wide_self = xc_is_target(self->x_ci->ci_index);
}

/* One command to all, or one to each. */
static inline void
xc_wide_send(const struct xc_cpu *self)
{
	struct cpu_info *ci;

	if (machine_send_call_others())
		return;
	CPU_INFO_FOREACH(ci)
		if (ci != self->x_ci && xc_is_target(ci->ci_index))
			xcp_send_call(ci);
}

/* Makes the call live.  The targets in the own group, and how many groups. */
static inline void
xc_wide_publish(
    struct xc_cpu *self, struct xc_slot *slot, uint64_t state, uint32_t mask, unsigned groups)
{
	unsigned own = self->x_ci->ci_index;
	uint64_t order = atomic_load_explicit(&self->x_posted, memory_order_relaxed) + 1;
	struct xc_board_group *group = &self->x_wide[self->x_group];

	/* Relaxed, all of these: the state that makes the call live comes after them. */
	atomic_store_explicit(&group->b_posted, mask, memory_order_relaxed);
	atomic_store_explicit(&group->b_group.g_word,
	    xc_wide_word(xc_state_generation(state), mask), memory_order_relaxed);
	atomic_store_explicit(&slot->s_groups, (uint16_t)groups, memory_order_relaxed);
	atomic_store_explicit(&slot->s_cancels, false, memory_order_relaxed);
	atomic_store_explicit(&slot->s_order, order, memory_order_relaxed);
	atomic_store_explicit(&slot->s_posted, machine_cycles_early(), memory_order_relaxed);
	atomic_fetch_or_explicit(
	    &self->x_live[XC_LEVEL_HARD], UINT64_C(1) << XC_WIDE, memory_order_relaxed);
	atomic_fetch_or_explicit(
	    &xc_wides.w_senders[own / 64], UINT64_C(1) << own % 64, memory_order_relaxed);
	atomic_fetch_add_explicit(&xc_wides.w_live, 1, memory_order_relaxed);
	/* Release, both: pair with xc_wide_holds(), xc_slot_find(), xc_inbox_begin_slot(). */
	atomic_store_explicit(&slot->s_state, state, memory_order_release);
	atomic_store_explicit(&self->x_posted, order, memory_order_release);
}

/* Whether the slot, whose call is live or was withdrawn, may have the next one.  After one that was
 * withdrawn it rests as long as another slot would until its turn: so long its ticket tells. */
static bool __attribute__((noinline, cold)) xc_wide_rested(struct xc_cpu *self, uint64_t state)
{
	if ((state & XC_STATE_LIVE) != 0 || ++self->x_wide_rest < XC_POOL)
		return false;
	self->x_wide_rest = 0;
	return true;
}

uint64_t
xc_wide_post(unsigned flags, xcfunc_t func, void *arg1, void *arg2)
{
	const struct cpu_info *here = curcpu();
	struct xc_cpu *self = xc_self();
	struct xc_slot *slot;
	uint64_t state, ticket = 0;
	uint32_t mask;
	unsigned groups;
	bool intr, to_self = (flags & XC_NOSELF) == 0;

	if ((flags | XC_NOSELF) != (XC_HARD | XC_NOSELF) || func == NULL || self == NULL ||
	    here->ci_nmi_depth != 0)
		return 0;
	intr = machine_intr_disable();
	slot = &self->x_slot[XC_WIDE];
	/* Acquire: pairs with xc_slot_retire(). */
	state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
	if (((state & (XC_STATE_LIVE | XC_STATE_CANCELLED)) != 0 && !xc_wide_rested(self, state)) ||
	    state >= xc_state_live(XC_GENERATION_MAX, XC_LEVEL_LOW) ||
	    atomic_load_explicit(&self->x_credit[XC_CREDIT_HARD], memory_order_relaxed) <= 0) {
		machine_intr_restore(intr);
		return 0;
	}
	state = xc_state_live(xc_state_generation(state) + 1, XC_LEVEL_HARD);
	/* Acquire: pairs with xc_cpu_change(). */
	if (atomic_load_explicit(&xc_targets.t_version, memory_order_acquire) !=
	    self->x_wide_version)
		xc_wide_prepare(self, xc_state_generation(state));
	to_self = to_self && self->x_wide_self;
	mask = self->x_wide_own | (to_self ? (uint32_t)self->x_bit : 0);
	groups = self->x_wide_groups + (mask != 0);
	if (groups != 0) {
		atomic_store_explicit(&slot->s_func, func, memory_order_relaxed);
		slot->s_arg1 = arg1;
		slot->s_arg2 = arg2;
		xc_wide_publish(self, slot, state, mask, groups);
		ticket = xc_ticket_make(here->ci_index, XC_WIDE, xc_state_generation(state));
		xc_stats_post(self, XC_LEVEL_HARD, false);
		xc_wide_send(self);
		/* Where interrupts were on this runs it, and lets them on: it comes last. */
		if (to_self)
			xc_intr_notify(self, self, XC_LEVEL_HARD, intr);
	}
	machine_intr_restore(intr);
	return ticket;
}

void
xc_wide_over(struct xc_cpu *xc)
{
	struct xc_slot *slot = &xc->x_slot[XC_WIDE];
	unsigned groups = (ncpu + XC_GROUP_CPUS - 1) / XC_GROUP_CPUS, own = xc->x_ci->ci_index;
	uint64_t generation = xc_state_generation(
	    atomic_load_explicit(&slot->s_state, memory_order_relaxed));

	/* Relaxed, all: the state, which says over, comes after them. */
	for (unsigned g = 0; g < groups; g++)
		atomic_store_explicit(&xc->x_wide[g].b_group.g_word,
		    xc_wide_word(generation + 1,
			atomic_load_explicit(&xc->x_wide[g].b_posted, memory_order_relaxed)),
		    memory_order_relaxed);
	atomic_fetch_and_explicit(
	    &xc_wides.w_senders[own / 64], ~(UINT64_C(1) << own % 64), memory_order_relaxed);
	atomic_fetch_sub_explicit(&xc_wides.w_live, 1, memory_order_relaxed);
}

/* --- the target's side ------------------------------------------------------------------------ */

/* Whether the call in the sender's wide slot waits for this CPU; its group's word then, and its
 * state. */
static inline bool
xc_wide_holds(const struct xc_cpu *xc, const struct xc_cpu *sender, uint64_t *word, uint64_t *state)
{
	const _Atomic uint64_t *group = &sender->x_wide[xc->x_group].b_group.g_word;

	/* Acquire, both: pair with xc_wide_publish(). */
	*state = atomic_load_explicit(&sender->x_slot[XC_WIDE].s_state, memory_order_acquire);
	*word = atomic_load_explicit(group, memory_order_acquire);
	return (*state & XC_STATE_LIVE) != 0 && (*word & xc->x_bit) != 0 &&
	    xc_group_is(*word, xc_group_tag(XC_WIDE, xc_state_generation(*state)));
}

bool
xc_wide_waiting(const struct xc_cpu *xc)
{
	uint64_t bits, word, state;

	for (unsigned w = 0; w < xc_cpu_words(); w++)
		/* Relaxed: the states tell; who is not seen sends a command. */
		for (bits = atomic_load_explicit(&xc_wides.w_senders[w], memory_order_relaxed);
		     bits != 0; bits &= bits - 1)
			if (xc_wide_holds(xc,
				xc_cpu_lookup(w * 64 + (unsigned)__builtin_ctzll(bits)), &word,
				&state))
				return true;
	return false;
}

/* Times of the call that has just run here, at that depth. */
static void __attribute__((noinline, cold))
xc_wide_time(struct xc_cpu *xc, const struct xc_slot *slot, unsigned depth)
{
	xc_stats_time_run(xc, XC_LEVEL_HARD,
	    atomic_load_explicit(&slot->s_posted, memory_order_relaxed),
	    atomic_load_explicit(
		&xc->x_stack[XC_LEVEL_HARD].k_run[depth].r_since, memory_order_relaxed));
}

/* Runs the call that this CPU has claimed, and finishes it. */
static inline void
xc_wide_run(struct xc_cpu *xc, struct xc_cpu *sender, unsigned from, uint64_t state)
{
	struct xc_slot *slot = &sender->x_slot[XC_WIDE];
	struct xc_stack *stack = &xc->x_stack[XC_LEVEL_HARD];
	unsigned depth = atomic_load_explicit(&stack->k_depth, memory_order_relaxed);
	xcfunc_t func = atomic_load_explicit(&slot->s_func, memory_order_relaxed);
	uint64_t bit = xc->x_bit << XC_GROUP_CPUS, word;

	xc_run_begin(stack, depth, xc_ticket_make(from, XC_WIDE, xc_state_generation(state)), func,
	    machine_cycles_early());
	xc_run_hard_function(func, slot->s_arg1, slot->s_arg2);
	machine_count(&xc->x_figures->f_run[XC_CLASS_HARD]);
	if (xc_stats_sampled(atomic_load_explicit(&slot->s_order, memory_order_relaxed)))
		xc_wide_time(xc, slot, depth);
	/* The bit is there, so to take it away is to subtract it.  Release and acquire, as with
	 * s_groups. */
	word = atomic_fetch_sub_explicit(
	    &sender->x_wide[xc->x_group].b_group.g_word, bit, memory_order_acq_rel);
	if ((word - bit) >> XC_GROUP_CPUS << (64 - XC_GROUP_CPUS) == 0)
		xc_slot_group_done(sender, slot);
	xc_run_end(stack, depth);
}

/* One call that has to come before that of the sender, which is in the set then and has its turn,
 * whatever others post. */
static void __attribute__((noinline)) xc_wide_serve_older(struct xc_cpu *xc, unsigned from)
{
	struct xc_job job;

	xc_inbox_add_sender(&xc->x_inbox[XC_LEVEL_HARD], from);
	if (xc_inbox_next(xc, XC_LEVEL_HARD, &job))
		xc_run_job(xc, XC_LEVEL_HARD, &job);
}

/* Serves the call of that sender, and what must come before it: false when there is none. */
static inline bool
xc_wide_serve_one(struct xc_cpu *xc, unsigned from)
{
	/* Relaxed: whoever is in the set was looked up by a CPU that put it there. */
	struct xc_cpu *sender = atomic_load_explicit(&xc_cpu_table[from], memory_order_relaxed);
	uint64_t word, state;
	bool some = false;

	for (; xc_wide_holds(xc, sender, &word, &state); some = true) {
		if (xc_inbox_pending(&xc->x_inbox[XC_LEVEL_HARD]) || xc_direct_pending(xc)) {
			xc_wide_serve_older(xc, from);
		} else if (atomic_compare_exchange_strong_explicit(
			       &sender->x_wide[xc->x_group].b_group.g_word, &word,
			       word & ~xc->x_bit, memory_order_acquire, memory_order_relaxed)) {
			/* Acquire: pairs, as the looks before, with xc_wide_publish().  The next
			 * one has a command of its own. */
			xc_wide_run(xc, sender, from, state);
			return true;
		}
	}
	return some;
}

bool
xc_wide_serve(struct xc_cpu *xc)
{
	unsigned words = xc_cpu_words();
	bool some = false;
	uint64_t bits;

	for (unsigned w = 0; w < words; w++)
		/* Relaxed: the states tell; who is not seen sends a command. */
		for (bits = atomic_load_explicit(&xc_wides.w_senders[w], memory_order_relaxed);
		     bits != 0; bits &= bits - 1)
			some |= xc_wide_serve_one(xc, w * 64 + (unsigned)__builtin_ctzll(bits));
	return some;
}
