/*
 * The console lock, and printf().
 *
 * Background
 *	A line of the console is read by programs, so lines of different CPUs must not mix.  But the
 *	console is also where a kernel says that it is broken: from an NMI that struck inside
 *	printf(), from a trap in the formatter itself, from a panic while the CPU that printed is
 *	stopped for ever.  A lock that waits for its holder is wrong in each of these.
 *
 * Implementation
 *	One word, console_owner, names the CPU that prints; NULL is free.  A CPU takes it with
 *	interrupts off, by compare-and-swap, so nothing but an NMI or an exception can nest inside a
 *	holder; whoever has to wait does so with the interrupts as the caller had them.
 *
 *	  - The owner is this CPU: only an NMI or an exception inside printf() can come here.
 *	    Waiting would be for ever, so it prints at once, on a line of its own, and leaves the
 *	    lock with its holder.
 *	  - A panic is under way and the owner is another CPU: that may be stopped.  The lock is
 *	    tried CONSOLE_PANIC_SPINS times and then taken over.  A holder that lives on loses only
 *	    the tidiness of its line: exit frees the lock by compare-and-swap, only if it is still
 *	    its own.
 *
 *	A line may be printed by several calls.  If another CPU, or what nests in this one, prints
 *	before the line has ended, console_open_line tells, and the newcomer ends it first.
 *
 *	Before the first CPU is attached there is one CPU, and no curcpu() to name it: a constant
 *	stands for it.
 *
 *	The list of devices only grows at its end and shrinks by one store to a `next`, and its
 *	links are atomic, so that a printf() that ignores the lock still walks a sound list.
 *
 * Rules for callers
 *	The GS base of a CPU is set before it prints, and that of the boot CPU before cpu_attach().
 *	No printf() is in progress across the boot CPU's cpu_attach().
 *
 * Limits
 *	The lock is not fair.  kernel/spinlock.h is, but it panics when it is entered twice, and
 *	panic() prints: that is why it is not used here.
 */
#include "kernel/console.h"

#include <stdarg.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/printf.h"

/* How often a panicking CPU tries to have the lock: with `pause` a tenth of a second, while the
 * longest line takes 10 ms at 115200 baud. */
#define CONSOLE_PANIC_SPINS 1000000u
/* Values of console_open_line that are no CPU. */
#define CONSOLE_LINE_ENDED 0
#define CONSOLE_LINE_NESTED 1

enum console_hold {
	CONSOLE_ENTERED, /* the lock is ours */
	CONSOLE_NESTED,  /* this CPU has it, further up its stack */
};

static _Atomic(const void *) console_owner;
static _Atomic bool console_panics;
static _Atomic bool console_closed;
/* Who left the last line without its end: the CPU, plus CONSOLE_LINE_NESTED for what nested in
 * it. */
static _Atomic uintptr_t console_open_line = CONSOLE_LINE_ENDED;
static _Atomic(struct console_device *) console_list;
/* Stands for the boot CPU while it is the only one. */
static const uint64_t console_boot_cpu;

static void console_print(const char *fmt, va_list ap, bool close)
    __attribute__((format(printf, 1, 0)));
static void console_print_last(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static const void *
console_self(void)
{
	return cpu_lookup(0) == NULL ? (const void *)&console_boot_cpu : curcpu();
}

static bool
console_try(const void *self)
{
	const void *expected = NULL;

	/* Acquire: pairs with the release in console_exit(). */
	return atomic_compare_exchange_strong_explicit(
	    &console_owner, &expected, self, memory_order_acquire, memory_order_relaxed);
}

/* Takes the lock; on return interrupts are off, *intr is what console_exit() wants. */
static enum console_hold
console_enter(const void *self, bool *intr)
{
	for (unsigned spins = 0;; spins++) {
		*intr = machine_intr_disable();
		if (atomic_load_explicit(&console_owner, memory_order_relaxed) == self)
			return CONSOLE_NESTED;
		if (console_try(self))
			return CONSOLE_ENTERED;
		if (spins >= CONSOLE_PANIC_SPINS &&
		    atomic_load_explicit(&console_panics, memory_order_relaxed)) {
			atomic_store_explicit(&console_owner, self, memory_order_relaxed);
			return CONSOLE_ENTERED;
		}
		machine_intr_restore(*intr);
		machine_pause();
	}
}

static void
console_exit(const void *self, enum console_hold hold, bool intr)
{
	/* Release: pairs with the acquire in console_try().  Fails when a panicking CPU took
	 * over. */
	if (hold == CONSOLE_ENTERED)
		atomic_compare_exchange_strong_explicit(
		    &console_owner, &self, NULL, memory_order_release, memory_order_relaxed);
	machine_intr_restore(intr);
}

static void
console_put(void *cookie, char c)
{
	const uintptr_t *writer = cookie;
	struct console_device *d;

	for (d = console_first(); d != NULL; d = console_next(d))
		d->put(c);
	atomic_store_explicit(
	    &console_open_line, c == '\n' ? CONSOLE_LINE_ENDED : *writer, memory_order_relaxed);
}

/* One call's text; `close`: and nothing after it. */
static void
console_print(const char *fmt, va_list ap, bool close)
{
	const void *self = console_self();
	enum console_hold hold;
	uintptr_t writer, open;
	bool intr;

	hold = console_enter(self, &intr);
	if (!atomic_load_explicit(&console_closed, memory_order_relaxed)) {
		writer = (uintptr_t)self | (hold == CONSOLE_NESTED ? CONSOLE_LINE_NESTED : 0);
		open = atomic_load_explicit(&console_open_line, memory_order_relaxed);
		if (open != CONSOLE_LINE_ENDED && open != writer)
			console_put(&writer, '\n');
		printf_format(console_put, &writer, fmt, ap);
		if (close)
			atomic_store_explicit(&console_closed, true, memory_order_relaxed);
	}
	console_exit(self, hold, intr);
}

void
vprintf(const char *fmt, va_list ap)
{
	console_print(fmt, ap, false);
}

void
printf(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	console_print(fmt, ap, false);
	va_end(ap);
}

static void
console_print_last(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	console_print(fmt, ap, true);
	va_end(ap);
}

void
console_close(const char *last)
{
	console_print_last("%s", last);
}

/* The link that leads to `d`, or the last one of the list. */
static _Atomic(struct console_device *) *
console_link(const struct console_device *d)
{
	_Atomic(struct console_device *) *link = &console_list;
	struct console_device *at;

	while ((at = atomic_load_explicit(link, memory_order_relaxed)) != NULL && at != d)
		link = &at->next;
	return link;
}

void
console_attach(struct console_device *d)
{
	const void *self = console_self();
	enum console_hold hold;
	bool intr;

	hold = console_enter(self, &intr);
	atomic_store_explicit(&d->next, NULL, memory_order_relaxed);
	/* Release: pairs with the acquire in console_first() and console_next(). */
	atomic_store_explicit(console_link(NULL), d, memory_order_release);
	console_exit(self, hold, intr);
}

void
console_detach(struct console_device *d)
{
	const void *self = console_self();
	enum console_hold hold;
	bool intr;

	hold = console_enter(self, &intr);
	if (atomic_load_explicit(console_link(d), memory_order_relaxed) == d)
		atomic_store_explicit(console_link(d), console_next(d), memory_order_relaxed);
	console_exit(self, hold, intr);
}

int
console_get(void)
{
	struct console_device *d;
	int c;

	for (d = console_first(); d != NULL; d = console_next(d))
		if (d->get != NULL && (c = d->get()) >= 0)
			return c;
	return -1;
}

void
console_panicking(void)
{
	uintptr_t open = atomic_load_explicit(&console_open_line, memory_order_relaxed);

	/* A line that this CPU left open is not continued by the panic, either. */
	if (open != CONSOLE_LINE_ENDED)
		atomic_store_explicit(
		    &console_open_line, CONSOLE_LINE_NESTED, memory_order_relaxed);
	atomic_store_explicit(&console_panics, true, memory_order_relaxed);
}

struct console_device *
console_first(void)
{
	/* Acquire: pairs with the release in console_attach(). */
	return atomic_load_explicit(&console_list, memory_order_acquire);
}

struct console_device *
console_next(const struct console_device *d)
{
	/* Acquire: pairs with the release in console_attach(). */
	return atomic_load_explicit(&d->next, memory_order_acquire);
}
