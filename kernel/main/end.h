/*
 * The last line.
 */
#ifndef KERNEL_MAIN_END_H
#define KERNEL_MAIN_END_H

/* Prints "END pass" (BOOT_EXIT_PASS) or "END fail" (anything else), lets nothing be printed behind
 * it, and ends the machine; with the word `hold` on the command line it leaves everything running
 * instead, for a debugger or probe to look at.  Thread context.  A panic prints its own. */
_Noreturn void end_report(unsigned status);

#endif
