/*
 * condvar(9), for both sorts of mutex.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_CONDVAR_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_CONDVAR_H

#include <stdint.h>

#include "mutex.h"

typedef struct kcondvar {
	const char *cv_name;
} kcondvar_t;

void cv_init(kcondvar_t *, const char *name);
void cv_wait(kcondvar_t *, kmutex_t *);
/* 0: woken; EWOULDBLOCK: the time is over, which may be UINT64_MAX. */
int cv_timedwait(kcondvar_t *, kmutex_t *, uint64_t timeout_ns) __attribute__((warn_unused_result));
void cv_broadcast(kcondvar_t *);

/* For tests/kernel/ only. */
void cv_signal(kcondvar_t *);
void cv_destroy(kcondvar_t *);

#endif
