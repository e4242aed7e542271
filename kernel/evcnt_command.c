/*
 * The monitor's view of the event counters and of the interrupts.
 */
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/evcnt.h"
#include "kernel/intr.h"
#include "kernel/printf.h"

static void
evcnt_command_print(const struct evcnt *ev, void *arg __attribute__((unused)))
{
	printf("%12lu  %s %s\n", evcnt_read(ev), ev->ev_group, ev->ev_name);
}

COMMAND(evcnt, "", "event counters, and interrupts by vector")
{
	uint64_t count;

	evcnt_foreach(evcnt_command_print, NULL);
	for (unsigned vector = 0; vector < CPU_VECTORS; vector++) {
		count = intr_count(vector);
		if (count != 0)
			printf("%12lu  interrupt vector %#x\n", count, vector);
	}
	printf("%12lu  interrupt unclaimed\n", intr_unclaimed());
	return 0;
}
