/*
 * The monitor's hand on the CPUs: which are online, and taking them out and in.
 */
#include <stddef.h>

#include "kernel/clients/hotplug.h"
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/printf.h"
#include "kernel/string.h"

struct cpu_command_count {
	const struct cpu_info *ci;
	unsigned threads, service;
};

/* Under the list lock. */
static void
cpu_command_visit(lwp_t *l, void *arg)
{
	struct cpu_command_count *count = arg;

	if (l->l_cpu != count->ci)
		return;
	count->threads++;
	count->service += (l->l_flags & KTHREAD_SERVICE) != 0;
}

static void
cpu_command_list(void)
{
	struct cpu_info *ci;

	printf(" CPU  APIC id  state    threads  of them service\n");
	CPU_INFO_FOREACH(ci) {
		struct cpu_command_count count = { .ci = ci };

		kthread_foreach(cpu_command_visit, &count);
		printf("%4u  %7u  %-7s  %7u  %15u\n", ci->ci_index, ci->ci_apicid,
		    cpu_online(ci) ? "online" : "offline", count.threads, count.service);
	}
}

/* The CPU that a decimal number names, or NULL. */
static struct cpu_info *
cpu_command_lookup(const char *text)
{
	unsigned n = 0;

	if (*text == '\0')
		return NULL;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9' || n >= MAXCPUS)
			return NULL;
		n = n * 10 + (unsigned)(*text - '0');
	}
	return cpu_lookup(n);
}

static void
cpu_command_set(struct cpu_info *ci, bool online, const char *state)
{
	char why[HOTPLUG_WHY_BYTES];
	int error;

	if (cpu_online(ci) == online) {
		printf("CPU %u is %s already\n", ci->ci_index, state);
		return;
	}
	error = cpu_setstate(ci, online, why);
	if (error == 0)
		printf("CPU %u is %s; %u of %u CPUs are online\n", ci->ci_index, state,
		    cpu_online_count(), ncpu);
	else
		printf("CPU %u stays %s: %s\n", ci->ci_index, online ? "offline" : "online", why);
}

COMMAND(cpu, "[N offline|online]", "which CPUs are online; takes one out, or starts it again")
{
	struct cpu_info *ci;
	bool online;

	if (argc == 1) {
		cpu_command_list();
		return 0;
	}
	if (argc != 3)
		return EINVAL;
	online = strcmp(argv[2], "online") == 0;
	if (!online && strcmp(argv[2], "offline") != 0)
		return EINVAL;
	ci = cpu_command_lookup(argv[1]);
	if (ci == NULL)
		printf("there is no CPU %s\n", argv[1]);
	else
		cpu_command_set(ci, online, argv[2]);
	return 0;
}
