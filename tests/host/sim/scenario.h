/*
 * Scenarios: small cases, each drawn anew from the seed.
 */
#ifndef TESTS_HOST_SIM_SCENARIO_H
#define TESTS_HOST_SIM_SCENARIO_H

#include <stdbool.h>
#include <stdint.h>

struct scenario {
	const char *name, *what;
	/* In a thread on CPU 0 at PRI_KERNEL.  Returns when all is over; then the run has
	 * passed. */
	void (*run)(unsigned variant);
	unsigned variant;
	unsigned weight; /* how often it is drawn; 0: only by name */
	unsigned cpus;   /* at least; 0: 2 */
	unsigned steps;  /* times what is allowed; 0: once */
	/* It counts on the clock: points take long, all CPUs get on (strategy walk), and it may be
	 * cut short. */
	bool clocked;
};

const struct scenario *scenario_number(unsigned);
/* Draws from the numbers of this run that are the scenario's. */
unsigned scenario_below(unsigned bound);

#endif
