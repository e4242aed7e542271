/*
 * Notification and interrupts: how a target learns of calls, and how it serves them above thread
 * level (xc_intr.c).
 */
#ifndef XCALL_XC_INTR_H
#define XCALL_XC_INTR_H

#include <stdbool.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_ticket.h"

/* The bits of ipi(9), messages and triggers, and of the direct slot in x_notify, behind those of
 * the levels. */
#define XC_NOTIFY_IPI XC_LEVELS
#define XC_NOTIFY_DIRECT (XC_LEVELS + 1)
#define XC_NOTIFY_TRIGGER (XC_LEVELS + 2)

/* Establishes vector, soft interrupts, NMI; once. */
void xc_intr_init(void);
/* Tells the target that something of that level, or of ipi(9), was published.  In a post:
 * interrupts off; `intr`: they were on before it.  The own CPU then serves at once, and they are on
 * when this returns: it comes last. */
void xc_intr_notify(struct xc_cpu *self, struct xc_cpu *target, unsigned level, bool intr);
/* The same, in few instructions, for another CPU and a bit of the hard level. */
static inline void
xc_intr_notify_hard(struct xc_cpu *target, struct cpu_info *ci, unsigned bit)
{
	uint32_t none = 0;

	/* Release, both: pair with xc_intr_take(). */
	if (atomic_compare_exchange_strong_explicit(
		&target->x_notify, &none, 1u << bit, memory_order_acq_rel, memory_order_relaxed) ||
	    atomic_fetch_or_explicit(&target->x_notify, 1u << bit, memory_order_acq_rel) == 0)
		xcp_send_call(ci);
}
/* The same once more, and an interrupt or NMI whatever was sent before: one may have been lost.
 * Any context but NMI. */
void xc_intr_resend(struct xc_cpu *target, enum xc_level level);
/* Leaves a mark that the target's next interrupt finds. */
void xc_intr_notify_lazy(struct xc_cpu *target, enum xc_level level);
/* In the spins of xcall/: serves the CPU's own hard calls and ipi(9) messages when interrupts are
 * off and no spinlock is held.  Any context but NMI. */
void xc_intr_poll(void);
/* Serves every level but the low one, now and on this CPU: on its way out.  Thread, interrupts
 * on. */
void xc_intr_drain_all(struct xc_cpu *);

#endif
