/*
 * Bringing a LAPIC to a known state.
 *
 * Background
 *
 *	Firmware hands over LAPICs in any state: enabled or not, local vectors open, a periodic
 *	timer still counting behind a mask, a task priority that blocks, an interrupt in service
 *	that its handler never ended, x2APIC mode on.  So every register that matters here is
 *	written, on every CPU.
 *
 * Implementation
 *
 *	In x2APIC mode the memory-mapped registers are gone, and reading them gives garbage.  Hence
 *	IA32_APIC_BASE decides before the first access, and each further CPU is checked by the same
 *	register: the mode is a state of the CPU, not of the machine.
 *
 *	While the LAPIC is disabled by software it ignores attempts to unmask a local vector (SDM
 *	vol. 3, 11.4.7.2): the spurious-vector register comes first.  A local vector is masked with
 *	a valid vector in it, because writing an illegal one is an error even when masked, and the
 *	error's own comes first, so that none is delivered meanwhile.  The error status is cleared,
 *	then the error vector opened.
 *
 *	An interrupt left in service blocks its class and all below until an EOI: one EOI for each.
 *	One that is only requested cannot be withdrawn.  It comes when interrupts go on; every
 *	handler accepts that nothing is due, and an unclaimed vector is counted.  Rejected: opening
 *	interrupts here for a moment to get rid of them, because this CPU may have no thread to
 *	return to yet.
 */
#include "kernel/x86/apic.h"

#include <stdatomic.h>

#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/platform.h"

/* CPUID.1:EDX. */
#define APIC_CPUID_EDX (1u << 9)
#define APIC_CPUID_EXTENDED 0x80000000u
#define APIC_CPUID_ADDRESS_SIZES 0x80000008u
/* Width of physical addresses where CPUID does not tell (SDM vol. 3, 4.1.4). */
#define APIC_ADDRESS_BITS 36

/* 256 vectors, 32 in each register, registers 16 bytes apart. */
#define APIC_VECTOR_REGS 8
#define APIC_VECTOR_REG_STEP 0x10
/* No more than one interrupt of each vector can be in service. */
#define APIC_DRAIN_MAX 256

#define APIC_VERSION_MAX_LVT(v) ((v) >> 16 & 0xff)
/* Flat model; unused, destinations are physical. */
#define APIC_DFR_FLAT 0xffffffffu

#define APIC_UID_ALL 0xffffffffu
/* MPS INTI flags: polarity (MultiProcessor Specification 1.4, table 4-10). */
#define APIC_INTI_POLARITY 3
#define APIC_INTI_ACTIVE_LOW 3

/* After that many errors a CPU stops reporting: a device with an illegal vector repeats for
 * ever. */
#define APIC_ERROR_REPORTS 8

const struct apic_ops *apic;

static uint64_t apic_base;

static uint64_t
apic_address_mask(void)
{
	unsigned bits = APIC_ADDRESS_BITS;

	if (cpuid(APIC_CPUID_EXTENDED, 0).eax >= APIC_CPUID_ADDRESS_SIZES)
		bits = cpuid(APIC_CPUID_ADDRESS_SIZES, 0).eax & 0xff;
	return (((uint64_t)1 << bits) - 1) & ~(uint64_t)(PAGE_BYTES - 1);
}

const char *
apic_init(const struct platform *pl)
{
	uint64_t msr;

	/* The flag is also clear while the LAPIC is globally disabled (SDM vol. 3, 11.4.3). */
	if ((cpuid(1, 0).edx & APIC_CPUID_EDX) == 0)
		return "CPUID reports no local APIC: it is absent, or the firmware disabled it.";
	msr = rdmsr(APIC_BASE_MSR);
	if ((msr & APIC_BASE_ENABLE) == 0)
		return "The firmware left the local APIC globally disabled (IA32_APIC_BASE bit 11).";
	if ((msr & APIC_BASE_X2APIC) != 0)
		return "The firmware left the local APIC in x2APIC mode (IA32_APIC_BASE bit 10), "
		       "which this kernel cannot drive; switch x2APIC off in the firmware's setup.";
	apic_base = msr & apic_address_mask();
	if (!paging_map_identity(apic_base, PAGE_BYTES, PAGING_UNCACHED))
		return "The local APIC's registers cannot be mapped.";
	if (pl->lapic_address != 0 && pl->lapic_address != apic_base)
		printf(
		    "apic: the tables place the local APIC at %#lx, the CPU at %#lx, which holds\n",
		    pl->lapic_address, apic_base);
	apic = xapic_init(apic_base);
	return NULL;
}

const char *
apic_check_cpu(void)
{
	uint64_t msr = rdmsr(APIC_BASE_MSR);

	if ((msr & APIC_BASE_ENABLE) == 0)
		return "local APIC globally disabled";
	if ((msr & APIC_BASE_X2APIC) != 0)
		return "local APIC in x2APIC mode, the boot CPU's is not";
	if ((msr & apic_address_mask()) != apic_base)
		return "local APIC at another address than the boot CPU's";
	return NULL;
}

/* Masks all local vectors there are (SDM vol. 3, 11.4.8: max LVT entry). */
static void
apic_mask_local(void)
{
	/* By the number of entries at which each is there. */
	static const struct {
		unsigned max_lvt, reg;
	} local[] = {
		{ 3, APIC_REG_LVT_ERROR },
		{ 0, APIC_REG_LVT_TIMER },
		{ 0, APIC_REG_LVT_LINT0 },
		{ 0, APIC_REG_LVT_LINT1 },
		{ 4, APIC_REG_LVT_PERF },
		{ 5, APIC_REG_LVT_THERMAL },
		{ 6, APIC_REG_LVT_CMCI },
	};
	unsigned max_lvt = APIC_VERSION_MAX_LVT(apic->read(APIC_REG_VERSION));

	for (unsigned i = 0; i < sizeof(local) / sizeof(local[0]); i++)
		if (max_lvt >= local[i].max_lvt)
			apic->write(local[i].reg, APIC_LVT_MASKED | INTR_VECTOR_SPURIOUS);
	apic->write(APIC_REG_TIMER_INITIAL, 0);
}

/* Opens the pins that the tables say carry NMI.  An NMI is edge-triggered whatever the trigger bit
 * says (SDM vol. 3, 11.5.1), so only the polarity is taken over. */
static void
apic_open_nmi(const struct platform *pl, uint32_t acpi_uid)
{
	for (unsigned i = 0; i < pl->nnmis && i < PLATFORM_MAX_NMIS; i++) {
		const struct platform_nmi *nmi = &pl->nmi[i];
		uint32_t lvt = APIC_NMI << APIC_LVT_DELIVERY_SHIFT;

		if (nmi->lint > 1 || (nmi->acpi_uid != APIC_UID_ALL && nmi->acpi_uid != acpi_uid))
			continue;
		if ((nmi->flags & APIC_INTI_POLARITY) == APIC_INTI_ACTIVE_LOW)
			lvt |= APIC_LVT_ACTIVE_LOW;
		apic->write(nmi->lint == 0 ? APIC_REG_LVT_LINT0 : APIC_REG_LVT_LINT1, lvt);
	}
}

/* Vectors whose bit is set in the eight registers from `reg` on. */
static unsigned
apic_count_vectors(unsigned reg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < APIC_VECTOR_REGS; i++)
		for (uint32_t bits = apic->read(reg + i * APIC_VECTOR_REG_STEP); bits != 0;
		     bits &= bits - 1)
			n++;
	return n;
}

static unsigned
apic_drain(void)
{
	unsigned ended = 0;

	while (apic_count_vectors(APIC_REG_ISR) != 0 && ended < APIC_DRAIN_MAX) {
		apic->write(APIC_REG_EOI, 0);
		ended++;
	}
	return ended + apic_count_vectors(APIC_REG_IRR);
}

/* Reads and clears the error status. */
static uint32_t
apic_errors(void)
{
	uint32_t errors;

	/* The write makes the register show what was collected since the last write (SDM vol. 3,
	 * 11.5.3); a second one empties what is shown. */
	apic->write(APIC_REG_ESR, 0);
	errors = apic->read(APIC_REG_ESR);
	apic->write(APIC_REG_ESR, 0);
	return errors;
}

unsigned
apic_init_cpu(const struct platform *pl, uint32_t acpi_uid)
{
	const char *wrong = apic_check_cpu();
	unsigned stale;

	KASSERT(!machine_intr_enabled());
	if (wrong != NULL)
		panic("CPU with ACPI uid %u: %s", acpi_uid, wrong);
	apic->write(APIC_REG_SVR, APIC_SVR_ENABLE | INTR_VECTOR_SPURIOUS);
	apic_mask_local();
	apic->write(APIC_REG_DFR, APIC_DFR_FLAT);
	apic->write(APIC_REG_LDR, 0);
	apic->write(APIC_REG_TPR, 0);
	stale = apic_drain();
	apic_open_nmi(pl, acpi_uid);
	(void)apic_errors();
	apic->write(APIC_REG_LVT_ERROR, INTR_VECTOR_ERROR);
	return stale;
}

void
apic_silence(void)
{
	unsigned tries = 0;

	KASSERT(!machine_intr_enabled());
	apic_mask_local();
	while (apic_count_vectors(APIC_REG_IRR) != 0 && tries++ < APIC_DRAIN_MAX) {
		machine_intr_restore(true);
		machine_pause(); /* STI holds interrupts back for one instruction */
		machine_intr_disable();
	}
	if (tries > APIC_DRAIN_MAX)
		printf("apic: CPU %u: an interrupt that nothing takes is dropped\n",
		    curcpu()->ci_index);
	apic->write(APIC_REG_SVR, INTR_VECTOR_SPURIOUS);
}

static void
apic_error_intr(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	static _Atomic unsigned reports;
	uint32_t errors = apic_errors();
	/* Relaxed: a bound on the noise, it orders nothing. */
	unsigned n = atomic_fetch_add_explicit(&reports, 1, memory_order_relaxed);

	if (n < APIC_ERROR_REPORTS)
		printf("apic: CPU %u: error status %#x\n", curcpu()->ci_index, errors);
	else
		apic->write(APIC_REG_LVT_ERROR, APIC_LVT_MASKED | INTR_VECTOR_ERROR);
}

static void
apic_spurious_intr(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	/* Raised when an interrupt was masked while being delivered (SDM vol. 3, 11.9).  Nothing is
	 * due, and the dispatcher counts it. */
}

void
apic_establish(void)
{
	intr_establish(INTR_VECTOR_ERROR, apic_error_intr, NULL, "lapic error");
	intr_establish(INTR_VECTOR_SPURIOUS, apic_spurious_intr, NULL, "lapic spurious");
}
