/*
 * Cross calls: what every call keeps.  Right CPU, right order, exactly once; tickets; visibility.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/evcnt.h"
#include "kernel/kmem.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xc_internal.h"
#include "xcall/xcall.h"

static _Atomic uint64_t xcall_count;

static uint64_t
xcall_counted(void)
{
	return atomic_load_explicit(&xcall_count, memory_order_acquire);
}

static void
xcall_count_up(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&xcall_count, 1, memory_order_release);
}

/* --- where it runs ---------------------------------------------------------------------------- */

static void
xcall_check_context(void *arg1, void *arg2)
{
	struct cpu_info *ci = arg1;
	char name[LWP_NAME_BYTES];

	snprintf(name, sizeof(name), "xcall/%u", ci->ci_index);
	T_ASSERT(curcpu() == ci);
	T_ASSERT(strcmp(curlwp->l_name, name) == 0);
	T_ASSERT_EQ(curlwp->l_pri, PRI_XCALL);
	T_ASSERT(curlwp != arg2);
	T_ASSERT(machine_intr_enabled() && !cpu_intr_p() && !cpu_nmi_p());
	T_ASSERT_EQ(ci->ci_spin_depth + ci->ci_nopreempt, 0);
	atomic_fetch_add_explicit(&xcall_count, 1, memory_order_release);
}

TEST_CASE(xcall, runs_in_the_thread_of_its_target)
{
	struct cpu_info *ci;

	atomic_store_explicit(&xcall_count, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, xcall_check_context, ci, curlwp, ci)), 0);
	T_ASSERT_EQ(xcall_counted(), ncpu);
}

/* --- every pair of CPUs ----------------------------------------------------------------------- */

#define PAIR_CALLS 70

/* next[sender * ncpu + target]: how many of that sender's calls have run on that target. */
static uint64_t *pair_next;
static _Atomic uint64_t pair_wrong;

static void
pair_run(void *arg1, void *arg2)
{
	uint64_t pair = (uintptr_t)arg1;

	/* The target's xcall/N alone writes its column. */
	if (pair % ncpu != curcpu()->ci_index || pair_next[pair] != (uintptr_t)arg2)
		atomic_fetch_add_explicit(&pair_wrong, 1, memory_order_relaxed);
	pair_next[pair]++;
}

/* Posts to all CPUs in turn, to each more than there are slots. */
static void
pair_sender(void *arg __attribute__((unused)))
{
	uint64_t self = curcpu()->ci_index, pair, where[PAIR_CALLS];
	struct cpu_info *ci;

	for (unsigned turn = 0; turn < ncpu; turn++) {
		ci = cpu_lookup((curcpu()->ci_index + turn) % ncpu);
		pair = self * ncpu + ci->ci_index;
		for (uintptr_t i = 0; i < PAIR_CALLS; i++)
			where[i] = xc_unicast(0, pair_run, (void *)pair, (void *)i, ci);
		for (unsigned i = PAIR_CALLS; i-- > 0;)
			T_ASSERT_EQ(xc_wait(where[i]), 0);
		T_ASSERT_EQ(pair_next[pair], PAIR_CALLS);
	}
}

TEST_CASE(xcall, every_pair_of_cpus_keeps_order)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;

	pair_next = crew_alloc(ncpu * ncpu, sizeof(*pair_next));
	atomic_store_explicit(&pair_wrong, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, pair_sender, NULL);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	crew_free(job, ncpu, sizeof(*job));
	crew_free(pair_next, ncpu * ncpu, sizeof(*pair_next));
	T_ASSERT_EQ(atomic_load_explicit(&pair_wrong, memory_order_relaxed), 0);
}

/* --- broadcast -------------------------------------------------------------------------------- */

#define LEDGER_CALLS 20

/* ledger[(sender * LEDGER_CALLS + call) * ncpu + target]: how often it ran. */
static _Atomic uint8_t *ledger;

static void
ledger_run(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(
	    &ledger[(uintptr_t)arg1 * ncpu + curcpu()->ci_index], 1, memory_order_relaxed);
}

static void
ledger_sender(void *arg __attribute__((unused)))
{
	uintptr_t first = curcpu()->ci_index * LEDGER_CALLS;
	uint64_t where;

	for (uintptr_t call = first; call < first + LEDGER_CALLS; call++) {
		where = xc_broadcast(0, ledger_run, (void *)call, NULL);
		/* Half of them: the others stay in flight. */
		if (call % 2 == 0)
			T_ASSERT_EQ(xc_wait(where), 0);
		for (unsigned i = 0; call % 2 == 0 && i < ncpu; i++)
			T_ASSERT_EQ(
			    atomic_load_explicit(&ledger[call * ncpu + i], memory_order_relaxed),
			    1);
	}
	xc_barrier(0);
}

TEST_CASE(xcall, broadcasts_run_everywhere_exactly_once)
{
	unsigned n = ncpu * LEDGER_CALLS * ncpu, wrong = 0;
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;

	ledger = crew_alloc(n, 1);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, ledger_sender, NULL);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	for (unsigned i = 0; i < n; i++)
		wrong += atomic_load_explicit(&ledger[i], memory_order_relaxed) != 1;
	crew_free(job, ncpu, sizeof(*job));
	crew_free((void *)(uintptr_t)ledger, n, 1);
	T_ASSERT_EQ(wrong, 0);
}

/* All functions of a broadcast are there at once: none waits for another one's end, nor for a
 * poster that the function on its own CPU has preempted. */
static void
xcall_meet(void *arg1, void *arg2 __attribute__((unused)))
{
	_Atomic uint64_t *here = arg1;
	uint64_t end = clock_ns() + 60000000000ull;

	atomic_fetch_add_explicit(here, 1, memory_order_acq_rel);
	while (atomic_load_explicit(here, memory_order_acquire) < ncpu) {
		machine_pause();
		T_ASSERT(clock_ns() < end);
	}
}

TEST_CASE(xcall, functions_of_a_broadcast_meet)
{
	for (unsigned i = 0; i < 10; i++) {
		_Atomic uint64_t here = 0;

		T_ASSERT_EQ(xc_wait(xc_broadcast(0, xcall_meet, &here, NULL)), 0);
		T_ASSERT_EQ(atomic_load_explicit(&here, memory_order_relaxed), ncpu);
	}
}

/* --- several in flight ------------------------------------------------------------------------ */

struct flight {
	struct gate gate;
	_Atomic uint64_t begun;
	uint64_t order; /* what ran last on the target */
	bool wrong;
};

static void
flight_block(void *arg1, void *arg2 __attribute__((unused)))
{
	struct flight *flight = arg1;

	atomic_fetch_add_explicit(&flight->begun, 1, memory_order_release);
	gate_pass(&flight->gate);
}

static void
flight_follow(void *arg1, void *arg2)
{
	struct flight *flight = arg1;

	if (++flight->order != (uintptr_t)arg2)
		flight->wrong = true;
}

#define FLIGHT_CALLS 20

/* Behind a function that blocks on one CPU calls queue up; those to other CPUs go on. */
TEST_CASE(xcall, several_calls_are_in_flight)
{
	struct cpu_info *target = cpu_lookup(ncpu - 1), *ci;
	struct flight flight = { .begun = 0 };
	uint64_t where[FLIGHT_CALLS + 1];

	gate_init(&flight.gate);
	where[0] = xc_unicast(0, flight_block, &flight, NULL, target);
	for (uintptr_t i = 1; i <= FLIGHT_CALLS; i++)
		where[i] = xc_unicast(0, flight_follow, &flight, (void *)i, target);
	T_ASSERT(test_wait_at_least(&flight.begun, 1));
	atomic_store_explicit(&xcall_count, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci) {
		if (ci != target)
			T_ASSERT_EQ(xc_wait(xc_unicast(0, xcall_count_up, NULL, NULL, ci)), 0);
	}
	T_ASSERT_EQ(xcall_counted(), ncpu - 1);
	for (unsigned i = 0; i <= FLIGHT_CALLS; i++)
		T_ASSERT(!xc_done(where[i]));
	gate_open(&flight.gate);
	for (unsigned i = 0; i <= FLIGHT_CALLS; i++)
		T_ASSERT_EQ(xc_wait(where[i]), 0);
	T_ASSERT(flight.order == FLIGHT_CALLS && !flight.wrong);
	gate_destroy(&flight.gate);
}

/* --- visibility ------------------------------------------------------------------------------- */

#define VISIBLE_WORDS 64

/* Plain memory on purpose: only the call orders it. */
static uint64_t visible_in[VISIBLE_WORDS], visible_out[VISIBLE_WORDS];

static void
visible_copy(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	for (unsigned i = 0; i < VISIBLE_WORDS; i++)
		visible_out[i] = visible_in[i] + 1;
}

static bool
visible_round(struct cpu_info *ci, uint64_t seed, bool poll)
{
	uint64_t where, end = clock_ns() + 60000000000ull;

	for (unsigned i = 0; i < VISIBLE_WORDS; i++)
		visible_in[i] = seed + i;
	where = xc_unicast(0, visible_copy, NULL, NULL, ci);
	if (poll) {
		while (!xc_done(where) && clock_ns() < end)
			machine_pause();
	} else
		(void)xc_wait(where);
	for (unsigned i = 0; i < VISIBLE_WORDS; i++) {
		if (visible_out[i] != seed + i + 1)
			return false;
	}
	return true;
}

TEST_CASE(xcall, effects_are_visible_on_both_sides)
{
	struct cpu_info *ci;

	for (uint64_t round = 1; round <= 50; round++) {
		CPU_INFO_FOREACH(ci)
			T_ASSERT(visible_round(ci, round * 1000, round % 2 == 0));
	}
}

/* --- tickets ---------------------------------------------------------------------------------- */

TEST_CASE(xcall, old_tickets_stay_complete)
{
	uint64_t first = xc_unicast(0, xcall_count_up, NULL, NULL, curcpu());

	T_ASSERT_EQ(xc_wait(0), 0);
	T_ASSERT(xc_done(0));
	for (unsigned i = 0; i < 3 * XC_SLOTS; i++) {
		T_ASSERT_EQ(xc_wait(first), 0);
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(0, xcall_count_up, NULL, NULL, cpu_lookup(i % ncpu))), 0);
		T_ASSERT(xc_done(first));
	}
}

TEST_CASE(xcall, forged_tickets_are_told)
{
	uint64_t real = xc_unicast(0, xcall_count_up, NULL, NULL, curcpu());
	uint64_t generation = xc_ticket_generation(real);
	unsigned cpu = xc_ticket_cpu(real), slot = xc_ticket_slot(real);
	const uint64_t forged[] = {
		xc_ticket_make(cpu, slot, generation + 1),
		xc_ticket_make(cpu, slot, XC_GENERATION_MAX),
		xc_ticket_make(cpu, slot, 0),
		xc_ticket_make(ncpu, slot, 1),
		xc_ticket_make((1u << XC_TICKET_CPU_BITS) - 1, XC_SLOTS - 1, 1),
		XC_ERROR(XC_ERRORS + 1),
	};

	T_ASSERT_EQ(xc_wait(real), 0);
	for (unsigned i = 0; i < sizeof(forged) / sizeof(forged[0]); i++) {
		T_ASSERT(!XC_ISERR(forged[i]));
		/* 0 bits in all three fields are the ticket 0, which is complete. */
		T_ASSERT_EQ(xc_wait(forged[i]), forged[i] == 0 ? 0 : EINVAL);
		T_ASSERT(xc_done(forged[i]));
	}
}

static void
xcall_find_counter(const struct evcnt *ev, void *arg)
{
	const char *const *name = arg;
	uint64_t *value = (uint64_t *)(uintptr_t)name[1];

	if (strcmp(ev->ev_group, "crosscall") == 0 && strcmp(ev->ev_name, name[0]) == 0)
		*value = evcnt_read(ev);
}

static uint64_t
xcall_counter(const char *name)
{
	uint64_t value = UINT64_MAX;
	const char *arg[2] = { name, (const char *)&value };

	evcnt_foreach(xcall_find_counter, arg);
	return value;
}

TEST_CASE(xcall, lost_calls_are_counted)
{
	uint64_t before = xcall_counter("error waited for");

	T_ASSERT_EQ(xc_wait(XC_ERROR(EHOSTDOWN)), EHOSTDOWN);
	T_ASSERT_EQ(xc_wait(XC_ERROR(EBUSY)), EBUSY);
	T_ASSERT(XC_ISERR(XC_ERROR(XC_ERRORS)) && xc_done(XC_ERROR(EINVAL)));
	T_ASSERT_EQ(xcall_counter("error waited for"), before + 2);
}

TEST_CASE(xcall, event_counters_count_calls)
{
	uint64_t unicasts = xcall_counter("unicast"), broadcasts = xcall_counter("broadcast");

	for (unsigned i = 0; i < 10; i++)
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(0, xcall_count_up, NULL, NULL, cpu_lookup(ncpu - 1))), 0);
	for (unsigned i = 0; i < 7; i++)
		T_ASSERT_EQ(xc_wait(xc_broadcast(0, xcall_count_up, NULL, NULL)), 0);
	xc_barrier(0);
	T_ASSERT_EQ(xcall_counter("unicast"), unicasts + 10);
	T_ASSERT_EQ(xcall_counter("broadcast"), broadcasts + 8);
}

/* --- edges of the generations ----------------------------------------------------------------- */

/* A call is over a moment before its slot is free. */
static void
xcall_await_slots(struct xc_cpu *xc)
{
	(void)test_wait_at_least(&xc->x_free, XC_ALL_FREE);
}

/* All slots of the calling CPU issue the generation after this one next. */
static void
xcall_set_generation(uint64_t generation)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	xcall_await_slots(xc);
	for (unsigned i = 0; i < XC_POOL; i++)
		atomic_store_explicit(&xc->x_slot[i].s_state,
		    xc_state_over(generation, XC_LEVEL_LOW), memory_order_relaxed);
}

/* Two rounds through all slots: the generations before and at the edge. */
static bool
xcall_cross(uint64_t edge)
{
	uint64_t where, n = 0;

	xcall_set_generation(edge - 2);
	atomic_store_explicit(&xcall_count, 0, memory_order_relaxed);
	for (unsigned i = 0; i < 2 * XC_POOL; i++) {
		xcall_await_slots(xc_cpu_lookup(curcpu()->ci_index));
		where = xc_unicast(0, xcall_count_up, NULL, NULL, cpu_lookup(i % ncpu));
		n++;
		if (XC_ISERR(where) || where == 0 || xc_wait(where) != 0 || xcall_counted() != n ||
		    !xc_done(where) || xc_ticket_generation(where) < edge - 1)
			return false;
	}
	return xc_ticket_generation(where) == edge;
}

TEST_CASE(xcall, tickets_cross_all_edges)
{
	T_ASSERT(xcall_cross(UINT64_C(1) << 14)); /* bit 31 and 32 of the ticket */
	T_ASSERT(xcall_cross(UINT64_C(1) << 31));
	T_ASSERT(xcall_cross(UINT64_C(1) << 32));
	T_ASSERT(xcall_cross(UINT64_C(1) << 40));
	T_ASSERT(xcall_cross(UINT64_C(1) << 45)); /* bit 63 of the ticket */
	T_ASSERT(xcall_cross(XC_GENERATION_MAX));
	/* Nobody keeps a ticket of these: back to where a slot has a century before it. */
	xcall_set_generation(UINT64_C(1) << 32);
}

TEST_CASE(xcall, slots_age_evenly)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);
	uint64_t oldest = UINT64_MAX, newest = 0;

	xcall_set_generation(UINT64_C(1) << 33);
	for (unsigned i = 0; i < 10 * XC_POOL + XC_POOL / 2; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, xcall_count_up, NULL, NULL, cpu_lookup(0))), 0);
	for (unsigned i = 0; i < XC_POOL; i++) {
		uint64_t generation = xc_state_generation(
		    atomic_load_explicit(&xc->x_slot[i].s_state, memory_order_relaxed));

		oldest = generation < oldest ? generation : oldest;
		newest = generation > newest ? generation : newest;
	}
	T_ASSERT(newest - oldest <= 1);
}

/* --- no memory -------------------------------------------------------------------------------- */

static size_t xcall_pages;
static _Atomic uint64_t xcall_allocated;

static void
xcall_check_pages(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	if (kmem_pages_free() != xcall_pages)
		atomic_fetch_add_explicit(&xcall_allocated, 1, memory_order_relaxed);
}

TEST_CASE(xcall, calls_take_no_memory)
{
	uint64_t where[XC_SLOTS];

	atomic_store_explicit(&xcall_allocated, 0, memory_order_relaxed);
	/* Stacks of earlier cases may still be on their way back. */
	kthread_sleep_ns(50000000);
	xcall_pages = kmem_pages_free();
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < XC_SLOTS; i++)
			where[i] = xc_broadcast(0, xcall_check_pages, NULL, NULL);
		for (unsigned i = 0; i < XC_SLOTS; i++)
			T_ASSERT_EQ(xc_wait(where[i]), 0);
	}
	T_ASSERT_EQ(kmem_pages_free(), xcall_pages);
	T_ASSERT_EQ(atomic_load_explicit(&xcall_allocated, memory_order_relaxed), 0);
}

/* --- who is a target -------------------------------------------------------------------------- */

/* In the eyes of posters. */
static void
xcall_set_target(struct cpu_info *ci, bool target)
{
	uint64_t bit = UINT64_C(1) << ci->ci_index % 64;
	_Atomic uint64_t *word = &xc_targets.t_set[ci->ci_index / 64];

	if (target && (atomic_fetch_or_explicit(word, bit, memory_order_release) & bit) == 0)
		atomic_fetch_add_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	if (!target && (atomic_fetch_and_explicit(word, ~bit, memory_order_release) & bit) != 0)
		atomic_fetch_sub_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&xc_targets.t_version, 1, memory_order_release);
}

static void
xcall_note_thread(void *arg1, void *arg2 __attribute__((unused)))
{
	*(lwp_t **)arg1 = curlwp;
}

/* As before the other CPUs are up: in the caller, ticket 0, wherever the caller stands. */
TEST_CASE(xcall, runs_inline_while_nobody_is_up)
{
	struct cpu_info *self = curcpu(), *ci;
	lwp_t *broadcast = NULL, *unicast = NULL;
	uint64_t tickets, other = 0;
	bool intr;

	CPU_INFO_FOREACH(ci)
		xcall_set_target(ci, false);
	intr = machine_intr_disable();
	tickets = xc_broadcast(0, xcall_note_thread, &broadcast, NULL);
	tickets |= xc_unicast(0, xcall_note_thread, &unicast, NULL, self);
	if (ncpu > 1)
		other = xc_unicast(0, xcall_note_thread, &unicast, NULL, cpu_lookup(ncpu - 1));
	xc_barrier(0);
	machine_intr_restore(intr);
	CPU_INFO_FOREACH(ci)
		xcall_set_target(ci, true);
	T_ASSERT_EQ(tickets, 0);
	T_ASSERT(broadcast == curlwp && unicast == curlwp);
	T_ASSERT(ncpu == 1 || other == XC_ERROR(EHOSTDOWN));
}

TEST_CASE(xcall, a_cpu_that_is_down_is_an_error)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	uint64_t where;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	atomic_store_explicit(&xcall_count, 0, memory_order_relaxed);
	xcall_set_target(other, false);
	where = xc_unicast(0, xcall_count_up, NULL, NULL, other);
	(void)xc_wait(xc_broadcast(0, xcall_count_up, NULL, NULL));
	xcall_set_target(other, true);
	T_ASSERT_EQ(where, XC_ERROR(EHOSTDOWN));
	T_ASSERT_EQ(xcall_counted(), ncpu - 1);
	T_ASSERT_EQ(xc_wait(xc_broadcast(0, xcall_count_up, NULL, NULL)), 0);
	T_ASSERT_EQ(xcall_counted(), 2 * ncpu - 1);
}

/* Broadcasts until told to stop; counts them. */
static void
xcall_broadcaster(void *arg)
{
	_Atomic uint64_t *stop = arg;

	while (atomic_load_explicit(stop, memory_order_acquire) == 0)
		T_ASSERT_EQ(xc_wait(xc_broadcast(0, xcall_count_up, NULL, NULL)), 0);
}

/* A CPU comes and goes in the eyes of the posters: no broadcast waits for a CPU that it did not
 * tell. */
TEST_CASE(xcall, the_set_of_targets_may_change_during_a_post)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct crew_job job;
	_Atomic uint64_t stop = 0;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, xcall_broadcaster, &stop);
	for (unsigned i = 0; i < 2000; i++) {
		xcall_set_target(other, i % 2 != 0);
		for (unsigned spin = 0; spin < 100; spin++)
			machine_pause();
	}
	xcall_set_target(other, true);
	atomic_store_explicit(&stop, 1, memory_order_release);
	T_ASSERT(test_wait_at_least(&job.done, 1));
	crew_join(&job);
}
