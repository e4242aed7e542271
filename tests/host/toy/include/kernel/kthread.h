/*
 * Threads, each bound to its CPU for good.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_KTHREAD_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_KTHREAD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <ucontext.h>

#include "cpu.h"
#include "mutex.h"

typedef int pri_t;
/* A larger one preempts a smaller one. */
enum { PRI_IDLE, PRI_USER, PRI_KTHREAD = 8, PRI_KERNEL = 16, PRI_KERNEL_RT = 24, PRI_XCALL = 32 };

#define KTHREAD_MPSAFE 1
#define KTHREAD_SERVICE 2 /* not one that a test must have ended */
#define KTHREAD_MUSTJOIN 4

#define LWP_NAME_BYTES 16

enum toy_state { TOY_RUNNABLE, TOY_SLEEPING, TOY_DEAD };

typedef struct lwp {
	char l_name[LWP_NAME_BYTES];
	struct cpu_info *l_cpu;
	pri_t l_base_pri;
	_Atomic(kmutex_t *) l_blocked_on; /* the adaptive mutex that it sleeps for */
	void *l_xcall;

	/* The toy's own. */
	pri_t l_pri; /* tests/kernel/ looks at it */
	enum toy_state l_state;
	ucontext_t l_context;
	void (*l_func)(void *);
	void *l_arg;
	const void *l_for; /* condition variable that it sleeps for */
	uint64_t l_wake_ns;
	bool l_timed_out, l_roused;
	unsigned l_mutexes; /* adaptive ones, held */
	uint64_t l_ran;     /* when it last began to run */
	struct lwp *l_next;
} lwp_t;

/* 0, or an error. */
int kthread_create(pri_t, int flags, struct cpu_info *, void (*)(void *), void *arg, lwp_t **,
    const char *fmt, ...) __attribute__((format(printf, 7, 8)));
void kthread_sleep_ns(uint64_t ns);
/* Until it is roused, or was since it last returned, or until that time. */
void kthread_await(uint64_t until_ns);
void kthread_rouse(lwp_t *);
/* Every thread; none is freed before it returns. */
void kthread_foreach(void (*)(lwp_t *, void *arg), void *arg);

/* For tests/kernel/ only. */
void kthread_join(lwp_t *);
void kthread_yield(void);

#endif
