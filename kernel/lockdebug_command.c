/*
 * The monitor's view of lock checking: who holds what, and the orders that were learnt.
 *
 * Who holds what is a snapshot of tables that their owners write meanwhile.  Printing takes
 * milliseconds a line, so of the threads only what fits is copied under the list's lock.
 */
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug_report.h"
#include "kernel/printf.h"
#include "kernel/string.h"

#define LOCKDEBUG_COMMAND_ROWS 16

static const char *const lockdebug_command_policies[] = {
	[LOCKDEBUG_OFF] = "off",
	[LOCKDEBUG_PANIC] = "on: panics",
	[LOCKDEBUG_REPORT] = "on: reports",
};

struct lockdebug_command_rows {
	unsigned n, missed;
	struct {
		char name[LWP_NAME_BYTES], text[LOCKDEBUG_TEXT_BYTES];
	} row[LOCKDEBUG_COMMAND_ROWS];
};

/* Under the list lock. */
static void
lockdebug_command_copy(lwp_t *l, void *arg)
{
	struct lockdebug_command_rows *r = arg;
	char text[LOCKDEBUG_TEXT_BYTES];

	for (unsigned i = 0; lockdebug_held_by_lwp(l, i, text) != NULL; i++) {
		if (r->n == LOCKDEBUG_COMMAND_ROWS) {
			r->missed++;
			continue;
		}
		memcpy(r->row[r->n].name, l->l_name, sizeof(r->row->name));
		memcpy(r->row[r->n++].text, text, sizeof(text));
	}
}

static void
lockdebug_command_print_held(void)
{
	/* One monitor. */
	static struct lockdebug_command_rows r;
	char text[LOCKDEBUG_TEXT_BYTES];
	const struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		for (unsigned i = 0; lockdebug_held_by_cpu(ci, i, text) != NULL; i++)
			printf("CPU %u holds %s\n", ci->ci_index, text);
	r.n = r.missed = 0;
	kthread_foreach(lockdebug_command_copy, &r);
	for (unsigned i = 0; i < r.n; i++)
		printf("thread %s holds %s\n", r.row[i].name, r.row[i].text);
	if (r.missed != 0)
		printf("and %u more\n", r.missed);
}

static void
lockdebug_command_print_facts(void)
{
	const struct lockdebug_fact *f;

	for (unsigned i = 0; (f = lockdebug_fact(i)) != NULL; i++)
		lockdebug_print_fact(f, NULL);
}

COMMAND(
    lockdebug, "[on|off|facts]", "lock checking: figures and who holds what, or what was learnt")
{
	struct lockdebug_figures figures;
	enum lockdebug_policy policy;

	if (argc == 2 && strcmp(argv[1], "facts") == 0) {
		lockdebug_command_print_facts();
		return 0;
	}
	if (argc == 2 && (strcmp(argv[1], "on") == 0 || strcmp(argv[1], "off") == 0))
		(void)lockdebug_set_policy(argv[1][1] == 'n' ? LOCKDEBUG_REPORT : LOCKDEBUG_OFF);
	else if (argc != 1)
		return EINVAL;
	policy = (enum lockdebug_policy)atomic_load_explicit(
	    &lockdebug_policy, memory_order_relaxed);
	lockdebug_figures(&figures);
	printf("lock checking is %s; %u of %u classes, %u of %u facts%s, %u reports\n",
	    lockdebug_command_policies[policy], figures.classes, figures.classes_max, figures.facts,
	    figures.facts_max, figures.full ? ", not all checked" : "", figures.reports);
	lockdebug_command_print_held();
	return 0;
}
