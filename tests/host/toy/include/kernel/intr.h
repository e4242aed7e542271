/*
 * Interrupts: vectors, who handles them, NMIs.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_INTR_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_INTR_H

#include <stdbool.h>

#include "cpu.h"
#include "mutex.h"

/* Above the timer's, which is 0; those between are the tests'. */
#define INTR_VECTOR_XCALL 7u

typedef void (*intr_handler_t)(void *arg, struct trapframe *);
typedef void (*intr_hook_t)(void);
typedef bool (*nmi_handler_t)(struct trapframe *);

void intr_establish(unsigned vector, intr_handler_t, void *arg, const char *name);
/* Interrupts off, and as in a hard interrupt until it is left; whether they were on. */
bool intr_enter(void);
void intr_leave(bool on);
#define intr_enter_quick(ci) (void)intr_enter()
#define intr_leave_quick(ci) false
/* Runs at the end of each interrupt, still inside it.  Returns the hook before. */
intr_hook_t intr_establish_exit(intr_hook_t);
/* All handlers are asked at each NMI. */
void nmi_establish(nmi_handler_t);

#endif
