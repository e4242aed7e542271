/*
 * Cross calls of every level: for one sender, one target and one level, first posted is first
 * begun; by ticket, by set, by descriptor, lazily or not.
 */
#include <stddef.h>

#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"

/* Calls to each target between two broadcasts. */
#define ORDER_BURST 7
#define ORDER_ROUNDS ROUNDS(8)

static _Atomic uint64_t order_wrong;

/* arg1: what has begun, for each target, of what a sender posted at a level; arg2: how much was
 * posted before. */
static void
order_run(void *arg1, void *arg2)
{
	_Atomic uint64_t *begun = (_Atomic uint64_t *)arg1 + curcpu()->ci_index;

	/* Relaxed: one after the other on this CPU. */
	if (atomic_load_explicit(begun, memory_order_relaxed) != (uintptr_t)arg2)
		atomic_fetch_add_explicit(&order_wrong, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(begun, 1, memory_order_relaxed);
}

/* A sender at one level. */
struct order {
	enum xc_level level;
	_Atomic uint64_t *begun;
	struct xc_call *call; /* ORDER_BURST for each target */
	uint64_t *where;      /* the same, and one for a broadcast */
	unsigned tickets;
	uint64_t random;
};

static unsigned
order_targets(void)
{
	return ncpu < 4 ? ncpu : 4;
}

/* One post, number `n` of those to that target. */
static void
order_post(struct order *o, unsigned target, uint64_t n)
{
	struct cpu_info *ci = cpu_lookup((curcpu()->ci_index + target) % ncpu);
	struct xc_call *call = &o->call[target * ORDER_BURST + n % (ORDER_BURST + 1)];
	unsigned flags = calls_flags(o->level);
	uint64_t way = o->level == XC_LEVEL_NMI ? 0 : crew_random(&o->random) % 4;

	if (way % 2 != 0)
		flags |= XC_LAZY;
	if (way < 2) {
		o->where[o->tickets++] = xc_unicast(
		    flags, order_run, (void *)(uintptr_t)o->begun, (void *)n, ci);
		return;
	}
	xc_call_init(call, order_run, (void *)(uintptr_t)o->begun, (void *)n);
	if (xc_call_post(call, flags, ci) != 0)
		atomic_fetch_add_explicit(&order_wrong, 1, memory_order_relaxed);
}

/* A burst to each target, then a broadcast to all of them; then waits for all, the latest first. */
static void
order_round(struct order *o, uint64_t round)
{
	static const struct xc_call idle;
	uint64_t first = round * (ORDER_BURST + 1), wrong = 0;
	struct cpuset set;

	cpuset_zero(&set);
	o->tickets = 0;
	for (unsigned t = 0; t < order_targets(); t++) {
		cpuset_add(&set, (curcpu()->ci_index + t) % ncpu);
		for (unsigned i = 0; i < ORDER_BURST; i++) {
			o->call[t * ORDER_BURST + i] = idle;
			order_post(o, t, first + i);
		}
	}
	o->where[o->tickets++] = xc_multicast(calls_flags(o->level), order_run,
	    (void *)(uintptr_t)o->begun, (void *)(first + ORDER_BURST), &set);
	while (o->tickets != 0)
		wrong += xc_wait(o->where[--o->tickets]) != 0;
	for (unsigned i = 0; i < order_targets() * ORDER_BURST; i++)
		wrong += xc_call_wait(&o->call[i]) != 0;
	atomic_fetch_add_explicit(&order_wrong, wrong, memory_order_relaxed);
}

static void
order_sender(void *arg)
{
	unsigned n = order_targets() * (ORDER_BURST + 1);
	struct order o = { .random = (uintptr_t)arg + 1 };

	o.begun = crew_alloc(ncpu, sizeof(*o.begun));
	o.call = crew_alloc(n, sizeof(*o.call));
	o.where = crew_alloc(n, sizeof(*o.where));
	for (o.level = 0; o.level < XC_LEVELS; o.level++) {
		for (unsigned i = 0; i < ncpu; i++)
			atomic_store_explicit(&o.begun[i], 0, memory_order_relaxed);
		for (uint64_t round = 0; round < ORDER_ROUNDS; round++)
			order_round(&o, round);
	}
	crew_free((void *)(uintptr_t)o.begun, ncpu, sizeof(*o.begun));
	crew_free(o.call, n, sizeof(*o.call));
	crew_free(o.where, n, sizeof(*o.where));
}

TEST_CASE(xcall_order, first_posted_is_first_begun_at_every_level_however_posted)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	atomic_store_explicit(&order_wrong, 0, memory_order_relaxed);
	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, order_sender, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(atomic_load_explicit(&order_wrong, memory_order_relaxed), 0);
}

/* --- all in the inbox before the first begins ------------------------------------------------- */

/* More descriptors than any pool has room for, with some tickets between them. */
#define ORDER_DEEP 200
#define ORDER_DEEP_TICKETS 5

struct deep {
	enum xc_level level;
	_Atomic uint64_t *begun;
	struct xc_call *call;
	uint64_t where[ORDER_DEEP_TICKETS];
	unsigned tickets;
	uint64_t posted;
};

static void
deep_post(struct deep *d, struct cpu_info *ci)
{
	unsigned flags = calls_flags(d->level), wrong = 0;
	void *begun = (void *)(uintptr_t)d->begun;

	for (unsigned i = 0; i < ORDER_DEEP; i++) {
		if (i % (ORDER_DEEP / ORDER_DEEP_TICKETS) == 1)
			d->where[d->tickets++] = xc_unicast(
			    flags, order_run, begun, (void *)d->posted++, ci);
		xc_call_init(&d->call[i], order_run, begun, (void *)d->posted++);
		wrong += xc_call_post(&d->call[i], flags, ci) != 0;
	}
	atomic_fetch_add_explicit(&order_wrong, wrong, memory_order_relaxed);
}

static void
deep_wait(struct deep *d, const struct cpu_info *ci)
{
	unsigned wrong = !calls_wait_all(d->where, d->tickets);

	for (unsigned i = 0; i < ORDER_DEEP; i++)
		wrong += xc_call_wait(&d->call[i]) != 0;
	wrong += atomic_load_explicit(&d->begun[ci->ci_index], memory_order_relaxed) != d->posted;
	atomic_fetch_add_explicit(&order_wrong, wrong, memory_order_relaxed);
}

/* The CPU takes no interrupt until all is there. */
static void
deep_level(struct deep *d, struct cpu_info *ci)
{
	struct masked masked;
	bool intr;

	atomic_store_explicit(&d->begun[ci->ci_index], 0, memory_order_relaxed);
	d->tickets = 0;
	d->posted = 0;
	if (ci == curcpu()) {
		intr = machine_intr_disable();
		deep_post(d, ci);
		machine_intr_restore(intr);
	} else {
		masked_begin(&masked, ci);
		deep_post(d, ci);
		masked_end(&masked);
	}
	deep_wait(d, ci);
}

TEST_CASE(xcall_order, a_deep_inbox_is_served_in_order)
{
	struct deep d = { .begun = crew_alloc(ncpu, sizeof(*d.begun)),
		.call = crew_alloc(ORDER_DEEP, sizeof(*d.call)) };

	atomic_store_explicit(&order_wrong, 0, memory_order_relaxed);
	for (d.level = 0; d.level < XC_LEVEL_NMI; d.level++) {
		deep_level(&d, curcpu());
		deep_level(&d, others_last());
	}
	crew_free((void *)(uintptr_t)d.begun, ncpu, sizeof(*d.begun));
	crew_free(d.call, ORDER_DEEP, sizeof(*d.call));
	T_ASSERT_EQ(atomic_load_explicit(&order_wrong, memory_order_relaxed), 0);
}

/* --- in the midst of being served ------------------------------------------------------------- */

#define CHASE_CALLS ROUNDS(3000)

/* Posts as fast as it can while the target serves: each post meets the target's search at another
 * place. */
static void
chase_sender(void *arg)
{
	struct order o = { .level = (enum xc_level)(uintptr_t)arg };
	unsigned flags = calls_flags(o.level);
	struct cpu_info *ci = others_last();
	struct xc_call *call = crew_alloc(CHASE_CALLS / 2, sizeof(*call));
	uint64_t n = 0, wrong = 0;

	o.begun = crew_alloc(ncpu, sizeof(*o.begun));
	while (n < CHASE_CALLS) {
		struct xc_call *c = &call[n / 2];

		(void)xc_unicast(flags, order_run, (void *)(uintptr_t)o.begun, (void *)n++, ci);
		xc_call_init(c, order_run, (void *)(uintptr_t)o.begun, (void *)n++);
		wrong += xc_call_post(c, flags, ci) != 0;
	}
	xc_drain(flags);
	wrong += atomic_load_explicit(&o.begun[ci->ci_index], memory_order_relaxed) != n;
	atomic_fetch_add_explicit(&order_wrong, wrong, memory_order_relaxed);
	crew_free((void *)(uintptr_t)o.begun, ncpu, sizeof(*o.begun));
	crew_free(call, CHASE_CALLS / 2, sizeof(*call));
}

TEST_CASE(xcall_order, posts_that_chase_the_search_keep_order)
{
	struct crew_job job[2];

	atomic_store_explicit(&order_wrong, 0, memory_order_relaxed);
	for (uintptr_t level = 0; level < XC_LEVEL_NMI; level++) {
		for (unsigned i = 0; i < 2; i++)
			crew_start(
			    &job[i], cpu_lookup(i % ncpu), PRI_KERNEL, chase_sender, (void *)level);
		for (unsigned i = 0; i < 2; i++)
			crew_join(&job[i]);
	}
	T_ASSERT_EQ(atomic_load_explicit(&order_wrong, memory_order_relaxed), 0);
}

/* --- posts that meet the search --------------------------------------------------------------- */

#define MEET_ROUNDS ROUNDS(300)
/* Whoever is not done by then hangs; many CPUs on a loaded host take minutes. */
#define MEET_HANG_NS 600000000000ull

/* Of all CPUs together, from four on, the same number: each call waits for its turn on the host. */
static unsigned
meet_rounds(void)
{
	return ncpu > 4 ? MEET_ROUNDS * 4 / ncpu : MEET_ROUNDS;
}

static void
meet_run(void *arg1, void *arg2 __attribute__((unused)))
{
	_Atomic uint64_t *ran = arg1;

	atomic_fetch_add_explicit(ran, 1, memory_order_release);
}

/*
 * The second post comes while the target looks whether the first was the last: at some distance
 * from the first post, or just after its function has run.
 */
static void
meet_sender(void *arg)
{
	struct cpu_info *target = arg;
	uint64_t random = target->ci_index + 1, first, second;
	_Atomic uint64_t ran = 0;
	struct cpuset set;

	cpuset_zero(&set);
	cpuset_add(&set, target->ci_index);
	for (unsigned i = 0; i < meet_rounds() * XC_LEVELS; i++) {
		unsigned flags = calls_flags((enum xc_level)(i % XC_LEVELS));
		bool near = i / XC_LEVELS % 4 != 0;

		first = xc_unicast(flags, meet_run, &ran, NULL, target);
		if (near)
			T_ASSERT(calls_spin_until(&ran, 2 * i + 1));
		for (uint64_t spin = crew_random(&random) % (near ? 24 : 400); spin != 0; spin--)
			(void)machine_cycles();
		/* To a set: nothing stands between its entry and its notification. */
		second = xc_multicast(flags, meet_run, &ran, NULL, &set);
		T_ASSERT_EQ(xc_wait(second), 0);
		T_ASSERT(xc_wait(first) == 0);
	}
}

TEST_CASE(xcall_order, no_post_is_missed_by_the_search_at_any_level)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(
		    &job[i], cpu_lookup(i), PRI_KERNEL, meet_sender, cpu_lookup((i + 1) % ncpu));
	for (unsigned i = 0; i < ncpu; i++) {
		T_ASSERT(crew_reached(&job[i].done, 1, MEET_HANG_NS));
		crew_join(&job[i]);
	}
	crew_free(job, ncpu, sizeof(*job));
}

/* --- turns ------------------------------------------------------------------------------------ */

/* How many calls have begun on the target, and at which place the one that counts was. */
static _Atomic uint64_t turns_begun, turns_place;

static void
turns_run(void *arg1, void *arg2 __attribute__((unused)))
{
	uint64_t place = atomic_fetch_add_explicit(&turns_begun, 1, memory_order_relaxed) + 1;

	if (arg1 != NULL)
		atomic_store_explicit(&turns_place, place, memory_order_relaxed);
}

struct turns {
	enum xc_level level;
	struct cpu_info *ci;
	uint64_t where;
};

/* The call of another sender, posted last. */
static void
turns_post(void *arg)
{
	struct turns *turns = arg;

	turns->where = xc_unicast(calls_flags(turns->level), turns_run, turns, NULL, turns->ci);
}

/* At which place the last call came that was posted to a full inbox; 0: something was wrong. */
static uint64_t
turns_last(enum xc_level level, struct xc_call *call)
{
	struct turns turns = { .level = level, .ci = others_last() };
	unsigned flags = calls_flags(level);
	struct masked masked;
	struct crew_job job;
	bool right = true;

	atomic_store_explicit(&turns_begun, 0, memory_order_relaxed);
	atomic_store_explicit(&turns_place, 0, memory_order_relaxed);
	masked_begin(&masked, turns.ci);
	for (unsigned i = 0; i < ORDER_DEEP; i++) {
		xc_call_init(&call[i], turns_run, NULL, NULL);
		right = xc_call_post(&call[i], flags, turns.ci) == 0 && right;
	}
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, turns_post, &turns);
	crew_join(&job);
	masked_end(&masked);
	right = xc_wait(turns.where) == 0 && right;
	for (unsigned i = 0; i < ORDER_DEEP; i++)
		right = xc_call_wait(&call[i]) == 0 && right;
	return right ? atomic_load_explicit(&turns_place, memory_order_relaxed) : 0;
}

TEST_CASE(xcall_order, no_sender_is_shut_out_by_the_many_calls_of_another)
{
	struct xc_call *call = crew_alloc(ORDER_DEEP, sizeof(*call));
	unsigned wrong = 0;

	if (ncpu < 3) {
		crew_free(call, ORDER_DEEP, sizeof(*call));
		test_skip("needs three CPUs");
		return;
	}
	for (unsigned level = 0; level < XC_LEVEL_NMI; level++) {
		uint64_t place = turns_last(level, call);

		wrong += place == 0 || place > 4;
	}
	crew_free(call, ORDER_DEEP, sizeof(*call));
	T_ASSERT_EQ(wrong, 0);
}
