/*
 * Where a CPU stands in the machine: its APIC id, split as CPUID says (SDM vol. 3, 9.9.3).
 *
 * The id has one field a level, the thread lowest.  In order of preference their widths come from
 *	- leaf 0x1f, else 0xb: each subleaf names a level and how far to shift the id to get the one
 *	  above (SDM vol. 2, CPUID);
 *	- AMD: leaf 0x80000008, threads of a package or the width of their field, and leaf
 *	  0x8000001e, threads of a core (AMD64 manual vol. 3, E.4.7 and E.4.15);
 *	- leaves 1 and 4: ids that a package takes, and its cores; rounded up to powers of two (SDM
 *	  vol. 3, 9.9.3).
 * A level between core and package (module, tile, die) counts as part of the package.
 */
#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"

#define TOPOLOGY_LEAF_CACHE 4
#define TOPOLOGY_LEAF 0xb
#define TOPOLOGY_LEAF_V2 0x1f
#define TOPOLOGY_EXTENDED 0x80000000u
#define TOPOLOGY_AMD_FEATURES 0x80000001u
#define TOPOLOGY_AMD_SIZES 0x80000008u
#define TOPOLOGY_AMD_CORE 0x8000001eu
/* CPUID.80000001:ECX, TopologyExtensions: leaf 0x8000001e is there. */
#define TOPOLOGY_AMD_HAS_CORE (1u << 22)
/* CPUID.1:EDX, HTT: a package may take more than one id. */
#define TOPOLOGY_HTT (1u << 28)

/* More subleaves than any machine has levels: a bound for CPUs that answer nonsense. */
#define TOPOLOGY_LEVELS 16
/* Level types of leaves 0xb and 0x1f. */
enum { TOPOLOGY_NONE = 0, TOPOLOGY_SMT = 1 };

/* Widths: of the thread's field, and of thread and core together. */
struct topology_widths {
	unsigned thread, package;
};

/* The bits that `count` ids take. */
static unsigned
topology_bits(unsigned count)
{
	unsigned bits = 0;

	while (bits < 31 && (1u << bits) < count)
		bits++;
	return bits;
}

static bool
topology_read_leaf(uint32_t leaf, struct topology_widths *w)
{
	struct cpuid_regs r;

	if (cpuid(0, 0).eax < leaf || cpuid(leaf, 0).ebx == 0)
		return false;
	for (unsigned level = 0; level < TOPOLOGY_LEVELS; level++) {
		r = cpuid(leaf, level);
		if ((r.ecx >> 8 & 0xff) == TOPOLOGY_NONE)
			break;
		if ((r.ecx >> 8 & 0xff) == TOPOLOGY_SMT)
			w->thread = r.eax & 0x1f;
		w->package = r.eax & 0x1f;
	}
	return true;
}

/* AMD before leaf 0xb: where there is no leaf 4. */
static bool
topology_read_amd(struct topology_widths *w)
{
	uint32_t max = cpuid(TOPOLOGY_EXTENDED, 0).eax, sizes;

	if (max < TOPOLOGY_AMD_SIZES ||
	    (cpuid(0, 0).eax >= TOPOLOGY_LEAF_CACHE && cpuid(TOPOLOGY_LEAF_CACHE, 0).eax != 0))
		return false;
	sizes = cpuid(TOPOLOGY_AMD_SIZES, 0).ecx;
	w->package = sizes >> 12 & 0xf;
	if (w->package == 0)
		w->package = topology_bits((sizes & 0xff) + 1);
	if (max >= TOPOLOGY_AMD_CORE &&
	    (cpuid(TOPOLOGY_AMD_FEATURES, 0).ecx & TOPOLOGY_AMD_HAS_CORE) != 0)
		w->thread = topology_bits((cpuid(TOPOLOGY_AMD_CORE, 0).ebx >> 8 & 0xff) + 1);
	return true;
}

/* Intel before leaf 0xb; before leaf 4 too, all ids of a package were threads of one core. */
static void
topology_read_intel(struct topology_widths *w)
{
	unsigned cores = 0;

	w->package = topology_bits(cpuid(1, 0).ebx >> 16 & 0xff);
	if (cpuid(0, 0).eax >= TOPOLOGY_LEAF_CACHE)
		cores = topology_bits((cpuid(TOPOLOGY_LEAF_CACHE, 0).eax >> 26) + 1);
	w->thread = w->package > cores ? w->package - cores : 0;
}

void
cpu_read_topology(struct cpu_info *ci)
{
	struct topology_widths w = { 0, 0 };
	uint32_t id = ci->ci_apicid;

	if (!topology_read_leaf(TOPOLOGY_LEAF_V2, &w) && !topology_read_leaf(TOPOLOGY_LEAF, &w) &&
	    (cpuid(1, 0).edx & TOPOLOGY_HTT) != 0 && !topology_read_amd(&w))
		topology_read_intel(&w);
	ci->ci_package_id = id >> w.package;
	ci->ci_core_id = (id & ((1u << w.package) - 1)) >> w.thread;
	ci->ci_smt_id = id & ((1u << w.thread) - 1);
}
