/*
 * Stacks and AddressSanitizer, which wants to know the bounds of the one in use.
 */
#include <sanitizer/asan_interface.h>
#include <stddef.h>

#include "tests/host/vcpu/fiber.h"
#include "tests/host/vcpu/runtime.h"

const char *__asan_default_options(void);

/* All memory is the kernel's own allocator's, and its tests look for leaks there. */
const char *
__asan_default_options(void)
{
	return "detect_leaks=0";
}

void
fiber_adopt(struct vcpu_context *vx)
{
	vx->vx_fiber = NULL;
}

/* What functions that never returned have left marked is free again. */
void
fiber_create(struct vcpu_context *vx)
{
	vx->vx_fiber = NULL;
	__asan_unpoison_memory_region((void *)vx->vx_low, vx->vx_high - vx->vx_low);
}

void
fiber_leave(struct vcpu_context *from, const struct vcpu_context *to)
{
	__sanitizer_start_switch_fiber(
	    &from->vx_fiber, (const void *)to->vx_low, to->vx_high - to->vx_low);
}

void
fiber_arrive(const struct vcpu_context *vx)
{
	__sanitizer_finish_switch_fiber(vx->vx_fiber, NULL, NULL);
}
