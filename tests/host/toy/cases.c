/*
 * What the toy must bear, subject by subject: each is one thing that xcall/xc_port.h asks for.
 */
#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "tests/host/toy/toy.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_call.h"
#include "xcall/xc_cpu.h"
#include "xcall/xc_status.h"
#include "xcall/xcall.h"

static const unsigned toy_levels[] = { 0, XC_HIGHPRI, XC_HARD, XC_NMI };
#define TOY_LEVELS (sizeof(toy_levels) / sizeof(toy_levels[0]))
#define TOY_MS 1000000u

static _Atomic uint64_t toy_count;

static uint64_t
toy_counted(void)
{
	return atomic_load_explicit(&toy_count, memory_order_acquire);
}

static void
toy_count_up(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	atomic_fetch_add_explicit(&toy_count, 1, memory_order_release);
}

static void
toy_count_one(void *arg)
{
	toy_count_up(arg, NULL);
}

static void
toy_reset(void)
{
	atomic_store_explicit(&toy_count, 0, memory_order_relaxed);
}

static struct cpu_info *
toy_last_cpu(void)
{
	return cpu_lookup(ncpu - 1);
}

static struct cpuset
toy_all_cpus(void)
{
	struct cpuset set;

	cpuset_zero(&set);
	for (unsigned i = 0; i < ncpu; i++)
		cpuset_add(&set, i);
	return set;
}

/* Counts when the context is the one of those flags. */
static void
toy_check_context(void *arg1, void *arg2 __attribute__((unused)))
{
	unsigned flags = (unsigned)(uintptr_t)arg1;

	T_ASSERT_EQ(cpu_nmi_p(), flags == XC_NMI);
	T_ASSERT_EQ(!cpu_nmi_p() && cpu_intr_p(), flags == XC_HARD);
	T_ASSERT_EQ(!cpu_nmi_p() && !cpu_intr_p() && cpu_softintr_p(), (flags & XC_HIGHPRI) != 0);
	T_ASSERT_EQ(machine_intr_enabled(), flags != XC_NMI && flags != XC_HARD);
	toy_count_up(NULL, NULL);
}

TEST_CASE(toy, unicast_and_wait_at_every_level)
{
	struct cpu_info *ci;

	toy_reset();
	for (unsigned level = 0; level < TOY_LEVELS; level++)
		CPU_INFO_FOREACH(ci)
			T_ASSERT_EQ(xc_wait(xc_unicast(toy_levels[level], toy_check_context,
					(void *)(uintptr_t)toy_levels[level], NULL, ci)),
			    0);
	T_ASSERT_EQ(toy_counted(), TOY_LEVELS * ncpu);
}

TEST_CASE(toy, broadcast_at_every_level)
{
	static const int ipl[] = { IPL_SOFTCLOCK, IPL_SOFTBIO, IPL_SOFTNET, IPL_SOFTSERIAL };
	unsigned n = TOY_LEVELS + sizeof(ipl) / sizeof(ipl[0]);

	toy_reset();
	for (unsigned i = 0; i < n; i++) {
		unsigned flags = i < TOY_LEVELS ? toy_levels[i]
						: XC_HIGHPRI_IPL(ipl[i - TOY_LEVELS]);

		T_ASSERT_EQ(xc_wait(xc_broadcast(flags, toy_check_context,
				(void *)(uintptr_t)(flags & ~XC_IPL_MASK), NULL)),
		    0);
	}
	T_ASSERT_EQ(toy_counted(), n * ncpu);
}

static bool
toy_is_even(
    struct cpu_info *ci, void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	return ci->ci_index % 2 == 0;
}

TEST_CASE(toy, sets_of_cpus)
{
	struct cpuset all = toy_all_cpus();

	toy_reset();
	T_ASSERT_EQ(xc_wait(xc_multicast(0, toy_count_up, NULL, NULL, &all)), 0);
	T_ASSERT_EQ(xc_wait(xc_any(XC_HARD, toy_count_up, NULL, NULL, &all)), 0);
	T_ASSERT_EQ(xc_wait(xc_cond(0, toy_is_even, toy_count_up, NULL, NULL, &all)), 0);
	T_ASSERT_EQ(toy_counted(), ncpu + 1 + (ncpu + 1) / 2);
	cpuset_zero(&all);
	T_ASSERT_EQ(xc_multicast(0, toy_count_up, NULL, NULL, &all), 0);
}

static void
toy_at_gate(void *arg1, void *arg2 __attribute__((unused)))
{
	gate_pass(arg1);
}

TEST_CASE(toy, timed_wait_status_and_cancel)
{
	uint64_t first, second, before = clock_ns();
	struct xc_status status;
	unsigned withdrawn = 0;
	struct gate gate;

	gate_init(&gate);
	toy_reset();
	first = xc_unicast(0, toy_at_gate, &gate, NULL, toy_last_cpu());
	second = xc_unicast(0, toy_count_up, NULL, NULL, toy_last_cpu());
	T_ASSERT_EQ(xc_timedwait(first, 5 * TOY_MS), ETIMEDOUT);
	T_ASSERT(clock_ns() - before >= 5 * TOY_MS && !xc_done(first));
	T_ASSERT_EQ(xc_status(first, &status), 0);
	T_ASSERT(status.posted == 1 && status.begun == 1 && status.finished == 0);
	T_ASSERT(status.age_ns >= 5 * TOY_MS);
	T_ASSERT_EQ(xc_cancel(second, &withdrawn), 0);
	T_ASSERT_EQ(withdrawn, 1);
	T_ASSERT_EQ(xc_wait(second), ECANCELED);
	gate_open(&gate);
	T_ASSERT_EQ(xc_wait(first), 0);
	T_ASSERT_EQ(toy_counted(), 0);
	gate_destroy(&gate);
}

static void
toy_follow(void *arg1, void *arg2)
{
	uint64_t *last = arg1;

	T_ASSERT_EQ(*last + 1, (uintptr_t)arg2);
	*last = (uintptr_t)arg2;
}

#define TOY_CALLS 200u

TEST_CASE(toy, descriptors_run_in_order)
{
	struct xc_call *call = crew_alloc(TOY_CALLS, sizeof(*call));
	uint64_t last = 0;

	for (uintptr_t i = 0; i < TOY_CALLS; i++) {
		xc_call_init(&call[i], toy_follow, &last, (void *)(i + 1));
		T_ASSERT_EQ(xc_call_post(&call[i], 0, toy_last_cpu()), 0);
	}
	for (unsigned i = TOY_CALLS; i-- > 0;)
		T_ASSERT_EQ(xc_call_wait(&call[i]), 0);
	T_ASSERT_EQ(last, TOY_CALLS);
	crew_free(call, TOY_CALLS, sizeof(*call));
}

static void
toy_busy(void *arg)
{
	_Atomic uint64_t *stop = arg;

	while (atomic_load_explicit(stop, memory_order_acquire) == 0) {
		kpreempt_disable();
		machine_pause();
		kpreempt_enable();
	}
}

/* xcall/N, barriers and drains get through beside a thread that never sleeps. */
TEST_CASE(toy, a_busy_thread_stops_nobody)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	_Atomic uint64_t stop = 0;
	uint64_t tickets[16];
	struct cpu_info *ci;

	toy_reset();
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, toy_busy, &stop);
	for (unsigned i = 0; i < 16; i++)
		tickets[i] = xc_broadcast(toy_levels[i % 3], toy_count_up, NULL, NULL);
	xc_barrier(0);
	for (unsigned i = 0; i < 3; i++)
		xc_drain(toy_levels[i]);
	T_ASSERT_EQ(toy_counted(), 16 * ncpu);
	for (unsigned i = 0; i < 16; i++)
		T_ASSERT(xc_done(tickets[i]));
	atomic_store_explicit(&stop, 1, memory_order_release);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	crew_free(job, ncpu, sizeof(*job));
}

TEST_CASE(toy, lazy_calls_come_with_the_tick)
{
	toy_reset();
	for (unsigned i = 0; i < 3; i++)
		T_ASSERT(!XC_ISERR(
		    xc_unicast(XC_LAZY | toy_levels[i], toy_count_up, NULL, NULL, toy_last_cpu())));
	T_ASSERT(test_wait_at_least(&toy_count, 3));
}

TEST_CASE(toy, triggers_and_messages)
{
	unsigned ipi = ipi_register(toy_count_one, NULL);
	ipi_msg_t msg = { .func = toy_count_one };
	struct cpu_info *ci;

	T_ASSERT(ipi != 0);
	toy_reset();
	CPU_INFO_FOREACH(ci) {
		ipi_trigger(ipi, ci);
		T_ASSERT(test_wait_at_least(&toy_count, ci->ci_index + 1));
	}
	ipi_unregister(ipi);
	T_ASSERT_EQ(toy_counted(), ncpu);
	ipi_broadcast(&msg, false);
	ipi_wait(&msg);
	T_ASSERT_EQ(toy_counted(), 2 * ncpu);
}

static uint64_t toy_phase[3];

/* Nobody counts before all have counted in the phase before. */
static void
toy_meet(void *arg)
{
	uint64_t *phase = arg;

	T_ASSERT(!machine_intr_enabled());
	T_ASSERT(phase == toy_phase || phase[-1] == ncpu);
	(*phase)++;
}

static void
toy_setup(void *arg __attribute__((unused)))
{
	toy_meet(&toy_phase[0]);
}

static void
toy_action(void *arg __attribute__((unused)))
{
	toy_meet(&toy_phase[1]);
}

static void
toy_teardown(void *arg __attribute__((unused)))
{
	toy_meet(&toy_phase[2]);
}

TEST_CASE(toy, rendezvous_and_stopped_machine)
{
	struct cpuset all = toy_all_cpus();

	for (unsigned i = 0; i < 3; i++)
		toy_phase[i] = 0;
	T_ASSERT_EQ(xc_rendezvous(&all, toy_setup, toy_action, toy_teardown, NULL, 0), 0);
	T_ASSERT_EQ(toy_phase[2], ncpu);
	toy_reset();
	T_ASSERT_EQ(xc_stop_machine(toy_count_one, NULL, NULL), 0);
	T_ASSERT_EQ(toy_counted(), 1);
}

TEST_CASE(toy, cpus_stop_by_interrupt_and_by_nmi)
{
	struct cpuset all = toy_all_cpus();
	uint64_t where;

	for (unsigned nmi = 0; nmi < 2; nmi++) {
		toy_reset();
		T_ASSERT_EQ(xc_stop_cpus(&all, nmi != 0, 1000 * TOY_MS), ncpu - 1);
		where = xc_broadcast(XC_HARD, toy_count_up, NULL, NULL);
		kthread_sleep_ns(TOY_MS);
		T_ASSERT_EQ(toy_counted(), 1);
		xc_restart_cpus(&all);
		T_ASSERT_EQ(xc_wait(where), 0);
		T_ASSERT_EQ(toy_counted(), ncpu);
	}
}

/* Leaves with calls posted, comes back when it is let. */
static void
toy_leave(void *arg)
{
	struct cpu_info *ci = curcpu();
	_Atomic uint64_t *left = arg;

	/* Nothing but the leaving itself makes this one run: the tick is far. */
	T_ASSERT(!XC_ISERR(xc_unicast(XC_LAZY | XC_HARD, toy_count_up, NULL, NULL, ci)));
	T_ASSERT_EQ(xc_cpu_dying(ci), 0);
	atomic_store_explicit(left, 1, memory_order_release);
	toy_cpu_park();
	xc_cpu_online(ci);
}

TEST_CASE(toy, a_cpu_leaves_and_returns)
{
	struct cpu_info *ci = toy_last_cpu();
	_Atomic uint64_t left = 0;
	struct crew_job job;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	toy_reset();
	for (unsigned i = 0; i < 3; i++)
		T_ASSERT(!XC_ISERR(xc_unicast(toy_levels[i], toy_count_up, NULL, NULL, ci)));
	T_ASSERT(!XC_ISERR(xc_unicast(XC_LAZY, toy_count_up, NULL, NULL, ci)));
	crew_start(&job, ci, PRI_KERNEL, toy_leave, &left);
	T_ASSERT(test_wait_at_least(&left, 1));
	while (cpu_online(ci))
		machine_pause();
	T_ASSERT_EQ(toy_counted(), 5);
	T_ASSERT_EQ(xc_unicast(0, toy_count_up, NULL, NULL, ci), XC_ERROR(EHOSTDOWN));
	T_ASSERT_EQ(xc_wait(xc_broadcast(0, toy_count_up, NULL, NULL)), 0);
	T_ASSERT_EQ(toy_counted(), 5 + ncpu - 1);
	toy_cpu_unpark(ci);
	crew_join(&job);
	T_ASSERT_EQ(xc_wait(xc_broadcast(XC_NMI, toy_count_up, NULL, NULL)), 0);
	T_ASSERT_EQ(toy_counted(), 5 + 2 * ncpu - 1);
}

/* A wait that lasts is reported, and the CPU says by NMI what it does. */
static void
toy_spin(void *arg1, void *arg2 __attribute__((unused)))
{
	uint64_t end = clock_ns() + (uintptr_t)arg1;

	while (clock_ns() < end)
		machine_pause();
}

TEST_CASE(toy, a_stalled_wait_is_reported)
{
	struct xc_stats before, after;

	xc_stats(curcpu(), &before);
	xc_stall_config(TOY_MS, 0, true, true);
	T_ASSERT_EQ(xc_wait(xc_unicast(
			XC_HARD, toy_spin, (void *)(uintptr_t)(2 * TOY_MS), NULL, toy_last_cpu())),
	    0);
	xc_stall_config(0, 0, true, true);
	xc_stats(curcpu(), &after);
	/* On one CPU the function runs before there is a wait. */
	T_ASSERT_EQ(after.stalls - before.stalls, ncpu != 1);
}
