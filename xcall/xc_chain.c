/*
 * Finds waits that wait for themselves.
 *
 * Background
 *
 * No subsystem can end a wait for a function that needs what the waiter holds.  It can say so.
 *
 * Implementation
 *
 * Threads and calls are the nodes.  The edges, all of which must go for a node to go on:
 *
 *	thread -> call		it waits for it: the levels of xcall/N, else x_holders
 *	thread -> thread	it sleeps for a mutex that the other owns
 *	call -> xcall/N		a target of the call has not returned from it.  If it has begun, it
 *				stands for what stops its function and those nested on it; if
 *				not, for what stops xcall/N from beginning anything: a mutex, or
 *				a wait at the bound of the depth
 *
 * A search follows the edges in depth from a waiting thread and asks whether it comes back.  Only a
 * thread that somebody can wait for looks: an xcall/N, or one that holds mutexes.  It looks when
 * its wait begins and, since a mutex may be slept for later, every xc_chain_period().  `seen` keeps
 * a search from walking an xcall/N twice: it holds the lowest level walked from, which includes all
 * above.
 *
 * No lock holds the graph still, so a chain can be put together from edges that never stood at one
 * time.  Therefore a chain counts only when a second search, begun after the first one ended, finds
 * the same.  Then all its edges stood in the moment between the two.  For the searcher waits, thus
 * has not let go of anything in between.  Hence whoever slept for its mutex, or stood on its stack,
 * still does and has not run either; and so on backwards around the chain.  (An edge to a call is
 * over only with the call, which the second search has seen live.)
 *
 * Limits
 *
 * Chains of more than XC_CHAIN_STEPS edges are not found, nor those that go through a wait for a
 * free slot, a spinlock, or a condition variable, which has no owner.  A thread that no chain comes
 * back to sleeps in silence.  Rejected: a graph under a global lock, which every wait would have to
 * take.
 */
#include "xcall/xc_chain.h"

#include <stddef.h>

#include "xcall/xc_descriptor.h"
#include "xcall/xc_internal.h"
#include "xcall/xc_thread.h"

/* What a panic prints of a chain: some six steps, then it is cut. */
#define XC_CHAIN_TEXT_BYTES 420
/* Enough for a ring of a dozen CPUs; each takes some 200 bytes of the searcher's stack. */
#define XC_CHAIN_STEPS 24

enum xc_step_kind { XC_STEP_CALL, XC_STEP_BEGUN, XC_STEP_QUEUED, XC_STEP_MUTEX };

struct xc_step {
	enum xc_step_kind p_kind;
	struct xc_ref p_call;       /* CALL */
	const struct xc_cpu *p_cpu; /* BEGUN, QUEUED */
	const kmutex_t *p_mutex;    /* MUTEX, and who owns it */
	const lwp_t *p_owner;
};

struct xc_path {
	unsigned p_steps;
	struct xc_step p_step[XC_CHAIN_STEPS];
};

/* One a CPU, used with preemption off. */
struct xc_chain {
	const lwp_t *c_root;           /* who searches */
	const struct xc_cpu *c_server; /* its record when it is an xcall/N, or NULL */
	struct xc_path *c_path;        /* the one being found */
	struct xc_path c_first, c_second;
	uint8_t c_seen[MAXCPUS]; /* lowest level of xcall/N walked from; XC_UNSEEN */
};

#define XC_UNSEEN UINT8_MAX

static _Atomic uint64_t xc_chain_period_ns = XC_CHAIN_PERIOD_NS;

static bool xc_chain_call(struct xc_chain *chain, const struct xc_ref *call);
static bool xc_chain_owner(struct xc_chain *chain, const kmutex_t *mutex, const lwp_t *owner);

void
xc_chain_init(struct xc_cpu *xc)
{
	xc->x_chain = kmem_boot_alloc(sizeof(*xc->x_chain));
}

uint64_t
xc_chain_period(void)
{
	/* Relaxed: any recent value will do. */
	return atomic_load_explicit(&xc_chain_period_ns, memory_order_relaxed);
}

void
xc_chain_set_period(uint64_t ns)
{
	atomic_store_explicit(&xc_chain_period_ns, ns, memory_order_relaxed);
}

static bool
xc_chain_push(struct xc_chain *chain, struct xc_step step)
{
	if (chain->c_path->p_steps == XC_CHAIN_STEPS)
		return false;
	chain->c_path->p_step[chain->c_path->p_steps++] = step;
	return true;
}

/* A step that led nowhere. */
static bool
xc_chain_pop(struct xc_chain *chain)
{
	chain->c_path->p_steps--;
	return false;
}

/* Follows what keeps the functions from level `from` on from returning. */
static bool
xc_chain_stack(struct xc_chain *chain, const struct xc_cpu *xc, unsigned from, unsigned depth)
{
	const struct xc_stack *stack = &xc->x_stack[XC_LEVEL_LOW];
	const lwp_t *thread;
	kmutex_t *mutex;
	struct xc_ref wait;
	bool waits = false;

	if (xc == chain->c_server)
		return true;
	for (unsigned i = from; i < depth; i++) {
		waits = xc_run_wait(&stack->k_run[i], &wait);
		if (waits && xc_chain_call(chain, &wait))
			return true;
	}
	/* Acquire: pairs with xc_thread_main(). */
	thread = atomic_load_explicit(&xc->x_thread, memory_order_acquire);
	if (waits || thread == NULL)
		return false;
	mutex = atomic_load_explicit(&thread->l_blocked_on, memory_order_acquire);
	return mutex != NULL && xc_chain_owner(chain, mutex, mutex_owner(mutex));
}

/* Whether that CPU has yet to begin the call. */
static bool
xc_chain_queued(const struct xc_ref *call, unsigned cpu)
{
	uint32_t posted, todo, unfinished;
	struct xc_cpu *sender;
	struct xc_slot *slot;

	if (call->f_ticket == 0)
		return call->f_call->c_target->ci_index == cpu &&
		    xc_descriptor_result(call->f_call) == EBUSY;
	slot = xc_slot_lookup(call->f_ticket, &sender);
	return xc_slot_group(sender, slot, call->f_ticket, cpu / XC_GROUP_CPUS, &posted, &todo,
		   &unfinished) &&
	    (todo >> cpu % XC_GROUP_CPUS & 1) != 0;
}

/* Follows what keeps a target from returning from the call. */
static bool
xc_chain_server(struct xc_chain *chain, const struct xc_cpu *xc, const struct xc_ref *call)
{
	const struct xc_stack *stack = &xc->x_stack[XC_LEVEL_LOW];
	unsigned depth = xc_run_depth(stack), level = 0;
	uint8_t *seen = &chain->c_seen[xc->x_ci->ci_index];
	struct xc_step step = { .p_kind = XC_STEP_BEGUN, .p_cpu = xc };
	struct xc_ref wait;

	while (level < depth && !xc_run_is(&stack->k_run[level], call))
		level++;
	if (level == depth) {
		if (depth == 0 || !xc_chain_queued(call, xc->x_ci->ci_index))
			return false;
		/* It serves meanwhile, and will come to the call. */
		if (depth < XC_DEPTH_MAX && xc_run_wait(&stack->k_run[depth - 1], &wait))
			return false;
		step.p_kind = XC_STEP_QUEUED;
		level = depth - 1;
	}
	if (level >= *seen || !xc_chain_push(chain, step))
		return false;
	*seen = (uint8_t)level;
	return xc_chain_stack(chain, xc, level, depth) || xc_chain_pop(chain);
}

static bool
xc_chain_live(const struct xc_ref *call)
{
	struct xc_cpu *sender;
	struct xc_slot *slot;

	if (call->f_ticket == 0)
		return xc_descriptor_result(call->f_call) == EBUSY;
	slot = xc_slot_lookup(call->f_ticket, &sender);
	return slot != NULL && xc_slot_result(slot, call->f_ticket) == EBUSY;
}

static bool
xc_chain_call(struct xc_chain *chain, const struct xc_ref *call)
{
	struct xc_cpu *xc;
	struct cpu_info *ci;

	if (!xc_chain_live(call) ||
	    !xc_chain_push(chain, (struct xc_step){ .p_kind = XC_STEP_CALL, .p_call = *call }))
		return false;
	CPU_INFO_FOREACH(ci) {
		xc = xc_cpu_lookup(ci->ci_index);
		if (xc != NULL && xc_chain_server(chain, xc, call))
			return true;
	}
	return xc_chain_pop(chain);
}

/* What a thread waits for, copied while it cannot be freed. */
struct xc_look {
	const lwp_t *thread;
	const kmutex_t *mutex;
	const lwp_t *owner;
	struct cpu_info *ci; /* NULL: there is no such thread (any more) */
};

static void
xc_chain_look(lwp_t *l, void *arg)
{
	struct xc_look *look = arg;

	if (l != look->thread)
		return;
	look->ci = l->l_cpu;
	look->mutex = atomic_load_explicit(&l->l_blocked_on, memory_order_acquire);
	if (look->mutex != NULL)
		look->owner = mutex_owner(look->mutex);
}

/* The call that a thread with mutexes waits for; false when it does not. */
static bool
xc_chain_held_wait(struct xc_cpu *xc, const lwp_t *thread, struct xc_ref *call)
{
	struct xc_holder *holder;

	mutex_enter(&xc->x_wait_lock);
	for (holder = xc->x_holders; holder != NULL; holder = holder->h_next)
		if (holder->h_thread == thread)
			break;
	if (holder != NULL)
		*call = holder->h_ref;
	mutex_exit(&xc->x_wait_lock);
	return holder != NULL;
}

/* Follows what keeps the owner of a mutex from releasing it. */
static bool
xc_chain_owner(struct xc_chain *chain, const kmutex_t *mutex, const lwp_t *owner)
{
	struct xc_look look = { .thread = owner };
	struct xc_ref wait;

	if (owner == NULL ||
	    !xc_chain_push(chain,
		(struct xc_step){ .p_kind = XC_STEP_MUTEX, .p_mutex = mutex, .p_owner = owner }))
		return false;
	if (owner == chain->c_root)
		return true;
	/* An xcall/N that owns a mutex has no wait of its own: it may only sleep for another
	 * one. */
	kthread_foreach(xc_chain_look, &look);
	if (look.ci == NULL)
		return xc_chain_pop(chain);
	if (look.mutex != NULL && xc_chain_owner(chain, look.mutex, look.owner))
		return true;
	return (xc_chain_held_wait(xc_cpu_lookup(look.ci->ci_index), owner, &wait) &&
		   xc_chain_call(chain, &wait)) ||
	    xc_chain_pop(chain);
}

static bool
xc_chain_find(struct xc_chain *chain, struct xc_path *path, const struct xc_ref *call)
{
	for (unsigned i = 0; i < MAXCPUS; i++)
		chain->c_seen[i] = XC_UNSEEN;
	chain->c_path = path;
	path->p_steps = 0;
	return xc_chain_call(chain, call);
}

static bool
xc_chain_same(const struct xc_path *a, const struct xc_path *b)
{
	const struct xc_step *s, *t;

	if (a->p_steps != b->p_steps)
		return false;
	for (unsigned i = 0; i < a->p_steps; i++) {
		s = &a->p_step[i];
		t = &b->p_step[i];
		if (s->p_kind != t->p_kind || s->p_call.f_ticket != t->p_call.f_ticket ||
		    s->p_call.f_call != t->p_call.f_call || s->p_cpu != t->p_cpu ||
		    s->p_mutex != t->p_mutex || s->p_owner != t->p_owner)
			return false;
	}
	return true;
}

/* The ticket, or where the descriptor is. */
static uint64_t
xc_chain_number(const struct xc_ref *call)
{
	return call->f_ticket != 0 ? call->f_ticket : (uint64_t)(uintptr_t)call->f_call;
}

static unsigned
xc_chain_sender(const struct xc_ref *call)
{
	return call->f_ticket != 0 ? xc_ticket_cpu(call->f_ticket) : call->f_call->c_sender;
}

static xcfunc_t
xc_chain_func(const struct xc_ref *call)
{
	struct xc_cpu *sender;

	return call->f_ticket != 0
	    ? atomic_load_explicit(
		  &xc_slot_lookup(call->f_ticket, &sender)->s_func, memory_order_relaxed)
	    : call->f_call->c_func;
}

/* Appends the words for a step at text[at]; returns the new end. */
static size_t
xc_chain_print(char *text, size_t size, size_t at, const struct xc_step *step)
{
	char name[KSYMS_TEXT_BYTES];
	int n = 0;

	text += at;
	size -= at;
	switch (step->p_kind) {
	case XC_STEP_CALL:
		n = snprintf(text, size, "%s%#llx of CPU %u, %s",
		    at != 0 ? ", which waits for call " : "call ",
		    (unsigned long long)xc_chain_number(&step->p_call),
		    xc_chain_sender(&step->p_call),
		    ksyms_format((uintptr_t)xc_chain_func(&step->p_call), name));
		break;
	case XC_STEP_BEGUN:
		n = snprintf(text, size, ", running in xcall/%u", step->p_cpu->x_ci->ci_index);
		break;
	case XC_STEP_QUEUED:
		n = snprintf(text, size, ", queued behind xcall/%u", step->p_cpu->x_ci->ci_index);
		break;
	case XC_STEP_MUTEX:
		n = snprintf(text, size, ", which sleeps for mutex %s, owned by %s",
		    step->p_mutex->mtx_name, step->p_owner->l_name);
		break;
	}
	return at + ((size_t)n < size ? (size_t)n : size - 1);
}

static _Noreturn void __attribute__((noinline)) xc_chain_panic(const struct xc_path *path)
{
	char text[XC_CHAIN_TEXT_BYTES] = "";
	size_t at = 0;

	for (unsigned i = 0; i < path->p_steps; i++)
		at = xc_chain_print(text, sizeof(text), at, &path->p_step[i]);
	panic("xc_wait: thread %s waits for itself: %s", curlwp->l_name, text);
}

void
xc_chain_check(struct xc_cpu *xc, const struct xc_ref *call)
{
	struct xc_chain *chain = xc->x_chain;

	kpreempt_disable();
	chain->c_root = curlwp;
	chain->c_server = xc_thread_self();
	if (xc_chain_find(chain, &chain->c_first, call) &&
	    xc_chain_find(chain, &chain->c_second, call) &&
	    xc_chain_same(&chain->c_first, &chain->c_second))
		xc_chain_panic(&chain->c_first);
	kpreempt_enable();
}

void
xc_chain_enter(struct xc_cpu *xc, struct xc_holder *holder, const struct xc_ref *call)
{
	holder->h_thread = curlwp;
	holder->h_ref = *call;
	mutex_enter(&xc->x_wait_lock);
	holder->h_next = xc->x_holders;
	xc->x_holders = holder;
	mutex_exit(&xc->x_wait_lock);
}

void
xc_chain_exit(struct xc_cpu *xc, struct xc_holder *holder)
{
	struct xc_holder **at;

	mutex_enter(&xc->x_wait_lock);
	for (at = &xc->x_holders; *at != holder; at = &(*at)->h_next)
		KASSERT(*at != NULL);
	*at = holder->h_next;
	mutex_exit(&xc->x_wait_lock);
}
