/*
 * Door 1 of the host: the local timer of a virtual CPU.
 *
 * Its registers belong to the virtual CPU.  What the runtime needs, when it expires next and its
 * period, is in two words of their own: the runtime moves the deadline by compare-and-swap, so that
 * an expiry that meets machine_timer_program() is either of the old setting or not at all.
 */
#include "kernel/intr.h"
#include "tests/host/vcpu/runtime.h"

uint64_t
machine_timer_input_hz(void)
{
	return RUNTIME_HZ;
}

void
machine_timer_program(uint32_t divide, uint32_t count, bool periodic)
{
	struct cpu_md *vc = runtime_self();
	uint64_t period = (uint64_t)divide * count;

	vc->vc_timer = (struct machine_timer){ .lvt = INTR_VECTOR_TIMER,
		.initial_count = count,
		.divide = divide,
		.periodic = periodic,
		.masked = count == 0 };
	vc->vc_timer_start = runtime_cycles();
	/* Relaxed: numbers, which order nothing. */
	atomic_store_explicit(&vc->vc_period, periodic ? period : 0, memory_order_relaxed);
	atomic_store_explicit(
	    &vc->vc_deadline, count != 0 ? vc->vc_timer_start + period : 0, memory_order_relaxed);
	runtime_deadline();
}

bool
machine_timer_has_deadline(void)
{
	return true;
}

/* What has passed already expires at the runtime's next look. */
void
machine_timer_deadline(uint64_t cycles, bool first)
{
	struct cpu_md *vc = runtime_self();

	if (first)
		vc->vc_timer = (struct machine_timer){
			.lvt = INTR_VECTOR_TIMER, .divide = 1, .deadline = true
		};
	atomic_store_explicit(&vc->vc_period, 0, memory_order_relaxed);
	atomic_store_explicit(&vc->vc_deadline, cycles, memory_order_relaxed);
	runtime_deadline();
}

uint32_t
machine_timer_current(void)
{
	const struct cpu_md *vc = runtime_self();
	const struct machine_timer *t = &vc->vc_timer;
	uint64_t counted;

	if (t->initial_count == 0)
		return 0;
	counted = (runtime_cycles() - vc->vc_timer_start) / t->divide;
	if (!t->periodic && counted >= t->initial_count)
		return 0;
	return t->initial_count - (uint32_t)(counted % t->initial_count);
}

void
machine_timer_read(struct machine_timer *timer)
{
	*timer = runtime_self()->vc_timer;
	timer->current_count = machine_timer_current();
}

void
vcpu_timer_expire(struct cpu_md *vc, uint64_t now)
{
	uint64_t deadline = atomic_load_explicit(&vc->vc_deadline, memory_order_relaxed);
	uint64_t period = atomic_load_explicit(&vc->vc_period, memory_order_relaxed), next = 0;

	if (deadline == 0 || deadline > now)
		return;
	if (period != 0)
		next = deadline + ((now - deadline) / period + 1) * period;
	if (atomic_compare_exchange_strong_explicit(
		&vc->vc_deadline, &deadline, next, memory_order_relaxed, memory_order_relaxed))
		vcpu_raise(vc, INTR_VECTOR_TIMER);
}
