/*
 * The deterministic simulator: what its parts share.
 *
 *	engine.c	virtual CPUs as coroutines, time, steps: the runtime of ../vcpu/runtime.h
 *	strategy.c	who goes on, and when an interrupt comes
 *	trace.c		the last steps; the failure
 *	boot.c		the kernel's bring-up, up to the moment that every run starts from
 *	run.c		one run: a scenario under a strategy, both from the seed
 *	main.c		many runs
 */
#ifndef TESTS_HOST_SIM_SIM_H
#define TESTS_HOST_SIM_SIM_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/sim/point.h"

/* What a run should come close to; a search that never does has not looked there. */
enum sim_near {
	SIM_NEAR_EMPTY,     /* an interrupt found nothing to do */
	SIM_NEAR_SERVED,    /* a wait ran other calls */
	SIM_NEAR_DONE,      /* a wait found the call complete at its first look */
	SIM_NEAR_TIMEOUT,   /* a timed wait gave up */
	SIM_NEAR_WITHDRAWN, /* a cancel came before a function began */
	SIM_NEAR_LATE,      /* a cancel came after one had begun */
	SIM_NEAR_BUSY,      /* a post found no room */
	SIM_NEAR_DOWN,      /* a post found its target gone */
	SIM_NEAR
};

#define SIM_CPUS 20
#define SIM_TEXT_BYTES 512
/* Programs of a seed's scenario, each with a schedule of its own. */
#define SIM_RUNS 4u

/* What a run leaves behind, in memory that the processes share. */
struct sim_result {
	bool ended, failed;
	uint64_t steps;
	uint64_t schedules; /* an exhaustive search has many */
	uint64_t trace_hash[SIM_RUNS];
	const char *scenario, *detail, *strategy; /* detail: or NULL */
	uint32_t near[SIM_NEAR]; /* how often each near miss was seen */
	char why[SIM_TEXT_BYTES];
};

/* Set before a run begins. */
struct sim_setting {
	uint64_t seed;
	unsigned run; /* which of the seed's */
	unsigned cpus;
	uint64_t max_steps;
	bool lenient;   /* a run that has not ended by then has passed */
	unsigned trace; /* how many of the last steps a failure prints; 0: not even the failure */
	bool verbose;   /* the kernel's console goes to the standard output */
	const char *scenario, *strategy; /* NULL: from the seed */
	unsigned depth;                  /* deviations of an exhaustive search */
};
extern struct sim_setting sim;
extern struct sim_result *sim_result;

/* --- engine.c ------------------------------------------------------------------------------------------------ */

/* Counts points of the run. */
extern uint64_t sim_steps;
/* From here on points are counted, and strategy.c decides. */
void engine_begin(uint64_t step_ns);
/* The virtual CPU that executes. */
unsigned engine_cpu(void);
/* Something happened that a hang would not have done: the time that all may idle starts anew. */
void engine_progress(void);
/* How long all may idle, in ns of virtual time. */
void engine_set_patience(uint64_t ns);
struct cpu_md;
/* Boots in entry() on the first virtual CPU; returns when sim_ready() is called there. */
void engine_boot(struct cpu_md *, void (*entry)(void));
/* On a virtual CPU: goes back to who called engine_boot(); returns on engine_resume(). */
void engine_ready(void);
_Noreturn void engine_resume(void);

/* --- boot.c --------------------------------------------------------------------------------------------------- */

/* Brings the kernel up with sim.cpus virtual CPUs; from then on boot_run(), in a child, begins a run in main(). */
void boot_kernel(void (*main)(void));

/* --- run.c ---------------------------------------------------------------------------------------------------- */

/* In the main thread of the kernel: the run of sim.seed.  Ends the process. */
void run_main(void);
/* How many virtual CPUs a run of that seed has, unless it is told. */
unsigned run_cpus(uint64_t seed);

/* --- strategy.c ---------------------------------------------------------------------------------------------- */

void strategy_init(uint64_t seed, const char *name, unsigned ncpus);
/* At a point of virtual CPU `self`: who of the set `mask`, which is not empty, goes on. */
unsigned strategy_next(unsigned self, uint32_t mask, enum sim_kind, unsigned site);
/* For how many points of the target an interrupt that was just raised is kept back. */
unsigned strategy_hold(unsigned target);
bool strategy_spurious(void);
/* An exhaustive search deviates only while it is open. */
void strategy_window(bool open);
/* The name of a strategy with this number; NULL when there is none. */
const char *strategy_name(unsigned);

/* --- random numbers, from the seed alone ---------------------------------------------------------------------- */

uint64_t sim_random(uint64_t *state);
static inline unsigned
sim_below(uint64_t *state, unsigned bound)
{
	return (unsigned)(sim_random(state) >> 32) % bound;
}

/* --- trace.c ------------------------------------------------------------------------------------------------- */

void trace_step(unsigned cpu, const struct sim_site *, const char *event, uint64_t number);
unsigned trace_site_index(const struct sim_site *);
unsigned trace_sites(void);
const struct sim_site *trace_site(unsigned index);
bool trace_site_of_xcall(unsigned index);
uint64_t trace_hash(void);
/* Ends the run: a property is broken.  Prints why, how to see it again and the last steps. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A character of the kernel's console. */
void sim_put(char c);
void sim_attach_console(void);
/* Ends the run: the scenario is through. */
_Noreturn void sim_pass(void);

#endif
