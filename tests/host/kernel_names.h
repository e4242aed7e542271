/*
 * Gives the kernel's functions that libc has too a name of their own on the host.
 *
 * Macros with arguments, because printf is also a word in __attribute__((format(printf, ...))),
 * which must stay as it is.  The makefile puts this header before every kernel source; a test
 * includes it behind the headers of libc and cmocka and before those of the kernel, and calls the
 * kernel's functions by their plain names from there on.
 */
#ifndef TESTS_HOST_KERNEL_NAMES_H
#define TESTS_HOST_KERNEL_NAMES_H

#define memcpy(...) kernel_memcpy(__VA_ARGS__)
#define memmove(...) kernel_memmove(__VA_ARGS__)
#define memset(...) kernel_memset(__VA_ARGS__)
#define memcmp(...) kernel_memcmp(__VA_ARGS__)
#define strlen(...) kernel_strlen(__VA_ARGS__)
#define strcmp(...) kernel_strcmp(__VA_ARGS__)
#define strncmp(...) kernel_strncmp(__VA_ARGS__)
#define printf(...) kernel_printf(__VA_ARGS__)
#define vprintf(...) kernel_vprintf(__VA_ARGS__)
#define snprintf(...) kernel_snprintf(__VA_ARGS__)
#define vsnprintf(...) kernel_vsnprintf(__VA_ARGS__)

#endif
