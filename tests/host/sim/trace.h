/*
 * The steps of a run.
 */
#ifndef TESTS_HOST_SIM_TRACE_H
#define TESTS_HOST_SIM_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/sim/point.h"

void trace_step(unsigned cpu, const struct sim_site *, const char *event, uint64_t number);
unsigned trace_site_index(const struct sim_site *);
unsigned trace_sites(void);
const struct sim_site *trace_site(unsigned index);
bool trace_site_of_xcall(unsigned index);
uint64_t trace_hash(void);

#endif
