/*
 * Channel 0 of the 8254 interval timer as a free-running counter (Intel 8254 data sheet).
 *
 * Mode 2 with the largest reload value counts all 16 bits down and begins again, each 54.9 ms; its
 * output only goes to interrupt lines that are masked.  It is read by a latch command and two port
 * reads.  Channel 2, the customary choice, is gated through port 0x61, which small virtual machines
 * do not have and where a missing port looks like a window that ends at once.
 */
#include <stddef.h>

#include "kernel/x86/io.h"
#include "kernel/x86/refclock.h"

#define PIT_CHANNEL0 0x40
#define PIT_COMMAND 0x43
#define PIT_LATCH_CHANNEL0 0x00
/* Channel 0, low byte then high byte, mode 2, binary. */
#define PIT_SET_CHANNEL0_MODE2 0x34

/* A twelfth of 14.31818 MHz. */
#define PIT_HZ 1193182
#define PIT_MASK 0xffff

static uint64_t
pit_read(void)
{
	unsigned low, high;

	outb(PIT_COMMAND, PIT_LATCH_CHANNEL0);
	low = inb(PIT_CHANNEL0);
	high = inb(PIT_CHANNEL0);
	return high << 8 | low;
}

void
pit_probe(const struct platform *pl __attribute__((unused)), struct refclock *rc, const char **why)
{
	*rc = (struct refclock){
		.name = "PIT",
		.mask = PIT_MASK,
		.counts_down = true,
		.read = pit_read,
	};
	outb(PIT_COMMAND, PIT_SET_CHANNEL0_MODE2);
	/* A reload value of 0 stands for 65536. */
	outb(PIT_CHANNEL0, 0);
	outb(PIT_CHANNEL0, 0);
	*why = refclock_check(rc);
	if (*why == NULL)
		rc->hz = PIT_HZ;
}
