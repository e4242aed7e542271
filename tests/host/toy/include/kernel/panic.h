/*
 * The end, which is the process's.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_PANIC_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_PANIC_H

_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* What is called in a panic, to say what its CPU was about. */
void panic_establish(void (*note)(void));
/* Where a CPU spins for long: stops there for good once another one panics. */
void panic_stop_here(void);

#define KASSERT(e) ((e) ? (void)0 : panic("%s:%d: %s", __FILE__, __LINE__, #e))
#define KASSERTMSG(e, ...) ((e) ? (void)0 : panic(__VA_ARGS__))

#endif
