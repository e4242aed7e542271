/*
 * Cross calls: waiting, nesting, contexts, slots that run out, the barrier.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/intr.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xcall.h"

static _Atomic uint64_t wait_count;

static uint64_t
wait_counted(void)
{
	return atomic_load_explicit(&wait_count, memory_order_acquire);
}

static void
wait_count_up(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&wait_count, 1, memory_order_release);
}

static void
wait_at_gate(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

/* --- many waiters ----------------------------------------------------------------------------- */

#define MANY_ROUNDS 20

static _Atomic uint64_t many_ticket[MANY_ROUNDS], many_ran;

static void
many_note(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_store_explicit(&many_ran, (uintptr_t)arg1, memory_order_release);
}

/* Waits for each ticket as soon as it is there, and for all that are old. */
static void
many_waiter(void *arg __attribute__((unused)))
{
	for (unsigned i = 0; i < MANY_ROUNDS; i++) {
		T_ASSERT(test_wait_at_least(&many_ticket[i], 1));
		T_ASSERT_EQ(
		    xc_wait(atomic_load_explicit(&many_ticket[i], memory_order_acquire)), 0);
		T_ASSERT(atomic_load_explicit(&many_ran, memory_order_acquire) >= i + 1);
		for (unsigned old = 0; old < i; old++)
			T_ASSERT_EQ(
			    xc_wait(atomic_load_explicit(&many_ticket[old], memory_order_acquire)),
			    0);
	}
}

TEST_CASE(xcall_wait, many_threads_wait_for_one_ticket)
{
	struct crew_job *job = crew_alloc(ncpu, 2 * sizeof(*job));
	struct cpu_info *ci;

	for (unsigned i = 0; i < MANY_ROUNDS; i++)
		atomic_store_explicit(&many_ticket[i], 0, memory_order_relaxed);
	atomic_store_explicit(&many_ran, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci) {
		crew_start(&job[2 * ci->ci_index], ci, PRI_KERNEL + 1, many_waiter, NULL);
		crew_start(&job[2 * ci->ci_index + 1], ci, PRI_USER, many_waiter, NULL);
	}
	for (uintptr_t i = 0; i < MANY_ROUNDS; i++) {
		atomic_store_explicit(&many_ticket[i],
		    xc_unicast(0, many_note, (void *)(i + 1), NULL, cpu_lookup((unsigned)i % ncpu)),
		    memory_order_release);
		if (i % 4 == 0)
			kthread_sleep_ns(1000000);
		(void)xc_wait(atomic_load_explicit(&many_ticket[i], memory_order_relaxed));
	}
	for (unsigned i = 0; i < 2 * ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, 2 * sizeof(*job));
}

/* --- nesting ---------------------------------------------------------------------------------- */

static struct cpu_info *
nest_next_cpu(void)
{
	return cpu_lookup((curcpu()->ci_index + 1) % ncpu);
}

/* Calls the next CPU of the ring and waits, until arg1 hops have been made. */
static void
nest_hop(void *arg1, void *arg2)
{
	uintptr_t hops = (uintptr_t)arg1;

	atomic_fetch_add_explicit(&wait_count, 1, memory_order_relaxed);
	if (hops > 1)
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(0, nest_hop, (void *)(hops - 1), arg2, nest_next_cpu())), 0);
}

/* Nested on its own CPU to the bound of the depth. */
static void
nest_self(void *arg1, void *arg2)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);
	uintptr_t levels = (uintptr_t)arg1;

	T_ASSERT_EQ(xc_run_depth(&xc->x_stack[XC_LEVEL_LOW]), XC_DEPTH_MAX + 1 - levels);
	atomic_fetch_add_explicit(&wait_count, 1, memory_order_relaxed);
	if (levels > 1)
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(0, nest_self, (void *)(levels - 1), arg2, curcpu())), 0);
}

TEST_CASE(xcall_wait, a_function_waits_for_its_own_cpu)
{
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(0, nest_self, (void *)(uintptr_t)XC_DEPTH_MAX, NULL, ci)),
		    0);
		T_ASSERT_EQ(wait_counted(), XC_DEPTH_MAX);
	}
}

TEST_CASE(xcall_wait, a_ring_of_calls_goes_around_until_the_depth)
{
	uintptr_t hops = (uintptr_t)ncpu * XC_DEPTH_MAX;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
		T_ASSERT_EQ(xc_wait(xc_unicast(0, nest_hop, (void *)hops, NULL, ci)), 0);
		T_ASSERT_EQ(wait_counted(), hops);
	}
}

#define NEST_RINGS 20

static void
nest_ring(void *arg)
{
	for (unsigned i = 0; i < NEST_RINGS; i++)
		T_ASSERT_EQ(xc_wait(xc_unicast(0, nest_hop, arg, NULL, nest_next_cpu())), 0);
}

/* As many rings at once as can meet on one CPU without reaching the bound.  Without the periodic
 * look for chains, which would also mend a lost wake-up. */
TEST_CASE(xcall_wait, all_cpus_call_each_other)
{
	unsigned n = ncpu < XC_DEPTH_MAX ? ncpu : XC_DEPTH_MAX;
	uintptr_t hops = (uintptr_t)XC_DEPTH_MAX / n * ncpu;
	struct crew_job job[XC_DEPTH_MAX];

	atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
	xc_chain_set_period(3600000000000ull);
	for (unsigned i = 0; i < n; i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, nest_ring, (void *)hops);
	for (unsigned i = 0; i < n; i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	xc_chain_set_period(XC_CHAIN_PERIOD_NS);
	T_ASSERT_EQ(wait_counted(), NEST_RINGS * n * hops);
}

/* A broadcast from a function, its own CPU included. */
static void
nest_broadcast(void *arg1, void *arg2)
{
	uintptr_t levels = (uintptr_t)arg1;

	atomic_fetch_add_explicit(&wait_count, 1, memory_order_relaxed);
	if (levels > 1)
		T_ASSERT_EQ(
		    xc_wait(xc_broadcast(0, nest_broadcast, (void *)(levels - 1), arg2)), 0);
}

TEST_CASE(xcall_wait, functions_broadcast_and_wait)
{
	uint64_t n = ncpu, expected = n + n * n;

	atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
	T_ASSERT_EQ(xc_wait(xc_unicast(0, nest_broadcast, (void *)3, NULL, cpu_lookup(0))), 0);
	T_ASSERT_EQ(wait_counted(), 1 + expected);
}

/* At the bound xcall/N sleeps unserved. */
struct bound {
	struct gate gate;
	struct cpu_info *gated; /* where the call waits that the deepest function waits for */
	_Atomic uint64_t there, left, begun_before;
};

static void
bound_descend(void *arg1, void *arg2)
{
	struct bound *bound = arg1;
	uintptr_t levels = (uintptr_t)arg2;
	uint64_t where;

	if (levels > 1) {
		(void)xc_wait(xc_unicast(0, bound_descend, bound, (void *)(levels - 1), curcpu()));
		return;
	}
	where = xc_unicast(0, wait_at_gate, &bound->gate, NULL, bound->gated);
	atomic_store_explicit(&bound->there, 1, memory_order_release);
	(void)xc_wait(where);
	atomic_store_explicit(&bound->left, 1, memory_order_release);
}

static void
bound_note(void *arg1, void *arg2 __attribute__((unused)))
{
	struct bound *bound = arg1;

	if (atomic_load_explicit(&bound->left, memory_order_acquire) == 0)
		atomic_fetch_add_explicit(&bound->begun_before, 1, memory_order_relaxed);
}

TEST_CASE(xcall_wait, at_the_bound_of_the_depth_nothing_is_served)
{
	struct bound bound = { .gated = cpu_lookup(ncpu - 1) };
	uint64_t deep, behind;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	gate_init(&bound.gate);
	deep = xc_unicast(0, bound_descend, &bound, (void *)(uintptr_t)XC_DEPTH_MAX, cpu_lookup(0));
	T_ASSERT(test_wait_at_least(&bound.there, 1));
	behind = xc_unicast(0, bound_note, &bound, NULL, cpu_lookup(0));
	kthread_sleep_ns(20000000);
	T_ASSERT(!xc_done(behind) && !xc_done(deep));
	gate_open(&bound.gate);
	T_ASSERT_EQ(xc_wait(deep), 0);
	T_ASSERT_EQ(xc_wait(behind), 0);
	T_ASSERT_EQ(atomic_load_explicit(&bound.begun_before, memory_order_relaxed), 0);
	gate_destroy(&bound.gate);
}

/* --- posts from everywhere -------------------------------------------------------------------- */

/* What a post is made in. */
enum post_context {
	POST_SPINLOCK,
	POST_NOPREEMPT,
	POST_INTR_OFF,
	POST_INTERRUPT,
	POST_FUNCTION,
	POST_CONTEXTS
};

static struct spinlock post_lock = SPINLOCK_INIT("post");
static uint64_t post_tickets[2];
static _Atomic uint64_t post_interrupted;

static void
post_both(void)
{
	post_tickets[0] = xc_unicast(0, wait_count_up, NULL, NULL, nest_next_cpu());
	post_tickets[1] = xc_broadcast(0, wait_count_up, NULL, NULL);
}

static void
post_interrupt(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	post_both();
	atomic_fetch_add_explicit(&post_interrupted, 1, memory_order_release);
}

static void
post_function(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	post_both();
}

static bool
post_by_interrupt(void)
{
	atomic_store_explicit(&post_interrupted, 0, memory_order_relaxed);
	machine_send_ipi(curcpu(), test_vector(post_interrupt));
	return test_wait_at_least(&post_interrupted, 1);
}

/* Posts to this CPU and others; whether it could. */
static bool
post_in(enum post_context context, struct cpu_info *function_cpu)
{
	bool intr;

	switch (context) {
	case POST_SPINLOCK:
		spinlock_enter(&post_lock);
		post_both();
		spinlock_exit(&post_lock);
		return true;
	case POST_NOPREEMPT:
		kpreempt_disable();
		post_both();
		kpreempt_enable();
		return true;
	case POST_INTR_OFF:
		intr = machine_intr_disable();
		post_both();
		machine_intr_restore(intr);
		return true;
	case POST_INTERRUPT:
		return post_by_interrupt();
	case POST_FUNCTION:
		return xc_wait(xc_unicast(0, post_function, NULL, NULL, function_cpu)) == 0;
	default:
		return false;
	}
}

TEST_CASE(xcall_wait, posts_are_legal_in_every_context)
{
	for (unsigned context = 0; context < POST_CONTEXTS; context++) {
		atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
		T_ASSERT(post_in(context, curcpu()));
		T_ASSERT(!XC_ISERR(post_tickets[0]) && post_tickets[0] != 0);
		T_ASSERT(!XC_ISERR(post_tickets[1]) && post_tickets[1] != 0);
		T_ASSERT_EQ(xc_wait(post_tickets[0]), 0);
		T_ASSERT_EQ(xc_wait(post_tickets[1]), 0);
		T_ASSERT_EQ(wait_counted(), 1 + ncpu);
	}
}

/* --- slots run out ---------------------------------------------------------------------------- */

/* All slots of this CPU hold calls to `target` that stand at the gate or behind it. */
static void
full_fill(uint64_t where[XC_ROOM_SLEEP], struct gate *gate, struct cpu_info *target)
{
	gate_init(gate);
	for (unsigned i = 0; i < XC_ROOM_SLEEP; i++)
		where[i] = xc_unicast(0, wait_at_gate, gate, NULL, target);
}

static bool
full_drain(const uint64_t where[XC_ROOM_SLEEP], struct gate *gate)
{
	bool ok = true;

	gate_open(gate);
	for (unsigned i = 0; i < XC_ROOM_SLEEP; i++)
		ok = !XC_ISERR(where[i]) && xc_wait(where[i]) == 0 && ok;
	gate_destroy(gate);
	return ok;
}

TEST_CASE(xcall_wait, without_a_slot_only_threads_wait)
{
	uint64_t where[XC_ROOM_SLEEP];
	bool busy = true, posted = true;
	struct gate gate;

	/* A function that posts runs on this CPU, whose slots are used up: its call cannot be
	 * posted from here, so that context is a case of its own. */
	full_fill(where, &gate, cpu_lookup(ncpu - 1));
	for (unsigned context = 0; context < POST_FUNCTION; context++) {
		posted = post_in(context, NULL) && posted;
		busy = busy && post_tickets[0] == XC_ERROR(EBUSY) &&
		    post_tickets[1] == XC_ERROR(EBUSY);
	}
	T_ASSERT(full_drain(where, &gate));
	T_ASSERT(posted && busy);
}

struct full_poster {
	struct cpu_info *to;
	_Atomic uint64_t posted;
	struct crew_job job;
};

static void
full_post(void *arg)
{
	struct full_poster *poster = arg;
	uint64_t where = xc_unicast(0, wait_count_up, NULL, NULL, poster->to);

	atomic_store_explicit(&poster->posted, 1, memory_order_release);
	T_ASSERT_EQ(xc_wait(where), 0);
}

#define FULL_POSTERS 5

TEST_CASE(xcall_wait, threads_sleep_until_a_slot_is_free)
{
	struct full_poster poster[FULL_POSTERS];
	uint64_t where[XC_ROOM_SLEEP];
	struct gate gate;
	uint64_t early = 0;

	atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
	full_fill(where, &gate, cpu_lookup(ncpu - 1));
	for (unsigned i = 0; i < FULL_POSTERS; i++) {
		poster[i].to = cpu_lookup(i % ncpu);
		atomic_store_explicit(&poster[i].posted, 0, memory_order_relaxed);
		crew_start(&poster[i].job, curcpu(), PRI_KERNEL + (pri_t)i, full_post, &poster[i]);
	}
	kthread_sleep_ns(50000000);
	for (unsigned i = 0; i < FULL_POSTERS; i++)
		early += atomic_load_explicit(&poster[i].posted, memory_order_acquire);
	T_ASSERT(full_drain(where, &gate));
	for (unsigned i = 0; i < FULL_POSTERS; i++) {
		T_ASSERT(test_wait_at_least(&poster[i].job.done, 1));
		crew_join(&poster[i].job);
	}
	T_ASSERT_EQ(early, 0);
	T_ASSERT_EQ(wait_counted(), FULL_POSTERS);
}

/* A function on a CPU without free slots: its posts are refused, its barrier waits for one. */
struct full_function {
	struct gate *gate;
	uint64_t ticket;
	_Atomic uint64_t refused;
};

static void
full_in_function(void *arg1, void *arg2 __attribute__((unused)))
{
	struct full_function *full = arg1;

	full->ticket = xc_unicast(0, wait_count_up, NULL, NULL, curcpu());
	atomic_store_explicit(&full->refused, 1, memory_order_release);
	xc_barrier(0);
}

static void
full_caller(void *arg)
{
	T_ASSERT_EQ(xc_wait(xc_unicast(0, full_in_function, arg, NULL, cpu_lookup(0))), 0);
}

TEST_CASE(xcall_wait, a_function_without_a_slot_is_refused_but_its_barrier_waits)
{
	struct full_function full = { .refused = 0 };
	uint64_t where[XC_ROOM_SLEEP];
	struct crew_job job;
	struct gate gate;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	full_fill(where, &gate, cpu_lookup(ncpu - 1));
	crew_start(&job, cpu_lookup(ncpu - 1), PRI_KERNEL, full_caller, &full);
	T_ASSERT(test_wait_at_least(&full.refused, 1));
	kthread_sleep_ns(20000000);
	T_ASSERT(full_drain(where, &gate));
	T_ASSERT(test_wait_at_least(&job.done, 1));
	crew_join(&job);
	T_ASSERT_EQ(full.ticket, XC_ERROR(EBUSY));
}

/* --- barrier ---------------------------------------------------------------------------------- */

/* Odd while its CPU is in a section with preemption off. */
struct section {
	_Atomic uint64_t number;
	_Atomic uint64_t *stop;
	struct crew_job job;
};

static void
section_loop(void *arg)
{
	struct section *section = arg;

	while (atomic_load_explicit(section->stop, memory_order_acquire) == 0) {
		kpreempt_disable();
		atomic_fetch_add_explicit(&section->number, 1, memory_order_relaxed);
		for (unsigned i = 0; i < 2000; i++)
			machine_pause();
		atomic_fetch_add_explicit(&section->number, 1, memory_order_relaxed);
		kpreempt_enable();
	}
}

#define BARRIER_ROUNDS 40

/* One round: which sections stood before the barrier and still stand after it. */
static unsigned
barrier_round(struct section *section, uint64_t *before, unsigned *inside)
{
	unsigned standing = 0;

	for (unsigned i = 0; i < ncpu; i++)
		before[i] = atomic_load_explicit(&section[i].number, memory_order_acquire);
	xc_barrier(0);
	for (unsigned i = 0; i < ncpu; i++) {
		if (before[i] % 2 == 0)
			continue;
		*inside += 1;
		standing += before[i] ==
		    atomic_load_explicit(&section[i].number, memory_order_acquire);
	}
	return standing;
}

TEST_CASE(xcall_wait, the_barrier_waits_out_sections_without_preemption)
{
	struct section *section = crew_alloc(ncpu, sizeof(*section));
	uint64_t *before = crew_alloc(ncpu, sizeof(*before));
	unsigned standing = 0, inside = 0;
	_Atomic uint64_t stop = 0;

	for (unsigned i = 0; i < ncpu; i++) {
		section[i].stop = &stop;
		crew_start(&section[i].job, cpu_lookup(i), PRI_USER, section_loop, &section[i]);
	}
	for (unsigned round = 0; round < BARRIER_ROUNDS; round++)
		standing += barrier_round(section, before, &inside);
	atomic_store_explicit(&stop, 1, memory_order_release);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&section[i].job);
	crew_free(section, ncpu, sizeof(*section));
	crew_free(before, ncpu, sizeof(*before));
	T_ASSERT_EQ(standing, 0);
	/* Otherwise nothing was tested; on one CPU this thread only runs between sections. */
	T_ASSERT(inside != 0 || ncpu == 1);
}

static void
barrier_in_function(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	xc_barrier(0);
	atomic_fetch_add_explicit(&wait_count, 1, memory_order_release);
}

TEST_CASE(xcall_wait, functions_may_use_the_barrier)
{
	atomic_store_explicit(&wait_count, 0, memory_order_relaxed);
	T_ASSERT_EQ(
	    xc_wait(xc_unicast(0, barrier_in_function, NULL, NULL, cpu_lookup(ncpu - 1))), 0);
	T_ASSERT_EQ(wait_counted(), 1);
}
