/*
 * The ACPI power-management timer (ACPI 6.4, 4.8.3.3): 24 or 32 bits that count up at a quarter of
 * the colour-television frequency.
 */
#include <stddef.h>

#include "kernel/x86/io.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/platform.h"
#include "kernel/x86/refclock.h"

#define PMTIMER_HZ 3579545
#define PMTIMER_MASK_24BIT 0xffffffu
#define PMTIMER_MASK_32BIT 0xffffffffu
#define PMTIMER_PORT_MAX 0xfffc
#define PMTIMER_READ_TRIES 16

static struct platform_register pmtimer_register;
static uint32_t pmtimer_mask;

static uint32_t
pmtimer_read_once(void)
{
	return pmtimer_mask &
	    (pmtimer_register.space == PLATFORM_REG_IO ? inl((uint16_t)pmtimer_register.address)
						       : mmio_read32(pmtimer_register.address));
}

/* Some chips latch the counter while it changes, so one reading may be garbage (Intel PIIX4
 * specification update): the middle one of three in order is not. */
static uint64_t
pmtimer_read(void)
{
	uint32_t first = pmtimer_read_once(), second = pmtimer_read_once(), third;

	for (unsigned i = 0; i < PMTIMER_READ_TRIES; i++) {
		third = pmtimer_read_once();
		if (((second - first) & pmtimer_mask) <= pmtimer_mask / 2 &&
		    ((third - second) & pmtimer_mask) <= pmtimer_mask / 2)
			break;
		first = second;
		second = third;
	}
	return second;
}

static const char *
pmtimer_attach(const struct platform *pl)
{
	const struct platform_register *reg = &pl->pm_timer;

	if (reg->space == PLATFORM_REG_NONE)
		return "the tables name none";
	if (reg->space == PLATFORM_REG_IO && reg->address > PMTIMER_PORT_MAX)
		return "its port number is out of range";
	if (reg->space == PLATFORM_REG_MEMORY &&
	    !paging_map_identity(reg->address, sizeof(uint32_t), PAGING_UNCACHED))
		return "its register cannot be mapped";
	pmtimer_register = *reg;
	pmtimer_mask = pl->pm_timer_32bit ? PMTIMER_MASK_32BIT : PMTIMER_MASK_24BIT;
	return NULL;
}

void
pmtimer_probe(const struct platform *pl, struct refclock *rc, const char **why)
{
	*rc = (struct refclock){ .name = "PM timer" };
	*why = pmtimer_attach(pl);
	if (*why != NULL)
		return;
	rc->mask = pmtimer_mask;
	rc->read = pmtimer_read;
	*why = refclock_check(rc);
	if (*why == NULL)
		rc->hz = PMTIMER_HZ;
}
