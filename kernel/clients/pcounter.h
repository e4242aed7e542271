/*
 * Counters that each CPU keeps for itself, so that counting costs nothing; reading and taking them
 * is a cross call.
 */
#ifndef KERNEL_CLIENTS_PCOUNTER_H
#define KERNEL_CLIENTS_PCOUNTER_H

#include <stdint.h>

struct pcounter;

/* Zero on every CPU.  Bring-up or thread; lives as long as the kernel. */
struct pcounter *pcounter_create(void);
/* Counts on this CPU.  Any context but NMI. */
void pcounter_add(struct pcounter *, uint64_t n);
/*
 * The sum over all CPUs, each at a moment between the call and its return: what was counted before
 * is in it.  pcounter_take() also sets each to zero at that moment: the sums of several takes lose
 * nothing and count nothing twice.  What a CPU counted before it went offline is read, but taken
 * only when the CPU is back.
 *	- Context: where XC_HARD may be waited for (xcall.h), interrupts on or off.
 */
uint64_t pcounter_read(const struct pcounter *);
uint64_t pcounter_take(struct pcounter *);

#endif
