/*
 * The slots of the CPUs: fewer of them; all back.
 */
#ifndef TESTS_HOST_SIM_POOL_H
#define TESTS_HOST_SIM_POOL_H

/* As in xcall/xc_slot.c. */
#define POOL_BOARDS 8u

/* Leaves each CPU so many for low and soft, for hard and for NMI calls.  Before the first post. */
void pool_shrink(unsigned sleep, unsigned hard, unsigned nmi);
/* Nothing is under way: fails unless everything is free. */
void pool_check(void);

#endif
