/*
 * What the toy's own files share.  The kernel's side of it is in include/kernel/.
 */
#ifndef TESTS_HOST_TOY_TOY_H
#define TESTS_HOST_TOY_TOY_H

#include <stdbool.h>
#include <stdint.h>

#include "tests/host/toy/include/kernel/cpu.h"
#include "tests/host/toy/include/kernel/kthread.h"

/* Makes that many CPUs; the caller becomes the thread "main" of CPU 0. */
void toy_boot(unsigned cpus);
/* The thread that a CPU runs when it has no other; the caller, as a thread of its CPU. */
void toy_thread_create_idle(struct cpu_info *, void (*)(void *));
void toy_thread_adopt(const char *name);
/* The calling thread gives way to a better one, or to any when it sleeps; returns when it runs
 * again.  Interrupts off. */
void toy_reschedule(void);
/* The earliest time at which a thread wants to be woken. */
uint64_t toy_thread_wake_ns(void);
/* The calling thread's CPU stands still, interrupts off, until another one lets it go on. */
void toy_cpu_park(void);
void toy_cpu_unpark(struct cpu_info *);

#endif
