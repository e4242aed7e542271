/*
 * Timers and callouts of other CPUs: what timer_program() and callout_schedule() do on the calling
 * CPU, by cross call.
 *
 * All of these return when it is done on every CPU, which takes interrupts off there for a few
 * register writes.  CPUs of a set that are not online are passed over, and EHOSTDOWN says that no
 * CPU was online; an empty set is done.
 *	- Context: where XC_HARD may be waited for (xcall.h).
 */
#ifndef KERNEL_CLIENTS_TIMERS_H
#define KERNEL_CLIENTS_TIMERS_H

#include <stdint.h>

#include "kernel/callout.h"
#include "kernel/cpuset.h"
#include "kernel/timer.h"

struct cpu_info;

/*
 * Programs the timers of a set (NULL: every CPU).  0; EHOSTDOWN; or the error of the CPU that was
 * first to refuse (timer_program(): EINVAL, EOPNOTSUPP), while those that do not refuse are
 * programmed.  timer_set_told() leaves in *failed who refused.  One-shot and off leave a CPU
 * without ticks: no time slices, timeouts or callouts there.
 */
int timer_set(const struct cpuset *, enum timer_mode, uint64_t hz)
    __attribute__((warn_unused_result));
int timer_set_told(const struct cpuset *, enum timer_mode, uint64_t hz, struct cpuset *failed)
    __attribute__((warn_unused_result));
/* The timer of one CPU. */
int timer_set_on(struct cpu_info *, enum timer_mode, uint64_t hz)
    __attribute__((warn_unused_result));

/* The callout becomes that CPU's, due so long after this call. */
int callout_schedule_on(callout_t *, struct cpu_info *, uint64_t delay_ns)
    __attribute__((warn_unused_result));
/* Each CPU of a set (NULL: every CPU) gets one: callouts[ci_index]. */
int callout_schedule_set(callout_t callouts[], const struct cpuset *, uint64_t delay_ns)
    __attribute__((warn_unused_result));

#endif
