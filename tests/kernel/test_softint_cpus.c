/*
 * Soft interrupts on many CPUs: each for itself, none lost, none after its end.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/softint.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define SOFTINT_STORM_NS 300000000ull
#define SOFTINT_STORM_ROUNDS 20000
/* Every so many rounds a CPU interrupts the next one. */
#define SOFTINT_STORM_IPI 64
#define SOFTINT_ROUNDS 50
#define SOFTINT_IDLE_TRIES 100
#define SOFTINT_WHILE_NS 20000000

/* --- each CPU for itself ---------------------------------------------------------------------- */

/* One CPU's part of the storm. */
struct softint_part {
	struct crew_job job;
	struct cpu_info *ci;
	_Atomic uint64_t posted[SOFTINT_COUNT]; /* requests to this CPU's soft interrupts */
	_Atomic uint64_t seen[SOFTINT_COUNT];   /* of those, what the last run found */
	_Atomic uint64_t inside[SOFTINT_COUNT]; /* runs under way */
	_Atomic uint64_t asked, answered;       /* interrupts from the neighbour */
};

static struct softint_part *softint_parts;
static void *softint_storm_of[SOFTINT_COUNT];

static void
softint_storm_run(void *arg)
{
	unsigned level = (unsigned)(uintptr_t)arg;
	struct softint_part *p = &softint_parts[curcpu()->ci_index];

	if (atomic_fetch_add_explicit(&p->inside[level], 1, memory_order_relaxed) != 0)
		test_fail(__FILE__, __LINE__, "no level nests in itself");
	atomic_store_explicit(&p->seen[level],
	    atomic_load_explicit(&p->posted[level], memory_order_relaxed), memory_order_release);
	atomic_fetch_sub_explicit(&p->inside[level], 1, memory_order_relaxed);
}

static void
softint_storm_post(struct softint_part *p, unsigned level)
{
	atomic_fetch_add_explicit(&p->posted[level], 1, memory_order_relaxed);
	softint_schedule(softint_storm_of[level]);
}

static void
softint_storm_hard(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	struct softint_part *p = &softint_parts[curcpu()->ci_index];
	uint64_t asked = atomic_load_explicit(&p->asked, memory_order_acquire);

	softint_storm_post(p, asked % SOFTINT_COUNT);
	/* Release: pairs with test_wait_at_least(). */
	atomic_store_explicit(&p->answered, asked, memory_order_release);
}

static void
softint_storm(void *arg)
{
	struct softint_part *p = arg, *next = &softint_parts[(p->ci->ci_index + 1) % ncpu];
	uint64_t end = clock_ns() + SOFTINT_STORM_NS, random = p->ci->ci_index + 1;

	for (unsigned i = 0; i < SOFTINT_STORM_ROUNDS && clock_ns() < end; i++) {
		uint64_t r = crew_random(&random);
		bool dark = (r >> 8) % 4 == 0;

		if (dark)
			machine_intr_disable();
		softint_storm_post(p, r % SOFTINT_COUNT);
		machine_intr_restore(dark);
		if (i % SOFTINT_STORM_IPI == 0) {
			atomic_fetch_add_explicit(&next->asked, 1, memory_order_release);
			machine_send_ipi(next->ci, test_vector(softint_storm_hard));
		}
	}
}

/* Whether every request has been seen, on that CPU. */
static bool
softint_storm_over(struct softint_part *p)
{
	bool over = test_wait_at_least(
	    &p->answered, atomic_load_explicit(&p->asked, memory_order_relaxed));

	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		over = over &&
		    test_wait_at_least(
			&p->seen[i], atomic_load_explicit(&p->posted[i], memory_order_relaxed));
	return over;
}

TEST_CASE(softint, no_request_is_lost_on_any_cpu)
{
	struct cpu_info *ci;
	bool over = true;

	softint_parts = crew_alloc(ncpu, sizeof(*softint_parts));
	T_ASSERT(softint_parts != NULL);
	(void)test_vector(softint_storm_hard);
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_storm_of[i] = softint_establish(i, softint_storm_run, (void *)(uintptr_t)i);
	CPU_INFO_FOREACH(ci)
		softint_parts[ci->ci_index].ci = ci;
	CPU_INFO_FOREACH(ci) {
		struct softint_part *p = &softint_parts[ci->ci_index];

		crew_start(&p->job, ci, PRI_KERNEL, softint_storm, p);
	}
	CPU_INFO_FOREACH(ci)
		crew_join(&softint_parts[ci->ci_index].job);
	CPU_INFO_FOREACH(ci)
		over = over && softint_storm_over(&softint_parts[ci->ci_index]);
	for (unsigned i = 0; i < SOFTINT_COUNT; i++)
		softint_disestablish(softint_storm_of[i]);
	crew_free(softint_parts, ncpu, sizeof(*softint_parts));
	T_ASSERT(over);
}

/* --- in the idle thread ----------------------------------------------------------------------- */

static void *softint_remote;
static _Atomic uint64_t softint_hards, softint_runs;
static _Atomic int softint_pri;

static void
softint_remote_hard(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	softint_schedule(softint_remote);
	/* Release: pairs with test_wait_at_least(). */
	atomic_fetch_add_explicit(&softint_hards, 1, memory_order_release);
}

static void
softint_note_priority(void *arg __attribute__((unused)))
{
	atomic_store_explicit(&softint_pri, curlwp->l_base_pri, memory_order_relaxed);
	atomic_fetch_add_explicit(&softint_runs, 1, memory_order_release);
}

static void
softint_remote_setup(void (*func)(void *), void *arg)
{
	atomic_store_explicit(&softint_hards, 0, memory_order_relaxed);
	atomic_store_explicit(&softint_runs, 0, memory_order_relaxed);
	softint_remote = softint_establish(SOFTINT_NET, func, arg);
}

TEST_CASE(softint, runs_on_top_of_the_idle_thread)
{
	struct cpu_info *last = cpu_lookup(ncpu - 1);

	if (ncpu == 1) {
		test_skip("CPU 0 runs the tests, and never idles while they send interrupts");
		return;
	}
	softint_remote_setup(softint_note_priority, NULL);
	/* A service thread may run there now and then. */
	for (unsigned i = 1; i <= SOFTINT_IDLE_TRIES; i++) {
		machine_send_ipi(last, test_vector(softint_remote_hard));
		T_ASSERT(test_wait_at_least(&softint_runs, i));
		if (atomic_load_explicit(&softint_pri, memory_order_relaxed) == PRI_IDLE)
			break;
	}
	T_ASSERT_EQ(atomic_load_explicit(&softint_pri, memory_order_relaxed), PRI_IDLE);
	softint_disestablish(softint_remote);
}

/* --- the end of one --------------------------------------------------------------------------- */

static _Atomic uint64_t softint_began, softint_go, softint_gone;

static void
softint_end_setup(void)
{
	atomic_store_explicit(&softint_began, 0, memory_order_relaxed);
	atomic_store_explicit(&softint_go, 0, memory_order_relaxed);
	atomic_store_explicit(&softint_gone, 0, memory_order_relaxed);
}

/* Says that it is there, and waits for leave to go on. */
static void
softint_hold(void)
{
	/* Release and acquire: pair with softint_expect_wait(). */
	atomic_store_explicit(&softint_began, 1, memory_order_release);
	while (atomic_load_explicit(&softint_go, memory_order_acquire) == 0)
		machine_pause();
}

static void
softint_slow(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&softint_runs, 1, memory_order_release);
	softint_hold();
}

static void
softint_remover(void *arg __attribute__((unused)))
{
	softint_disestablish(softint_remote);
	/* Release: pairs with softint_expect_wait(). */
	atomic_store_explicit(&softint_gone, 1, memory_order_release);
}

/* Once softint_hold() is reached: starts to disestablish, which must wait until that goes on.
 * Whether it did. */
static bool
softint_expect_wait(void)
{
	struct crew_job job;
	bool waits, ended;

	if (!test_wait_at_least(&softint_began, 1))
		return false;
	crew_start(&job, curcpu(), PRI_KERNEL, softint_remover, NULL);
	kthread_sleep_ns(SOFTINT_WHILE_NS);
	waits = atomic_load_explicit(&softint_gone, memory_order_acquire) == 0;
	atomic_store_explicit(&softint_go, 1, memory_order_release);
	ended = test_wait_at_least(&softint_gone, 1);
	if (ended)
		crew_join(&job);
	return waits && ended;
}

TEST_CASE(softint, disestablish_waits_for_a_run_elsewhere)
{
	if (ncpu == 1) {
		test_skip("there is no other CPU");
		return;
	}
	softint_end_setup();
	softint_remote_setup(softint_slow, NULL);
	machine_send_ipi(cpu_lookup(1), test_vector(softint_remote_hard));
	T_ASSERT(softint_expect_wait());
	T_ASSERT_EQ(atomic_load_explicit(&softint_runs, memory_order_relaxed), 1);
}

static void
softint_pend(void *arg __attribute__((unused)))
{
	machine_intr_disable();
	softint_schedule(softint_remote);
	softint_hold();
	machine_intr_restore(true);
}

TEST_CASE(softint, disestablish_waits_for_a_cpu_where_it_is_pending)
{
	struct crew_job job;

	if (ncpu == 1) {
		test_skip("there is no other CPU");
		return;
	}
	softint_end_setup();
	softint_remote_setup(softint_note_priority, NULL);
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, softint_pend, NULL);
	T_ASSERT(softint_expect_wait());
	crew_join(&job);
	/* It was taken away while it pended: left out. */
	T_ASSERT_EQ(atomic_load_explicit(&softint_runs, memory_order_relaxed), 0);
}

static void
softint_check_alive(void *arg)
{
	_Atomic uint64_t *alive = arg;

	if (atomic_load_explicit(alive, memory_order_relaxed) != 1)
		test_fail(__FILE__, __LINE__, "nothing runs after its end");
	delay_us(10);
	if (atomic_load_explicit(alive, memory_order_relaxed) != 1)
		test_fail(__FILE__, __LINE__, "disestablish waits for the function");
}

TEST_CASE(softint, nothing_runs_after_disestablish)
{
	static _Atomic uint64_t alive;
	struct cpu_info *ci;
	uint64_t sent = 0;

	for (unsigned i = 0; i < SOFTINT_ROUNDS; i++) {
		atomic_store_explicit(&alive, 1, memory_order_relaxed);
		softint_remote_setup(softint_check_alive, &alive);
		sent = 0;
		CPU_INFO_FOREACH(ci) {
			machine_send_ipi(ci, test_vector(softint_remote_hard));
			sent++;
		}
		while (atomic_load_explicit(&softint_hards, memory_order_acquire) < sent)
			machine_pause();
		softint_disestablish(softint_remote);
		atomic_store_explicit(&alive, 0, memory_order_relaxed);
	}
}

TEST_CASE(softint, a_full_table_answers_null)
{
	void *cookies[SOFTINT_HANDLES];
	unsigned n[2];

	for (unsigned round = 0; round < 2; round++) {
		n[round] = 0;
		while (n[round] < SOFTINT_HANDLES &&
		    (cookies[n[round]] = softint_establish(
			 SOFTINT_BIO, softint_note_priority, NULL)) != NULL)
			n[round]++;
		T_ASSERT(softint_establish(SOFTINT_BIO, softint_note_priority, NULL) == NULL);
		for (unsigned i = 0; i < n[round]; i++) {
			uint64_t before = atomic_load_explicit(&softint_runs, memory_order_relaxed);

			softint_schedule(cookies[i]);
			T_ASSERT_EQ(
			    atomic_load_explicit(&softint_runs, memory_order_relaxed), before + 1);
		}
		for (unsigned i = 0; i < n[round]; i++)
			softint_disestablish(cookies[i]);
	}
	T_ASSERT(n[0] > 0);
	T_ASSERT_EQ(n[0], n[1]);
}
