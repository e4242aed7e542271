/*
 * What torture does beside calls by ticket and descriptor: barriers, drains, ipi(9), sections with
 * interrupts or preemption off, a machine that stands still.
 */
#ifndef TESTS_KERNEL_TORTURE_SPECIAL_H
#define TESTS_KERNEL_TORTURE_SPECIAL_H

#include "tests/kernel/torture_actor.h"

void torture_special_begin(void);
/* Everybody has stopped: what was triggered has run. */
void torture_special_close(void);
void torture_special_end(void);

/* By a thread of an actor. */
void torture_barrier(void);
void torture_drain(struct torture_actor *, struct torture_dice *);
void torture_message(struct torture_dice *);
void torture_trigger(struct torture_dice *);
void torture_rendezvous(struct torture_dice *);
void torture_stop(struct torture_dice *);
/* body() with preemption off. */
void torture_nopreempt(void (*body)(struct torture_actor *, struct torture_dice *),
    struct torture_actor *, struct torture_dice *);

#endif
