/*
 * Stop-machine, stop and restart: who stands still, and who does not (xcall/rendezvous.h).
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_internal.h"

/* Long enough for any CPU that can stop; for one that cannot. */
#define STOP_LONG_NS 60000000000ull
#define STOP_SHORT_NS 10000000ull

static uint64_t
stop_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_acquire);
}

/* --- counters on all CPUs --------------------------------------------------------------------- */

static struct counter *stop_counter; /* by CPU; none on CPU 0 */

static void
stop_count_begin(void)
{
	stop_counter = crew_alloc(ncpu, sizeof(*stop_counter));
	for (unsigned i = 1; i < ncpu; i++)
		counter_begin(&stop_counter[i], cpu_lookup(i));
}

static void
stop_count_end(void)
{
	for (unsigned i = 1; i < ncpu; i++)
		counter_end(&stop_counter[i]);
	crew_free(stop_counter, ncpu, sizeof(*stop_counter));
}

/* How many of the CPUs behind 0 do not count for some time. */
static unsigned
stop_count_still(void)
{
	uint64_t before[CACHE_LINE_BYTES] = { 0 };
	unsigned still = 0, n = ncpu < CACHE_LINE_BYTES ? ncpu : CACHE_LINE_BYTES;

	for (unsigned i = 1; i < n; i++)
		before[i] = stop_get(&stop_counter[i].count);
	delay_us(5000);
	for (unsigned i = 1; i < n; i++)
		still += before[i] == stop_get(&stop_counter[i].count);
	return still;
}

/* Whether all of them count, sooner or later. */
static bool
stop_count_moves(void)
{
	bool ok = true;

	for (unsigned i = 1; i < ncpu; i++)
		ok = counter_moves(&stop_counter[i]) && ok;
	return ok;
}

/* --- stop-machine ----------------------------------------------------------------------------- */

struct machine {
	_Atomic uint64_t ran, wrong;
	unsigned still;
	uint64_t where; /* the last CPU that ran it */
};

static void
machine_note(void *arg)
{
	struct machine *machine = arg;

	if (!cpu_intr_p() || machine_intr_enabled())
		atomic_fetch_add_explicit(&machine->wrong, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&machine->ran, 1, memory_order_relaxed);
}

static void
machine_look(void *arg)
{
	struct machine *machine = arg;

	machine_note(machine);
	machine->where = curcpu()->ci_index;
	machine->still = stop_count_still();
}

TEST_CASE(xcall_stop, stop_machine_stops_all_others)
{
	struct machine here = { .still = 0 }, there = { .still = 0 };
	struct cpuset set;
	int error[2];

	cpuset_zero(&set);
	cpuset_add(&set, ncpu - 1);
	stop_count_begin();
	error[0] = xc_stop_machine(machine_look, &here, NULL);
	error[1] = xc_stop_machine(machine_look, &there, &set);
	T_ASSERT(stop_count_moves());
	stop_count_end();
	T_ASSERT_EQ(error[0] | error[1], 0);
	T_ASSERT_EQ(here.still, ncpu - 1);
	T_ASSERT_EQ(here.where, curcpu()->ci_index);
	T_ASSERT_EQ(there.still, ncpu - 1);
	T_ASSERT_EQ(there.where, ncpu - 1);
	T_ASSERT_EQ(stop_get(&here.ran) + stop_get(&there.ran), 2);
	T_ASSERT_EQ(stop_get(&here.wrong) + stop_get(&there.wrong), 0);
}

TEST_CASE(xcall_stop, stop_machine_runs_on_the_set)
{
	struct machine all = { .still = 0 }, none = { .still = 0 };
	struct cpuset set;

	others_all(&set);
	T_ASSERT_EQ(xc_stop_machine(machine_note, &all, &set), 0);
	T_ASSERT_EQ(stop_get(&all.ran), ncpu);
	T_ASSERT_EQ(stop_get(&all.wrong), 0);
	cpuset_zero(&set);
	T_ASSERT_EQ(xc_stop_machine(machine_note, &none, &set), EHOSTDOWN);
	T_ASSERT_EQ(stop_get(&none.ran), 0);
}

TEST_CASE(xcall_stop, stop_machine_passes_offline_cpus_over)
{
	struct machine some = { .still = 0 }, none = { .still = 0 };
	struct cpuset all, one;
	int error, nobody;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	others_all(&all);
	cpuset_zero(&one);
	cpuset_add(&one, ncpu - 1);
	others_set_target(others_last(), false);
	error = xc_stop_machine(machine_note, &some, &all);
	nobody = xc_stop_machine(machine_note, &none, &one);
	others_set_target(others_last(), true);
	T_ASSERT_EQ(error, 0);
	T_ASSERT_EQ(stop_get(&some.ran), ncpu - 1);
	T_ASSERT_EQ(nobody, EHOSTDOWN);
	T_ASSERT_EQ(stop_get(&none.ran), 0);
}

/* --- stop and restart ------------------------------------------------------------------------- */

/* Counters stand between the two, and move after. */
static void
stop_check(bool nmi)
{
	unsigned stopped, again, still;
	struct cpuset set;

	others_all(&set);
	stop_count_begin();
	stopped = xc_stop_cpus(&set, nmi, STOP_LONG_NS);
	still = stop_count_still();
	/* A second stop counts those that are parked; of which kind it is does not matter. */
	again = xc_stop_cpus(&set, !nmi, STOP_LONG_NS);
	xc_restart_cpus(&set);
	xc_restart_cpus(&set);
	T_ASSERT(stop_count_moves());
	stop_count_end();
	T_ASSERT_EQ(stopped, ncpu - 1);
	T_ASSERT_EQ(still, ncpu - 1);
	T_ASSERT_EQ(again, ncpu - 1);
}

TEST_CASE(xcall_stop, cpus_stop_by_interrupt)
{
	stop_check(false);
}

TEST_CASE(xcall_stop, cpus_stop_by_nmi)
{
	stop_check(true);
}

TEST_CASE(xcall_stop, only_those_of_the_set_stop_and_go_on)
{
	unsigned stopped, more, still[3];
	struct cpuset first, all;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	cpuset_zero(&first);
	cpuset_add(&first, 1);
	others_all(&all);
	stop_count_begin();
	stopped = xc_stop_cpus(&first, false, STOP_LONG_NS);
	T_ASSERT(counter_moves(&stop_counter[2]));
	still[0] = stop_count_still();
	more = xc_stop_cpus(&all, false, STOP_LONG_NS);
	still[1] = stop_count_still();
	xc_restart_cpus(&first);
	T_ASSERT(counter_moves(&stop_counter[1]));
	still[2] = stop_count_still();
	xc_restart_cpus(&all);
	T_ASSERT(stop_count_moves());
	stop_count_end();
	T_ASSERT_EQ(stopped, 1);
	/* One that runs may seem to stand still, when its host lets it. */
	T_ASSERT(still[0] >= 1);
	T_ASSERT_EQ(more, ncpu - 1);
	T_ASSERT_EQ(still[1], ncpu - 1);
	T_ASSERT(still[2] >= ncpu - 2);
}

TEST_CASE(xcall_stop, offline_cpus_are_not_stopped)
{
	unsigned stopped, nobody;
	struct cpuset all, one;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	others_all(&all);
	cpuset_zero(&one);
	cpuset_add(&one, ncpu - 1);
	others_set_target(others_last(), false);
	stopped = xc_stop_cpus(&all, true, STOP_LONG_NS);
	nobody = xc_stop_cpus(&one, false, STOP_LONG_NS);
	xc_restart_cpus(&all);
	others_set_target(others_last(), true);
	cpuset_zero(&one);
	T_ASSERT_EQ(stopped, ncpu - 2);
	T_ASSERT_EQ(nobody, 0);
	T_ASSERT_EQ(xc_stop_cpus(&one, true, STOP_LONG_NS), 0);
}

/* One that keeps interrupts off goes on and does not stop later; an NMI stops it. */
TEST_CASE(xcall_stop, interrupts_off_need_an_nmi)
{
	unsigned first, some, all, late;
	struct masked masked;
	struct counter counter;
	struct cpuset one, set;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	others_all(&set);
	cpuset_zero(&one);
	cpuset_add(&one, ncpu - 1);
	masked_begin(&masked, others_last());
	first = xc_stop_cpus(&one, false, STOP_SHORT_NS);
	some = xc_stop_cpus(&set, false, STOP_SHORT_NS);
	xc_restart_cpus(&set);
	all = xc_stop_cpus(&set, true, STOP_LONG_NS);
	xc_restart_cpus(&set);
	late = xc_stop_cpus(&one, false, STOP_SHORT_NS);
	masked_end(&masked);
	/* The interrupts that it had pending find nothing. */
	counter_begin(&counter, others_last());
	T_ASSERT(counter_moves(&counter));
	counter_end(&counter);
	T_ASSERT_EQ(first, 0);
	T_ASSERT(some <= ncpu - 2);
	T_ASSERT_EQ(all, ncpu - 1);
	T_ASSERT_EQ(late, 0);
}

/* A call that is posted to a CPU that stands still runs when it goes on. */
static void
stop_call(void *arg1, void *arg2 __attribute__((unused)))
{
	machine_note(arg1);
}

static void
stop_nmi_call(void *arg1, void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&((struct machine *)arg1)->ran, 1, memory_order_relaxed);
}

TEST_CASE(xcall_stop, calls_wait_for_the_restart)
{
	struct machine machine = { .still = 0 };
	struct cpuset set;
	bool early = false;
	uint64_t hard, nmi;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	others_all(&set);
	for (unsigned i = 0; i < 4; i++) {
		(void)xc_stop_cpus(&set, i % 2 != 0, STOP_LONG_NS);
		hard = xc_unicast(XC_HARD, stop_call, &machine, NULL, others_last());
		/* In an NMI a CPU takes no other; in an interrupt it does. */
		nmi = i % 2 != 0 ? xc_unicast(XC_NMI, stop_nmi_call, &machine, NULL, others_last())
				 : hard;
		delay_us(5000);
		early = early || xc_done(hard) || xc_done(nmi);
		xc_restart_cpus(&set);
		T_ASSERT_EQ(xc_wait(hard), 0);
		T_ASSERT_EQ(xc_wait(nmi), 0);
	}
	T_ASSERT(!early);
	T_ASSERT_EQ(stop_get(&machine.ran), 4 + 2);
}

/* B15: again at once, when some have not left yet. */
TEST_CASE(xcall_stop, stop_follows_restart_at_once)
{
	unsigned rounds = 1 + 24 / ncpu, wrong = 0;
	uint64_t before[CACHE_LINE_BYTES] = { 0 };
	struct cpuset set;

	others_all(&set);
	stop_count_begin();
	for (unsigned i = 0; i < rounds; i++) {
		wrong += xc_stop_cpus(&set, i % 3 == 0, STOP_LONG_NS) != ncpu - 1;
		for (unsigned c = 1; c < ncpu && c < CACHE_LINE_BYTES; c++)
			before[c] = stop_get(&stop_counter[c].count);
		delay_us(300);
		for (unsigned c = 1; c < ncpu && c < CACHE_LINE_BYTES; c++)
			wrong += before[c] != stop_get(&stop_counter[c].count);
		xc_restart_cpus(&set);
	}
	T_ASSERT(stop_count_moves());
	stop_count_end();
	T_ASSERT_EQ(wrong, 0);
}

/* B36: each CPU stops all others, by interrupt or NMI, with interrupts on or off.  Who has is
 * alone. */
struct alone {
	unsigned rounds;
	uint64_t sum; /* plain: nobody else runs when it is changed */
	_Atomic uint64_t wrong;
};

static void
alone_once(struct alone *alone, const struct cpuset *set, bool nmi)
{
	uint64_t sum;

	if (xc_stop_cpus(set, nmi, STOP_LONG_NS) != ncpu - 1)
		atomic_fetch_add_explicit(&alone->wrong, 1, memory_order_relaxed);
	sum = alone->sum;
	for (unsigned i = 0; i < 100; i++)
		machine_pause();
	alone->sum = sum + 1;
	xc_restart_cpus(set);
}

static void
alone_thread(void *arg)
{
	unsigned self = curcpu()->ci_index;
	struct alone *alone = arg;
	struct cpuset set;
	bool intr;

	others_all(&set);
	for (unsigned i = 0; i < alone->rounds; i++) {
		intr = (i + self) % 3 == 0 && machine_intr_disable();
		alone_once(alone, &set, (i + self) % 2 == 0);
		machine_intr_restore(intr);
	}
}

TEST_CASE(xcall_stop, cpus_stop_each_other)
{
	struct alone alone = { .rounds = 1 + 24 / ncpu };
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, alone_thread, &alone);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(stop_get(&alone.wrong), 0);
	T_ASSERT_EQ(alone.sum, alone.rounds * ncpu);
}

/* From an interrupt, an NMI, with a spinlock held; on this CPU and on others. */
static void
stop_context_call(void *arg1, void *arg2)
{
	struct cpuset set;

	(void)arg2;
	others_all(&set);
	/* Of the interrupt's kind, asked for from an NMI, it is an NMI all the same. */
	*(unsigned *)arg1 = xc_stop_cpus(&set, false, STOP_LONG_NS);
	xc_restart_cpus(&set);
}

TEST_CASE(xcall_stop, any_context_may_stop)
{
	static struct spinlock lock = SPINLOCK_INIT("stop");
	static const unsigned flags[] = { XC_HARD, XC_NMI, XC_HIGHPRI, 0 };
	struct cpu_info *ci;
	unsigned stopped;

	CPU_INFO_FOREACH(ci) {
		for (unsigned i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
			stopped = UINT32_MAX;
			T_ASSERT_EQ(
			    xc_wait(xc_unicast(flags[i], stop_context_call, &stopped, NULL, ci)),
			    0);
			T_ASSERT_EQ(stopped, ncpu - 1);
		}
	}
	stopped = UINT32_MAX;
	spinlock_enter(&lock);
	stop_context_call(&stopped, NULL);
	spinlock_exit(&lock);
	T_ASSERT_EQ(stopped, ncpu - 1);
}

/* An NMI that stops CPUs comes while its own CPU does. */
struct nested {
	struct cpuset set;
	_Atomic uint64_t outer_begun;
	unsigned outer, inner;
};

static void
nested_nmi(void *arg1, void *arg2 __attribute__((unused)))
{
	struct nested *nested = arg1;

	nested->inner = xc_stop_cpus(&nested->set, true, STOP_LONG_NS);
	xc_restart_cpus(&nested->set);
}

static void
nested_thread(void *arg)
{
	struct nested *nested = arg;

	(void)test_wait_at_least(&nested->outer_begun, 1);
	kthread_sleep_ns(5000000);
	T_ASSERT_EQ(xc_wait(xc_unicast(XC_NMI, nested_nmi, nested, NULL, cpu_lookup(0))), 0);
}

TEST_CASE(xcall_stop, an_nmi_may_stop_in_between)
{
	struct nested nested = { .outer = 0 };
	struct masked masked;
	struct crew_job job;

	if (ncpu < 3) {
		test_skip("needs three CPUs");
		return;
	}
	cpuset_zero(&nested.set);
	cpuset_add(&nested.set, ncpu - 1);
	masked_begin(&masked, others_last());
	crew_start(&job, cpu_lookup(1), PRI_KERNEL, nested_thread, &nested);
	atomic_store_explicit(&nested.outer_begun, 1, memory_order_release);
	/* By interrupt: it cannot come; the NMI's stop takes the CPU over, and gives it back. */
	nested.outer = xc_stop_cpus(&nested.set, false, STOP_LONG_NS);
	crew_join(&job);
	masked_end(&masked);
	T_ASSERT_EQ(nested.inner, 1);
	T_ASSERT_EQ(nested.outer, 0);
}
