/*
 * The direct slot (xc_direct.c): hard calls to one CPU that take the short way, and those that must
 * not.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/rounds.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_internal.h"

#define DIRECT_RACES ROUNDS(600)
#define DIRECT_ROWS ROUNDS(40)
#define DIRECT_STORM ROUNDS(600)
#define DIRECT_STORM_OPEN 6
/* A hang detector. */
#define DIRECT_HANG_NS 60000000000ull
#define DIRECT_SHORT_NS 20000000ull

/* --- what a call did -------------------------------------------------------------------------- */

/* The numbers of the calls that have begun, four bits each, the latest lowest. */
static _Atomic uint64_t direct_row, direct_wrong;

static void
direct_note(void *arg1, void *arg2 __attribute__((unused)))
{
	uint64_t row = atomic_load_explicit(&direct_row, memory_order_relaxed);

	if (!calls_context_is(XC_LEVEL_HARD))
		atomic_fetch_add_explicit(&direct_wrong, 1, memory_order_relaxed);
	/* One at a time: hard functions of one CPU.  Release: some look without a wait. */
	atomic_store_explicit(&direct_row, row << 4 | (uintptr_t)arg1, memory_order_release);
}

static uint64_t
direct_noted(void)
{
	return atomic_load_explicit(&direct_row, memory_order_acquire);
}

static void
direct_reset(void)
{
	atomic_store_explicit(&direct_row, 0, memory_order_relaxed);
	atomic_store_explicit(&direct_wrong, 0, memory_order_relaxed);
}

static bool
direct_right(uint64_t row)
{
	return direct_noted() == row &&
	    atomic_load_explicit(&direct_wrong, memory_order_relaxed) == 0;
}

static uint64_t
direct_post(unsigned flags, uintptr_t number, struct cpu_info *ci)
{
	return xc_unicast(flags, direct_note, (void *)number, NULL, ci);
}

static bool
direct_is(uint64_t where, const struct cpu_info *ci)
{
	return where != 0 && !XC_ISERR(where) && xc_ticket_slot(where) == XC_DIRECT &&
	    xc_ticket_cpu(where) == ci->ci_index;
}

/* Whether the slot is free within a minute: calls are over a moment before it is. */
static bool
direct_await_free(struct cpu_info *ci)
{
	struct xc_cpu *xc = ci->ci_xcall;
	uint64_t end = clock_ns() + DIRECT_HANG_NS;

	while (atomic_load_explicit(&xc->x_direct, memory_order_acquire) != 0)
		if (clock_ns() >= end)
			return false;
	return true;
}

static bool
direct_alone(unsigned cpus)
{
	if (ncpu < cpus)
		test_skip("needs more CPUs");
	return ncpu < cpus;
}

/* Somebody else's post; on the CPU before the last, which is not this one when there are three. */
struct direct_sender {
	struct crew_job job;
	struct cpu_info *ci;
	uintptr_t number;
	uint64_t where;
};

static void
direct_send(void *arg)
{
	struct direct_sender *s = arg;

	s->where = direct_post(XC_HARD, s->number, s->ci);
}

/* Returns the CPU that it came from. */
static struct cpu_info *
direct_post_elsewhere(struct direct_sender *s, struct cpu_info *ci, uintptr_t number)
{
	struct cpu_info *from = cpu_lookup(ncpu - 2);

	*s = (struct direct_sender){ .ci = ci, .number = number };
	crew_start(&s->job, from, PRI_KERNEL, direct_send, s);
	crew_join(&s->job);
	return from;
}

/* --- who takes the slot ----------------------------------------------------------------------- */

TEST_CASE(xcall_direct, a_hard_call_to_one_cpu_takes_the_slot_and_gives_it_back)
{
	struct cpu_info *ci = others_last();
	uint64_t where, last = 0, wrong = 0;

	if (direct_alone(2))
		return;
	direct_reset();
	for (unsigned i = 0; i < 3 * XC_SLOTS; i++) {
		where = direct_post(XC_HARD, 0, ci);
		wrong += !direct_is(where, ci) || xc_wait(where) != 0 || !xc_done(where);
		wrong += last != 0 && xc_ticket_generation(where) != last + 1;
		last = xc_ticket_generation(where);
		wrong += !direct_await_free(ci);
	}
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT(direct_right(0));
}

TEST_CASE(xcall_direct, other_posts_do_not_take_it)
{
	const unsigned flags[] = { 0, XC_HIGHPRI, XC_HARD | XC_TRY, XC_HARD | XC_LAZY, XC_NMI };
	struct latch latch = { .open = 1 };
	struct cpu_info *ci = others_last();
	struct cpuset set;
	uint64_t where;

	cpuset_zero(&set);
	cpuset_add(&set, ci->ci_index);
	for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
		where = xc_unicast(flags[i], latch_hold, &latch, NULL, ci);
		T_ASSERT(xc_ticket_slot(where) != XC_DIRECT && xc_wait(where) == 0);
	}
	where = xc_multicast(XC_HARD, latch_hold, &latch, NULL, &set);
	T_ASSERT(xc_ticket_slot(where) != XC_DIRECT && xc_wait(where) == 0);
	T_ASSERT_EQ(atomic_load_explicit(&latch.begun, memory_order_relaxed), 6);
}

TEST_CASE(xcall_direct, who_finds_it_taken_goes_the_long_way)
{
	struct cpu_info *ci = others_last(), *from;
	struct direct_sender sender;
	struct masked masked;
	uint64_t where[2], row;

	if (direct_alone(3))
		return;
	direct_reset();
	masked_begin(&masked, ci);
	where[0] = direct_post(XC_HARD, 1, ci);
	from = direct_post_elsewhere(&sender, ci, 2);
	where[1] = direct_post(XC_HARD, 3, ci);
	masked_end(&masked);
	T_ASSERT(calls_wait_all(where, 2) && xc_wait(sender.where) == 0);
	T_ASSERT(direct_is(where[0], ci));
	T_ASSERT(xc_ticket_slot(sender.where) != XC_DIRECT &&
	    xc_ticket_cpu(sender.where) == from->ci_index);
	T_ASSERT(xc_ticket_slot(where[1]) != XC_DIRECT && xc_ticket_cpu(where[1]) == 0);
	/* Nothing is promised between senders. */
	row = direct_noted();
	T_ASSERT(row == 0x123 || row == 0x213 || row == 0x132);
	T_ASSERT(direct_await_free(ci));
	T_ASSERT(direct_is(direct_post_elsewhere(&sender, ci, 4) == from ? sender.where : 0, ci));
	T_ASSERT_EQ(xc_wait(sender.where), 0);
}

TEST_CASE(xcall_direct, a_cpu_that_has_left_gets_nothing)
{
	struct cpu_info *ci = others_last();
	uint64_t where;

	if (direct_alone(2))
		return;
	direct_reset();
	others_set_target(ci, false);
	where = direct_post(XC_HARD, 1, ci);
	others_set_target(ci, true);
	T_ASSERT_EQ(where, XC_ERROR(EHOSTDOWN));
	T_ASSERT_EQ(xc_wait(direct_post(XC_HARD, 2, ci)), 0);
	T_ASSERT(direct_right(2));
}

/* What else was announced meanwhile: calls of other levels, and ipi(9)'s part is in xcall_ipi. */
TEST_CASE(xcall_direct, what_was_announced_with_it_runs_too)
{
	struct latch latch = { .open = 1 };
	struct cpu_info *ci = others_last();
	struct masked masked;
	uint64_t where[4];

	if (direct_alone(2))
		return;
	direct_reset();
	masked_begin(&masked, ci);
	where[0] = direct_post(XC_HARD, 1, ci);
	where[1] = xc_unicast(0, latch_hold, &latch, NULL, ci);
	where[2] = xc_unicast(XC_HIGHPRI, latch_hold, &latch, NULL, ci);
	where[3] = direct_post(XC_HARD | XC_TRY, 2, ci);
	masked_end(&masked);
	for (unsigned i = 0; i < 4; i++)
		T_ASSERT_EQ(xc_timedwait(where[i], DIRECT_HANG_NS), 0);
	T_ASSERT(direct_is(where[0], ci) && direct_right(0x12));
}

/* --- order ------------------------------------------------------------------------------------ */

enum direct_way {
	DIRECT_DIRECT,
	DIRECT_SLOT,
	DIRECT_SET,
	DIRECT_LAZY,
	DIRECT_DESCRIPTOR,
	DIRECT_LAZY_DESCRIPTOR,
	DIRECT_WAYS
};

#define DIRECT_ROW 4
struct direct_row {
	unsigned n;
	enum direct_way way[DIRECT_ROW];
	uint64_t where[DIRECT_ROW]; /* 0: the descriptor */
	struct xc_call call[DIRECT_ROW];
};

static void
direct_post_way(struct direct_row *row, unsigned i, struct cpu_info *ci)
{
	static const unsigned flags[DIRECT_WAYS] = { XC_HARD, XC_HARD | XC_TRY, XC_HARD,
		XC_HARD | XC_LAZY, XC_HARD, XC_HARD | XC_LAZY };
	void *number = (void *)(uintptr_t)(i + 1);
	enum direct_way way = row->way[i];
	struct cpuset set;

	row->where[i] = 0;
	if (way >= DIRECT_DESCRIPTOR) {
		xc_call_init(&row->call[i], direct_note, number, NULL);
		T_ASSERT_EQ(xc_call_post(&row->call[i], flags[way], ci), 0);
	} else if (way == DIRECT_SET) {
		cpuset_zero(&set);
		cpuset_add(&set, ci->ci_index);
		row->where[i] = xc_multicast(flags[way], direct_note, number, NULL, &set);
	} else {
		row->where[i] = direct_post(flags[way], i + 1, ci);
	}
}

/* All are there before the first begins.  One goes direct when it is the first. */
static bool
direct_row_right(struct direct_row *row, struct cpu_info *ci)
{
	bool right = direct_await_free(ci);
	struct masked masked;
	uint64_t all = 0;

	direct_reset();
	masked_begin(&masked, ci);
	for (unsigned i = 0; i < row->n; i++) {
		direct_post_way(row, i, ci);
		all = all << 4 | (i + 1);
		right = right &&
		    direct_is(row->where[i], ci) == (i == 0 && row->way[0] == DIRECT_DIRECT);
	}
	masked_end(&masked);
	for (unsigned i = row->n; i-- > 0;)
		right = (row->where[i] != 0 ? xc_wait(row->where[i])
					    : xc_call_wait(&row->call[i])) == 0 &&
		    right;
	return right && direct_right(all);
}

TEST_CASE(xcall_direct, every_two_ways_keep_the_order_of_their_posts)
{
	struct direct_row *row;
	unsigned wrong = 0;

	if (direct_alone(2))
		return;
	row = crew_alloc(1, sizeof(*row));
	row->n = 2;
	for (unsigned i = 0; i < DIRECT_WAYS * DIRECT_WAYS; i++) {
		row->way[0] = i / DIRECT_WAYS;
		row->way[1] = i % DIRECT_WAYS;
		wrong += !direct_row_right(row, others_last());
	}
	crew_free(row, 1, sizeof(*row));
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_direct, rows_of_many_ways_keep_the_order_of_their_posts)
{
	uint64_t random = 5;
	struct direct_row *row;
	unsigned wrong = 0;

	if (direct_alone(2))
		return;
	row = crew_alloc(1, sizeof(*row));
	row->n = DIRECT_ROW;
	for (unsigned i = 0; i < DIRECT_ROWS; i++) {
		row->way[0] = DIRECT_DIRECT;
		for (unsigned j = 1; j < DIRECT_ROW; j++)
			row->way[j] = crew_random(&random) % DIRECT_WAYS;
		wrong += !direct_row_right(row, others_last());
	}
	crew_free(row, 1, sizeof(*row));
	T_ASSERT_EQ(wrong, 0);
}

/* --- all at once ------------------------------------------------------------------------------ */

struct direct_storm {
	struct crew_job job;
	struct cpu_info *ci;
	uint64_t random, begun, wrong;
	_Atomic uint64_t direct;
	struct xc_call call[DIRECT_STORM_OPEN];
	uint64_t where[DIRECT_STORM_OPEN];
};

/* Plain memory: one target, and hard functions there run one after the other. */
static void
direct_storm_run(void *arg1, void *arg2)
{
	struct direct_storm *s = arg1;

	s->wrong += s->begun != (uintptr_t)arg2 || !calls_context_is(XC_LEVEL_HARD);
	s->begun++;
}

static bool
direct_storm_wait(struct direct_storm *s, unsigned i)
{
	uint64_t where = s->where[i];

	s->where[i] = 0;
	return (where != 0 ? xc_wait(where) : xc_call_wait(&s->call[i])) == 0;
}

static void
direct_storm(void *arg)
{
	static const unsigned flags[] = { XC_HARD, XC_HARD, XC_HARD, XC_HARD | XC_LAZY };
	struct direct_storm *s = arg;
	uint64_t random;

	for (uintptr_t n = 0; n < DIRECT_STORM; n++) {
		unsigned i = n % DIRECT_STORM_OPEN;

		random = crew_random(&s->random);
		T_ASSERT(direct_storm_wait(s, i));
		if (random % 3 == 0) {
			xc_call_init(&s->call[i], direct_storm_run, s, (void *)n);
			T_ASSERT_EQ(xc_call_post(&s->call[i], flags[random / 3 % 4], s->ci), 0);
		} else {
			s->where[i] = xc_unicast(
			    flags[random / 3 % 4], direct_storm_run, s, (void *)n, s->ci);
			if (direct_is(s->where[i], s->ci))
				atomic_fetch_add_explicit(&s->direct, 1, memory_order_relaxed);
		}
		/* Then the next one may go direct. */
		if (random / 12 % 3 == 0)
			for (i = 0; i < DIRECT_STORM_OPEN; i++)
				T_ASSERT(direct_storm_wait(s, i));
	}
	for (unsigned i = 0; i < DIRECT_STORM_OPEN; i++)
		T_ASSERT(direct_storm_wait(s, i));
}

/* What went direct, of all; UINT64_MAX when something was wrong. */
static uint64_t
direct_storm_all(struct direct_storm *storm, struct cpu_info *ci)
{
	uint64_t direct = 0, wrong = 0;

	for (unsigned i = 0; i < ncpu; i++) {
		storm[i].ci = ci;
		storm[i].random = i + 1;
		crew_start(&storm[i].job, cpu_lookup(i), PRI_KERNEL, direct_storm, &storm[i]);
	}
	for (unsigned i = 0; i < ncpu; i++) {
		crew_join(&storm[i].job);
		wrong += storm[i].wrong + (storm[i].begun != DIRECT_STORM);
		direct += atomic_load_explicit(&storm[i].direct, memory_order_relaxed);
	}
	return wrong != 0 ? UINT64_MAX : direct;
}

TEST_CASE(xcall_direct, a_storm_of_all_to_one_by_all_ways_keeps_order)
{
	struct direct_storm *storm = crew_alloc(ncpu, sizeof(*storm));
	uint64_t direct = direct_storm_all(storm, others_last());

	crew_free(storm, ncpu, sizeof(*storm));
	T_ASSERT(direct != UINT64_MAX);
	T_ASSERT(direct != 0 || ncpu == 1);
	T_ASSERT(direct_await_free(others_last()));
}

/* --- cancel and timed wait -------------------------------------------------------------------- */

TEST_CASE(xcall_direct, what_has_not_begun_is_withdrawn_without_the_target)
{
	struct cpu_info *ci = others_last();
	struct masked masked;
	unsigned withdrawn, wrong = 0;
	uint64_t where = 0;

	if (direct_alone(2))
		return;
	direct_reset();
	masked_begin(&masked, ci);
	for (unsigned i = 0; i < 2 * XC_SLOTS; i++) {
		where = direct_post(XC_HARD, 1, ci);
		wrong += !direct_is(where, ci) || xc_done(where);
		wrong += xc_cancel(where, &withdrawn) != 0 || withdrawn != 1;
		wrong += xc_wait(where) != ECANCELED;
	}
	/* A target that finds the slot anew, and one that finds what it was announced for gone. */
	where = direct_post(XC_HARD, 2, ci);
	wrong += !direct_is(where, ci);
	masked_end(&masked);
	wrong += xc_wait(where) != 0;
	T_ASSERT_EQ(wrong, 0);
	T_ASSERT(direct_right(2));
}

struct direct_waiter {
	struct crew_job job;
	uint64_t where;
	unsigned withdrawn;
	int result;
};

static void
direct_cancel(void *arg)
{
	struct direct_waiter *w = arg;

	w->result = xc_cancel(w->where, &w->withdrawn);
}

TEST_CASE(xcall_direct, what_runs_is_waited_for)
{
	struct direct_waiter waiter = { .withdrawn = 7, .result = -1 };
	struct cpu_info *ci = others_last();
	struct latch latch = { .open = 0 };
	bool early, direct;
	int timed;

	if (direct_alone(2))
		return;
	waiter.where = xc_unicast(XC_HARD, latch_hold, &latch, NULL, ci);
	direct = direct_is(waiter.where, ci);
	(void)calls_spin_until(&latch.begun, 1);
	timed = xc_timedwait(waiter.where, DIRECT_SHORT_NS);
	crew_start(&waiter.job, curcpu(), PRI_KERNEL, direct_cancel, &waiter);
	kthread_sleep_ns(DIRECT_SHORT_NS);
	early = atomic_load_explicit(&waiter.job.done, memory_order_acquire) != 0 ||
	    xc_done(waiter.where);
	latch_open(&latch);
	crew_join(&waiter.job);
	T_ASSERT(direct && !early && timed == ETIMEDOUT);
	T_ASSERT(waiter.result == 0 && waiter.withdrawn == 0 && xc_wait(waiter.where) == 0);
	T_ASSERT(direct_await_free(ci));
}

TEST_CASE(xcall_direct, a_wait_that_gives_up_leaves_it_live)
{
	struct cpu_info *ci = others_last();
	struct masked masked;
	int first, second;
	uint64_t where;

	if (direct_alone(2))
		return;
	direct_reset();
	masked_begin(&masked, ci);
	where = direct_post(XC_HARD, 1, ci);
	first = xc_timedwait(where, 1000000);
	second = xc_timedwait(where, 0);
	masked_end(&masked);
	T_ASSERT(direct_is(where, ci) && first == ETIMEDOUT && second == ETIMEDOUT);
	T_ASSERT_EQ(xc_timedwait(where, DIRECT_HANG_NS), 0);
	T_ASSERT(direct_right(1));
}

/* Counts in plain memory: good only while the call may run. */
static void
direct_count(void *arg1, void *arg2 __attribute__((unused)))
{
	++*(uint64_t *)arg1;
}

/* Every CPU, its neighbour: withdrawn or run, one of them. */
static void
direct_racer(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1, wrong = 0;

	for (unsigned i = 0; i < DIRECT_RACES; i++) {
		unsigned withdrawn = 0;
		uint64_t ran = 0, where;

		where = xc_unicast(XC_HARD, direct_count, &ran, NULL, calls_next_cpu());
		for (uint64_t spin = crew_random(&random) % 200; spin != 0; spin--)
			machine_pause();
		wrong += xc_cancel(where, &withdrawn) != 0;
		wrong += ran + withdrawn != 1;
		wrong += xc_wait(where) != (withdrawn != 0 ? ECANCELED : 0);
	}
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_direct, cancel_and_begin_race_and_one_wins)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	bool free = true;

	for (unsigned i = 0; i < ncpu; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, direct_racer, (void *)(uintptr_t)i);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	for (unsigned i = 0; i < ncpu; i++)
		free = direct_await_free(cpu_lookup(i)) && free;
	T_ASSERT(free);
}
