/*
 * Timers and callouts of other CPUs.
 *
 * A local timer can be programmed by its own CPU only, and a callout comes to the list of the CPU
 * that schedules it.  So both are cross calls.  Hard ones: the work is short, is done with
 * interrupts off anyway, takes no lock but a list's, and must not wait until a busy CPU gets to a
 * thread.  At low priority each target would switch to its xcall/N and back, which costs more than
 * what it is to do; and the caller could not be in an interrupt.
 *
 * What all targets share they only read: a word that each of them wrote would make a set of many
 * CPUs queue for its cache line.  A refusal is written, but is rare.
 */
#include "kernel/clients/timers.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "xcall/xcall.h"

/* On the caller's stack until the call is over. */
struct timers_request {
	enum timer_mode mode;
	uint64_t hz;
	_Atomic int error;                     /* of the first that refused */
	_Atomic uint64_t failed[CPUSET_WORDS]; /* who refused */
};

/* On each target, in a hard interrupt. */
static void
timers_program(void *arg1, void *arg2 __attribute__((unused)))
{
	struct timers_request *request = arg1;
	unsigned index = curcpu()->ci_index;
	int error = timer_program(request->mode, request->hz), none = 0;

	if (error == 0)
		return;
	/* Relaxed, in both: the end of the call publishes them. */
	atomic_compare_exchange_strong_explicit(
	    &request->error, &none, error, memory_order_relaxed, memory_order_relaxed);
	atomic_fetch_or_explicit(
	    &request->failed[index / 64], UINT64_C(1) << index % 64, memory_order_relaxed);
}

static uint64_t
timers_post(xcfunc_t func, void *arg1, void *arg2, const struct cpuset *set)
{
	return set == NULL ? xc_broadcast(XC_HARD, func, arg1, arg2)
			   : xc_multicast(XC_HARD, func, arg1, arg2, set);
}

/* An error ticket is the caller's to know, and none that was lost: it is not waited for, which
 * would log it. */
static int
timers_wait(uint64_t where)
{
	return XC_ISERR(where) ? XC_ERRNO(where) : xc_wait(where);
}

int
timer_set_told(const struct cpuset *set, enum timer_mode mode, uint64_t hz, struct cpuset *failed)
{
	struct timers_request request = { .mode = mode, .hz = hz };
	int error = timers_wait(timers_post(timers_program, &request, NULL, set));

	for (unsigned i = 0; i < CPUSET_WORDS; i++)
		failed->cs_word[i] = atomic_load_explicit(&request.failed[i], memory_order_relaxed);
	return error != 0 ? error : atomic_load_explicit(&request.error, memory_order_relaxed);
}

int
timer_set(const struct cpuset *set, enum timer_mode mode, uint64_t hz)
{
	struct cpuset failed;

	return timer_set_told(set, mode, hz, &failed);
}

int
timer_set_on(struct cpu_info *ci, enum timer_mode mode, uint64_t hz)
{
	struct timers_request request = { .mode = mode, .hz = hz };
	int error = timers_wait(xc_unicast(XC_HARD, timers_program, &request, NULL, ci));

	return error != 0 ? error : atomic_load_explicit(&request.error, memory_order_relaxed);
}

/* --- callouts --------------------------------------------------------------------------------- */

/* What is left of the time, which the way here has used a part of. */
static uint64_t
timers_left(uint64_t due_ns)
{
	uint64_t now = clock_ns();

	return due_ns > now ? due_ns - now : 0;
}

static uint64_t
timers_due(uint64_t delay_ns)
{
	uint64_t now = clock_ns();

	return delay_ns < UINT64_MAX - now ? now + delay_ns : UINT64_MAX;
}

/* On the target, in a hard interrupt. */
static void
timers_callout(void *callout, void *due_ns)
{
	callout_schedule(callout, timers_left((uintptr_t)due_ns));
}

static void
timers_callout_of_mine(void *callouts, void *due_ns)
{
	callout_schedule(
	    &((callout_t *)callouts)[curcpu()->ci_index], timers_left((uintptr_t)due_ns));
}

int
callout_schedule_on(callout_t *c, struct cpu_info *ci, uint64_t delay_ns)
{
	return timers_wait(
	    xc_unicast(XC_HARD, timers_callout, c, (void *)(uintptr_t)timers_due(delay_ns), ci));
}

int
callout_schedule_set(callout_t callouts[], const struct cpuset *set, uint64_t delay_ns)
{
	return timers_wait(timers_post(
	    timers_callout_of_mine, callouts, (void *)(uintptr_t)timers_due(delay_ns), set));
}
