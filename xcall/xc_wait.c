/*
 * Waits: until a call is over, withdrawn, or a time has come.
 *
 * Background
 *
 * Who waits may hold up the very call it waits for: with interrupts off it keeps the vector pending
 * by which another CPU, perhaps in the same position, asks it for something.
 *
 * Implementation
 *
 * A wait for a hard call spins, and serves the CPU's own hard calls between its looks
 * (xc_intr_poll).  A wait for an NMI call only spins: NMIs come through by themselves, and its
 * caller may hold a spinlock that a served function wants.  A wait for a call of low or soft
 * priority looks a few times and then sleeps (xc_thread.c).
 *
 * Where a call runs, and thus who may wait for it, is told by its slot while the ticket is the
 * slot's latest; of a ticket that is older nothing is known but that it is complete, and so its
 * wait is allowed anywhere.
 *
 * Limits
 *
 * A timed wait is late by up to a tick of its CPU when it sleeps.
 */
#include "xcall/xc_wait.h"

#include <stddef.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_thread.h"

/* A wait looks that often before it sleeps: some microseconds, about what a sleep and a wake-up
 * cost. */
#define XC_SPINS 64

static struct evcnt xc_error_ev;

void
xc_wait_init(void)
{
	evcnt_attach_dynamic(&xc_error_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "error waited for");
}

/* --- events ----------------------------------------------------------------------------------- */

/* What is known of a ticket while it is its slot's latest; false: it is stale, or was never
 * issued. */
static bool
xc_event_of_ticket(struct xc_event *event, uint64_t ticket)
{
	struct xc_cpu *sender;
	struct xc_slot *slot = xc_slot_lookup(ticket, &sender);
	uint64_t state;

	if (slot == NULL)
		return false;
	/* Relaxed: what the wait returns is looked at with acquire. */
	state = atomic_load_explicit(&slot->s_state, memory_order_relaxed);
	*event = (struct xc_event){ .e_ref = { .f_ticket = ticket },
		.e_slot = slot,
		.e_sender = sender,
		.e_bucket = xc_ticket_slot(ticket) % XC_BUCKETS,
		.e_level = xc_state_level(state) };
	return ticket != 0 && xc_state_generation(state) == xc_ticket_generation(ticket);
}

/* 0, or EINVAL, of a ticket that is not. */
static int
xc_ticket_result(uint64_t ticket)
{
	struct xc_cpu *sender;
	const struct xc_slot *slot = xc_slot_lookup(ticket, &sender);

	return slot != NULL ? xc_slot_result(slot, ticket) : EINVAL;
}

int
xc_event_result(const struct xc_event *event)
{
	return event->e_slot != NULL ? xc_slot_result(event->e_slot, event->e_ref.f_ticket)
				     : xc_descriptor_result(event->e_ref.f_call);
}

bool
xc_event_want(const struct xc_event *event)
{
	if (event->e_slot == NULL)
		return xc_descriptor_want(event->e_ref.f_call);
	/* Sequentially consistent: pairs with xc_slot_retire(). */
	atomic_store_explicit(&event->e_slot->s_waited, true, memory_order_seq_cst);
	return xc_event_result(event) == EBUSY;
}

/* --- waits ------------------------------------------------------------------------------------ */

void
xc_wait_assert(const char *who, enum xc_level level)
{
	struct xc_cpu *server;
	const char *why = NULL;

	if (cpu_nmi_p())
		why = "in an NMI";
	else if (level == XC_LEVEL_HARD && curcpu()->ci_spin_depth != 0)
		why = "with a spinlock held";
	else if (level < XC_LEVEL_HARD)
		why = xcp_unsleepable();
	KASSERTMSG(why == NULL, "%s: %s, for a call of %s priority", who, why,
	    level == XC_LEVEL_LOW       ? "low"
		: level < XC_LEVEL_HARD ? "soft"
		: level < XC_LEVEL_NMI  ? "hard"
					: "NMI");
	server = level < XC_LEVEL_HARD ? xc_thread_self() : NULL;
	KASSERTMSG(server == NULL || mutex_held_count(curlwp) == 0,
	    "%s: inside a cross-called function that holds a mutex", who);
}

uint64_t
xc_wait_deadline(uint64_t timeout_ns)
{
	uint64_t now = clock_ns();

	return timeout_ns < XC_FOREVER - now ? now + timeout_ns : XC_FOREVER;
}

/* With the caller's CPU kept: hard and NMI level. */
static void
xc_wait_spin(const struct xc_event *event, uint64_t deadline_ns)
{
	struct xc_stall stall;
	uint64_t now;

	xc_stall_begin(&stall);
	while (xc_event_result(event) == EBUSY && (now = clock_ns()) < deadline_ns) {
		if (event->e_level == XC_LEVEL_HARD)
			xc_intr_poll();
		if (now >= stall.l_next_ns)
			xc_stall_check(&stall, event);
		xcp_pause();
	}
}

/* A lazy call becomes an ordinary one. */
static void
xc_wait_announce(unsigned cpu, void *arg)
{
	const struct xc_event *event = arg;
	struct xc_cpu *self = xc_self();
	bool intr = machine_intr_disable();

	xc_intr_notify(self, xc_cpu_lookup(cpu), event->e_level, intr);
	machine_intr_restore(intr);
}

static void
xc_event_announce(const struct xc_event *event)
{
	if (event->e_slot != NULL)
		xc_slot_foreach_todo(event->e_sender, event->e_slot, event->e_ref.f_ticket,
		    xc_wait_announce, (void *)(uintptr_t)event);
	else
		xc_wait_announce(event->e_ref.f_call->c_target->ci_index, (void *)(uintptr_t)event);
}

static bool
xc_event_lazy(const struct xc_event *event)
{
	/* Relaxed: who posted it lazily has returned to the caller, who hands the ticket on. */
	return event->e_slot != NULL
	    ? atomic_load_explicit(&event->e_slot->s_lazy, memory_order_relaxed)
	    : atomic_load_explicit(&event->e_ref.f_call->c_lazy, memory_order_relaxed);
}

int
xc_event_wait(const struct xc_event *event, uint64_t deadline_ns, const char *who)
{
	struct xc_cpu *server, *self = xc_self();
	int result;

	xc_wait_assert(who, event->e_level);
	result = xc_event_result(event);
	if (result != EBUSY)
		return result;
	if (xc_event_lazy(event))
		xc_event_announce(event);
	/* What another CPU does at once is over before the clock is read. */
	for (unsigned i = 0; i < XC_SPINS && result == EBUSY; i++) {
		xcp_pause();
		result = xc_event_result(event);
	}
	if (result != EBUSY)
		return result;
	if (event->e_level >= XC_LEVEL_HARD) {
		if (deadline_ns == XC_FOREVER && self != NULL)
			xc_run_assert_not_own(self, &event->e_ref, who);
		xc_wait_spin(event, deadline_ns);
	} else {
		server = xc_thread_self();
		if (server != NULL)
			xc_thread_wait(server, event, deadline_ns);
		else
			xc_thread_sleep(event, deadline_ns);
	}
	result = xc_event_result(event);
	return result != EBUSY ? result : ETIMEDOUT;
}

/* A caller in the style of 2008 drops the result: the console keeps it. */
static int __attribute__((noinline)) xc_wait_error(uint64_t where, uintptr_t caller)
{
	char name[KSYMS_TEXT_BYTES];

	evcnt_increment(&xc_error_ev);
	printf("xcall: error %d: %s waits for a call that was not posted\n", XC_ERRNO(where),
	    ksyms_format(caller, name));
	return XC_ERRNO(where);
}

static int
xc_wait_until(uint64_t where, uint64_t deadline_ns, const char *who)
{
	struct xc_event event;

	/* Of a stale ticket nothing says of which level it was; nor is there anything to wait
	 * for. */
	return xc_event_of_ticket(&event, where) ? xc_event_wait(&event, deadline_ns, who)
						 : xc_ticket_result(where);
}

/* Neither says of which priority the call was: legal in every context. */
static int __attribute__((noinline, cold)) xc_wait_else(uint64_t where, uintptr_t caller)
{
	if (where == 0)
		return 0;
	if (XC_ISERR(where))
		return xc_wait_error(where, caller);
	return xc_wait_until(where, XC_FOREVER, "xc_wait");
}

/* Whether a wait for a hard call is illegal here: one word of two. */
static inline bool
xc_wait_forbidden(const struct cpu_info *ci)
{
	return ((uint64_t)ci->ci_spin_depth << 32 | ci->ci_nmi_depth) != 0;
}

/* A hard call is looked at as often as it takes another CPU to run something short, before anything
 * else is set up for the wait. */
int
xc_wait(uint64_t where)
{
	const struct cpu_info *ci = curcpu();
	const struct xc_cpu *owner = xc_cpu_lookup(xc_ticket_cpu(where));
	uint64_t live = xc_state_live(xc_ticket_generation(where), XC_LEVEL_HARD), state;
	const struct xc_slot *slot;

	if (where == 0)
		return 0;
	if (owner == NULL || xc_wait_forbidden(ci))
		return xc_wait_else(where, (uintptr_t)__builtin_return_address(0));
	slot = &owner->x_slot[xc_ticket_slot(where)];
	if (atomic_load_explicit(&slot->s_lazy, memory_order_relaxed))
		return xc_wait_else(where, (uintptr_t)__builtin_return_address(0));
	for (unsigned i = 0; i < XC_SPINS; i++) {
		/* Acquire: pairs with xc_slot_retire() and xc_direct_serve(). */
		state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
		if (state != live) {
			if (state == (live & ~(uint64_t)XC_STATE_LIVE))
				return 0;
			break;
		}
		xcp_pause();
	}
	return xc_wait_else(where, (uintptr_t)__builtin_return_address(0));
}

int
xc_timedwait(uint64_t where, uint64_t timeout_ns)
{
	if (where == 0)
		return 0;
	if (XC_ISERR(where))
		return xc_wait_error(where, (uintptr_t)__builtin_return_address(0));
	return xc_wait_until(where, xc_wait_deadline(timeout_ns), "xc_timedwait");
}

bool
xc_done(uint64_t where)
{
	if (where == 0 || XC_ISERR(where))
		return true;
	return xc_ticket_result(where) != EBUSY;
}

int
xc_cancel(uint64_t where, unsigned *withdrawn)
{
	struct xc_cpu *self = xc_self();
	struct xc_event event;
	unsigned n;

	if (withdrawn != NULL)
		*withdrawn = 0;
	if (where == 0)
		return 0;
	if (XC_ISERR(where))
		return XC_ERRNO(where);
	KASSERTMSG(curcpu()->ci_spin_depth == 0, "xc_cancel: with a spinlock held");
	if (!xc_event_of_ticket(&event, where))
		return xc_ticket_result(where);
	xc_wait_assert("xc_cancel", event.e_level);
	xc_run_assert_not_own(self, &event.e_ref, "xc_cancel");
	n = xc_slot_withdraw(event.e_sender, event.e_slot, where);
	if (withdrawn != NULL)
		*withdrawn = n;
	if (xc_event_result(&event) == EBUSY)
		xc_event_wait(&event, XC_FOREVER, "xc_cancel");
	return 0;
}
