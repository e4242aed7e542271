/*
 * From the boot to the end of one run.
 */
#ifndef TESTS_HOST_SIM_RUN_H
#define TESTS_HOST_SIM_RUN_H

#include <stdint.h>

/* Brings the kernel up with sim.cpus virtual CPUs; from then on engine_resume(), in a child, begins
 * a run in main(). */
void boot_kernel(void (*main)(void));

/* In the main thread of the kernel: the run of sim.seed.  Ends the process. */
void run_main(void);
/* How many virtual CPUs a run of that seed has, unless it is told. */
unsigned run_cpus(uint64_t seed);

#endif
