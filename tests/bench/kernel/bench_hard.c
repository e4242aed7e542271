/*
 * Calls in interrupts, from one CPU to one other or to itself.
 *
 * Rows named post_* end when the call is posted: in the exact mode the target runs only once the
 * sender pauses, so what they show is the sender's share.  Rows named victim_* are the rest: the
 * call is posted before the sample, which is one pause.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/machine.h"
#include "tests/bench/kernel/bench.h"
#include "xcall/ipi.h"
#include "xcall/xc_call.h"
#include "xcall/xc_status.h"
#include "xcall/xcall.h"

/* What xcall begins with (xc_status.h). */
#define BENCH_HARD_SAMPLED 64u

static struct xc_call bench_hard_first, bench_hard_more;
static ipi_msg_t bench_hard_msg;
static unsigned bench_hard_ipi;
static _Atomic bool bench_hard_flag;

/* --- post and wait ---------------------------------------------------------------------------- */

static inline void
bench_hard_call(void)
{
	xc_wait(xc_unicast(XC_HARD, bench_nop, NULL, NULL, bench_target()));
}

static inline void
bench_hard_self(void)
{
	xc_wait(xc_unicast(XC_HARD, bench_nop, NULL, NULL, curcpu()));
}

static inline void
bench_hard_high(void)
{
	xc_wait(xc_unicast(XC_HIGHPRI, bench_nop, NULL, NULL, bench_target()));
}

static inline void
bench_hard_nmi(void)
{
	xc_wait(xc_unicast(XC_NMI, bench_nop, NULL, NULL, bench_target()));
}

static inline void
bench_hard_message(void)
{
	ipi_unicast(&bench_hard_msg, bench_target());
	ipi_wait(&bench_hard_msg);
}

static inline void
bench_hard_descriptor(void)
{
	(void)!xc_call_post(&bench_hard_first, XC_HARD, bench_target());
	xc_call_wait(&bench_hard_first);
}

BENCH_OP(bench_hard_call)
BENCH_OP(bench_hard_self)
BENCH_OP(bench_hard_high)
BENCH_OP(bench_hard_nmi)

/* With every call in the histograms, not one of so many. */
static void
bench_hard_timed_run(struct bench_run *run)
{
	xc_stats_sample(1);
	bench_hard_call_run(run);
	xc_stats_sample(BENCH_HARD_SAMPLED);
}

static void
bench_hard_message_func(void *arg __attribute__((unused)))
{
}

static void
bench_hard_message_run(struct bench_run *run)
{
	bench_hard_msg.func = bench_hard_message_func;
	bench_sample(run, bench_nothing, bench_hard_message, bench_nothing);
}

static void
bench_hard_descriptor_run(struct bench_run *run)
{
	xc_call_init(&bench_hard_first, bench_nop, NULL, NULL);
	bench_sample(run, bench_nothing, bench_hard_descriptor, bench_nothing);
}

/* --- the kernel's own entry, with no call behind it ------------------------------------------- */

static void
bench_hard_handler(void *arg __attribute__((unused)))
{
	/* Release: pairs with the acquire in bench_hard_trigger(). */
	atomic_store_explicit(&bench_hard_flag, true, memory_order_release);
}

static inline void
bench_hard_reset(void)
{
	atomic_store_explicit(&bench_hard_flag, false, memory_order_relaxed);
}

static inline void
bench_hard_trigger(void)
{
	ipi_trigger(bench_hard_ipi, bench_target());
	/* Acquire: pairs with bench_hard_handler(). */
	while (!atomic_load_explicit(&bench_hard_flag, memory_order_acquire))
		machine_pause();
}

static void
bench_hard_trigger_run(struct bench_run *run)
{
	bench_hard_ipi = ipi_register(bench_hard_handler, NULL);
	bench_sample(run, bench_hard_reset, bench_hard_trigger, bench_nothing);
	ipi_unregister(bench_hard_ipi);
}

/* --- halves ----------------------------------------------------------------------------------- */

static inline void
bench_hard_post(void)
{
	(void)!xc_call_post(&bench_hard_first, XC_HARD, bench_target());
}

static inline void
bench_hard_post_more(void)
{
	(void)!xc_call_post(&bench_hard_more, XC_HARD, bench_target());
}

static inline void
bench_hard_wait(void)
{
	xc_call_wait(&bench_hard_first);
}

static inline void
bench_hard_wait_both(void)
{
	xc_call_wait(&bench_hard_first);
	xc_call_wait(&bench_hard_more);
}

static uint64_t bench_hard_ticket;

static inline void
bench_hard_unicast(void)
{
	bench_hard_ticket = xc_unicast(XC_HARD, bench_nop, NULL, NULL, bench_target());
}

static inline void
bench_hard_wait_ticket(void)
{
	xc_wait(bench_hard_ticket);
}

static void
bench_hard_post_run(struct bench_run *run)
{
	xc_call_init(&bench_hard_first, bench_nop, NULL, NULL);
	bench_sample(run, bench_nothing, bench_hard_post, bench_hard_wait);
}

static void
bench_hard_post_more_run(struct bench_run *run)
{
	xc_call_init(&bench_hard_first, bench_nop, NULL, NULL);
	xc_call_init(&bench_hard_more, bench_nop, NULL, NULL);
	bench_sample(run, bench_hard_post, bench_hard_post_more, bench_hard_wait_both);
}

static void
bench_hard_unicast_run(struct bench_run *run)
{
	bench_sample(run, bench_nothing, bench_hard_unicast, bench_hard_wait_ticket);
}

static void
bench_hard_victim_run(struct bench_run *run)
{
	bench_sample(run, bench_hard_unicast, machine_pause, bench_hard_wait_ticket);
}

BENCH_OP(machine_pause)

const struct bench_row bench_hard_rows[] = {
	{ "unicast_busy", BENCH_BUSY, 2, 1, bench_hard_call_run },
	{ "unicast_idle", BENCH_IDLE, 2, 1, bench_hard_call_run },
	{ "unicast_timed", BENCH_BUSY, 2, 1, bench_hard_timed_run },
	{ "descriptor_busy", BENCH_BUSY, 2, 1, bench_hard_descriptor_run },
	{ "descriptor_idle", BENCH_IDLE, 2, 1, bench_hard_descriptor_run },
	{ "vector_busy", BENCH_BUSY, 2, 1, bench_hard_trigger_run },
	{ "vector_idle", BENCH_IDLE, 2, 1, bench_hard_trigger_run },
	{ "message_busy", BENCH_BUSY, 2, 1, bench_hard_message_run },
	{ "message_idle", BENCH_IDLE, 2, 1, bench_hard_message_run },
	{ "self", BENCH_IDLE, 1, 1, bench_hard_self_run },
	{ "highpri_busy", BENCH_BUSY, 2, 1, bench_hard_high_run },
	{ "highpri_idle", BENCH_IDLE, 2, 1, bench_hard_high_run },
	{ "nmi_busy", BENCH_BUSY, 2, 1, bench_hard_nmi_run },
	{ "post_unicast", BENCH_BUSY, 2, 1, bench_hard_unicast_run },
	{ "post_empty", BENCH_BUSY, 2, 1, bench_hard_post_run },
	{ "post_more", BENCH_BUSY, 2, 1, bench_hard_post_more_run },
	{ "victim_busy", BENCH_BUSY, 2, 1, bench_hard_victim_run },
	{ "victim_idle", BENCH_IDLE, 2, 1, bench_hard_victim_run },
	{ "victim_none", BENCH_BUSY, 2, 1, machine_pause_run },
	{ .name = NULL },
};
