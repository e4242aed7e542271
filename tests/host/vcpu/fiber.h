/*
 * What a sanitizer must be told of stacks: fiber_thread.c for ThreadSanitizer, fiber_address.c for
 * AddressSanitizer.  Both are compiled without it: a function that ThreadSanitizer saw begin on one
 * stack may not end on another.
 */
#ifndef TESTS_HOST_VCPU_FIBER_H
#define TESTS_HOST_VCPU_FIBER_H

struct vcpu_context;

/* The stack on which the caller runs. */
void fiber_adopt(struct vcpu_context *);
/* A new one; what the same memory was before is over. */
void fiber_create(struct vcpu_context *);
/* Right before the switch, on the old stack; right after it, on the new one. */
void fiber_leave(struct vcpu_context *from, const struct vcpu_context *to);
void fiber_arrive(const struct vcpu_context *);

#endif
