/*
 * The high-precision event timer (IA-PC HPET specification 1.0a, 2.3): a counter of at least 10 MHz
 * that tells its own period.
 */
#include <stddef.h>

#include "kernel/x86/io.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/platform.h"
#include "kernel/x86/refclock.h"

/* Register offsets. */
#define HPET_CAPABILITIES 0x000
#define HPET_PERIOD 0x004
#define HPET_CONFIGURATION 0x010
#define HPET_COUNTER_LOW 0x0f0
#define HPET_COUNTER_HIGH 0x0f4
#define HPET_TIMER_CONFIGURATION(n) (0x100 + 0x20 * (uintptr_t)(n))
/* All registers of as many timers as there can be. */
#define HPET_BYTES HPET_TIMER_CONFIGURATION(32)

#define HPET_TIMERS(capabilities) (((capabilities) >> 8 & 0x1f) + 1)
#define HPET_COUNTER_64BIT (1u << 13)
#define HPET_ENABLE (1u << 0)
#define HPET_LEGACY_ROUTE (1u << 1)
#define HPET_TIMER_INTERRUPT (1u << 2)
#define HPET_TIMER_MESSAGE (1u << 14)

/* The period is in femtoseconds.  The specification allows up to 100 ns; below 1 ns is no HPET
 * either. */
#define HPET_FS_PER_S 1000000000000000ull
#define HPET_PERIOD_MAX 100000000u
#define HPET_PERIOD_MIN 1000000u

static uintptr_t hpet_base;

static uint64_t
hpet_read_32bit(void)
{
	return mmio_read32(hpet_base + HPET_COUNTER_LOW);
}

/* Two halves, because a 64-bit access may be split on its way to the chip.  When the high half
 * changed meanwhile, the low half is read again: it has just wrapped and cannot do so twice. */
static uint64_t
hpet_read_64bit(void)
{
	uint32_t high = mmio_read32(hpet_base + HPET_COUNTER_HIGH);
	uint32_t low = mmio_read32(hpet_base + HPET_COUNTER_LOW);
	uint32_t high_after = mmio_read32(hpet_base + HPET_COUNTER_HIGH);

	if (high_after != high)
		low = mmio_read32(hpet_base + HPET_COUNTER_LOW);
	return (uint64_t)high_after << 32 | low;
}

/* The comparators may have been left to interrupt, even by message past all IOAPICs; then the
 * counter is let run. */
static void
hpet_start(uint32_t capabilities)
{
	for (unsigned i = 0; i < HPET_TIMERS(capabilities); i++) {
		uintptr_t reg = hpet_base + HPET_TIMER_CONFIGURATION(i);

		mmio_write32(reg, mmio_read32(reg) & ~(HPET_TIMER_INTERRUPT | HPET_TIMER_MESSAGE));
	}
	mmio_write32(hpet_base + HPET_CONFIGURATION,
	    (mmio_read32(hpet_base + HPET_CONFIGURATION) & ~HPET_LEGACY_ROUTE) | HPET_ENABLE);
}

/* Fills in all but the frequency, which *hz gets. */
static const char *
hpet_attach(const struct platform *pl, struct refclock *rc, uint64_t *hz)
{
	uint32_t capabilities, period;

	if (pl->hpet_address == 0)
		return "the tables name none";
	if (!paging_map_identity(pl->hpet_address, HPET_BYTES, PAGING_UNCACHED))
		return "its registers cannot be mapped";
	hpet_base = pl->hpet_address;
	capabilities = mmio_read32(hpet_base + HPET_CAPABILITIES);
	period = mmio_read32(hpet_base + HPET_PERIOD);
	if (capabilities == 0xffffffff)
		return "nothing answers at its address";
	if (period < HPET_PERIOD_MIN || period > HPET_PERIOD_MAX)
		return "its period is outside 1 to 100 ns";
	hpet_start(capabilities);
	if ((capabilities & HPET_COUNTER_64BIT) != 0) {
		rc->mask = UINT64_MAX;
		rc->read = hpet_read_64bit;
	} else {
		rc->mask = UINT32_MAX;
		rc->read = hpet_read_32bit;
	}
	*hz = (HPET_FS_PER_S + period / 2) / period;
	return NULL;
}

void
hpet_probe(const struct platform *pl, struct refclock *rc, const char **why)
{
	uint64_t hz = 0;

	*rc = (struct refclock){ .name = "HPET" };
	*why = hpet_attach(pl, rc, &hz);
	if (*why == NULL)
		*why = refclock_check(rc);
	if (*why == NULL)
		rc->hz = hz;
}
