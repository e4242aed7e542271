/*
 * Cross calls: tickets.  Post, wait, done, barrier.
 *
 * Background
 *
 * Some state belongs to one CPU: its local timer, its translations, data that it alone writes.  Whoever
 * wants it changed has to have a function run over there.
 *
 * Implementation
 *
 * One call, read along its way:
 *
 *	xc_unicast()		checks the caller (xcall.c)
 *	xc_pool_take()		finds a slot of the sender's CPU (xc_pool.c)
 *	xc_pool_publish()	makes it live and gives it its ticket
 *	xc_thread_notify()	enters the sender into the target's inbox and wakes xcall/N (xc_thread.c)
 *	xc_slot_begin()		the target finds the call in the sender's slots
 *	xc_thread_run()		runs it and checks it on its way out
 *	xc_slot_finish()	the last target ends the call and wakes who waits
 *	xc_wait()		sees the end of this very call
 *
 * No lock is global and no two senders share one.  A sender and the last target of its call share the sender's
 * pool lock, all senders to a target the target's inbox lock, each for a few instructions with interrupts
 * off.  Nothing allocates.
 *
 * A post is not preempted between making the call live and telling its last target: a function may spin until
 * its fellows on the other CPUs have begun, and on this one it takes the CPU at once.
 *
 * Which CPUs are targets: those that are online and have had their xc_init_cpu().  A broadcast takes each
 * CPU as it finds it while it fills in the slot, and counts exactly those: one that arrives during the post is
 * either told or not waited for.  While there is no target at all, the machine has one CPU that runs, and
 * calls run inline on it.
 *
 * Rules for callers
 *
 *  - Who may do what stands with each function in xcall.h; it is asserted here.
 *  - The arguments must stay alive until the call is over, not longer.
 *  - Do not wait while holding what the function needs.
 *
 * Limits
 *
 * Low priority only.  A broadcast fills in its slot with interrupts off, in time linear in the CPUs.  A target that never schedules its xcall/N, because something there keeps preemption or
 * interrupts off for ever, is waited for in silence.
 */
#include "xcall/xcall.h"

#include <stddef.h>

#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_pool.h"
#include "xcall/xc_thread.h"

/* A wait looks that often before it sleeps: some microseconds, about what a sleep and a wake-up cost. */
#define XC_SPINS 64

/* CPUs that had their xc_init_cpu(): once set, a bit stays. */
static _Atomic uint64_t xc_ready[CPUSET_WORDS];
static struct evcnt xc_unicast_ev, xc_broadcast_ev, xc_error_ev;

void
xc_init_cpu(struct cpu_info *ci)
{
	static bool again;
	struct xc_cpu *xc;

	KASSERTMSG(ci->ci_xcall == NULL, "CPU %u is set up already", ci->ci_index);
	if (!again) {
		/* Bring-up calls from one thread only. */
		again = true;
		evcnt_attach_dynamic(&xc_unicast_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "unicast");
		evcnt_attach_dynamic(
		    &xc_broadcast_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "broadcast");
		evcnt_attach_dynamic(
		    &xc_error_ev, EVCNT_TYPE_MISC, NULL, "crosscall", "error waited for");
	}
	xc = kmem_boot_alloc(sizeof(*xc));
	xc->x_ci = ci;
	xc_pool_init(xc);
	xc_chain_init(xc);
	xc_thread_init(xc);
	ci->ci_xcall = xc;
	/* Release: pairs with xc_cpu_lookup(). */
	atomic_fetch_or_explicit(
	    &xc_ready[ci->ci_index / 64], UINT64_C(1) << ci->ci_index % 64, memory_order_release);
}

struct xc_cpu *
xc_cpu_lookup(unsigned index)
{
	uint64_t word;

	if (index >= MAXCPUS)
		return NULL;
	/* Acquire: pairs with xc_init_cpu(). */
	word = atomic_load_explicit(&xc_ready[index / 64], memory_order_acquire);
	return (word >> index % 64 & 1) != 0 ? cpu_lookup(index)->ci_xcall : NULL;
}

/* The state of a CPU that calls can be posted to, or NULL. */
static struct xc_cpu *
xc_target(const struct cpu_info *ci)
{
	return cpu_online(ci) ? xc_cpu_lookup(ci->ci_index) : NULL;
}

static void
xc_assert_post(const char *who, unsigned flags, xcfunc_t func)
{
	KASSERTMSG(!cpu_nmi_p(), "%s: in an NMI", who);
	KASSERTMSG(func != NULL, "%s: NULL function", who);
	KASSERTMSG(
	    (flags & ~(XC_HIGHPRI | XC_HARD | XC_NMI)) == 0, "%s: unknown flags %#x", who, flags);
	KASSERTMSG(flags == 0,
	    "%s: flags %#x: XC_HIGHPRI, XC_HARD and XC_NMI come later, this is low priority only",
	    who, flags);
}

/* Before the other CPUs are up: inline.  `ci` NULL: everywhere, which is here. */
static uint64_t
xc_post_early(xcfunc_t func, void *arg1, void *arg2, const struct cpu_info *to)
{
	struct cpu_info *ci;

	if (to != NULL && to != curcpu())
		return XC_ERROR(EHOSTDOWN);
	CPU_INFO_FOREACH(ci) {
		if (xc_target(ci) != NULL)
			return XC_ERROR(EHOSTDOWN);
	}
	evcnt_increment(to != NULL ? &xc_unicast_ev : &xc_broadcast_ev);
	xc_thread_run(func, arg1, arg2);
	return 0;
}

/* A slot with the call in it, its pool locked; or NULL. */
static struct xc_slot *
xc_post_prepare(struct xc_cpu *self, xcfunc_t func, void *arg1, void *arg2)
{
	bool may_sleep = xcp_unsleepable() == NULL && xc_thread_self() == NULL;
	struct xc_slot *slot = xc_pool_take(self, may_sleep);

	if (slot != NULL) {
		slot->s_func = func;
		slot->s_arg1 = arg1;
		slot->s_arg2 = arg2;
	}
	return slot;
}

uint64_t
xc_unicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci)
{
	struct xc_cpu *self, *target;
	struct xc_slot *slot;
	uint64_t ticket;

	xc_assert_post("xc_unicast", flags, func);
	KASSERTMSG(ci != NULL, "xc_unicast: NULL ci");
	KASSERTMSG(cpu_lookup(ci->ci_index) == ci, "xc_unicast: foreign ci %p", (void *)ci);
	if ((self = xc_target(curcpu())) == NULL)
		return xc_post_early(func, arg1, arg2, ci);
	if ((target = xc_target(ci)) == NULL)
		return XC_ERROR(EHOSTDOWN);
	if ((slot = xc_post_prepare(self, func, arg1, arg2)) == NULL)
		return XC_ERROR(EBUSY);
	xc_slot_target(slot, ci->ci_index);
	ticket = xc_pool_publish(slot);
	xcp_preempt_disable();
	mutex_exit(&self->x_pool_lock);
	xc_thread_notify(target, self->x_ci->ci_index);
	evcnt_increment(&xc_unicast_ev);
	xcp_preempt_enable();
	return ticket;
}

uint64_t
xc_broadcast(unsigned flags, xcfunc_t func, void *arg1, void *arg2)
{
	struct xc_cpu *self, *target;
	struct xc_slot *slot;
	struct cpu_info *ci;
	uint64_t ticket;

	xc_assert_post("xc_broadcast", flags, func);
	if ((self = xc_target(curcpu())) == NULL)
		return xc_post_early(func, arg1, arg2, NULL);
	if ((slot = xc_post_prepare(self, func, arg1, arg2)) == NULL)
		return XC_ERROR(EBUSY);
	CPU_INFO_FOREACH(ci) {
		if (ci == self->x_ci || xc_target(ci) != NULL)
			xc_slot_target(slot, ci->ci_index);
	}
	ticket = xc_pool_publish(slot);
	xcp_preempt_disable();
	mutex_exit(&self->x_pool_lock);
	/* The slot is the targets' now and may be over already: it must not be read again.  A CPU that
	 * has become a target since then looks for nothing. */
	CPU_INFO_FOREACH(ci) {
		target = xc_cpu_lookup(ci->ci_index);
		if (target != NULL)
			xc_thread_notify(target, self->x_ci->ci_index);
	}
	evcnt_increment(&xc_broadcast_ev);
	xcp_preempt_enable();
	return ticket;
}

static void
xc_assert_wait(const char *who)
{
	const char *why = xcp_unsleepable();

	KASSERTMSG(why == NULL, "%s: %s", who, why);
	KASSERTMSG(xc_thread_self() == NULL || mutex_held_count(curlwp) == 0,
	    "%s: in a cross-called function that holds %u mutexes", who, mutex_held_count(curlwp));
}

/* The wait of every thread but xcall/N. */
static void __attribute__((noinline)) xc_sleep(struct xc_slot *slot, uint64_t ticket)
{
	kmutex_t *lock = &slot->s_home->x_pool_lock;
	/* Nobody can wait for a thread without mutexes: no chain comes back to it. */
	struct xc_cpu *self = mutex_held_count(curlwp) != 0 ? xc_cpu_lookup(curcpu()->ci_index)
							    : NULL;
	struct xc_holder holder;
	int error;

	if (self != NULL)
		xc_chain_enter(self, &holder, ticket);
	do {
		if (self != NULL)
			xc_chain_check(self, ticket);
		error = 0;
		mutex_enter(lock);
		while (error == 0 && xc_slot_life(slot, ticket) == XC_LIVE) {
			if (self != NULL)
				error = cv_timedwait(&slot->s_over, lock, xc_chain_period());
			else
				cv_wait(&slot->s_over, lock);
		}
		mutex_exit(lock);
	} while (error != 0);
	if (self != NULL)
		xc_chain_exit(self, &holder);
}

/* A caller in the style of 2008 drops the result: the console keeps it.  Apart from xc_wait(), whose stack
 * frame nests. */
static int __attribute__((noinline)) xc_wait_error(uint64_t where, uintptr_t caller)
{
	char name[KSYMS_TEXT_BYTES];

	evcnt_increment(&xc_error_ev);
	printf("xcall: error %d: %s waits for a call that was not posted\n", XC_ERRNO(where),
	    ksyms_format(caller, name));
	return XC_ERRNO(where);
}

int
xc_wait(uint64_t where)
{
	struct xc_slot *slot;
	struct xc_cpu *server;
	enum xc_life life;

	/* Neither says of which priority the call was: legal in every context. */
	if (where == 0)
		return 0;
	if (XC_ISERR(where))
		return xc_wait_error(where, (uintptr_t)__builtin_return_address(0));
	xc_assert_wait("xc_wait");
	slot = xc_slot_lookup(where);
	if (slot == NULL)
		return EINVAL;
	life = xc_slot_life(slot, where);
	for (unsigned i = 0; i < XC_SPINS && life == XC_LIVE; i++) {
		xcp_pause();
		life = xc_slot_life(slot, where);
	}
	if (life != XC_LIVE)
		return life == XC_OVER ? 0 : EINVAL;
	if ((server = xc_thread_self()) != NULL)
		xc_thread_wait(server, slot, where);
	else
		xc_sleep(slot, where);
	return 0;
}

bool
xc_done(uint64_t where)
{
	const struct xc_slot *slot;

	if (where == 0 || XC_ISERR(where))
		return true;
	slot = xc_slot_lookup(where);
	return slot == NULL || xc_slot_life(slot, where) != XC_LIVE;
}

static void
xc_nop(void *arg1, void *arg2)
{
	(void)arg1;
	(void)arg2;
}

/* Nobody is switched away from with preemption off, so that xcall/N ran means that each such section which
 * stood on its CPU has ended; that it tops all threads means that nothing else is waited for. */
void
xc_barrier(unsigned flags)
{
	struct xc_cpu *server;
	uint64_t where;

	if (xc_target(curcpu()) != NULL)
		xc_assert_wait("xc_barrier");
	/* Threads sleep for a slot in the post; xcall/N has to serve meanwhile. */
	while ((where = xc_broadcast(flags, xc_nop, NULL, NULL)) == XC_ERROR(EBUSY)) {
		server = xc_thread_self();
		KASSERT(server != NULL);
		xc_thread_wait_slot(server);
	}
	KASSERTMSG(
	    !XC_ISERR(where), "xc_barrier: CPU %u: error %d", curcpu()->ci_index, XC_ERRNO(where));
	xc_wait(where);
}
