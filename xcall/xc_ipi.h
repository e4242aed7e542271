/*
 * What the rest of xcall/ knows of ipi(9) (ipi.c).
 */
#ifndef XCALL_XC_IPI_H
#define XCALL_XC_IPI_H

#include <stdbool.h>

struct xc_cpu;

/* Not for users: its handler parks the CPU (xc_stop.c). */
#define XC_IPI_STOP 0u

void xc_ipi_init(void);
void xc_ipi_init_cpu(struct xc_cpu *);
/* Makes the handler pending there.  In a post; the own CPU comes last (xc_intr_notify()). */
void xc_ipi_send(struct xc_cpu *self, struct xc_cpu *target, unsigned ipi, bool intr);
/* Whether xc_ipi_drain() would find something.  Any context. */
bool xc_ipi_pending(const struct xc_cpu *);
/* Runs what was triggered on this CPU, and sent to it, before.  Hard interrupt context. */
void xc_ipi_run_triggers(struct xc_cpu *);
void xc_ipi_drain(struct xc_cpu *);

#endif
