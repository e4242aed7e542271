/*
 * What the console was told meanwhile, for tests of what the kernel says.
 *
 * One at a time.  An NMI that prints inside printf() may lose characters of both.
 */
#ifndef TESTS_KERNEL_OVERHEAR_H
#define TESTS_KERNEL_OVERHEAR_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Notes lines from now on, up to some thousand characters, until overhear_end(); then they can be
 * searched until the next overhear_begin(). */
void overhear_begin(void);
void overhear_end(void);
/* How many lines contain the words; all lines: "". */
unsigned overhear_count(const char *words);
bool overhear_has(const char *words);
/* Calls visit for each line, in order. */
void overhear_foreach(void (*visit)(const char *line, void *arg), void *arg);

/* Lines since overhear_begin() that contain the words that were set before it, also while
 * listening. */
void overhear_watch(const char *words);
extern _Atomic uint64_t overhear_watched;
/* Called at the end of each line, as a device's put(): interrupts off, no printf().  NULL:
 * nothing. */
void overhear_hook(void (*hook)(const char *line));

#endif
