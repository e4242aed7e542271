/*
 * Asking a CPU by NMI what it is doing (xc_probe.c).  One asker at a time: whoever owns the report
 * of a stall.
 */
#ifndef XCALL_XC_PROBE_H
#define XCALL_XC_PROBE_H

#include <stdbool.h>

struct xc_cpu;

/* Establishes the NMI handler; once. */
void xc_probe_init(void);
void xc_probe_init_cpu(struct xc_cpu *);
/* Asks; false when the CPU is still in the middle of an answer, or (*stuck) no NMI could be sent.
 * Any context but NMI. */
bool xc_probe_ask(struct xc_cpu *, bool *stuck);
/* Whether the answer is there.  Acquire: pairs with the target's. */
bool xc_probe_answered(const struct xc_cpu *);
/* Prints the answer: lines that begin with "xcall:". */
void xc_probe_print(const struct xc_cpu *);
/* The asker wants nothing more, answered or not. */
void xc_probe_end(struct xc_cpu *);

#endif
