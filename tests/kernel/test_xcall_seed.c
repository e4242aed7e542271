/*
 * The defects of 2008, each as a scenario that runs on both: xcall/ must pass it, the twin of the
 * old algorithm must fail it.  A scenario that the twin passes would prove nothing.
 *
 * Not here, because the twin cannot show them on this machine: 7, a wait whose fast path has no
 * acquire (x86 does not reorder loads, nor this compiler that code: the model and the host build
 * are for that), and 10, the checks of callers and callees (misuse_xcall.c).
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "tests/kernel/twin_seed.h"
#include "xcall/xc_internal.h"
#include "xcall/xcall.h"

/* What a scenario runs on. */
struct seed_subject {
	void (*start)(void);
	void (*stop)(void);
	uint64_t (*unicast)(unsigned, xcfunc_t, void *, void *, struct cpu_info *);
	uint64_t (*broadcast)(unsigned, xcfunc_t, void *, void *);
	int (*wait)(uint64_t);
	void (*set_running)(struct cpu_info *, bool);
	void (*set_count)(uint64_t);
	/* For what must come: how long until it counts as a hang.  Generous for xcall/, see
	 * test_wait_at_least(); the twin hangs for certain and is not worth a minute. */
	uint64_t patience_ns;
	/* For what must not come: how long to look out for it.  It ends at once when it comes, so
	 * it can be long for the twin, which must be caught also on a slow host. */
	uint64_t watch_ns;
};

/* --- the two subjects ------------------------------------------------------------------------- */

static void
seed_nothing(void)
{
}

static void
seed_set_running(struct cpu_info *ci, bool running)
{
	uint64_t bit = UINT64_C(1) << ci->ci_index % 64;
	_Atomic uint64_t *word = &xc_targets.t_set[ci->ci_index / 64];

	/* The 2008 algorithm looks at the one, xcall/ at the other. */
	atomic_store_explicit(&ci->ci_online, running, memory_order_release);
	if (running && (atomic_fetch_or_explicit(word, bit, memory_order_release) & bit) == 0)
		atomic_fetch_add_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	if (!running && (atomic_fetch_and_explicit(word, ~bit, memory_order_release) & bit) != 0)
		atomic_fetch_sub_explicit(&xc_targets.t_count, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&xc_targets.t_version, 1, memory_order_release);
}

/* The next calls of the four slots of a CPU that come first have these generations. */
static void
seed_set_generation(uint64_t count)
{
	struct cpu_info *ci;
	struct xc_cpu *xc;
	unsigned i;

	CPU_INFO_FOREACH(ci) {
		xc = xc_cpu_lookup(ci->ci_index);
		i = 0;
		for (unsigned n = 0; n < XC_POOL; n++) {
			struct xc_slot *slot = &xc->x_slot[(xc->x_next + n) % XC_POOL];

			atomic_store_explicit(&slot->s_state,
			    xc_state_over(count + i++ % 4, XC_LEVEL_LOW), memory_order_relaxed);
		}
	}
}

static const struct seed_subject seed_xcall = {
	.start = seed_nothing,
	.stop = seed_nothing,
	.unicast = xc_unicast,
	.broadcast = xc_broadcast,
	.wait = xc_wait,
	.set_running = seed_set_running,
	.set_count = seed_set_generation,
	.patience_ns = 60000000000ull,
	.watch_ns = 100000000ull,
};

static void
seed_start_2008(void)
{
	twin_start(false);
}

static void
seed_start_2016(void)
{
	twin_start(true);
}

#define SEED_TWIN(start_) \
	{ \
		.start = (start_), .stop = twin_stop, .unicast = twin_unicast, \
		.broadcast = twin_broadcast, .wait = twin_wait, .set_running = twin_set_running, \
		.set_count = twin_set_count, .patience_ns = 500000000ull, \
		.watch_ns = 20000000000ull, \
	}

static const struct seed_subject seed_2008 = SEED_TWIN(seed_start_2008);
static const struct seed_subject seed_2016 = SEED_TWIN(seed_start_2016);

/* --- actors ----------------------------------------------------------------------------------- */

/* A function that stops at a gate. */
struct seed_slow {
	struct gate gate;
	_Atomic uint64_t begun, finished;
};

static void
seed_slow_init(struct seed_slow *slow)
{
	gate_init(&slow->gate);
	atomic_store_explicit(&slow->begun, 0, memory_order_relaxed);
	atomic_store_explicit(&slow->finished, 0, memory_order_relaxed);
}

static void
seed_slow_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct seed_slow *slow = arg1;

	/* Release, both: pair with crew_reached(). */
	atomic_fetch_add_explicit(&slow->begun, 1, memory_order_release);
	gate_pass(&slow->gate);
	atomic_fetch_add_explicit(&slow->finished, 1, memory_order_release);
}

static void
seed_count(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit((_Atomic uint64_t *)arg1, 1, memory_order_release);
}

/* A thread that waits for a ticket and notes how often the function had finished when it came
 * back. */
struct seed_waiter {
	const struct seed_subject *on;
	uint64_t where;
	_Atomic uint64_t *finished;
	uint64_t seen;
	struct crew_job job;
};

static void
seed_waiter_run(void *arg)
{
	struct seed_waiter *waiter = arg;

	waiter->on->wait(waiter->where);
	waiter->seen = atomic_load_explicit(waiter->finished, memory_order_acquire);
}

static void
seed_waiter_start(struct seed_waiter *waiter, const struct seed_subject *on, uint64_t where,
    _Atomic uint64_t *finished)
{
	waiter->on = on;
	waiter->where = where;
	waiter->finished = finished;
	crew_start(&waiter->job, cpu_lookup(0), PRI_KERNEL + 1, seed_waiter_run, waiter);
}

/* A thread that posts to a CPU and waits. */
struct seed_caller {
	const struct seed_subject *on;
	struct cpu_info *to;
	_Atomic uint64_t ran;
	struct crew_job job;
};

static void
seed_caller_run(void *arg)
{
	struct seed_caller *caller = arg;

	caller->on->wait(caller->on->unicast(0, seed_count, &caller->ran, NULL, caller->to));
}

static void
seed_caller_start(struct seed_caller *caller, const struct seed_subject *on, struct cpu_info *to)
{
	caller->on = on;
	caller->to = to;
	atomic_store_explicit(&caller->ran, 0, memory_order_relaxed);
	crew_start(&caller->job, cpu_lookup(0), PRI_KERNEL + 1, seed_caller_run, caller);
}

/* --- scenarios: true when the promise was kept ------------------------------------------------ */

/* Defect 1: two unrelated calls; the end of one must not pay for the other. */
static bool
seed_early_wait(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_slow slow;
	struct seed_waiter waiter;
	_Atomic uint64_t quick = 0;
	bool kept;

	on->start();
	seed_slow_init(&slow);
	seed_waiter_start(
	    &waiter, on, on->unicast(0, seed_slow_run, &slow, NULL, other), &slow.finished);
	kept = crew_reached(&slow.begun, 1, on->patience_ns);
	on->unicast(0, seed_count, &quick, NULL, cpu_lookup(0));
	kept = crew_reached(&quick, 1, on->patience_ns) && kept;
	kept = !crew_reached(&waiter.job.done, 1, on->watch_ns) && kept;
	gate_open(&slow.gate);
	crew_join(&waiter.job);
	on->stop();
	gate_destroy(&slow.gate);
	return kept && waiter.seen == 1;
}

struct seed_nested {
	const struct seed_subject *on;
	struct cpu_info *to;
	bool wait;
	_Atomic uint64_t ran, returned;
};

static void
seed_nested_run(void *arg1, void *arg2 __attribute__((unused)))
{
	struct seed_nested *nested = arg1;
	uint64_t where = nested->on->unicast(0, seed_count, &nested->ran, NULL, nested->to);

	if (nested->wait)
		nested->on->wait(where);
	atomic_fetch_add_explicit(&nested->returned, 1, memory_order_release);
}

/* Defects 2 and 9: a function posts to `to`, and may wait for it. */
static bool
seed_nested_post(const struct seed_subject *on, struct cpu_info *to, bool wait)
{
	struct seed_nested nested = { .on = on, .to = to, .wait = wait };
	bool kept;

	on->start();
	on->unicast(0, seed_nested_run, &nested, NULL, cpu_lookup(0));
	kept = crew_reached(&nested.returned, 1, on->patience_ns) &&
	    crew_reached(&nested.ran, 1, on->patience_ns);
	on->stop();
	return kept;
}

/* Defect 3: a waiter's call is over, and another one always behind it. */
static bool
seed_satisfied_waiter(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_slow first, second;
	struct seed_waiter waiter;
	bool kept;

	on->start();
	seed_slow_init(&first);
	seed_slow_init(&second);
	seed_waiter_start(
	    &waiter, on, on->unicast(0, seed_slow_run, &first, NULL, other), &first.finished);
	kept = crew_reached(&first.begun, 1, on->patience_ns);
	/* It runs at a better priority than this thread, on this CPU: now it sleeps. */
	kthread_sleep_ns(20000000);
	on->unicast(0, seed_slow_run, &second, NULL, other);
	gate_open(&first.gate);
	kept = crew_reached(&second.begun, 1, on->patience_ns) && kept;
	kept = crew_reached(&waiter.job.done, 1, on->patience_ns) && kept;
	gate_open(&second.gate);
	kept = crew_reached(&second.finished, 1, 60000000000ull) && kept;
	on->stop();
	crew_join(&waiter.job);
	gate_destroy(&first.gate);
	gate_destroy(&second.gate);
	return kept;
}

/* Defect 4: calls number 2^32 - 1 and those after it. */
static bool
seed_large_counts(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_slow slow;
	struct seed_waiter waiter;
	bool kept = true;

	on->start();
	on->set_count((UINT64_C(1) << 32) - 2);
	for (unsigned i = 0; i < 4; i++) {
		seed_slow_init(&slow);
		seed_waiter_start(
		    &waiter, on, on->unicast(0, seed_slow_run, &slow, NULL, other), &slow.finished);
		kept = crew_reached(&slow.begun, 1, 60000000000ull) && kept;
		/* Only the twin's first tickets fit: half of its watch would be lost on them. */
		kept = !crew_reached(&waiter.job.done, 1, 100000000ull) && kept;
		gate_open(&slow.gate);
		crew_join(&waiter.job);
		kept = kept && waiter.seen == 1;
		kept = crew_reached(&slow.finished, 1, 60000000000ull) && kept;
		gate_destroy(&slow.gate);
	}
	on->stop();
	return kept;
}

/* Defect 5: a call to a CPU that does not run; later calls of others must not care. */
static bool
seed_dead_target(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_caller caller;
	_Atomic uint64_t never = 0;
	bool kept;

	on->start();
	on->set_running(other, false);
	on->unicast(0, seed_count, &never, NULL, other);
	seed_caller_start(&caller, on, cpu_lookup(0));
	kept = crew_reached(&caller.job.done, 1, on->patience_ns);
	on->set_running(other, true);
	on->stop();
	crew_join(&caller.job);
	return kept && atomic_load_explicit(&caller.ran, memory_order_acquire) == 1;
}

/* Defect 6: a broadcast while no CPU is marked as running. */
static bool
seed_nobody_runs(const struct seed_subject *on)
{
	_Atomic uint64_t ran = 0;
	struct cpu_info *ci;

	on->start();
	CPU_INFO_FOREACH(ci)
		on->set_running(ci, false);
	on->wait(on->broadcast(0, seed_count, &ran, NULL));
	CPU_INFO_FOREACH(ci)
		on->set_running(ci, true);
	on->stop();
	return atomic_load_explicit(&ran, memory_order_acquire) == 1;
}

static void
seed_busy(void *arg)
{
	_Atomic uint64_t *stop = arg;

	while (atomic_load_explicit(stop, memory_order_acquire) == 0)
		machine_pause();
}

/* Defect 11: a thread of another band that never lets go of its CPU. */
static bool
seed_busy_thread(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_caller caller;
	struct crew_job busy;
	_Atomic uint64_t stop = 0;
	bool kept;

	on->start();
	crew_start(&busy, other, PRI_KERNEL_RT, seed_busy, &stop);
	seed_caller_start(&caller, on, other);
	kept = crew_reached(&caller.job.done, 1, on->patience_ns);
	atomic_store_explicit(&stop, 1, memory_order_release);
	crew_join(&busy);
	on->stop();
	crew_join(&caller.job);
	return kept;
}

/* One call in flight in the whole machine: two for a stuck CPU stop everybody. */
static bool
seed_stuck_target(const struct seed_subject *on)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);
	struct seed_slow slow;
	struct seed_caller caller;
	_Atomic uint64_t behind = 0;
	bool kept;

	on->start();
	seed_slow_init(&slow);
	on->unicast(0, seed_slow_run, &slow, NULL, other);
	kept = crew_reached(&slow.begun, 1, on->patience_ns);
	on->unicast(0, seed_count, &behind, NULL, other);
	seed_caller_start(&caller, on, cpu_lookup(0));
	kept = crew_reached(&caller.job.done, 1, on->patience_ns) && kept;
	gate_open(&slow.gate);
	kept = crew_reached(&slow.finished, 1, 60000000000ull) && kept;
	kept = crew_reached(&behind, 1, 60000000000ull) && kept;
	on->stop();
	crew_join(&caller.job);
	gate_destroy(&slow.gate);
	return kept;
}

/* --- cases ------------------------------------------------------------------------------------ */

#define SEED_NEED_CPUS(n) \
	do { \
		if (ncpu < (n)) { \
			test_skip("needs more CPUs"); \
			return; \
		} \
	} while (0)

TEST_CASE(xcall_seed, early_wait)
{
	SEED_NEED_CPUS(2);
	T_ASSERT(seed_early_wait(&seed_xcall));
	T_ASSERT(!seed_early_wait(&seed_2008));
}

TEST_CASE(xcall_seed, nested_post_without_wait)
{
	T_ASSERT(seed_nested_post(&seed_xcall, cpu_lookup(ncpu - 1), false));
	T_ASSERT(seed_nested_post(&seed_xcall, cpu_lookup(0), false));
	T_ASSERT(seed_nested_post(&seed_2008, cpu_lookup(ncpu - 1), false));
	T_ASSERT(!seed_nested_post(&seed_2016, cpu_lookup(ncpu - 1), false));
}

TEST_CASE(xcall_seed, satisfied_waiter)
{
	T_ASSERT(seed_satisfied_waiter(&seed_xcall));
	T_ASSERT(!seed_satisfied_waiter(&seed_2008));
}

TEST_CASE(xcall_seed, counts_beyond_32_bits)
{
	T_ASSERT(seed_large_counts(&seed_xcall));
	T_ASSERT(!seed_large_counts(&seed_2008));
}

TEST_CASE(xcall_seed, unicast_to_a_cpu_that_does_not_run)
{
	SEED_NEED_CPUS(2);
	T_ASSERT(seed_dead_target(&seed_xcall));
	T_ASSERT(!seed_dead_target(&seed_2008));
}

TEST_CASE(xcall_seed, broadcast_while_nobody_runs)
{
	T_ASSERT(seed_nobody_runs(&seed_xcall));
	T_ASSERT(!seed_nobody_runs(&seed_2008));
}

TEST_CASE(xcall_seed, wait_for_the_own_cpu)
{
	T_ASSERT(seed_nested_post(&seed_xcall, cpu_lookup(0), true));
	T_ASSERT(!seed_nested_post(&seed_2008, cpu_lookup(0), true));
	/* To another CPU too: the ticket counts everybody's calls. */
	T_ASSERT(seed_nested_post(&seed_xcall, cpu_lookup(ncpu - 1), true));
	T_ASSERT(!seed_nested_post(&seed_2008, cpu_lookup(ncpu - 1), true));
}

TEST_CASE(xcall_seed, busy_thread_of_another_band)
{
	SEED_NEED_CPUS(2);
	T_ASSERT(seed_busy_thread(&seed_xcall));
	T_ASSERT(!seed_busy_thread(&seed_2008));
}

TEST_CASE(xcall_seed, stuck_target_stalls_nobody_else)
{
	SEED_NEED_CPUS(2);
	T_ASSERT(seed_stuck_target(&seed_xcall));
	T_ASSERT(!seed_stuck_target(&seed_2008));
}
