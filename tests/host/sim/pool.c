/*
 * Few slots: what a CPU has to post with, made small, so that a run of some dozen posts exhausts it
 * and uses slots again.
 *
 * The slots that are left have credits as the rest of them had: who has a credit finds a slot.
 */
#include "tests/host/sim/pool.h"

#include <stdatomic.h>

#include "kernel/cpu.h"
#include "tests/host/sim/sim.h"
#include "xcall/xc_internal.h"

static int pool_room[XC_CREDITS] = { XC_ROOM_SLEEP, XC_ROOM_HARD, XC_ROOM_NMI };
static uint64_t pool_slots = XC_ALL_FREE;

void
pool_shrink(unsigned sleep, unsigned hard, unsigned nmi)
{
	struct cpu_info *ci;

	pool_room[XC_CREDIT_SLEEP] = (int)sleep;
	pool_room[XC_CREDIT_HARD] = (int)hard;
	pool_room[XC_CREDIT_NMI] = (int)nmi;
	pool_slots = (UINT64_C(1) << (sleep + hard + nmi)) - 1;
	CPU_INFO_FOREACH(ci) {
		struct xc_cpu *xc = ci->ci_xcall;

		for (unsigned c = 0; c < XC_CREDITS; c++)
			xc->x_credit[c] = pool_room[c];
		xc->x_free = pool_slots;
		xc->x_next = 0;
	}
}

static void
pool_check_cpu(const struct xc_cpu *xc)
{
	unsigned cpu = xc->x_ci->ci_index;
	uint64_t live = 0;

	for (unsigned level = 0; level < XC_LEVELS; level++)
		live |= xc->x_live[level];
	if (xc->x_free != pool_slots || live != 0)
		sim_fail("CPU %u: all calls are over, slots free %#lx, live %#lx", cpu, xc->x_free,
		    live);
	for (unsigned c = 0; c < XC_CREDITS; c++)
		if (xc->x_credit[c] != pool_room[c])
			sim_fail("CPU %u: all calls are over, and %d credits of class %u are there",
			    cpu, xc->x_credit[c], c);
	if (xc->x_boards != (1u << POOL_BOARDS) - 1)
		sim_fail("CPU %u: all calls are over, boards free %#x", cpu, xc->x_boards);
	if (xc->x_direct != 0)
		sim_fail("CPU %u: all calls are over, and its direct slot is taken", cpu);
	for (unsigned c = 0; c < XC_CREDITS; c++)
		if (xc->x_wanted[c] != 0)
			sim_fail("CPU %u: all calls are over, and somebody waits for room", cpu);
	if (xc->x_waiters != NULL)
		sim_fail("CPU %u: all calls are over, and somebody still waits", cpu);
}

void
pool_check(void)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		pool_check_cpu(ci->ci_xcall);
}
