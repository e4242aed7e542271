/*
 * Virtual CPUs: the real kernel as a host program.  This header separates the machine that the
 * kernel sees (door 1: machine.c, timer.c, thread.c here, the same for all) from the runtime, which
 * decides how virtual CPUs execute: as POSIX threads (threads.c), or as coroutines in an order of
 * its own choice (../sim/).
 *
 *	kernel/, xcall/, tests/kernel/	unchanged; but headers of include/ come first
 *	machine.c timer.c thread.c	the machine: interrupts, local timer, stacks
 *	cpu.c memory.c main.c		the same: CPUs that leave, memory, bring-up
 *	vcpu.h				a virtual CPU; what the machine does for runtimes
 *	runtime.h			here: what a runtime does for the machine
 *	threads.c, or ../sim/		the runtime
 */
#ifndef TESTS_HOST_VCPU_RUNTIME_H
#define TESTS_HOST_VCPU_RUNTIME_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/vcpu/vcpu.h"

/* A cycle of machine_cycles(), and a count of the local timer's input, is a nanosecond. */
#define RUNTIME_HZ UINT64_C(1000000000)

struct cpu_md *runtime_self(void); /* the virtual CPU that calls */
/* Makes the calling thread of the host the first virtual CPU, in entry().  Fills in vc_idle. */
_Noreturn void runtime_run(struct cpu_md *, void (*entry)(void));
/* Sets another one going, in entry(), which must not return; sets vc_entry.  Again after its
 * runtime_park(). */
void runtime_start(struct cpu_md *, void (*entry)(void));
/* The calling virtual CPU ends, in the context where it began; it may be started again already. */
_Noreturn void runtime_park(void);
/* The calling virtual CPU spins: others should get on. */
void runtime_pause(void);
/* A safe point.  Whether a pending interrupt is taken at this one: on threads always. */
bool runtime_point(void);
/* The calling virtual CPU has nothing to do until its vc_signals is not `seen`; may return
 * early. */
void runtime_wait(uint32_t seen);
/* That vc_signals has changed. */
void runtime_signal(struct cpu_md *);
/* The vc_deadline of the calling virtual CPU has changed. */
void runtime_deadline(void);
uint64_t runtime_cycles(void);
/* Ends the program. */
_Noreturn void runtime_exit(int status);

#endif
