/*
 * Cache lines that move from CPU to CPU.
 */
#ifndef TESTS_HOST_SIM_LINES_H
#define TESTS_HOST_SIM_LINES_H

#include <stdbool.h>

/* Lines that had to be fetched for operations of xcall/, and of the kernel's. */
struct lines_moved {
	unsigned xcall, kernel;
};

/* An atomic operation is about to happen. */
void lines_touch(const volatile void *object, unsigned cpu, bool write, bool xcall);
/* Begins to count, from 0, or ends; what is known of the lines stays. */
void lines_count(bool on);
struct lines_moved lines_moved(void);

/* Prints what a unicast of each level moves, from CPU 0 to the last one and back, when nothing else
 * happens. */
void lines_print(unsigned variant);

#endif
