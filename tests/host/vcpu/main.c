/*
 * The program: brings up as many virtual CPUs as it is told, then does what the kernel's main
 * thread does with the same words.
 *
 *	xcall-host CPUS test=SUITE,...|test=all|misuse=NAME
 *
 * Results are KTAP on the standard output, as in the kernel.  Exit status: 0 passed, 1 failed, 2
 * panic.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "boot/boot.h"
#include "kernel/clients/hotplug.h"
#include "kernel/clock.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug.h"
#include "kernel/panic.h"
#include "kernel/sched.h"
#include "kernel/timer.h"
#include "tests/host/vcpu/memory.h"
#include "tests/host/vcpu/runtime.h"
#include "tests/kernel/test.h"
#include "xcall/xc_cpu.h"

static struct cpu_info main_cpu[VCPU_MAX];
static struct cpu_md main_md[VCPU_MAX];
static unsigned main_cpus;
static const char *main_word;

/* --- the console ------------------------------------------------------------------------------ */

/* One line at a time; the console's lock guards it. */
static void
main_put(char c)
{
	static char line[512];
	static size_t used;

	line[used++] = c;
	if (c != '\n' && used < sizeof(line))
		return;
	if (write(STDOUT_FILENO, line, used) < 0)
		abort();
	used = 0;
}

static struct console_device main_console = { .name = "stdout", .put = main_put };

/* --- bring-up, in the order of kernel/main/main.c --------------------------------------------- */

static void
main_attach(struct cpu_info *ci)
{
	cpu_attach(ci);
	timer_init_cpu(ci);
	sched_init_cpu(ci);
}

static void
main_go_online(void)
{
	if (timer_start() != 0)
		panic("CPU %u: its local timer cannot tick at %u Hz", curcpu()->ci_index, HZ);
	cpu_set_online();
}

static void
main_ap(void)
{
	main_go_online();
	sched_start();
}

static _Noreturn void
main_end(bool passed)
{
	console_close(passed ? "END pass\n" : "END fail\n");
	machine_exit(passed ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
}

static void
main_thread(void *arg)
{
	struct cpu_info *ci;

	(void)arg;
	CPU_INFO_FOREACH(ci)
		xc_init_cpu(ci);
	hotplug_init();
	if (strncmp(main_word, "misuse=", 7) == 0)
		main_end(test_misuse(main_word + 7));
	main_end(test_run(main_word + 5));
}

static void
main_boot(void)
{
	console_attach(&main_console);
	if (strncmp(main_word, "test=", 5) == 0)
		(void)lockdebug_set_policy(LOCKDEBUG_PANIC);
	clock_init(RUNTIME_HZ);
	/* In the suites the sanitizers look after memory; some misuses are the checks' to find. */
	if (strncmp(main_word, "misuse=", 7) == 0)
		kmem_check_enable();
	memory_init();
	vcpu_init_stacks();
	for (unsigned i = 0; i < main_cpus; i++)
		main_attach(&main_cpu[i]);
	main_go_online();
	for (unsigned i = 1; i < main_cpus; i++) {
		runtime_start(&main_md[i], main_ap);
		while (!cpu_online(&main_cpu[i]))
			machine_pause();
	}
	if (kthread_create(PRI_KERNEL, KTHREAD_MPSAFE, curcpu(), main_thread, NULL, NULL, "main") !=
	    0)
		panic("no memory for the main thread");
	sched_start();
}

int
main(int argc, char **argv)
{
	if (argc == 3 &&
	    (strncmp(argv[2], "test=", 5) == 0 || strncmp(argv[2], "misuse=", 7) == 0)) {
		main_cpus = (unsigned)strtoul(argv[1], NULL, 10);
		main_word = argv[2];
	}
	if (main_cpus == 0 || main_cpus > VCPU_MAX) {
		static const char usage[] =
		    "usage: xcall-host 1..64 test=SUITE,...|test=all|misuse=NAME\n";

		(void)!write(STDERR_FILENO, usage, sizeof(usage) - 1);
		return 3;
	}
	for (unsigned i = 0; i < main_cpus; i++) {
		main_cpu[i] = (struct cpu_info){
			.ci_self = &main_cpu[i], .ci_apicid = i, .ci_md = &main_md[i]
		};
		main_md[i].vc_ci = &main_cpu[i];
	}
	runtime_run(&main_md[0], main_boot);
}
