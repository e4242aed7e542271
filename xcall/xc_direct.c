/*
 * The direct slot: the short way of a hard call to one CPU.
 *
 * Background
 *
 * Most calls are hard, go to one CPU, and find it with nothing else to do for others.  For them the
 * way through the sender's slots (xc_slot.c) and the target's inbox (xc_inbox.c) is long: a slot is
 * taken from a pool, the sender enters a set, the target searches the set and the pool.
 *
 * Implementation
 *
 * The last slot of each CPU holds one call to it.  Whoever gets x_direct, by his number, writes the
 * call there and sets the bit XC_NOTIFY_DIRECT: the target goes straight to it.  All else is as
 * with the other slots: ticket, state, group word, and so waits, cancels and looks know no
 * difference.
 *
 *	sender, interrupts off			target
 *	x_direct: 0 -> own number + 1, acquire
 *	writes the call, and its group word
 *	s_state = live(g), release
 *	x_posted = n, release
 *	x_notify gets the bit, release		x_notify = 0, acquire
 *	was 0: sends the vector			s_state, acquire: live(g)
 *						todo bit out, by compare-and-swap
 *						func()
 *						s_state = over(g), release
 *						x_direct = 0, release
 *
 * Order.  Calls of one sender to one target begin in the order of their posts.  What is direct must
 * not overtake what went the long way: the sender goes direct only while none of its hard calls by
 * ticket is live and as many descriptors have begun at the target as i_posted says.  They begin in
 * the order in which they were pushed, and each is counted before: the sender's own, and all that
 * were pushed before it, are in that number.
 * What goes the long way must not overtake what is direct: the target that is to begin a call looks
 * first whether the direct slot holds one of the same sender (xc_inbox.c).  It read x_posted before
 * the look, and the direct call was there before any later call got its number.
 *
 * A call to the own CPU, in a thread with interrupts on, needs no slot at all: under the same
 * condition it runs then and there, as if in the interrupt.
 *
 * What the speed rests on: state, function, arguments, group word, x_notify and x_direct are one
 * line, which moves to the sender and to the target; each test that a post needs is made once, and
 * all that is rare stands out of line.
 *
 * Limits
 *
 * One call at a time; the others go the long way, and so do all when 2^46 have been direct.
 * Rejected: a direct slot for each pair of CPUs; a direct slot for other levels, whose calls cost a
 * multiple of their transport.
 */
#include "xcall/xc_direct.h"

#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_post.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_slot.h"
#include "xcall/xc_stats.h"

void
xc_direct_init_cpu(struct xc_cpu *xc)
{
	struct xc_slot *slot = &xc->x_slot[XC_DIRECT];
	unsigned cpu = xc->x_ci->ci_index;

	xc->x_direct_slot = slot;
	xc->x_direct_ticket = xc_ticket_make(cpu, XC_DIRECT, 0);
	xc->x_direct_word = xc_group_tag(XC_DIRECT, 0) | UINT64_C(0x10001) << cpu % XC_GROUP_CPUS;
	atomic_store_explicit(&slot->s_board, XC_NO_BOARD, memory_order_relaxed);
	atomic_store_explicit(
	    &slot->s_base, (uint16_t)(cpu - cpu % XC_GROUP_CPUS), memory_order_relaxed);
	atomic_store_explicit(
	    &slot->s_group_posted, 1u << cpu % XC_GROUP_CPUS, memory_order_relaxed);
	atomic_store_explicit(&slot->s_groups, 1, memory_order_relaxed);
}

/* --- posts ------------------------------------------------------------------------------------ */

/* Whether all hard calls of this CPU that the target might have to begin before are begun. */
static inline bool
xc_direct_first(const struct xc_cpu *self, const struct xc_cpu *target)
{
	const struct xc_inbox *inbox = &target->x_inbox[XC_LEVEL_HARD];

	/* Relaxed: only this CPU sets bits in x_live; of i_posted it sees what it has added; and
	 * the target begins what is direct after what it had begun before. */
	return atomic_load_explicit(&self->x_live[XC_LEVEL_HARD], memory_order_relaxed) == 0 &&
	    atomic_load_explicit(&inbox->i_posted, memory_order_relaxed) ==
	    atomic_load_explicit(&inbox->i_begun, memory_order_relaxed);
}

/* Whether the direct slot is the sender's now: then the state that its call gets, else 0.  A post
 * whose generation would not fit leaves it taken for ever. */
static inline uint64_t
xc_direct_take(struct xc_cpu *target, unsigned own)
{
	uint32_t none = 0;
	uint64_t state;

	/* Acquire: pairs with xc_direct_free(). */
	if (!atomic_compare_exchange_strong_explicit(
		&target->x_direct, &none, own + 1, memory_order_acquire, memory_order_relaxed))
		return 0;
	state = atomic_load_explicit(&target->x_slot[XC_DIRECT].s_state, memory_order_relaxed);
	if (state >= xc_state_live(XC_GENERATION_MAX, XC_LEVEL_LOW))
		return 0;
	/* The next generation. */
	return (state | ((UINT64_C(1) << XC_STATE_GENERATION_SHIFT) - 1)) + 1 +
	    xc_state_live(0, XC_LEVEL_HARD);
}

static inline void
xc_direct_fill(struct xc_cpu *self, struct xc_cpu *target, uint64_t state)
{
	struct xc_slot *slot = &target->x_slot[XC_DIRECT];
	uint64_t order = atomic_load_explicit(&self->x_posted, memory_order_relaxed) + 1;

	/* Relaxed, all of these: the state that makes the call live comes after them. */
	atomic_store_explicit(&slot->s_order, order, memory_order_relaxed);
	atomic_store_explicit(&slot->s_posted, machine_cycles_early(), memory_order_relaxed);
	atomic_store_explicit(
	    &slot->s_group.g_word, xc_direct_word(target, state), memory_order_relaxed);
	/* Release, both: pair with xc_direct_next() and xc_inbox_begin_slot(). */
	atomic_store_explicit(&slot->s_state, state, memory_order_release);
	atomic_store_explicit(&self->x_posted, order, memory_order_release);
}

/* Posts the call; 0: it must go the long way. */
static inline uint64_t
xc_direct_post(const struct cpu_info *here, xcfunc_t func, void *arg1, void *arg2,
    struct cpu_info *ci, struct xc_cpu *target)
{
	bool intr = machine_intr_disable();
	unsigned own = here->ci_index;
	struct xc_cpu *self = atomic_load_explicit(&xc_cpu_table[own], memory_order_acquire);
	struct xc_slot *slot = &target->x_slot[XC_DIRECT];
	uint64_t ticket = 0, state;

	if (self != NULL && xc_is_target(ci->ci_index) && xc_direct_first(self, target) &&
	    (state = xc_direct_take(target, own)) != 0) {
		atomic_store_explicit(&slot->s_func, func, memory_order_relaxed);
		slot->s_arg1 = arg1;
		slot->s_arg2 = arg2;
		xc_direct_fill(self, target, state);
		xc_stats_post(self, XC_LEVEL_HARD, true);
		ticket = xc_ticket_make(ci->ci_index, XC_DIRECT, xc_state_generation(state));
		xc_intr_notify_hard(target, ci, XC_NOTIFY_DIRECT);
	}
	machine_intr_restore(intr);
	return ticket;
}

/* Runs a call of this CPU to itself.  Interrupt context. */
static inline void
xc_direct_run(struct xc_cpu *xc, xcfunc_t func, void *arg1, void *arg2)
{
	struct xc_stack *stack = &xc->x_stack[XC_LEVEL_HARD];
	uint64_t since = machine_cycles_early();
	/* Relaxed: nobody is told. */
	uint64_t order = atomic_load_explicit(&xc->x_posted, memory_order_relaxed) + 1;

	/* Interrupts were on, so no hard function runs below. */
	xc_run_begin(stack, 0, 0, func, since);
	atomic_store_explicit(&xc->x_posted, order, memory_order_relaxed);
	xc_run_hard_function(func, arg1, arg2);
	machine_count(&xc->x_figures->f_run[XC_CLASS_HARD]);
	if (xc_stats_sampled(order)) {
		xc_stats_time_run(xc, XC_LEVEL_HARD, since, since);
		xc_stats_time_end(xc, XC_LEVEL_HARD, since);
	}
	xc_run_end(stack, 0);
}

/* Runs on this CPU, now, what it posts to itself, if it may. */
static uint64_t __attribute__((noinline))
xc_direct_self(struct cpu_info *ci, struct xc_cpu *self, xcfunc_t func, void *arg1, void *arg2)
{
	bool intr = machine_intr_disable(), run;

	run = intr && xc_is_target(ci->ci_index) && xc_direct_first(self, self);
	if (run) {
		intr_enter_quick(ci);
		xc_stats_post(self, XC_LEVEL_HARD, true);
		xc_direct_run(self, func, arg1, arg2);
		/* A lazy mark is for the hook at the end of an interrupt. */
		if (atomic_load_explicit(&self->x_lazy, memory_order_relaxed) != 0 ||
		    !intr_leave_quick(ci))
			intr_leave(true);
	}
	machine_intr_restore(intr);
	return run ? 0 : xc_unicast_slot(XC_HARD, func, arg1, arg2, ci);
}

static uint64_t __attribute__((noinline, cold))
xc_direct_else(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci)
{
	return xc_unicast_slot(flags, func, arg1, arg2, ci);
}

uint64_t
xc_unicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci)
{
	struct cpu_info *here = curcpu();
	struct xc_cpu *target;
	uint64_t ticket;

	if (__builtin_expect(flags != XC_HARD, 0) || __builtin_expect(func == NULL, 0) ||
	    __builtin_expect(ci == NULL, 0) || here->ci_nmi_depth != 0 ||
	    (target = xc_cpu_lookup(ci->ci_index)) == NULL || target->x_ci != ci)
		return xc_direct_else(flags, func, arg1, arg2, ci);
	if (ci == here)
		return xc_direct_self(here, target, func, arg1, arg2);
	ticket = xc_direct_post(here, func, arg1, arg2, ci, target);
	return ticket != 0 ? ticket : xc_direct_else(flags, func, arg1, arg2, ci);
}

/* --- the target's side ------------------------------------------------------------------------ */

void
xc_direct_time(struct xc_cpu *xc)
{
	const struct xc_slot *slot = &xc->x_slot[XC_DIRECT];
	uint64_t posted = atomic_load_explicit(&slot->s_posted, memory_order_relaxed);

	xc_stats_time_run(xc, XC_LEVEL_HARD, posted,
	    atomic_load_explicit(&xc->x_stack[XC_LEVEL_HARD].k_run->r_since, memory_order_relaxed));
	xc_stats_time_end(xc_cpu_lookup(xc_slot_sender(xc, slot)), XC_LEVEL_HARD, posted);
}

bool
xc_direct_next(struct xc_cpu *xc, unsigned sender, struct xc_job *job)
{
	struct xc_slot *slot = xc->x_direct_slot;
	/* Acquire: pairs with xc_direct_post(). */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_acquire);

	/* Relaxed: constant while the call is live. */
	if ((state & XC_STATE_LIVE) == 0 ||
	    (sender != CPUSET_END && xc_slot_sender(xc, slot) != sender) ||
	    !xc_direct_claim(xc, slot, state))
		return false;
	xc_job_of_slot(job, xc, slot, state);
	return true;
}
