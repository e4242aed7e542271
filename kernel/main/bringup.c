/*
 * The main job: prove that a cross call reaches what belongs to one CPU.
 *
 * Background.  A local timer can be programmed by its own CPU only.  Three rates make the proof:
 * the one that each CPU gave itself at bring-up, a second that one broadcast gives to all, and a
 * third that a unicast each gives to every CPU for itself, no two alike.  After each, registers and
 * intervals are judged (judge.c), and each call's times are shown: posted, begun on the target (the
 * time that the timer's setting bears, which its CPU gives it just before it touches the
 * registers), completed for the caller.
 *
 * The calls are those of kernel/clients/timers.c, as any kernel would use them.
 *
 * Rules.  One thread, on the boot CPU, nothing else programming timers meanwhile.  Nothing is
 * printed while intervals are measured: a slow serial line holds interrupts off and would be what
 * is measured.
 *
 * Limits.  Times across CPUs compare their time stamp counters, which are taken to be in step.
 */
#include "kernel/main/bringup.h"

#include "kernel/clients/timers.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/main/judge.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/timer.h"
#include "kernel/x86/smp.h"

/* The rate of the broadcast, unless hz=N says otherwise.  An emulator with many CPUs cannot deliver
 * as many ticks; it gets fewer. */
#define BRINGUP_HZ 200u
#define BRINGUP_HZ_MANY 50u
#define BRINGUP_MANY 16u
/* From this many CPUs on, only the last of the three tables is printed in full. */
#define BRINGUP_TABLE_CPUS 16u
/* For JUDGE_MIN_INTERVALS ticks.  The slowest rate needs 16 s on its own at 1 Hz; a host that runs
 * 255 CPUs on two cores was seen to need five times what the rate says. */
#define BRINGUP_MEASURE_NS 60000000000ull
#define BRINGUP_POLL_NS 20000000ull

struct bringup_cpu {
	struct cpu_info *ci;
	uint64_t hz; /* asked */
	int error;   /* of the call, or of its timer_program() */
	uint64_t posted_ns, completed_ns;
	struct timer_record record;
	struct judge_result judged;
	bool ok; /* in all phases so far */
};

static struct bringup_cpu *bringup_cpus;

static uint64_t
bringup_broadcast(uint64_t hz)
{
	struct cpuset failed;
	uint64_t posted = clock_ns(), completed;
	int error = timer_set_told(NULL, TIMER_PERIODIC, hz, &failed);

	completed = clock_ns();
	for (unsigned i = 0; i < ncpu; i++) {
		struct bringup_cpu *b = &bringup_cpus[i];

		b->hz = hz;
		b->error = error != 0 && (cpuset_empty(&failed) || cpuset_has(&failed, i)) ? error
											   : 0;
		b->posted_ns = posted;
		b->completed_ns = completed;
	}
	return completed - posted;
}

static void
bringup_unicasts(uint64_t hz)
{
	for (unsigned i = 0; i < ncpu; i++) {
		struct bringup_cpu *b = &bringup_cpus[i];

		b->hz = hz + 1 + i;
		b->posted_ns = clock_ns();
		b->error = timer_set_on(b->ci, TIMER_PERIODIC, b->hz);
		b->completed_ns = clock_ns();
	}
}

static bool
bringup_enough(void)
{
	for (unsigned i = 0; i < ncpu; i++) {
		timer_get(bringup_cpus[i].ci, &bringup_cpus[i].record);
		if (bringup_cpus[i].record.nsamples <= JUDGE_MIN_INTERVALS)
			return false;
	}
	return true;
}

/* Lets the timers run until each has shown enough of itself, then judges; returns how many are
 * right. */
static unsigned
bringup_measure(void)
{
	uint64_t end = clock_ns() + BRINGUP_MEASURE_NS;
	unsigned right = 0;

	while (!bringup_enough() && clock_ns() < end)
		kthread_sleep_ns(BRINGUP_POLL_NS);
	for (unsigned i = 0; i < ncpu; i++) {
		struct bringup_cpu *b = &bringup_cpus[i];
		bool asked;

		timer_get(b->ci, &b->record);
		judge_timer(&b->record, machine_timer_input_hz(), clock_hz(), &b->judged);
		asked = b->error == 0 && b->record.setting.hz == b->hz;
		b->ok = b->ok && asked && b->judged.verdict == JUDGE_OK;
		right += asked && b->judged.verdict == JUDGE_OK;
	}
	return right;
}

/* --- the report ------------------------------------------------------------------------------- */

static void
bringup_print_row(const struct bringup_cpu *b, bool called)
{
	const struct judge_result *j = &b->judged;
	char call[48] = "";

	if (called)
		snprintf(call, sizeof(call), "  %9lu  %+7ld  %7lu", b->posted_ns / 1000,
		    (int64_t)(b->record.setting.set_ns - b->posted_ns) / 1000,
		    (b->completed_ns - b->posted_ns) / 1000);
	printf("  %3u  %6lu  %6u  %10u  %8lu.%03lu  %+5ld  %6lu%s  %s\n", b->ci->ci_index, b->hz,
	    b->record.registers.divide, b->record.registers.initial_count, j->interval_ns / 1000,
	    j->interval_ns % 1000, j->error_ppm, j->missed, call,
	    b->error != 0                       ? "NOT PROGRAMMED"
		: b->record.setting.hz != b->hz ? "NOT CALLED"
						: judge_name(j->verdict));
}

static void
bringup_print(const char *title, unsigned right, bool called, bool always)
{
	bool full = always || ncpu <= BRINGUP_TABLE_CPUS;

	printf("%s: %u of %u timers right\n", title, right, ncpu);
	if (full || right < ncpu)
		printf("  cpu  asked  divide       count  interval us    ppm  missed%s  verdict\n",
		    called ? "  posted us   ran us  trip us" : "");
	for (unsigned i = 0; i < ncpu; i++) {
		const struct bringup_cpu *b = &bringup_cpus[i];

		if (full || b->error != 0 || b->judged.verdict != JUDGE_OK)
			bringup_print_row(b, called);
	}
}

static void
bringup_print_json(uint64_t broadcast_ns, bool pass, unsigned right)
{
	for (unsigned i = 0; i < ncpu; i++) {
		const struct bringup_cpu *b = &bringup_cpus[i];

		printf(
		    "TIMER {\"cpu\": %u, \"apic_id\": %u, \"hz\": %lu, \"divide\": %u, \"count\": %u, "
		    "\"interval_ns\": %lu, \"error_ppm\": %ld, \"missed\": %lu, \"ok\": %s}\n",
		    b->ci->ci_index, b->ci->ci_apicid, b->hz, b->record.registers.divide,
		    b->record.registers.initial_count, b->judged.interval_ns, b->judged.error_ppm,
		    b->judged.missed, b->ok ? "true" : "false");
	}
	printf("BRINGUP {\"cpus_found\": %u, \"cpus_online\": %u, \"cpus_failed\": %u, "
	       "\"timers_ok\": %u, \"broadcast_ns\": %lu, \"pass\": %s}\n",
	    smp_found(), cpu_online_count(), smp_failed(), right, broadcast_ns,
	    pass ? "true" : "false");
}

/* The rate of the broadcast; the highest that leaves room for a rate of its own for every CPU. */
static uint64_t
bringup_rate(void)
{
	uint64_t hz = ncpu > BRINGUP_MANY ? BRINGUP_HZ_MANY : BRINGUP_HZ;
	uint64_t max = TIMER_HZ_MAX - 1 - ncpu;

	if (cmdline_number("hz", TIMER_HZ_MIN, max, &hz) == EINVAL)
		printf("warning: hz= takes a number from %u to %lu; %lu is used\n", TIMER_HZ_MIN,
		    max, hz);
	return hz;
}

bool
bringup_run(void)
{
	uint64_t hz = bringup_rate(), broadcast_ns;
	unsigned right = 0;
	char title[96];
	bool pass;

	bringup_cpus = kmem_boot_alloc(ncpu * sizeof(*bringup_cpus));
	for (unsigned i = 0; i < ncpu; i++)
		bringup_cpus[i] = (struct bringup_cpu){ .ci = cpu_lookup(i), .hz = HZ, .ok = true };

	printf(
	    "main job: reprogram the local timer of every CPU by cross call\n"
	    "  divide and count are read back from the timer; the interval is measured between its expiries;\n"
	    "  missed: ticks the host dropped in between, no fault of the timer; of each cross call: posted, in us\n"
	    "  since boot; ran on the target, us later; trip, us until the caller knew\n");
	snprintf(title, sizeof(title), "1. %u Hz, each CPU for itself at bring-up", HZ);
	bringup_print(title, bringup_measure(), false, false);

	broadcast_ns = bringup_broadcast(hz);
	snprintf(title, sizeof(title), "2. %lu Hz by one broadcast, %lu us until all had run it",
	    hz, broadcast_ns / 1000);
	bringup_print(title, bringup_measure(), true, false);

	bringup_unicasts(hz);
	snprintf(title, sizeof(title), "3. %lu to %lu Hz by one unicast a CPU", hz + 1, hz + ncpu);
	bringup_print(title, bringup_measure(), true, true);

	for (unsigned i = 0; i < ncpu; i++)
		right += bringup_cpus[i].ok;
	pass = right == ncpu && smp_failed() == 0;
	bringup_print_json(broadcast_ns, pass, right);
	return pass;
}
