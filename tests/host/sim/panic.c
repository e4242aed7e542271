/*
 * The kernel's panic, and its console: a broken assertion ends the run where it happens, with
 * nobody stopped first.
 */
#include "kernel/panic.h"

#include <stdarg.h>
#include <stddef.h>

#include "kernel/console.h"
#include "kernel/kthread.h"
#include "kernel/printf.h"
#include "tests/host/sim/sim.h"
#include "tests/host/vcpu/runtime.h"

static _Noreturn void __attribute__((format(printf, 1, 0)))
panic_common(const char *fmt, va_list ap)
{
	char message[SIM_TEXT_BYTES / 2];
	const lwp_t *l = runtime_self()->vc_ci->ci_curlwp;

	vsnprintf(message, sizeof(message), fmt, ap);
	sim_fail("panic: %s (thread %s)", message, l != NULL ? l->l_name : "none yet");
}

void
panic(const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	panic_common(fmt, ap);
}

void
panic_frame(struct trapframe *frame, const char *fmt, ...)
{
	va_list ap;

	(void)frame;
	va_start(ap, fmt);
	panic_common(fmt, ap);
}

void
panic_assert(const char *expr, const char *file, int line, const char *func, const char *fmt, ...)
{
	char why[SIM_TEXT_BYTES / 4];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	panic("assertion \"%s\" failed in %s(), %s:%d%s%s", expr, func, file, line,
	    why[0] != '\0' ? ": " : "", why);
}

void
panic_cpu(const struct cpu_info *other, const char *fmt, ...)
{
	va_list ap;

	(void)other;
	va_start(ap, fmt);
	panic_common(fmt, ap);
}

/* Nobody is asked to stop. */
void
panic_stop_at(const struct trapframe *frame)
{
	(void)frame;
}

void
panic_establish(void (*note)(void))
{
	(void)note;
}

void
panic_stop_here(void)
{
}

static struct console_device panic_console = { .name = "stdout", .put = sim_put };

void
sim_attach_console(void)
{
	console_attach(&panic_console);
}
