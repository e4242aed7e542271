/*
 * Cross calls for tests.
 */
#include "tests/kernel/calls.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/ipl.h"
#include "kernel/lwp.h"
#include "tests/kernel/crew.h"

/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define CALLS_HANG_NS 60000000000ull

unsigned
calls_flags(enum xc_level level)
{
	switch (level) {
	case XC_LEVEL_LOW:
		return 0;
	case XC_LEVEL_SOFTCLOCK:
		return XC_HIGHPRI_IPL(IPL_SOFTCLOCK);
	case XC_LEVEL_SOFTBIO:
		return XC_HIGHPRI_IPL(IPL_SOFTBIO);
	case XC_LEVEL_SOFTNET:
		return XC_HIGHPRI_IPL(IPL_SOFTNET);
	case XC_LEVEL_SOFTSERIAL:
		return XC_HIGHPRI;
	case XC_LEVEL_HARD:
		return XC_HARD;
	default:
		return XC_NMI;
	}
}

static bool
calls_in_server(const struct cpu_info *ci)
{
	const lwp_t *l = ci->ci_curlwp;

	return !cpu_softintr_p() && machine_intr_enabled() && ci->ci_spin_depth == 0 &&
	    ci->ci_nopreempt == 0 && l->l_xcall == ci->ci_xcall && l->l_pri == PRI_XCALL &&
	    l->l_cpu == ci;
}

bool
calls_context_is(enum xc_level level)
{
	const struct cpu_info *ci = curcpu();

	if (cpu_nmi_p() || level == XC_LEVEL_NMI)
		return cpu_nmi_p() && level == XC_LEVEL_NMI && !machine_intr_enabled();
	if (cpu_intr_p() || level == XC_LEVEL_HARD)
		return cpu_intr_p() && level == XC_LEVEL_HARD && !machine_intr_enabled();
	if (level == XC_LEVEL_LOW)
		return calls_in_server(ci);
	/* Both count the soft levels from 1. */
	return cpu_softintr_p() && machine_intr_enabled() &&
	    ci->ci_softint.sic_level == (unsigned)level;
}

struct cpu_info *
calls_next_cpu(void)
{
	return cpu_lookup((curcpu()->ci_index + 1) % ncpu);
}

/* --- probes ----------------------------------------------------------------------------------- */

void
probe_init(struct probe *probe, enum xc_level level)
{
	probe->on = crew_alloc(ncpu, sizeof(*probe->on));
	probe_reset(probe, level);
}

void
probe_free(struct probe *probe)
{
	crew_free((void *)(uintptr_t)probe->on, ncpu, sizeof(*probe->on));
}

void
probe_reset(struct probe *probe, enum xc_level level)
{
	probe->level = level;
	atomic_store_explicit(&probe->ran, 0, memory_order_relaxed);
	atomic_store_explicit(&probe->wrong, 0, memory_order_relaxed);
	for (unsigned i = 0; i < ncpu; i++)
		atomic_store_explicit(&probe->on[i], 0, memory_order_relaxed);
}

void
probe_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct probe *probe = arg1;

	if (!calls_context_is(probe->level))
		atomic_fetch_add_explicit(&probe->wrong, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&probe->on[curcpu()->ci_index], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&probe->ran, 1, memory_order_release);
}

uint64_t
probe_ran(const struct probe *probe)
{
	return atomic_load_explicit(&probe->ran, memory_order_acquire);
}

uint64_t
probe_ran_on(const struct probe *probe, const struct cpu_info *ci)
{
	return atomic_load_explicit(&probe->on[ci->ci_index], memory_order_acquire);
}

bool
probe_right(const struct probe *probe, uint64_t n, uint64_t each)
{
	bool right = probe_ran(probe) == n &&
	    atomic_load_explicit(&probe->wrong, memory_order_relaxed) == 0;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		right = right && (each == 0 || probe_ran_on(probe, ci) == each);
	return right;
}

/* --- latches ---------------------------------------------------------------------------------- */

void
latch_hold(void *arg1, void *arg2 __attribute__((unused)))
{
	struct latch *latch = arg1;

	atomic_fetch_add_explicit(&latch->begun, 1, memory_order_release);
	while (atomic_load_explicit(&latch->open, memory_order_acquire) == 0)
		machine_pause();
}

void
latch_open(struct latch *latch)
{
	atomic_store_explicit(&latch->open, 1, memory_order_release);
}

/* --- waiting ---------------------------------------------------------------------------------- */

bool
calls_wait_all(const uint64_t *where, unsigned n)
{
	bool all = true;

	for (unsigned i = 0; i < n; i++)
		all = !XC_ISERR(where[i]) && xc_wait(where[i]) == 0 && all;
	return all;
}

bool
calls_spin_until(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_ns() + CALLS_HANG_NS;

	while (atomic_load_explicit(counter, memory_order_acquire) < value) {
		if (clock_ns() > end)
			return false;
		machine_pause();
	}
	return true;
}
