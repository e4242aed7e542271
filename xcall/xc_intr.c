/*
 * Notification and interrupts: how a target learns of calls, and how it serves them above thread
 * level.
 *
 * Background
 *
 * An interrupt costs more than all the rest of a call, and equal vectors merge: the local APIC
 * holds one that is in service and one that is requested (SDM vol. 3, 11.8.4).  So interrupts are
 * not counted as calls: each one empties the inboxes, and none is sent while one is on its way.
 *
 * Implementation
 *
 * x_notify has a bit a level.  The sender publishes the call, then sets the bit; if the word was
 * empty it sends the one vector of all levels.  The target empties the word, then looks into the
 * inboxes:
 *
 *	sender					target
 *	publishes the call			x_notify = 0, acquire
 *	x_notify gets the bit, release		looks into the inboxes of the bits it found
 *	was 0: sends the vector
 *
 * A call that the look missed was published after the word was emptied, so its sender found it
 * empty and sent another interrupt.  A word that is not empty means that an interrupt is on its
 * way, or pends until the target turns interrupts on.
 *
 * Hard calls run in the interrupt, soft ones in a soft interrupt that it schedules, low ones in
 * xcall/N, which it wakes.  A CPU that spins inside xcall/ with interrupts off would keep its
 * vector pending while others wait for it, and it perhaps for them: xc_intr_poll() takes the hard
 * bit out of the word and serves, to depth XC_DEPTH_MAX; the interrupt that comes later finds
 * nothing.  What is served in a nested spin of a hard function includes what the drain below it has
 * not come to yet.
 *
 * A hard call to all is announced by one command, without x_notify (xc_wide.c): whoever has taken a
 * notification, or spins, looks for these too.
 *
 * NMIs have a word of their own, and no vector: x_nmi tells ours from those of others.
 *
 * A lazy post only marks x_lazy.  The end of every interrupt, the tick's too, moves the marks;
 * nothing else of the inboxes is looked at there, so that a lost notification is not covered up.
 * xc_intr_poll() looks at the hard mark as well: who spins for room with interrupts off may wait
 * for the slot of a lazy call to its own CPU.
 *
 * Limits
 *
 * A CPU that keeps interrupts off outside of xcall/ serves no hard call: XC_NMI reaches it.
 * Rejected: a vector a level, whose priorities would order what x_notify orders as well, at an
 * interrupt each.
 */
#include "xcall/xc_intr.h"

#include <stddef.h>

#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_ipi.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wide.h"

#define XC_BIT(level) (1u << (level))
#define XC_BITS_IPI (XC_BIT(XC_NOTIFY_IPI) | XC_BIT(XC_NOTIFY_TRIGGER))
#define XC_BITS_HARD (XC_BIT(XC_LEVEL_HARD) | XC_BIT(XC_NOTIFY_DIRECT) | XC_BITS_IPI)

#define XC_BITS_SOFT (XC_BIT(XC_LEVEL_SOFTSERIAL + 1) - XC_BIT(XC_LEVEL_SOFTCLOCK))

static void *xc_intr_softint[XC_LEVELS];

/* Runs what is in the inbox of that level until it is empty: context of the level. */
static void
xc_intr_drain(struct xc_cpu *xc, enum xc_level level)
{
	struct xc_job job;

	while (xc_inbox_next(xc, level, &job))
		xc_run_job(xc, level, &job);
}

/* Interrupt context, interrupts off: acts on what was in x_notify. */
static void
xc_intr_serve(struct xc_cpu *xc, uint32_t bits)
{
	if ((bits & (XC_BIT(XC_LEVEL_HARD) | XC_BIT(XC_NOTIFY_DIRECT))) != 0)
		xc_intr_drain(xc, XC_LEVEL_HARD);
	if ((bits & XC_BITS_IPI) != 0)
		xc_ipi_drain(xc);
	for (uint32_t soft = bits & XC_BITS_SOFT; soft != 0; soft &= soft - 1)
		softint_schedule(xc_intr_softint[__builtin_ctz(soft)]);
	if ((bits & XC_BIT(XC_LEVEL_LOW)) != 0)
		xc_thread_wake(xc);
}

static uint32_t
xc_intr_take(struct xc_cpu *xc)
{
	/* Acquire: pairs with xc_intr_notify(). */
	return atomic_exchange_explicit(&xc->x_notify, 0, memory_order_acquire);
}

/* What was posted lazily. */
static inline void
xc_intr_look_lazy(struct xc_cpu *xc)
{
	/* Acquire: pairs with xc_intr_notify_lazy(). */
	if (atomic_load_explicit(&xc->x_lazy, memory_order_relaxed) != 0)
		xc_intr_serve(xc, atomic_exchange_explicit(&xc->x_lazy, 0, memory_order_acquire));
}

/* The end of every other interrupt. */
static void
xc_intr_exit(void)
{
	struct xc_cpu *xc = xc_self();

	if (xc != NULL)
		xc_intr_look_lazy(xc);
}

static void
xc_intr_handler(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	struct xc_cpu *xc = xc_self();
	bool some = false;
	uint32_t bits;

	if (xc == NULL)
		return; /* sent by nobody of ours */
	bits = xc_intr_take(xc);
	if (bits == XC_BIT(XC_NOTIFY_DIRECT))
		xc_direct_serve(xc);
	else if (bits == XC_BIT(XC_NOTIFY_TRIGGER))
		xc_ipi_run_triggers(xc);
	else if (bits != 0)
		xc_intr_serve(xc, bits);
	/* Relaxed: as in xc_wide_serve(). */
	if (atomic_load_explicit(&xc_wides.w_live, memory_order_relaxed) != 0)
		some = xc_wide_serve(xc);
	if (bits == 0 && !some)
		xc_stats_empty(xc);
	xc_intr_look_lazy(xc);
}

static bool
xc_intr_nmi(struct trapframe *frame __attribute__((unused)))
{
	struct xc_cpu *xc = xc_self();

	/* Acquire: pairs with xc_intr_notify(). */
	if (xc == NULL || atomic_exchange_explicit(&xc->x_nmi, 0, memory_order_acquire) == 0)
		return false;
	xc_intr_drain(xc, XC_LEVEL_NMI);
	return true;
}

static void
xc_intr_soft(void *arg)
{
	xc_intr_drain(xc_self(), (enum xc_level)(uintptr_t)arg);
}

/* As the interrupt that this CPU would send itself.  `intr`: interrupts are to be on when it
 * ends. */
static void
xc_intr_inline(struct xc_cpu *self, uint32_t more, bool intr)
{
	bool on = intr_enter();

	xc_intr_serve(self, xc_intr_take(self) | more);
	xc_wide_serve(self);
	intr_leave(on || intr);
}

void
xc_intr_notify(struct xc_cpu *self, struct xc_cpu *target, unsigned level, bool intr)
{
	/* Release: pairs with xc_intr_take() and xc_intr_nmi(). */
	if (level == XC_LEVEL_NMI) {
		if (atomic_exchange_explicit(&target->x_nmi, 1, memory_order_acq_rel) == 0)
			xcp_send_nmi(target->x_ci);
		return;
	}
	if (atomic_fetch_or_explicit(&target->x_notify, XC_BIT(level), memory_order_acq_rel) != 0 &&
	    !(target == self && intr))
		return;
	if (target == self && intr)
		xc_intr_inline(self, 0, true);
	else
		xcp_send_call(target->x_ci);
}

void
xc_intr_resend(struct xc_cpu *target, enum xc_level level)
{
	bool intr;

	/* Release, both: as in xc_intr_notify(). */
	if (level == XC_LEVEL_NMI) {
		atomic_exchange_explicit(&target->x_nmi, 1, memory_order_acq_rel);
		xcp_send_nmi(target->x_ci);
	} else {
		intr = machine_intr_disable();
		atomic_fetch_or_explicit(&target->x_notify, XC_BIT(level), memory_order_acq_rel);
		xcp_send_call(target->x_ci);
		machine_intr_restore(intr);
	}
}

void
xc_intr_notify_lazy(struct xc_cpu *target, enum xc_level level)
{
	/* Release: pairs with xc_intr_exit() and xc_intr_poll(). */
	atomic_fetch_or_explicit(&target->x_lazy, XC_BIT(level), memory_order_release);
}

void
xc_intr_poll(void)
{
	struct cpu_info *ci = curcpu();
	struct xc_cpu *xc = xc_self();
	struct xc_job job;
	unsigned depth;
	bool on;

	if (xc == NULL || machine_intr_enabled() || ci->ci_spin_depth != 0)
		return;
	depth = xc_run_depth(&xc->x_stack[XC_LEVEL_HARD]);
	if (depth >= XC_DEPTH_MAX)
		return;
	/* Inside a hard function the drain below may have taken the bit for calls that it has not
	 * begun. */
	if (depth == 0 &&
	    ((atomic_load_explicit(&xc->x_notify, memory_order_relaxed) |
		 atomic_load_explicit(&xc->x_lazy, memory_order_relaxed)) &
		XC_BITS_HARD) == 0 &&
	    !xc_wide_pending(xc))
		return;
	/* Acquire, both: pair with xc_intr_notify() and xc_intr_notify_lazy(). */
	atomic_fetch_and_explicit(&xc->x_notify, ~XC_BITS_HARD, memory_order_acquire);
	atomic_fetch_and_explicit(&xc->x_lazy, ~XC_BITS_HARD, memory_order_acquire);
	on = intr_enter();
	while (xc_inbox_next(xc, XC_LEVEL_HARD, &job)) {
		xc_stats_served(xc);
		xc_run_job(xc, XC_LEVEL_HARD, &job);
	}
	xc_ipi_drain(xc);
	xc_wide_serve(xc);
	intr_leave(on);
}

void
xc_intr_drain_all(struct xc_cpu *xc)
{
	xc_intr_inline(xc, UINT32_MAX, false);
}

void
xc_intr_init(void)
{
	static const unsigned softint[XC_LEVELS] = {
		[XC_LEVEL_SOFTCLOCK] = SOFTINT_CLOCK,
		[XC_LEVEL_SOFTBIO] = SOFTINT_BIO,
		[XC_LEVEL_SOFTNET] = SOFTINT_NET,
		[XC_LEVEL_SOFTSERIAL] = SOFTINT_SERIAL,
	};
	intr_hook_t hook;

	for (uintptr_t level = XC_LEVEL_SOFTCLOCK; level <= XC_LEVEL_SOFTSERIAL; level++) {
		xc_intr_softint[level] = softint_establish(
		    softint[level] | SOFTINT_MPSAFE, xc_intr_soft, (void *)level);
		KASSERT(xc_intr_softint[level] != NULL);
	}
	nmi_establish(xc_intr_nmi);
	hook = intr_establish_exit(xc_intr_exit);
	KASSERTMSG(hook == NULL, "the hook at the end of interrupts is taken");
	intr_establish(INTR_VECTOR_XCALL, xc_intr_handler, NULL, "xcall");
}
