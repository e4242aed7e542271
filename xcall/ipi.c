#include "xcall/xc_internal.h"
#include "xcall/xc_ipi.h"
void xc_ipi_init(void) {}
void xc_ipi_init_cpu(struct xc_cpu *x) {(void)x;}
void xc_ipi_drain(struct xc_cpu *x) {(void)x;}
