/*
 * The part of a failure that the ledger knows: calls that were not over.
 */
#include <stdio.h>

#include "tests/host/sim/ledger.h"

static void
ledger_print_set(const char *what, const struct ledger_call *call, bool ended)
{
	printf("; %s on", what);
	for (unsigned cpu = 0; cpu < SIM_CPUS; cpu++)
		if ((ended ? call->ended[cpu] : call->begun[cpu]) != 0)
			printf(" %u", cpu);
}

void
ledger_print(void)
{
	static const char *const levels[XC_LEVELS] = { "low", "softclock", "softbio", "softnet",
		"softserial", "hard", "NMI" };
	static const char *const ways[LEDGER_WAYS] = { "unicast", "multicast", "broadcast", "any",
		"descriptor" };

	for (unsigned i = 0; i < ledger_count(); i++) {
		const struct ledger_call *call = ledger_number(i);

		if (call->over || call->error != 0)
			continue;
		printf("  call %u: %s%s %s by CPU %u to set %#x%s%s", i,
		    (call->flags & XC_LAZY) != 0 ? "lazy " : "", levels[call->level],
		    ways[call->way], call->sender, call->may, call->posted ? "" : ", in its post",
		    call->cancelled ? ", cancelled" : "");
		ledger_print_set("begun", call, false);
		ledger_print_set("ended", call, true);
		printf("\n");
	}
}
