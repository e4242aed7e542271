/*
 * What a unicast moves.
 */
#include <stdio.h>

#include "kernel/cpu.h"
#include "tests/host/sim/lines.h"
#include "tests/host/sim/point.h"
#include "tests/host/sim/sim.h"
#include "xcall/xcall.h"

#define LINES_ROUNDS 16u

static void
lines_nop(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
}

static void
lines_round(unsigned flags)
{
	if (xc_wait(xc_unicast(flags, lines_nop, NULL, NULL, cpu_lookup(ncpu - 1))) != 0)
		sim_fail("a unicast with flags %#x has not run", flags);
}

void
lines_print(unsigned variant)
{
	static const struct {
		const char *name;
		unsigned flags;
	} levels[] = { { "low", 0 }, { "soft", XC_HIGHPRI }, { "hard", XC_HARD },
		{ "NMI", XC_NMI } };

	(void)variant;
	sim_fine = true;
	for (unsigned i = 0; i < 4; i++) {
		struct lines_moved moved;

		lines_count(true);
		for (unsigned round = 0; round < LINES_ROUNDS; round++)
			lines_round(levels[i].flags);
		lines_count(true);
		for (unsigned round = 0; round < LINES_ROUNDS; round++)
			lines_round(levels[i].flags);
		moved = lines_moved();
		printf("%-5s unicast and wait: %5.1f lines of xcall/ move, %5.1f of the kernel\n",
		    levels[i].name, (double)moved.xcall / LINES_ROUNDS,
		    (double)moved.kernel / LINES_ROUNDS);
	}
	lines_count(false);
}
