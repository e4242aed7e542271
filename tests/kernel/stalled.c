/*
 * CPUs and calls that stand still on purpose, and waits that report soon.
 */
#include "tests/kernel/stalled.h"

#include <stddef.h>

#include "kernel/printf.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/test.h"
#include "xcall/xc_stall.h"

static struct xc_stall_settings stalled_before;
struct xc_stats stalled_stats;
uint64_t stalled_resent, stalled_stalls;
_Atomic uint64_t stalled_ran;

void
stalled_count_up(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&stalled_ran, 1, memory_order_release);
}

void
stalled_begin(uint64_t warn_ns, bool resend)
{
	xc_stall_settings(&stalled_before);
	xc_stall_config(warn_ns, 0, resend, true);
	xc_stats(curcpu(), &stalled_stats);
	stalled_resent = stalled_stats.resent;
	stalled_stalls = stalled_stats.stalls;
	atomic_store_explicit(&stalled_ran, 0, memory_order_relaxed);
	overhear_watch("xcall: CPU");
	overhear_begin();
}

void
stalled_end(void)
{
	overhear_end();
	xc_stall_config(stalled_before.warn_ns, stalled_before.panic_ns, stalled_before.resend,
	    stalled_before.nmi);
	xc_stats(curcpu(), &stalled_stats);
	stalled_resent = stalled_stats.resent - stalled_resent;
	stalled_stalls = stalled_stats.stalls - stalled_stalls;
}

struct cpu_info *
stalled_target(unsigned cpus)
{
	if (ncpu >= cpus)
		return cpu_lookup(ncpu - 1);
	test_skip("needs more CPUs");
	return NULL;
}

bool
stalled_said_cpu(const struct cpu_info *ci, const char *words)
{
	char line[160];

	snprintf(line, sizeof(line), "  CPU %u%s", ci->ci_index, words);
	return overhear_has(line);
}

void
stalled_pass(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

void
stalled_pass_too(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

void
stalled_spin_in_nmi(void *arg1, void *arg2 __attribute__((unused)))
{
	struct masked *masked = arg1;

	atomic_store_explicit(&masked->inside, 1, memory_order_release);
	while (atomic_load_explicit(&masked->release, memory_order_acquire) == 0)
		machine_pause();
}
