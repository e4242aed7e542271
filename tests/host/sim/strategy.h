/*
 * Who goes on, and when an interrupt comes: every choice that there is.
 */
#ifndef TESTS_HOST_SIM_STRATEGY_H
#define TESTS_HOST_SIM_STRATEGY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/sim/point.h"

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

#endif
