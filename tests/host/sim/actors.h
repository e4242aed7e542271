/*
 * The threads of a scenario.
 */
#ifndef TESTS_HOST_SIM_ACTORS_H
#define TESTS_HOST_SIM_ACTORS_H

#include <stdbool.h>

#define ACTORS_MAX 8u

struct actor {
	unsigned number, cpu;
	void (*run)(struct actor *);
	void *arg; /* the scenario's own */
};

/* Adds a thread on that CPU, at a priority drawn from the seed. */
struct actor *actors_add(unsigned cpu, void (*run)(struct actor *), void *arg);
/* Lets all of them run, and waits until they have ended. */
void actors_run(void);

#endif
