/*
 * The target's half: an inbox and the thread xcall/N that serves it.
 *
 * Background
 *
 * A low-priority call runs in a thread bound to its target, which may block briefly on mutexes.  Such a function
 * may also post and wait itself.  Then two CPUs that call each other would wait for ever, each for a thread
 * that is busy waiting: so xcall/N goes on serving while a function that it runs waits.
 *
 * Implementation
 *
 * The inbox is a set of senders, not a queue of calls: its size does not depend on how many calls there are,
 * and a post never finds it full.  A sender publishes the call in its own pool, then adds itself; the target removes
 * the sender, then looks into the pool:
 *
 *	sender					target
 *	call enters the pool			sender leaves the inbox
 *	sender enters the inbox			pool is searched, call found or not
 *
 * If the search ran too early to see the call, the sender's entry came after its removal and stands: the
 * target looks again.  The reverse, an entry for a call that was served already, costs an empty search.
 * Senders are served in turn, one call each, so that none of them can shut out another.
 *
 * Functions nest on the stack of xcall/N, x_level[0] lowest.  xc_thread_wait() serves while fewer than
 * XC_DEPTH_MAX are there, then sleeps unserved.  Every level but the top one is in a wait, and holds no mutex.
 *
 * Rules for callers
 *
 *  - A function owns its CPU against other low-priority functions, except where it itself waits.
 *  - A function whose wait was served returns only after what was served has: waits end last in, first out.
 *
 * Limits
 *
 * At the bound of the depth a wait for a call to the own CPU cannot end; xc_chain.c reports it.  Rejected: a
 * second thread a CPU, for which two functions would run at once on one CPU; serving in the waits of other
 * threads, which would run strangers' functions at their priority and under their mutexes.
 */
#include "xcall/xc_thread.h"

#include <stddef.h>

#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_pool.h"

/* Whether that was the first one: otherwise xcall/N is awake, or about to look; or at the bound of its
 * depth, where a call cannot help it. */
static bool
xc_inbox_add_locked(struct xc_cpu *xc, unsigned sender)
{
	if (cpuset_has(&xc->x_senders, sender))
		return false;
	cpuset_add(&xc->x_senders, sender);
	return ++xc->x_nsenders == 1;
}

void
xc_thread_notify(struct xc_cpu *target, unsigned sender)
{
	mutex_enter(&target->x_inbox_lock);
	if (xc_inbox_add_locked(target, sender))
		cv_signal(&target->x_inbox_changed);
	mutex_exit(&target->x_inbox_lock);
}

void
xc_thread_wake(struct xc_cpu *target)
{
	mutex_enter(&target->x_inbox_lock);
	cv_signal(&target->x_inbox_changed);
	mutex_exit(&target->x_inbox_lock);
}

/* Removes the sender whose turn it is; NULL when there is none. */
static struct xc_cpu *
xc_inbox_take(struct xc_cpu *xc)
{
	unsigned sender;

	mutex_enter(&xc->x_inbox_lock);
	if (xc->x_nsenders == 0) {
		mutex_exit(&xc->x_inbox_lock);
		return NULL;
	}
	sender = cpuset_next(&xc->x_senders, xc->x_last_sender);
	if (sender == CPUSET_END)
		sender = cpuset_first(&xc->x_senders);
	cpuset_remove(&xc->x_senders, sender);
	xc->x_nsenders--;
	xc->x_last_sender = sender;
	mutex_exit(&xc->x_inbox_lock);
	return xc_cpu_lookup(sender);
}

/* The next call for this CPU, begun; NULL when there is none. */
static struct xc_slot *
xc_inbox_begin(struct xc_cpu *xc)
{
	struct xc_cpu *sender;
	struct xc_slot *slot = NULL;
	bool more;

	while (slot == NULL && (sender = xc_inbox_take(xc)) != NULL) {
		slot = xc_slot_begin(sender, xc->x_ci->ci_index, &more);
		if (more) {
			mutex_enter(&xc->x_inbox_lock);
			(void)xc_inbox_add_locked(xc, sender->x_ci->ci_index);
			mutex_exit(&xc->x_inbox_lock);
		}
	}
	return slot;
}

/* Apart from xc_thread_run(), whose stack frame nests. */
static _Noreturn void __attribute__((noinline))
xc_thread_blame(xcfunc_t func, const struct xcp_context *before, const struct xcp_context *after)
{
	char name[KSYMS_TEXT_BYTES];

	panic("xcall: %s did not leave its context as it found it: preemption off %u (was %u), "
	      "interrupts %s (were %s), spinlocks %u (were %u), mutexes %u (were %u)",
	    ksyms_format((uintptr_t)func, name), after->nopreempt, before->nopreempt,
	    after->intr_on ? "on" : "off", before->intr_on ? "on" : "off", after->spinlocks,
	    before->spinlocks, after->mutexes, before->mutexes);
}

void
xc_thread_run(xcfunc_t func, void *arg1, void *arg2)
{
	struct xcp_context before = xcp_context(), after;

	(*func)(arg1, arg2);
	after = xcp_context();
	if (after.nopreempt != before.nopreempt || after.spinlocks != before.spinlocks ||
	    after.mutexes != before.mutexes || after.intr_on != before.intr_on)
		xc_thread_blame(func, &before, &after);
}

/* Runs one call for this CPU, if there is one. */
static bool
xc_thread_serve(struct xc_cpu *xc)
{
	unsigned depth = atomic_load_explicit(&xc->x_depth, memory_order_relaxed);
	struct xc_level *level = &xc->x_level[depth];
	struct xc_slot *slot = xc_inbox_begin(xc);

	if (slot == NULL)
		return false;
	atomic_store_explicit(&level->l_call, xc_slot_ticket(slot), memory_order_relaxed);
	atomic_store_explicit(&level->l_wait, 0, memory_order_relaxed);
	/* Release: pairs with xc_chain_server(), which reads the levels below the depth. */
	atomic_store_explicit(&xc->x_depth, depth + 1, memory_order_release);
	xc_thread_run(slot->s_func, slot->s_arg1, slot->s_arg2);
	atomic_store_explicit(&xc->x_depth, depth, memory_order_release);
	atomic_fetch_add_explicit(&xc->x_served, 1, memory_order_relaxed);
	xc_slot_finish(slot);
	return true;
}

/* Whether what xcall/N waits for is there: the end of a call, or without one a free slot. */
static bool
xc_thread_ready(const struct xc_cpu *xc, const struct xc_slot *slot, uint64_t ticket)
{
	if (slot != NULL)
		return xc_slot_life(slot, ticket) != XC_LIVE;
	/* Sequentially consistent: pairs with xc_slot_retire(). */
	return atomic_load_explicit(&xc->x_nfree, memory_order_seq_cst) != 0;
}

/* Sleeps until something has changed, unless what it waits for is there or it has calls to serve. */
static int
xc_thread_sleep(struct xc_cpu *xc, const struct xc_slot *slot, uint64_t ticket, bool serve)
{
	int error = 0;

	mutex_enter(&xc->x_inbox_lock);
	if (!xc_thread_ready(xc, slot, ticket) && !(serve && xc->x_nsenders != 0)) {
		if (slot != NULL)
			error = cv_timedwait(
			    &xc->x_inbox_changed, &xc->x_inbox_lock, xc_chain_period());
		else
			cv_wait(&xc->x_inbox_changed, &xc->x_inbox_lock);
	}
	mutex_exit(&xc->x_inbox_lock);
	return error;
}

static void
xc_thread_serve_until(struct xc_cpu *xc, const struct xc_slot *slot, uint64_t ticket)
{
	bool serve = atomic_load_explicit(&xc->x_depth, memory_order_relaxed) < XC_DEPTH_MAX;

	while (!xc_thread_ready(xc, slot, ticket)) {
		if (serve && xc_thread_serve(xc))
			continue;
		if (xc_thread_sleep(xc, slot, ticket, serve) == ETIMEDOUT)
			xc_chain_check(xc, ticket);
	}
}

void
xc_thread_wait(struct xc_cpu *xc, struct xc_slot *slot, uint64_t ticket)
{
	unsigned depth = atomic_load_explicit(&xc->x_depth, memory_order_relaxed);
	struct xc_level *level = &xc->x_level[depth - 1];
	struct xc_waiter waiter = { .w_server = xc };

	KASSERT(depth != 0);
	if (!xc_slot_enlist(slot, ticket, &waiter))
		return;
	/* Release: pairs with xc_chain_server(). */
	atomic_store_explicit(&level->l_wait, ticket, memory_order_release);
	xc_chain_check(xc, ticket);
	xc_thread_serve_until(xc, slot, ticket);
	atomic_store_explicit(&level->l_wait, 0, memory_order_release);
	xc_slot_delist(slot, &waiter);
}

void
xc_thread_wait_slot(struct xc_cpu *xc)
{
	/* A function below on this stack may wish the same; its wish outlives this one.
	 * Sequentially consistent: pairs with xc_slot_retire().  Either that sees the wish, or
	 * xc_thread_ready() sees the slot. */
	bool before = atomic_exchange_explicit(&xc->x_server_wants, true, memory_order_seq_cst);

	xc_thread_serve_until(xc, NULL, 0);
	atomic_store_explicit(&xc->x_server_wants, before, memory_order_relaxed);
}

struct xc_cpu *
xc_thread_self(void)
{
	return curlwp->l_xcall;
}

static void
xc_thread_main(void *arg)
{
	struct xc_cpu *xc = arg;

	KASSERTMSG(curcpu() == xc->x_ci, "CPU %u", curcpu()->ci_index);
	curlwp->l_xcall = xc;
	/* Release: pairs with xc_chain_server(). */
	atomic_store_explicit(&xc->x_thread, curlwp, memory_order_release);
	for (;;) {
		if (xc_thread_serve(xc))
			continue;
		mutex_enter(&xc->x_inbox_lock);
		while (xc->x_nsenders == 0)
			cv_wait(&xc->x_inbox_changed, &xc->x_inbox_lock);
		mutex_exit(&xc->x_inbox_lock);
	}
}

void
xc_thread_init(struct xc_cpu *xc)
{
	int error;

	mutex_init(&xc->x_inbox_lock, MUTEX_DEFAULT, IPL_HIGH, "xcinbox");
	cv_init(&xc->x_inbox_changed, "xcall");
	error = kthread_create(PRI_XCALL, KTHREAD_MPSAFE, xc->x_ci, xc_thread_main, xc, NULL,
	    "xcall/%u", xc->x_ci->ci_index);
	if (error != 0)
		panic("xc_init_cpu: no thread for CPU %u: error %d", xc->x_ci->ci_index, error);
}
