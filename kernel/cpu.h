/*
 * CPUs: one struct cpu_info each, the table of them, and the set of those that run.
 *
 * Every thread is bound to its CPU for life, so curcpu() never changes under its caller.  A CPU
 * that is attached stays so; it may go offline and come back (kernel/clients/hotplug.h).
 */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpuset.h"
#include "kernel/lockdebug.h"
#include "kernel/machine.h"
#include "kernel/param.h"
#include "kernel/softint.h"

struct callout_cpu;
struct lwp;
struct sched_cpu;
struct timer_cpu;
struct trapframe;

/* Spinlocks that a CPU may hold at once; the deepest path of the kernel needs five. */
#define CPU_SPINLOCKS 12
#define CPU_VECTORS 256

/*
 * Locking keys:
 *	c	constant once the CPU is attached
 *	o	written by the CPU itself only
 *	s	see the owning module
 */
struct cpu_info {
	struct cpu_info *ci_self; /* c: first, machine_curcpu() reads it through GS */
	unsigned ci_index;        /* c: 0 is the boot CPU; dense */
	uint32_t ci_apicid;       /* c: local APIC id */
	unsigned ci_package_id;   /* c: place in the machine, as the CPU tells it; */
	unsigned ci_core_id;      /* c: in the package */
	unsigned ci_smt_id;       /* c: in the core */
	unsigned ci_nthreads;     /* s: bound to this CPU (list lock of kthread.c) */
	struct lwp *ci_curlwp;    /* o: the running thread */
	unsigned ci_intr_depth;   /* o: nested interrupts; not NMIs, not exceptions */
	unsigned ci_nmi_depth;    /* o: inside an NMI, machine check or double fault */
	unsigned ci_spin_depth;   /* o: spinlocks held (spinlock.h) */
	unsigned ci_nopreempt;    /* o: kpreempt_disable() depth; beside the one above: xc_port.h */
	const struct spinlock *ci_spin_held[CPU_SPINLOCKS]; /* o: which: spinlock_held() */
	_Atomic(const struct spinlock *) ci_spin_wanted;    /* o, read by all: spins for it */
	struct trapframe *ci_nmi_frame; /* o: what the NMI interrupted; NULL outside of NMIs */
	struct softint_cpu ci_softint;  /* s (softint.c) */
	bool ci_spin_intr;              /* o: interrupts were on before the first spinlock */
	_Atomic bool ci_resched;        /* s: a better thread is ready (sched.c) */
	_Atomic bool ci_online;         /* s: takes part (cpu.c) */
	bool ci_closed;                 /* s: takes no new threads (list lock of kthread.c) */
	struct sched_cpu *ci_sched;     /* c: run queues (sched.c) */
	struct timer_cpu *ci_timer;     /* c: samples of the local timer (timer.c) */
	struct callout_cpu *ci_callout; /* c: what is to run later (callout.c) */
	void *ci_xcall;                 /* c: opaque: the cross-call subsystem's state */
	struct cpu_md *ci_md;           /* c: GDT, TSS, stacks (kernel/x86/cpu.h) */
	_Atomic uint64_t ci_intr_count[CPU_VECTORS]; /* o, read by all: interrupts taken (intr.c) */
	_Atomic uint64_t ci_intr_unclaimed;          /* o, read by all: those without a handler */
	struct lockdebug_table ci_lockdebug;  /* o, read by all: spinlocks, when that is on */
	_Atomic(const void *) ci_panic_stack; /* o, read by all: where a panic stopped it */
} __attribute__((aligned(CACHE_LINE_BYTES)));

#define curcpu() machine_curcpu()
extern unsigned ncpu; /* CPUs attached so far: found, started, set up.  Constant after bring-up */
/* The attached CPU of that index; NULL at and above ncpu.  Acquire: pairs with cpu_attach(). */
extern _Atomic(struct cpu_info *) cpu_table[MAXCPUS];
static inline struct cpu_info *
cpu_lookup(unsigned index)
{
	return index < MAXCPUS ? atomic_load_explicit(cpu_table + index, memory_order_acquire) : 0;
}
/* Loops over all attached CPUs, by index. */
#define CPU_INFO_FOREACH(ci) \
	for (unsigned ci##_i = 0; ((ci) = cpu_lookup(ci##_i)) != NULL; ci##_i++)

/* Enters `ci` into the table and gives it its index.  Boot CPU, during bring-up only. */
void cpu_attach(struct cpu_info *ci);
/* Runs threads and takes interrupts.  Acquire: pairs with cpu_set_online(). */
bool cpu_online(const struct cpu_info *ci);
/* Marks the calling CPU as running.  Release: what it set up before is visible to who sees it. */
void cpu_set_online(void);
/* Takes the calling CPU out again.  Its last act but to halt: release, pairs with cpu_online(). */
void cpu_set_offline(void);
unsigned cpu_online_count(void);

/* 0: the same CPU, 1: of the same core, 2: of the same package, 3: farther. */
unsigned cpu_distance(const struct cpu_info *, const struct cpu_info *);
bool cpu_intr_p(void);     /* in a hard interrupt (not an exception, not an NMI) on this CPU */
bool cpu_softintr_p(void); /* in a soft interrupt, or in a hard one on top of it */
bool cpu_nmi_p(void);
/* Keeps other threads off this CPU (interrupts still arrive).  Nests.  Not in interrupts. */
void kpreempt_disable(void);
void kpreempt_enable(void);

#endif
