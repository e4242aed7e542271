// SPDX-License-Identifier: BSD-2-Clause
/*
 * What calls between CPUs cost on Linux: a module that measures as tests/bench/kernel/ does, with
 * rows of the same names, and leaves the same lines in /proc/calls.
 *
 * A sample is two ordered readings of the time stamp counter around one operation; nothing is
 * subtracted.  Before each the caller, a thread bound to CPU 0, spins for a moment, so that the
 * others halt again or are back in their loop.  What is called is CPU 1, or all others.
 */
#include <linux/completion.h>
#include <linux/cpu.h>
#include <linux/delay.h>
#include <linux/hardirq.h>
#include <linux/kprobes.h>
#include <linux/kthread.h>
#include <linux/module.h>
#include <linux/proc_fs.h>
#include <linux/seq_file.h>
#include <linux/smp.h>
#include <linux/sort.h>
#include <linux/stop_machine.h>
#include <linux/vmalloc.h>
#include <linux/workqueue.h>

#include <asm/apic.h>
#include <asm/irq.h>
#include <asm/tsc.h>

#define CALLS_TARGET 1u
#define CALLS_GAP_CYCLES 500u
/* All to all: calls of all CPUs together, and of each at least. */
#define CALLS_ALL 20000u
#define CALLS_ALL_LEAST 64u
#define CALLS_TEXT 32768u

static unsigned int samples = 1000;
module_param(samples, uint, 0444);

static char calls_text[CALLS_TEXT];
static size_t calls_length;

static __printf(1, 2) void calls_print(const char *format, ...)
{
	va_list ap;

	va_start(ap, format);
	calls_length += vscnprintf(
	    calls_text + calls_length, sizeof(calls_text) - calls_length, format, ap);
	va_end(ap);
}

static int
calls_show(struct seq_file *m, void *unused)
{
	seq_write(m, calls_text, calls_length);
	return 0;
}

/* --- operations ------------------------------------------------------------------------------- */

/* Not exported to modules. */
static int (*calls_schedule_on_each_cpu)(work_func_t);

static DECLARE_COMPLETION(calls_ping);
static DECLARE_COMPLETION(calls_pong);
static bool calls_stop;

static void
calls_nop(void *unused)
{
}

static int
calls_nop_int(void *unused)
{
	return 0;
}

static void
calls_nop_work(struct work_struct *unused)
{
}

static void
calls_empty(void)
{
}

static void
calls_self(void)
{
	smp_call_function_single(0, calls_nop, NULL, 1);
}

static void
calls_unicast(void)
{
	smp_call_function_single(CALLS_TARGET, calls_nop, NULL, 1);
}

static void
calls_post(void)
{
	smp_call_function_single(CALLS_TARGET, calls_nop, NULL, 0);
}

/* The cheapest vector that Linux has: its handler ends the interrupt and counts. */
static void
calls_vector(void)
{
	const unsigned int *count = &per_cpu(irq_stat, CALLS_TARGET).kvm_posted_intr_ipis;
	unsigned int before = READ_ONCE(*count);

	apic->send_IPI(CALLS_TARGET, POSTED_INTR_VECTOR);
	while (READ_ONCE(*count) == before)
		cpu_relax();
}

static void
calls_broadcast(void)
{
	smp_call_function_many(cpu_online_mask, calls_nop, NULL, true);
}

static void
calls_broadcast_all(void)
{
	on_each_cpu(calls_nop, NULL, 1);
}

static void
calls_broadcast_post(void)
{
	smp_call_function_many(cpu_online_mask, calls_nop, NULL, false);
}

static void
calls_low(void)
{
	smp_call_on_cpu(CALLS_TARGET, calls_nop_int, NULL, false);
}

static void
calls_low_all(void)
{
	calls_schedule_on_each_cpu(calls_nop_work);
}

static void
calls_stop_machine(void)
{
	stop_machine(calls_nop_int, NULL, cpumask_of(CALLS_TARGET));
}

static void
calls_ping_pong(void)
{
	complete(&calls_ping);
	wait_for_completion(&calls_pong);
}

/* --- the others ------------------------------------------------------------------------------- */

static atomic_t calls_spinning;

static struct task_struct *
calls_thread(int (*func)(void *), void *arg, unsigned int cpu)
{
	struct task_struct *task = kthread_create_on_cpu(func, arg, cpu, "calls/%u");

	BUG_ON(IS_ERR(task)); /* panic=-1 ends the run */
	return task;
}

static int
calls_spin(void *unused)
{
	atomic_inc(&calls_spinning);
	while (!READ_ONCE(calls_stop))
		cpu_relax();
	atomic_dec(&calls_spinning);
	return 0;
}

static int
calls_answer(void *unused)
{
	for (;;) {
		wait_for_completion(&calls_ping);
		if (READ_ONCE(calls_stop))
			return 0;
		complete(&calls_pong);
	}
}

static void
calls_start_spinners(bool all)
{
	unsigned int cpu;
	int wanted = 0;

	for_each_online_cpu(cpu)
	{
		if (cpu == CALLS_TARGET || (all && cpu != 0)) {
			wake_up_process(calls_thread(calls_spin, NULL, cpu));
			wanted++;
		}
	}
	while (atomic_read(&calls_spinning) != wanted)
		usleep_range(100, 100);
}

static void
calls_stop_spinners(void)
{
	while (atomic_read(&calls_spinning) != 0)
		usleep_range(100, 100);
}

/* --- rows ------------------------------------------------------------------------------------- */

enum {
	CALLS_FIXED = 1, /* preemption is off around a sample */
	CALLS_BUSY = 2,  /* the target spins */
	CALLS_ALL_BUSY = 4,
	CALLS_SLOW = 8, /* a tenth of the samples */
	CALLS_ANSWER = 16,
};

struct calls_row {
	const char *name;
	void (*op)(void);
	unsigned int flags;
};

static const struct calls_row calls_rows[] = {
	{ "empty", calls_empty, CALLS_FIXED },
	{ "self", calls_self, CALLS_FIXED },
	{ "unicast_busy", calls_unicast, CALLS_FIXED | CALLS_BUSY },
	{ "unicast_idle", calls_unicast, CALLS_FIXED },
	{ "vector_busy", calls_vector, CALLS_FIXED | CALLS_BUSY },
	{ "vector_idle", calls_vector, CALLS_FIXED },
	{ "post_empty", calls_post, CALLS_FIXED },
	{ "broadcast_busy", calls_broadcast, CALLS_FIXED | CALLS_ALL_BUSY },
	{ "broadcast_idle", calls_broadcast, CALLS_FIXED },
	{ "broadcast_all", calls_broadcast_all, CALLS_FIXED },
	{ "post_broadcast", calls_broadcast_post, CALLS_FIXED },
	{ "low_idle", calls_low, 0 },
	{ "low_all", calls_low_all, CALLS_SLOW },
	{ "stop_machine", calls_stop_machine, CALLS_SLOW },
	{ "ping_pong", calls_ping_pong, CALLS_ANSWER },
};

static u64 *calls_sample;

static int
calls_compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return x < y ? -1 : x > y;
}

static void
calls_print_row(const char *name, unsigned int n)
{
	static const unsigned int quantiles[] = { 0, 10, 50, 100, 250, 500, 750, 900, 950, 980, 990,
		995, 998, 999, 1000 };
	unsigned int i;
	u64 sum = 0;

	for (i = 0; i < n; i++)
		sum += calls_sample[i];
	sort(calls_sample, n, sizeof(*calls_sample), calls_compare, NULL);
	calls_print("BENCH {\"row\": \"%s\", \"cpus\": %u, \"n\": %u, \"mean\": %llu, \"q\": {",
	    name, num_online_cpus(), n, div64_u64(sum, n));
	for (i = 0; i < ARRAY_SIZE(quantiles); i++)
		calls_print("%s\"%u\": %llu", i == 0 ? "" : ", ", quantiles[i],
		    calls_sample[(n - 1) * quantiles[i] / 1000]);
	calls_print("}, \"calls\": %u, \"interrupts\": 0, \"resched\": 0}\n", n);
}

static void
calls_gap(void)
{
	u64 from = rdtsc();

	do
		cpu_relax();
	while (rdtsc() - from < CALLS_GAP_CYCLES);
}

static u64
calls_take(const struct calls_row *row)
{
	u64 from, to;

	calls_gap();
	if (row->flags & CALLS_FIXED)
		preempt_disable();
	from = rdtsc_ordered();
	row->op();
	to = rdtsc_ordered();
	if (row->flags & CALLS_FIXED)
		preempt_enable();
	cond_resched();
	return to - from;
}

static void
calls_run_row(const struct calls_row *row)
{
	unsigned int n = row->flags & CALLS_SLOW ? max(samples / 10, 1u) : samples;
	unsigned int i;

	WRITE_ONCE(calls_stop, false);
	if (row->flags & (CALLS_BUSY | CALLS_ALL_BUSY))
		calls_start_spinners(row->flags & CALLS_ALL_BUSY);
	if (row->flags & CALLS_ANSWER)
		wake_up_process(calls_thread(calls_answer, NULL, CALLS_TARGET));
	/*
	 * Others that halt get long enough to be done with threads that ended and to stop their
	 * tick: the usual state, from which waking costs the most.
	 */
	if (row->flags & (CALLS_BUSY | CALLS_ALL_BUSY))
		usleep_range(2000, 2000);
	else
		msleep(200);
	for (i = 0; i < n / 10 + 1; i++)
		calls_take(row);
	for (i = 0; i < n; i++)
		calls_sample[i] = calls_take(row);
	WRITE_ONCE(calls_stop, true);
	if (row->flags & CALLS_ANSWER)
		complete(&calls_ping);
	calls_stop_spinners();
	calls_print_row(row->name, n);
}

/* --- every CPU calls all others in turn ------------------------------------------------------- */

static atomic_t calls_missing, calls_left;
static atomic64_t calls_began = ATOMIC64_INIT(S64_MAX), calls_ended;
static unsigned int calls_each;
static DECLARE_COMPLETION(calls_all_done);

static int
calls_all_to_all(void *unused)
{
	unsigned int target = smp_processor_id(), n = 0;
	s64 now, old;

	atomic_dec(&calls_missing);
	while (atomic_read(&calls_missing) != 0)
		cpu_relax();
	now = rdtsc_ordered();
	old = atomic64_read(&calls_began);
	while (now < old && !atomic64_try_cmpxchg(&calls_began, &old, now))
		cpu_relax();
	while (n < calls_each) {
		target = cpumask_next(target, cpu_online_mask);
		if (target >= nr_cpu_ids)
			target = cpumask_first(cpu_online_mask);
		if (target == smp_processor_id())
			continue;
		smp_call_function_single(target, calls_nop, NULL, 1);
		n++;
	}
	now = rdtsc_ordered();
	old = atomic64_read(&calls_ended);
	while (now > old && !atomic64_try_cmpxchg(&calls_ended, &old, now))
		cpu_relax();
	if (atomic_dec_and_test(&calls_left))
		complete(&calls_all_done);
	return 0;
}

static void
calls_run_all_to_all(void)
{
	static struct task_struct *threads[NR_CPUS];
	unsigned int cpu, cpus = num_online_cpus();

	calls_each = max(CALLS_ALL / cpus, CALLS_ALL_LEAST);
	atomic_set(&calls_missing, cpus);
	atomic_set(&calls_left, cpus);
	/* They spin for each other: all exist before one runs, that of this CPU runs last. */
	for_each_online_cpu(cpu) threads[cpu] = calls_thread(calls_all_to_all, NULL, cpu);
	for_each_online_cpu(cpu)
	{
		if (cpu != 0)
			wake_up_process(threads[cpu]);
	}
	wake_up_process(threads[0]);
	wait_for_completion(&calls_all_done);
	calls_print(
	    "BENCH {\"row\": \"all_to_all\", \"cpus\": %u, \"n\": %u, \"cycles\": %lld, \"calls\": %u, "
	    "\"interrupts\": 0, \"resched\": 0}\n",
	    cpus, calls_each * cpus, atomic64_read(&calls_ended) - atomic64_read(&calls_began),
	    calls_each * cpus);
}

/* --- the module ------------------------------------------------------------------------------- */

static DECLARE_COMPLETION(calls_done);

static int
calls_main(void *unused)
{
	unsigned int i;

	calls_print(
	    "BENCH {\"machine\": true, \"cpus\": %u, \"cycles_hz\": %llu, \"samples\": %u}\n",
	    num_online_cpus(), (u64)tsc_khz * 1000, samples);
	for (i = 0; i < ARRAY_SIZE(calls_rows); i++)
		calls_run_row(&calls_rows[i]);
	calls_run_all_to_all();
	complete(&calls_done);
	return 0;
}

/* A probe that is registered and never armed yields an address that modules are not told. */
static void *
calls_find(const char *name)
{
	struct kprobe probe = { .symbol_name = name, .flags = KPROBE_FLAG_DISABLED };
	void *address;

	if (register_kprobe(&probe) != 0)
		return NULL;
	address = probe.addr;
	unregister_kprobe(&probe);
	return address;
}

static int __init
calls_init(void)
{
	calls_schedule_on_each_cpu = calls_find("schedule_on_each_cpu");
	calls_sample = vmalloc(array_size(samples, sizeof(*calls_sample)));
	if (samples == 0 || calls_sample == NULL || calls_schedule_on_each_cpu == NULL ||
	    !cpu_online(CALLS_TARGET))
		return -EINVAL;
	msleep(500); /* what boot left to do */
	wake_up_process(calls_thread(calls_main, NULL, 0));
	wait_for_completion(&calls_done);
	proc_create_single("calls", 0444, NULL, calls_show);
	return 0;
}
module_init(calls_init);

/* Never unloaded: the machine is switched off after one measurement. */
MODULE_LICENSE("Dual BSD/GPL");
MODULE_DESCRIPTION("cost of calls between CPUs");
