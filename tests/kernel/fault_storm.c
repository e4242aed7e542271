/*
 * Calls of every kind by all CPUs, under a fault that strikes again and again.
 *
 * One thread a CPU posts one call after the other and waits for each; the ledger judges it
 * (torture_ledger.h).  Another thread a CPU strikes, where the fault is not one of the transport.
 */
#include "tests/kernel/fault_storm.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/printf.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/fault.h"
#include "tests/kernel/test.h"
#include "tests/kernel/torture_ledger.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_status.h"

/* Without faults= on the command line. */
#define STORM_STRIKES 5u
#define STORM_STRIKES_MAX 1000000u
/* Hang detectors: what a strike may take on a host that is busy; what the calls of a wait may. */
#define STORM_STRIKE_NS 500000000ull
#define STORM_HANG_NS 60000000000ull
/* Between two strikes of a thread, at most. */
#define STORM_PAUSE_NS 2000000u

struct storm_actor {
	struct crew_job job, striker;
	uint64_t calls;
	struct torture_call call;
};

static struct storm_actor *storm_actors;
static const struct fault_storm *storm_now;
static _Atomic uint64_t storm_stop, storm_strikes;

/* How often the fault is to strike. */
static uint64_t
storm_strikes_wanted(void)
{
	uint64_t n = STORM_STRIKES;

	(void)!cmdline_number("faults", 1, STORM_STRIKES_MAX, &n);
	return n;
}

static uint64_t
storm_done(void)
{
	return storm_now->strike != NULL
	    ? atomic_load_explicit(&storm_strikes, memory_order_relaxed)
	    : fault_done(0);
}

/* Strikes before there are calls, when threads are started, hit nothing. */
static bool
storm_goes_on(uint64_t strikes)
{
	return (storm_done() < strikes || torture_counted(TORTURE_WAITS) < strikes) &&
	    torture_wrongs() == 0;
}

static enum xc_level
storm_level(struct torture_dice *dice)
{
	unsigned levels = storm_now->levels;
	enum xc_level level;

	do
		level = (enum xc_level)torture_below(dice, XC_LEVELS);
	while (levels != 0 && (levels >> level & 1) == 0);
	return level;
}

static void
storm_step(struct storm_actor *actor, struct torture_dice *dice)
{
	static const uint8_t ways[] = { TORTURE_UNICAST, TORTURE_UNICAST, TORTURE_UNICAST,
		TORTURE_MULTICAST, TORTURE_BROADCAST, TORTURE_DESCRIPTOR };
	enum torture_way way = (enum torture_way)ways[torture_below(dice, sizeof(ways))];
	uint64_t all = torture_all();
	uint64_t set = way == TORTURE_UNICAST || way == TORTURE_DESCRIPTOR
	    ? UINT64_C(1) << torture_below(dice, ncpu)
	    : torture_throw(dice) & all;
	uint64_t tag = (uint64_t)(curcpu()->ci_index + 1) << 40 | ++actor->calls;
	enum xc_level level = storm_level(dice);

	if (level == XC_LEVEL_NMI && way == TORTURE_DESCRIPTOR)
		way = TORTURE_UNICAST;
	actor->call.nests = false;
	if (torture_post(&actor->call, tag, way, calls_flags(level), set != 0 ? set : all, dice))
		torture_finish(&actor->call);
}

static void
storm_actor_run(void *arg)
{
	struct storm_actor *actor = arg;
	struct torture_dice dice = { torture_hash(curcpu()->ci_index + 1) };

	while (atomic_load_explicit(&storm_stop, memory_order_relaxed) == 0)
		storm_step(actor, &dice);
}

static void
storm_striker_run(void *arg __attribute__((unused)))
{
	struct torture_dice dice = { torture_hash(~(uint64_t)curcpu()->ci_index) };

	while (atomic_load_explicit(&storm_stop, memory_order_relaxed) == 0) {
		storm_now->strike(&dice);
		atomic_fetch_add_explicit(&storm_strikes, 1, memory_order_relaxed);
		kthread_sleep_ns(torture_below(&dice, STORM_PAUSE_NS));
	}
}

static void
storm_start(void)
{
	struct cpu_info *ci;

	atomic_store_explicit(&storm_stop, 0, memory_order_relaxed);
	atomic_store_explicit(&storm_strikes, 0, memory_order_relaxed);
	storm_actors = crew_alloc(ncpu, sizeof(*storm_actors));
	torture_count_reset();
	torture_ledger_begin();
	CPU_INFO_FOREACH(ci) {
		struct storm_actor *actor = &storm_actors[ci->ci_index];

		crew_start(&actor->job, ci, PRI_USER, storm_actor_run, actor);
		if (storm_now->strike != NULL)
			crew_start(&actor->striker, ci, PRI_KERNEL, storm_striker_run, NULL);
	}
}

static void
storm_hang(unsigned cpu)
{
	struct cpu_info *ci;

	printf("  # the calls of CPU %u do not end\n", cpu);
	CPU_INFO_FOREACH(ci)
		xc_dump(ci);
}

/* Whether all calls have ended. */
static bool
storm_end(void)
{
	atomic_store_explicit(&storm_stop, 1, memory_order_relaxed);
	for (unsigned i = 0; i < ncpu; i++) {
		struct storm_actor *actor = &storm_actors[i];

		if (!crew_reached(&actor->job.done, 1, STORM_HANG_NS)) {
			storm_hang(i);
			return false;
		}
		crew_join(&actor->job);
		if (storm_now->strike != NULL)
			crew_join(&actor->striker);
	}
	crew_free(storm_actors, ncpu, sizeof(*storm_actors));
	torture_ledger_end();
	return true;
}

static uint64_t
storm_announced(void)
{
	struct xc_stats stats;
	struct cpu_info *ci;
	uint64_t sum = 0;

	CPU_INFO_FOREACH(ci) {
		xc_stats(ci, &stats);
		sum += stats.resent;
	}
	return sum;
}

static void
storm_stall_config(const struct xc_stall_settings *before)
{
	if (storm_now->warn_ms != 0)
		xc_stall_config(storm_now->warn_ms * 1000000ull, before->panic_ns, true, false);
}

bool
fault_storm(const struct fault_storm *storm, const char *name)
{
	uint64_t strikes = storm_strikes_wanted(), done, announced = storm_announced();
	const char *wrong = storm->rules != NULL ? fault_begin(storm->rules) : NULL;
	struct xc_stall_settings before;
	bool ended;
	uint64_t end = clock_ns() + STORM_HANG_NS + strikes * STORM_STRIKE_NS;

	if (wrong != NULL) {
		printf("  # %s: %s\n", storm->rules, wrong);
		return false;
	}
	storm_now = storm;
	xc_stall_settings(&before);
	storm_stall_config(&before);
	storm_start();
	while (storm_goes_on(strikes) && clock_ns() < end)
		kthread_sleep_ns(1000000);
	done = storm_done();
	ended = storm_end();
	if (storm->rules != NULL)
		fault_end();
	xc_stall_config(before.warn_ns, before.panic_ns, before.resend, before.nmi);
	torture_print_wrongs(0);
	printf("  # %s: %lu strikes, %lu calls, %lu announced again\n", name, done,
	    torture_counted(TORTURE_WAITS), storm_announced() - announced);
	return done >= strikes && ended && torture_wrongs() == 0 &&
	    torture_counted(TORTURE_RAN) == torture_counted(TORTURE_JUDGED);
}
