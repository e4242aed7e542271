/*
 * The end of a kernel that found itself broken: the message, who is to blame, the stack.
 */
#ifndef KERNEL_PANIC_H
#define KERNEL_PANIC_H

struct cpu_info;
struct trapframe;

/* Stops the other CPUs, prints "panic: ...", CPU, thread and a symbolised backtrace, prints
 * "END panic", and ends the machine with BOOT_EXIT_PANIC.  Any context. */
_Noreturn void panic(const char *fmt, ...) __attribute__((format(printf, 1, 2)));
/* The same, with the registers and the stack of an interrupted context. */
_Noreturn void panic_frame(struct trapframe *frame, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* The same, and where another CPU was stopped, which has to do with it. */
_Noreturn void panic_cpu(const struct cpu_info *other, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Sets what is called in a panic, once the other CPUs stand still, to say what the panicking CPU
 * was about: printf(), no lock.  One, in bring-up. */
void panic_establish(void (*note)(void));
/* Parks this CPU when another panics: the NMI handler asks it first of all. */
void panic_stop_at(const struct trapframe *);
/* The same for who looks for itself, as no NMI would reach it. */
void panic_stop_here(void);

/* Assertions, compiled in always. */
#define KASSERT(e) ((e) ? (void)0 : panic_assert(#e, __FILE__, __LINE__, __func__, ""))
#define KASSERTMSG(e, ...) \
	((e) ? (void)0 : panic_assert(#e, __FILE__, __LINE__, __func__, __VA_ARGS__))
_Noreturn void panic_assert(const char *expr, const char *file, int line, const char *func,
    const char *fmt, ...) __attribute__((format(printf, 5, 6)));

#endif
