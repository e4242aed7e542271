/*
 * The main job: reprogram every CPU's local timer by cross call, measure, report.
 */
#ifndef KERNEL_MAIN_BRINGUP_H
#define KERNEL_MAIN_BRINGUP_H

#include <stdbool.h>

/* Does the main job and prints tables, TIMER lines and the BRINGUP line; whether all is as asked.
 * Honours the words hz=N and hold (then it does not return).  A thread on the boot CPU. */
bool bringup_run(void);

#endif
