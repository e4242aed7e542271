/*
 * Which CPUs are targets: they come, and they go.
 *
 * Background
 *
 * Posted to an online CPU means: it runs there exactly once.  A CPU on its way out must therefore
 * not leave before everybody who took it for a target has posted, and everything posted has run.
 *
 * Implementation
 *
 * xc_targets has the targets.  A post looks at it and publishes in one section with interrupts off
 * (xcall.c):
 *
 *	sender, interrupts off			dying CPU
 *	looks at xc_targets			leaves xc_targets, release
 *	publishes, notifies			hard broadcast to all others, and waits for it
 *						runs what is in its inboxes
 *
 * The broadcast's function runs on a CPU only when no post is under way there: a post that saw the
 * CPU in the set is over, and what it published is in the inboxes.  One that begins later reads the
 * set after the interrupt, which was posted after the change: it sees the CPU gone.
 *
 * Then the dying CPU serves each level once more, by itself: interrupts that were sent for it find
 * nothing later.  The calls that it posted to others go on: their slots are memory, and nobody
 * needs the sender to end them.
 *
 * A CPU that comes back enters the set when its vectors are live; its inboxes are those it left,
 * and empty.
 *
 * Limits
 *
 * The last target cannot leave.  One CPU at a time comes or goes: that is the caller's to see to.
 * Rejected: a count of posts under way for each target, an atomic increment and decrement a post.
 */
#include "xcall/xc_cpu.h"

#include <stddef.h>

#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_ipi.h"
#include "xcall/xc_look.h"
#include "xcall/xc_post.h"
#include "xcall/xc_probe.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_stop.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wait.h"

_Atomic(struct xc_cpu *) xc_cpu_table[MAXCPUS];
struct xc_targets xc_targets;

bool
xc_post_early_p(void)
{
	/* Relaxed: bring-up is one thread; later it is never 0. */
	return atomic_load_explicit(&xc_targets.t_count, memory_order_relaxed) == 0;
}

void
xc_cpu_targets(struct cpuset *targets, const struct cpuset *among)
{
	for (unsigned w = 0; w < xc_cpu_words(); w++)
		/* Acquire: pairs with xc_cpu_enter(). */
		targets->cs_word[w] = (among != NULL ? among->cs_word[w] : UINT64_MAX) &
		    atomic_load_explicit(&xc_targets.t_set[w], memory_order_acquire);
}

/* The set has changed.  Release: pairs with xc_wide_post(). */
static void
xc_cpu_change(void)
{
	atomic_fetch_add_explicit(&xc_targets.t_version, 1, memory_order_release);
}

static void
xc_cpu_enter(struct xc_cpu *xc)
{
	unsigned index = xc->x_ci->ci_index;

	/* Release: pairs with xc_is_target() and xc_cpu_targets(). */
	atomic_fetch_or_explicit(
	    &xc_targets.t_set[index / 64], UINT64_C(1) << index % 64, memory_order_release);
	atomic_fetch_add_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	xc_cpu_change();
}

void
xc_init_cpu(struct cpu_info *ci)
{
	static bool again;
	struct xc_cpu *xc;

	KASSERTMSG(ci->ci_xcall == NULL, "CPU %u is set up already", ci->ci_index);
	if (!again) {
		/* Bring-up calls from one thread only. */
		again = true;
		xc_wait_init();
		xc_stats_init();
		xc_ipi_init();
		xc_intr_init();
		xc_stall_init();
		xc_look_init();
		xc_rendezvous_init();
		xc_stop_init();
	}
	xc = kmem_boot_alloc(sizeof(*xc));
	xc->x_ci = ci;
	xc_slot_init_cpu(xc);
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		xc_inbox_init(&xc->x_inbox[level]);
		xc_run_init(&xc->x_stack[level], (enum xc_level)level);
	}
	xc_stats_init_cpu(xc);
	xc_probe_init_cpu(xc);
	xc_ipi_init_cpu(xc);
	xc_chain_init(xc);
	xc_thread_init(xc);
	ci->ci_xcall = xc;
	/* Release: pairs with xc_cpu_lookup(). */
	atomic_store_explicit(&xc_cpu_table[ci->ci_index], xc, memory_order_release);
	xc_cpu_enter(xc);
}

void
xc_cpu_online(struct cpu_info *ci)
{
	struct xc_cpu *xc = xc_cpu_lookup(ci->ci_index);

	KASSERTMSG(
	    ci == curcpu(), "xc_cpu_online: CPU %u, by CPU %u", ci->ci_index, curcpu()->ci_index);
	KASSERTMSG(xc != NULL && xc_post_target(ci) == NULL,
	    "xc_cpu_online: CPU %u is a target already, or never was", ci->ci_index);
	/* A waiter may have announced a call again to a CPU that had just left: the mark would
	 * stand for an interrupt that never comes.  Relaxed: nothing was posted since. */
	atomic_store_explicit(&xc->x_notify, 0, memory_order_relaxed);
	atomic_store_explicit(&xc->x_nmi, 0, memory_order_relaxed);
	xc_rendezvous_begin();
	xc_cpu_enter(xc);
	xc_rendezvous_end();
}

static void
xc_cpu_nop(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

int
xc_cpu_dying(struct cpu_info *ci)
{
	struct xc_cpu *xc = xc_cpu_lookup(ci->ci_index);
	const char *why = xcp_unsleepable();
	struct xc_stall stall;

	KASSERTMSG(ci == curcpu() && why == NULL, "xc_cpu_dying: CPU %u, by CPU %u%s%s",
	    ci->ci_index, curcpu()->ci_index, why != NULL ? ", " : "", why != NULL ? why : "");
	KASSERTMSG(xc_thread_self() == NULL, "xc_cpu_dying: CPU %u: inside a cross-called function",
	    ci->ci_index);
	KASSERTMSG(xc != NULL && xc_post_target(ci) != NULL, "xc_cpu_dying: CPU %u is no target",
	    ci->ci_index);
	if (atomic_load_explicit(&xc_targets.t_count, memory_order_relaxed) == 1)
		return EBUSY;
	atomic_fetch_sub_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	/* Release: the broadcast below carries it to all others. */
	atomic_fetch_and_explicit(&xc_targets.t_set[ci->ci_index / 64],
	    ~(UINT64_C(1) << ci->ci_index % 64), memory_order_release);
	xc_cpu_change();
	xc_wait(xc_broadcast(XC_HARD, xc_cpu_nop, NULL, NULL));

	/* Hard, soft, lazy ones, and the wake-up of xcall/N; NMIs have come already or come now. */
	xc_stall_begin(&stall);
	while (xc_inbox_pending(&xc->x_inbox[XC_LEVEL_NMI])) {
		xc_stall_check_cpu(&stall, "its own NMI", xc);
		xcp_pause();
	}
	xc_intr_drain_all(xc);
	xc_thread_wait_idle(xc);
	return 0;
}
