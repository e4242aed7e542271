/*
 * The direct slot (xc_direct.c), seen from outside: tickets at the edges of their generations,
 * calls to the own CPU, what is told and counted of a direct call.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/evcnt.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/stalled.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"

#define LOOK_SHORT_NS 20000000ull
/* A hang detector. */
#define LOOK_HANG_NS 60000000000ull

static _Atomic uint64_t look_ran, look_row;

/* Counts, and notes its number, four bits each, the latest lowest. */
static void
look_note(void *arg1, void *arg2 __attribute__((unused)))
{
	uint64_t row = atomic_load_explicit(&look_row, memory_order_relaxed);

	atomic_store_explicit(&look_row, row << 4 | (uintptr_t)arg1, memory_order_relaxed);
	atomic_fetch_add_explicit(&look_ran, 1, memory_order_release);
}

static void
look_reset(void)
{
	atomic_store_explicit(&look_ran, 0, memory_order_relaxed);
	atomic_store_explicit(&look_row, 0, memory_order_relaxed);
}

static uint64_t
look_seen(void)
{
	(void)atomic_load_explicit(&look_ran, memory_order_acquire);
	return atomic_load_explicit(&look_row, memory_order_relaxed);
}

static uint64_t
look_post(uintptr_t number, struct cpu_info *ci)
{
	return xc_unicast(XC_HARD, look_note, (void *)number, NULL, ci);
}

static bool
look_direct(uint64_t where)
{
	return where != 0 && !XC_ISERR(where) && xc_ticket_slot(where) == XC_DIRECT;
}

static bool
look_alone(void)
{
	if (ncpu == 1)
		test_skip("needs another CPU");
	return ncpu == 1;
}

/* Whether the slot is free within a minute: calls are over a moment before it is. */
static bool
look_await_free(struct cpu_info *ci)
{
	struct xc_cpu *xc = ci->ci_xcall;
	uint64_t end = clock_ns() + LOOK_HANG_NS;

	while (atomic_load_explicit(&xc->x_direct, memory_order_acquire) != 0)
		if (clock_ns() >= end)
			return false;
	return true;
}

/* --- generations ------------------------------------------------------------------------------ */

/* The next call there gets the generation after this one. */
static bool
look_set_generation(struct cpu_info *ci, uint64_t generation)
{
	struct xc_cpu *xc = ci->ci_xcall;
	bool free = look_await_free(ci);

	atomic_store_explicit(&xc->x_direct_slot->s_state, xc_state_over(generation, XC_LEVEL_HARD),
	    memory_order_relaxed);
	return free;
}

/* Runs one, or withdraws it. */
static bool
look_cross_one(struct cpu_info *ci, uint64_t generation)
{
	struct masked masked;
	uint64_t where;
	bool right;

	right = look_set_generation(ci, generation - 1);
	where = look_post(1, ci);
	right = look_direct(where) && xc_ticket_generation(where) == generation && right;
	right = xc_wait(where) == 0 && xc_done(where) && right;
	right = look_set_generation(ci, generation - 1) && right;
	masked_begin(&masked, ci);
	where = look_post(1, ci);
	right = look_direct(where) && !xc_done(where) && xc_cancel(where, NULL) == 0 && right;
	masked_end(&masked);
	return xc_wait(where) == ECANCELED && right;
}

TEST_CASE(xcall_direct_look, tickets_cross_all_edges)
{
	const uint64_t edge[] = { UINT64_C(1) << 14, UINT64_C(1) << 25, UINT64_C(1) << 31,
		UINT64_C(1) << 32, UINT64_C(1) << 45 };
	struct cpu_info *ci = others_last();
	unsigned wrong = 0;

	if (look_alone())
		return;
	for (unsigned i = 0; i < sizeof(edge) / sizeof(edge[0]); i++)
		wrong += !look_cross_one(ci, edge[i] - 1) + !look_cross_one(ci, edge[i]);
	wrong += !look_set_generation(ci, UINT64_C(1) << 32);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_direct_look, when_its_tickets_are_used_up_calls_go_the_long_way)
{
	struct cpu_info *ci = others_last();
	struct xc_cpu *xc = ci->ci_xcall;
	uint64_t where, last, wrong = 0;

	if (look_alone())
		return;
	look_reset();
	wrong += !look_set_generation(ci, XC_GENERATION_MAX - 1);
	last = look_post(0, ci);
	wrong += !look_direct(last) || xc_ticket_generation(last) != XC_GENERATION_MAX ||
	    XC_ISERR(last) || xc_wait(last) != 0 || !look_await_free(ci);
	for (unsigned i = 0; i < 2 * XC_SLOTS; i++) {
		where = look_post(0, ci);
		wrong += XC_ISERR(where) || look_direct(where) || xc_wait(where) != 0;
	}
	wrong += !xc_done(last) || xc_wait(last) != 0;
	wrong += atomic_load_explicit(&xc->x_direct, memory_order_relaxed) == 0;
	/* Nobody keeps a ticket of these. */
	atomic_store_explicit(&xc->x_direct_slot->s_state,
	    xc_state_over(UINT64_C(1) << 32, XC_LEVEL_HARD), memory_order_relaxed);
	atomic_store_explicit(&xc->x_direct, 0, memory_order_release);
	where = look_post(0, ci);
	wrong += !look_direct(where) || xc_wait(where) != 0 || !look_await_free(ci);
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT_EQ(atomic_load_explicit(&look_ran, memory_order_relaxed), 2 + 2 * XC_SLOTS);
}

/* --- the own CPU ------------------------------------------------------------------------------ */

struct look_own {
	struct probe probe;
	uint64_t where[2], before, after;
	bool on;
};

static void
look_call_self(void *arg1, void *arg2 __attribute__((unused)))
{
	struct look_own *own = arg1;

	own->on = machine_intr_enabled();
	own->where[0] = xc_unicast(XC_HARD, probe_run, &own->probe, NULL, curcpu());
	own->after = probe_ran(&own->probe);
	own->on = own->on && machine_intr_enabled();
}

/* In a thread, in a soft interrupt, in xcall/N: then and there, in interrupt context. */
TEST_CASE(xcall_direct_look, a_call_to_the_own_cpu_runs_before_its_post_returns)
{
	const unsigned flags[] = { XC_HIGHPRI_IPL(IPL_SOFTCLOCK), XC_HIGHPRI, 0 };
	struct look_own own;
	unsigned wrong = 0;

	probe_init(&own.probe, XC_LEVEL_HARD);
	look_call_self(&own, NULL);
	wrong += own.where[0] != 0 || !own.on || own.after != 1;
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		wrong += xc_wait(xc_unicast(flags[i], look_call_self, &own, NULL, others_last())) !=
		    0;
		wrong += own.where[0] != 0 || !own.on || own.after != 2 + i;
	}
	wrong += !probe_right(&own.probe, 4, 0) || probe_ran_on(&own.probe, curcpu()) == 0;
	probe_free(&own.probe);
	T_ASSERT_EQ(wrong, 0);
}

/* In a hard function interrupts are off. */
static void
look_call_self_hard(void *arg1, void *arg2 __attribute__((unused)))
{
	struct look_own *own = arg1;

	own->before = probe_ran(&own->probe);
	own->where[0] = xc_unicast(XC_HARD, probe_run, &own->probe, NULL, curcpu());
	own->after = probe_ran(&own->probe);
}

TEST_CASE(xcall_direct_look, with_interrupts_off_it_pends)
{
	uint64_t where, ran[2];
	struct look_own own;
	unsigned wrong;
	bool intr;

	probe_init(&own.probe, XC_LEVEL_HARD);
	intr = machine_intr_disable();
	where = xc_unicast(XC_HARD, probe_run, &own.probe, NULL, curcpu());
	ran[0] = probe_ran(&own.probe);
	machine_intr_restore(intr);
	wrong = where == 0 || XC_ISERR(where) || look_direct(where) || ran[0] != 0;
	wrong += xc_wait(where) != 0 || probe_ran(&own.probe) != 1;

	wrong += xc_wait(xc_unicast(XC_HARD, look_call_self_hard, &own, NULL, curcpu())) != 0;
	wrong += own.where[0] == 0 || own.before != 1 || own.after != 1;
	wrong += xc_wait(own.where[0]) != 0 || !probe_right(&own.probe, 2, 0);
	probe_free(&own.probe);
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_direct_look, it_runs_after_what_was_posted_to_the_own_cpu_lazily)
{
	static struct xc_call call;
	uint64_t where[2], pended = 0;

	/* The tick may have taken what came first. */
	for (unsigned i = 0; i < 50; i++) {
		look_reset();
		kpreempt_disable();
		xc_call_init(&call, look_note, (void *)1, NULL);
		if (i % 2 == 0)
			where[0] = xc_unicast(
			    XC_HARD | XC_LAZY, look_note, (void *)1, NULL, curcpu());
		else
			where[0] = xc_call_post(&call, XC_HARD | XC_LAZY, curcpu());
		pended += look_seen() == 0;
		where[1] = look_post(2, curcpu());
		kpreempt_enable();
		T_ASSERT_EQ(look_seen(), 0x12);
		T_ASSERT(xc_wait(where[1]) == 0 && xc_wait(where[0]) == 0);
		T_ASSERT(xc_call_wait(&call) == 0 || i % 2 == 0);
	}
	T_ASSERT(pended != 0);
}

/* --- what is told ----------------------------------------------------------------------------- */

/* Posts from another CPU than this one, if there are three. */
struct look_sender {
	struct crew_job job;
	struct cpu_info *ci;
	uint64_t where;
};

static void
look_send(void *arg)
{
	struct look_sender *s = arg;

	s->where = look_post(1, s->ci);
}

static bool
look_said(const char *fmt, uint64_t where, const struct cpu_info *ci)
{
	char words[96];

	snprintf(words, sizeof(words), fmt, where, ci->ci_index);
	return overhear_count(words) == 1;
}

/* The ticket names the target's CPU; the sender is another one. */
TEST_CASE(xcall_direct_look, status_and_dump_name_the_sender)
{
	struct cpu_info *ci = others_last(), *from = cpu_lookup(ncpu > 2 ? 1 : 0);
	struct look_sender sender = { .ci = ci };
	struct cpuset posted, begun;
	struct xc_status status;
	struct masked masked;
	bool right;

	if (look_alone())
		return;
	masked_begin(&masked, ci);
	crew_start(&sender.job, from, PRI_KERNEL, look_send, &sender);
	crew_join(&sender.job);
	right = xc_status(sender.where, &status) == 0 &&
	    xc_status_sets(sender.where, &posted, &begun, NULL) == 0;
	overhear_begin();
	for (unsigned i = 0; i < ncpu; i++)
		xc_dump(cpu_lookup(i));
	overhear_end();
	masked_end(&masked);
	T_ASSERT_EQ(xc_wait(sender.where), 0);
	T_ASSERT(right && look_direct(sender.where));
	T_ASSERT(status.func == look_note && status.flags == XC_HARD);
	T_ASSERT_EQ(status.sender, from->ci_index);
	T_ASSERT(status.posted == 1 && status.begun == 0 && status.finished == 0);
	T_ASSERT(cpuset_count(&posted) == 1 && cpuset_has(&posted, ci->ci_index) &&
	    cpuset_empty(&begun));
	T_ASSERT(look_said(
	    "posted   call %#lx of CPU %u: look_note+0, hard, posted ", sender.where, from));
	T_ASSERT_EQ(overhear_count(": begun by 0 of 1, finished by 0"), 1);
	T_ASSERT_EQ(overhear_count(": 1 calls in flight; "), 1);
	T_ASSERT_EQ(xc_status(sender.where, &status), 0);
	T_ASSERT(status.func == NULL && status.posted == 0);
}

TEST_CASE(xcall_direct_look, a_running_one_is_told)
{
	struct cpu_info *ci = others_last();
	struct latch latch = { .open = 0 };
	struct xc_status status;
	uint64_t where;
	bool right;

	if (look_alone())
		return;
	where = xc_unicast(XC_HARD, latch_hold, &latch, NULL, ci);
	right = calls_spin_until(&latch.begun, 1) && xc_status(where, &status) == 0;
	overhear_begin();
	xc_dump(ci);
	overhear_end();
	latch_open(&latch);
	T_ASSERT(xc_wait(where) == 0 && right && look_direct(where));
	T_ASSERT(status.posted == 1 && status.begun == 1 && status.finished == 0);
	T_ASSERT(overhear_has("running  latch_hold+0 (hard) since "));
}

TEST_CASE(xcall_direct_look, the_report_of_a_stall_names_the_sender)
{
	struct cpu_info *ci = others_last(), *from = cpu_lookup(ncpu > 2 ? 1 : 0);
	struct look_sender sender = { .ci = ci };
	struct masked masked;
	char words[96];
	int result;

	if (look_alone())
		return;
	masked_begin(&masked, ci);
	crew_start(&sender.job, from, PRI_KERNEL, look_send, &sender);
	crew_join(&sender.job);
	stalled_begin(LOOK_SHORT_NS, true);
	result = xc_timedwait(sender.where, STALLED_WAIT_NS);
	stalled_end();
	masked_end(&masked);
	T_ASSERT(xc_wait(sender.where) == 0 && result == ETIMEDOUT && look_direct(sender.where));
	snprintf(words, sizeof(words), ": call %#lx of CPU %u: look_note+0, hard, posted ",
	    sender.where, from->ci_index);
	T_ASSERT(overhear_has(words));
	T_ASSERT(stalled_said_cpu(ci, ": never taken, notified"));
	T_ASSERT(stalled_stalls >= 1 && stalled_resent >= 1);
}

/* --- drain ------------------------------------------------------------------------------------ */

static void
look_drain(void *arg __attribute__((unused)))
{
	xc_drain(XC_HARD);
}

TEST_CASE(xcall_direct_look, a_drain_waits_for_it)
{
	struct cpu_info *ci = others_last();
	struct crew_job job;
	struct masked masked;
	uint64_t where;
	bool early, over;

	if (look_alone())
		return;
	masked_begin(&masked, ci);
	where = look_post(1, ci);
	crew_start(&job, curcpu(), PRI_KERNEL, look_drain, NULL);
	kthread_sleep_ns(LOOK_SHORT_NS);
	early = atomic_load_explicit(&job.done, memory_order_acquire) != 0;
	masked_release(&masked);
	crew_join(&job);
	over = xc_done(where);
	masked_end(&masked);
	T_ASSERT(look_direct(where) && !early && over);
}

/* --- figures ---------------------------------------------------------------------------------- */

#define LOOK_CALLS 20u

static void
look_find_counter(const struct evcnt *ev, void *arg)
{
	uint64_t *value = arg;

	if (strcmp(ev->ev_group, "crosscall") == 0 && strcmp(ev->ev_name, "unicast") == 0)
		*value = evcnt_read(ev);
}

struct look_figures {
	struct xc_stats sender, target;
	uint64_t unicasts;
};

static void
look_take(struct look_figures *f, const struct cpu_info *ci)
{
	xc_stats(curcpu(), &f->sender);
	xc_stats(ci, &f->target);
	evcnt_foreach(look_find_counter, &f->unicasts);
}

/* By the interrupt alone, and together with what else the interrupt was for. */
static uint64_t
look_make_calls(struct cpu_info *ci)
{
	uint64_t wrong = 0, where;
	struct masked masked;

	for (unsigned i = 0; i < LOOK_CALLS - 1; i++) {
		where = look_post(1, ci);
		wrong += xc_wait(where) != 0 || !look_await_free(ci);
		wrong += ci != curcpu() && !look_direct(where);
	}
	if (ci == curcpu())
		return wrong + (xc_wait(look_post(1, ci)) != 0);
	masked_begin(&masked, ci);
	where = look_post(1, ci);
	xc_intr_resend(ci->ci_xcall, XC_LEVEL_HARD);
	masked_end(&masked);
	return wrong + (xc_wait(where) != 0);
}

static bool
look_figures_right(struct cpu_info *ci)
{
	struct look_figures *f = crew_alloc(2, sizeof(*f));
	const enum xc_class c = XC_CLASS_HARD;
	bool right;

	xc_stats_sample(1);
	look_take(&f[0], ci);
	right = look_make_calls(ci) == 0;
	look_take(&f[1], ci);
	xc_stats_sample(64);
	right = right && f[1].sender.posted[c] - f[0].sender.posted[c] == LOOK_CALLS &&
	    f[1].target.run[c] - f[0].target.run[c] == LOOK_CALLS &&
	    f[1].target.begin[c].h_count - f[0].target.begin[c].h_count == LOOK_CALLS &&
	    f[1].target.run_ns[c].h_count - f[0].target.run_ns[c].h_count == LOOK_CALLS &&
	    f[1].sender.complete[c].h_count - f[0].sender.complete[c].h_count == LOOK_CALLS &&
	    f[1].unicasts - f[0].unicasts == LOOK_CALLS;
	crew_free(f, 2, sizeof(*f));
	return right;
}

TEST_CASE(xcall_direct_look, it_is_counted_and_timed)
{
	T_ASSERT(look_figures_right(curcpu()));
	T_ASSERT(ncpu == 1 || look_figures_right(others_last()));
}
