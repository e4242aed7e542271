/*
 * Waits that last too long (xc_stall.c).
 */
#ifndef XCALL_XC_STALL_H
#define XCALL_XC_STALL_H

#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_ticket.h"

struct xc_cpu;
struct xc_event;

/* A wait; on the waiter's stack. */
struct xc_stall {
	uint64_t l_since_ns, l_next_ns; /* when it began; when it is looked at next */
	unsigned l_reports;
	bool l_asked; /* its CPUs had their NMI */
};

/* Once, before the first wait. */
void xc_stall_init(void);
void xc_stall_begin(struct xc_stall *);
/*
 * Reports, and does what xc_stall_config() says, when it is time; until then it costs a look at the
 * clock.  In each turn of a loop that waits, in the context of the wait, no lock of xcall's held.
 * Who sleeps in it wakes up by l_next_ns.  What is waited for: a call; room for a post of that
 * level by the calling CPU; something that a CPU owes, in words.
 */
void xc_stall_check(struct xc_stall *, const struct xc_event *);
void xc_stall_check_room(struct xc_stall *, struct xc_cpu *self, enum xc_level);
void xc_stall_check_cpu(struct xc_stall *, const char *what, struct xc_cpu *target);

/* What xc_stall_config() has set; what is so by default. */
struct xc_stall_settings {
	uint64_t warn_ns, panic_ns;
	bool resend, nmi;
};
void xc_stall_settings(struct xc_stall_settings *);
uint64_t xc_stall_default_ns(unsigned cpus, bool hypervisor);

#endif
