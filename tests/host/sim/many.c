/*
 * Many runs on several processes, each of which takes its share of the seeds; the sum is in memory
 * that they share.
 *
 * One run in MANY_TWICE is done twice: the same seed must give the same trace.
 */
#include "tests/host/sim/many.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/sim/run.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/trace.h"

#define MANY_TWICE 50u
#define MANY_SCENARIOS 64u
#define MANY_SITES 4096u
/* Room for the hashes of all traces, a power of two; what finds no place is not counted as
 * distinct. */
#define MANY_HASHES (1u << 20)
#define MANY_PROBES 64u

struct many_shared {
	_Atomic bool stop;
	_Atomic uint64_t failing; /* a seed, plus 1 */
	_Atomic uint64_t runs, schedules, steps, distinct, again;
	_Atomic uint64_t near[SIM_NEAR];
	_Atomic uint64_t scenario_runs[MANY_SCENARIOS], scenario_steps[MANY_SCENARIOS];
	_Atomic uint32_t visited[MANY_SITES];
	_Atomic uint64_t hash[MANY_HASHES];
};

static struct many_shared *many;

void
many_visit(unsigned site)
{
	if (many != NULL)
		atomic_fetch_add_explicit(
		    &many->visited[site % MANY_SITES], 1, memory_order_relaxed);
}

static void
many_add(_Atomic uint64_t *sum, uint64_t n)
{
	atomic_fetch_add_explicit(sum, n, memory_order_relaxed);
}

/* Whether the hash is new. */
static bool
many_enter_hash(uint64_t hash)
{
	for (unsigned i = 0; i < MANY_PROBES; i++) {
		_Atomic uint64_t *place = &many->hash[(hash + i) % MANY_HASHES];
		uint64_t found = 0;

		if (atomic_compare_exchange_strong_explicit(
			place, &found, hash, memory_order_relaxed, memory_order_relaxed))
			return true;
		if (found == hash)
			return false;
	}
	return false;
}

static void
many_count(void)
{
	many_add(&many->runs, 1);
	many_add(&many->schedules, sim_result->schedules);
	many_add(&many->steps, sim_result->steps);
	for (unsigned i = 0; i < SIM_NEAR; i++)
		many_add(&many->near[i], sim_result->near[i]);
	for (unsigned i = 0; scenario_number(i) != NULL; i++) {
		if (scenario_number(i)->name == sim_result->scenario) {
			many_add(&many->scenario_runs[i], 1);
			many_add(&many->scenario_steps[i], sim_result->steps);
		}
	}
	for (unsigned i = 0; i < SIM_RUNS; i++)
		if (sim_result->trace_hash[i] != 0)
			many_add(&many->distinct, many_enter_hash(sim_result->trace_hash[i]));
}

static void
many_report(uint64_t seed)
{
	printf(
	    "seed %lu, %u CPUs, scenario %s%s%s, strategy %s: FAILED after %lu steps in %lu schedules: %s\n",
	    seed, sim.cpus, sim_result->scenario, sim_result->detail != NULL ? " " : "",
	    sim_result->detail != NULL ? sim_result->detail : "", sim_result->strategy,
	    sim_result->steps, sim_result->schedules, sim_result->why);
	printf("see it again: make sim SEED=%lu CPUS=%u", seed, sim.cpus);
	if (sim.scenario != NULL)
		printf(" SCENARIO=%s", sim.scenario);
	if (sim.strategy != NULL)
		printf(" STRATEGY=%s", sim.strategy);
	if (sim.max_steps != SIM_STEPS)
		printf(" STEPS=%lu", sim.max_steps);
	printf("\n");
	fflush(stdout);
}

static void
many_one(uint64_t seed)
{
	uint64_t hash[SIM_RUNS];

	main_run(seed);
	memcpy(hash, sim_result->trace_hash, sizeof(hash));
	many_count();
	if (!sim_result->failed && seed % MANY_TWICE == 0) {
		main_run(seed);
		many_add(&many->again, 1);
		if (!sim_result->failed && memcmp(hash, sim_result->trace_hash, sizeof(hash)) != 0) {
			sim_result->failed = true;
			snprintf(sim_result->why, sizeof(sim_result->why),
			    "not deterministic: the traces of a second time are others");
		}
	}
	if (!sim_result->failed ||
	    atomic_exchange_explicit(&many->stop, true, memory_order_relaxed))
		return;
	atomic_store_explicit(&many->failing, seed + 1, memory_order_relaxed);
	many_report(seed);
}

/* The share of one process that has so many CPUs. */
static void
many_share(uint64_t first, uint64_t seeds, unsigned job, unsigned jobs, unsigned cpus)
{
	main_boot(cpus);
	for (uint64_t seed = first + job; seed < first + seeds; seed += jobs) {
		if (atomic_load_explicit(&many->stop, memory_order_relaxed))
			return;
		if (cpus == run_cpus(seed))
			many_one(seed);
	}
}

/* Waits for all children; whether all went well. */
static bool
many_wait(void)
{
	bool well = true;
	int status;

	while (wait(&status) > 0)
		well &= WIFEXITED(status) && WEXITSTATUS(status) == 0;
	return well;
}

static void
many_job(uint64_t first, uint64_t seeds, unsigned job, unsigned jobs)
{
	unsigned forced = sim.cpus;

	sim_result = mmap(
	    NULL, sizeof(*sim_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sim_result == MAP_FAILED)
		exit(3);
	sim.trace = 0;
	for (unsigned cpus = 1; cpus <= SIM_CPUS; cpus++) {
		bool wanted = false;

		for (uint64_t seed = first + job; seed < first + seeds && !wanted; seed += jobs)
			wanted = run_cpus(seed) == cpus;
		if (!wanted)
			continue;
		fflush(stdout);
		if (fork() == 0) {
			sim.cpus = forced;
			many_share(first, seeds, job, jobs, cpus);
			exit(0);
		}
		if (!many_wait())
			exit(3);
	}
}

static void
many_print(uint64_t seeds, double seconds)
{
	static const char *const near[SIM_NEAR] = { "empty interrupt", "served in a wait",
		"done at first look", "timed out", "withdrawn", "cancelled late", "no room",
		"target gone" };
	unsigned scenarios = 0, reached = 0, sites = 0;

	for (unsigned i = 0; scenario_number(i) != NULL; i++) {
		uint64_t runs = many->scenario_runs[i];

		scenarios += runs != 0;
		if (runs != 0)
			printf("  %-16s %6lu runs  %8lu steps each\n", scenario_number(i)->name,
			    runs, many->scenario_steps[i] / runs);
	}
	for (unsigned i = 0; i < trace_sites(); i++) {
		if (!trace_site_of_xcall(i))
			continue;
		sites++;
		reached += many->visited[i % MANY_SITES] != 0;
	}
	printf("  near misses:");
	for (unsigned i = 0; i < SIM_NEAR; i++)
		printf("%s %s %lu", i != 0 ? "," : "", near[i], many->near[i]);
	printf("\n  atomic operations of xcall/ reached: %u of %u\n", reached, sites);
	printf(
	    "sim: %lu seeds, %lu schedules, %lu distinct traces, %lu steps, %u scenarios, %lu replayed alike, %.0f s\n",
	    seeds, many->schedules, many->distinct, many->steps, scenarios, many->again, seconds);
}

int
many_run(uint64_t first, uint64_t seeds, unsigned jobs)
{
	struct timespec begin, end;
	bool well;

	many = mmap(NULL, sizeof(*many), PROT_READ | PROT_WRITE,
	    MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (many == MAP_FAILED)
		return 3;
	clock_gettime(CLOCK_MONOTONIC, &begin);
	for (unsigned job = 0; job < jobs; job++) {
		fflush(stdout);
		if (fork() == 0) {
			many_job(first, seeds, job, jobs);
			exit(0);
		}
	}
	well = many_wait();
	clock_gettime(CLOCK_MONOTONIC, &end);
	many_print(seeds,
	    (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9);
	return well && many->failing == 0 ? 0 : 1;
}
