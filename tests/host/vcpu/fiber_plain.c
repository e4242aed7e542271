/*
 * Stacks, in a build that no sanitizer watches.
 */
#include <stddef.h>

#include "tests/host/vcpu/fiber.h"
#include "tests/host/vcpu/runtime.h"

void
fiber_adopt(struct vcpu_context *vx)
{
	vx->vx_fiber = NULL;
}

void
fiber_create(struct vcpu_context *vx)
{
	vx->vx_fiber = NULL;
}

void
fiber_leave(struct vcpu_context *from, const struct vcpu_context *to)
{
	(void)from;
	(void)to;
}

void
fiber_arrive(const struct vcpu_context *vx)
{
	(void)vx;
}
