/*
 * Cross calls: posts.
 *
 * Background
 *
 * Some state belongs to one CPU: its local timer, its translations, data that it alone writes.
 * Whoever wants it changed has to have a function run over there.
 *
 * Implementation
 *
 * One call, read along its way (a hard one to one CPU, or to all, may go straight: xc_direct.c,
 * xc_wide.c):
 *
 *	xc_unicast_slot()	checks the caller (xcall.c)
 *	xc_slot_take()		finds a slot of the sender's CPU (xc_slot.c)
 *	xc_slot_publish()	makes it live and gives it its ticket
 *	xc_inbox_add_sender()	enters the sender into the target's inbox (xc_inbox.c)
 *	xc_intr_notify()	sends an interrupt, unless one is on its way (xc_intr.c)
 *	xc_intr_handler()	the target's interrupt: serves or schedules (xc_thread.c)
 *	xc_inbox_next()		begins the call whose turn it is
 *	xc_run_job()		runs it and checks it on its way out (xc_run.c)
 *	xc_slot_finish()	the last target ends the call and wakes who waits
 *	xc_wait()		sees the end of this very call (xc_wait.c)
 *
 * No lock is taken on the way from the post to the interrupt, none is global, and nothing
 * allocates.
 *
 * A post is one section with interrupts off, from the look at who is a target to the notification
 * of the last one.  So the posts of a CPU are made one at a time, and on its way out a CPU knows
 * that every post which still took it for a target is over once all others have taken an interrupt
 * (xc_cpu.c).  A function may spin until its fellows on the other CPUs have begun: nobody takes the
 * sender's CPU away between telling two of them.
 *
 * Which CPUs are targets: xc_cpu.c has the set.  While it is empty the machine has one CPU that
 * runs, and calls run inline on it.
 *
 * Rules for callers
 *
 *  - Who may do what stands with each function in xcall.h; it is asserted here.
 *  - The arguments must stay alive until the call is over, not longer.
 *  - Do not wait while holding what the function needs.
 *
 * Limits
 *
 * A call to a set fills in and notifies with interrupts off, in time linear in the CPUs, unless it
 * is a hard one to all.  A target that never schedules its xcall/N, or keeps interrupts off for
 * ever, is waited for; xc_stall.c says so.
 */
#include "xcall/xcall.h"

#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_post.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_stats.h"
#include "xcall/xc_thread.h"
#include "xcall/xc_wide.h"

#define XC_FLAGS_LEVEL (XC_HIGHPRI | XC_HARD | XC_NMI)
#define XC_FLAGS_ALL (XC_FLAGS_LEVEL | XC_NOSELF | XC_TRY | XC_LAZY | XC_IPL_MASK)
/* The soft levels as NetBSD encodes them; serial is 0, so that plain XC_HIGHPRI is that. */
#define XC_IPL_SHIFT 8
static const enum xc_level xc_soft_level[] = { XC_LEVEL_SOFTSERIAL, XC_LEVEL_SOFTNET,
	XC_LEVEL_SOFTBIO, XC_LEVEL_SOFTCLOCK };

unsigned
xc_encode_ipl(int ipl)
{
	switch (ipl) {
	case IPL_SOFTSERIAL:
		return 0;
	case IPL_SOFTNET:
		return 1 << XC_IPL_SHIFT;
	case IPL_SOFTBIO:
		return 2 << XC_IPL_SHIFT;
	case IPL_SOFTCLOCK:
		return 3 << XC_IPL_SHIFT;
	default:
		panic("xc_encode_ipl: %d is not a soft interrupt level", ipl);
	}
}

/* --- what a post may be ----------------------------------------------------------------------- */

enum xc_level
xc_post_level(const char *who, unsigned flags)
{
	unsigned kind = flags & XC_FLAGS_LEVEL, soft = (flags & XC_IPL_MASK) >> XC_IPL_SHIFT;

	KASSERTMSG((flags & ~XC_FLAGS_ALL) == 0, "%s: unknown flags %#x", who, flags);
	KASSERTMSG((kind & (kind - 1)) == 0 && (soft == 0 || kind == XC_HIGHPRI) &&
		!(kind == XC_NMI && (flags & XC_LAZY) != 0),
	    "%s: contradictory flags %#x", who, flags);
	KASSERTMSG(soft < sizeof(xc_soft_level) / sizeof(xc_soft_level[0]),
	    "%s: invalid IPL in flags %#x", who, flags);
	return kind == 0         ? XC_LEVEL_LOW
	    : kind == XC_HIGHPRI ? xc_soft_level[soft]
	    : kind == XC_HARD    ? XC_LEVEL_HARD
				 : XC_LEVEL_NMI;
}

enum xc_level
xc_post_assert(const char *who, unsigned flags, xcfunc_t func)
{
	KASSERTMSG(!cpu_nmi_p(), "%s: in an NMI", who);
	KASSERTMSG(func != NULL, "%s: NULL function", who);
	return xc_post_level(who, flags);
}

/* Before the other CPUs are up: in the context that was asked for as far as one CPU without
 * interrupts from others has it. */
void
xc_post_early(enum xc_level level, xcfunc_t func, void *arg1, void *arg2)
{
	bool on;

	if (level == XC_LEVEL_LOW) {
		xc_run_function(func, arg1, arg2);
		return;
	}
	on = intr_enter();
	xc_run_function(func, arg1, arg2);
	intr_leave(on);
}

void
xc_post_notify(
    struct xc_cpu *self, struct xc_cpu *target, enum xc_level level, unsigned flags, bool intr)
{
	if ((flags & XC_LAZY) != 0)
		xc_intr_notify_lazy(target, level);
	else
		xc_intr_notify(self, target, level, intr);
}

/* --- posts ------------------------------------------------------------------------------------ */

/* A post on its way. */
struct xc_post {
	unsigned p_flags;
	enum xc_level p_level;
	xcfunc_t p_func;
	void *p_arg1, *p_arg2;
	struct xc_cpu *p_self;
};

/* A slot with the call in it; NULL: no room, and try again when true is returned, with interrupts
 * as `intr` says and on again meanwhile. */
static struct xc_slot *
xc_post_take(const struct xc_post *post, bool wide)
{
	struct xc_slot *slot = xc_slot_take(post->p_self, post->p_level, wide);

	if (slot != NULL) {
		/* Relaxed: the state that makes the call live comes after them. */
		atomic_store_explicit(&slot->s_func, post->p_func, memory_order_relaxed);
		slot->s_arg1 = post->p_arg1;
		slot->s_arg2 = post->p_arg2;
		atomic_store_explicit(
		    &slot->s_lazy, (post->p_flags & XC_LAZY) != 0, memory_order_relaxed);
	}
	return slot;
}

/* No room: waits for some, if the caller may; false: it may not.  Interrupts as they were before
 * the post. */
static bool
xc_post_wait(const struct xc_post *post, bool wide, struct xc_stall *stall)
{
	if (stall->l_since_ns == 0) {
		xc_stats_full(post->p_self, post->p_level);
		xc_stall_begin(stall);
	}
	if ((post->p_flags & XC_TRY) != 0)
		return false;
	if (xcp_unsleepable() == NULL && xc_thread_self() == NULL) {
		xc_thread_sleep_slot(post->p_self, post->p_level, wide, stall);
		return true;
	}
	if (post->p_level < XC_LEVEL_HARD || curcpu()->ci_spin_depth != 0)
		return false;
	xc_intr_poll();
	xc_stall_check_room(stall, post->p_self, post->p_level);
	xcp_pause();
	return true;
}

static uint64_t
xc_post_one(const struct xc_post *post, struct cpu_info *ci)
{
	struct xc_stall stall = { .l_since_ns = 0 };
	struct xc_cpu *target;
	struct xc_slot *slot;
	uint64_t ticket;
	bool intr;

	for (;;) {
		intr = machine_intr_disable();
		target = xc_post_target(ci);
		slot = target != NULL ? xc_post_take(post, false) : NULL;
		if (slot != NULL)
			break;
		machine_intr_restore(intr);
		if (target == NULL)
			return XC_ERROR(EHOSTDOWN);
		if (!xc_post_wait(post, false, &stall))
			return XC_ERROR(EBUSY);
	}
	xc_slot_target(post->p_self, slot, ci->ci_index - ci->ci_index % XC_GROUP_CPUS,
	    1u << ci->ci_index % XC_GROUP_CPUS);
	ticket = xc_slot_publish(post->p_self, slot, post->p_level);
	xc_inbox_add_sender(&target->x_inbox[post->p_level], post->p_self->x_ci->ci_index);
	xc_stats_post(post->p_self, post->p_level, true);
	xc_post_notify(post->p_self, target, post->p_level, post->p_flags, intr);
	machine_intr_restore(intr);
	return ticket;
}

/* Tells all of the set; the own CPU last. */
static void
xc_post_notify_set(const struct xc_post *post, const struct cpuset *set, bool intr)
{
	struct xc_cpu *self = post->p_self, *target;
	unsigned own = self->x_ci->ci_index;

	for (unsigned w = 0; w < xc_cpu_words(); w++) {
		for (uint64_t bits = set->cs_word[w]; bits != 0; bits &= bits - 1) {
			target = xc_cpu_lookup(w * 64 + (unsigned)__builtin_ctzll(bits));
			xc_inbox_add_sender(&target->x_inbox[post->p_level], own);
			if (target != self)
				xc_post_notify(self, target, post->p_level, post->p_flags, intr);
		}
	}
	if (cpuset_has(set, own))
		xc_post_notify(self, self, post->p_level, post->p_flags, intr);
}

/* Fills the groups of the slot with the set. */
static void
xc_post_target_set(const struct xc_post *post, struct xc_slot *slot, const struct cpuset *set)
{
	unsigned base;
	uint32_t mask;

	for (unsigned w = 0; w < xc_cpu_words(); w++) {
		for (unsigned part = 0; part < 64 / XC_GROUP_CPUS; part++) {
			base = w * 64 + part * XC_GROUP_CPUS;
			mask = set->cs_word[w] >> part * XC_GROUP_CPUS & XC_GROUP_MASK;
			if (mask != 0)
				xc_slot_target(post->p_self, slot, base, mask);
		}
	}
}

/* How many groups the members stand in: none, one, or two for more than one. */
static unsigned
xc_post_groups(const struct cpuset *set)
{
	unsigned groups = 0;

	for (unsigned w = 0; w < xc_cpu_words() && groups < 2; w++)
		for (uint64_t bits = set->cs_word[w]; bits != 0 && groups < 2; groups++)
			bits &= ~((uint64_t)XC_GROUP_MASK
			    << __builtin_ctzll(bits) / XC_GROUP_CPUS * XC_GROUP_CPUS);
	return groups;
}

/* No target: there was nobody to call, or none of those is online. */
static uint64_t
xc_post_nobody(const struct xc_post *post, const struct cpuset *set)
{
	unsigned own = post->p_self->x_ci->ci_index;

	if (set == NULL || cpuset_empty(set) ||
	    ((post->p_flags & XC_NOSELF) != 0 && cpuset_first(set) == own &&
		cpuset_next(set, own) == CPUSET_END))
		return 0;
	return XC_ERROR(EHOSTDOWN);
}

/* Posts to the targets among the members; NULL: all CPUs. */
static uint64_t
xc_post_set(const struct xc_post *post, const struct cpuset *set)
{
	struct xc_stall stall = { .l_since_ns = 0 };
	struct cpuset targets;
	struct xc_slot *slot;
	unsigned groups;
	uint64_t ticket;
	bool intr;

	for (;;) {
		intr = machine_intr_disable();
		xc_cpu_targets(&targets, set);
		if ((post->p_flags & XC_NOSELF) != 0)
			cpuset_remove(&targets, post->p_self->x_ci->ci_index);
		groups = xc_post_groups(&targets);
		slot = groups != 0 ? xc_post_take(post, groups > 1) : NULL;
		if (slot != NULL)
			break;
		machine_intr_restore(intr);
		if (groups == 0)
			return xc_post_nobody(post, set);
		if (!xc_post_wait(post, groups > 1, &stall))
			return XC_ERROR(EBUSY);
	}
	xc_post_target_set(post, slot, &targets);
	ticket = xc_slot_publish(post->p_self, slot, post->p_level);
	xc_stats_post(post->p_self, post->p_level, false);
	/* The slot is the targets' now and may be over already: it must not be read again. */
	xc_post_notify_set(post, &targets, intr);
	machine_intr_restore(intr);
	return ticket;
}

/* --- the calls -------------------------------------------------------------------------------- */

uint64_t
xc_unicast_slot(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci)
{
	struct xc_post post = { flags, xc_post_assert("xc_unicast", flags, func), func, arg1, arg2,
		xc_self() };

	KASSERTMSG(ci != NULL, "xc_unicast: NULL ci");
	KASSERTMSG(cpu_lookup(ci->ci_index) == ci, "xc_unicast: foreign ci %p", (void *)ci);
	KASSERTMSG((flags & XC_NOSELF) == 0, "xc_unicast: XC_NOSELF is for sets of CPUs");
	if (xc_post_early_p()) {
		if (ci != curcpu())
			return XC_ERROR(EHOSTDOWN);
		xc_stats_early(true);
		xc_post_early(post.p_level, func, arg1, arg2);
		return 0;
	}
	if (post.p_self == NULL)
		return XC_ERROR(EHOSTDOWN);
	return xc_post_one(&post, ci);
}

static uint64_t
xc_post_many(const char *who, unsigned flags, xcfunc_t func, void *arg1, void *arg2,
    const struct cpuset *set)
{
	struct xc_post post = { flags, xc_post_assert(who, flags, func), func, arg1, arg2,
		xc_self() };

	if (xc_post_early_p()) {
		if ((flags & XC_NOSELF) == 0 &&
		    (set == NULL || cpuset_has(set, curcpu()->ci_index))) {
			xc_stats_early(false);
			xc_post_early(post.p_level, func, arg1, arg2);
		}
		return 0;
	}
	if (post.p_self == NULL)
		return XC_ERROR(EHOSTDOWN);
	return xc_post_set(&post, set);
}

uint64_t
xc_broadcast(unsigned flags, xcfunc_t func, void *arg1, void *arg2)
{
	uint64_t ticket = xc_wide_post(flags, func, arg1, arg2);

	return ticket != 0 ? ticket : xc_post_many("xc_broadcast", flags, func, arg1, arg2, NULL);
}

uint64_t
xc_multicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, const struct cpuset *set)
{
	KASSERTMSG(set != NULL, "xc_multicast: NULL set");
	return xc_post_many("xc_multicast", flags, func, arg1, arg2, set);
}

uint64_t
xc_cond(
    unsigned flags, xcpred_t pred, xcfunc_t func, void *arg1, void *arg2, const struct cpuset *set)
{
	struct cpuset wanted;

	KASSERTMSG(set != NULL && pred != NULL, "xc_cond: NULL set or predicate");
	cpuset_zero(&wanted);
	for (unsigned i = cpuset_first(set); i != CPUSET_END; i = cpuset_next(set, i))
		if (cpu_lookup(i) != NULL && pred(cpu_lookup(i), arg1, arg2))
			cpuset_add(&wanted, i);
	return xc_post_many("xc_cond", flags, func, arg1, arg2, &wanted);
}

/* The member nearest to this CPU among those that are targets now; NULL when none is. */
static struct cpu_info *
xc_post_nearest(const struct cpuset *set, bool noself)
{
	struct cpu_info *self = curcpu(), *ci, *best = NULL;
	struct cpuset targets;

	cpuset_zero(&targets);
	xc_cpu_targets(&targets, set);
	for (unsigned i = cpuset_first(&targets); i != CPUSET_END; i = cpuset_next(&targets, i)) {
		ci = cpu_lookup(i);
		if (noself && ci == self)
			continue;
		if (best == NULL || cpu_distance(self, ci) < cpu_distance(self, best))
			best = ci;
	}
	return best;
}

uint64_t
xc_any(unsigned flags, xcfunc_t func, void *arg1, void *arg2, const struct cpuset *set)
{
	struct xc_post post = { flags, xc_post_assert("xc_any", flags, func), func, arg1, arg2,
		xc_self() };
	struct cpu_info *ci;
	uint64_t ticket;

	KASSERTMSG(set != NULL, "xc_any: NULL set");
	if (xc_post_early_p())
		return xc_post_many("xc_any", flags, func, arg1, arg2, set);
	if (post.p_self == NULL)
		return XC_ERROR(EHOSTDOWN);
	/* One that leaves between the choice and the post is passed over. */
	do {
		ci = xc_post_nearest(set, (flags & XC_NOSELF) != 0);
		if (ci == NULL)
			return XC_ERROR(EHOSTDOWN);
		ticket = xc_post_one(&post, ci);
	} while (ticket == XC_ERROR(EHOSTDOWN));
	return ticket;
}
