/*
 * Everybody at once: functions that run on a set of CPUs in phases, with the machine stopped, and
 * CPUs that stand still.  All of these act on CPUs that are targets of cross calls (xcall.h);
 * others of a set are passed over.
 */
#ifndef XCALL_RENDEZVOUS_H
#define XCALL_RENDEZVOUS_H

#include <stdbool.h>
#include <stdint.h>

struct cpu_info;
struct cpuset;

typedef void (*xc_phase_t)(void *arg);

/* In place of a phase: neither a function nor the barrier before it. */
#define XC_NO_BARRIER ((xc_phase_t)1)

/*
 * xc_rendezvous:
 *	On every CPU of the set, in hard interrupt context with interrupts off: setup, action,
 *	teardown, in step: nobody begins a phase before all have ended the one before, nor returns
 *	before all have ended.  NULL: no function, the barrier all the same.  XC_NO_BARRIER:
 *	neither; with all three of them the CPUs do not even wait for each other at entry.
 *	- Context: threads where they may sleep, not in a cross-called function.  Rendezvous of
 *	  different callers run one after the other.  A phase may not wait for other CPUs: they
 *	  stand still and serve nothing.
 *	- 0; EHOSTDOWN: the set has no online member; ETIMEDOUT: not all CPUs came within timeout_ns
 *	  (0: for ever) from its turn on: nobody has run, or will run, any phase.
 *	- What each CPU did in one phase is visible to all in the next, and to the caller
 *	  afterwards.
 *	- Before xc_init_cpu(): the phases run inline.
 */
int xc_rendezvous(const struct cpuset *, xc_phase_t setup, xc_phase_t action, xc_phase_t teardown,
    void *arg, uint64_t timeout_ns) __attribute__((warn_unused_result));

/*
 * xc_stop_machine:
 *	Stops every online CPU with interrupts off, runs fn(arg) on those of the set (NULL: the
 *	caller's CPU only) while the others stand still, lets all go on.  Contexts and order as
 *	xc_rendezvous(); returns 0, EHOSTDOWN.
 */
int xc_stop_machine(xc_phase_t fn, void *arg, const struct cpuset *)
    __attribute__((warn_unused_result));

/*
 * xc_stop_cpus, xc_restart_cpus:
 *	Parks the CPUs of the set, the caller's excepted, with interrupts off; for debuggers and
 *	panics.  `nmi`, and always from an NMI: by NMI, which also reaches those that spin with
 *	interrupts off.  Returns how many stand still within timeout_ns; who does not is printed and
 *	goes on.  Restart lets those of the set go that are parked.
 *	- Context: any, NMI included.  Interrupts are off meanwhile.  Takes no lock.
 *	- One CPU at a time stops others; who is to be stopped while it waits for its turn, is.
 *	- A second stop of a CPU that is parked counts it; one restart lets it go.
 *	- By NMI a CPU stops wherever it is, with the locks that it holds, the console's too: take
 *	  none until the restart.
 */
unsigned xc_stop_cpus(const struct cpuset *, bool nmi, uint64_t timeout_ns);
void xc_restart_cpus(const struct cpuset *);

#endif
