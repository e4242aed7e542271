/*
 * Event counters: a list that only grows, so that it is walked without a lock.
 */
#include "kernel/evcnt.h"

#include <stddef.h>

#include "kernel/spinlock.h"

static struct spinlock evcnt_lock = SPINLOCK_INIT("evcnt");
static _Atomic(struct evcnt *) evcnt_head;
/* Where the next one is linked in; guarded by evcnt_lock. */
static _Atomic(struct evcnt *) *evcnt_tail = &evcnt_head;

/* All but the type and the names is set. */
static void
evcnt_attach(struct evcnt *ev, enum evcnt_type type, const char *group, const char *name)
{
	atomic_init(&ev->ev_count, 0);
	ev->ev_type = type;
	ev->ev_group = group;
	ev->ev_name = name;
	atomic_init(&ev->ev_next, NULL);
	spinlock_enter(&evcnt_lock);
	/* Release: pairs with the acquires in evcnt_foreach(). */
	atomic_store_explicit(evcnt_tail, ev, memory_order_release);
	evcnt_tail = &ev->ev_next;
	spinlock_exit(&evcnt_lock);
}

void
evcnt_attach_dynamic(struct evcnt *ev, enum evcnt_type type, const struct evcnt *parent,
    const char *group, const char *name)
{
	ev->ev_sum = NULL;
	ev->ev_parent = parent;
	evcnt_attach(ev, type, group, name);
}

void
evcnt_attach_sum(struct evcnt *ev, enum evcnt_type type, const char *group, const char *name,
    uint64_t (*sum)(void))
{
	ev->ev_sum = sum;
	ev->ev_parent = NULL;
	evcnt_attach(ev, type, group, name);
}

void
evcnt_increment(struct evcnt *ev)
{
	/* Relaxed: a count orders nothing. */
	atomic_fetch_add_explicit(&ev->ev_count, 1, memory_order_relaxed);
}

uint64_t
evcnt_read(const struct evcnt *ev)
{
	return ev->ev_sum != NULL ? ev->ev_sum()
				  : atomic_load_explicit(&ev->ev_count, memory_order_relaxed);
}

void
evcnt_foreach(void (*visit)(const struct evcnt *, void *), void *arg)
{
	struct evcnt *ev;

	/* Acquire: both loads pair with evcnt_attach_dynamic(). */
	for (ev = atomic_load_explicit(&evcnt_head, memory_order_acquire); ev != NULL;
	     ev = atomic_load_explicit(&ev->ev_next, memory_order_acquire))
		visit(ev, arg);
}
