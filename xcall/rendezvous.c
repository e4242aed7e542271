/*
 * Rendezvous: a set of CPUs goes through phases in step; and stop-machine, one phase of which is
 * run by some of them.
 *
 * Background
 *
 * Some changes need all CPUs at once, each doing its part between the parts of the others, or
 * nobody doing anything.  The faults of such facilities are old and alike: a CPU that is slow to
 * leave one rendezvous meets the next one's counters or reads its arguments; two of them begin in
 * different order on two CPUs; a CPU that is waited for waits, interrupts off, for one that already
 * stands still; whoever gave up waiting leaves CPUs behind that run the phases later.
 *
 * Implementation
 *
 * The members are hard calls to all other CPUs, and the caller's own part.  All they share is a
 * record on the caller's stack, which he leaves when the ticket of those calls is over: so nobody
 * can be late for it, and no word of it is used twice.
 *
 * Entry.  r_missing counts who is not there.  It counts down from 0 until the caller, who learns
 * from the post how many it went to, adds their number; who brings it to 0 after that opens the
 * first phase.
 *
 *	member				caller
 *	r_missing--			posts to n CPUs
 *	0: g_step = 1			r_missing += n;  0: g_step = 1
 *	spins on g_step			too late, and not 0: r_missing = gone, g_step = abandoned
 *
 * While it spins there it goes on serving hard calls, or two CPUs that want something of each other
 * with interrupts off would never get here.  It steps back for that, r_missing++, which fails once
 * it is 0: when the first phase opens, everybody stands in this very loop, in the middle of
 * nothing.
 *
 * Later barriers: r_passed counts all who came to any; the one that completes a round opens the
 * next phase.  There, and between the phases, nothing is served: the machine stands still.
 *
 * The caller that gives up changes r_missing by compare-and-swap, from anything but 0.  Who is in
 * the loop, or comes later, leaves; who has not begun is withdrawn with the call.  Either all run
 * all phases, or nobody runs any.
 *
 * One rendezvous at a time: a flag under a mutex, where threads sleep.  A CPU that comes back takes
 * its turn too, before it becomes a target: no machine that stands still gets one more CPU.  The
 * caller has preemption off until his part is done, so that no member waits for a caller who waits
 * for the CPU.
 *
 * Rules for callers
 *
 *  - A phase may take spinlocks: nobody stands still with one held, for those who hold one do not
 *    serve.  It waits for nothing else that another CPU is to do, a cross call least of all.
 *
 * Limits
 *
 * All members wait on one line, which is
 * written once a phase; they count on another, in time linear in them.  Rejected: one record for
 * the machine: its counters must be reset, and to know when takes one more phase.
 */
#include "xcall/rendezvous.h"

#include <stdatomic.h>
#include <stddef.h>

#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_ipi.h"
#include "xcall/xc_look.h"
#include "xcall/xc_post.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_stop.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wide.h"

#define XC_PHASES 3u

/* g_step of a rendezvous that nobody goes through, and what r_missing is near then. */
#define XC_ABANDONED UINT32_MAX
#define XC_GONE (1 << 30)

/* What members spin on: on a line of its own, written once a phase. */
struct xc_gate {
	_Atomic uint32_t g_step; /* a: barriers that are open, XC_ABANDONED */
} __attribute__((aligned(CACHE_LINE_BYTES)));

/*
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	c	constant from the post on
 *	e	written by the caller before his part of r_missing, constant from the first phase on
 */
struct xc_rendezvous {
	struct xc_gate r_gate;
	_Atomic int32_t r_missing;     /* a: members that are not there */
	_Atomic uint32_t r_passed;     /* a: comings to later barriers */
	xc_phase_t r_phase[XC_PHASES]; /* c */
	void *r_arg;                   /* c */
	uint32_t r_members;            /* e */
};

/* What only the caller has: the clock, and a call that can be looked at. */
struct xc_caller {
	struct xc_rendezvous *c_rendezvous;
	uint64_t c_deadline_ns;
	struct xc_stall c_stall;
	struct xc_view c_others; /* v_targets is 0 when there are none */
};

static kmutex_t xc_rendezvous_lock;
static kcondvar_t xc_rendezvous_over;
/* Under xc_rendezvous_lock: the CPU whose thread has its turn, or NULL. */
static struct xc_cpu *xc_rendezvous_owner;

void
xc_rendezvous_init(void)
{
	mutex_init(&xc_rendezvous_lock, MUTEX_DEFAULT, IPL_HIGH, "xcmeet");
	cv_init(&xc_rendezvous_over, "xcmeet");
}

/* --- a member --------------------------------------------------------------------------------- */

static void
xc_rendezvous_open(struct xc_rendezvous *r, uint32_t step)
{
	/* Release: pairs with whoever spins on it. */
	atomic_store_explicit(&r->r_gate.g_step, step, memory_order_release);
}

/* Adds to r_missing, and opens the first phase when nobody is missing any more. */
static void
xc_rendezvous_count(struct xc_rendezvous *r, int32_t n)
{
	/* Release for what each did before, acquire for who opens: he passes all on. */
	if (atomic_fetch_add_explicit(&r->r_missing, n, memory_order_acq_rel) + n == 0)
		xc_rendezvous_open(r, 1);
}

/* Counts this CPU as missing again; false when all are there. */
static bool
xc_rendezvous_step_back(struct xc_rendezvous *r)
{
	int32_t missing = atomic_load_explicit(&r->r_missing, memory_order_relaxed);

	do {
		if (missing == 0)
			return false;
		/* Relaxed: it says nothing that anybody relies on. */
	} while (!atomic_compare_exchange_weak_explicit(
	    &r->r_missing, &missing, missing + 1, memory_order_relaxed, memory_order_relaxed));
	return true;
}

/* The caller gives up, unless all are there. */
static void
xc_rendezvous_abandon(struct xc_rendezvous *r)
{
	int32_t missing = atomic_load_explicit(&r->r_missing, memory_order_relaxed);

	do {
		if (missing == 0)
			return;
	} while (!atomic_compare_exchange_weak_explicit(
	    &r->r_missing, &missing, XC_GONE, memory_order_relaxed, memory_order_relaxed));
	xc_rendezvous_open(r, XC_ABANDONED);
}

/* In each turn of a loop of the caller's. */
static void
xc_rendezvous_look(struct xc_caller *caller)
{
	if (caller->c_others.v_targets != 0)
		xc_stall_check(&caller->c_stall, &caller->c_others.v_event);
	if (clock_ns() >= caller->c_deadline_ns)
		xc_rendezvous_abandon(caller->c_rendezvous);
}

/* Whether xc_intr_poll() would find something to serve. */
static bool
xc_rendezvous_asked(const struct xc_cpu *here)
{
	return xc_run_depth(&here->x_stack[XC_LEVEL_HARD]) < XC_DEPTH_MAX &&
	    (xc_inbox_pending(&here->x_inbox[XC_LEVEL_HARD]) || xc_direct_pending(here) ||
		xc_wide_pending(here) || xc_ipi_pending(here));
}

/* Until all are there, or the caller gives up: false. */
static bool
xc_rendezvous_enter(struct xc_rendezvous *r, struct xc_caller *caller)
{
	const struct xc_cpu *here = xc_self();
	uint32_t step;

	xc_rendezvous_count(r, -1);
	/* Acquire: pairs with xc_rendezvous_open(). */
	while ((step = atomic_load_explicit(&r->r_gate.g_step, memory_order_acquire)) == 0) {
		if (xc_rendezvous_asked(here) && xc_rendezvous_step_back(r)) {
			xc_intr_poll();
			xc_rendezvous_count(r, -1);
		}
		if (caller != NULL)
			xc_rendezvous_look(caller);
		xcp_pause();
	}
	return step != XC_ABANDONED;
}

/* A later barrier, which opens that step. */
static void
xc_rendezvous_meet(struct xc_rendezvous *r, uint32_t step, struct xc_caller *caller)
{
	/* Release for what each did before, acquire for who opens: he passes all on. */
	if (atomic_fetch_add_explicit(&r->r_passed, 1, memory_order_acq_rel) + 1 ==
	    (step - 1) * r->r_members)
		xc_rendezvous_open(r, step);
	/* Acquire: pairs with xc_rendezvous_open(). */
	while (atomic_load_explicit(&r->r_gate.g_step, memory_order_acquire) < step) {
		if (caller != NULL)
			xc_rendezvous_look(caller);
		xcp_pause();
	}
}

static void
xc_rendezvous_take_part(struct xc_rendezvous *r, struct xc_caller *caller)
{
	uint32_t step = 1;

	if (!xc_rendezvous_enter(r, caller))
		return;
	for (unsigned p = 0, ran = 0; p < XC_PHASES; p++) {
		if (r->r_phase[p] == XC_NO_BARRIER)
			continue;
		if (ran++ != 0)
			xc_rendezvous_meet(r, ++step, caller);
		if (r->r_phase[p] != NULL)
			xc_run_handler(r->r_phase[p], r->r_arg);
	}
	xc_rendezvous_meet(r, ++step, caller);
}

static void
xc_rendezvous_called(void *arg1, void *arg2 __attribute__((unused)))
{
	xc_rendezvous_take_part(arg1, NULL);
}

static void
xc_rendezvous_caller(void *arg)
{
	struct xc_caller *caller = arg;

	xc_rendezvous_take_part(caller->c_rendezvous, caller);
}

static void
xc_rendezvous_nop(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

/* --- the caller ------------------------------------------------------------------------------- */

static void
xc_rendezvous_assert(const char *who)
{
	const char *why = xc_post_early_p() ? NULL : xcp_unsleepable();

	KASSERTMSG(why == NULL, "%s: %s", who, why);
	KASSERTMSG(xc_thread_self() == NULL, "%s: inside a cross-called function", who);
}

/* No barrier: an interrupt on each of them. */
static int
xc_rendezvous_none(uint64_t where, uint64_t timeout_ns)
{
	unsigned withdrawn = 0;

	if (timeout_ns == 0)
		xc_wait(where);
	else if (xc_timedwait(where, timeout_ns) == ETIMEDOUT)
		xc_cancel(where, &withdrawn);
	return withdrawn != 0 ? ETIMEDOUT : 0;
}

/* The others have been called: says how many they are, and takes part if this CPU is a member.
 * Preemption off. */
static void
xc_rendezvous_lead(struct xc_caller *caller, uint64_t where, struct xc_cpu *here)
{
	struct xc_rendezvous *r = caller->c_rendezvous;
	bool on;

	/* They cannot end without the caller: all are still there to be counted. */
	if (where == 0 ||
	    !xc_look_slot(
		xc_cpu_lookup(xc_ticket_cpu(where)), xc_ticket_slot(where), &caller->c_others))
		caller->c_others.v_targets = 0;
	r->r_members = caller->c_others.v_targets + (here != NULL);
	xc_rendezvous_count(r, (int32_t)r->r_members);
	if (here == NULL)
		return;
	on = intr_enter();
	xc_run_hard(&here->x_stack[XC_LEVEL_HARD], xc_rendezvous_caller, caller);
	intr_leave(on);
}

/* Waits for the end of it. */
static int
xc_rendezvous_finish(struct xc_caller *caller, uint64_t where)
{
	struct xc_rendezvous *r = caller->c_rendezvous;

	/* Acquire: pairs with xc_rendezvous_open(). */
	while (atomic_load_explicit(&r->r_gate.g_step, memory_order_acquire) == 0) {
		xc_rendezvous_look(caller);
		xcp_pause();
	}
	if (atomic_load_explicit(&r->r_gate.g_step, memory_order_relaxed) != XC_ABANDONED) {
		xc_wait(where);
		return 0;
	}
	xc_cancel(where, NULL);
	return ETIMEDOUT;
}

/* Before the other CPUs are up: on this one. */
static int
xc_rendezvous_early(const struct xc_rendezvous *r, const struct cpuset *set)
{
	bool on;

	if (set != NULL && !cpuset_has(set, curcpu()->ci_index))
		return EHOSTDOWN;
	on = intr_enter();
	for (unsigned p = 0; p < XC_PHASES; p++)
		if (r->r_phase[p] != XC_NO_BARRIER && r->r_phase[p] != NULL)
			xc_run_handler(r->r_phase[p], r->r_arg);
	intr_leave(on);
	return 0;
}

/* The ticket of the call to the others, 0 when there are none. */
static uint64_t
xc_rendezvous_post(struct xc_rendezvous *r, const struct cpuset *set, bool barriers)
{
	xcfunc_t func = barriers ? xc_rendezvous_called : xc_rendezvous_nop;
	uint64_t where = set != NULL ? xc_multicast(XC_HARD | XC_NOSELF, func, r, NULL, set)
				     : xc_broadcast(XC_HARD | XC_NOSELF, func, r, NULL);

	/* None that is online: no other error comes of such a post. */
	return XC_ISERR(where) ? 0 : where;
}

/* It is this thread's turn; on those of the set, or on all (NULL). */
static int
xc_rendezvous_hold(struct xc_rendezvous *r, const struct cpuset *set, uint64_t timeout_ns)
{
	struct xc_caller caller = { .c_rendezvous = r,
		.c_deadline_ns = timeout_ns != 0 ? xc_wait_deadline(timeout_ns) : XC_FOREVER };
	struct xc_cpu *here = NULL;
	bool barriers = false;
	uint64_t where;

	for (unsigned p = 0; p < XC_PHASES; p++)
		barriers = barriers || r->r_phase[p] != XC_NO_BARRIER;
	xc_stall_begin(&caller.c_stall);
	kpreempt_disable();
	if (set == NULL || cpuset_has(set, curcpu()->ci_index))
		here = xc_post_target(curcpu());
	where = xc_rendezvous_post(r, set, barriers);
	if (barriers)
		xc_rendezvous_lead(&caller, where, here);
	kpreempt_enable();
	if (where == 0 && here == NULL)
		return EHOSTDOWN;
	return barriers ? xc_rendezvous_finish(&caller, where)
			: xc_rendezvous_none(where, timeout_ns);
}

void
xc_rendezvous_begin(void)
{
	struct xc_cpu *owner;
	struct xc_stall stall;
	uint64_t now;

	xc_stall_begin(&stall);
	do {
		mutex_enter(&xc_rendezvous_lock);
		while (
		    (owner = xc_rendezvous_owner) != NULL && (now = clock_ns()) < stall.l_next_ns)
			(void)!cv_timedwait(
			    &xc_rendezvous_over, &xc_rendezvous_lock, stall.l_next_ns - now);
		if (owner == NULL)
			xc_rendezvous_owner = xc_self();
		mutex_exit(&xc_rendezvous_lock);
		if (owner != NULL)
			xc_stall_check_cpu(&stall, "the end of another rendezvous", owner);
	} while (owner != NULL);
}

void
xc_rendezvous_end(void)
{
	mutex_enter(&xc_rendezvous_lock);
	xc_rendezvous_owner = NULL;
	cv_broadcast(&xc_rendezvous_over);
	mutex_exit(&xc_rendezvous_lock);
}

static int
xc_rendezvous_run(struct xc_rendezvous *r, const struct cpuset *set, uint64_t timeout_ns)
{
	int error;

	if (xc_post_early_p())
		return xc_rendezvous_early(r, set);
	xc_rendezvous_begin();
	error = xc_rendezvous_hold(r, set, timeout_ns);
	xc_rendezvous_end();
	return error;
}

int
xc_rendezvous(const struct cpuset *set, xc_phase_t setup, xc_phase_t action, xc_phase_t teardown,
    void *arg, uint64_t timeout_ns)
{
	struct xc_rendezvous r = { .r_phase = { setup, action, teardown }, .r_arg = arg };

	KASSERTMSG(set != NULL, "xc_rendezvous: NULL set");
	xc_rendezvous_assert("xc_rendezvous");
	return xc_rendezvous_run(&r, set, timeout_ns);
}

/* --- stop-machine ----------------------------------------------------------------------------- */

struct xc_stopped {
	xc_phase_t s_fn;
	void *s_arg;
	const struct cpuset *s_set;
	const struct cpu_info *s_only; /* when there is no set */
	_Atomic bool s_ran;            /* a: on any CPU */
};

static void
xc_rendezvous_stopped(void *arg)
{
	struct xc_stopped *stopped = arg;
	const struct cpu_info *ci = curcpu();

	if (stopped->s_set != NULL ? !cpuset_has(stopped->s_set, ci->ci_index)
				   : ci != stopped->s_only)
		return;
	/* Relaxed: read after the barrier. */
	atomic_store_explicit(&stopped->s_ran, true, memory_order_relaxed);
	xc_run_handler(stopped->s_fn, stopped->s_arg);
}

int
xc_stop_machine(xc_phase_t fn, void *arg, const struct cpuset *set)
{
	struct xc_stopped stopped = { .s_fn = fn, .s_arg = arg, .s_set = set, .s_only = curcpu() };
	struct xc_rendezvous r = { .r_phase = { XC_NO_BARRIER, xc_rendezvous_stopped,
				       XC_NO_BARRIER },
		.r_arg = &stopped };
	int error;

	KASSERTMSG(fn != NULL && fn != XC_NO_BARRIER, "xc_stop_machine: NULL function");
	xc_rendezvous_assert("xc_stop_machine");
	error = xc_rendezvous_run(&r, NULL, 0);
	if (error != 0)
		return error;
	return atomic_load_explicit(&stopped.s_ran, memory_order_relaxed) ? 0 : EHOSTDOWN;
}
