/*
 * What the console shows first: version, loader, memory, firmware tables.
 */
#ifndef KERNEL_MAIN_BANNER_H
#define KERNEL_MAIN_BANNER_H

struct bootinfo;

void banner_print(const struct bootinfo *);
void banner_print_memory(const struct bootinfo *);
/* Where the CPUs were found, and what was wrong with the tables. */
void banner_print_platform(void);

#endif
