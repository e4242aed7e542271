/*
 * Looking at calls and CPUs from outside.
 *
 * Whoever looks has no part in the call and must not disturb it: no lock, no store.  A slot may
 * serve another call at any moment, so what was read of it counts only if its state, looked at
 * before and after, is that of the same live call.  What a CPU runs is read from its stacks of
 * records (xc_run.c), which change under the look; so a standing is that of a moment, and
 * "finished, acknowledgement unseen" is also what a call shows in the instant between its claim and
 * its record; who reports a stall looks twice.
 */
#include "xcall/xc_look.h"

#include <stdarg.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_direct.h"
#include "xcall/xc_internal.h"

/* --- calls ------------------------------------------------------------------------------------ */

static unsigned
xc_look_count(uint32_t mask)
{
	unsigned n = 0;

	for (; mask != 0; mask &= mask - 1)
		n++;
	return n;
}

static bool
xc_look_ticket(const struct xc_event *event, struct xc_view *view)
{
	uint64_t ticket = event->e_ref.f_ticket;
	uint32_t posted, todo, unfinished;

	if (xc_slot_result(event->e_slot, ticket) != EBUSY)
		return false;
	view->v_func = atomic_load_explicit(&event->e_slot->s_func, memory_order_relaxed);
	view->v_posted = atomic_load_explicit(&event->e_slot->s_posted, memory_order_relaxed);
	view->v_lazy = atomic_load_explicit(&event->e_slot->s_lazy, memory_order_relaxed);
	view->v_sender = xc_slot_sender(event->e_sender, event->e_slot);
	for (unsigned group = 0; group * XC_GROUP_CPUS < ncpu; group++) {
		if (!xc_slot_group(
			event->e_sender, event->e_slot, ticket, group, &posted, &todo, &unfinished))
			continue;
		view->v_targets += xc_look_count(posted);
		view->v_begun += xc_look_count(posted & ~todo);
		view->v_finished += xc_look_count(posted & ~unfinished);
	}
	return xc_slot_result(event->e_slot, ticket) == EBUSY;
}

/* Its owner waits for it, so its memory is there. */
static bool
xc_look_descriptor(const struct xc_event *event, struct xc_view *view)
{
	const struct xc_call *call = event->e_ref.f_call;

	if (call == NULL)
		return false;
	view->v_func = call->c_func;
	view->v_posted = call->c_posted;
	view->v_lazy = atomic_load_explicit(&call->c_lazy, memory_order_relaxed);
	view->v_targets = 1;
	view->v_begun = (atomic_load_explicit(&call->c_state, memory_order_relaxed) &
			    XC_CALL_STATE) == XC_CALL_RUNNING;
	return xc_descriptor_result(call) == EBUSY;
}

bool
xc_look_event(const struct xc_event *event, struct xc_view *view)
{
	*view = (struct xc_view){ .v_event = *event };
	return event->e_slot != NULL ? xc_look_ticket(event, view)
				     : xc_look_descriptor(event, view);
}

bool
xc_look_slot(struct xc_cpu *sender, unsigned index, struct xc_view *view)
{
	struct xc_slot *slot = &sender->x_slot[index];
	/* Acquire: pairs with xc_slot_publish(). */
	uint64_t state = atomic_load_explicit(&slot->s_state, memory_order_acquire);
	struct xc_event event = { .e_ref = { .f_ticket = xc_slot_ticket(sender, slot, state) },
		.e_slot = slot,
		.e_sender = sender,
		.e_bucket = index % XC_BUCKETS,
		.e_level = xc_state_level(state) };

	return (state & XC_STATE_LIVE) != 0 && xc_look_event(&event, view);
}

bool
xc_look_oldest(struct xc_cpu *sender, enum xc_level level, struct xc_view *view)
{
	uint64_t order, oldest = UINT64_MAX;
	struct xc_view other;

	for (unsigned i = 0; i < XC_DIRECT; i++) {
		order = atomic_load_explicit(&sender->x_slot[i].s_order, memory_order_relaxed);
		if (order >= oldest || !xc_look_slot(sender, i, &other) ||
		    xc_slot_credit(other.v_event.e_level) != xc_slot_credit(level))
			continue;
		oldest = order;
		*view = other;
	}
	return oldest != UINT64_MAX;
}

unsigned
xc_look_live(const struct xc_cpu *sender)
{
	const struct cpu_info *ci;
	const struct xc_cpu *xc;
	unsigned n = 0;

	for (unsigned level = 0; level < XC_LEVELS; level++) {
		uint64_t live = atomic_load_explicit(&sender->x_live[level], memory_order_relaxed);

		n += xc_look_count((uint32_t)live) + xc_look_count((uint32_t)(live >> 32));
	}
	CPU_INFO_FOREACH(ci) {
		xc = xc_cpu_lookup(ci->ci_index);
		if (xc != NULL && xc_direct_live(xc) &&
		    xc_slot_sender(xc, xc->x_direct_slot) == sender->x_ci->ci_index)
			n++;
	}
	return n;
}

/* --- CPUs ------------------------------------------------------------------------------------- */

static void
xc_look_run(const struct xc_run *run, enum xc_level level, struct xc_standing *standing)
{
	standing->t_func = atomic_load_explicit(&run->r_func, memory_order_relaxed);
	standing->t_since = atomic_load_explicit(&run->r_since, memory_order_relaxed);
	standing->t_level = level;
	if (!xc_run_wait(run, &standing->t_wait))
		standing->t_wait = (struct xc_ref){ .f_ticket = 0 };
}

bool
xc_look_top(const struct xc_cpu *xc, enum xc_level level, struct xc_standing *standing)
{
	unsigned depth = xc_run_depth(&xc->x_stack[level]);

	if (depth != 0)
		xc_look_run(&xc->x_stack[level].k_run[depth - 1], level, standing);
	return depth != 0;
}

/* Whether the call itself stands on the CPU's stack. */
static bool
xc_look_runs(const struct xc_view *view, const struct xc_cpu *xc, struct xc_standing *standing)
{
	enum xc_level level = view->v_event.e_level;
	const struct xc_stack *stack = &xc->x_stack[level];

	for (unsigned i = 0; i < xc_run_depth(stack); i++) {
		if (xc_run_is(&stack->k_run[i], &view->v_event.e_ref)) {
			xc_look_run(&stack->k_run[i], level, standing);
			return true;
		}
	}
	return false;
}

/* Whether that CPU has begun the call, has returned from it; true and true for one that is no
 * target. */
static void
xc_look_bits(const struct xc_view *view, unsigned cpu, bool *begun, bool *finished)
{
	const struct xc_event *event = &view->v_event;
	uint32_t posted, todo, unfinished, bit = 1u << cpu % XC_GROUP_CPUS;
	uint32_t state;

	*begun = *finished = true;
	if (event->e_slot != NULL) {
		if (!xc_slot_group(event->e_sender, event->e_slot, event->e_ref.f_ticket,
			cpu / XC_GROUP_CPUS, &posted, &todo, &unfinished))
			return;
		*begun = (todo & bit) == 0;
		*finished = (unfinished & bit) == 0;
	} else if (event->e_ref.f_call->c_target->ci_index == cpu) {
		state = atomic_load_explicit(&event->e_ref.f_call->c_state, memory_order_relaxed) &
		    XC_CALL_STATE;
		*begun = state != XC_CALL_POSTED;
		*finished = *begun && state != XC_CALL_RUNNING;
	}
}

void
xc_look_target(const struct xc_view *view, unsigned cpu, struct xc_standing *standing)
{
	const struct xc_cpu *xc = xc_cpu_lookup(cpu);
	const struct xc_event *event = &view->v_event;
	enum xc_level level = event->e_level;
	bool begun, finished, above = false;

	*standing = (struct xc_standing){ .t_stand = XC_STAND_OVER };
	xc_look_bits(view, cpu, &begun, &finished);
	if (xc == NULL || finished)
		return;
	if (xc_look_runs(view, xc, standing)) {
		standing->t_stand = XC_STAND_RUNNING;
		return;
	}
	if (begun) {
		standing->t_stand = XC_STAND_UNSEEN;
		return;
	}
	/* What runs at its own level it waits for; else what runs above keeps it off. */
	for (unsigned l = level; l < XC_LEVELS && !above; l++)
		above = xc_look_top(xc, (enum xc_level)l, standing);
	standing->t_stand = above ? XC_STAND_QUEUED : XC_STAND_UNTAKEN;
	standing->t_due = level == XC_LEVEL_NMI
	    ? atomic_load_explicit(&xc->x_nmi, memory_order_relaxed) != 0
	    : atomic_load_explicit(&xc->x_notify, memory_order_relaxed) != 0 ||
		(event->e_slot != NULL && event->e_slot == &event->e_sender->x_slot[XC_WIDE]);
}

uint64_t
xc_look_interrupts(const struct cpu_info *ci)
{
	uint64_t sum = 0;

	for (unsigned i = 0; i < CPU_VECTORS; i++)
		sum += atomic_load_explicit(&ci->ci_intr_count[i], memory_order_relaxed);
	return sum;
}

/* --- words ------------------------------------------------------------------------------------ */

void
xc_text_clear(struct xc_text *text)
{
	text->x_length = 0;
	text->x_text[0] = '\0';
}

void
xc_text_add(struct xc_text *text, const char *fmt, ...)
{
	size_t left = XC_TEXT_BYTES - text->x_length;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text->x_text + text->x_length, left, fmt, ap);
	va_end(ap);
	text->x_length += (size_t)n < left ? (size_t)n : left - 1;
}

void
xc_text_add_ns(struct xc_text *text, uint64_t ns)
{
	uint64_t ms = ns / 1000000;

	xc_text_add(text, "%lu.%03lu s", ms / 1000, ms % 1000);
}

/* How long ago that was; the counters of two CPUs may differ a little. */
static uint64_t
xc_text_age(uint64_t cycles)
{
	uint64_t now = machine_cycles();

	return now > cycles ? clock_cycles_to_ns(now - cycles) : 0;
}

/* "since 12.300 s (5.012 s ago)": time since boot, of a moment in cycles. */
static void
xc_text_add_since(struct xc_text *text, uint64_t cycles)
{
	uint64_t age = xc_text_age(cycles), now = clock_ns();

	xc_text_add(text, "since ");
	xc_text_add_ns(text, now > age ? now - age : 0);
	xc_text_add(text, " (");
	xc_text_add_ns(text, age);
	xc_text_add(text, " ago)");
}

const char *
xc_text_level(enum xc_level level)
{
	static const char *const names[XC_LEVELS] = {
		[XC_LEVEL_LOW] = "low",
		[XC_LEVEL_SOFTCLOCK] = "softclock",
		[XC_LEVEL_SOFTBIO] = "softbio",
		[XC_LEVEL_SOFTNET] = "softnet",
		[XC_LEVEL_SOFTSERIAL] = "softserial",
		[XC_LEVEL_HARD] = "hard",
		[XC_LEVEL_NMI] = "NMI",
	};

	return names[level];
}

static void
xc_text_add_ref(struct xc_text *text, const struct xc_ref *ref)
{
	struct xc_cpu *owner;
	const struct xc_slot *slot;

	if (ref->f_ticket != 0) {
		slot = xc_slot_lookup(ref->f_ticket, &owner);
		xc_text_add(
		    text, "call %#lx of CPU %u", ref->f_ticket, xc_slot_sender(owner, slot));
	} else {
		xc_text_add(text, "the descriptor at %p", (void *)ref->f_call);
	}
}

void
xc_text_add_view(struct xc_text *text, const struct xc_view *view)
{
	char name[KSYMS_TEXT_BYTES];

	xc_text_add_ref(text, &view->v_event.e_ref);
	if (view->v_event.e_ref.f_ticket == 0)
		xc_text_add(text, " of CPU %u", view->v_event.e_sender->x_ci->ci_index);
	xc_text_add(text, ": %s, %s%s, posted ", ksyms_format((uintptr_t)view->v_func, name),
	    xc_text_level(view->v_event.e_level), view->v_lazy ? ", lazy" : "");
	xc_text_add_ns(text, xc_text_age(view->v_posted));
	xc_text_add(text, " ago");
}

/* ", which waits for call 0x40003 of CPU 3", or for a mutex, when it does. */
static void
xc_text_add_wait(struct xc_text *text, const struct xc_cpu *xc, const struct xc_standing *standing)
{
	const lwp_t *thread, *owner;
	const kmutex_t *mutex;
	const char *name;

	if (standing->t_wait.f_ticket != 0 || standing->t_wait.f_call != NULL) {
		xc_text_add(text, ", which waits for ");
		xc_text_add_ref(text, &standing->t_wait);
		return;
	}
	/* Acquire: pairs with xc_thread_main(); the second with mutex_sleep(). */
	thread = atomic_load_explicit(&xc->x_thread, memory_order_acquire);
	if (standing->t_level != XC_LEVEL_LOW || thread == NULL)
		return;
	mutex = atomic_load_explicit(&thread->l_blocked_on, memory_order_acquire);
	if (mutex == NULL)
		return;
	/* It exists while it is slept for; an owner that has ended stays readable. */
	name = mutex->mtx_name;
	owner = mutex_owner(mutex);
	if (atomic_load_explicit(&thread->l_blocked_on, memory_order_acquire) == mutex)
		xc_text_add(text, ", which sleeps for mutex %s, owned by %s", name,
		    owner != NULL ? owner->l_name : "nobody");
}

void
xc_text_add_top(struct xc_text *text, const struct xc_cpu *xc, const struct xc_standing *standing)
{
	char name[KSYMS_TEXT_BYTES];

	xc_text_add(text, "%s (%s) ", ksyms_format((uintptr_t)standing->t_func, name),
	    xc_text_level(standing->t_level));
	xc_text_add_since(text, standing->t_since);
	xc_text_add_wait(text, xc, standing);
}

void
xc_text_add_standing(
    struct xc_text *text, const struct xc_cpu *xc, const struct xc_standing *standing)
{
	switch (standing->t_stand) {
	case XC_STAND_UNTAKEN:
		xc_text_add(text, "never taken, %s", standing->t_due ? "notified" : "not notified");
		break;
	case XC_STAND_QUEUED:
		xc_text_add(text, "queued behind ");
		xc_text_add_top(text, xc, standing);
		break;
	case XC_STAND_RUNNING:
		xc_text_add(text, "running this ");
		xc_text_add_since(text, standing->t_since);
		xc_text_add_wait(text, xc, standing);
		break;
	case XC_STAND_UNSEEN:
		xc_text_add(text, "finished, acknowledgement unseen");
		break;
	case XC_STAND_OVER:
		xc_text_add(text, "finished");
		break;
	case XC_STANDS:
		break;
	}
}

/* --- in a panic ------------------------------------------------------------------------------- */

static void
xc_look_print_run(const struct xc_run *run, enum xc_level level)
{
	struct xc_ref ref = {
		.f_ticket = atomic_load_explicit(&run->r_ticket, memory_order_relaxed),
		.f_call = atomic_load_explicit(&run->r_call, memory_order_relaxed),
	};
	char name[KSYMS_TEXT_BYTES];
	struct xc_text text;

	xc_text_clear(&text);
	xc_text_add(&text, "in ");
	if (ref.f_ticket != 0 || ref.f_call != NULL)
		xc_text_add_ref(&text, &ref);
	else
		xc_text_add(&text, "ipi(9)");
	xc_text_add(&text, ": %s (%s) ",
	    ksyms_format((uintptr_t)atomic_load_explicit(&run->r_func, memory_order_relaxed), name),
	    xc_text_level(level));
	xc_text_add_since(&text, atomic_load_explicit(&run->r_since, memory_order_relaxed));
	printf("%s\n", text.x_text);
}

/* Innermost first: what has struck is on top.  A low call may be one of another thread's time. */
static void
xc_look_note(void)
{
	const struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	for (unsigned level = XC_LEVELS; xc != NULL && level-- > 0;)
		for (unsigned i = xc_run_depth(&xc->x_stack[level]); i-- > 0;)
			xc_look_print_run(&xc->x_stack[level].k_run[i], (enum xc_level)level);
}

void
xc_look_init(void)
{
	panic_establish(xc_look_note);
}
