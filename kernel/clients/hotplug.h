/*
 * CPUs that go offline and come back.
 */
#ifndef KERNEL_CLIENTS_HOTPLUG_H
#define KERNEL_CLIENTS_HOTPLUG_H

#include <stdbool.h>

struct cpu_info;

/* Once, by a thread, when all CPUs are attached and take cross calls. */
void hotplug_init(void);

#define HOTPLUG_WHY_BYTES 128

/*
 * cpu_setstate:
 *	Takes the CPU out of the machine, or starts it again.  0: it is done, or was so before.
 *	Otherwise the CPU is as it was, and `why` says why in words that can follow "CPU 1 stays
 *	online: ":
 *	EOPNOTSUPP	the boot CPU: nothing could start it again
 *	EBUSY		a thread is bound to it that is no service thread (kthread.h); or no other
 *			CPU takes cross calls
 *	ETIMEDOUT	it did not come back, also said on the console; it may be tried again
 *	ENOMEM		no memory for the thread that leads it out
 *	- Offline, a CPU runs nothing, takes no interrupts, cross calls or new threads; its timer is
 *	  stopped, and its service threads wait where they are.  Back, its timer is set as it was.
 *	- Leaving waits until all cross calls posted to the CPU have run, however long they take.
 *	- Context: a thread that may sleep, no service thread, so not in a cross-called function.
 *	  Callers take turns.
 */
int cpu_setstate(struct cpu_info *ci, bool online, char why[HOTPLUG_WHY_BYTES])
    __attribute__((warn_unused_result));

#endif
