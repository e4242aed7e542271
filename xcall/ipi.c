/*
 * ipi(9): registered interrupts between CPUs that coalesce, and messages of the caller's.
 *
 * Background
 *
 * A cross call by ticket may be refused, and costs a slot.  Two users want less.  One has the same
 * thing to say over and over, "look at your queue", and once is as good as ten times: a trigger.
 * The other has memory of its own that outlives the call, as it waits for it anyway: a message.
 *
 * Implementation
 *
 * A trigger is a bit in the target's i_pending; who sets it first announces it, in the word of all
 * notifications (xc_intr.c).  The target clears the bit, then runs the handler: a trigger that
 * finds the bit set shares a run that has not begun.
 *
 * A message is a pointer in the target's mailbox, a line of them, put into an empty place by
 * compare-and-swap and taken out by exchange.  _pending counts who has not returned; targets count
 * it down while the sender still counts whom it has sent to, and he adds their number once, in the
 * end.  What a CPU with interrupts off sends to itself is chained, so that it always has room.
 *
 * Both are one section with interrupts off, from the look at the set of targets to the
 * notification, as every post: so xc_cpu_dying() finds all that was sent in its last drain
 * (xc_cpu.c).  A sender that finds a mailbox full leaves the section, serves its own CPU, and looks
 * anew.
 *
 * Handlers stand on the stack of the hard level as functions do: they nest up to XC_DEPTH_MAX
 * together with them.  Places and bits are taken one at a time, so that what is served in a
 * handler's wait includes all that this drain has not come to.
 *
 * When a handler is unregistered, in this order:
 *	- xc_ipi_open loses the bit: later triggers panic.
 *	- A barrier: triggers that saw the bit are over, for they had interrupts off.
 *	- Each CPU's i_pending and i_running have lost the bit.  The target enters i_running before
 *	  it leaves i_pending: who sees it gone from both, looking in this order, sees a handler
 *	  that has returned.
 *	- The table's entry is free.
 * The barrier alone would not do: it is served in the wait of a handler that has not returned.
 *
 * Rules for callers
 *
 *  - A message is the subsystem's from the send to the end of ipi_wait().
 *  - Who holds a spinlock and finds a mailbox full cannot serve its own CPU: it spins until the
 *    target takes something out, which must not need that lock.
 *
 * Limits
 *
 * Messages of one sender may overtake each other.  Rejected: a list through the messages, which a
 * message to several CPUs could be on only once.
 */
#include "xcall/ipi.h"

#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_ipi.h"
#include "xcall/xc_look.h"
#include "xcall/xc_post.h"
#include "xcall/xc_run_hard.h"
#include "xcall/xc_stall.h"
#include "xcall/xc_stop.h"

/* How long ipi_unregister() sleeps between two looks. */
#define XC_IPI_LOOK_NS 1000000ull

#define XC_IPI_ROOM (CACHE_LINE_BYTES / sizeof(ipi_msg_t *))

/* A message whose handler is on the stack of this CPU; on that stack. */
struct xc_ipi_frame {
	const ipi_msg_t *f_msg;
	struct xc_ipi_frame *f_below;
};

/*
 * Locking keys:
 *	a	atomic; partners are named where it is read and written
 *	h	the CPU itself with interrupts off
 */
struct xc_ipi_cpu {
	_Atomic uint32_t i_pending;       /* a: triggers, a bit each */
	_Atomic uint32_t i_running;       /* a, h: handlers of triggers on the stack, a bit each */
	struct xc_ipi_frame *i_frames;    /* h: innermost first */
	struct ipi_msg *i_first, **i_end; /* h: messages to itself, oldest first */
	_Atomic(ipi_msg_t *) i_box[XC_IPI_ROOM] /* a: messages of others */
	    __attribute__((aligned(CACHE_LINE_BYTES)));
};

/* Written before xc_ipi_open has the bit, constant while it has. */
static struct xc_ipi_entry {
	ipi_func_t e_func;
	void *e_arg;
} xc_ipi_table[IPI_MAXREG] = { [XC_IPI_STOP] = { xc_stop_intr, NULL } };

/* Entries that are somebody's; those that may be triggered. */
static _Atomic uint32_t xc_ipi_taken = 1u << XC_IPI_STOP;
static _Atomic uint32_t xc_ipi_open;

static struct evcnt xc_ipi_full_ev;

void
xc_ipi_init(void)
{
	evcnt_attach_dynamic(&xc_ipi_full_ev, EVCNT_TYPE_MISC, NULL, "ipi", "full");
}

void
xc_ipi_init_cpu(struct xc_cpu *xc)
{
	xc->x_ipi = kmem_boot_alloc(sizeof(*xc->x_ipi));
	xc->x_ipi->i_end = &xc->x_ipi->i_first;
}

static void
xc_ipi_assert(const char *who)
{
	KASSERTMSG(!cpu_nmi_p(), "%s: in an NMI", who);
}

static void
xc_ipi_assert_cpu(const char *who, const struct cpu_info *ci)
{
	KASSERTMSG(ci != NULL, "%s: NULL ci", who);
	KASSERTMSG(cpu_lookup(ci->ci_index) == ci, "%s: foreign ci %p", who, (const void *)ci);
}

/* --- registering ------------------------------------------------------------------------------ */

static void
xc_ipi_assert_thread(const char *who)
{
	const char *why = xc_post_early_p() ? NULL : xcp_unsleepable();

	KASSERTMSG(why == NULL, "%s: %s", who, why);
}

unsigned
ipi_register(ipi_func_t func, void *arg)
{
	uint32_t taken = atomic_load_explicit(&xc_ipi_taken, memory_order_relaxed);
	unsigned ipi;

	xc_ipi_assert_thread("ipi_register");
	KASSERTMSG(func != NULL, "ipi_register: NULL function");
	do {
		if (taken == UINT32_MAX)
			return 0;
		ipi = (unsigned)__builtin_ctz(~taken);
		/* Acquire: pairs with the release in ipi_unregister(). */
	} while (!atomic_compare_exchange_weak_explicit(
	    &xc_ipi_taken, &taken, taken | 1u << ipi, memory_order_acquire, memory_order_relaxed));
	xc_ipi_table[ipi] = (struct xc_ipi_entry){ func, arg };
	/* Release: pairs with xc_ipi_assert_open(). */
	atomic_fetch_or_explicit(&xc_ipi_open, 1u << ipi, memory_order_release);
	return ipi;
}

/* Whether it is neither pending nor running on that CPU. */
static bool
xc_ipi_quiet(const struct xc_ipi_cpu *ipi, uint32_t bit)
{
	/* Acquire, both: pair with xc_ipi_run_triggers(); in this order. */
	return (atomic_load_explicit(&ipi->i_pending, memory_order_acquire) & bit) == 0 &&
	    (atomic_load_explicit(&ipi->i_running, memory_order_acquire) & bit) == 0;
}

void
ipi_unregister(unsigned ipi)
{
	uint32_t bit = ipi < IPI_MAXREG ? 1u << ipi : 0, open;
	struct xc_stall stall;
	struct cpu_info *ci;
	struct xc_cpu *xc;

	xc_ipi_assert_thread("ipi_unregister");
	/* Relaxed: the barrier carries it to all CPUs. */
	open = atomic_fetch_and_explicit(&xc_ipi_open, ~bit, memory_order_relaxed);
	KASSERTMSG((open & bit) != 0, "ipi_unregister: %u is not registered", ipi);
	xc_barrier(XC_HARD);
	xc_stall_begin(&stall);
	CPU_INFO_FOREACH(ci) {
		xc = xc_cpu_lookup(ci->ci_index);
		while (xc != NULL && !xc_ipi_quiet(xc->x_ipi, bit)) {
			kthread_sleep_ns(XC_IPI_LOOK_NS);
			xc_stall_check_cpu(&stall, "the end of a handler of ipi(9)", xc);
		}
	}
	/* Release: pairs with ipi_register(); nobody looks at the entry any more. */
	atomic_fetch_and_explicit(&xc_ipi_taken, ~bit, memory_order_release);
}

/* --- sending to sets -------------------------------------------------------------------------- */

/* The members of a set, or all CPUs (NULL), below ncpu. */
static unsigned
xc_ipi_first(const struct cpuset *set)
{
	return set != NULL ? cpuset_first(set) : 0;
}

static unsigned
xc_ipi_next(const struct cpuset *set, unsigned cpu)
{
	return set != NULL ? cpuset_next(set, cpu) : cpu + 1;
}

/* That CPU if it is a target.  In a post. */
static struct xc_cpu *
xc_ipi_target(unsigned cpu)
{
	const struct cpu_info *ci = cpu_lookup(cpu);

	return ci != NULL ? xc_post_target(ci) : NULL;
}

/* Before the other CPUs are up: on this one. */
static void
xc_ipi_early(ipi_func_t func, void *arg)
{
	bool on = intr_enter();

	xc_run_handler(func, arg);
	intr_leave(on);
}

/* --- triggers --------------------------------------------------------------------------------- */

void
xc_ipi_send(struct xc_cpu *self, struct xc_cpu *target, unsigned ipi, bool intr)
{
	uint32_t bit = 1u << ipi;

	/* Release: pairs with xc_ipi_run_triggers(), also when somebody else has set the bit. */
	if ((atomic_fetch_or_explicit(&target->x_ipi->i_pending, bit, memory_order_release) &
		bit) == 0 ||
	    (target == self && intr))
		xc_intr_notify(self, target, XC_NOTIFY_TRIGGER, intr);
}

/* In a post: so ipi_unregister() can wait until what is based on this is over. */
static void
xc_ipi_assert_open(const char *who, unsigned ipi)
{
	/* Acquire: pairs with ipi_register(). */
	uint32_t open = atomic_load_explicit(&xc_ipi_open, memory_order_acquire);

	xc_ipi_assert(who);
	KASSERTMSG(
	    ipi < IPI_MAXREG && (open >> ipi & 1) != 0, "%s: %u is not registered", who, ipi);
}

/* All that a trigger may be, and must not. */
static void __attribute__((noinline, cold))
xc_ipi_trigger_else(unsigned ipi, struct cpu_info *ci, bool intr)
{
	struct xc_cpu *target;

	xc_ipi_assert_open("ipi_trigger", ipi);
	xc_ipi_assert_cpu("ipi_trigger", ci);
	target = xc_post_target(ci);
	if (target != NULL)
		xc_ipi_send(curcpu()->ci_xcall, target, ipi, intr);
	machine_intr_restore(intr);
	if (target == NULL && ci == curcpu() && xc_post_early_p())
		xc_ipi_early(xc_ipi_table[ipi].e_func, xc_ipi_table[ipi].e_arg);
}

void
ipi_trigger(unsigned ipi, struct cpu_info *ci)
{
	bool intr = machine_intr_disable();
	const struct cpu_info *here = curcpu();
	struct xc_cpu *target;

	/* Acquire: pairs with ipi_register(). */
	if (ipi >= IPI_MAXREG ||
	    (atomic_load_explicit(&xc_ipi_open, memory_order_acquire) >> ipi & 1) == 0 ||
	    __builtin_expect(ci == NULL, 0) || ci == here || here->ci_nmi_depth != 0 ||
	    (target = xc_cpu_lookup(ci->ci_index)) == NULL || target->x_ci != ci ||
	    !xc_is_target(ci->ci_index)) {
		xc_ipi_trigger_else(ipi, ci, intr);
		return;
	}
	/* As in xc_ipi_send(). */
	if ((atomic_fetch_or_explicit(&target->x_ipi->i_pending, 1u << ipi, memory_order_release) &
		1u << ipi) == 0)
		xc_intr_notify_hard(target, ci, XC_NOTIFY_TRIGGER);
	machine_intr_restore(intr);
}

static void
xc_ipi_trigger_set(const char *who, unsigned ipi, const struct cpuset *set, bool self)
{
	bool intr = machine_intr_disable();
	struct cpu_info *here = curcpu();
	struct xc_cpu *target;

	xc_ipi_assert_open(who, ipi);
	for (unsigned i = xc_ipi_first(set); i < ncpu; i = xc_ipi_next(set, i))
		if (i != here->ci_index && (target = xc_ipi_target(i)) != NULL)
			xc_ipi_send(here->ci_xcall, target, ipi, intr);
	self = self && (set == NULL || cpuset_has(set, here->ci_index));
	if (self && (target = xc_post_target(here)) != NULL)
		xc_ipi_send(target, target, ipi, intr);
	machine_intr_restore(intr);
	if (self && xc_post_early_p())
		xc_ipi_early(xc_ipi_table[ipi].e_func, xc_ipi_table[ipi].e_arg);
}

void
ipi_trigger_multi(unsigned ipi, const struct cpuset *set)
{
	KASSERTMSG(set != NULL, "ipi_trigger_multi: NULL set");
	xc_ipi_trigger_set("ipi_trigger_multi", ipi, set, true);
}

void
ipi_trigger_broadcast(unsigned ipi, bool skip_self)
{
	xc_ipi_trigger_set("ipi_trigger_broadcast", ipi, NULL, !skip_self);
}

/* Each of those that are pending now, once: who triggers again meanwhile sends a notification of
 * his own. */
void
xc_ipi_run_triggers(struct xc_cpu *xc)
{
	struct xc_ipi_cpu *ipi = xc->x_ipi;
	/* Relaxed, all of these: the exchange below is what counts. */
	uint32_t bits = atomic_load_explicit(&ipi->i_pending, memory_order_relaxed);
	uint32_t before = atomic_load_explicit(&ipi->i_running, memory_order_relaxed);
	unsigned n;

	for (; bits != 0; bits &= bits - 1) {
		n = (unsigned)__builtin_ctz(bits);
		/* What runs below this on the stack stays in it. */
		atomic_store_explicit(&ipi->i_running, before | 1u << n, memory_order_relaxed);
		/* Acquire: pairs with xc_ipi_send().  Release: pairs with xc_ipi_quiet(). */
		if ((atomic_fetch_and_explicit(&ipi->i_pending, ~(1u << n), memory_order_acq_rel) &
			1u << n) != 0)
			xc_run_hard(&xc->x_stack[XC_LEVEL_HARD], xc_ipi_table[n].e_func,
			    xc_ipi_table[n].e_arg);
		/* Release: pairs with xc_ipi_quiet(). */
		atomic_store_explicit(&ipi->i_running, before, memory_order_release);
	}
}

/* --- messages --------------------------------------------------------------------------------- */

static void
xc_ipi_run_message(struct xc_cpu *xc, ipi_msg_t *msg)
{
	struct xc_ipi_cpu *ipi = xc->x_ipi;
	struct xc_ipi_frame frame = { msg, ipi->i_frames };

	ipi->i_frames = &frame;
	xc_run_hard(&xc->x_stack[XC_LEVEL_HARD], msg->func, msg->arg);
	ipi->i_frames = frame.f_below;
	/* Release: pairs with ipi_wait().  From here on the message is its owner's. */
	atomic_fetch_sub_explicit(&msg->_pending, 1, memory_order_release);
}

static void
xc_ipi_run_messages(struct xc_cpu *xc)
{
	struct xc_ipi_cpu *ipi = xc->x_ipi;
	ipi_msg_t *msg;

	while ((msg = ipi->i_first) != NULL) {
		ipi->i_first = msg->_next;
		if (ipi->i_first == NULL)
			ipi->i_end = &ipi->i_first;
		xc_ipi_run_message(xc, msg);
	}
	for (unsigned i = 0; i < XC_IPI_ROOM; i++) {
		if (atomic_load_explicit(&ipi->i_box[i], memory_order_relaxed) == NULL)
			continue;
		/* Acquire: pairs with xc_ipi_put().  It may have gone to a nested drain. */
		msg = atomic_exchange_explicit(&ipi->i_box[i], NULL, memory_order_acquire);
		if (msg != NULL)
			xc_ipi_run_message(xc, msg);
	}
}

void
xc_ipi_drain(struct xc_cpu *xc)
{
	xc_ipi_run_triggers(xc);
	xc_ipi_run_messages(xc);
}

bool
xc_ipi_pending(const struct xc_cpu *xc)
{
	const struct xc_ipi_cpu *ipi = xc->x_ipi;

	/* Relaxed, all: a hint. */
	if (atomic_load_explicit(&ipi->i_pending, memory_order_relaxed) != 0 ||
	    ipi->i_first != NULL)
		return true;
	for (unsigned i = 0; i < XC_IPI_ROOM; i++)
		if (atomic_load_explicit(&ipi->i_box[i], memory_order_relaxed) != NULL)
			return true;
	return false;
}

/* Senders begin at different places. */
static bool
xc_ipi_put(struct xc_ipi_cpu *ipi, ipi_msg_t *msg, unsigned at)
{
	ipi_msg_t *empty;

	for (unsigned i = 0; i < XC_IPI_ROOM; i++, at++) {
		empty = NULL;
		if (atomic_load_explicit(&ipi->i_box[at % XC_IPI_ROOM], memory_order_relaxed) ==
			NULL &&
		    /* Release: pairs with xc_ipi_run_messages(). */
		    atomic_compare_exchange_strong_explicit(&ipi->i_box[at % XC_IPI_ROOM], &empty,
			msg, memory_order_release, memory_order_relaxed))
			return true;
	}
	return false;
}

/* To another CPU; whether it was a target.  In a post, which a full mailbox interrupts. */
static bool
xc_ipi_send_message(struct xc_cpu *self, unsigned cpu, ipi_msg_t *msg, bool intr)
{
	struct xc_cpu *target;
	struct xc_stall stall;
	bool full = false;

	while ((target = xc_ipi_target(cpu)) != NULL) {
		if (xc_ipi_put(target->x_ipi, msg, self->x_ci->ci_index)) {
			xc_intr_notify(self, target, XC_NOTIFY_IPI, intr);
			return true;
		}
		if (!full) {
			evcnt_increment(&xc_ipi_full_ev);
			xc_stall_begin(&stall);
		}
		full = true;
		machine_intr_restore(intr);
		xc_intr_poll();
		xc_stall_check_cpu(&stall, "room for a message of ipi(9)", target);
		xcp_pause();
		(void)machine_intr_disable();
	}
	return false;
}

/* To the own CPU, as the last one: at once if interrupts were on.  In a post. */
static void
xc_ipi_send_self(struct xc_cpu *self, ipi_msg_t *msg, bool intr)
{
	struct xc_ipi_cpu *ipi = self->x_ipi;
	bool on;

	atomic_fetch_add_explicit(&msg->_pending, 1, memory_order_relaxed);
	if (intr) {
		on = intr_enter();
		xc_ipi_run_message(self, msg);
		intr_leave(on || intr);
		return;
	}
	msg->_next = NULL;
	*ipi->i_end = msg;
	ipi->i_end = &msg->_next;
	xc_intr_notify(self, self, XC_NOTIFY_IPI, false);
}

static void
xc_ipi_message(ipi_msg_t *msg, const struct cpuset *set, bool self)
{
	bool intr = machine_intr_disable();
	struct cpu_info *here = curcpu();
	unsigned sent = 0;

	/* Relaxed: a mailbox hands it on. */
	atomic_store_explicit(&msg->_pending, 0, memory_order_relaxed);
	for (unsigned i = xc_ipi_first(set); i < ncpu; i = xc_ipi_next(set, i))
		if (i != here->ci_index && xc_ipi_send_message(here->ci_xcall, i, msg, intr))
			sent++;
	/* Relaxed: what the targets have done is seen in ipi_wait(). */
	atomic_fetch_add_explicit(&msg->_pending, sent, memory_order_relaxed);
	self = self && (set == NULL || cpuset_has(set, here->ci_index));
	if (self && xc_post_target(here) != NULL)
		xc_ipi_send_self(here->ci_xcall, msg, intr);
	machine_intr_restore(intr);
	if (self && xc_post_early_p())
		xc_ipi_early(msg->func, msg->arg);
}

static void
xc_ipi_assert_message(const char *who, const ipi_msg_t *msg)
{
	xc_ipi_assert(who);
	KASSERTMSG(msg != NULL && msg->func != NULL, "%s: NULL function", who);
}

void
ipi_unicast(ipi_msg_t *msg, struct cpu_info *ci)
{
	bool intr;

	xc_ipi_assert_message("ipi_unicast", msg);
	xc_ipi_assert_cpu("ipi_unicast", ci);
	intr = machine_intr_disable();
	atomic_store_explicit(&msg->_pending, 0, memory_order_relaxed);
	if (ci != curcpu()) {
		atomic_store_explicit(&msg->_pending, 1, memory_order_relaxed);
		if (!xc_ipi_send_message(curcpu()->ci_xcall, ci->ci_index, msg, intr))
			atomic_store_explicit(&msg->_pending, 0, memory_order_relaxed);
	} else if (xc_post_target(ci) != NULL) {
		xc_ipi_send_self(ci->ci_xcall, msg, intr);
	}
	machine_intr_restore(intr);
	if (ci == curcpu() && xc_post_early_p())
		xc_ipi_early(msg->func, msg->arg);
}

void
ipi_multicast(ipi_msg_t *msg, const struct cpuset *set)
{
	xc_ipi_assert_message("ipi_multicast", msg);
	KASSERTMSG(set != NULL, "ipi_multicast: NULL set");
	xc_ipi_message(msg, set, true);
}

void
ipi_broadcast(ipi_msg_t *msg, bool skip_self)
{
	xc_ipi_assert_message("ipi_broadcast", msg);
	xc_ipi_message(msg, NULL, !skip_self);
}

/* A CPU that has the message and has not returned; NULL when none shows. */
static struct xc_cpu *
xc_ipi_owing(const ipi_msg_t *msg)
{
	struct xc_standing top;
	struct cpu_info *ci;
	struct xc_cpu *xc;

	CPU_INFO_FOREACH(ci) {
		if ((xc = xc_cpu_lookup(ci->ci_index)) == NULL)
			continue;
		for (unsigned i = 0; i < XC_IPI_ROOM; i++)
			if (atomic_load_explicit(&xc->x_ipi->i_box[i], memory_order_relaxed) == msg)
				return xc;
		if (xc_look_top(xc, XC_LEVEL_HARD, &top) &&
		    (uintptr_t)top.t_func == (uintptr_t)msg->func)
			return xc;
	}
	return NULL;
}

static void
xc_ipi_assert_wait(const ipi_msg_t *msg)
{
	const struct xc_cpu *self = curcpu()->ci_xcall;

	xc_ipi_assert("ipi_wait");
	KASSERTMSG(curcpu()->ci_spin_depth == 0, "ipi_wait: with a spinlock held");
	if (self == NULL)
		return;
	for (const struct xc_ipi_frame *f = self->x_ipi->i_frames; f != NULL; f = f->f_below)
		KASSERTMSG(f->f_msg != msg, "ipi_wait: inside the message's own handler");
}

void
ipi_wait(ipi_msg_t *msg)
{
	struct xc_stall stall;
	struct xc_cpu *owing;

	xc_ipi_assert_wait(msg);
	xc_stall_begin(&stall);
	/* Acquire: pairs with xc_ipi_run_message(). */
	while (atomic_load_explicit(&msg->_pending, memory_order_acquire) != 0) {
		xc_intr_poll();
		if (clock_ns() >= stall.l_next_ns && (owing = xc_ipi_owing(msg)) != NULL)
			xc_stall_check_cpu(&stall, "a message of ipi(9)", owing);
		xcp_pause();
	}
}
