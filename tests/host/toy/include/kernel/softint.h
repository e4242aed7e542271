/*
 * softint(9).
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_SOFTINT_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_SOFTINT_H

enum { SOFTINT_CLOCK, SOFTINT_BIO, SOFTINT_NET, SOFTINT_SERIAL, SOFTINT_MPSAFE = 0x100 };

void *softint_establish(unsigned flags, void (*)(void *), void *arg);
/* On the own CPU; once, however often before it runs. */
void softint_schedule(void *);

/* For tests/kernel/ only. */
void softint_disestablish(void *);

#endif
