/*
 * The program: one run, replayed; or many, on as many processes as are asked for.
 *
 *	xcall-sim seed=N [cpus=N] [steps=N] [trace=N] [scenario=NAME] [strategy=NAME]
 *	xcall-sim seeds=N [first=N] [jobs=N] ...
 *	xcall-sim list
 *
 * A process boots the kernel once for each number of CPUs, and forks for each run: what is forked
 * is the machine after bring-up, so all runs begin alike, and one that crashes harms no other.
 *
 * Exit status: 0 all passed, 1 a property was broken, 3 usage.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/host/sim/engine.h"
#include "tests/host/sim/many.h"
#include "tests/host/sim/run.h"
#include "tests/host/sim/scenario.h"
#include "tests/host/sim/sim.h"
#include "tests/host/sim/trace.h"

/* A run that takes longer than this, in seconds of a CPU of the host, is in a loop without a
 * scheduling point. */
#define MAIN_SECONDS 60u
#define MAIN_TRACE 60u

struct sim_setting sim = { .max_steps = SIM_STEPS, .trace = MAIN_TRACE, .depth = 2 };
struct sim_result *sim_result;

static struct {
	uint64_t first, seeds;
	bool replay;
	unsigned jobs;
} main_arg = { .seeds = 1, .jobs = 1 };

static bool
main_number(const char *word, const char *key, uint64_t *value)
{
	size_t length = strlen(key);

	if (strncmp(word, key, length) != 0)
		return false;
	*value = strtoull(word + length, NULL, 0);
	return true;
}

static bool
main_text(const char *word, const char *key, const char **value)
{
	size_t length = strlen(key);

	if (strncmp(word, key, length) != 0)
		return false;
	*value = word + length;
	return true;
}

static bool
main_word(const char *word)
{
	uint64_t n;

	if (main_number(word, "seed=", &main_arg.first))
		main_arg.replay = sim.verbose = true;
	else if (main_number(word, "seeds=", &main_arg.seeds) ||
	    main_number(word, "first=", &main_arg.first))
		return true;
	else if (main_number(word, "cpus=", &n))
		sim.cpus = (unsigned)n;
	else if (main_number(word, "steps=", &n))
		sim.max_steps = n;
	else if (main_number(word, "trace=", &n))
		sim.trace = (unsigned)n;
	else if (main_number(word, "depth=", &n))
		sim.depth = (unsigned)n;
	else if (main_number(word, "jobs=", &n))
		main_arg.jobs = (unsigned)n;
	else
		return main_text(word, "scenario=", &sim.scenario) ||
		    main_text(word, "strategy=", &sim.strategy);
	return true;
}

/* --- one run ---------------------------------------------------------------------------------- */

static void
main_signal(int number)
{
	if (number == SIGPROF)
		sim_fail("no scheduling point for %u seconds: a loop that has none", MAIN_SECONDS);
	sim_fail("signal %d: a wrong address, or no stack left", number);
}

static void
main_catch_signals(void)
{
	static char stack[65536];
	const stack_t alternate = { .ss_sp = stack, .ss_size = sizeof(stack) };
	struct sigaction action = { .sa_handler = main_signal,
		.sa_flags = SA_ONSTACK | SA_NODEFER };

	sigaltstack(&alternate, NULL);
	sigaction(SIGSEGV, &action, NULL);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGILL, &action, NULL);
	sigaction(SIGPROF, &action, NULL);
}

/* One run; its process. */
static void
main_run_one(unsigned run)
{
	const struct itimerval limit = { .it_value = { .tv_sec = MAIN_SECONDS } };
	int status;
	pid_t pid;

	sim.run = run;
	sim_result->ended = false;
	fflush(stdout);
	pid = fork();
	if (pid == 0) {
		setitimer(ITIMER_PROF, &limit, NULL);
		engine_resume();
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid) {
		perror("xcall-sim");
		exit(3);
	}
	if (sim_result->ended && WIFEXITED(status) &&
	    WEXITSTATUS(status) == (sim_result->failed ? 1 : 0))
		return;
	sim_result->failed = true;
	snprintf(sim_result->why, sizeof(sim_result->why), "the process ended with status %#x",
	    (unsigned)status);
}

void
main_run(uint64_t seed)
{
	bool all = sim.strategy != NULL && strcmp(sim.strategy, "all") == 0;

	memset(sim_result, 0, sizeof(*sim_result));
	sim.seed = seed;
	for (unsigned run = 0; run < (all ? 1 : SIM_RUNS) && !sim_result->failed; run++)
		main_run_one(run);
}

void
main_boot(unsigned cpus)
{
	sim.cpus = cpus;
	main_catch_signals();
	boot_kernel(run_main);
}

static int
main_replay(void)
{
	unsigned cpus = sim.cpus != 0 ? sim.cpus : run_cpus(main_arg.first);

	main_boot(cpus);
	main_run(main_arg.first);
	printf(
	    "seed %lu, %u CPUs, scenario %s%s%s, strategy %s: %s after %lu steps, %lu schedules, last trace %016lx\n",
	    main_arg.first, cpus, sim_result->scenario, sim_result->detail != NULL ? " " : "",
	    sim_result->detail != NULL ? sim_result->detail : "", sim_result->strategy,
	    sim_result->failed ? "FAILED" : "passed", sim_result->steps, sim_result->schedules,
	    sim_result->trace_hash[sim.run]);
	return sim_result->failed;
}

static void
main_list(void)
{
	for (unsigned i = 0; scenario_number(i) != NULL; i++)
		printf("  %-16s %s\n", scenario_number(i)->name, scenario_number(i)->what);
}

int
main(int argc, char **argv)
{
	if (argc == 2 && strcmp(argv[1], "list") == 0) {
		main_list();
		return 0;
	}
	for (int i = 1; i < argc; i++) {
		if (!main_word(argv[i]) || sim.cpus > SIM_CPUS || main_arg.jobs == 0) {
			fprintf(stderr,
			    "usage: xcall-sim seed=N|seeds=N [first=N] [jobs=N] [cpus=N] [steps=N] "
			    "[trace=N] [depth=N] [scenario=NAME] [strategy=NAME]\n");
			return 3;
		}
	}
	sim_result = mmap(
	    NULL, sizeof(*sim_result), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (sim_result == MAP_FAILED)
		return 3;
	if (main_arg.replay)
		return main_replay();
	return many_run(main_arg.first, main_arg.seeds, main_arg.jobs);
}
