/*
 * Inboxes: what was posted to a CPU at one level, and in which order it takes it.
 *
 * Background
 *
 * Any number of CPUs post to one, from any context.  A post must not find the inbox full, must not
 * wait for other senders, and a dead target must not keep what was posted to it: a call can be
 * withdrawn without its help.
 *
 * Implementation
 *
 * For calls by ticket the inbox is a set of senders, whose calls stay in their own slots
 * (xc_slot.c): it is as large as the number of CPUs, whatever is posted.  For descriptors of
 * callers it is a list, pushed by compare-and-swap and taken whole by exchange; taken ones stand in
 * order of their posts in a second list that only the target uses.
 *
 *	sender					target
 *	call enters its slots			sender leaves the set
 *	sender enters the set			slots are searched, call found or not
 *
 * If the search ran too early to see the call, the sender's entry came after its removal and
 * stands.  The reverse, an entry for a call that was served already, costs an empty search.
 *
 * Order.  Calls of one sender begin in the order of its posts, whether by ticket or by descriptor;
 * both take their number from x_posted.  Before a descriptor, the older slots of its sender are
 * served; before a slot, the older descriptors: x_posted is read first, then the list is taken, so
 * each descriptor up to that bound is seen.  Senders take turns, one call each, and so do
 * descriptors and slots: none can shut out another.
 *
 * Limits
 *
 * A look at the set costs a word for 64 CPUs.  Nothing is promised between senders.  Rejected:
 * links from the inbox into the slots, which a withdrawn call could not be taken out of.
 */
#include "xcall/xc_inbox.h"

#include <stddef.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_slot.h"

void
xc_inbox_init(struct xc_inbox *inbox)
{
	inbox->i_senders = kmem_boot_alloc(xc_inbox_words() * sizeof(*inbox->i_senders));
	inbox->i_end = &inbox->i_first;
}

void
xc_inbox_add_sender(struct xc_inbox *inbox, unsigned sender)
{
	/* Release: pairs with xc_inbox_take_sender(), which then finds the call. */
	atomic_fetch_or_explicit(&inbox->i_senders[sender / XC_SENDER_BITS],
	    UINT64_C(1) << sender % XC_SENDER_BITS, memory_order_release);
}

void
xc_inbox_push(struct xc_inbox *inbox, struct xc_call *call)
{
	struct xc_call *next = atomic_load_explicit(&inbox->i_pushed, memory_order_relaxed);

	atomic_fetch_add_explicit(&inbox->i_posted, 1, memory_order_relaxed);
	do {
		atomic_store_explicit(&call->c_next, next, memory_order_relaxed);
		/* Release: pairs with xc_inbox_take_calls(). */
	} while (!atomic_compare_exchange_weak_explicit(
	    &inbox->i_pushed, &next, call, memory_order_release, memory_order_relaxed));
}

/* Removes the sender whose turn it is; CPUSET_END when there is none. */
static unsigned
xc_inbox_take_sender(struct xc_inbox *inbox)
{
	unsigned words = xc_inbox_words(), at = inbox->i_last + 1, word, sender;
	uint64_t bits;

	/* Once around, and the word that the turn begins in twice: its upper part first, then its
	 * lower. */
	word = at / XC_SENDER_BITS;
	for (unsigned i = 0; i <= words; i++, word++) {
		if (word >= words)
			word = 0;
		bits = atomic_load_explicit(&inbox->i_senders[word], memory_order_relaxed);
		if (i == 0)
			bits &= UINT64_MAX << at % XC_SENDER_BITS;
		if (bits == 0)
			continue;
		sender = word * XC_SENDER_BITS + (unsigned)__builtin_ctzll(bits);
		/* Acquire: pairs with xc_inbox_add_sender(). */
		atomic_fetch_and_explicit(&inbox->i_senders[word],
		    ~(UINT64_C(1) << sender % XC_SENDER_BITS), memory_order_acquire);
		inbox->i_last = sender;
		return sender;
	}
	return CPUSET_END;
}

/* Moves what was pushed behind what was taken before, oldest first. */
static void
xc_inbox_take_calls(struct xc_inbox *inbox)
{
	struct xc_call *call, *next, *first = NULL, **end;

	if (atomic_load_explicit(&inbox->i_pushed, memory_order_relaxed) == NULL)
		return;
	/* Acquire: pairs with xc_inbox_push(), of each of them. */
	call = atomic_exchange_explicit(&inbox->i_pushed, NULL, memory_order_acquire);
	for (; call != NULL; call = next) {
		next = atomic_load_explicit(&call->c_next, memory_order_relaxed);
		call->c_taken = first;
		first = call;
	}
	*inbox->i_end = first;
	for (end = inbox->i_end; *end != NULL; end = &(*end)->c_taken)
		continue;
	inbox->i_end = end;
	atomic_store_explicit(&inbox->i_taken, true, memory_order_relaxed);
}

static void
xc_inbox_remove_first(struct xc_inbox *inbox)
{
	inbox->i_first = inbox->i_first->c_taken;
	if (inbox->i_first == NULL) {
		inbox->i_end = &inbox->i_first;
		atomic_store_explicit(&inbox->i_taken, false, memory_order_relaxed);
	}
}

/* Whether the sender has posted a descriptor before its call number `order`. */
static bool
xc_inbox_has_older(const struct xc_inbox *inbox, unsigned sender, uint64_t order)
{
	for (const struct xc_call *call = inbox->i_first; call != NULL; call = call->c_taken)
		if (call->c_sender == sender && call->c_order < order)
			return true;
	return false;
}

void
xc_job_of_slot(struct xc_job *job, struct xc_cpu *sender, struct xc_slot *slot, uint64_t state)
{
	*job = (struct xc_job){
		.j_sender = sender,
		.j_slot = slot,
		.j_ticket = xc_slot_ticket(sender, slot, state),
		.j_func = atomic_load_explicit(&slot->s_func, memory_order_relaxed),
		.j_arg1 = slot->s_arg1,
		.j_arg2 = slot->s_arg2,
		.j_posted = atomic_load_explicit(&slot->s_posted, memory_order_relaxed),
		.j_order = atomic_load_explicit(&slot->s_order, memory_order_relaxed),
	};
}

/* Begins the oldest descriptor, or an older slot of its sender; false when what there was is
 * gone. */
static bool
xc_inbox_begin_call(struct xc_cpu *xc, enum xc_level level, struct xc_job *job)
{
	struct xc_inbox *inbox = &xc->x_inbox[level];
	struct xc_call *call = inbox->i_first;
	struct xc_cpu *sender = xc_cpu_lookup(call->c_sender);
	struct xc_slot *slot;
	uint64_t order, state, number;
	bool more;

	if (level == XC_LEVEL_HARD && xc_direct_pending(xc) &&
	    xc_direct_next(xc, call->c_sender, job))
		return true;
	slot = xc_slot_find(
	    sender, level, xc->x_ci->ci_index, call->c_order, &order, &more, &state);
	if (slot != NULL) {
		if (!xc_slot_claim(sender, slot, state, xc->x_ci->ci_index))
			return false;
		xc_job_of_slot(job, sender, slot, state);
		return true;
	}
	xc_inbox_remove_first(inbox);
	number = atomic_load_explicit(&inbox->i_begun, memory_order_relaxed) + 1;
	*job = (struct xc_job){ .j_sender = sender,
		.j_call = call,
		.j_number = number,
		.j_func = call->c_func,
		.j_arg1 = call->c_arg1,
		.j_arg2 = call->c_arg2,
		.j_posted = call->c_posted,
		.j_order = call->c_order };
	if (xc_descriptor_begin(call))
		return true; /* xc_run_job() counts it, when it stands on the stack */
	atomic_store_explicit(&inbox->i_begun, number, memory_order_release);
	return false;
}

/* Begins a call of that sender, which has left the set; false when there is none, or it is not its
 * turn. */
static bool
xc_inbox_begin_slot(struct xc_cpu *xc, enum xc_level level, unsigned from, struct xc_job *job)
{
	struct xc_inbox *inbox = &xc->x_inbox[level];
	struct xc_cpu *sender = xc_cpu_lookup(from);
	unsigned cpu = xc->x_ci->ci_index;
	/* Acquire: pairs with xc_slot_publish() and with a descriptor's post: what has a number up
	 * to this is seen. */
	uint64_t bound = atomic_load_explicit(&sender->x_posted, memory_order_acquire);
	uint64_t order, state;
	struct xc_slot *slot;
	bool more, begun = false;

	if (level == XC_LEVEL_HARD && xc_direct_pending(xc) && xc_direct_next(xc, from, job)) {
		xc_inbox_add_sender(inbox, from);
		return true;
	}
	xc_inbox_take_calls(inbox);
	slot = xc_slot_find(sender, level, cpu, bound, &order, &more, &state);
	if (slot == NULL)
		return false;
	if (!xc_inbox_has_older(inbox, from, order))
		begun = xc_slot_claim(sender, slot, state, cpu);
	if (begun)
		xc_job_of_slot(job, sender, slot, state);
	if (more || !begun)
		xc_inbox_add_sender(inbox, from);
	return begun;
}

bool
xc_inbox_next(struct xc_cpu *xc, enum xc_level level, struct xc_job *job)
{
	struct xc_inbox *inbox = &xc->x_inbox[level];
	bool hard = level == XC_LEVEL_HARD, begun = false;
	unsigned sender;

	while (!begun) {
		/* Every other time: it is filled again as soon as it is free. */
		inbox->i_direct = !inbox->i_direct;
		if (hard && inbox->i_direct && xc_direct_pending(xc) &&
		    xc_direct_next(xc, CPUSET_END, job))
			return true;
		if (!xc_inbox_pending(inbox))
			return hard && xc_direct_pending(xc) && xc_direct_next(xc, CPUSET_END, job);
		xc_inbox_take_calls(inbox);
		inbox->i_turn = !inbox->i_turn;
		if (inbox->i_turn && inbox->i_first != NULL) {
			begun = xc_inbox_begin_call(xc, level, job);
			continue;
		}
		sender = xc_inbox_take_sender(inbox);
		if (sender != CPUSET_END)
			begun = xc_inbox_begin_slot(xc, level, sender, job);
	}
	return true;
}
