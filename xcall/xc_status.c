/*
 * Looking at cross calls: one call, its targets, all that a CPU has posted and runs.
 *
 * Nothing is locked and nothing is stored (xc_look.c), so a debugger may ask in an NMI that struck
 * anywhere.  What a call's words say counts only if the call is still live when they have been
 * read; one that ended meanwhile is complete.  The words of a call to many CPUs are read one after
 * the other: each group is of one moment.
 */
#include "xcall/xc_status.h"

#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_look.h"
#include "xcall/xc_post.h"

/* --- one call --------------------------------------------------------------------------------- */

/* EBUSY: live, and the event is filled in; else what the wait would return. */
static int
xc_status_event(uint64_t where, struct xc_event *event)
{
	struct xc_cpu *sender;
	struct xc_slot *slot;
	int error;

	if (where == 0)
		return 0;
	if (XC_ISERR(where))
		return XC_ERRNO(where);
	slot = xc_slot_lookup(where, &sender);
	error = slot != NULL ? xc_slot_result(slot, where) : EINVAL;
	if (error == EBUSY)
		*event = (struct xc_event){ .e_ref = { .f_ticket = where },
			.e_slot = slot,
			.e_sender = sender,
			.e_level = xc_state_level(
			    atomic_load_explicit(&slot->s_state, memory_order_relaxed)) };
	return error;
}

/* What xc_status() and its like return for a call that is not live. */
static int
xc_status_over(int result)
{
	return result == ECANCELED || result == EBUSY ? 0 : result;
}

static unsigned
xc_status_flags(enum xc_level level)
{
	switch (level) {
	case XC_LEVEL_LOW:
		return 0;
	case XC_LEVEL_HARD:
		return XC_HARD;
	case XC_LEVEL_NMI:
		return XC_NMI;
	case XC_LEVEL_SOFTCLOCK:
		return XC_HIGHPRI_IPL(IPL_SOFTCLOCK);
	case XC_LEVEL_SOFTBIO:
		return XC_HIGHPRI_IPL(IPL_SOFTBIO);
	case XC_LEVEL_SOFTNET:
		return XC_HIGHPRI_IPL(IPL_SOFTNET);
	default:
		return XC_HIGHPRI;
	}
}

int
xc_status(uint64_t where, struct xc_status *status)
{
	struct xc_event event = { .e_slot = NULL };
	struct xc_view view;
	uint64_t now;
	int result = xc_status_event(where, &event);

	*status = (struct xc_status){ .func = NULL };
	if (result != EBUSY || !xc_look_event(&event, &view))
		return xc_status_over(result);
	now = machine_cycles();
	*status = (struct xc_status){ .func = view.v_func,
		.flags = xc_status_flags(event.e_level) | (view.v_lazy ? XC_LAZY : 0),
		.sender = view.v_sender,
		.posted = view.v_targets,
		.begun = view.v_begun,
		.finished = view.v_finished,
		.age_ns = now > view.v_posted ? clock_cycles_to_ns(now - view.v_posted) : 0 };
	return 0;
}

static void
xc_status_add(struct cpuset *set, unsigned base, uint32_t mask)
{
	if (set != NULL)
		set->cs_word[base / 64] |= (uint64_t)mask << base % 64;
}

static void
xc_status_zero(struct cpuset *set)
{
	if (set != NULL)
		cpuset_zero(set);
}

int
xc_status_sets(uint64_t where, struct cpuset *posted, struct cpuset *begun, struct cpuset *finished)
{
	struct xc_event event = { .e_slot = NULL };
	uint32_t all, todo, unfinished;
	int result = xc_status_event(where, &event);

	xc_status_zero(posted);
	xc_status_zero(begun);
	xc_status_zero(finished);
	if (result != EBUSY)
		return xc_status_over(result);
	for (unsigned base = 0; base < ncpu; base += XC_GROUP_CPUS) {
		if (!xc_slot_group(event.e_sender, event.e_slot, where, base / XC_GROUP_CPUS, &all,
			&todo, &unfinished))
			continue;
		xc_status_add(posted, base, all);
		xc_status_add(begun, base, all & ~todo);
		xc_status_add(finished, base, all & ~unfinished);
	}
	if (xc_slot_result(event.e_slot, where) == EBUSY)
		return 0;
	xc_status_zero(posted);
	xc_status_zero(begun);
	xc_status_zero(finished);
	return 0;
}

/* --- a CPU ------------------------------------------------------------------------------------ */

static void
xc_status_print(struct xc_text *text)
{
	printf("%s\n", text->x_text);
	xc_text_clear(text);
}

/* The call in a slot of that owner, if the sender posted it. */
static void
xc_status_print_slot(
    const struct xc_cpu *sender, struct xc_cpu *owner, unsigned slot, struct xc_text *text)
{
	struct xc_view view;

	if (!xc_look_slot(owner, slot, &view) || view.v_sender != sender->x_ci->ci_index)
		return;
	xc_text_add(text, "  posted   ");
	xc_text_add_view(text, &view);
	xc_text_add(text, ": begun by %u of %u, finished by %u", view.v_begun, view.v_targets,
	    view.v_finished);
	xc_status_print(text);
}

static void
xc_status_print_posted(struct xc_cpu *xc, struct xc_text *text)
{
	struct cpu_info *ci;
	struct xc_cpu *owner;

	for (unsigned i = 0; i < XC_DIRECT; i++)
		xc_status_print_slot(xc, xc, i, text);
	CPU_INFO_FOREACH(ci)
		if ((owner = xc_cpu_lookup(ci->ci_index)) != NULL)
			xc_status_print_slot(xc, owner, XC_DIRECT, text);
}

/* Which senders may have something for it. */
static void
xc_status_print_inbox(const struct xc_cpu *xc, enum xc_level level, struct xc_text *text)
{
	const struct xc_inbox *inbox = &xc->x_inbox[level];
	uint64_t descriptors;

	if (!xc_inbox_pending(inbox))
		return;
	descriptors = atomic_load_explicit(&inbox->i_posted, memory_order_relaxed) -
	    atomic_load_explicit(&inbox->i_begun, memory_order_relaxed);
	xc_text_add(text, "  inbox    %s: %lu descriptors; calls of CPUs", xc_text_level(level),
	    descriptors);
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		if ((atomic_load_explicit(&inbox->i_senders[cpu / 64], memory_order_relaxed) >>
			    cpu % 64 &
			1) != 0)
			xc_text_add(text, " %u", cpu);
	xc_status_print(text);
}

/* Functions on top of its levels; below them stand those that wait. */
static void
xc_status_print_running(const struct xc_cpu *xc, enum xc_level level, struct xc_text *text)
{
	struct xc_standing top;

	if (!xc_look_top(xc, level, &top))
		return;
	xc_text_add(text, "  running  ");
	xc_text_add_top(text, xc, &top);
	if (xc_run_depth(&xc->x_stack[level]) > 1)
		xc_text_add(text, ", on top of %u more", xc_run_depth(&xc->x_stack[level]) - 1);
	xc_status_print(text);
}

void
xc_dump(const struct cpu_info *ci)
{
	struct xc_cpu *xc = xc_cpu_lookup(ci->ci_index);
	struct xc_text text;

	xc_text_clear(&text);
	if (xc == NULL) {
		printf("CPU %u: not set up for calls\n", ci->ci_index);
		return;
	}
	printf("CPU %u%s: %u calls in flight; marks: %#x notified, %#x lazy, %#x NMI\n",
	    ci->ci_index, xc_post_target(ci) != NULL ? "" : ", no target", xc_look_live(xc),
	    atomic_load_explicit(&xc->x_notify, memory_order_relaxed),
	    atomic_load_explicit(&xc->x_lazy, memory_order_relaxed),
	    atomic_load_explicit(&xc->x_nmi, memory_order_relaxed));
	xc_status_print_posted(xc, &text);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		xc_status_print_inbox(xc, (enum xc_level)level, &text);
	for (unsigned level = 0; level < XC_LEVELS; level++)
		xc_status_print_running(xc, (enum xc_level)level, &text);
}
