/*
 * Time since boot: the time stamp counter, converted by two fixed factors.
 *
 * Limits: each CPU reads its own counter.  Where the firmware left the counters of two CPUs apart,
 * their clocks differ by as much; each for itself never goes back.
 */
#include "kernel/clock.h"

#include <stdatomic.h>

#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/scale.h"

static struct scale clock_to_ns, clock_to_cycles;
static uint64_t clock_start_cycles;
/* 0 until the rest is valid: an NMI may ask for the time while clock_init() runs. */
static _Atomic uint64_t clock_cycles_hz;

void
clock_init(uint64_t cycles_hz)
{
	KASSERT(cycles_hz != 0 && clock_hz() == 0);
	scale_init(&clock_to_ns, cycles_hz, 1000000000);
	scale_init(&clock_to_cycles, 1000000000, cycles_hz);
	clock_start_cycles = machine_cycles();
	/* Release: pairs with the acquire in clock_hz(). */
	atomic_store_explicit(&clock_cycles_hz, cycles_hz, memory_order_release);
}

uint64_t
clock_hz(void)
{
	/* Acquire: pairs with the release in clock_init(). */
	return atomic_load_explicit(&clock_cycles_hz, memory_order_acquire);
}

uint64_t
clock_ns(void)
{
	uint64_t now;

	if (clock_hz() == 0)
		return 0;
	now = machine_cycles();
	/* A CPU whose counter is behind the boot CPU's stands at 0 until it has caught up. */
	return now > clock_start_cycles ? scale_apply(&clock_to_ns, now - clock_start_cycles) : 0;
}

uint64_t
clock_cycles_to_ns(uint64_t cycles)
{
	KASSERT(clock_hz() != 0);
	return scale_apply(&clock_to_ns, cycles);
}

uint64_t
clock_ns_to_cycles(uint64_t ns)
{
	KASSERT(clock_hz() != 0);
	return scale_apply(&clock_to_cycles, ns);
}

void
delay_us(uint64_t us)
{
	uint64_t start = machine_cycles();
	uint64_t wait_cycles = clock_ns_to_cycles(us < UINT64_MAX / 1000 ? us * 1000 : UINT64_MAX);

	/* "Greater", not "at least": conversion may have rounded down, and `start` may be a count
	 * old. */
	while (machine_cycles() - start <= wait_cycles)
		machine_pause();
}
