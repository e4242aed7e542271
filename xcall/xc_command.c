/*
 * The monitor command `calls`: what each CPU has posted and served, and what is in flight.
 */
#include <stddef.h>

#include "xcall/xc_internal.h"
#include "xcall/xc_pool.h"

/* A live call, copied under the pool lock. */
struct xc_view {
	uint64_t ticket; /* 0: the slot is free */
	xcfunc_t func;
	unsigned unfinished, queued;
};

static struct xc_view
xc_command_look(struct xc_cpu *xc, struct xc_slot *slot)
{
	struct xc_view view = { .ticket = 0 };

	mutex_enter(&xc->x_pool_lock);
	/* Relaxed: what is posted and what ends comes under the lock, the rest are figures of a moment. */
	view.unfinished = atomic_load_explicit(&slot->s_unfinished, memory_order_relaxed);
	view.queued = xc_slot_queued(slot);
	if (slot->s_func != NULL) {
		view.ticket = xc_slot_ticket(slot);
		view.func = slot->s_func;
	}
	mutex_exit(&xc->x_pool_lock);
	return view;
}

static void
xc_command_show_slot(struct xc_cpu *xc, unsigned index)
{
	struct xc_view view = xc_command_look(xc, &xc->x_slot[index]);
	char name[KSYMS_TEXT_BYTES];

	if (view.ticket != 0)
		printf("  slot %2u call %#llx %s: begun on %u, queued on %u\n", index,
		    (unsigned long long)view.ticket, ksyms_format((uintptr_t)view.func, name),
		    view.unfinished - view.queued, view.queued);
}

static void
xc_command_show_stack(const struct xc_cpu *xc, unsigned depth)
{
	for (unsigned i = 0; i < depth; i++)
		printf("  level %u runs call %#llx, waits for %#llx\n", i,
		    (unsigned long long)atomic_load_explicit(
			&xc->x_level[i].l_call, memory_order_relaxed),
		    (unsigned long long)atomic_load_explicit(
			&xc->x_level[i].l_wait, memory_order_relaxed));
}

COMMAND(calls, "", "cross calls: posted and served by each CPU, and those in flight")
{
	struct cpu_info *ci;
	struct xc_cpu *xc;
	unsigned depth, nfree;

	if (argc != 1)
		return EINVAL;
	printf("cpu     posted     served  in flight  depth\n");
	CPU_INFO_FOREACH(ci) {
		if ((xc = xc_cpu_lookup(ci->ci_index)) == NULL)
			continue;
		/* Relaxed: figures of a moment, for a person. */
		depth = atomic_load_explicit(&xc->x_depth, memory_order_relaxed);
		nfree = atomic_load_explicit(&xc->x_nfree, memory_order_relaxed);
		printf("%3u %10llu %10llu %10u %6u\n", ci->ci_index,
		    (unsigned long long)atomic_load_explicit(&xc->x_posted, memory_order_relaxed),
		    (unsigned long long)atomic_load_explicit(&xc->x_served, memory_order_relaxed),
		    XC_SLOTS - nfree, depth);
		for (unsigned i = 0; nfree != XC_SLOTS && i < XC_SLOTS; i++)
			xc_command_show_slot(xc, i);
		xc_command_show_stack(xc, depth < XC_DEPTH_MAX ? depth : XC_DEPTH_MAX);
	}
	return 0;
}
