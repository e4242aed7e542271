/*
 * The monitor's `calls`: what each CPU has posted and run, what is in flight; how long calls take;
 * when a wait reports.
 */
#include <stddef.h>

#include "kernel/command.h"
#include "kernel/string.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_look.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_status.h"

#define XC_COMMAND_NS_PER_MS UINT64_C(1000000)
/* A year. */
#define XC_COMMAND_MS_MAX UINT64_C(31622400000)

static const char *const xc_command_class[XC_CLASSES] = { "low", "soft", "hard", "NMI" };

/* A decimal number up to `max` and nothing else. */
static bool
xc_command_number(const char *text, uint64_t max, uint64_t *value)
{
	uint64_t n = 0;

	if (*text == '\0')
		return false;
	for (; *text != '\0'; text++) {
		if (*text < '0' || *text > '9')
			return false;
		n = n * 10 + (uint64_t)(*text - '0');
		if (n > max)
			return false;
	}
	*value = n;
	return true;
}

/* --- calls ------------------------------------------------------------------------------------ */

/* One row: figures of a moment, and the names of what runs there. */
static void
xc_command_row(struct cpu_info *ci, struct xc_cpu *xc, struct xc_stats *stats)
{
	struct xc_text text;
	struct xc_standing top;
	char name[KSYMS_TEXT_BYTES];

	xc_text_clear(&text);
	xc_stats(ci, stats);
	xc_text_add(&text, "%4u ", ci->ci_index);
	for (unsigned c = 0; c < XC_CLASSES; c++)
		xc_text_add(&text, " %7lu", stats->posted[c]);
	xc_text_add(&text, "  ");
	for (unsigned c = 0; c < XC_CLASSES; c++)
		xc_text_add(&text, " %7lu", stats->run[c]);
	xc_text_add(&text, "  %9u", xc_look_live(xc));
	for (unsigned level = 0; level < XC_LEVELS; level++)
		if (xc_look_top(xc, (enum xc_level)level, &top))
			xc_text_add(&text, "  %s (%s)", ksyms_format((uintptr_t)top.t_func, name),
			    xc_text_level((enum xc_level)level));
	printf("%s\n", text.x_text);
}

static void
xc_command_list(void)
{
	/* Too large for a stack to have twice; the monitor is one thread. */
	static struct xc_stats stats;
	struct cpu_info *ci;
	struct xc_cpu *xc;

	printf(
	    "Calls posted by each CPU, functions run on it, its calls not over yet, what runs now.\n");
	printf("      -------- posted --------------   --------- run ---------------\n");
	printf(
	    " CPU      low    soft    hard     NMI       low    soft    hard     NMI  in flight  running\n");
	CPU_INFO_FOREACH(ci)
		if ((xc = xc_cpu_lookup(ci->ci_index)) != NULL)
			xc_command_row(ci, xc, &stats);
}

/* --- calls stats ------------------------------------------------------------------------------ */

static void
xc_command_sum(struct xc_histogram *to, const struct xc_histogram *from)
{
	to->h_count += from->h_count;
	for (unsigned i = 0; i < XC_HISTOGRAM_BINS; i++)
		to->h_bin[i] += from->h_bin[i];
}

/* "512 us": the upper end of the bin, which is a power of two of nanoseconds. */
static void
xc_command_add_bin(struct xc_text *text, unsigned bin)
{
	static const char *const units[] = { "ns", "us", "ms", "s" };
	uint64_t bound = UINT64_C(2) << bin;
	unsigned unit = 0;

	/* 1024 for 1000 each time: less than the width of a bin. */
	for (; bound >= 1024 && unit < 3; unit++)
		bound /= 1024;
	xc_text_add(text, " %5lu %-2s", bound, units[unit]);
}

/* The bin in which the n-th smallest of them is, from 1 on. */
static unsigned
xc_command_rank(const struct xc_histogram *h, uint64_t n)
{
	unsigned bin = 0;

	for (uint64_t below = h->h_bin[0]; below < n && bin + 1 < XC_HISTOGRAM_BINS;)
		below += h->h_bin[++bin];
	return bin;
}

static void
xc_command_times(const char *class, const char *what, const struct xc_histogram *h)
{
	struct xc_text text;

	if (h->h_count == 0)
		return;
	xc_text_clear(&text);
	xc_text_add(&text, "%-5s  %-16s  %9lu ", class, what, h->h_count);
	xc_command_add_bin(&text, xc_command_rank(h, (h->h_count + 1) / 2));
	xc_command_add_bin(&text, xc_command_rank(h, h->h_count - h->h_count / 100));
	xc_command_add_bin(&text, xc_command_rank(h, h->h_count));
	printf("%s\n", text.x_text);
}

static void
xc_command_sum_all(struct xc_stats *sum, struct xc_stats *one)
{
	struct cpu_info *ci;

	*sum = (struct xc_stats){ .interrupts = 0 };
	CPU_INFO_FOREACH(ci) {
		if (xc_cpu_lookup(ci->ci_index) == NULL)
			continue;
		xc_stats(ci, one);
		sum->interrupts += one->interrupts;
		sum->empty += one->empty;
		sum->served_waiting += one->served_waiting;
		sum->resent += one->resent;
		sum->stalls += one->stalls;
		for (unsigned c = 0; c < XC_CLASSES; c++) {
			sum->full[c] += one->full[c];
			xc_command_sum(&sum->begin[c], &one->begin[c]);
			xc_command_sum(&sum->run_ns[c], &one->run_ns[c]);
			xc_command_sum(&sum->complete[c], &one->complete[c]);
		}
	}
}

static void
xc_command_stats(void)
{
	static struct xc_stats sum, one;

	xc_command_sum_all(&sum, &one);
	printf(
	    "Times of sampled calls, all CPUs together; each is less than what stands here, and at least half of it.\n");
	printf(
	    "%-5s  %-16s  %9s  %8s %8s %8s\n", "class", "from, to", "samples", "p50", "p99", "max");
	for (unsigned c = 0; c < XC_CLASSES; c++) {
		xc_command_times(xc_command_class[c], "post to begin", &sum.begin[c]);
		xc_command_times(xc_command_class[c], "begin to end", &sum.run_ns[c]);
		xc_command_times(xc_command_class[c], "post to complete", &sum.complete[c]);
	}
	printf(
	    "%lu interrupts, %lu of them for nothing; %lu functions run in waits; no room for %lu low and soft, "
	    "%lu hard, %lu NMI calls; %lu stalls, %lu announcements repeated\n",
	    sum.interrupts, sum.empty, sum.served_waiting,
	    sum.full[XC_CLASS_LOW] + sum.full[XC_CLASS_SOFT], sum.full[XC_CLASS_HARD],
	    sum.full[XC_CLASS_NMI], sum.stalls, sum.resent);
}

/* --- calls dump, calls stall ------------------------------------------------------------------ */

static int
xc_command_dump(const char *number)
{
	uint64_t index;

	if (!xc_command_number(number, MAXCPUS - 1, &index))
		return EINVAL;
	if (cpu_lookup((unsigned)index) == NULL)
		printf("there is no CPU %lu\n", index);
	else
		xc_dump(cpu_lookup((unsigned)index));
	return 0;
}

static int
xc_command_stall(int argc, char **argv)
{
	struct xc_stall_settings set;
	uint64_t warn_ms = 0, panic_ms = 0;

	if (argc != 0 &&
	    (argc != 2 || !xc_command_number(argv[0], XC_COMMAND_MS_MAX, &warn_ms) ||
		!xc_command_number(argv[1], XC_COMMAND_MS_MAX, &panic_ms)))
		return EINVAL;
	xc_stall_settings(&set);
	if (argc != 0) {
		xc_stall_config(warn_ms * XC_COMMAND_NS_PER_MS, panic_ms * XC_COMMAND_NS_PER_MS,
		    set.resend, set.nmi);
		xc_stall_settings(&set);
	}
	printf(
	    "A wait reports after %lu ms, panics after %lu ms (0: never); announces again: %s; asks by NMI: %s\n",
	    set.warn_ns / XC_COMMAND_NS_PER_MS, set.panic_ns / XC_COMMAND_NS_PER_MS,
	    set.resend ? "yes" : "no", set.nmi ? "yes" : "no");
	return 0;
}

COMMAND(calls, "[stats | dump N | stall [WARN_MS PANIC_MS]]",
    "cross calls: counts, times, those of CPU N, when waits report")
{
	if (argc == 1) {
		xc_command_list();
		return 0;
	}
	if (strcmp(argv[1], "stats") == 0 && argc == 2) {
		xc_command_stats();
		return 0;
	}
	if (strcmp(argv[1], "dump") == 0 && argc == 3)
		return xc_command_dump(argv[2]);
	if (strcmp(argv[1], "stall") == 0)
		return xc_command_stall(argc - 2, argv + 2);
	return EINVAL;
}
