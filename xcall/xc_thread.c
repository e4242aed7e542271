/*
 * Low priority: the thread xcall/N; and the sleep of those who wait.
 *
 * Background
 *
 * A low-priority call runs in a thread bound to its target, which may block briefly on mutexes.
 * Such a function may also post and wait itself.  Then two CPUs that call each other would wait for
 * ever, each for a thread that is busy waiting: so xcall/N goes on serving while a function that it
 * runs waits.
 *
 * Implementation
 *
 * Who posts does not wake xcall/N: the interrupt does, on its own CPU.  xcall/N sleeps in
 * kthread_await(), and so without a lock:
 *
 *	xcall/N					the interrupt; the end of a call; room
 *	kthread_await() returns: the rouse is	what it is to find is there
 *	forgotten, and only then it looks	kthread_rouse()
 *	nothing: kthread_await()
 *
 * What it did not see came after its look, and so did the rouse, which it finds.  Roused in a wait
 * of a function's, it takes away what was meant for one that stands below on its stack; but each
 * looks again when what was above it has returned.
 *
 * Functions nest on the stack of xcall/N, x_stack[XC_LEVEL_LOW], lowest first.  xc_thread_wait()
 * serves while fewer than XC_DEPTH_MAX are there, then sleeps unserved.  Every level but the top
 * one is in a wait, and holds no mutex.
 *
 * Other threads sleep on a condition variable of the sender's, which the calls of some slots share,
 * under x_wait_lock.  They have asked for the wake-up before (xc_event_want); the last look at the
 * call is under the lock that the end of the call takes to wake them.
 *
 * A thread that posts and finds no room sleeps for it in the same way, on a condition variable of
 * the class.  Hard calls wake from their interrupt: the locks here are spin mutexes.  An NMI can
 * take none, so who wants the room of NMI calls looks every millisecond.
 *
 * Rules for callers
 *
 *  - A function owns its CPU against other low-priority functions, except where it itself waits.
 *  - A function whose wait was served returns only after what was served has: waits end last in,
 *    first out.
 *
 * Limits
 *
 * At the bound of the depth a wait for a call to the own CPU cannot end; xc_chain.c reports it.
 * Rejected: a second thread a CPU, for which two functions would run at once on one CPU; serving in
 * the waits of other threads, which would run strangers' functions at their priority and under
 * their mutexes.
 */
#include "xcall/xc_thread.h"

#include <stddef.h>

#include "xcall/xc_chain.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_intr.h"
#include "xcall/xc_stall.h"

/* How often a thread looks for room that comes back in NMIs. */
#define XC_THREAD_LOOK_NS 1000000u

/* How long a CPU that leaves sleeps between two looks at its xcall/N. */
#define XC_IDLE_NS 1000000u

void
xc_thread_wake(struct xc_cpu *target)
{
	/* Acquire: pairs with xc_thread_main().  Before that it has not looked for the first time,
	 * and it will on this very CPU. */
	lwp_t *thread = atomic_load_explicit(&target->x_thread, memory_order_acquire);

	if (thread != NULL)
		kthread_rouse(thread);
}

struct xc_cpu *
xc_thread_self(void)
{
	return curlwp != NULL ? curlwp->l_xcall : NULL;
}

/* Runs one call for this CPU, if there is one. */
static bool
xc_thread_serve(struct xc_cpu *xc)
{
	struct xc_job job;

	if (!xc_inbox_next(xc, XC_LEVEL_LOW, &job))
		return false;
	xc_run_job(xc, XC_LEVEL_LOW, &job);
	return true;
}

/* --- xcall/N waits ---------------------------------------------------------------------------- */

/* Whether what it waits for is there: the end of a call, or without one room for a post. */
static bool
xc_thread_ready(const struct xc_cpu *xc, const struct xc_event *event)
{
	return event != NULL ? xc_event_result(event) != EBUSY
			     : xc_slot_room(xc, XC_LEVEL_LOW, true);
}

static uint64_t
xc_thread_min(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static void
xc_thread_serve_until(struct xc_cpu *xc, const struct xc_event *event, uint64_t deadline_ns)
{
	struct xc_stack *stack = &xc->x_stack[XC_LEVEL_LOW];
	bool serve = xc_run_depth(stack) < XC_DEPTH_MAX, endless = deadline_ns == XC_FOREVER;
	struct xc_stall stall;
	/* Who waits for room waits for no call. */
	uint64_t look = event != NULL ? clock_ns() + xc_chain_period() : XC_FOREVER;

	xc_stall_begin(&stall);
	while (!xc_thread_ready(xc, event) && clock_ns() < deadline_ns) {
		if (serve && xc_thread_serve(xc))
			continue;
		kthread_await(xc_thread_min(deadline_ns, xc_thread_min(look, stall.l_next_ns)));
		if (event == NULL) {
			xc_stall_check_room(&stall, xc, XC_LEVEL_LOW);
			continue;
		}
		xc_stall_check(&stall, event);
		if (endless && clock_ns() >= look) {
			xc_chain_check(xc, &event->e_ref);
			look = clock_ns() + xc_chain_period();
		}
	}
}

void
xc_thread_wait(struct xc_cpu *xc, const struct xc_event *event, uint64_t deadline_ns)
{
	struct xc_stack *stack = &xc->x_stack[XC_LEVEL_LOW];
	unsigned depth = xc_run_depth(stack);
	struct xc_waiter waiter = { .w_server = xc, .w_bucket = event->e_bucket };
	struct xc_waiter **at;
	struct xc_cpu *sender = event->e_sender;

	KASSERT(depth != 0);
	mutex_enter(&sender->x_wait_lock);
	waiter.w_next = sender->x_waiters;
	sender->x_waiters = &waiter;
	mutex_exit(&sender->x_wait_lock);
	if (xc_event_want(event)) {
		/* A wait that ends by itself closes no chain. */
		if (deadline_ns == XC_FOREVER) {
			xc_run_set_wait(&stack->k_run[depth - 1], &event->e_ref);
			xc_chain_check(xc, &event->e_ref);
		}
		xc_thread_serve_until(xc, event, deadline_ns);
		xc_run_set_wait(&stack->k_run[depth - 1], NULL);
	}
	mutex_enter(&sender->x_wait_lock);
	for (at = &sender->x_waiters; *at != &waiter; at = &(*at)->w_next)
		KASSERT(*at != NULL);
	*at = waiter.w_next;
	mutex_exit(&sender->x_wait_lock);
}

void
xc_thread_wait_slot(struct xc_cpu *xc)
{
	/* A function below on this stack may wish the same; its wish outlives this one. */
	bool before = atomic_exchange_explicit(&xc->x_server_wants, true, memory_order_relaxed);

	/* Sequentially consistent: pairs with xc_slot_retire().  Either that sees the wish, or
	 * xc_thread_ready() sees the room. */
	atomic_fetch_add_explicit(&xc->x_wanted[XC_CREDIT_SLEEP], 1, memory_order_seq_cst);
	xc_thread_serve_until(xc, NULL, XC_FOREVER);
	atomic_fetch_sub_explicit(&xc->x_wanted[XC_CREDIT_SLEEP], 1, memory_order_relaxed);
	atomic_store_explicit(&xc->x_server_wants, before, memory_order_relaxed);
}

/* --- other threads wait ----------------------------------------------------------------------- */

/* Until the call is over or a time has come. */
static void
xc_thread_sleep_until(const struct xc_event *event, uint64_t until_ns)
{
	struct xc_cpu *sender = event->e_sender;
	uint64_t now = clock_ns();
	int error = 0;

	mutex_enter(&sender->x_wait_lock);
	while (error == 0 && now < until_ns && xc_event_want(event)) {
		error = cv_timedwait(
		    &sender->x_over[event->e_bucket], &sender->x_wait_lock, until_ns - now);
		now = clock_ns();
	}
	mutex_exit(&sender->x_wait_lock);
}

void
xc_thread_sleep(const struct xc_event *event, uint64_t deadline_ns)
{
	/* Nobody can wait for a thread without mutexes: no chain comes back to it. */
	struct xc_cpu *self = mutex_held_count(curlwp) != 0 && deadline_ns == XC_FOREVER ? xc_self()
											 : NULL;
	struct xc_holder holder;
	struct xc_stall stall;
	uint64_t until;

	xc_stall_begin(&stall);
	if (self != NULL)
		xc_chain_enter(self, &holder, &event->e_ref);
	while (xc_event_result(event) == EBUSY && clock_ns() < deadline_ns) {
		until = xc_thread_min(deadline_ns, stall.l_next_ns);
		if (self != NULL) {
			xc_chain_check(self, &event->e_ref);
			until = xc_thread_min(until, clock_ns() + xc_chain_period());
		}
		xc_thread_sleep_until(event, until);
		xc_stall_check(&stall, event);
	}
	if (self != NULL)
		xc_chain_exit(self, &holder);
}

void
xc_thread_sleep_slot(struct xc_cpu *xc, enum xc_level level, bool wide, struct xc_stall *stall)
{
	enum xc_credit class = xc_slot_credit(level);
	uint64_t now = clock_ns(), until;
	bool room;

	/* Sequentially consistent: pairs with xc_slot_retire(). */
	atomic_fetch_add_explicit(&xc->x_wanted[class], 1, memory_order_seq_cst);
	do {
		until = stall->l_next_ns;
		/* An NMI cannot wake: who wants its room looks again and again. */
		if (class == XC_CREDIT_NMI)
			until = xc_thread_min(until, now + XC_THREAD_LOOK_NS);
		mutex_enter(&xc->x_wait_lock);
		while (!(room = xc_slot_room(xc, level, wide)) && now < until) {
			(void)!cv_timedwait(&xc->x_freed[class], &xc->x_wait_lock, until - now);
			now = clock_ns();
		}
		mutex_exit(&xc->x_wait_lock);
		if (!room)
			xc_stall_check_room(stall, xc, level);
	} while (!room);
	atomic_fetch_sub_explicit(&xc->x_wanted[class], 1, memory_order_relaxed);
}

void
xc_thread_wake_waiters(struct xc_cpu *sender, unsigned bucket)
{
	mutex_enter(&sender->x_wait_lock);
	cv_broadcast(&sender->x_over[bucket % XC_BUCKETS]);
	for (struct xc_waiter *w = sender->x_waiters; w != NULL; w = w->w_next)
		if (w->w_bucket == bucket % XC_BUCKETS)
			xc_thread_wake(w->w_server);
	mutex_exit(&sender->x_wait_lock);
}

void
xc_thread_wake_posters(struct xc_cpu *sender, enum xc_credit class)
{
	mutex_enter(&sender->x_wait_lock);
	/* All: some may want a board and leave the slot to others. */
	cv_broadcast(&sender->x_freed[class]);
	if (class == XC_CREDIT_SLEEP &&
	    atomic_load_explicit(&sender->x_server_wants, memory_order_relaxed))
		xc_thread_wake(sender);
	mutex_exit(&sender->x_wait_lock);
}

/* --- the thread ------------------------------------------------------------------------------- */

static void
xc_thread_main(void *arg)
{
	struct xc_cpu *xc = arg;

	KASSERTMSG(curcpu() == xc->x_ci, "CPU %u", curcpu()->ci_index);
	curlwp->l_xcall = xc;
	/* Release: pairs with xc_chain.c. */
	atomic_store_explicit(&xc->x_thread, curlwp, memory_order_release);
	for (;;) {
		while (xc_thread_serve(xc))
			continue;
		/* Relaxed, both: read on this CPU (xc_thread_wait_idle()). */
		atomic_store_explicit(&xc->x_idle, true, memory_order_relaxed);
		kthread_await(XC_FOREVER);
		atomic_store_explicit(&xc->x_idle, false, memory_order_relaxed);
	}
}

void
xc_thread_wait_idle(struct xc_cpu *xc)
{
	struct xc_stall stall;

	xc_stall_begin(&stall);
	/* xcall/N preempts the caller: while this runs it sleeps. */
	while (!atomic_load_explicit(&xc->x_idle, memory_order_relaxed) ||
	    xc_inbox_pending(&xc->x_inbox[XC_LEVEL_LOW])) {
		xc_thread_wake(xc);
		kthread_sleep_ns(XC_IDLE_NS);
		xc_stall_check_cpu(&stall, "the low-priority functions of a CPU that leaves", xc);
	}
}

void
xc_thread_init(struct xc_cpu *xc)
{
	int error;

	mutex_init(&xc->x_wait_lock, MUTEX_DEFAULT, IPL_HIGH, "xcwait");
	for (unsigned i = 0; i < XC_CREDITS; i++)
		cv_init(&xc->x_freed[i], "xcslot");
	for (unsigned i = 0; i < XC_BUCKETS; i++)
		cv_init(&xc->x_over[i], "xcwait");
	error = kthread_create(PRI_XCALL, KTHREAD_MPSAFE | KTHREAD_SERVICE, xc->x_ci,
	    xc_thread_main, xc, NULL, "xcall/%u", xc->x_ci->ci_index);
	if (error != 0)
		panic("xc_init_cpu: no thread for CPU %u: error %d", xc->x_ci->ci_index, error);
}
