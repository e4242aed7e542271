/*
 * callout(9): functions that run once, later, in a soft interrupt of the clock's level.
 *
 * A callout belongs to the CPU that scheduled it last and runs there.  Time is told by that CPU's
 * tick: a callout is late by up to a tick, and does not run while the CPU's timer is off or the CPU
 * is offline; what was due then runs at its first tick again.  For other CPUs:
 * kernel/clients/timers.h.
 */
#ifndef KERNEL_CALLOUT_H
#define KERNEL_CALLOUT_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct callout_cpu;
struct cpu_info;

typedef struct callout {
	void (*co_func)(void *);
	void *co_arg;
	_Atomic(struct callout_cpu *) co_home; /* whose list it is in or was last; NULL: none yet */
	bool co_pending;                       /* lock of co_home: it is in the list */
	uint64_t co_due_ns;                    /* the same */
	struct callout *co_next;               /* the same */
} callout_t;

/* The list of `ci`; bring-up. */
void callout_init_cpu(struct cpu_info *ci);
/* func(arg) must not sleep (softint(9)); it may schedule its callout again, or free it.  Not of one
 * that is pending. */
void callout_init(callout_t *, void (*func)(void *), void *arg);
/* Has it run once on this CPU, not before that time; one that is pending, here or elsewhere, is
 * moved.  Any context but NMI. */
void callout_schedule(callout_t *, uint64_t delay_ns);
/* It will not run any more unless it runs now: whether it was pending.  Any context but NMI. */
bool callout_stop(callout_t *);
/* The same, and when this returns it does not run, and its own function has not scheduled it again;
 * nobody else does so meanwhile.  Threads. */
bool callout_halt(callout_t *);
/* For the timer's interrupt: whatever is due runs after it. */
void callout_tick(struct cpu_info *ci, uint64_t now_ns);

#endif
