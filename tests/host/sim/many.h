/*
 * Many runs, and their sum.
 */
#ifndef TESTS_HOST_SIM_MANY_H
#define TESTS_HOST_SIM_MANY_H

#include <stdint.h>

/* Runs those seeds on so many processes; prints what came out; 0, or 1 when one failed. */
int many_run(uint64_t first, uint64_t seeds, unsigned jobs);

/* A run was at that site of the code. */
void many_visit(unsigned site);

/* main.c: boots with so many CPUs; then one run of that seed, whose result is in *sim_result. */
void main_boot(unsigned cpus);
void main_run(uint64_t seed);

#endif
