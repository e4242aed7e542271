/*
 * Cases that a random program seldom comes to.
 */
#ifndef TESTS_HOST_SIM_SPECIAL_H
#define TESTS_HOST_SIM_SPECIAL_H

enum { SPECIAL_RING_LOW, SPECIAL_RING_HARD, SPECIAL_RING_NESTED };

/* Everyone calls its neighbour and waits, round after round. */
void special_ring(unsigned level);
/* More calls than there are slots, to a CPU that does not take them. */
void special_exhaust(unsigned);
/* A few senders, each with a row of calls to one target; from interrupts too. */
void special_order(unsigned);
/* Hard calls by the direct slot, by slots and by descriptors, mixed; some are withdrawn. */
void special_direct(unsigned);
/* Slots that are used again and again while others still hold their old tickets. */
void special_reuse(unsigned);
/* One slot, in which calls are posted and withdrawn as fast as can be. */
void special_churn(unsigned);
/* Waits that sleep, for calls that end about then. */
void special_sleep(unsigned);
/* Targets in more than one group. */
void special_wide(unsigned);
/* xc_barrier() against sections with preemption off; xc_drain() against what was posted before. */
void hotplug_barrier(unsigned);
void hotplug_drain(unsigned);
/* Several threads that wait for one call. */
void special_waiters(unsigned);
/* Two CPUs and two calls, nothing else, for the exhaustive search: to each other; from one to the
 * other. */
void special_pair(unsigned flags);
void special_two(unsigned flags);

/* hotplug.c: a CPU that comes and goes while others post to it. */
void hotplug_run(unsigned);

/* gather.c: ipi(9), rendezvous, stop-machine. */
void gather_ipi(unsigned);
void gather_rendezvous(unsigned);
void gather_stop(unsigned);

/* cases.c: one of the kernel's own cases. */
enum { CASES_ALL, CASES_PROMISES };
void cases_run(unsigned variant);

#endif
