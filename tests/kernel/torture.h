/*
 * Torture: everybody posts everything to everybody, from every context, in an order that a seed
 * gives, while CPUs come and go; and a ledger that knows what each call must have done.
 */
#ifndef TESTS_KERNEL_TORTURE_H
#define TESTS_KERNEL_TORTURE_H

#include <stdbool.h>
#include <stdint.h>

#define TORTURE_SECONDS_MAX 1000000u

/*
 * Runs for that long, says a line each second and ends with a line "TORTURE {...}"; whether no
 * promise was seen broken.  By a thread that may sleep, one at a time.  After a hang its threads
 * are still there.
 */
bool torture_run(unsigned seconds, uint64_t seed);

#endif
