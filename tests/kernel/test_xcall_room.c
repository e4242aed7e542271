/*
 * Room for calls: it runs out for each class of levels by itself, threads sleep for it, others are
 * told, and all of it comes back.
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
#include "xcall/xc_internal.h"
#include "xcall/xc_status.h"

/* One level of each class, and its room. */
static const struct room_class {
	enum xc_level level;
	unsigned room;
	enum xc_class class;
} room_classes[] = {
	{ XC_LEVEL_LOW, XC_ROOM_SLEEP, XC_CLASS_LOW },
	{ XC_LEVEL_SOFTNET, XC_ROOM_SLEEP, XC_CLASS_SOFT },
	{ XC_LEVEL_HARD, XC_ROOM_HARD, XC_CLASS_HARD },
	{ XC_LEVEL_NMI, XC_ROOM_NMI, XC_CLASS_NMI },
};
#define ROOM_CLASSES 4

static bool
room_alone(void)
{
	if (ncpu == 1)
		test_skip("needs another CPU");
	return ncpu == 1;
}

/* All of the class's room on this CPU, in calls that the last CPU has begun or cannot begin. */
struct room {
	struct latch latch;
	struct masked masked;
	uint64_t where[XC_ROOM_SLEEP];
	unsigned n;
};

static void
room_fill(struct room *room, const struct room_class *class)
{
	unsigned flags = calls_flags(class->level) | XC_TRY;
	uint64_t where;

	*room = (struct room){ .n = 0 };
	masked_begin(&room->masked, others_last());
	/* One more than there is: the last one says so. */
	while (
	    !XC_ISERR(where = xc_unicast(flags, latch_hold, &room->latch, NULL, others_last())) &&
	    room->n < XC_ROOM_SLEEP)
		room->where[room->n++] = where;
}

static bool
room_empty(struct room *room)
{
	bool right;

	latch_open(&room->latch);
	masked_release(&room->masked);
	right = calls_wait_all(room->where, room->n);
	masked_end(&room->masked);
	return right;
}

static uint64_t
room_full(struct cpu_info *ci, const struct room_class *class)
{
	struct xc_stats stats;

	xc_stats(ci, &stats);
	return stats.full[class->class];
}

/* Sleeps until so many posts of that CPU have found no room. */
static void
room_wait_full(struct cpu_info *ci, const struct room_class *class, uint64_t full)
{
	while (room_full(ci, class) < full)
		kthread_sleep_ns(1000000);
}

TEST_CASE(xcall_room, each_class_has_its_room_and_no_more_and_counts_refusals)
{
	unsigned wrong = 0;
	struct room room;

	if (room_alone())
		return;
	for (unsigned c = 0; c < ROOM_CLASSES; c++) {
		const struct room_class *class = &room_classes[c];
		uint64_t before = room_full(curcpu(), class);

		room_fill(&room, class);
		wrong += room.n != class->room || room_full(curcpu(), class) != before + 1;
		wrong += xc_unicast(calls_flags(class->level) | XC_TRY, latch_hold, &room.latch,
			     NULL, curcpu()) != XC_ERROR(EBUSY);
		wrong += room_full(curcpu(), class) != before + 2;
		wrong += !room_empty(&room);
	}
	T_ASSERT_EQ(wrong, 0);
}

TEST_CASE(xcall_room, no_class_takes_the_room_of_another)
{
	struct probe probe;
	unsigned wrong = 0;
	struct room room;

	if (room_alone())
		return;
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned c = 0; c < ROOM_CLASSES; c++) {
		room_fill(&room, &room_classes[c]);
		for (unsigned level = 0; level < XC_LEVELS; level++) {
			uint64_t where;

			if (xc_slot_credit(level) == xc_slot_credit(room_classes[c].level))
				continue;
			probe_reset(&probe, level);
			where = xc_unicast(
			    calls_flags(level) | XC_TRY, probe_run, &probe, NULL, curcpu());
			wrong += XC_ISERR(where) || xc_wait(where) != 0 ||
			    !probe_right(&probe, 1, 0);
		}
		wrong += !room_empty(&room);
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* --- threads sleep ---------------------------------------------------------------------------- */

#define ROOM_POSTERS 6

struct room_poster {
	enum xc_level level;
	bool broadcast;
	struct probe *probe;
	_Atomic uint64_t posted;
	struct crew_job job;
};

static void
room_poster(void *arg)
{
	struct room_poster *p = arg;
	unsigned flags = calls_flags(p->level);
	uint64_t where = p->broadcast ? xc_broadcast(flags, probe_run, p->probe, NULL)
				      : xc_unicast(flags, probe_run, p->probe, NULL, curcpu());

	atomic_store_explicit(&p->posted, 1, memory_order_release);
	T_ASSERT(!XC_ISERR(where));
	T_ASSERT_EQ(xc_wait(where), 0);
}

/* Posters of the class's level, of higher priority than the counter, which moves: they sleep. */
static unsigned
room_sleepers(const struct room_class *class)
{
	static struct room_poster poster[ROOM_POSTERS];
	unsigned wrong = 0, broadcasts = ROOM_POSTERS / 2;
	struct counter counter;
	struct probe probe;
	struct room room;
	uint64_t full;

	probe_init(&probe, class->level);
	room_fill(&room, class);
	full = room_full(curcpu(), class);
	counter_begin(&counter, curcpu());
	for (unsigned i = 0; i < ROOM_POSTERS; i++) {
		poster[i].level = class->level;
		poster[i].broadcast = i % 2 != 0;
		poster[i].probe = &probe;
		atomic_store_explicit(&poster[i].posted, 0, memory_order_relaxed);
		crew_start(
		    &poster[i].job, curcpu(), PRI_KERNEL + (pri_t)i, room_poster, &poster[i]);
	}
	room_wait_full(curcpu(), class, full + ROOM_POSTERS);
	wrong += !counter_moves(&counter);
	counter_end(&counter);
	for (unsigned i = 0; i < ROOM_POSTERS; i++)
		wrong += atomic_load_explicit(&poster[i].posted, memory_order_acquire) != 0;
	wrong += probe_ran(&probe) != 0 || !room_empty(&room);
	for (unsigned i = 0; i < ROOM_POSTERS; i++)
		crew_join(&poster[i].job);
	wrong += !probe_right(&probe, ROOM_POSTERS - broadcasts + broadcasts * ncpu, 0);
	probe_free(&probe);
	return wrong;
}

TEST_CASE(xcall_room, threads_sleep_until_there_is_room)
{
	if (room_alone())
		return;
	for (unsigned c = 0; c < ROOM_CLASSES; c++)
		T_ASSERT_EQ(room_sleepers(&room_classes[c]), 0);
}

/* Room comes back by a cancel as well, without a word from the target. */
TEST_CASE(xcall_room, a_cancel_makes_room_and_wakes_who_sleeps_for_it)
{
	static struct room_poster poster;
	unsigned withdrawn = 0;
	struct probe probe;
	struct room room;
	bool woken;

	if (room_alone())
		return;
	probe_init(&probe, XC_LEVEL_LOW);
	room_fill(&room, &room_classes[0]);
	poster = (struct room_poster){ .probe = &probe };
	crew_start(&poster.job, curcpu(), PRI_KERNEL, room_poster, &poster);
	kthread_sleep_ns(20000000);
	(void)xc_cancel(room.where[--room.n], &withdrawn);
	woken = test_wait_at_least(&poster.job.done, 1);
	crew_join(&poster.job);
	woken = room_empty(&room) && woken && probe_right(&probe, 1, 0);
	probe_free(&probe);
	T_ASSERT(withdrawn == 1 && woken);
}

/* Lets go of a room once a post of that CPU has found none. */
struct room_releaser {
	struct room *room;
	const struct room_class *class;
	struct cpu_info *of;
	uint64_t full;
	struct crew_job job;
};

static void
room_releaser(void *arg)
{
	struct room_releaser *r = arg;

	room_wait_full(r->of, r->class, r->full + 1);
	latch_open(&r->room->latch);
	masked_release(&r->room->masked);
}

/* Without preemption a thread cannot sleep: it tries again and again. */
TEST_CASE(xcall_room, hard_and_nmi_posts_without_preemption_try_until_there_is_room)
{
	static struct room_releaser releaser;
	unsigned wrong = 0;
	struct probe probe;
	struct room room;
	uint64_t where;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned c = 2; c < ROOM_CLASSES; c++) {
		probe_reset(&probe, room_classes[c].level);
		room_fill(&room, &room_classes[c]);
		releaser = (struct room_releaser){ &room, &room_classes[c], .of = curcpu() };
		releaser.full = room_full(curcpu(), releaser.class);
		crew_start(&releaser.job, cpu_lookup(1), PRI_KERNEL, room_releaser, &releaser);
		kpreempt_disable();
		where = xc_unicast(
		    calls_flags(releaser.class->level), probe_run, &probe, NULL, curcpu());
		kpreempt_enable();
		crew_join(&releaser.job);
		wrong += XC_ISERR(where) || xc_wait(where) != 0 || !room_empty(&room);
		wrong += !probe_right(&probe, 1, 0) ||
		    room_full(curcpu(), releaser.class) != releaser.full + 1;
	}
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* --- boards ----------------------------------------------------------------------------------- */

/* Calls with targets in more than one group need a board each: 4 of low and soft, 3 of hard, 1 of
 * NMI calls. */
static unsigned
room_boards(const struct room_class *class, unsigned boards)
{
	unsigned flags = calls_flags(class->level) | XC_TRY, n = 0, wrong = 0;
	uint64_t where[XC_ROOM_SLEEP], more;
	struct latch latch = { .open = 0 };
	struct masked masked;

	masked_begin(&masked, others_last());
	while (n < boards + 1 &&
	    !XC_ISERR(more = xc_broadcast(flags | XC_NOSELF, latch_hold, &latch, NULL)))
		where[n++] = more;
	wrong += n != boards;
	/* One group is enough for those. */
	more = xc_unicast(flags, latch_hold, &(struct latch){ .open = 1 }, NULL, curcpu());
	wrong += XC_ISERR(more) || xc_wait(more) != 0;
	latch_open(&latch);
	masked_release(&masked);
	wrong += !calls_wait_all(where, n);
	masked_end(&masked);
	return wrong;
}

static void
room_wide_poster(void *arg)
{
	for (unsigned i = 0; i < 12; i++)
		T_ASSERT_EQ(xc_wait(xc_broadcast(0, probe_run, arg, NULL)), 0);
}

TEST_CASE(xcall_room, wide_calls_have_boards_of_their_own)
{
	static const unsigned boards[ROOM_CLASSES] = { 4, 4, 3, 1 };
	struct crew_job job[XC_ROOM_SLEEP / 4];
	enum { JOBS = sizeof(job) / sizeof(job[0]) };
	unsigned wrong = 0;
	struct probe probe;

	if (ncpu <= XC_GROUP_CPUS) {
		test_skip("needs more CPUs than a group has");
		return;
	}
	for (unsigned c = 0; c < ROOM_CLASSES; c++)
		wrong += room_boards(&room_classes[c], boards[c]);
	T_ASSERT_EQ(wrong, 0);
	/* More posters than boards: all get one in turn. */
	probe_init(&probe, XC_LEVEL_LOW);
	for (unsigned i = 0; i < JOBS; i++)
		crew_start(&job[i], curcpu(), PRI_KERNEL, room_wide_poster, &probe);
	for (unsigned i = 0; i < JOBS; i++)
		crew_join(&job[i]);
	wrong += !probe_right(&probe, 12ull * JOBS * ncpu, 12ull * JOBS);
	probe_free(&probe);
	T_ASSERT_EQ(wrong, 0);
}

/* --- a storm ---------------------------------------------------------------------------------- */

#define ROOM_STORM_THREADS 3
#define ROOM_STORM_CALLS ROUNDS(60)

static _Atomic uint64_t room_storm_expected, room_storm_refused;
static struct probe room_storm_probe[XC_LEVELS];

/* Far more in flight than there is room for, from several threads of each CPU; some posts only
 * try. */
static void
room_storm_thread(void *arg)
{
	uint64_t random = (uintptr_t)arg + 1, where[ROOM_STORM_CALLS];
	unsigned n = 0;

	for (unsigned i = 0; i < ROOM_STORM_CALLS; i++) {
		uint64_t r = crew_random(&random);
		enum xc_level level = r % XC_LEVELS;
		unsigned flags = calls_flags(level) | (r / 16 % 4 == 0 ? XC_TRY : 0);

		where[n] = xc_unicast(flags, probe_run, &room_storm_probe[level], NULL,
		    cpu_lookup((unsigned)(r / 64 % ncpu)));
		if (where[n] == XC_ERROR(EBUSY) && (flags & XC_TRY) != 0)
			atomic_fetch_add_explicit(&room_storm_refused, 1, memory_order_relaxed);
		else
			n++;
	}
	atomic_fetch_add_explicit(&room_storm_expected, n, memory_order_relaxed);
	T_ASSERT(calls_wait_all(where, n));
}

/* Whether all slots, boards and credits of the CPU are there. */
static bool
room_is_whole(const struct cpu_info *ci)
{
	const struct xc_cpu *xc = ci->ci_xcall;

	for (unsigned c = 0; c < XC_CREDITS; c++)
		if (atomic_load_explicit(&xc->x_wanted[c], memory_order_relaxed) != 0)
			return false;
	return atomic_load_explicit(&xc->x_free, memory_order_relaxed) == XC_ALL_FREE &&
	    atomic_load_explicit(&xc->x_credit[XC_CREDIT_SLEEP], memory_order_relaxed) ==
	    XC_ROOM_SLEEP &&
	    atomic_load_explicit(&xc->x_credit[XC_CREDIT_HARD], memory_order_relaxed) ==
	    XC_ROOM_HARD &&
	    atomic_load_explicit(&xc->x_credit[XC_CREDIT_NMI], memory_order_relaxed) ==
	    XC_ROOM_NMI &&
	    atomic_load_explicit(&xc->x_boards, memory_order_relaxed) == 0xff;
}

TEST_CASE(xcall_room, resources_that_run_out_push_back_and_drop_nothing)
{
	unsigned n = ncpu * ROOM_STORM_THREADS;
	struct crew_job *job = crew_alloc(n, sizeof(*job));
	uint64_t ran = 0;
	bool right = true;

	atomic_store_explicit(&room_storm_expected, 0, memory_order_relaxed);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		probe_init(&room_storm_probe[level], level);
	for (unsigned i = 0; i < n; i++)
		crew_start(&job[i], cpu_lookup(i % ncpu), PRI_KERNEL, room_storm_thread,
		    (void *)(uintptr_t)i);
	for (unsigned i = 0; i < n; i++)
		crew_join(&job[i]);
	crew_free(job, n, sizeof(*job));
	for (unsigned level = 0; level < XC_LEVELS; level++) {
		right = right &&
		    probe_right(&room_storm_probe[level], probe_ran(&room_storm_probe[level]), 0);
		ran += probe_ran(&room_storm_probe[level]);
		probe_free(&room_storm_probe[level]);
	}
	T_ASSERT(right);
	T_ASSERT_EQ(ran, atomic_load_explicit(&room_storm_expected, memory_order_relaxed));
	/* Now and then a thread may still be on its way out of its sleep. */
	kthread_sleep_ns(20000000);
	for (unsigned i = 0; i < ncpu; i++)
		T_ASSERT(room_is_whole(cpu_lookup(i)));
}
