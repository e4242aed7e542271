/*
 * Local timer: choosing divider and count, programming, the record of expiries.
 *
 * No case judges by how many expiries came in how much time: an emulator drops them when its host
 * is busy.  What always holds is that intervals are whole multiples of the period, and what the
 * registers say.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/timer.h"
#include "tests/kernel/test.h"

#define MHZ 1000000ull
#define GHZ 1000000000ull
#define NS_PER_S 1000000000ull
/* A hang detector: an emulated CPU on a loaded host can lose seconds, never a minute. */
#define HANG_NS (60 * NS_PER_S)

/* Runs a case that reprograms CPU 0's timer, and puts the timer back also when it failed. */
static void
with_timer(void (*body)(void))
{
	body();
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, HZ), 0);
}

static bool
wait_expiries(struct timer_record *r, uint64_t n)
{
	uint64_t start = clock_ns();

	do {
		machine_pause();
		timer_get(curcpu(), r);
	} while (r->expiries < n && clock_ns() - start < HANG_NS);
	return r->expiries >= n;
}

/* --- choosing --------------------------------------------------------------------------------- */

TEST_CASE(timer, choose_edges)
{
	uint32_t divide = 77, count = 77;

	T_ASSERT_EQ(timer_choose(GHZ, 1, &divide, &count), 0);
	T_ASSERT_EQ(divide, 1);
	T_ASSERT_EQ(count, GHZ);
	T_ASSERT_EQ(timer_choose(GHZ, 10000, &divide, &count), 0);
	T_ASSERT_EQ(divide, 1);
	T_ASSERT_EQ(count, 100000);
	/* The largest count at each end of a divider. */
	T_ASSERT_EQ(timer_choose(UINT32_MAX, 1, &divide, &count), 0);
	T_ASSERT_EQ(divide, 1);
	T_ASSERT_EQ(count, UINT32_MAX);
	T_ASSERT_EQ(timer_choose((uint64_t)UINT32_MAX + 1, 1, &divide, &count), 0);
	T_ASSERT_EQ(divide, 2);
	T_ASSERT_EQ(count, 0x80000000);
	T_ASSERT_EQ(timer_choose((uint64_t)UINT32_MAX * 128, 1, &divide, &count), 0);
	T_ASSERT_EQ(divide, 128);
	T_ASSERT_EQ(count, UINT32_MAX);
	/* Rounded to nearest: 1000 / 3 and 2000 / 3. */
	T_ASSERT_EQ(timer_choose(1000, 3, &divide, &count), 0);
	T_ASSERT_EQ(count, 333);
	T_ASSERT_EQ(timer_choose(2000, 3, &divide, &count), 0);
	T_ASSERT_EQ(count, 667);
}

TEST_CASE(timer, choose_refuses)
{
	uint32_t divide = 77, count = 77;

	T_ASSERT_EQ(timer_choose(GHZ, 0, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose(0, 100, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose(MHZ, MHZ, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose(MHZ, 10 * MHZ, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose(GHZ, UINT64_MAX, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose((uint64_t)1 << 40, 1, &divide, &count), EINVAL);
	T_ASSERT_EQ(timer_choose(MHZ, MHZ / TIMER_COUNT_MIN * 2, &divide, &count), EINVAL);
	T_ASSERT_EQ(divide, 77);
	T_ASSERT_EQ(count, 77);
}

/* The rate that comes out is within half a count of what was asked, for all sorts of timers. */
TEST_CASE(timer, choose_error)
{
	static const uint64_t inputs[] = { 2 * MHZ, 24 * MHZ, 38400000, 66666667, GHZ, 12 * GHZ };

	for (unsigned i = 0; i < sizeof(inputs) / sizeof(inputs[0]); i++) {
		for (uint64_t hz = TIMER_HZ_MIN; hz <= TIMER_HZ_MAX; hz += hz < 20 ? 1 : 97) {
			uint32_t divide, count;
			uint64_t asked, got, off;

			T_ASSERT_EQ(timer_choose(inputs[i], hz, &divide, &count), 0);
			asked = inputs[i];
			got = hz * count * divide;
			off = got > asked ? got - asked : asked - got;
			/* Half a count, and what the division by the divider dropped. */
			T_ASSERT(off <= hz * divide / 2 + divide);
			T_ASSERT(divide == 1 || inputs[i] / (divide / 2) / hz >= UINT32_MAX);
		}
	}
}

/* --- programming ------------------------------------------------------------------------------ */

static void
body_bounds(void)
{
	struct timer_record before, after;

	timer_get(curcpu(), &before);
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, 0), EINVAL);
	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, TIMER_HZ_MAX + 1), EINVAL);
	T_ASSERT_EQ(timer_program(TIMER_ONESHOT, 0), EINVAL);
	T_ASSERT_EQ(timer_program(TIMER_ONESHOT, UINT64_MAX), EINVAL);
	timer_get(curcpu(), &after);
	T_ASSERT_EQ(after.setting.generation, before.setting.generation);
	T_ASSERT_EQ(after.setting.hz, before.setting.hz);
}

TEST_CASE(timer, bounds)
{
	with_timer(body_bounds);
}

static void
check_registers(enum timer_mode mode, uint64_t hz)
{
	struct timer_record r;
	struct machine_timer now;
	uint32_t divide, count;

	T_ASSERT_EQ(timer_choose(machine_timer_input_hz(), hz, &divide, &count), 0);
	T_ASSERT_EQ(timer_program(mode, hz), 0);
	machine_timer_read(&now);
	timer_get(curcpu(), &r);
	T_ASSERT_EQ(r.setting.mode, mode);
	T_ASSERT_EQ(r.setting.hz, hz);
	T_ASSERT_EQ(r.setting.divide, divide);
	T_ASSERT_EQ(r.setting.count, count);
	T_ASSERT_EQ(r.registers.divide, divide);
	T_ASSERT_EQ(r.registers.initial_count, count);
	T_ASSERT(r.registers.current_count <= count);
	T_ASSERT_EQ(r.registers.periodic, mode == TIMER_PERIODIC);
	T_ASSERT_EQ(r.registers.lvt & 0xff, INTR_VECTOR_TIMER);
	T_ASSERT(!r.registers.masked);
	T_ASSERT_EQ(now.initial_count, count);
	T_ASSERT_EQ(now.divide, divide);
	T_ASSERT_EQ(now.lvt & 0xff, INTR_VECTOR_TIMER);
}

static void
body_registers(void)
{
	static const uint64_t hz[] = { 1, 2, 3, 100, 997, 1000, 4999, 10000 };

	for (unsigned i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		check_registers(TIMER_PERIODIC, hz[i]);
		check_registers(TIMER_ONESHOT, hz[i]);
	}
}

TEST_CASE(timer, registers)
{
	with_timer(body_registers);
}

/* Every divider reads back as it was written. */
static void
body_dividers(void)
{
	struct machine_timer t;
	bool intr = machine_intr_disable();

	for (uint32_t divide = 1; divide <= 128; divide *= 2) {
		machine_timer_program(divide, UINT32_MAX, false);
		machine_timer_read(&t);
		if (t.divide != divide)
			test_fail_eq(__FILE__, __LINE__, "divider read back", t.divide, divide);
	}
	machine_intr_restore(intr);
}

TEST_CASE(timer, dividers)
{
	with_timer(body_dividers);
}

/* --- expiries --------------------------------------------------------------------------------- */

/* Intervals that are no whole multiple of the period, to a twentieth of it.  A host that stops us
 * at the wrong moment spoils one sample, that is two intervals. */
static unsigned
crooked_intervals(const struct timer_record *r)
{
	uint64_t period = clock_ns_to_cycles(NS_PER_S / r->setting.hz);
	unsigned crooked = 0;

	for (unsigned i = 1; i < r->nsamples; i++) {
		uint64_t interval = r->sample[i].expiry_cycles - r->sample[i - 1].expiry_cycles;
		uint64_t rest = interval % period;

		if (rest > period / 2)
			rest = period - rest;
		crooked += interval < period / 2 || rest > period / 20;
	}
	return crooked;
}

static void
body_periodic(void)
{
	static const uint64_t hz[] = { 100, 1000, 333 };
	struct timer_record r;
	uint64_t generation = 0;

	for (unsigned i = 0; i < sizeof(hz) / sizeof(hz[0]); i++) {
		T_ASSERT_EQ(timer_program(TIMER_PERIODIC, hz[i]), 0);
		T_ASSERT(wait_expiries(&r, 17));
		T_ASSERT_EQ(r.setting.hz, hz[i]);
		T_ASSERT(generation == 0 || r.setting.generation == generation + 1);
		generation = r.setting.generation;
		T_ASSERT(r.nsamples >= 17);
		T_ASSERT(crooked_intervals(&r) <= r.nsamples / 4);
	}
}

TEST_CASE(timer, periodic)
{
	with_timer(body_periodic);
}

/* The record keeps the latest samples, oldest first, and starts anew with each setting. */
static void
body_ring(void)
{
	struct timer_record r;
	uint64_t half_cycles = clock_ns_to_cycles(NS_PER_S / 2000 / 2);
	bool intr;

	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, 2000), 0);
	T_ASSERT(wait_expiries(&r, TIMER_SAMPLES + 10));
	T_ASSERT_EQ(r.nsamples, TIMER_SAMPLES);
	/* Each after the one before, and no expiry twice. */
	for (unsigned i = 1; i < r.nsamples; i++)
		T_ASSERT(r.sample[i].expiry_cycles > r.sample[i - 1].expiry_cycles + half_cycles);
	intr = machine_intr_disable();
	if (timer_program(TIMER_PERIODIC, 2000) == 0)
		timer_get(curcpu(), &r);
	machine_intr_restore(intr);
	T_ASSERT_EQ(r.expiries, 0);
	T_ASSERT_EQ(r.nsamples, 0);
}

TEST_CASE(timer, ring)
{
	with_timer(body_ring);
}

static void
body_oneshot(void)
{
	struct timer_record r;

	for (unsigned i = 0; i < 5; i++) {
		T_ASSERT_EQ(timer_program(TIMER_ONESHOT, 1000), 0);
		T_ASSERT(wait_expiries(&r, 1));
		delay_us(10000);
		timer_get(curcpu(), &r);
		T_ASSERT_EQ(r.expiries, 1);
		T_ASSERT_EQ(r.nsamples, 1);
		T_ASSERT_EQ(machine_timer_current(), 0);
	}
}

TEST_CASE(timer, oneshot_fires_once)
{
	with_timer(body_oneshot);
}

static void
body_off(void)
{
	struct timer_record r;

	T_ASSERT_EQ(timer_program(TIMER_PERIODIC, 5000), 0);
	T_ASSERT(wait_expiries(&r, 5));
	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	delay_us(10000);
	timer_get(curcpu(), &r);
	T_ASSERT_EQ(r.setting.mode, TIMER_OFF);
	T_ASSERT_EQ(r.expiries, 0);
	T_ASSERT_EQ(r.registers.initial_count, 0);
	T_ASSERT(r.registers.masked);
}

TEST_CASE(timer, off)
{
	with_timer(body_off);
}

/* Slow enough that no new expiry is due meanwhile. */
#define STALE_HZ 5

/* An expiry waits in the LAPIC while the timer gets its next setting: it is not the next one's,
 * neither at once nor when interrupts stay off for most of a period.  Emulators may be slow to
 * raise it: tried until the kernel says that it saw a stale one. */
static void
try_stale(enum timer_mode mode, uint64_t late_us)
{
	for (unsigned tries = 0; tries < 50; tries++) {
		uint64_t stale = timer_stale();
		struct timer_record r;
		bool intr = machine_intr_disable();
		int error = timer_program(TIMER_PERIODIC, 1000);

		delay_us(5000);
		if (error == 0)
			error = timer_program(mode, STALE_HZ);
		delay_us(late_us);
		machine_intr_restore(intr);
		delay_us(100);
		timer_get(curcpu(), &r);
		T_ASSERT_EQ(error, 0);
		T_ASSERT_EQ(r.setting.mode, mode);
		/* A host may stop us for as long as a period of the new setting. */
		if (clock_ns() - r.setting.set_ns > NS_PER_S / STALE_HZ)
			continue;
		T_ASSERT_EQ(r.expiries, 0);
		if (timer_stale() > stale)
			return;
	}
	test_fail(__FILE__, __LINE__, "no stale expiry in 50 tries");
}

static void
body_stale(void)
{
	try_stale(TIMER_PERIODIC, 0);
	try_stale(TIMER_PERIODIC, 700000 / STALE_HZ);
	try_stale(TIMER_ONESHOT, 0);
	try_stale(TIMER_OFF, 0);
}

TEST_CASE(timer, stale_expiry_ignored)
{
	with_timer(body_stale);
}

/* --- readers on other CPUs -------------------------------------------------------------------- */

static _Atomic uint64_t writer_stop, writer_errors;

static void
writer(void *arg __attribute__((unused)))
{
	for (unsigned i = 0; atomic_load_explicit(&writer_stop, memory_order_relaxed) == 0; i++)
		if (timer_program(TIMER_PERIODIC, i % 2 == 0 ? 5000 : 100) != 0)
			atomic_fetch_add_explicit(&writer_errors, 1, memory_order_relaxed);
	if (timer_program(TIMER_PERIODIC, HZ) != 0)
		atomic_fetch_add_explicit(&writer_errors, 1, memory_order_relaxed);
}

/* Whether a copy is of one setting throughout. */
static bool
record_consistent(const struct timer_record *r)
{
	return r->registers.initial_count == r->setting.count &&
	    r->registers.divide == r->setting.divide && r->nsamples <= r->expiries &&
	    (r->setting.hz == 5000) == (r->setting.count < machine_timer_input_hz() / 1000);
}

static void
read_while_written(struct cpu_info *ci)
{
	struct timer_record r;
	uint64_t first, generation, start = clock_ns();

	timer_get(ci, &r);
	first = generation = r.setting.generation;
	/* The writer may have to wait for its turn on a busy host. */
	for (unsigned i = 0; i < 20000 || generation == first; i++) {
		timer_get(ci, &r);
		T_ASSERT(record_consistent(&r));
		T_ASSERT(r.setting.generation >= generation);
		T_ASSERT(clock_ns() - start < HANG_NS);
		generation = r.setting.generation;
	}
}

TEST_CASE(timer, read_by_others)
{
	lwp_t *l;

	if (ncpu < 2) {
		test_skip("one CPU only");
		return;
	}
	atomic_store_explicit(&writer_stop, 0, memory_order_relaxed);
	T_ASSERT_EQ(kthread_create(PRI_KERNEL, KTHREAD_MPSAFE | KTHREAD_MUSTJOIN, cpu_lookup(1),
			writer, NULL, &l, "timer writer"),
	    0);
	read_while_written(cpu_lookup(1));
	atomic_store_explicit(&writer_stop, 1, memory_order_relaxed);
	T_ASSERT_EQ(kthread_join(l), 0);
	T_ASSERT_EQ(atomic_load_explicit(&writer_errors, memory_order_relaxed), 0);
}
