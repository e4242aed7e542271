/*
 * The console: every output device there is, as one; input from the serial line.  printf()
 * (printf.h) prints to it: to all devices, under the console lock, which one CPU holds for the
 * whole call.
 */
#ifndef KERNEL_CONSOLE_H
#define KERNEL_CONSOLE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/*
 * An output device (COM1, VGA text, framebuffer).
 *
 * put() must be bounded in time and callable in any context.  One CPU at a time calls it, except in
 * a panic, and an NMI may call it again while it runs: then a wrong character is forgiven, a store
 * outside the device is not.
 */
struct console_device {
	const char *name;
	void (*put)(char c);
	int (*get)(void);      /* a character, or -1; NULL for devices without input */
	_Atomic uint64_t lost; /* characters the device did not take in time */
	_Atomic(struct console_device *) next;
};

/* Adds a device at the end; the structure must outlive it there.  Any context but NMI; may be
 * called as the kernel's first act. */
void console_attach(struct console_device *);
/* Takes a device out: when this returns no CPU is in its put(), unless one panics.  Thread
 * context. */
void console_detach(struct console_device *);
/* A received character, or -1.  Polls; thread context. */
int console_get(void);
/* From a panic on: the lock is tried for a bounded time, then ignored. */
void console_panicking(void);
/* Prints a text and lets nothing be printed behind it, so that the last line stays the last.  Any
 * context. */
void console_close(const char *last);
/* The devices attached, in order; NULL at the end.  For the banner and the monitor. */
struct console_device *console_first(void);
struct console_device *console_next(const struct console_device *);

#endif
