/*
 * Stacks and ThreadSanitizer: each is a fiber, and a switch orders what one did before what the
 * next does, for they are on one CPU.
 */
#include <sanitizer/tsan_interface.h>
#include <stddef.h>

#include "tests/host/vcpu/fiber.h"
#include "tests/host/vcpu/runtime.h"

const char *__tsan_default_options(void);

/* The sanitizer would sleep for a second at the end. */
const char *
__tsan_default_options(void)
{
	return "atexit_sleep_ms=0";
}

void
fiber_adopt(struct vcpu_context *vx)
{
	vx->vx_fiber = __tsan_get_current_fiber();
}

void
fiber_create(struct vcpu_context *vx)
{
	if (vx->vx_fiber != NULL)
		__tsan_destroy_fiber(vx->vx_fiber);
	vx->vx_fiber = __tsan_create_fiber(0);
}

void
fiber_leave(struct vcpu_context *from, const struct vcpu_context *to)
{
	(void)from;
	__tsan_switch_to_fiber(to->vx_fiber, 0);
}

void
fiber_arrive(const struct vcpu_context *vx)
{
	(void)vx;
}
