/*
 * What the rest of xcall/ knows of rendezvous (rendezvous.c) and of CPUs that are stopped
 * (xc_stop.c).
 */
#ifndef XCALL_XC_STOP_H
#define XCALL_XC_STOP_H

/* Once, in bring-up. */
void xc_rendezvous_init(void);
void xc_stop_init(void);
/* No rendezvous is under way, nor begins, in between.  Threads where they may sleep. */
void xc_rendezvous_begin(void);
void xc_rendezvous_end(void);
/* The handler of XC_IPI_STOP. */
void xc_stop_intr(void *arg);

#endif
