/*
 * A run of torture: phases, each with another CPU that comes and goes or with none; the line of
 * each second; the verdict.
 *
 * After each phase everything is settled, and the sums must agree: functions that have begun are
 * those that the records tell of, no slot, credit or board is missing.
 */
#include "tests/kernel/torture.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/printf.h"
#include "tests/kernel/fault.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/torture_special.h"
#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_status.h"

/* The shortest phase, and how many a run is divided into at least. */
#define TORTURE_PHASE_NS 1500000000ull
#define TORTURE_LOOK_NS 20000000ull
/* Hang detectors: an actor that makes no step; the plug's thread, which may wait for the restart of
 * a CPU. */
#define TORTURE_HANG_NS 45000000000ull
#define TORTURE_PLUG_HANG_NS 60000000000ull
#define TORTURE_SETTLE_NS 2000000000ull
/* As in xcall/xc_slot.c. */
#define TORTURE_BOARDS_FREE ((1u << 8) - 1)

static struct {
	uint64_t seed, began_ns, second, ends_ns;
	unsigned seconds, phase;
	struct crew_job plug;
	_Atomic uint64_t plug_stop;
	bool hung;
} torture;

static uint64_t
torture_counts(unsigned first, unsigned n)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < n; i++)
		sum += torture_counted((enum torture_counter)(first + i));
	return sum;
}

static uint64_t
torture_calls(void)
{
	return torture_counts(TORTURE_POSTED_CLASS, XC_CLASSES);
}

/* --- the CPU that comes and goes -------------------------------------------------------------- */

static void
torture_step_plug(void)
{
	atomic_fetch_add_explicit(&torture_plugged, 1, memory_order_seq_cst);
}

static void
torture_plug(void *arg __attribute__((unused)))
{
	struct torture_dice dice = { torture_hash(torture.seed ^ ~(uint64_t)torture.phase) };
	struct cpu_info *victim = cpu_lookup(torture_victim);

	while (atomic_load_explicit(&torture.plug_stop, memory_order_relaxed) == 0) {
		torture_step_plug();
		if (!plug_set(victim, false))
			torture_wrong("a CPU cannot go offline", 0, torture_victim, 0);
		torture_step_plug();
		delay_us(torture_below(&dice, 2000));
		torture_step_plug();
		if (!plug_set(victim, true))
			torture_wrong("a CPU does not come back", 0, torture_victim, 0);
		torture_step_plug();
		torture_count(TORTURE_CYCLES, 1);
		kthread_sleep_ns(torture_below(&dice, 20000) * UINT64_C(1000));
	}
}

/* --- the sums --------------------------------------------------------------------------------- */

static bool
torture_pool_whole(const struct xc_cpu *xc)
{
	static const int room[XC_CREDITS] = { XC_ROOM_SLEEP, XC_ROOM_HARD, XC_ROOM_NMI };
	bool whole = atomic_load_explicit(&xc->x_free, memory_order_relaxed) == XC_ALL_FREE &&
	    atomic_load_explicit(&xc->x_boards, memory_order_relaxed) == TORTURE_BOARDS_FREE;

	for (unsigned c = 0; c < XC_CREDITS; c++)
		whole = whole &&
		    atomic_load_explicit(&xc->x_credit[c], memory_order_relaxed) == room[c];
	for (unsigned level = 0; level < XC_LEVELS; level++)
		whole = whole &&
		    atomic_load_explicit(&xc->x_live[level], memory_order_relaxed) == 0;
	return whole;
}

static void
torture_check_sums(void)
{
	uint64_t ran = torture_counted(TORTURE_RAN), judged = torture_counted(TORTURE_JUDGED);
	uint64_t end = clock_ns() + TORTURE_SETTLE_NS;
	struct cpu_info *ci;

	if (ran != judged || torture_calls() != torture_counted(TORTURE_WAITS))
		torture_wrong("the sums differ: functions that began, and those of the ledger", 0,
		    ran, judged);
	CPU_INFO_FOREACH(ci) {
		/* Who gave a slot back last may not have come to its end; others may call too. */
		while (!torture_pool_whole(ci->ci_xcall) && clock_ns() < end)
			kthread_sleep_ns(1000000);
		if (!torture_pool_whole(ci->ci_xcall))
			torture_wrong(
			    "slots, credits or boards of a CPU are missing, all calls over", 0,
			    ci->ci_index, 0);
	}
}

/* --- what is said ----------------------------------------------------------------------------- */

static void
torture_say(void)
{
	uint64_t passed = clock_ns() - torture.began_ns;

	if (passed / 1000000000 < torture.second)
		return;
	torture.second = passed / 1000000000 + 1;
	printf(
	    "torture: %lu/%u s: %lu low, %lu soft, %lu hard, %lu nmi; %lu cancels, %lu timeouts, "
	    "%lu hotplug cycles\n",
	    passed / 1000000000, torture.seconds, torture_counted(TORTURE_POSTED_CLASS),
	    torture_counted(TORTURE_POSTED_CLASS + XC_CLASS_SOFT),
	    torture_counted(TORTURE_POSTED_CLASS + XC_CLASS_HARD),
	    torture_counted(TORTURE_POSTED_CLASS + XC_CLASS_NMI), torture_counted(TORTURE_CANCELS),
	    torture_counted(TORTURE_TIMEOUTS), torture_counted(TORTURE_CYCLES));
}

static void
torture_verdict(void)
{
	static const struct {
		const char *name;
		enum torture_counter counter;
	} words[] = { { "unicast", TORTURE_POSTED_WAY + TORTURE_UNICAST },
		{ "broadcast", TORTURE_POSTED_WAY + TORTURE_BROADCAST },
		{ "multicast", TORTURE_POSTED_WAY + TORTURE_MULTICAST },
		{ "any", TORTURE_POSTED_WAY + TORTURE_ANY },
		{ "cond", TORTURE_POSTED_WAY + TORTURE_COND },
		{ "descriptor", TORTURE_POSTED_WAY + TORTURE_DESCRIPTOR },
		{ "low", TORTURE_POSTED_CLASS + XC_CLASS_LOW },
		{ "soft", TORTURE_POSTED_CLASS + XC_CLASS_SOFT },
		{ "hard", TORTURE_POSTED_CLASS + XC_CLASS_HARD },
		{ "nmi", TORTURE_POSTED_CLASS + XC_CLASS_NMI }, { "ran", TORTURE_RAN },
		{ "waited", TORTURE_WAITS }, { "withdrawn", TORTURE_WITHDRAWN },
		{ "cancels", TORTURE_CANCELS }, { "late_cancels", TORTURE_LATE },
		{ "timeouts", TORTURE_TIMEOUTS }, { "busy", TORTURE_BUSY },
		{ "down", TORTURE_DOWN }, { "passed_over", TORTURE_PASSED },
		{ "ready", TORTURE_READY }, { "nested", TORTURE_NESTED },
		{ "barriers", TORTURE_BARRIERS }, { "drains", TORTURE_DRAINS },
		{ "ipis", TORTURE_IPIS }, { "stops", TORTURE_STOPS }, { "masks", TORTURE_MASKS },
		{ "cycles", TORTURE_CYCLES } };
	char text[1024];
	int n = 0;

	for (unsigned i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		n += snprintf(text + n, sizeof(text) - (size_t)n, ",\"%s\":%lu", words[i].name,
		    torture_counted(words[i].counter));
	printf(
	    "TORTURE {\"pass\":%s,\"seed\":%lu,\"cpus\":%u,\"ms\":%lu,\"violations\":%u,\"calls\":%lu%s}\n",
	    torture_wrongs() == 0 ? "true" : "false", torture.seed, ncpu,
	    (clock_ns() - torture.began_ns) / 1000000, torture_wrongs(), torture_calls(), text);
}

static void
torture_hang(const struct torture_actor *actor)
{
	struct cpu_info *ci;

	torture.hung = true;
	torture_wrong("an actor does not move", 0, actor->number / TORTURE_ACTORS,
	    actor->number % TORTURE_ACTORS);
	printf("torture: thread %u of CPU %u does not move, in: %s\n",
	    actor->number % TORTURE_ACTORS, actor->number / TORTURE_ACTORS,
	    atomic_load_explicit(&actor->doing, memory_order_relaxed));
	CPU_INFO_FOREACH(ci)
		xc_dump(ci);
}

/* --- a run ------------------------------------------------------------------------------------ */

static void
torture_watch(uint64_t until)
{
	const struct torture_actor *stuck;

	while (clock_ns() < until && torture_wrongs() == 0) {
		kthread_sleep_ns(TORTURE_LOOK_NS);
		torture_say();
		stuck = torture_actors_stuck(TORTURE_HANG_NS);
		if (stuck != NULL)
			torture_hang(stuck);
	}
}

/* In one phase of three, one of the others. */
static void
torture_choose_victim(void)
{
	struct torture_dice dice = { torture_hash(torture.seed + torture.phase) };

	torture_victim = ncpu < 2 || torture.phase % 3 != 1 ? TORTURE_NOBODY
							    : 1 + torture_below(&dice, ncpu - 1);
	atomic_store_explicit(&torture_plugged, 0, memory_order_seq_cst);
}

static void
torture_close(void)
{
	const struct torture_actor *stuck = torture_actors_stop(TORTURE_HANG_NS);

	if (stuck != NULL && !torture.hung)
		torture_hang(stuck);
	atomic_store_explicit(&torture.plug_stop, 1, memory_order_relaxed);
	if (torture_victim != TORTURE_NOBODY) {
		if (crew_reached(&torture.plug.done, 1,
			torture.hung ? TORTURE_HANG_NS : TORTURE_PLUG_HANG_NS)) {
			crew_join(&torture.plug);
		} else {
			torture.hung = true;
			torture_wrong("a CPU neither goes nor comes", 0, torture_victim, 0);
		}
	}
	if (torture.hung || torture_wrongs() != 0)
		return;
	torture_actors_close();
	torture_special_close();
	torture_check_sums();
}

static void
torture_phase(void)
{
	uint64_t phase = (uint64_t)torture.seconds * 1000000000 / 20;
	uint64_t until = clock_ns() + (phase > TORTURE_PHASE_NS ? phase : TORTURE_PHASE_NS);

	torture_choose_victim();
	atomic_store_explicit(&torture.plug_stop, 0, memory_order_relaxed);
	/* Who sleeps without a tick is woken by nothing, not to report either: no rings where
	 * interrupts get lost. */
	torture_actors_start(torture.phase % 3 == 2 && !fault_rescues());
	if (torture_victim != TORTURE_NOBODY)
		crew_start(&torture.plug, cpu_lookup(0), PRI_KERNEL, torture_plug, NULL);
	torture_watch(until < torture.ends_ns ? until : torture.ends_ns);
	torture_close();
	torture.phase++;
}

bool
torture_run(unsigned seconds, uint64_t seed)
{
	if (ncpu > TORTURE_CPUS) {
		printf("torture: at most %u CPUs\n", TORTURE_CPUS);
		return false;
	}
	torture.seed = seed;
	torture.seconds = seconds;
	torture.phase = 0;
	torture.second = 0;
	torture.hung = false;
	torture.began_ns = clock_ns();
	torture.ends_ns = torture.began_ns + (uint64_t)seconds * 1000000000;
	torture_count_reset();
	/* Without the periodic look for chains, which would also mend a lost wake-up. */
	xc_chain_set_period(3600000000000ull);
	torture_ledger_begin();
	torture_children_begin();
	torture_special_begin();
	torture_actors_create(seed);
	while (clock_ns() < torture.ends_ns && torture_wrongs() == 0)
		torture_phase();
	/* After a violation records may still be used. */
	if (torture_wrongs() == 0) {
		torture_actors_destroy();
		torture_special_end();
		torture_children_end();
		torture_ledger_end();
	}
	xc_chain_set_period(XC_CHAIN_PERIOD_NS);
	torture_print_wrongs(seed);
	torture_verdict();
	return torture_wrongs() == 0;
}
