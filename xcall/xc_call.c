/*
 * Cross calls whose memory is the caller's.
 *
 * The descriptor is linked into its target's inbox (xc_inbox.c), so its memory is the target's from
 * the post until it has returned, or has found it cancelled.  One word says where its life stands
 * (xc_descriptor.h), and, while it is the target's, whether somebody sleeps for it: the exchange
 * that gives it back also tells whether a wake-up is due, so nothing of it is touched after.
 *
 *	target				waiter
 *	func() writes its results
 *	old = exchange(IDLE), seq_cst	fetch_or(WAITED), seq_cst: RUNNING, so it sleeps
 *	old has WAITED: wakes it	or IDLE: reads the results
 */
#include "xcall/xc_call.h"

#include <stddef.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_post.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wait.h"

static unsigned
xc_descriptor_bucket(const struct xc_call *call)
{
	return (unsigned)((uintptr_t)call / sizeof(*call)) % XC_BUCKETS;
}

bool
xc_descriptor_begin(struct xc_call *call)
{
	uint32_t state = atomic_load_explicit(&call->c_state, memory_order_relaxed);

	for (;;) {
		if ((state & XC_CALL_STATE) == XC_CALL_CANCELLED) {
			/* Release: pairs with the owner's xc_call_done(). */
			atomic_store_explicit(
			    &call->c_state, XC_CALL_WITHDRAWN, memory_order_release);
			return false;
		}
		KASSERTMSG((state & XC_CALL_STATE) == XC_CALL_POSTED,
		    "descriptor %p is in an inbox in state %u: was it reused?", (void *)call,
		    state & XC_CALL_STATE);
		/* Relaxed: what it says was seen when it came out of the inbox. */
		if (atomic_compare_exchange_weak_explicit(&call->c_state, &state,
			XC_CALL_RUNNING | (state & XC_CALL_WAITED), memory_order_relaxed,
			memory_order_relaxed))
			return true;
	}
}

/* Gives up the descriptor, in that state, and wakes who sleeps for it. */
static void
xc_descriptor_end(struct xc_call *call, uint32_t from, uint32_t to)
{
	struct xc_cpu *sender = xc_cpu_lookup(call->c_sender);
	unsigned bucket = xc_descriptor_bucket(call);
	/* Release: pairs with xc_descriptor_result(). */
	uint32_t old = atomic_exchange_explicit(&call->c_state, to, memory_order_seq_cst);

	KASSERT((old & XC_CALL_STATE) == from);
	if ((old & XC_CALL_WAITED) != 0)
		xc_thread_wake_waiters(sender, bucket);
}

void
xc_descriptor_finish(struct xc_call *call)
{
	xc_descriptor_end(call, XC_CALL_RUNNING, XC_CALL_IDLE);
}

int
xc_descriptor_result(const struct xc_call *call)
{
	/* Acquire: pairs with xc_descriptor_end(). */
	switch (atomic_load_explicit(&call->c_state, memory_order_acquire) & XC_CALL_STATE) {
	case XC_CALL_POSTED:
	case XC_CALL_RUNNING:
		return EBUSY;
	case XC_CALL_CANCELLED:
	case XC_CALL_WITHDRAWN:
		return ECANCELED;
	default:
		return 0;
	}
}

bool
xc_descriptor_want(struct xc_call *call)
{
	uint32_t state = atomic_load_explicit(&call->c_state, memory_order_seq_cst);

	while (xc_descriptor_result(call) == EBUSY) {
		/* Sequentially consistent: pairs with the exchange at its end. */
		if ((state & XC_CALL_STATE) != XC_CALL_POSTED &&
		    (state & XC_CALL_STATE) != XC_CALL_RUNNING)
			return false;
		if (atomic_compare_exchange_weak_explicit(&call->c_state, &state,
			state | XC_CALL_WAITED, memory_order_seq_cst, memory_order_seq_cst))
			return true;
	}
	return false;
}

void
xc_call_init(struct xc_call *call, xcfunc_t func, void *arg1, void *arg2)
{
	KASSERTMSG(func != NULL, "xc_call_init: NULL function");
	*call = (struct xc_call){ .c_func = func, .c_arg1 = arg1, .c_arg2 = arg2 };
}

/* The owner's look: whether it may be posted. */
static bool
xc_call_free(const struct xc_call *call)
{
	/* Acquire: pairs with xc_descriptor_end() and xc_descriptor_begin(). */
	uint32_t state = atomic_load_explicit(&call->c_state, memory_order_acquire) & XC_CALL_STATE;

	return state == XC_CALL_IDLE || state == XC_CALL_WITHDRAWN;
}

/* Interrupts off: into the inbox of the target, as the sender's next post. */
static inline void
xc_call_publish(struct xc_cpu *self, struct xc_cpu *target, struct xc_call *call, unsigned flags)
{
	uint64_t order = atomic_load_explicit(&self->x_posted, memory_order_relaxed) + 1;

	call->c_sender = (uint16_t)self->x_ci->ci_index;
	call->c_order = order;
	call->c_posted = machine_cycles_early();
	call->c_target = target->x_ci;
	atomic_store_explicit(&call->c_lazy, (flags & XC_LAZY) != 0, memory_order_relaxed);
	/* Relaxed: the push that follows is a release. */
	atomic_store_explicit(&call->c_state, XC_CALL_POSTED, memory_order_relaxed);
	xc_inbox_push(&target->x_inbox[call->c_level], call);
	/* Release: pairs with xc_inbox_begin_slot(): who sees this number sees the push. */
	atomic_store_explicit(&self->x_posted, order, memory_order_release);
}

/* All that a post may be, and must not. */
static int __attribute__((noinline, cold))
xc_call_post_else(struct xc_call *call, unsigned flags, struct cpu_info *ci)
{
	enum xc_level level = xc_post_assert("xc_call_post", flags, call->c_func);
	struct xc_cpu *self, *target;
	bool intr;

	KASSERTMSG(level != XC_LEVEL_NMI, "xc_call_post: XC_NMI is for tickets");
	KASSERTMSG(ci != NULL && cpu_lookup(ci->ci_index) == ci, "xc_call_post: foreign ci %p",
	    (void *)ci);
	KASSERTMSG((flags & XC_NOSELF) == 0, "xc_call_post: XC_NOSELF is for sets of CPUs");
	if (!xc_call_free(call))
		return EBUSY;
	if (xc_post_early_p()) {
		if (ci != curcpu())
			return EHOSTDOWN;
		xc_post_early(level, call->c_func, call->c_arg1, call->c_arg2);
		return 0;
	}
	intr = machine_intr_disable();
	self = xc_self();
	target = xc_post_target(ci);
	if (self == NULL || target == NULL) {
		machine_intr_restore(intr);
		return EHOSTDOWN;
	}
	call->c_level = (uint8_t)level;
	xc_call_publish(self, target, call, flags);
	xc_stats_post(self, level, true);
	xc_post_notify(self, target, level, flags, intr);
	machine_intr_restore(intr);
	return 0;
}

int
xc_call_post(struct xc_call *call, unsigned flags, struct cpu_info *ci)
{
	const struct cpu_info *here = curcpu();
	struct xc_cpu *self = xc_self(), *target;
	bool intr;

	if (__builtin_expect(flags != XC_HARD, 0) || __builtin_expect(call->c_func == NULL, 0) ||
	    __builtin_expect(ci == NULL, 0) || ci == here || here->ci_nmi_depth != 0 ||
	    self == NULL || (target = xc_cpu_lookup(ci->ci_index)) == NULL || target->x_ci != ci)
		return xc_call_post_else(call, flags, ci);
	if (!xc_call_free(call))
		return EBUSY;
	intr = machine_intr_disable();
	if (!xc_is_target(ci->ci_index)) {
		machine_intr_restore(intr);
		return EHOSTDOWN;
	}
	call->c_level = XC_LEVEL_HARD;
	xc_call_publish(self, target, call, XC_HARD);
	xc_stats_post(self, XC_LEVEL_HARD, true);
	xc_intr_notify_hard(target, ci, XC_LEVEL_HARD);
	machine_intr_restore(intr);
	return 0;
}

static struct xc_event
xc_call_event(struct xc_call *call)
{
	return (struct xc_event){ .e_ref = { .f_call = call },
		.e_sender = xc_cpu_lookup(call->c_sender),
		.e_bucket = xc_descriptor_bucket(call),
		.e_level = call->c_level };
}

static int
xc_call_wait_until(struct xc_call *call, uint64_t deadline_ns, const char *who)
{
	struct xc_event event = xc_call_event(call);

	if (call->c_target == NULL)
		return 0;
	return xc_event_wait(&event, deadline_ns, who);
}

int
xc_call_wait(struct xc_call *call)
{
	return xc_call_wait_until(call, XC_FOREVER, "xc_call_wait");
}

int
xc_call_timedwait(struct xc_call *call, uint64_t timeout_ns)
{
	return xc_call_wait_until(call, xc_wait_deadline(timeout_ns), "xc_call_timedwait");
}

bool
xc_call_done(const struct xc_call *call)
{
	return xc_call_free(call);
}

int
xc_call_cancel(struct xc_call *call)
{
	struct xc_cpu *self = xc_self();
	struct xc_event event = xc_call_event(call);
	uint32_t state = atomic_load_explicit(&call->c_state, memory_order_relaxed);

	if (call->c_target == NULL)
		return 0;
	KASSERTMSG(curcpu()->ci_spin_depth == 0, "xc_call_cancel: with a spinlock held");
	xc_wait_assert("xc_call_cancel", event.e_level);
	if (xc_call_free(call))
		return 0;
	KASSERT(self != NULL);
	xc_run_assert_not_own(self, &event.e_ref, "xc_call_cancel");
	while ((state & XC_CALL_STATE) == XC_CALL_POSTED) {
		/* Release and acquire: who waits for it goes on. */
		if (!atomic_compare_exchange_weak_explicit(&call->c_state, &state,
			XC_CALL_CANCELLED, memory_order_seq_cst, memory_order_seq_cst))
			continue;
		if ((state & XC_CALL_WAITED) != 0)
			xc_thread_wake_waiters(event.e_sender, event.e_bucket);
		break;
	}
	if (xc_descriptor_result(call) == ECANCELED)
		return xc_call_free(call) ? 0 : EBUSY;
	xc_event_wait(&event, XC_FOREVER, "xc_call_cancel");
	return 0;
}
