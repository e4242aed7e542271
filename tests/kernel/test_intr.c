/*
 * Interrupts: the way out of them, code that runs as if in one, interrupts to oneself, NMIs and
 * their handlers.
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
#include "kernel/softint.h"
#include "kernel/timer.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/trap.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define INTR_NMI_ROUNDS 20
/* An interrupt to the own CPU comes at once; an emulator may take its time. */
#define INTR_SOON_NS 10000000000ull

/* --- a thread that waits to be woken, better than the one that runs the case ------------------ */

struct intr_wake {
	struct crew_job job;
	kmutex_t lock;
	kcondvar_t cv;
	bool go;
	_Atomic uint64_t woken;
};

static void
intr_sleeper(void *arg)
{
	struct intr_wake *w = arg;

	mutex_enter(&w->lock);
	while (!w->go)
		cv_wait(&w->cv, &w->lock);
	mutex_exit(&w->lock);
	atomic_store_explicit(&w->woken, 1, memory_order_release);
}

static void
intr_wake_setup(struct intr_wake *w)
{
	*w = (struct intr_wake){ .go = false };
	mutex_init(&w->lock, MUTEX_DEFAULT, IPL_HIGH, "wake");
	cv_init(&w->cv, "wake");
	crew_start(&w->job, curcpu(), PRI_KTHREAD, intr_sleeper, w);
	while (!cv_has_waiters(&w->cv))
		kthread_sleep_ns(1000000);
}

static void
intr_wake_now(struct intr_wake *w)
{
	mutex_enter(&w->lock);
	w->go = true;
	cv_broadcast(&w->cv);
	mutex_exit(&w->lock);
}

static bool
intr_woken(struct intr_wake *w)
{
	return atomic_load_explicit(&w->woken, memory_order_acquire) != 0;
}

static void
intr_wake_tear_down(struct intr_wake *w)
{
	crew_join(&w->job);
	cv_destroy(&w->cv);
	mutex_destroy(&w->lock);
}

/* --- intr_enter() and intr_leave() ------------------------------------------------------------ */

static _Atomic uint64_t intr_soft_runs;

static void
intr_soft(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&intr_soft_runs, 1, memory_order_release);
}

static uint64_t
intr_soft_ran(void)
{
	return atomic_load_explicit(&intr_soft_runs, memory_order_acquire);
}

TEST_CASE(intr, enter_makes_an_interrupt_and_leave_ends_it)
{
	bool outer, inner, was_in, was_off, still_in;

	T_ASSERT(!cpu_intr_p());
	outer = intr_enter();
	was_in = cpu_intr_p();
	was_off = !machine_intr_enabled();
	inner = intr_enter();
	intr_leave(inner);
	still_in = cpu_intr_p() && !machine_intr_enabled();
	intr_leave(outer);
	T_ASSERT(outer && !inner && was_in && was_off && still_in);
	T_ASSERT(!cpu_intr_p());
	T_ASSERT(machine_intr_enabled());
}

/* What is left for later inside is done by the time intr_leave() returns. */
TEST_CASE(intr, leave_does_what_the_end_of_an_interrupt_does)
{
	void *cookie = softint_establish(SOFTINT_NET, intr_soft, NULL);
	uint64_t before = intr_soft_ran(), early;
	struct intr_wake w;
	bool on, woken;

	intr_wake_setup(&w);
	on = intr_enter();
	softint_schedule(cookie);
	intr_wake_now(&w);
	early = intr_soft_ran();
	woken = intr_woken(&w);
	intr_leave(on);
	T_ASSERT(on && !woken);
	T_ASSERT_EQ(early, before);
	T_ASSERT_EQ(intr_soft_ran(), before + 1);
	T_ASSERT(intr_woken(&w));
	softint_disestablish(cookie);
	intr_wake_tear_down(&w);
}

/* Waits, spinning, and lets the ticks go on that the caller stopped: no tick shall do what is to
 * happen without. */
static bool
intr_without_ticks(_Atomic uint64_t *counter, uint64_t value)
{
	uint64_t end = clock_ns() + INTR_SOON_NS;

	/* Acquire: pairs with the release of whoever counts. */
	while (atomic_load_explicit(counter, memory_order_acquire) < value && clock_ns() < end)
		machine_pause();
	return timer_program(TIMER_PERIODIC, HZ) == 0 &&
	    atomic_load_explicit(counter, memory_order_acquire) >= value;
}

/* The same where interrupts were off: it is done when they come on, without any other interrupt. */
TEST_CASE(intr, leave_keeps_soft_interrupts_pending_where_interrupts_were_off)
{
	void *cookie = softint_establish(SOFTINT_NET, intr_soft, NULL);
	uint64_t before = intr_soft_ran(), early;
	bool on, off, came;

	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	machine_intr_disable();
	on = intr_enter();
	softint_schedule(cookie);
	intr_leave(on);
	early = intr_soft_ran();
	off = !machine_intr_enabled();
	machine_intr_restore(true);
	came = intr_without_ticks(&intr_soft_runs, before + 1);
	T_ASSERT(off && !on && came);
	T_ASSERT_EQ(early, before);
	softint_disestablish(cookie);
}

TEST_CASE(intr, leave_keeps_a_switch_pending_where_interrupts_were_off)
{
	struct intr_wake w;
	bool on, woken, came;

	intr_wake_setup(&w);
	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	machine_intr_disable();
	on = intr_enter();
	intr_wake_now(&w);
	intr_leave(on);
	woken = intr_woken(&w);
	machine_intr_restore(true);
	came = intr_without_ticks(&w.woken, 1);
	T_ASSERT(!woken && came);
	intr_wake_tear_down(&w);
}

/* Under a spinlock too: the end of the section does it. */
TEST_CASE(intr, leave_under_a_spinlock_keeps_it_pending)
{
	void *cookie = softint_establish(SOFTINT_SERIAL, intr_soft, NULL);
	struct spinlock lock = SPINLOCK_INIT("section");
	uint64_t before = intr_soft_ran(), early;
	bool on, came;

	T_ASSERT_EQ(timer_program(TIMER_OFF, 0), 0);
	spinlock_enter(&lock);
	on = intr_enter();
	softint_schedule(cookie);
	intr_leave(on);
	early = intr_soft_ran();
	spinlock_exit(&lock);
	came = intr_without_ticks(&intr_soft_runs, before + 1);
	T_ASSERT(!on && came);
	T_ASSERT_EQ(early, before);
	softint_disestablish(cookie);
}

/* --- the exit hook ---------------------------------------------------------------------------- */

static intr_hook_t intr_hook_before;
static _Atomic uint64_t intr_hooked, intr_hook_bad;
static uint64_t intr_hooked_before_soft; /* on CPU 0, when the soft interrupt ran last */
static void *intr_hook_cookie;

static void
intr_hook(void)
{
	if (intr_hook_before != NULL)
		intr_hook_before();
	if (!cpu_intr_p() || machine_intr_enabled() || curcpu()->ci_intr_depth != 1)
		atomic_fetch_add_explicit(&intr_hook_bad, 1, memory_order_relaxed);
	if (curcpu()->ci_index == 0)
		atomic_fetch_add_explicit(&intr_hooked, 1, memory_order_release);
}

static void
intr_hook_softint(void *arg)
{
	intr_hooked_before_soft = atomic_load_explicit(&intr_hooked, memory_order_relaxed);
	intr_soft(arg);
}

static void
intr_hook_hard(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	bool on = intr_enter();

	intr_leave(on); /* not the outermost: no hook */
	softint_schedule(intr_hook_cookie);
}

TEST_CASE(intr, exit_hook_runs_at_the_end_of_the_outermost_interrupt)
{
	uint64_t before, soft = intr_soft_ran(), after;
	bool on;

	intr_hook_cookie = softint_establish(SOFTINT_CLOCK, intr_hook_softint, NULL);
	intr_hook_before = intr_establish_exit(intr_hook);
	before = atomic_load_explicit(&intr_hooked, memory_order_acquire);
	machine_send_ipi(curcpu(), test_vector(intr_hook_hard));
	T_ASSERT(test_wait_at_least(&intr_soft_runs, soft + 1));
	T_ASSERT(atomic_load_explicit(&intr_hooked, memory_order_acquire) > before);
	/* A run scheduled in an interrupt comes after the hook of that interrupt. */
	on = intr_enter();
	soft = intr_soft_ran();
	softint_schedule(intr_hook_cookie);
	before = atomic_load_explicit(&intr_hooked, memory_order_acquire);
	intr_leave(on);
	T_ASSERT(atomic_load_explicit(&intr_hooked, memory_order_acquire) > before);
	T_ASSERT_EQ(intr_soft_ran(), soft + 1);
	T_ASSERT(intr_hooked_before_soft > before);
	/* Where interrupts were off, there is no hook. */
	machine_intr_disable();
	on = intr_enter();
	before = atomic_load_explicit(&intr_hooked, memory_order_acquire);
	intr_leave(on);
	after = atomic_load_explicit(&intr_hooked, memory_order_acquire);
	machine_intr_restore(true);
	(void)intr_establish_exit(intr_hook_before);
	T_ASSERT_EQ(after, before);
	T_ASSERT_EQ(atomic_load_explicit(&intr_hook_bad, memory_order_relaxed), 0);
	softint_disestablish(intr_hook_cookie);
}

/* --- interrupts to oneself -------------------------------------------------------------------- */

static _Atomic uint64_t intr_selves;

static void
intr_self(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	atomic_fetch_add_explicit(&intr_selves, 1, memory_order_release);
}

TEST_CASE(intr, interrupts_to_oneself_wait_and_merge_while_they_are_off)
{
	uint64_t before = atomic_load_explicit(&intr_selves, memory_order_relaxed), early;

	machine_intr_disable();
	machine_send_ipi(curcpu(), test_vector(intr_self));
	machine_send_ipi(curcpu(), test_vector(intr_self));
	delay_us(1000);
	early = atomic_load_explicit(&intr_selves, memory_order_acquire);
	machine_intr_restore(true);
	T_ASSERT_EQ(early, before);
	T_ASSERT(test_wait_at_least(&intr_selves, before + 1));
	kthread_sleep_ns(20000000);
	T_ASSERT_EQ(atomic_load_explicit(&intr_selves, memory_order_acquire), before + 1);
}

/* --- NMIs ------------------------------------------------------------------------------------- */

extern const uint8_t text_start[], text_end[];

static struct cpu_info *_Atomic intr_nmi_wanted; /* who is to claim the next NMI; NULL: nobody */
static _Atomic uint64_t intr_nmis, intr_nmi_bad;

static bool
intr_nmi(struct trapframe *frame)
{
	struct cpu_info *ci = curcpu();

	if (atomic_load_explicit(&intr_nmi_wanted, memory_order_acquire) != ci)
		return false;
	if (!cpu_nmi_p() || ci->ci_nmi_frame != frame || frame->rip < (uintptr_t)text_start ||
	    frame->rip >= (uintptr_t)text_end)
		atomic_fetch_add_explicit(&intr_nmi_bad, 1, memory_order_relaxed);
	atomic_store_explicit(&intr_nmi_wanted, NULL, memory_order_relaxed);
	/* Release: pairs with test_wait_at_least(). */
	atomic_fetch_add_explicit(&intr_nmis, 1, memory_order_release);
	return true;
}

/* A second handler, shown the same NMIs. */
static _Atomic uint64_t intr_nmis_shown;

static bool
intr_nmi_other(struct trapframe *frame __attribute__((unused)))
{
	atomic_fetch_add_explicit(&intr_nmis_shown, 1, memory_order_relaxed);
	return false;
}

static void
intr_nmi_setup(void)
{
	static bool established;

	if (!established) {
		nmi_establish(intr_nmi);
		nmi_establish(intr_nmi_other);
	}
	established = true;
}

static uint64_t
intr_unclaimed_nmis(const struct cpu_info *ci)
{
	return atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed);
}

TEST_CASE(intr, nmis_are_shown_to_all_handlers_and_claimed)
{
	struct cpu_info *ci;

	intr_nmi_setup();
	CPU_INFO_FOREACH(ci) {
		uint64_t others = intr_unclaimed_nmis(ci);

		for (unsigned i = 0; i < INTR_NMI_ROUNDS; i++) {
			uint64_t before = atomic_load_explicit(&intr_nmis, memory_order_relaxed),
				 shown = atomic_load_explicit(
				     &intr_nmis_shown, memory_order_relaxed);

			/* Release: pairs with the acquire in intr_nmi(). */
			atomic_store_explicit(&intr_nmi_wanted, ci, memory_order_release);
			T_ASSERT(machine_send_nmi(ci));
			T_ASSERT(test_wait_at_least(&intr_nmis, before + 1));
			T_ASSERT(test_wait_at_least(&intr_nmis_shown, shown + 1));
		}
		T_ASSERT_EQ(intr_unclaimed_nmis(ci), others);
		T_ASSERT(machine_send_nmi(ci));
		T_ASSERT(test_wait_at_least(&ci->ci_md->nmis, others + 1));
	}
	T_ASSERT_EQ(atomic_load_explicit(&intr_nmi_bad, memory_order_relaxed), 0);
	T_ASSERT(curcpu()->ci_nmi_frame == NULL && !cpu_nmi_p());
}

TEST_CASE(intr, an_nmi_to_oneself_comes_with_interrupts_off)
{
	uint64_t before, after = 0;
	bool sent;

	intr_nmi_setup();
	before = atomic_load_explicit(&intr_nmis, memory_order_relaxed);
	machine_intr_disable();
	atomic_store_explicit(&intr_nmi_wanted, curcpu(), memory_order_release);
	sent = machine_send_nmi(curcpu());
	for (unsigned i = 0; i < 1000000 && after <= before; i++) {
		machine_pause();
		after = atomic_load_explicit(&intr_nmis, memory_order_acquire);
	}
	machine_intr_restore(true);
	T_ASSERT(sent);
	T_ASSERT_EQ(after, before + 1);
}

/* The first of two NMIs faults in its handler: the return from the fault must not let the second
 * in. */
static _Atomic uint64_t intr_faults, intr_after_fault, intr_early;

static bool
intr_nmi_faults(struct trapframe *frame __attribute__((unused)))
{
	uint64_t value = 1;

	if (atomic_load_explicit(&intr_faults, memory_order_relaxed) == 0)
		return false;
	if (atomic_exchange_explicit(&intr_faults, 2, memory_order_relaxed) == 2) {
		atomic_fetch_add_explicit(&intr_after_fault, 1, memory_order_relaxed);
		return true;
	}
	if (!machine_send_nmi(curcpu()) || trap_load((const void *)8, &value) || value != 1)
		atomic_fetch_add_explicit(&intr_nmi_bad, 1, memory_order_relaxed);
	for (unsigned i = 0; i < 10000; i++)
		machine_pause();
	atomic_store_explicit(&intr_early,
	    atomic_load_explicit(&intr_after_fault, memory_order_relaxed), memory_order_relaxed);
	return true;
}

TEST_CASE(intr, a_fault_in_an_nmi_lets_no_other_in)
{
	static bool established;

	if (!established)
		nmi_establish(intr_nmi_faults);
	established = true;
	for (unsigned i = 1; i <= INTR_NMI_ROUNDS; i++) {
		atomic_store_explicit(&intr_faults, 1, memory_order_relaxed);
		T_ASSERT(machine_send_nmi(curcpu()));
		T_ASSERT(test_wait_at_least(&intr_after_fault, i));
		atomic_store_explicit(&intr_faults, 0, memory_order_relaxed);
		T_ASSERT_EQ(atomic_load_explicit(&intr_early, memory_order_relaxed), i - 1);
		T_ASSERT(!cpu_nmi_p());
	}
	T_ASSERT_EQ(atomic_load_explicit(&intr_nmi_bad, memory_order_relaxed), 0);
}

/* --- distance --------------------------------------------------------------------------------- */

TEST_CASE(intr, distances_follow_the_topology)
{
	struct cpu_info *a, *b;

	CPU_INFO_FOREACH(a) {
		CPU_INFO_FOREACH(b) {
			unsigned d = cpu_distance(a, b);

			T_ASSERT_EQ(d, cpu_distance(b, a));
			T_ASSERT_EQ(d == 0, a == b);
			T_ASSERT_EQ(d == 3, a->ci_package_id != b->ci_package_id);
			T_ASSERT(d != 1 || a->ci_smt_id != b->ci_smt_id);
			T_ASSERT(d != 2 || a->ci_core_id != b->ci_core_id);
		}
	}
}
