/*
 * Formatted output: the conversions d i u x X c s p % with flags - 0, width, precision (also *),
 * and the lengths hh h l ll z.  Pure code: also built on the host.
 */
#ifndef KERNEL_PRINTF_H
#define KERNEL_PRINTF_H

#include <stdarg.h>
#include <stddef.h>

/* Prints to the console, atomically: lines of different CPUs do not mix when each call is a line.
 * Any context, NMI and panic included. */
void printf(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
void vprintf(const char *fmt, va_list ap) __attribute__((format(printf, 1, 0)));
/* As in C: returns the length the whole text has. */
int snprintf(char *buf, size_t size, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
int vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));
/* The formatter: calls put(cookie, c) for each character. */
void printf_format(void (*put)(void *, char), void *cookie, const char *fmt, va_list ap)
    __attribute__((format(printf, 3, 0)));

#endif
