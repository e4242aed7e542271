/*
 * The kernel's assertions on the host: a failed one is what cmocka's expect_assert_failure() waits
 * for, and else fails the test.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>

#include "tests/host/kernel_names.h"

#include "kernel/panic.h"

void
panic_assert(const char *expr, const char *file, int line, const char *func, const char *fmt, ...)
{
	(void)func;
	(void)fmt;
	mock_assert(0, expr, file, line);
	abort();
}
