/*
 * The monitor's view of the console.
 */
#include "kernel/command.h"
#include "kernel/console.h"
#include "kernel/printf.h"

COMMAND(console, "", "output devices, and the characters they lost")
{
	const struct console_device *d;

	for (d = console_first(); d != NULL; d = console_next(d))
		printf("%-12s  %-12s  %lu lost\n", d->name, d->get != NULL ? "in and out" : "out",
		    atomic_load_explicit(&d->lost, memory_order_relaxed));
	return 0;
}
