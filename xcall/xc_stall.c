/*
 * Waits that last too long.
 *
 * Background
 *
 * A CPU that does not answer says nothing about itself, and who waits for it knows only that it
 * waits.  What a person needs to find the fault is spread over the machine: how far the call is,
 * what the target runs, since when, whether it takes interrupts, where its program counter stands,
 * which lock it wants and who has that.
 *
 * Implementation
 *
 * Every wait of xcall/ has a struct xc_stall and shows it here in each turn.  After warn_ns it
 * reports; again when twice as long has passed, then four times, and so on.  A report collects who
 * is missing, announces the call again to those that never took it, asks the first few by NMI
 * (xc_probe.c), lets some time pass to see whether their interrupt counts move, and prints.  It is
 * made by the waiter, in its own context: a thread, or an interrupt with interrupts off.
 *
 * The looks follow the rules that every onlooker follows (xc_look.c): they own nothing, so no lock
 * is taken for them.  What a report collects is static, since stacks are small, and belongs to
 * whoever has set xc_stall_busy.  That is a flag to try, not a lock to wait for: a waiter that
 * finds it taken goes on waiting for its call and tries again soon.  So reports do not interleave,
 * and one that is made in an interrupt never waits for the one that it interrupted.  It announces
 * its call all the same: the report that it interrupted ends only after it.  The owner keeps its
 * CPU meanwhile, and between its looks it serves its own hard calls if its wait does.
 *
 * Several waiters for one call would all say the same: what was reported less than half of warn_ns
 * ago is left out.
 *
 * An announcement sends the interrupt even where one is marked as on its way, for that may be the
 * one that was lost; and enters the sender into the inbox once more.  Both cost the target an empty
 * look where nothing was lost.
 *
 * Rules for callers
 *
 *  - The clock is that of the waiter's CPU: it does not step, and it is compared with itself only.
 *  - Timed waits are reported too; panic_ns should be longer than the longest of them.
 *
 * Limits
 *
 * A target that stands still inside printf() holds the console, and the report with it.  The ages
 * of calls and functions compare the counters of two CPUs.
 */
#include "xcall/xc_stall.h"

#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_look.h"
#include "xcall/xc_probe.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_status.h"

/* Without a hypervisor, or with few CPUs; else a CPU may not run for long, for want of a host's. */
#define XC_STALL_WARN_NS 5000000000ull
#define XC_STALL_WARN_MANY_NS 60000000000ull
#define XC_STALL_MANY_CPUS 16u
/* Gaps double that often. */
#define XC_STALL_DOUBLINGS 16u

/* CPUs that a report describes. */
#define XC_STALL_FULL 4u
/* How long their interrupts are counted: some ticks. */
#define XC_STALL_SAMPLE_NS 50000000ull
/* How long an NMI's answer may take: on an emulator the target may not be on a host's CPU. */
#define XC_STALL_ANSWER_NS 1000000000ull
/* When a waiter tries again whose turn it was not; how long one waits for its turn to panic. */
#define XC_STALL_RETRY_NS 10000000ull
#define XC_STALL_PATIENCE_NS 3000000000ull

static struct {
	_Atomic uint64_t warn_ns, panic_ns;
	_Atomic bool resend, nmi;
} xc_stall_set;

/* One of those that are missing. */
struct xc_suspect {
	struct xc_cpu *s_cpu;
	struct xc_standing s_standing;
	uint64_t s_interrupts; /* before the pause */
	bool s_asked, s_stuck; /* s_stuck: no NMI could be sent */
};

/* What a report is about. */
struct xc_case {
	const char *c_what;           /* before the call, or without one */
	const struct xc_view *c_call; /* NULL: c_cpu owes it */
	struct xc_cpu *c_cpu;
	bool c_poll; /* the wait serves its CPU's hard calls */
};

/* Of who has set xc_stall_busy. */
static _Atomic bool xc_stall_busy;
static struct {
	struct xc_text headline, text;
	unsigned missing, by_stand[XC_STANDS], nsuspects, resent;
	struct xc_suspect suspect[XC_STALL_FULL];
	struct xc_ref last; /* the call of the last report, and when */
	uint64_t last_ns;
} xc_stall_report;

/* --- settings --------------------------------------------------------------------------------- */

uint64_t
xc_stall_default_ns(unsigned cpus, bool hypervisor)
{
	return hypervisor && cpus > XC_STALL_MANY_CPUS ? XC_STALL_WARN_MANY_NS : XC_STALL_WARN_NS;
}

void
xc_stall_config(uint64_t warn_ns, uint64_t panic_ns, bool resend, bool nmi)
{
	/* Relaxed: each is looked at by itself. */
	atomic_store_explicit(&xc_stall_set.warn_ns, warn_ns, memory_order_relaxed);
	atomic_store_explicit(&xc_stall_set.panic_ns, panic_ns, memory_order_relaxed);
	atomic_store_explicit(&xc_stall_set.resend, resend, memory_order_relaxed);
	atomic_store_explicit(&xc_stall_set.nmi, nmi, memory_order_relaxed);
}

void
xc_stall_settings(struct xc_stall_settings *settings)
{
	*settings = (struct xc_stall_settings){
		.warn_ns = atomic_load_explicit(&xc_stall_set.warn_ns, memory_order_relaxed),
		.panic_ns = atomic_load_explicit(&xc_stall_set.panic_ns, memory_order_relaxed),
		.resend = atomic_load_explicit(&xc_stall_set.resend, memory_order_relaxed),
		.nmi = atomic_load_explicit(&xc_stall_set.nmi, memory_order_relaxed),
	};
}

void
xc_stall_init(void)
{
	xc_stall_config(xc_stall_default_ns(ncpu, machine_hypervisor()), 0, true, true);
	xc_probe_init();
}

/* When the wait is to be looked at next. */
static uint64_t
xc_stall_next(const struct xc_stall *stall, uint64_t now)
{
	struct xc_stall_settings set;
	unsigned doublings = stall->l_reports < XC_STALL_DOUBLINGS ? stall->l_reports
								   : XC_STALL_DOUBLINGS;
	uint64_t next = UINT64_MAX;

	xc_stall_settings(&set);
	if (set.warn_ns != 0 && set.warn_ns < (UINT64_MAX - now) >> doublings)
		next = now + (set.warn_ns << doublings);
	if (set.panic_ns != 0 && set.panic_ns < next - stall->l_since_ns)
		next = stall->l_since_ns + set.panic_ns;
	return next;
}

void
xc_stall_begin(struct xc_stall *stall)
{
	uint64_t now = clock_ns();

	*stall = (struct xc_stall){ .l_since_ns = now };
	stall->l_next_ns = xc_stall_next(stall, now);
}

/* --- collecting ------------------------------------------------------------------------------- */

/* Once more, as if it had just been posted. */
static void
xc_stall_resend(const struct xc_view *view, struct xc_cpu *target)
{
	const struct xc_event *event = &view->v_event;

	if (event->e_slot != NULL)
		xc_inbox_add_sender(
		    &target->x_inbox[event->e_level], event->e_sender->x_ci->ci_index);
	xc_intr_resend(target, event->e_level);
	xc_stats_stall(xc_self(), true);
}

static void
xc_stall_suspect(struct xc_cpu *target, const struct xc_standing *standing)
{
	struct xc_suspect *suspect;

	xc_stall_report.missing++;
	xc_stall_report.by_stand[standing->t_stand]++;
	if (xc_stall_report.nsuspects == XC_STALL_FULL)
		return;
	suspect = &xc_stall_report.suspect[xc_stall_report.nsuspects++];
	*suspect = (struct xc_suspect){ .s_cpu = target,
		.s_standing = *standing,
		.s_interrupts = xc_look_interrupts(target->x_ci) };
}

/* Who is missing. */
static void
xc_stall_collect(const struct xc_case *case_)
{
	struct xc_standing standing = { .t_stand = XC_STAND_OVER };
	struct cpu_info *ci;
	struct xc_cpu *xc;

	xc_stall_report.missing = xc_stall_report.nsuspects = 0;
	for (unsigned i = 0; i < XC_STANDS; i++)
		xc_stall_report.by_stand[i] = 0;
	if (case_->c_call == NULL) {
		xc_stall_suspect(case_->c_cpu, &standing);
		return;
	}
	CPU_INFO_FOREACH(ci) {
		if ((xc = xc_cpu_lookup(ci->ci_index)) == NULL)
			continue;
		xc_look_target(case_->c_call, ci->ci_index, &standing);
		if (standing.t_stand != XC_STAND_OVER)
			xc_stall_suspect(xc, &standing);
	}
}

/* Whatever that CPU was told of: there is no call to look at. */
static void
xc_stall_announce_cpu(struct xc_cpu *target)
{
	xc_intr_resend(target, XC_NOTIFY_IPI);
	if (atomic_load_explicit(&target->x_nmi, memory_order_relaxed) != 0)
		xc_intr_resend(target, XC_LEVEL_NMI);
	xc_stats_stall(xc_self(), true);
}

/* Announces the call again to all that never took it; how many these were.  Any waiter. */
static unsigned
xc_stall_announce(const struct xc_case *case_)
{
	struct xc_standing standing;
	struct cpu_info *ci;
	unsigned n = 0;

	if (!atomic_load_explicit(&xc_stall_set.resend, memory_order_relaxed))
		return 0;
	if (case_->c_call == NULL) {
		xc_stall_announce_cpu(case_->c_cpu);
		return 1;
	}
	CPU_INFO_FOREACH(ci) {
		xc_look_target(case_->c_call, ci->ci_index, &standing);
		if (standing.t_stand == XC_STAND_UNTAKEN) {
			xc_stall_resend(case_->c_call, xc_cpu_lookup(ci->ci_index));
			n++;
		}
	}
	return n;
}

/* Asks the suspects, once a wait.  This CPU knows where it is, and a parked one hears nothing. */
static void
xc_stall_ask(struct xc_stall *stall)
{
	struct xc_suspect *suspect;

	if (stall->l_asked || !atomic_load_explicit(&xc_stall_set.nmi, memory_order_relaxed))
		return;
	stall->l_asked = true;
	for (unsigned i = 0; i < xc_stall_report.nsuspects; i++) {
		suspect = &xc_stall_report.suspect[i];
		suspect->s_asked = suspect->s_cpu->x_ci != curcpu() &&
		    cpu_online(suspect->s_cpu->x_ci) &&
		    xc_probe_ask(suspect->s_cpu, &suspect->s_stuck);
	}
}

static bool
xc_stall_answered(void)
{
	for (unsigned i = 0; i < xc_stall_report.nsuspects; i++)
		if (xc_stall_report.suspect[i].s_asked &&
		    !xc_probe_answered(xc_stall_report.suspect[i].s_cpu))
			return false;
	return true;
}

/* Announced again, and over: nothing is left to look at. */
static bool
xc_stall_rescued(const struct xc_case *case_)
{
	return xc_stall_report.resent != 0 && case_->c_call != NULL &&
	    xc_event_result(&case_->c_call->v_event) != EBUSY;
}

/* Until the interrupts of some ticks would have been counted, and the NMIs answered; how long that
 * was. */
static uint64_t
xc_stall_pause(const struct xc_case *case_)
{
	uint64_t begin = clock_ns(), passed = 0;

	while ((passed < XC_STALL_SAMPLE_NS && !xc_stall_rescued(case_)) ||
	    (passed < XC_STALL_ANSWER_NS && !xc_stall_answered())) {
		if (case_->c_poll)
			xc_intr_poll();
		xcp_pause();
		passed = clock_ns() - begin;
	}
	return passed;
}

/* --- printing --------------------------------------------------------------------------------- */

static void
xc_stall_headline(
    struct xc_text *text, const struct xc_stall *stall, const struct xc_case *case_, uint64_t now)
{
	const struct xc_view *call = case_->c_call;

	xc_text_clear(text);
	xc_text_add(text, "CPU %u, %sthread %s, waits for ", curcpu()->ci_index,
	    cpu_intr_p()           ? "an interrupt of "
		: cpu_softintr_p() ? "a soft interrupt of "
				   : "",
	    curlwp != NULL ? curlwp->l_name : "(none)");
	xc_text_add_ns(text, now - stall->l_since_ns);
	xc_text_add(text, ": %s", case_->c_what);
	if (call == NULL)
		return;
	xc_text_add_view(text, call);
	xc_text_add(text, ", finished by %u of %u", call->v_finished, call->v_targets);
}

static void
xc_stall_flush(struct xc_text *text)
{
	printf("xcall: %s\n", text->x_text);
	xc_text_clear(text);
}

/* The locks that it holds, if somebody keeps count. */
static void
xc_stall_print_held(const struct xc_cpu *xc)
{
	/* Acquire: pairs with the release in xc_thread_main(). */
	const lwp_t *thread = atomic_load_explicit(&xc->x_thread, memory_order_acquire);
	char lock[LOCKDEBUG_TEXT_BYTES];

	for (unsigned i = 0; lockdebug_held_by_cpu(xc->x_ci, i, lock) != NULL; i++)
		printf("xcall:   CPU %u holds %s\n", xc->x_ci->ci_index, lock);
	for (unsigned i = 0; thread != NULL && lockdebug_held_by_lwp(thread, i, lock) != NULL; i++)
		printf("xcall:   %s holds %s\n", thread->l_name, lock);
}

/* What that looks like of a call that was never taken. */
static const char *
xc_stall_untaken(const struct xc_suspect *suspect, enum xc_level level, bool rescued)
{
	uint64_t interrupts = xc_look_interrupts(suspect->s_cpu->x_ci) - suspect->s_interrupts;
	bool due = suspect->s_standing.t_due;

	if (suspect->s_stuck)
		return "this CPU's local APIC sends nothing";
	if (interrupts == 0 && suspect->s_asked && !xc_probe_answered(suspect->s_cpu))
		return "dead, or stays in an NMI";
	if (level == XC_LEVEL_NMI)
		return due ? "the NMI was lost" : "the notification was lost";
	if (interrupts == 0 && !rescued)
		return suspect->s_asked ? "interrupts off" : "interrupts off, or dead";
	if (due)
		return "the interrupt was lost, or came late";
	return level == XC_LEVEL_HARD || rescued ? "the notification was lost"
						 : "what serves its level does not run";
}

static void
xc_stall_print_likely(const struct xc_suspect *suspect, const struct xc_case *case_)
{
	static const char *const likely[XC_STANDS] = {
		[XC_STAND_QUEUED] = "the function before it does not return",
		[XC_STAND_RUNNING] = "its function does not return",
		[XC_STAND_UNSEEN] = "its end was not counted",
	};
	enum xc_stand stand = suspect->s_standing.t_stand;
	const char *what = likely[stand];

	if (stand == XC_STAND_UNTAKEN && case_->c_call != NULL)
		what = xc_stall_untaken(
		    suspect, case_->c_call->v_event.e_level, xc_stall_rescued(case_));
	if (what != NULL)
		printf("xcall:   CPU %u, likely: %s\n", suspect->s_cpu->x_ci->ci_index, what);
}

/* What is known of a CPU without its help. */
static void
xc_stall_print_cpu(const struct xc_suspect *suspect, const struct xc_view *call, uint64_t passed)
{
	const struct cpu_info *ci = suspect->s_cpu->x_ci;
	uint64_t interrupts = xc_look_interrupts(ci) - suspect->s_interrupts;
	struct xc_text *text = &xc_stall_report.text;
	struct xc_standing top = { .t_stand = XC_STAND_OVER };
	char lock[SPINLOCK_TEXT_BYTES];

	if (call != NULL) {
		xc_text_add(text, "  CPU %u: ", ci->ci_index);
		xc_text_add_standing(text, suspect->s_cpu, &suspect->s_standing);
		xc_stall_flush(text);
	}
	for (unsigned level = 0; level < XC_LEVELS && call == NULL; level++) {
		if (!xc_look_top(suspect->s_cpu, (enum xc_level)level, &top))
			continue;
		xc_text_add(text, "  CPU %u runs ", ci->ci_index);
		xc_text_add_top(text, suspect->s_cpu, &top);
		xc_stall_flush(text);
	}
	xc_text_add(text, "  CPU %u took %lu interrupts in %lu ms", ci->ci_index, interrupts,
	    passed / 1000000);
	if (!cpu_online(ci))
		xc_text_add(text, "; it is offline");
	else if (spinlock_wanted(ci, lock) != NULL)
		xc_text_add(text, "; it spins for %s", lock);
	xc_stall_flush(text);
	xc_stall_print_held(suspect->s_cpu);
}

static void
xc_stall_print_answer(const struct xc_suspect *suspect, uint64_t passed)
{
	if (suspect->s_stuck)
		printf("xcall:   CPU %u cannot be asked: no NMI could be sent\n",
		    suspect->s_cpu->x_ci->ci_index);
	if (!suspect->s_asked)
		return;
	if (xc_probe_answered(suspect->s_cpu))
		xc_probe_print(suspect->s_cpu);
	else
		printf("xcall:   CPU %u is silent: no answer to an NMI in %lu ms\n",
		    suspect->s_cpu->x_ci->ci_index, passed / 1000000);
	xc_probe_end(suspect->s_cpu);
}

static void
xc_stall_print_rest(const struct xc_case *case_)
{
	const unsigned *n = xc_stall_report.by_stand;

	if (xc_stall_report.missing > xc_stall_report.nsuspects)
		printf(
		    "xcall:   and %u more; of all: %u never taken, %u queued, %u running this, %u "
		    "finished with acknowledgement unseen\n",
		    xc_stall_report.missing - xc_stall_report.nsuspects, n[XC_STAND_UNTAKEN],
		    n[XC_STAND_QUEUED], n[XC_STAND_RUNNING], n[XC_STAND_UNSEEN]);
	if (xc_stall_report.resent != 0)
		printf("xcall:   announced again to %u\n", xc_stall_report.resent);
	if (xc_stall_report.missing == 0)
		printf("xcall:   %s\n",
		    xc_event_result(&case_->c_call->v_event) != EBUSY
			? "it is over by now"
			: "all CPUs have finished, acknowledgement unseen");
}

/* --- reports ---------------------------------------------------------------------------------- */

/* Who has set xc_stall_busy. */
static void
xc_stall_print(struct xc_stall *stall, const struct xc_case *case_, uint64_t now)
{
	struct xc_suspect *suspect;
	uint64_t passed;

	xc_stall_headline(&xc_stall_report.headline, stall, case_, now);
	printf("xcall: %s\n", xc_stall_report.headline.x_text);
	xc_text_clear(&xc_stall_report.text);
	xc_stall_collect(case_);
	xc_stall_ask(stall);
	xc_stall_report.resent = xc_stall_announce(case_);
	passed = xc_stall_pause(case_);
	for (unsigned i = 0; i < xc_stall_report.nsuspects; i++) {
		suspect = &xc_stall_report.suspect[i];
		/* It may have been about to enter its record. */
		if (suspect->s_standing.t_stand == XC_STAND_UNSEEN)
			xc_look_target(
			    case_->c_call, suspect->s_cpu->x_ci->ci_index, &suspect->s_standing);
		xc_stall_print_cpu(suspect, case_->c_call, passed);
		xc_stall_print_likely(suspect, case_);
		xc_stall_print_answer(suspect, passed);
	}
	xc_stall_print_rest(case_);
}

/* In the words of the report, as far as they are there. */
static _Noreturn void __attribute__((noinline))
xc_stall_panic(const struct xc_stall *stall, const struct xc_case *case_, uint64_t now)
{
	struct xc_text text, cpu;
	struct xc_standing standing = { .t_stand = XC_STAND_OVER };
	struct cpu_info *ci;

	xc_stall_headline(&text, stall, case_, now);
	xc_text_clear(&cpu);
	CPU_INFO_FOREACH(ci) {
		if (case_->c_call != NULL && xc_cpu_lookup(ci->ci_index) != NULL)
			xc_look_target(case_->c_call, ci->ci_index, &standing);
		if (standing.t_stand == XC_STAND_OVER)
			continue;
		xc_text_add(&cpu, "; CPU %u: ", ci->ci_index);
		xc_text_add_standing(&cpu, xc_cpu_lookup(ci->ci_index), &standing);
		break;
	}
	panic("xcall: %s%s", text.x_text, cpu.x_text);
}

/* Whether another waiter has just said the same. */
static bool
xc_stall_repeats(const struct xc_view *call, uint64_t now)
{
	struct xc_ref *last = &xc_stall_report.last;
	uint64_t warn = atomic_load_explicit(&xc_stall_set.warn_ns, memory_order_relaxed);
	bool repeats;

	if (call == NULL)
		return false;
	repeats = last->f_ticket == call->v_event.e_ref.f_ticket &&
	    last->f_call == call->v_event.e_ref.f_call && now - xc_stall_report.last_ns < warn / 2;
	if (!repeats) {
		*last = call->v_event.e_ref;
		xc_stall_report.last_ns = now;
	}
	return repeats;
}

static void
xc_stall_act(struct xc_stall *stall, const struct xc_case *case_, uint64_t now)
{
	uint64_t panic_ns = atomic_load_explicit(&xc_stall_set.panic_ns, memory_order_relaxed);
	bool panics = panic_ns != 0 && now - stall->l_since_ns >= panic_ns;

	if (!cpu_intr_p())
		kpreempt_disable();
	/* Acquire: pairs with the release below. */
	if (!atomic_exchange_explicit(&xc_stall_busy, true, memory_order_acquire)) {
		if (panics || !xc_stall_repeats(case_->c_call, now))
			xc_stall_print(stall, case_, now);
		if (panics)
			xc_stall_panic(stall, case_, now);
		stall->l_reports++;
		stall->l_next_ns = xc_stall_next(stall, now);
		xc_stats_stall(xc_self(), false);
		atomic_store_explicit(&xc_stall_busy, false, memory_order_release);
	} else if (panics && now - stall->l_since_ns - panic_ns > XC_STALL_PATIENCE_NS) {
		xc_stall_panic(stall, case_, now);
	} else {
		/* Who reports may be below on this very stack. */
		(void)xc_stall_announce(case_);
		stall->l_next_ns = now + XC_STALL_RETRY_NS;
	}
	if (!cpu_intr_p())
		kpreempt_enable();
}

void
xc_stall_check(struct xc_stall *stall, const struct xc_event *event)
{
	uint64_t now = clock_ns();
	struct xc_view view;

	if (now < stall->l_next_ns || !xc_look_event(event, &view))
		return;
	xc_stall_act(stall,
	    &(struct xc_case){
		.c_what = "", .c_call = &view, .c_poll = event->e_level == XC_LEVEL_HARD },
	    now);
}

void
xc_stall_check_room(struct xc_stall *stall, struct xc_cpu *self, enum xc_level level)
{
	uint64_t now = clock_ns();
	struct xc_view view;

	if (now < stall->l_next_ns || !xc_look_oldest(self, level, &view))
		return;
	xc_stall_act(stall,
	    &(struct xc_case){ .c_what = "room for a call; in the way is ",
		.c_call = &view,
		.c_poll = level >= XC_LEVEL_HARD },
	    now);
}

void
xc_stall_check_cpu(struct xc_stall *stall, const char *what, struct xc_cpu *target)
{
	uint64_t now = clock_ns();

	if (now >= stall->l_next_ns)
		xc_stall_act(stall, &(struct xc_case){ .c_what = what, .c_cpu = target }, now);
}
