/*
 * The runner of the benchmarks: chooses rows, gives the other CPUs their load, prints what a row
 * measured.
 */
#include "tests/bench/kernel/bench.h"

#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"
#include "xcall/xc_call.h"
#include "xcall/xc_status.h"

/* Between two samples, at least: time to halt again, or to be back in the loop. */
#define BENCH_GAP_CYCLES 500u
#define BENCH_GAP_TURNS (SCHED_LOOKS + 8u)
/* Before a row where nobody spins: what the one before left to do is done by then. */
#define BENCH_SETTLE_NS 50000000ull
/* A tenth of the samples more, which do not count. */
#define BENCH_WARM_SHARE 10u

static const struct bench_row *const bench_tables[] = { bench_floor_rows, bench_hard_rows,
	bench_many_rows, bench_thread_rows, bench_crowd_rows };
#define BENCH_TABLES (sizeof(bench_tables) / sizeof(bench_tables[0]))

/* What is printed of the samples in order: thousandths of their number. */
static const unsigned bench_quantiles[] = { 0, 10, 50, 100, 250, 500, 750, 900, 950, 980, 990, 995,
	998, 999, 1000 };
#define BENCH_QUANTILES (sizeof(bench_quantiles) / sizeof(bench_quantiles[0]))

static _Atomic bool bench_stop;
static _Atomic uint64_t bench_spinning;

void
bench_nop(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

void
bench_gap(void)
{
	uint64_t from = machine_cycles();

	for (unsigned i = 0; i < BENCH_GAP_TURNS || machine_cycles() - from < BENCH_GAP_CYCLES; i++)
		machine_pause();
}

/* Spins: in the exact mode a sleep is as long as all that spinners do meanwhile. */
void
bench_await(_Atomic uint64_t *counter, uint64_t value)
{
	/* Acquire: pairs with the release of whoever counts. */
	while (atomic_load_explicit(counter, memory_order_acquire) < value)
		machine_pause();
}

/* --- load ------------------------------------------------------------------------------------- */

static void
bench_spin(void *arg __attribute__((unused)))
{
	/* Release: pairs with bench_await(). */
	atomic_fetch_add_explicit(&bench_spinning, 1, memory_order_release);
	while (!atomic_load_explicit(&bench_stop, memory_order_relaxed))
		machine_pause();
}

static bool
bench_loads(enum bench_load load, unsigned cpu)
{
	return cpu != 0 && (load == BENCH_ALL_BUSY || (load == BENCH_BUSY && cpu == 1));
}

static void
bench_load_start(enum bench_load load, struct crew_job *jobs)
{
	uint64_t spinners = 0;

	atomic_store_explicit(&bench_stop, false, memory_order_relaxed);
	atomic_store_explicit(&bench_spinning, 0, memory_order_relaxed);
	for (unsigned i = 0; i < ncpu; i++) {
		if (bench_loads(load, i)) {
			crew_start(&jobs[i], cpu_lookup(i), PRI_USER, bench_spin, NULL);
			spinners++;
		}
	}
	bench_await(&bench_spinning, spinners);
	if (spinners == 0)
		kthread_sleep_ns(BENCH_SETTLE_NS);
}

static void
bench_load_stop(enum bench_load load, struct crew_job *jobs)
{
	atomic_store_explicit(&bench_stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < ncpu; i++) {
		if (bench_loads(load, i))
			crew_join(&jobs[i]);
	}
}

/* --- rows ------------------------------------------------------------------------------------- */

static void
bench_sort(uint64_t *v, unsigned n)
{
	for (unsigned gap = n / 2; gap != 0; gap /= 2) {
		for (unsigned i = gap; i < n; i++) {
			uint64_t x = v[i];
			unsigned j = i;

			for (; j >= gap && v[j - gap] > x; j -= gap)
				v[j] = v[j - gap];
			v[j] = x;
		}
	}
}

static void
bench_print_samples(const struct bench_run *run)
{
	uint64_t sum = 0;

	bench_sort(run->sample, run->samples);
	for (unsigned i = 0; i < run->samples; i++)
		sum += run->sample[i];
	printf(", \"n\": %u, \"mean\": %lu, \"q\": {", run->samples, sum / run->samples);
	for (unsigned i = 0; i < BENCH_QUANTILES; i++)
		printf("%s\"%u\": %lu", i == 0 ? "" : ", ", bench_quantiles[i],
		    run->sample[(uint64_t)(run->samples - 1) * bench_quantiles[i] / 1000]);
	printf("}");
}

static uint64_t
bench_interrupts(void)
{
	return intr_count(INTR_VECTOR_XCALL);
}

static void
bench_run_row(const struct bench_row *row, unsigned samples, struct crew_job *jobs, uint64_t *room)
{
	struct bench_run run = { .samples = samples / row->share, .sample = room };
	uint64_t interrupts, switches;

	if (run.samples == 0)
		run.samples = 1;
	run.warm = run.samples / BENCH_WARM_SHARE + 1;
	bench_load_start(row->load, jobs);
	interrupts = bench_interrupts();
	switches = intr_count(INTR_VECTOR_RESCHED);
	row->run(&run);
	interrupts = bench_interrupts() - interrupts;
	switches = intr_count(INTR_VECTOR_RESCHED) - switches;
	bench_load_stop(row->load, jobs);

	printf("BENCH {\"row\": \"%s\", \"cpus\": %u", row->name, ncpu);
	if (run.calls == 0) {
		bench_print_samples(&run);
		run.calls = run.warm + run.samples;
	} else {
		printf(", \"n\": %lu, \"cycles\": %lu", run.calls, run.cycles);
	}
	printf(", \"calls\": %lu, \"interrupts\": %lu, \"resched\": %lu}\n", run.calls, interrupts,
	    switches);
}

/* What the runner on the host must know to read the rows, and what no row can show. */
static void
bench_print_machine(unsigned samples, const struct bench_costs *costs)
{
	printf(
	    "BENCH {\"machine\": true, \"cpus\": %u, \"cycles_hz\": %lu, \"samples\": %u, "
	    "\"start_ns\": %lu, \"xcall_pages\": %zu, \"stack_bytes\": %u, \"pages_total\": %zu, "
	    "\"pages_free\": %zu, \"call_bytes\": %zu}\n",
	    ncpu, clock_hz(), samples, costs->start_ns, costs->xcall_pages, KSTACK_BYTES,
	    kmem_pages_total(), kmem_pages_free(), sizeof(struct xc_call));
}

bool
bench_run(const char *list, unsigned samples, const struct bench_costs *costs)
{
	struct crew_job *jobs;
	uint64_t *room;
	unsigned found = 0;

	bench_print_machine(samples, costs);
	jobs = crew_alloc(ncpu, sizeof(*jobs));
	room = crew_alloc(samples, sizeof(*room));
	/* No reports, which would be what is measured. */
	xc_stall_config(0, 0, false, false);
	for (unsigned t = 0; t < BENCH_TABLES; t++) {
		for (const struct bench_row *row = bench_tables[t]; row->name != NULL; row++) {
			if (!test_chosen(list, row->name))
				continue;
			found++;
			if (row->cpus <= ncpu)
				bench_run_row(row, samples, jobs, room);
		}
	}
	crew_free(room, samples, sizeof(*room));
	crew_free(jobs, ncpu, sizeof(*jobs));
	if (found == 0)
		printf("no benchmark is named in \"%s\"\n", list);
	return found != 0;
}
