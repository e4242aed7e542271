/*
 * Soft interrupts on one CPU: when they run, in what order, on top of what.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/printf.h"
#include "kernel/softint.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

/* An interrupt to the own CPU comes at once; an emulator may take its time. */
#define SOFTINT_SOON_NS 10000000000ull
/* Long enough for some ticks at HZ. */
#define SOFTINT_TICKS_US 50000
/* Frames of four levels and five interrupts, with functions that need next to nothing (param.h
 * counts on it). */
#define SOFTINT_DEPTH_BYTES 6144

/* What happened, a letter an event; everything here happens on CPU 0. */
static char softint_text[64];
static _Atomic uint64_t softint_length;
/* One of each level. */
static void *softint_of[SOFTINT_COUNT];
static void *softint_one;

static void
softint_note(char c)
{
	uint64_t n = atomic_fetch_add_explicit(&softint_length, 1, memory_order_relaxed);

	if (n + 1 < sizeof(softint_text))
		softint_text[n] = c;
}

static uint64_t
softint_noted(void)
{
	return atomic_load_explicit(&softint_length, memory_order_relaxed);
}

/* No tick shall do what is to happen without one: stops them until softint_without_ticks(). */
static void
softint_stop_ticks(void)
{
	if (timer_program(TIMER_OFF, 0) != 0)
		test_fail(__FILE__, __LINE__, "ticks stop");
}

static bool
softint_soon(uint64_t events)
{
	uint64_t end = clock_ns() + SOFTINT_SOON_NS;

	while (softint_noted() < events && clock_ns() < end)
		machine_pause();
	return softint_noted() >= events;
}

static bool
softint_without_ticks(uint64_t events)
{
	bool came = softint_soon(events);

	return timer_program(TIMER_PERIODIC, HZ) == 0 && came;
}

static void
softint_forget(void)
{
	memset(softint_text, 0, sizeof(softint_text));
	atomic_store_explicit(&softint_length, 0, memory_order_relaxed);
}

static void
softint_setup(void (*func)(void *))
{
	softint_forget();
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_of[i] = softint_establish(i | SOFTINT_MPSAFE, func, (void *)(uintptr_t)i);
}

static void
softint_tear_down(void)
{
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_disestablish(softint_of[i]);
}

/* --- where they run --------------------------------------------------------------------------- */

struct softint_seen {
	bool soft, hard, intr_on;
	const struct lwp *l;
	const struct cpu_info *ci;
};

static void
softint_look(void *arg)
{
	*(struct softint_seen *)arg = (struct softint_seen){ .soft = cpu_softintr_p(),
		.hard = cpu_intr_p(),
		.intr_on = machine_intr_enabled(),
		.l = curlwp,
		.ci = curcpu() };
	softint_note('s');
}

TEST_CASE(softint, runs_before_schedule_returns_in_a_thread)
{
	struct softint_seen seen = { 0 };
	void *cookie = softint_establish(SOFTINT_NET, softint_look, &seen);

	T_ASSERT(cookie != NULL);
	softint_forget();
	T_ASSERT(!cpu_softintr_p());
	softint_schedule(cookie);
	T_ASSERT_EQ(softint_noted(), 1);
	T_ASSERT(seen.soft && !seen.hard && seen.intr_on);
	T_ASSERT(seen.l == curlwp && seen.ci == curcpu());
	T_ASSERT(!cpu_softintr_p() && machine_intr_enabled());
	kpreempt_disable();
	softint_schedule(cookie); /* preemption off is about threads */
	kpreempt_enable();
	T_ASSERT_EQ(softint_noted(), 2);
	softint_disestablish(cookie);
}

TEST_CASE(softint, waits_until_interrupts_come_on_and_runs_once)
{
	struct softint_seen seen = { 0 };
	void *cookie = softint_establish(SOFTINT_CLOCK, softint_look, &seen);
	uint64_t early;
	bool came;

	softint_forget();
	softint_stop_ticks();
	machine_intr_disable();
	softint_schedule(cookie);
	softint_schedule(cookie);
	early = softint_noted();
	machine_intr_restore(true);
	came = softint_without_ticks(1);
	T_ASSERT_EQ(early, 0);
	T_ASSERT(came);
	delay_us(SOFTINT_TICKS_US);
	T_ASSERT_EQ(softint_noted(), 1);
	T_ASSERT(seen.soft && !seen.hard && seen.intr_on);
	softint_disestablish(cookie);
}

TEST_CASE(softint, spin_mutexes_of_soft_levels_keep_them_off)
{
	static const enum ipl levels[] = { IPL_SOFTCLOCK, IPL_SOFTBIO, IPL_SOFTNET, IPL_SOFTSERIAL,
		IPL_HIGH };
	struct softint_seen seen = { 0 };
	void *cookie = softint_establish(SOFTINT_SERIAL, softint_look, &seen);
	kmutex_t mtx;

	for (unsigned i = 0; i < sizeof(levels) / sizeof(levels[0]); i++) {
		uint64_t early;
		bool came;

		softint_forget();
		softint_stop_ticks();
		mutex_init(&mtx, MUTEX_DEFAULT, levels[i], "soft");
		mutex_enter(&mtx);
		softint_schedule(cookie);
		early = softint_noted();
		mutex_exit(&mtx);
		came = softint_without_ticks(1);
		mutex_destroy(&mtx);
		T_ASSERT_EQ(early, 0);
		T_ASSERT(came);
	}
	softint_disestablish(cookie);
}

static void
softint_hard(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	softint_note('h');
	softint_schedule(softint_one);
	softint_note(cpu_softintr_p() ? '?' : 'H');
}

TEST_CASE(softint, runs_on_the_way_out_of_an_interrupt)
{
	struct softint_seen seen = { 0 };

	softint_forget();
	softint_one = softint_establish(SOFTINT_BIO, softint_look, &seen);
	machine_send_ipi(curcpu(), test_vector(softint_hard));
	T_ASSERT(softint_soon(3));
	T_ASSERT(strcmp(softint_text, "hHs") == 0);
	T_ASSERT(seen.soft && !seen.hard && seen.intr_on && seen.ci == curcpu());
	softint_disestablish(softint_one);
}

/* --- levels ----------------------------------------------------------------------------------- */

static void
softint_climb(void *arg)
{
	unsigned level = (unsigned)(uintptr_t)arg;

	softint_note((char)('0' + level));
	if (level + 1 < SOFTINT_COUNT)
		softint_schedule(softint_of[level + 1]);
	softint_note((char)('a' + level));
}

TEST_CASE(softint, a_higher_level_preempts_a_lower_one)
{
	softint_setup(softint_climb);
	softint_schedule(softint_of[0]);
	T_ASSERT(strcmp(softint_text, "0123dcba") == 0);
	softint_tear_down();
}

static void
softint_descend(void *arg)
{
	unsigned level = (unsigned)(uintptr_t)arg;

	softint_note((char)('0' + level));
	if (level != 0)
		softint_schedule(softint_of[level - 1]);
	softint_note((char)('a' + level));
}

TEST_CASE(softint, a_lower_level_waits_for_a_higher_one)
{
	softint_setup(softint_descend);
	softint_schedule(softint_of[SOFTINT_COUNT - 1]);
	T_ASSERT(strcmp(softint_text, "3d2c1b0a") == 0);
	softint_tear_down();
}

static void
softint_mark(void *arg)
{
	softint_note((char)('0' + (unsigned)(uintptr_t)arg));
}

TEST_CASE(softint, the_highest_of_several_runs_first)
{
	softint_setup(softint_mark);
	machine_intr_disable();
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_schedule(softint_of[(i + 2) % SOFTINT_COUNT]);
	machine_intr_restore(true);
	T_ASSERT(softint_soon(SOFTINT_COUNT));
	T_ASSERT(strcmp(softint_text, "3210") == 0);
	softint_tear_down();
}

/* Interrupts off in a soft interrupt: a higher level waits for them. */
static void
softint_dark(void *arg)
{
	if ((uintptr_t)arg == SOFTINT_NET) {
		machine_intr_disable();
		softint_schedule(softint_of[SOFTINT_SERIAL]);
		softint_note('n');
		machine_intr_restore(true);
		(void)softint_soon(2);
		softint_note('N');
	} else {
		softint_note('s');
	}
}

TEST_CASE(softint, a_higher_level_waits_while_interrupts_are_off)
{
	softint_setup(softint_dark);
	softint_stop_ticks();
	softint_schedule(softint_of[SOFTINT_NET]);
	T_ASSERT(softint_without_ticks(3));
	T_ASSERT(strcmp(softint_text, "nsN") == 0);
	softint_tear_down();
}

struct softint_equal {
	void *cookie;
	char name;
	struct softint_equal *next[3]; /* to be scheduled when it runs first */
};

static void
softint_among_equals(void *arg)
{
	struct softint_equal *e = arg;

	softint_note(e->name);
	for (unsigned i = 0; i < 3 && e->next[i] != NULL; i++) {
		softint_schedule(e->next[i]->cookie);
		e->next[i] = NULL;
	}
	softint_note((char)(e->name - 'a' + 'A'));
}

TEST_CASE(softint, equals_take_turns_and_never_nest)
{
	struct softint_equal a = { .name = 'a' }, b = { .name = 'b' }, c = { .name = 'c' };

	a.cookie = softint_establish(SOFTINT_BIO, softint_among_equals, &a);
	b.cookie = softint_establish(SOFTINT_BIO, softint_among_equals, &b);
	c.cookie = softint_establish(SOFTINT_BIO, softint_among_equals, &c);
	a.next[0] = &c;
	a.next[1] = &b;
	a.next[2] = &a;
	b.next[0] = &c;
	softint_forget();
	softint_schedule(a.cookie);
	T_ASSERT(strcmp(softint_text, "aAcCbBaAcC") == 0);
	softint_disestablish(c.cookie);
	softint_disestablish(b.cookie);
	softint_disestablish(a.cookie);
}

static void
softint_hard_all(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	softint_note('h');
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_schedule(softint_of[i]);
}

static void
softint_interrupted(void *arg)
{
	softint_note('B');
	machine_send_ipi(curcpu(), test_vector(softint_hard_all));
	(void)softint_soon((uintptr_t)arg);
	softint_note('E');
}

TEST_CASE(softint, an_interrupt_in_one_runs_only_higher_ones)
{
	void *cookie = softint_establish(SOFTINT_BIO, softint_interrupted, (void *)4);

	softint_setup(softint_mark);
	softint_schedule(cookie);
	T_ASSERT(strcmp(softint_text, "Bh32E10") == 0);
	softint_tear_down();
	softint_disestablish(cookie);
}

/* --- threads below ---------------------------------------------------------------------------- */

struct softint_wake {
	kmutex_t lock;
	kcondvar_t cv;
	bool go;
	_Atomic uint64_t woken;
	uint64_t early;
	void *cookie;
};

static void
softint_sleeper(void *arg)
{
	struct softint_wake *w = arg;

	mutex_enter(&w->lock);
	while (!w->go)
		cv_wait(&w->cv, &w->lock);
	mutex_exit(&w->lock);
	atomic_store_explicit(&w->woken, 1, memory_order_release);
}

static void
softint_waker(void *arg)
{
	struct softint_wake *w = arg;

	mutex_enter(&w->lock);
	w->go = true;
	cv_broadcast(&w->cv);
	mutex_exit(&w->lock);
	delay_us(SOFTINT_TICKS_US);
	kpreempt_disable();
	kpreempt_enable();
	w->early = atomic_load_explicit(&w->woken, memory_order_acquire);
}

TEST_CASE(softint, a_thread_stays_while_one_runs_on_top_of_it)
{
	struct softint_wake w = { 0 };
	struct crew_job job;

	mutex_init(&w.lock, MUTEX_DEFAULT, IPL_SOFTNET, "wake");
	cv_init(&w.cv, "wake");
	w.cookie = softint_establish(SOFTINT_NET, softint_waker, &w);
	crew_start(&job, curcpu(), PRI_KTHREAD, softint_sleeper, &w);
	while (!cv_has_waiters(&w.cv))
		kthread_sleep_ns(1000000);
	softint_schedule(w.cookie);
	/* The better thread had to wait for the end of the soft interrupt, and not a moment
	 * longer. */
	T_ASSERT_EQ(w.early, 0);
	T_ASSERT_EQ(atomic_load_explicit(&w.woken, memory_order_acquire), 1);
	crew_join(&job);
	softint_disestablish(w.cookie);
	cv_destroy(&w.cv);
	mutex_destroy(&w.lock);
}

/* --- the stack -------------------------------------------------------------------------------- */

static void *softint_next; /* what the interrupt schedules; NULL: nothing */
static uintptr_t softint_lowest;

static void
softint_deepest(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	softint_lowest = (uintptr_t)__builtin_frame_address(0);
	softint_note('h');
	if (softint_next != NULL)
		softint_schedule(softint_next);
}

static void
softint_deeper(void *arg)
{
	unsigned level = (unsigned)(uintptr_t)arg;

	softint_next = level + 1 < SOFTINT_COUNT ? softint_of[level + 1] : NULL;
	machine_send_ipi(curcpu(), test_vector(softint_deepest));
	(void)softint_soon(level + 2);
}

TEST_CASE(softint, all_levels_fit_a_stack)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0);

	softint_setup(softint_deeper);
	softint_next = softint_of[0];
	machine_send_ipi(curcpu(), test_vector(softint_deepest));
	T_ASSERT(softint_soon(SOFTINT_COUNT + 1));
	printf("  # %lu bytes of stack for %u levels and %u interrupts\n", here - softint_lowest,
	    SOFTINT_COUNT, SOFTINT_COUNT + 1);
	T_ASSERT(here - softint_lowest < SOFTINT_DEPTH_BYTES);
	softint_tear_down();
}
