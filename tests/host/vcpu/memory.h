/*
 * The machine's memory (memory.c).
 */
#ifndef TESTS_HOST_VCPU_MEMORY_H
#define TESTS_HOST_VCPU_MEMORY_H

/* Gives the kernel its memory.  Bring-up. */
void memory_init(void);

#endif
