/*
 * Barriers and drains: waits for what is not one call.
 *
 * A barrier is a broadcast that does nothing.  Nobody is switched away from with preemption off, so
 * that xcall/N ran means that each such section which stood on its CPU has ended; that it tops all
 * threads means that nothing else is waited for.  Soft and hard levels likewise: the function runs
 * when what kept it off has ended.
 *
 * A drain waits for each live call of that level by its ticket, one sender after the other: those
 * posted before are among them.  Descriptors cannot be found that way, as nobody has a list of
 * them; but those of a CPU begin in the order in which they came, so when i_begun has reached what
 * i_posted was, all have begun, and the stack of records shows which of them have not returned.
 */
#include <stddef.h>

#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_post.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wait.h"

/* How long a drain sleeps between two looks at descriptors. */
#define XC_DRAIN_NS 1000000ull

static void
xc_drain_nop(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

static void
xc_drain_assert(const char *who)
{
	const char *why = xcp_unsleepable();

	KASSERTMSG(why == NULL, "%s: %s", who, why);
	KASSERTMSG(xc_thread_self() == NULL || mutex_held_count(curlwp) == 0,
	    "%s: inside a cross-called function that holds a mutex", who);
}

void
xc_barrier(unsigned flags)
{
	struct xc_cpu *server;
	uint64_t where;

	if (!xc_post_early_p())
		xc_drain_assert("xc_barrier");
	/* Threads sleep for a slot in the post; xcall/N has to serve meanwhile. */
	while ((where = xc_broadcast(flags, xc_drain_nop, NULL, NULL)) == XC_ERROR(EBUSY)) {
		server = xc_thread_self();
		KASSERTMSG(server != NULL, "xc_barrier: flags %#x", flags);
		xc_thread_wait_slot(server);
	}
	KASSERTMSG(
	    !XC_ISERR(where), "xc_barrier: CPU %u: error %d", curcpu()->ci_index, XC_ERRNO(where));
	xc_wait(where);
}

/* Waits for the calls by ticket of that sender, and for the direct one to that CPU. */
static void
xc_drain_slots(struct xc_cpu *sender, enum xc_level level)
{
	uint64_t live = atomic_load_explicit(&sender->x_live[level], memory_order_acquire), state;
	struct xc_slot *slot;

	if (level == XC_LEVEL_HARD && xc_direct_live(sender))
		live |= UINT64_C(1) << XC_DIRECT;
	for (; live != 0; live &= live - 1) {
		slot = &sender->x_slot[__builtin_ctzll(live)];
		state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
		if ((state & XC_STATE_LIVE) != 0 && xc_state_level(state) == level)
			xc_wait(xc_slot_ticket(sender, slot, state));
	}
}

/* Whether a descriptor up to that number has not returned. */
static bool
xc_drain_running(const struct xc_stack *stack, uint64_t number)
{
	for (unsigned i = 0; i < xc_run_depth(stack); i++) {
		const struct xc_run *run = &stack->k_run[i];

		if (atomic_load_explicit(&run->r_call, memory_order_relaxed) != NULL &&
		    atomic_load_explicit(&run->r_number, memory_order_relaxed) <= number)
			return true;
	}
	return false;
}

/* Lazy ones become ordinary: their CPU may have no tick. */
static void
xc_drain_announce(struct xc_cpu *target, enum xc_level level)
{
	bool intr = machine_intr_disable();

	xc_intr_notify(xc_self(), target, level, intr);
	machine_intr_restore(intr);
}

/* Waits for the descriptors that were posted to that CPU. */
static void
xc_drain_calls(struct xc_cpu *target, enum xc_level level)
{
	struct xc_inbox *inbox = &target->x_inbox[level];
	uint64_t posted = atomic_load_explicit(&inbox->i_posted, memory_order_acquire);
	struct xc_stall stall;

	if (atomic_load_explicit(&inbox->i_begun, memory_order_acquire) < posted)
		xc_drain_announce(target, level);
	xc_stall_begin(&stall);
	/* Acquire: pairs with xc_inbox_next(); the record of what has begun is there. */
	while (atomic_load_explicit(&inbox->i_begun, memory_order_acquire) < posted ||
	    xc_drain_running(&target->x_stack[level], posted)) {
		kthread_sleep_ns(XC_DRAIN_NS);
		xc_stall_check_cpu(&stall, "descriptors posted to a CPU", target);
	}
}

void
xc_drain(unsigned flags)
{
	enum xc_level level = xc_post_level("xc_drain", flags);
	struct cpu_info *ci;
	struct xc_cpu *xc;

	if (xc_post_early_p())
		return;
	xc_drain_assert("xc_drain");
	KASSERTMSG(xc_thread_self() == NULL, "xc_drain: inside a cross-called function");
	CPU_INFO_FOREACH(ci) {
		if ((xc = xc_cpu_lookup(ci->ci_index)) != NULL) {
			xc_drain_slots(xc, level);
			xc_drain_calls(xc, level);
		}
	}
}
