/*
 * Waiting until another thread waits: for tests that need contenders in a known order.
 */
#ifndef TESTS_KERNEL_BLOCKED_H
#define TESTS_KERNEL_BLOCKED_H

#include <stdbool.h>

#include "kernel/kthread.h"
#include "kernel/mutex.h"

/* Sleeps until that thread sleeps for the mutex; false after a minute. */
bool blocked_wait(lwp_t *l, kmutex_t *mtx);

#endif
