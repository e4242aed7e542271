/*
 * What the kernel knows of a thread.  Its functions are in kthread.h and sched.h.
 */
#ifndef KERNEL_LWP_H
#define KERNEL_LWP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/cpu.h"
#include "kernel/lockdebug.h"
#include "kernel/sleepq.h"

struct kmutex;

/* Priorities: the larger wins.  The bands are NetBSD's, PRI_XCALL tops them all. */
typedef int pri_t;
#define PRI_IDLE 0
#define PRI_USER 1     /* tests' background work */
#define PRI_KERNEL 64  /* monitor and main job */
#define PRI_KTHREAD 96 /* service threads */
#define PRI_KERNEL_RT 192
#define PRI_XCALL 223
#define PRI_COUNT 224

/* The transitions stand in sched.c. */
enum lwp_state { LS_IDLE, LS_RUNNABLE, LS_ONCPU, LS_SLEEPING, LS_ZOMBIE };

#define LWP_NAME_BYTES 24

/*
 * Locking keys; a field with two is written under both and read under either:
 *	c	constant after creation
 *	o	the thread itself
 *	r	run-queue lock of l_cpu
 *	q	lock of the sleep queue that l_queue names
 *	t	the list lock of kthread.c
 *	p	turnstile lock of mutex.c
 */
typedef struct lwp {
	uintptr_t l_sp;              /* r: stack pointer while not running */
	struct cpu_info *l_cpu;      /* c */
	unsigned l_id;               /* c: never used twice */
	int l_flags;                 /* c: KTHREAD_* */
	char l_name[LWP_NAME_BYTES]; /* c */
	void *l_stack;               /* c: lowest address; guard pages around it */
	void (*l_func)(void *);      /* c */
	void *l_arg;                 /* c */

	pri_t l_base_pri;         /* c: what it was created with */
	pri_t l_pri;              /* r, and q while asleep: with what it has inherited */
	_Atomic int l_state;      /* r: enum lwp_state */
	_Atomic pri_t l_seen_pri; /* r: l_pri, for those who read it without the lock */
	struct lwp *l_run_next;   /* r */
	uint64_t l_slice_left;    /* r: cycles that were left of its turn at l_since */

	struct lwp *l_sleep_next;         /* q */
	_Atomic(struct sleepq *) l_queue; /* r and q: the queue it stands in, or NULL */
	const void *l_sleep_object;       /* q: what it sleeps on, for reports */
	const char *l_sleep_why;          /* q */
	uint64_t l_sleep_until_ns;        /* r: SLEEPQ_FOREVER when not in the list of deadlines */
	struct lwp *l_timeout_next;       /* r: that list */
	int l_sleep_result;               /* q: 0 or ETIMEDOUT */
	_Atomic uintptr_t l_roused;       /* 1: kthread_rouse() since the last kthread_await() */

	_Atomic(struct kmutex *) l_blocked_on; /* p: the adaptive mutex it sleeps for */
	struct kmutex *l_held; /* o; p while it sleeps for one: adaptive mutexes it holds */
	unsigned l_held_count; /* as l_held */
	struct lockdebug_table l_lockdebug; /* o, read by all: the same, when that is on */

	uint64_t l_run;       /* r: cycles on the CPU up to l_since */
	uint64_t l_since;     /* r: until when they are counted, while on the CPU: in cycles */
	uint64_t l_switches;  /* r: how often it went on the CPU */
	uint64_t l_preempted; /* r: how often it was taken off while it wanted to run */

	struct lwp *l_all_next, **l_all_link; /* t: list of all; the pointer that points here */
	struct sleepq l_joinq;                /* t: who joins it */
	struct lwp *l_joiner;                 /* t: who joins it, or NULL */
	bool l_exited;                        /* t: it is off its stack for good */
	void *l_xcall; /* o: opaque: xcall's record of a thread that serves calls */
} lwp_t;

#define curlwp (curcpu()->ci_curlwp)

#endif
