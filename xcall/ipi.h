/*
 * ipi(9): registered interrupts between CPUs that coalesce, and messages of the caller's.  All
 * handlers run in hard interrupt context with interrupts off.  xcall/ipi.9 is the manual.
 */
#ifndef XCALL_IPI_H
#define XCALL_IPI_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cpu_info;
struct cpuset;

typedef void (*ipi_func_t)(void *arg);

/* Identifiers are 1 .. IPI_MAXREG - 1. */
#define IPI_MAXREG 32u

/*
 * Returns the identifier, 0 when none is left.  Thread context.  ipi_unregister() returns when no
 * CPU runs the handler or ever will: its barrier comes before the slot is cleared.  A trigger after
 * it panics.
 */
unsigned ipi_register(ipi_func_t, void *arg);
void ipi_unregister(unsigned ipi);

/*
 * Run the handler on that CPU, on those of the set, on every CPU: at least once after the trigger;
 * triggers that come before it began may share one run.  CPUs that are not online are passed over.
 * Any context but NMI; the own CPU runs at once if interrupts are on, else when they are.
 */
void ipi_trigger(unsigned ipi, struct cpu_info *);
void ipi_trigger_multi(unsigned ipi, const struct cpuset *);
void ipi_trigger_broadcast(unsigned ipi, bool skip_self);

/* A message of the caller's: set func and arg, leave the rest; reuse it after ipi_wait(). */
typedef struct ipi_msg {
	ipi_func_t func;
	void *arg;
	_Atomic unsigned _pending; /* CPUs sent to that have not returned */
	struct ipi_msg *_next;     /* of those that a CPU has sent to itself */
} ipi_msg_t;

/*
 * Run func(arg) exactly once on each CPU sent to, then ipi_wait() is a must.  Any context but NMI.
 * A full mailbox makes the sender serve its own calls and retry: counted as "ipi", "full".  CPUs
 * that are not online are passed over; the own CPU runs inline if interrupts are on.
 */
void ipi_unicast(ipi_msg_t *, struct cpu_info *);
void ipi_multicast(ipi_msg_t *, const struct cpuset *);
void ipi_broadcast(ipi_msg_t *, bool skip_self);
/* Acquire: the handlers' effects are visible.  Serves the CPU's own hard calls.  Not in an NMI, no
 * spinlock held. */
void ipi_wait(ipi_msg_t *);

#endif
