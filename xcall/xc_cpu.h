/*
 * CPUs and cross calls: which CPUs are targets.  Part of xcall(9).
 */
#ifndef XCALL_XC_CPU_H
#define XCALL_XC_CPU_H

struct cpu_info;

/* Makes `ci` ready to be called, with its thread xcall/N.  Once a CPU, when it is online and every
 * CPU is attached, by the boot CPU's thread.  The only function here that allocates. */
void xc_init_cpu(struct cpu_info *ci);

/* The CPU, back, its vectors live, becomes a target: by a thread of that CPU that may sleep,
 * as it waits for the end of a rendezvous. */
void xc_cpu_online(struct cpu_info *);
/* The CPU is no target any more, and all that was posted to it has run: by a thread of that CPU, in
 * no function; EBUSY when it is the last target. */
int xc_cpu_dying(struct cpu_info *) __attribute__((warn_unused_result));

#endif
