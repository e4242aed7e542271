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
/* Steps of a run, unless told: most need a hundredth. */
#define SIM_STEPS 1000000u
/* Programs of a seed's scenario, each with a schedule of its own. */
#define SIM_RUNS 8u

/* What a run leaves behind, in memory that the processes share. */
struct sim_result {
	bool ended, failed;
	uint64_t steps;
	uint64_t schedules; /* an exhaustive search has many */
	uint64_t trace_hash[SIM_RUNS];
	const char *scenario, *detail, *strategy; /* detail: or NULL */
	uint32_t near[SIM_NEAR];                  /* how often each near miss was seen */
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

/* A pseudo-random number. */
uint64_t sim_random(uint64_t *state);
static inline unsigned
sim_below(uint64_t *state, unsigned bound)
{
	return (unsigned)(sim_random(state) >> 32) % bound;
}

/* Ends the run: a property is broken.  Prints why, how to see it again and the last steps. */
_Noreturn void sim_fail(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* A character of the kernel's console. */
void sim_put(char c);
void sim_attach_console(void);
/* Ends the run: the scenario is through. */
_Noreturn void sim_pass(void);

#endif
