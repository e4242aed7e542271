/*
 * What the rest of xcall/ knows of ipi(9) (ipi.c).
 */
#ifndef XCALL_XC_IPI_H
#define XCALL_XC_IPI_H

struct xc_cpu;

void xc_ipi_init(void);
void xc_ipi_init_cpu(struct xc_cpu *);
/* Runs what was triggered and sent to this CPU, until there is nothing more.  Hard interrupt context. */
void xc_ipi_drain(struct xc_cpu *);

#endif
