/*
 * The last steps of a run, its hash, and its end.
 *
 * Two runs are the same when their hashes are: it takes in every step in order, with virtual CPU
 * and place.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "tests/host/sim/engine.h"
#include "tests/host/sim/ledger.h"
#include "tests/host/sim/many.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/trace.h"

#define TRACE_STEPS 4096u
#define TRACE_SITES 4096u
/* A spin of so many steps is shown once. */
#define TRACE_ROUND 12u

struct trace_entry {
	uint64_t step;
	const struct sim_site *site; /* or an event: */
	const char *event;
	uint64_t number;
	unsigned cpu;
};

/* Bounds of the section, from the linker. */
extern const struct sim_site __start_set_sim_sites[], __stop_set_sim_sites[];

static struct trace_entry trace_ring[TRACE_STEPS];
/* A byte a site; more sites than this are not told apart. */
static bool trace_seen[TRACE_SITES];
static uint64_t trace_count, trace_sum = UINT64_C(0xcbf29ce484222325);

unsigned
trace_site_index(const struct sim_site *site)
{
	return (unsigned)(site - __start_set_sim_sites);
}

unsigned
trace_sites(void)
{
	return (unsigned)(__stop_set_sim_sites - __start_set_sim_sites);
}

const struct sim_site *
trace_site(unsigned index)
{
	return &__start_set_sim_sites[index];
}

bool
trace_site_of_xcall(unsigned index)
{
	const char *file = __start_set_sim_sites[index].file;

	return strncmp(file, "xcall/", 6) == 0 || strstr(file, "/xcall/") != NULL;
}

uint64_t
trace_hash(void)
{
	return trace_sum;
}

void
trace_step(unsigned cpu, const struct sim_site *site, const char *event, uint64_t number)
{
	uint64_t what = site != NULL ? trace_site_index(site) + 256 : (uint8_t)event[0];

	if (site != NULL)
		trace_seen[trace_site_index(site) % TRACE_SITES] = true;
	/* FNV-1a, by words. */
	trace_sum = (trace_sum ^ (what << 8 | cpu)) * UINT64_C(0x100000001b3);
	trace_sum ^= trace_sum >> 29;
	trace_ring[trace_count++ % TRACE_STEPS] = (struct trace_entry){
		.step = engine_steps, .site = site, .event = event, .number = number, .cpu = cpu
	};
}

static void
trace_print_entry(const struct trace_entry *e)
{
	static const char *const kinds[SIM_KINDS] = { "load", "store", "modify", "compare", "", "",
		"" };

	printf("  %8lu  %*sCPU %u  ", e->step, (int)e->cpu * 4, "", e->cpu);
	if (e->site != NULL)
		printf("%s:%u %s\n", e->site->file, e->site->line, kinds[e->site->kind]);
	else if (e->number != 0 || e->event[strlen(e->event) - 1] == 'U')
		printf("%s %lu\n", e->event, e->number);
	else
		printf("%s\n", e->event);
}

static bool
trace_same(uint64_t i, uint64_t j)
{
	const struct trace_entry *a = &trace_ring[i % TRACE_STEPS],
				 *b = &trace_ring[j % TRACE_STEPS];

	return a->cpu == b->cpu && a->site == b->site && a->event == b->event &&
	    a->number == b->number;
}

/* How many of the steps before i repeat, in a round of that many steps, what follows them. */
static uint64_t
trace_repeated(uint64_t first, uint64_t i, uint64_t round)
{
	uint64_t n = 0;

	while (i >= first + round + n && trace_same(i - n, i - n - round))
		n++;
	return n / round;
}

/* Backwards, so that the last ones are among them; a spin that goes round and round takes one
 * round. */
static void
trace_print(unsigned last)
{
	uint64_t first = trace_count > TRACE_STEPS ? trace_count - TRACE_STEPS : 0, i = trace_count;
	uint64_t shown[TRACE_STEPS], rounds[TRACE_STEPS], n = 0;

	if (last > TRACE_STEPS)
		last = TRACE_STEPS;
	while (i > first && n < last) {
		uint64_t round, repeated = 0;

		i--;
		for (round = 1; round <= TRACE_ROUND && repeated < 2; round++)
			repeated = trace_repeated(first, i, round);
		shown[n] = i;
		rounds[n++] = repeated < 2 ? 0 : repeated;
		if (repeated >= 2)
			i -= repeated * (round - 1);
	}
	while (n-- > 0) {
		trace_print_entry(&trace_ring[shown[n] % TRACE_STEPS]);
		if (rounds[n] != 0)
			printf("            ... %lu rounds of the same\n", rounds[n]);
	}
}

/* Shown as it comes: what was said before a failure belongs to it. */
void
sim_put(char c)
{
	if (sim.verbose)
		putchar(c);
}

static void
trace_leave(void)
{
	for (unsigned i = 0; i < trace_sites(); i++)
		if (trace_seen[i % TRACE_SITES])
			many_visit(i);
	sim_result->steps += engine_steps;
	sim_result->schedules++;
	sim_result->trace_hash[sim.run] = trace_hash();
	sim_result->ended = true;
	fflush(stdout);
}

void
sim_fail(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(sim_result->why, sizeof(sim_result->why), fmt, ap);
	va_end(ap);
	sim_result->failed = true;
	trace_leave();
	if (sim.trace != 0) {
		printf("the last steps, of %lu (trace %016lx):\n", engine_steps, trace_hash());
		trace_print(sim.trace);
		ledger_print();
		printf("CPU %u, step %lu: %s\n", engine_cpu(), engine_steps, sim_result->why);
		fflush(stdout);
	}
	_exit(1);
}

void
sim_pass(void)
{
	trace_leave();
	_exit(0);
}
