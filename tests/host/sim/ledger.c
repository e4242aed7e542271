/*
 * The ledger (ledger.h).
 */
#include "tests/host/sim/ledger.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/pool.h"
#include "xcall/xc_status.h"

/* What a function's second argument is, beside its number: nothing that is there by chance. */
#define LEDGER_MAGIC 0x5eed0000u

static struct ledger_call ledger_calls[LEDGER_CALLS];
static unsigned ledger_n;
static uint64_t ledger_clock;
uint32_t ledger_online, ledger_flux;

unsigned
ledger_count(void)
{
	return ledger_n;
}

struct ledger_call *
ledger_number(unsigned number)
{
	return &ledger_calls[number];
}

struct ledger_call *
ledger_new(void)
{
	struct ledger_call *call;

	if (ledger_n == LEDGER_CALLS)
		sim_fail("the scenario wants more than %u calls", LEDGER_CALLS);
	call = &ledger_calls[ledger_n];
	call->number = ledger_n++;
	return call;
}

uint64_t
ledger_now(void)
{
	return ++ledger_clock;
}

bool
ledger_ran(const struct ledger_call *call, unsigned cpu)
{
	return call->ended[cpu] != 0;
}

void
ledger_work(unsigned points)
{
	static _Atomic unsigned counter;

	for (unsigned i = 0; i < points; i++)
		atomic_fetch_add_explicit(&counter, 1, memory_order_relaxed);
}

/* --- the function ----------------------------------------------------------------------------- */

static const char *
ledger_wrong_context(enum xc_level level)
{
	const struct cpu_info *ci = curcpu();

	switch (level) {
	case XC_LEVEL_LOW:
		return cpu_nmi_p() || cpu_softintr_p() || cpu_intr_p() || !machine_intr_enabled() ||
			ci->ci_curlwp->l_xcall != ci->ci_xcall
		    ? "not in xcall/N, or with interrupts off"
		    : NULL;
	case XC_LEVEL_HARD:
		return cpu_nmi_p() || !cpu_intr_p() || machine_intr_enabled()
		    ? "not in a hard interrupt"
		    : NULL;
	case XC_LEVEL_NMI:
		return !cpu_nmi_p() ? "not in an NMI" : NULL;
	default:
		return cpu_nmi_p() || cpu_intr_p() || !machine_intr_enabled() ||
			ci->ci_softint.sic_level != (unsigned)level
		    ? "not in the soft interrupt of its level"
		    : NULL;
	}
}

/* A call of the same sender, target and level whose post was over before this one's began has its
 * turn first. */
static void
ledger_check_order(const struct ledger_call *call, unsigned cpu)
{
	for (unsigned i = 0; i < ledger_n; i++) {
		const struct ledger_call *older = &ledger_calls[i];

		if (older->posted && older->sender == call->sender && older->level == call->level &&
		    older->post_end < call->post_start && (older->must >> cpu & 1) != 0 &&
		    older->begun[cpu] == 0 && !older->cancelled)
			sim_fail(
			    "order: call %u begins on CPU %u before call %u of the same sender, which was "
			    "posted earlier",
			    call->number, cpu, older->number);
	}
}

static void
ledger_function(void *arg1, void *arg2)
{
	struct ledger_call *call = arg1;
	unsigned cpu = curcpu()->ci_index;
	const char *wrong = ledger_wrong_context(call->level);

	engine_progress();
	if ((uintptr_t)arg2 != LEDGER_MAGIC + call->number ||
	    call->in != LEDGER_MAGIC + call->number)
		sim_fail("call %u on CPU %u: the arguments are not those of the post", call->number,
		    cpu);
	if (call->over)
		sim_fail("call %u begins on CPU %u after somebody was told that it is over",
		    call->number, cpu);
	if (call->begun[cpu] != 0)
		sim_fail("call %u begins on CPU %u a second time", call->number, cpu);
	if ((call->may >> cpu & 1) == 0)
		sim_fail("call %u begins on CPU %u, to which it was not posted", call->number, cpu);
	if (wrong != NULL)
		sim_fail("call %u, level %u, on CPU %u: %s", call->number, (unsigned)call->level,
		    cpu, wrong);
	ledger_check_order(call, cpu);
	call->begun[cpu] = ledger_now();
	ledger_work(call->work);
	if (call->action != NULL)
		call->action(call);
	if (curcpu()->ci_index != cpu)
		sim_fail("call %u has changed its CPU", call->number);
	call->ended[cpu] = ledger_now();
}

/* Somebody was told that the call is over: so it must be. */
static void
ledger_over(struct ledger_call *call, const char *told, bool all)
{
	unsigned ran = 0;

	engine_progress();
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		if (call->begun[cpu] != 0 && call->ended[cpu] == 0)
			sim_fail("%s says that call %u is over while it runs on CPU %u", told,
			    call->number, cpu);
		if (all && (call->must >> cpu & 1) != 0 && call->ended[cpu] == 0)
			sim_fail("%s says that call %u is over; it has not run on CPU %u", told,
			    call->number, cpu);
		ran += call->ended[cpu] != 0;
	}
	if (all && call->way == LEDGER_ANY && ran != 1)
		sim_fail("%s says that call %u is over; it has run on %u CPUs of any one", told,
		    call->number, ran);
	call->over = true;
}

/* --- posts ------------------------------------------------------------------------------------ */

static enum xc_level
ledger_level(unsigned flags)
{
	if ((flags & XC_NMI) != 0)
		return XC_LEVEL_NMI;
	if ((flags & XC_HARD) != 0)
		return XC_LEVEL_HARD;
	/* Serial, the highest, is 0. */
	return (flags & XC_HIGHPRI) != 0 ? XC_LEVEL_SOFTSERIAL - ((flags & XC_IPL_MASK) >> 8)
					 : XC_LEVEL_LOW;
}

static uint64_t
ledger_post_way(struct ledger_call *call, const struct cpuset *set)
{
	void *magic = (void *)(uintptr_t)(LEDGER_MAGIC + call->number);
	unsigned first = cpuset_first(set);
	int error;

	switch (call->way) {
	case LEDGER_MULTICAST:
		return xc_multicast(call->flags, ledger_function, call, magic, set);
	case LEDGER_BROADCAST:
		return xc_broadcast(call->flags, ledger_function, call, magic);
	case LEDGER_ANY:
		return xc_any(call->flags, ledger_function, call, magic, set);
	case LEDGER_DESCRIPTOR:
		xc_call_init(call->descriptor, ledger_function, call, magic);
		error = xc_call_post(call->descriptor, call->flags, cpu_lookup(first));
		return error != 0 ? XC_ERROR(error) : 1;
	default:
		return xc_unicast(call->flags, ledger_function, call, magic, cpu_lookup(first));
	}
}

static void
ledger_refused(struct ledger_call *call, uint64_t ticket)
{
	call->error = XC_ERRNO(ticket);
	call->may = call->must = 0;
	if (call->error == EBUSY)
		sim_result->near[SIM_NEAR_BUSY]++;
	else if (call->error == EHOSTDOWN && ledger_flux != 0)
		sim_result->near[SIM_NEAR_DOWN]++;
	else
		sim_fail("call %u: the post returns error %d", call->number, call->error);
}

/* The descriptor serves another call now: what it was used for must be over. */
static void
ledger_reuse(const struct xc_call *descriptor)
{
	for (unsigned i = 0; i < ledger_n; i++) {
		struct ledger_call *before = &ledger_calls[i];

		if (before->descriptor != descriptor || !before->posted)
			continue;
		ledger_over(before, "its descriptor", !before->cancelled);
		before->descriptor = NULL;
	}
}

bool
ledger_post(struct ledger_call *call, enum ledger_way way, unsigned flags, uint32_t mask)
{
	unsigned self = curcpu()->ci_index;
	struct cpuset set;
	uint64_t ticket;

	if (way == LEDGER_BROADCAST)
		mask = ledger_online | ledger_flux;
	if ((flags & XC_NOSELF) != 0 && way != LEDGER_UNICAST && way != LEDGER_DESCRIPTOR)
		mask &= ~(UINT32_C(1) << self);
	if (mask == 0)
		return false;
	cpuset_zero(&set);
	for (uint32_t left = mask; left != 0; left &= left - 1)
		cpuset_add(&set, (unsigned)__builtin_ctz(left));
	call->way = way;
	call->flags = flags;
	call->level = ledger_level(flags);
	call->sender = self;
	call->in = LEDGER_MAGIC + call->number;
	call->may = mask;
	call->must = way == LEDGER_ANY ? 0 : mask & ~ledger_flux;
	/* A single target was taken or refused. */
	if (way == LEDGER_UNICAST || way == LEDGER_DESCRIPTOR)
		call->must = mask;
	if (way == LEDGER_DESCRIPTOR)
		ledger_reuse(call->descriptor);
	call->post_start = ledger_now();
	ticket = ledger_post_way(call, &set);
	engine_progress();
	if (XC_ISERR(ticket)) {
		ledger_refused(call, ticket);
		return false;
	}
	call->ticket = ticket;
	call->post_end = ledger_now();
	call->posted = true;
	if (call->level == XC_LEVEL_HARD && (mask >> self & 1) != 0 && way != LEDGER_ANY &&
	    machine_intr_enabled() && (flags & XC_LAZY) == 0 && !ledger_ran(call, self) &&
	    !call->cancelled)
		sim_fail("call %u: a hard call to the own CPU has not run when its post returns",
		    call->number);
	return true;
}

/* --- waits ------------------------------------------------------------------------------------ */

static void
ledger_judge(struct ledger_call *call, int result, const char *who)
{
	if (result != 0 && !(result == ECANCELED && call->cancelled))
		sim_fail("%s of call %u returns error %d", who, call->number, result);
	ledger_over(call, who, result == 0 && !call->cancelled);
}

/* Its descriptor serves another call, so there is nothing to ask. */
static bool
ledger_gone(const struct ledger_call *call)
{
	return call->way == LEDGER_DESCRIPTOR && call->descriptor == NULL;
}

bool
ledger_done(struct ledger_call *call)
{
	bool done = ledger_gone(call)        ? true
	    : call->way == LEDGER_DESCRIPTOR ? xc_call_done(call->descriptor)
					     : xc_done(call->ticket);

	if (done)
		ledger_over(call, "done", !call->cancelled);
	return done;
}

void
ledger_wait(struct ledger_call *call)
{
	if (ledger_done(call))
		sim_result->near[SIM_NEAR_DONE]++;
	if (ledger_gone(call))
		return;
	ledger_judge(call,
	    call->way == LEDGER_DESCRIPTOR ? xc_call_wait(call->descriptor) : xc_wait(call->ticket),
	    "wait");
}

bool
ledger_timedwait(struct ledger_call *call, uint64_t ns)
{
	uint64_t start = clock_ns();
	int result;

	if (ledger_gone(call))
		return true;
	result = call->way == LEDGER_DESCRIPTOR ? xc_call_timedwait(call->descriptor, ns)
						: xc_timedwait(call->ticket, ns);
	if (result != ETIMEDOUT) {
		ledger_judge(call, result, "timedwait");
		return true;
	}
	sim_result->near[SIM_NEAR_TIMEOUT]++;
	if (clock_ns() - start < ns)
		sim_fail("timedwait of call %u gives up too early", call->number);
	return false;
}

static unsigned
ledger_begun(const struct ledger_call *call)
{
	unsigned n = 0;

	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		n += call->begun[cpu] != 0;
	return n;
}

void
ledger_cancel(struct ledger_call *call)
{
	bool descriptor = call->way == LEDGER_DESCRIPTOR;
	unsigned withdrawn = 0;
	int result;

	if (ledger_gone(call))
		return;
	call->cancelled = true;
	if (ledger_begun(call) != 0)
		sim_result->near[SIM_NEAR_LATE]++;
	result = descriptor ? xc_call_cancel(call->descriptor)
			    : xc_cancel(call->ticket, &withdrawn);
	if (result != 0 && !(descriptor && result == EBUSY))
		sim_fail("cancel of call %u returns error %d", call->number, result);
	call->withdrawn += withdrawn;
	if (withdrawn != 0 || result == EBUSY)
		sim_result->near[SIM_NEAR_WITHDRAWN]++;
	ledger_over(call, "cancel", false);
}

/* --- the sum ---------------------------------------------------------------------------------- */

static void
ledger_close_stats(const struct cpu_info *ci)
{
	struct xc_stats stats;

	xc_stats(ci, &stats);
	sim_result->near[SIM_NEAR_EMPTY] += (uint32_t)stats.empty;
	sim_result->near[SIM_NEAR_SERVED] += (uint32_t)stats.served_waiting;
}

/* Each target of the call has run, or was withdrawn by one of those who cancelled it. */
static void
ledger_close_call(const struct ledger_call *call)
{
	unsigned targets = call->way == LEDGER_ANY ? 1 : (unsigned)__builtin_popcount(call->may);
	unsigned ran = ledger_begun(call);

	if (call->way == LEDGER_DESCRIPTOR || (call->may & ledger_flux) != 0)
		return;
	if (call->withdrawn + ran != targets)
		sim_fail("call %u: %u targets, %u withdrawn, %u begun", call->number, targets,
		    call->withdrawn, ran);
}

void
ledger_close(void)
{
	struct cpu_info *ci;

	for (unsigned i = 0; i < ledger_n; i++) {
		struct ledger_call *call = &ledger_calls[i];

		if (!call->posted)
			continue;
		if (call->way == LEDGER_DESCRIPTOR && call->descriptor != NULL)
			while (!xc_call_done(call->descriptor))
				kthread_sleep_ns(10000000);
		else if (call->way != LEDGER_DESCRIPTOR && !ledger_done(call))
			sim_fail("call %u was waited for and is not complete", call->number);
		ledger_over(call, "the end", !call->cancelled);
		ledger_close_call(call);
	}
	pool_check();
	CPU_INFO_FOREACH(ci)
		ledger_close_stats(ci);
}
