/*
 * The last line.
 */
#ifndef KERNEL_MAIN_END_H
#define KERNEL_MAIN_END_H

/* Prints "END pass" (BOOT_EXIT_PASS) or "END fail" (anything else), lets nothing be printed behind it, and ends the
 * machine.  Any context but NMI.  A panic prints its own. */
_Noreturn void end_report(unsigned status);

#endif
