/*
 * What CPUID says about the TSC's frequency (SDM vol. 2, CPUID leaves 15H and 16H).
 *
 * A claim, no measurement: the crystal's frequency is often left out, leaf 16H is the nominal
 * figure in whole MHz, and under a hypervisor either may describe another machine.
 */
#include <stddef.h>

#include "kernel/scale.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/refclock.h"

#define CPUID_CLOCK_LEAF_CRYSTAL 0x15
#define CPUID_CLOCK_LEAF_NOMINAL 0x16
#define CPUID_CLOCK_HZ_PER_MHZ 1000000
#define CPUID_CLOCK_MHZ_MASK 0xffff

/* Beyond the highest leaf a CPU answers with another leaf's data. */
static bool
cpuid_clock_leaf(uint32_t leaf, struct cpuid_regs *r)
{
	if (cpuid(0, 0).eax < leaf)
		return false;
	*r = cpuid(leaf, 0);
	return true;
}

uint64_t
cpuid_clock_crystal(const char **why)
{
	struct cpuid_regs r;

	*why = NULL;
	if (!cpuid_clock_leaf(CPUID_CLOCK_LEAF_CRYSTAL, &r))
		*why = "this CPU has no such leaf";
	else if (r.eax == 0 || r.ebx == 0)
		*why = "the leaf gives no ratio";
	else if (r.ecx == 0)
		*why = "the leaf gives no crystal frequency";
	return *why == NULL ? scale_once(r.ecx, r.eax, r.ebx) : 0;
}

uint64_t
cpuid_clock_nominal(const char **why)
{
	struct cpuid_regs r;

	*why = NULL;
	if (!cpuid_clock_leaf(CPUID_CLOCK_LEAF_NOMINAL, &r))
		*why = "this CPU has no such leaf";
	else if ((r.eax & CPUID_CLOCK_MHZ_MASK) == 0)
		*why = "the leaf gives no base frequency";
	return *why == NULL ? (uint64_t)(r.eax & CPUID_CLOCK_MHZ_MASK) * CPUID_CLOCK_HZ_PER_MHZ : 0;
}
