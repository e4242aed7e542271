/*
 * The ledger of torture: posts, the function of every call, and the judge.
 */
#include "tests/kernel/torture_ledger.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "xcall/xc_status.h"

/* Once in so many, a function takes that long. */
#define LEDGER_LONG 3000u
#define LEDGER_LONG_US 3000u
#define LEDGER_LONGEST_US 30000u
/* What another's wait takes at most. */
#define LEDGER_LOOK_NS 20000000ull

struct ledger_cpu {
	_Atomic uint64_t clock;   /* of posts */
	_Atomic uint64_t *latest; /* start of the call that began last, by sender, level */
};

unsigned torture_victim = TORTURE_NOBODY;
_Atomic uint64_t torture_plugged, torture_stopped;
static struct ledger_cpu *ledger_cpus;

static struct ledger_cpu *
ledger_self(void)
{
	return &ledger_cpus[curcpu()->ci_index];
}

static uint64_t
ledger_tick(void)
{
	return atomic_fetch_add_explicit(&ledger_self()->clock, 1, memory_order_relaxed) + 1;
}

static uint64_t
ledger_get(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_relaxed);
}

static void
ledger_set(_Atomic uint64_t *word, uint64_t value)
{
	/* Release: pairs with the acquires in torture_look(), which then sees the tag that came
	 * before. */
	atomic_store_explicit(word, value, memory_order_release);
}

void
torture_ledger_begin(void)
{
	ledger_cpus = crew_alloc(ncpu, sizeof(*ledger_cpus));
	for (unsigned i = 0; i < ncpu; i++) {
		ledger_cpus[i].latest = crew_alloc(ncpu * XC_LEVELS, sizeof(uint64_t));
	}
}

void
torture_ledger_end(void)
{
	for (unsigned i = 0; i < ncpu; i++) {
		crew_free(
		    (void *)(uintptr_t)ledger_cpus[i].latest, ncpu * XC_LEVELS, sizeof(uint64_t));
	}
	crew_free(ledger_cpus, ncpu, sizeof(*ledger_cpus));
}

/* --- the function ----------------------------------------------------------------------------- */

/* Of one sender, one target, one level: what was posted when another post was over comes behind
 * it. */
static void
ledger_check_order(const struct torture_call *call, uint64_t tag)
{
	_Atomic uint64_t *latest =
	    &ledger_self()->latest[call->sender * XC_LEVELS + (unsigned)call->level];
	uint64_t end = ledger_get(&call->end), before = ledger_get(latest);

	if (end != 0 && before > end)
		torture_wrong(
		    "order: one that was posted later has begun before", tag, end, before);
	if (call->start > before)
		atomic_store_explicit(latest, call->start, memory_order_relaxed);
}

static void
ledger_check_begin(struct torture_call *call, uint64_t tag)
{
	unsigned cpu = curcpu()->ci_index;
	uint64_t bit = UINT64_C(1) << cpu, stopped = ledger_get(&torture_stopped);
	uint64_t begun = atomic_fetch_or_explicit(&call->begun, bit, memory_order_relaxed);

	if ((begun & bit) != 0)
		torture_wrong("runs twice on a CPU", tag, begun, call->level);
	if ((ledger_get(&call->may) & bit) == 0)
		torture_wrong(
		    "runs where it was not posted", tag, ledger_get(&call->may), call->way);
	if (!calls_context_is(call->level))
		torture_wrong("runs in another context", tag, call->level, call->way);
	if (call->payload != torture_hash(tag))
		torture_wrong(
		    "does not see what was written before its post", tag, call->payload, 0);
	if (stopped != 0 && stopped != cpu + 1 && call->level != XC_LEVEL_NMI)
		torture_wrong("begins while the machine is stopped", tag, stopped - 1, call->level);
	ledger_check_order(call, tag);
}

static void
ledger_work(const struct torture_call *call, struct torture_dice *dice)
{
	unsigned spin = torture_below(dice, 16);

	if (torture_below(dice, LEDGER_LONG) == 0)
		delay_us(call->level == XC_LEVEL_LOW ? LEDGER_LONGEST_US : LEDGER_LONG_US);
	for (; spin > 8; spin--)
		machine_pause();
}

/* arg1: the record; arg2: its tag. */
static void
ledger_function(void *arg1, void *arg2)
{
	struct torture_call *call = arg1;
	uint64_t tag = (uintptr_t)arg2;
	unsigned cpu = curcpu()->ci_index;
	struct torture_dice dice = { tag ^ cpu };

	if (ledger_get(&call->tag) != tag) {
		torture_wrong("runs after it was over", tag, ledger_get(&call->tag), 0);
		return;
	}
	ledger_check_begin(call, tag);
	torture_count(TORTURE_RAN, 1);
	ledger_work(call, &dice);
	if (call->nests && call->level != XC_LEVEL_NMI)
		torture_nest(call, &dice);
	if (curcpu()->ci_index != cpu)
		torture_wrong("has changed its CPU", tag, cpu, curcpu()->ci_index);
	call->result[cpu] = torture_hash(tag + cpu);
	atomic_fetch_or_explicit(&call->ended, UINT64_C(1) << cpu, memory_order_relaxed);
}

static bool
ledger_predicate(struct cpu_info *ci, void *arg1, void *arg2)
{
	const struct torture_call *call = arg1;

	if (ledger_get(&call->tag) != (uintptr_t)arg2)
		torture_wrong("predicate: not the arguments of its call", (uintptr_t)arg2, 0, 0);
	return (ledger_get(&call->may) >> ci->ci_index & 1) != 0;
}

/* --- the judge -------------------------------------------------------------------------------- */

static void
ledger_judge_targets(struct torture_call *call, uint64_t tag)
{
	uint64_t begun = ledger_get(&call->begun), ended = ledger_get(&call->ended);
	uint64_t may = ledger_get(&call->may), must = ledger_get(&call->must);
	unsigned most = torture_members(may);
	unsigned least = torture_members(must);
	unsigned n = torture_members(begun) + call->withdrawn;
	bool cancelled = atomic_load_explicit(&call->cancelled, memory_order_relaxed);

	if (call->way == TORTURE_ANY)
		most = least = 1;
	if (begun != ended)
		torture_wrong("is said to be over while it runs", tag, begun, ended);
	if ((begun & ~may) != 0)
		torture_wrong("has run on a CPU that was not there", tag, begun, may);
	/* How many a descriptor's cancel has withdrawn is not told. */
	if (cancelled ? call->way != TORTURE_DESCRIPTOR && n < least
		      : (must & ~ended) != 0 || n < least)
		torture_wrong("is said to be over and has not run everywhere", tag, ended, must);
	if (n > most)
		torture_wrong(
		    "has run or was withdrawn on too many CPUs", tag, begun, call->withdrawn);
}

/* Somebody was told that it is over. */
static void
ledger_judge(struct torture_call *call)
{
	uint64_t tag = ledger_get(&call->tag), ended = ledger_get(&call->ended);

	ledger_judge_targets(call, tag);
	for (uint64_t left = ended; left != 0; left &= left - 1) {
		unsigned cpu = (unsigned)__builtin_ctzll(left);

		if (call->result[cpu] != torture_hash(tag + cpu))
			torture_wrong(
			    "its result is not seen behind the wait", tag, cpu, call->result[cpu]);
	}
	torture_count(TORTURE_WAITS, 1);
	torture_count(TORTURE_JUDGED, torture_members(ledger_get(&call->begun)));
	torture_count(TORTURE_WITHDRAWN, call->withdrawn);
	ledger_set(&call->ticket, 0);
	ledger_set(&call->tag, 0);
}

/* --- posts ------------------------------------------------------------------------------------ */

static enum xc_level
ledger_level(unsigned flags)
{
	if ((flags & XC_NMI) != 0)
		return XC_LEVEL_NMI;
	if ((flags & XC_HARD) != 0)
		return XC_LEVEL_HARD;
	for (unsigned level = XC_LEVEL_SOFTCLOCK; level <= XC_LEVEL_SOFTSERIAL; level++)
		if ((flags & (XC_HIGHPRI | XC_IPL_MASK)) == calls_flags((enum xc_level)level))
			return (enum xc_level)level;
	return XC_LEVEL_LOW;
}

static unsigned
ledger_class(enum xc_level level)
{
	return level == XC_LEVEL_LOW ? XC_CLASS_LOW
	    : level < XC_LEVEL_HARD  ? XC_CLASS_SOFT
	    : level == XC_LEVEL_HARD ? XC_CLASS_HARD
				     : XC_CLASS_NMI;
}

uint64_t
torture_all(void)
{
	KASSERT(ncpu - 1 < TORTURE_CPUS);
	return UINT64_MAX >> (TORTURE_CPUS - ncpu);
}

static void
ledger_set_of(uint64_t mask, struct cpuset *set)
{
	cpuset_zero(set);
	for (; mask != 0; mask &= mask - 1)
		cpuset_add(set, (unsigned)__builtin_ctzll(mask));
}

static uint64_t
ledger_post_way(struct torture_call *call, uint64_t tag, uint64_t mask)
{
	struct cpu_info *first = cpu_lookup((unsigned)__builtin_ctzll(mask));
	void *arg2 = (void *)(uintptr_t)tag;
	struct cpuset set;
	int error;

	switch (call->way) {
	case TORTURE_UNICAST:
		return xc_unicast(call->flags, ledger_function, call, arg2, first);
	case TORTURE_BROADCAST:
		return xc_broadcast(call->flags, ledger_function, call, arg2);
	case TORTURE_DESCRIPTOR:
		xc_call_init(&call->descriptor, ledger_function, call, arg2);
		error = xc_call_post(&call->descriptor, call->flags, first);
		return error != 0 ? XC_ERROR(error) : 0;
	case TORTURE_COND:
		/* All others are for the predicate to leave out. */
		ledger_set_of(torture_all(), &set);
		return xc_cond(call->flags, ledger_predicate, ledger_function, call, arg2, &set);
	case TORTURE_ANY:
		ledger_set_of(mask, &set);
		return xc_any(call->flags, ledger_function, call, arg2, &set);
	default:
		ledger_set_of(mask, &set);
		return xc_multicast(call->flags, ledger_function, call, arg2, &set);
	}
}

static bool
ledger_single(const struct torture_call *call)
{
	return call->way == TORTURE_UNICAST || call->way == TORTURE_DESCRIPTOR;
}

/* Why a post may be refused. */
static void
ledger_refused(struct torture_call *call, uint64_t tag, int error, bool there)
{
	uint64_t victim = torture_victim < ncpu ? UINT64_C(1) << torture_victim : 0;

	if (error == EBUSY && call->way != TORTURE_DESCRIPTOR &&
	    ((call->flags & XC_TRY) != 0 || call->level < XC_LEVEL_HARD))
		torture_count(TORTURE_BUSY, 1);
	else if (error == EHOSTDOWN && ledger_get(&call->may) == victim && !there)
		torture_count(TORTURE_DOWN, 1);
	else
		torture_wrong("is refused without a reason", tag, (uint64_t)error, call->way);
	if (ledger_get(&call->begun) != 0)
		torture_wrong("was refused and has run", tag, ledger_get(&call->begun), 0);
	ledger_set(&call->tag, 0);
}

/* Who must have it, when the post is over: the victim, if it was there all the time. */
static void
ledger_accepted(struct torture_call *call, uint64_t before, uint64_t after)
{
	uint64_t may = ledger_get(&call->may), must = may;
	uint64_t victim = torture_victim < ncpu ? UINT64_C(1) << torture_victim : 0;

	if ((may & victim) != 0 && !ledger_single(call)) {
		if (before != after || before % 4 != 0)
			must &= ~victim;
		if (before == after && before % 4 == 2) {
			ledger_set(&call->may, may & ~victim);
			torture_count(TORTURE_PASSED, 1);
		}
	}
	/* This CPU, if it is in the set. */
	if (call->way == TORTURE_ANY)
		must &= UINT64_C(1) << call->sender & ~victim;
	ledger_set(&call->must, must);
	torture_count(TORTURE_POSTED_WAY + (unsigned)call->way, 1);
	torture_count(TORTURE_POSTED_CLASS + ledger_class(call->level), 1);
}

static void
ledger_fill(struct torture_call *call, uint64_t tag, enum torture_way way, unsigned flags)
{
	ledger_set(&call->ended, 0);
	ledger_set(&call->begun, 0);
	ledger_set(&call->must, 0);
	atomic_store_explicit(&call->end, 0, memory_order_relaxed);
	atomic_store_explicit(&call->cancelled, false, memory_order_relaxed);
	call->way = way;
	call->flags = flags;
	call->level = ledger_level(flags);
	call->sender = curcpu()->ci_index;
	call->withdrawn = 0;
	call->payload = torture_hash(tag);
	for (unsigned i = 0; i < ncpu; i++)
		call->result[i] = 0;
	atomic_store_explicit(&call->tag, tag, memory_order_relaxed);
}

bool
torture_post(struct torture_call *call, uint64_t tag, enum torture_way way, unsigned flags,
    uint64_t set, struct torture_dice *dice)
{
	uint64_t self = UINT64_C(1) << curcpu()->ci_index, before, after, where;
	bool at_once = machine_intr_enabled() && !cpu_nmi_p();

	(void)torture_throw(dice);
	if (way == TORTURE_BROADCAST)
		set = torture_all();
	if (way == TORTURE_UNICAST || way == TORTURE_DESCRIPTOR || (set & ~self) == 0)
		flags &= ~XC_NOSELF;
	if ((flags & XC_NOSELF) != 0)
		set &= ~self;
	ledger_fill(call, tag, way, flags);
	ledger_set(&call->may, set);
	call->start = ledger_tick();
	/* Sequentially consistent, as in test_hotplug_storm.c: the post lies between the two. */
	before = atomic_load_explicit(&torture_plugged, memory_order_seq_cst);
	where = ledger_post_way(call, tag, set);
	after = atomic_load_explicit(&torture_plugged, memory_order_seq_cst);
	if (XC_ISERR(where)) {
		ledger_refused(call, tag, XC_ERRNO(where), before == after && before % 4 == 0);
		return false;
	}
	atomic_store_explicit(&call->end, ledger_tick(), memory_order_relaxed);
	ledger_accepted(call, before, after);
	if (at_once && call->level == XC_LEVEL_HARD && (flags & XC_LAZY) == 0 &&
	    (ledger_get(&call->must) & self & ~ledger_get(&call->ended)) != 0)
		torture_wrong("hard, to the own CPU: has not run behind its post", tag, 0, way);
	ledger_set(&call->ticket, way == TORTURE_DESCRIPTOR ? 0 : where);
	return true;
}

/* --- waits ------------------------------------------------------------------------------------ */

bool
torture_over(struct torture_call *call)
{
	return call->way == TORTURE_DESCRIPTOR ? xc_call_done(&call->descriptor)
					       : xc_done(ledger_get(&call->ticket));
}

/* Whether it is over, by the result of a wait. */
static bool
ledger_result(struct torture_call *call, int result)
{
	bool cancelled = atomic_load_explicit(&call->cancelled, memory_order_relaxed);

	if (result == ETIMEDOUT)
		return false;
	if (result != 0 && !(result == ECANCELED && cancelled))
		torture_wrong(
		    "a wait returns an error", ledger_get(&call->tag), (uint64_t)result, call->way);
	/* Its target may still look at a descriptor that was cancelled. */
	return call->way != TORTURE_DESCRIPTOR || !cancelled || xc_call_done(&call->descriptor);
}

static bool
ledger_wait(struct torture_call *call)
{
	return ledger_result(call,
	    call->way == TORTURE_DESCRIPTOR ? xc_call_wait(&call->descriptor)
					    : xc_wait(ledger_get(&call->ticket)));
}

static bool
ledger_timedwait(struct torture_call *call, uint64_t ns)
{
	uint64_t from = clock_ns();
	int result = call->way == TORTURE_DESCRIPTOR ? xc_call_timedwait(&call->descriptor, ns)
						     : xc_timedwait(ledger_get(&call->ticket), ns);

	if (result == ETIMEDOUT) {
		torture_count(TORTURE_TIMEOUTS, 1);
		if (clock_ns() - from < ns)
			torture_wrong("a timeout comes too early", ledger_get(&call->tag),
			    clock_ns() - from, ns);
	}
	return ledger_result(call, result);
}

static bool
ledger_cancel(struct torture_call *call)
{
	int result;

	torture_count(TORTURE_CANCELS, 1);
	torture_count(TORTURE_LATE, ledger_get(&call->begun) != 0);
	atomic_store_explicit(&call->cancelled, true, memory_order_release);
	if (call->way == TORTURE_DESCRIPTOR) {
		result = xc_call_cancel(&call->descriptor);
		if (result == EBUSY)
			return xc_call_done(&call->descriptor);
	} else {
		result = xc_cancel(ledger_get(&call->ticket), &call->withdrawn);
	}
	if (result != 0)
		torture_wrong("a cancel returns an error", ledger_get(&call->tag), (uint64_t)result,
		    call->way);
	return true;
}

bool
torture_settle(struct torture_call *call, enum torture_place place, struct torture_dice *dice)
{
	static const unsigned timeouts_us[] = { 0, 1, 10, 100, 1000, 20000 };
	unsigned what = torture_below(dice, 100), at = torture_below(dice, 6);
	bool over;

	if (place != TORTURE_THREAD && at > 3)
		at = 3;
	if (atomic_load_explicit(&call->cancelled, memory_order_relaxed) || what < 10 ||
	    place == TORTURE_ASKS || (place == TORTURE_SPINS && call->level < XC_LEVEL_HARD))
		over = torture_over(call);
	else if (what < 30)
		over = ledger_cancel(call);
	else if (what < 50)
		over = ledger_timedwait(call, timeouts_us[at] * 1000ull);
	else {
		torture_count(TORTURE_READY, torture_over(call));
		over = ledger_wait(call);
	}
	if (over)
		ledger_judge(call);
	return over;
}

void
torture_finish(struct torture_call *call)
{
	/* Only a descriptor that was cancelled is not over behind a wait. */
	while (!ledger_wait(call))
		kthread_sleep_ns(1000000);
	ledger_judge(call);
}

void
torture_look(struct torture_call *call, struct torture_dice *dice)
{
	/* Acquire: pair with the releases of ledger_set(). */
	uint64_t tag = atomic_load_explicit(&call->tag, memory_order_acquire);
	uint64_t where = atomic_load_explicit(&call->ticket, memory_order_acquire), ended, must;
	struct xc_status status;
	bool cancelled;
	int result;

	if (tag == 0 || where == 0)
		return;
	if (torture_percent(dice, 30) &&
	    (xc_status(where, &status) != 0 ||
		(status.func != NULL && status.func != ledger_function)))
		torture_wrong("its status is not of that call", tag, where, 0);
	result = xc_timedwait(where, LEDGER_LOOK_NS);
	if (result == EINVAL)
		torture_wrong("another one's wait says that the ticket is forged", tag, where, 0);
	if (result != 0)
		return;
	ended = atomic_load_explicit(&call->ended, memory_order_acquire);
	must = atomic_load_explicit(&call->must, memory_order_acquire);
	cancelled = atomic_load_explicit(&call->cancelled, memory_order_acquire);
	if (ledger_get(&call->tag) == tag && ledger_get(&call->ticket) == where && !cancelled &&
	    (must & ~ended) != 0)
		torture_wrong("another one's wait ends before it has run", tag, ended, must);
}
