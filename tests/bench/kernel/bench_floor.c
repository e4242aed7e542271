/*
 * What there is to compare with: the readings themselves, and the raw round trip of an interrupt
 * between CPUs, with no kernel in its way.
 *
 * The floor: the sender writes the command register; the target's handler, behind a stub that saves
 * what a C function may change, stores a flag and ends the interrupt; the sender sees the flag.
 * The target's thread halts or spins by itself, so that no idle loop and no scheduler is part of
 * it.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/io.h"
#include "kernel/x86/trap.h"
#include "tests/bench/kernel/bench.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

/* Above the timer's class; nobody else's (intr.h). */
#define BENCH_FLOOR_VECTOR 0xb0u
/* ICR: level assert; the destination in the high half (SDM vol. 3, figure 11-12). */
#define BENCH_FLOOR_ASSERT (1u << 14)
#define BENCH_FLOOR_ID_SHIFT 24
#define BENCH_FLOOR_PAGE 0xfffff000u

/* bench_stub.asm */
void bench_stub(void);
void bench_gate(unsigned vector, uintptr_t stub);
void bench_floor_intr(void);

static uintptr_t bench_floor_lapic;
static uint32_t bench_floor_id;
static _Atomic uint64_t bench_floor_there;
static _Atomic bool bench_floor_flag, bench_floor_stop;

void
bench_floor_intr(void)
{
	/* Release: pairs with the acquire in bench_floor_await(). */
	atomic_store_explicit(&bench_floor_flag, true, memory_order_release);
	mmio_write32(bench_floor_lapic + APIC_REG_EOI, 0);
}

static inline void
bench_floor_op(void)
{
	mmio_write32(bench_floor_lapic + APIC_REG_ICR_HIGH, bench_floor_id);
	mmio_write32(bench_floor_lapic + APIC_REG_ICR_LOW, BENCH_FLOOR_ASSERT | BENCH_FLOOR_VECTOR);
	/* Acquire: pairs with bench_floor_intr(). */
	while (!atomic_load_explicit(&bench_floor_flag, memory_order_acquire))
		machine_pause();
}

static inline void
bench_floor_reset(void)
{
	atomic_store_explicit(&bench_floor_flag, false, memory_order_relaxed);
}

static void
bench_floor_halt(void *arg __attribute__((unused)))
{
	atomic_store_explicit(&bench_floor_there, 1, memory_order_release);
	while (!atomic_load_explicit(&bench_floor_stop, memory_order_relaxed))
		bench_mark_halt();
}

static void
bench_floor_spin(void *arg __attribute__((unused)))
{
	atomic_store_explicit(&bench_floor_there, 1, memory_order_release);
	while (!atomic_load_explicit(&bench_floor_stop, memory_order_relaxed))
		machine_pause();
}

/* Samples with CPU `ci` in `rest`, or with nobody there. */
static void
bench_floor(struct bench_run *run, struct cpu_info *ci, void (*rest)(void *))
{
	struct crew_job job;
	uint64_t base;

	if (!trap_rdmsr(APIC_BASE_MSR, &base))
		panic("the local APIC's address cannot be read");
	bench_floor_lapic = (uint32_t)base & BENCH_FLOOR_PAGE;
	bench_floor_id = ci->ci_apicid << BENCH_FLOOR_ID_SHIFT;
	bench_gate(BENCH_FLOOR_VECTOR, (uintptr_t)bench_stub);
	atomic_store_explicit(&bench_floor_stop, false, memory_order_relaxed);
	if (rest != NULL) {
		atomic_store_explicit(&bench_floor_there, 0, memory_order_relaxed);
		crew_start(&job, ci, PRI_USER, rest, NULL);
		bench_await(&bench_floor_there, 1);
	}
	bench_sample(run, bench_floor_reset, bench_floor_op, bench_nothing);
	atomic_store_explicit(&bench_floor_stop, true, memory_order_relaxed);
	if (rest != NULL)
		crew_join(&job);
}

static void
bench_floor_self_run(struct bench_run *run)
{
	bench_floor(run, curcpu(), NULL);
}

static void
bench_floor_busy_run(struct bench_run *run)
{
	bench_floor(run, bench_target(), bench_floor_spin);
}

static void
bench_floor_idle_run(struct bench_run *run)
{
	bench_floor(run, bench_target(), bench_floor_halt);
}

BENCH_OP(bench_nothing)
BENCH_OP(bench_mark_loop)

const struct bench_row bench_floor_rows[] = {
	{ "empty", BENCH_IDLE, 1, 1, bench_nothing_run },
	{ "two_million", BENCH_IDLE, 1, 100, bench_mark_loop_run },
	{ "floor_self", BENCH_IDLE, 1, 1, bench_floor_self_run },
	{ "floor_busy", BENCH_IDLE, 2, 1, bench_floor_busy_run },
	{ "floor_idle", BENCH_IDLE, 2, 1, bench_floor_idle_run },
	{ .name = NULL },
};
