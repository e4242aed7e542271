/*
 * The table of scenarios.
 */
#include <stddef.h>

#include "tests/host/sim/mix.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/special.h"
#include "xcall/xcall.h"

static const struct scenario scenarios[] = {
	{ .name = "low", .what = "threads", .run = mix_run, .variant = MIX_LOW, .weight = 4 },
	{ .name = "soft", .what = "soft interrupts", .run = mix_run, .variant = MIX_SOFT, .weight = 3 },
	{ .name = "hard", .what = "hard interrupts", .run = mix_run, .variant = MIX_HARD, .weight = 4 },
	{ .name = "nmi", .what = "NMIs", .run = mix_run, .variant = MIX_NMI, .weight = 3 },
	{ .name = "levels", .what = "all levels", .run = mix_run, .variant = MIX_LEVELS, .weight = 4 },
	{ .name = "sets", .what = "broadcast, multicast, any of a set", .run = mix_run, .variant = MIX_SETS, .weight = 5 },
	{ .name = "descriptors", .what = "calls in memory of the caller's", .run = mix_run, .variant = MIX_DESCRIPTOR,
	    .weight = 5 },
	{ .name = "cancel", .what = "withdrawing calls in every state", .run = mix_run, .variant = MIX_CANCEL,
	    .weight = 5 },
	{ .name = "timed", .what = "waits that give up", .run = mix_run, .variant = MIX_TIMED, .weight = 4 },
	{ .name = "nested", .what = "functions that post and wait", .run = mix_run, .variant = MIX_NESTED, .weight = 4 },
	{ .name = "lazy", .what = "posts without an interrupt", .run = mix_run, .variant = MIX_LAZY, .weight = 3 },
	{ .name = "all", .what = "all of that", .run = mix_run, .variant = MIX_ALL, .weight = 6 },
	{ .name = "ring-low", .what = "mutual calls, low", .run = special_ring, .variant = SPECIAL_RING_LOW, .weight = 2 },
	{ .name = "ring-hard", .what = "mutual calls with interrupts off", .run = special_ring,
	    .variant = SPECIAL_RING_HARD, .weight = 2 },
	{ .name = "ring-nested", .what = "calls that are passed on", .run = special_ring,
	    .variant = SPECIAL_RING_NESTED, .weight = 3 },
	{ .name = "exhaust", .what = "more calls than slots", .run = special_exhaust, .weight = 4 },
	{ .name = "order", .what = "rows of calls to one target, from interrupts too", .run = special_order,
	    .weight = 4 },
	{ .name = "reuse", .what = "slots used again, stale tickets", .run = special_reuse, .weight = 5 },
	{ .name = "churn", .what = "one slot, posted and withdrawn", .run = special_churn, .weight = 5 },
	{ .name = "sleep", .what = "waits that sleep", .run = special_sleep, .weight = 5 },
	{ .name = "wide", .what = "targets in two groups", .run = special_wide, .weight = 1, .cpus = 18,
	    .steps = 20 },
	{ .name = "waiters", .what = "several threads wait for one call", .run = special_waiters, .weight = 3 },
	{ .name = "hotplug", .what = "a CPU that comes and goes", .run = hotplug_run, .weight = 6 },
	{ .name = "ipi", .what = "ipi(9)", .run = gather_ipi, .weight = 4 },
	{ .name = "rendezvous", .what = "phases in step, hard calls in between", .run = gather_rendezvous, .weight = 4 },
	{ .name = "stop", .what = "stop-machine", .run = gather_stop, .weight = 2 },
	{ .name = "barrier", .what = "xc_barrier", .run = hotplug_barrier, .weight = 2 },
	{ .name = "drain", .what = "xc_drain", .run = hotplug_drain, .weight = 2 },
	{ .name = "cases", .what = "the cases of tests/kernel/test_xcall*.c", .run = cases_run, .weight = 1,
	    .clocked = true },
	{ .name = "pair-low", .what = "for strategy=all: two calls, low", .run = special_pair, .variant = 0 },
	{ .name = "pair-hard", .what = "the same, hard", .run = special_pair, .variant = XC_HARD },
	{ .name = "pair-soft", .what = "the same, soft", .run = special_pair, .variant = XC_HIGHPRI },
	{ .name = "pair-nmi", .what = "the same, NMI", .run = special_pair, .variant = XC_NMI },
};

const struct scenario *
scenario_number(unsigned number)
{
	return number < sizeof(scenarios) / sizeof(scenarios[0]) ? &scenarios[number] : NULL;
}
