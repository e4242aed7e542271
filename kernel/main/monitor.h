/*
 * The prompt on the console.
 */
#ifndef KERNEL_MAIN_MONITOR_H
#define KERNEL_MAIN_MONITOR_H

/* Reads commands (kernel/command.h) and runs them, for ever.  A thread at PRI_KERNEL; it polls, but
 * sleeps between two looks. */
_Noreturn void monitor_run(void);

#endif
