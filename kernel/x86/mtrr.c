/*
 * Memory type range registers.
 *
 * Background.  The firmware sets them on every CPU; INIT keeps them on hardware, and resets them on
 * some emulators.  CPUs that disagree about the type of a page break the coherence of caches (Intel
 * SDM vol. 3, 12.11.8: all processors must have the same MTRR values).
 *
 * Implementation.  The boot CPU's values are saved as a list of MSR and value.  An AP compares, and
 * where something differs writes the whole list between the steps that 12.11.8 prescribes: caches
 * off and flushed, TLB flushed, MTRRs disabled, written, and the same back.  Only the AP itself
 * runs with caches off meanwhile: it is not part of the running system yet.
 *
 * Limits.  A CPU with no MTRRs, or one whose list is longer than MTRR_MAX, is left as it is.
 */
#include "kernel/x86/mtrr.h"

#include <stdint.h>

#include "kernel/x86/cpu.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/trap.h"

/* SDM vol. 3, 12.11.1 and 12.11.2. */
#define MTRR_MSR_CAP 0xfe
#define MTRR_MSR_BASE0 0x200
#define MTRR_MSR_DEF_TYPE 0x2ff
#define MTRR_CAP_FIXED (1u << 8)
#define MTRR_DEF_ENABLE (1u << 11)
#define MTRR_CR0_CD (1ull << 30)
/* 11 fixed ranges and up to 32 pairs. */
#define MTRR_MAX 80u

struct mtrr_value {
	uint32_t msr;
	uint64_t value;
};

static struct mtrr_value mtrr_saved[MTRR_MAX];
static unsigned mtrr_count;
static uint64_t mtrr_def_type;

static void
mtrr_add(uint32_t msr)
{
	uint64_t value;

	if (mtrr_count < MTRR_MAX && trap_rdmsr(msr, &value))
		mtrr_saved[mtrr_count++] = (struct mtrr_value){ msr, value };
}

void
mtrr_save(void)
{
	static const uint16_t fixed[] = { 0x250, 0x258, 0x259, 0x268, 0x269, 0x26a, 0x26b, 0x26c,
		0x26d, 0x26e, 0x26f };
	uint64_t cap;

	if (!cpu_has_mtrr())
		return;
	cap = rdmsr(MTRR_MSR_CAP);
	mtrr_def_type = rdmsr(MTRR_MSR_DEF_TYPE);
	for (uint32_t i = 0; i < 2 * (cap & 0xff); i++)
		mtrr_add(MTRR_MSR_BASE0 + i);
	for (unsigned i = 0; (cap & MTRR_CAP_FIXED) != 0 && i < sizeof(fixed) / sizeof(fixed[0]);
	     i++)
		mtrr_add(fixed[i]);
}

static bool
mtrr_same(void)
{
	uint64_t value;

	if (rdmsr(MTRR_MSR_DEF_TYPE) != mtrr_def_type)
		return false;
	for (unsigned i = 0; i < mtrr_count; i++) {
		if (!trap_rdmsr(mtrr_saved[i].msr, &value) || value != mtrr_saved[i].value)
			return false;
	}
	return true;
}

static void
mtrr_flush(void)
{
	uint64_t cr3;

	__asm__ volatile("wbinvd; movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
}

bool
mtrr_match(void)
{
	uint64_t cr0;

	if (!cpu_has_mtrr() || mtrr_same())
		return false;
	__asm__ volatile("movq %%cr0, %0" : "=r"(cr0));
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0 | MTRR_CR0_CD) : "memory");
	mtrr_flush();
	wrmsr(MTRR_MSR_DEF_TYPE, mtrr_def_type & ~(uint64_t)MTRR_DEF_ENABLE);
	for (unsigned i = 0; i < mtrr_count; i++)
		trap_wrmsr(mtrr_saved[i].msr, mtrr_saved[i].value);
	wrmsr(MTRR_MSR_DEF_TYPE, mtrr_def_type);
	mtrr_flush();
	__asm__ volatile("movq %0, %%cr0" : : "r"(cr0) : "memory");
	return true;
}
