/*
 * Virtual CPUs that take turns on one thread of the host: what the rest of the simulator asks of
 * them.
 */
#ifndef TESTS_HOST_SIM_ENGINE_H
#define TESTS_HOST_SIM_ENGINE_H

#include <stdint.h>

struct cpu_md;

/* Counts points of the run. */
extern uint64_t engine_steps;
/* From here on points are counted, and strategy.c decides. */
void engine_begin(uint64_t step_ns);
/* The virtual CPU that executes. */
unsigned engine_cpu(void);
/* Something happened that a hang would not have done: the time that all may idle starts anew. */
void engine_progress(void);
/* How long all may idle, in ns of virtual time. */
void engine_set_patience(uint64_t ns);
/* Boots in entry() on the first virtual CPU; returns when engine_ready() is called there. */
void engine_boot(struct cpu_md *, void (*entry)(void));
/* On a virtual CPU: goes back to who called engine_boot(); returns on engine_resume(). */
void engine_ready(void);
_Noreturn void engine_resume(void);

#endif
