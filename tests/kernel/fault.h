/*
 * Faults of the transport, made on purpose: between the kernel and the local APIC (fault.c).
 *
 * A rule is one of
 *	drop, delay, double	what is sent is lost, comes late, comes twice
 *	spurious		with what is sent a stray one of its kind goes to some CPU
 *	stuck			the local APIC does not take it: its status stays busy
 * followed by any of, each behind a colon,
 *	call, resched, nmi, init, startup	what it hits; any, the default: the first three
 *	N			one in N of them, by chance; default: each
 *	max=N			not more than that many
 *	us=N			the longest delay, in microseconds; default 1000; of startup, each
 *	to=N, by=N		sent to the APIC id N; by the CPU N
 * and these set what is done about it:
 *	rescue:MS		waits report after that time and announce their calls again
 *	hang:S			a wait panics after that time
 *	lossy			drop:call:10000,hang:10, without rescue
 * Several stand in a list with commas.
 */
#ifndef TESTS_KERNEL_FAULT_H
#define TESTS_KERNEL_FAULT_H

#include <stdbool.h>
#include <stdint.h>

#define FAULT_RULES 12u

/* From now on, until fault_end(), these rules hold, and no others; NULL, or what is wrong with
 * them.  Clocks are calibrated.  One thread at a time; bring-up. */
const char *fault_begin(const char *rules);
/* What was held back goes out. */
void fault_end(void);
/* How often the rule of that number, from 0, has done something. */
uint64_t fault_done(unsigned rule);
/* What the rules have done: a line each. */
void fault_print(void);

/* Whether waits rescue their calls all the time. */
bool fault_rescues(void);
/* What waits do: xc_stall_config(), unless the rules say otherwise. */
void fault_stall_config(uint64_t warn_ns, uint64_t panic_ns, bool resend, bool nmi);

/* The word fault= of the command line: before the other CPUs are started; panics when it makes no
 * sense.  And what it says about waits, once calls are set up. */
void fault_boot(void);
void fault_boot_calls(void);

#endif
