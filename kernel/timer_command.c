/*
 * The monitor's view of the timers.
 */
#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/printf.h"
#include "kernel/timer.h"

#define TIMER_COMMAND_NS_PER_US 1000

static const char *const timer_command_modes[] = {
	[TIMER_OFF] = "off",
	[TIMER_ONESHOT] = "one-shot",
	[TIMER_PERIODIC] = "periodic",
	[TIMER_DEADLINE] = "deadline",
};

/* The shortest time between two recorded expiries, and the longest delay of the handler. */
static void
timer_command_extremes(const struct timer_record *r, uint64_t *interval_ns, uint64_t *late_ns)
{
	uint64_t shortest = UINT64_MAX, latest = 0;

	for (unsigned i = 0; i < r->nsamples; i++) {
		if (r->sample[i].late_cycles > latest)
			latest = r->sample[i].late_cycles;
		if (i > 0) {
			uint64_t interval = r->sample[i].expiry_cycles -
			    r->sample[i - 1].expiry_cycles;

			if (interval < shortest)
				shortest = interval;
		}
	}
	*interval_ns = r->nsamples > 1 ? clock_cycles_to_ns(shortest) : 0;
	*late_ns = clock_cycles_to_ns(latest);
}

static void
timer_command_row(const struct cpu_info *ci)
{
	struct timer_record r;
	uint64_t interval_ns, late_ns;

	timer_get(ci, &r);
	timer_command_extremes(&r, &interval_ns, &late_ns);
	printf("%4u  %-8s  %6lu  %6u  %10u  %#7x  %9lu  %8lu.%03lu  %8lu.%03lu  %5lu\n",
	    ci->ci_index, cpu_online(ci) ? timer_command_modes[r.setting.mode] : "offline",
	    r.setting.mode == TIMER_OFF ? 0 : r.setting.hz, r.registers.divide,
	    r.registers.initial_count, r.registers.lvt, r.expiries,
	    interval_ns / TIMER_COMMAND_NS_PER_US, interval_ns % TIMER_COMMAND_NS_PER_US,
	    late_ns / TIMER_COMMAND_NS_PER_US, late_ns % TIMER_COMMAND_NS_PER_US,
	    r.setting.generation);
}

COMMAND(timers, "", "each CPU's local timer: setting, registers, expiries since it was set")
{
	struct cpu_info *ci;

	printf(" CPU  mode          Hz  divide       count      LVT   expiries"
	       "   shortest us     latest us   sets\n");
	CPU_INFO_FOREACH(ci)
		timer_command_row(ci);
	printf("interrupts that stood for no new expiry, all CPUs: %lu\n", timer_stale());
	return 0;
}
