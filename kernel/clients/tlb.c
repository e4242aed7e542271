/*
 * TLB shootdown.
 *
 * Background.  A CPU keeps translations until it is told to forget them, and only it can (SDM vol.
 * 3, 4.10.5).  Whoever takes a page away must have all CPUs do so before the page is used again.
 *
 * Implementation.  A hard call to all others; meanwhile the caller forgets for itself.  Each target
 * takes a copy of what it has to forget, acknowledges, and only then does it.  The caller goes on
 * with the last acknowledgement, which saves it the slowest target's work, and, with many pages,
 * most of the wait.
 *
 *	caller				target, in a hard interrupt
 *	changes the tables
 *	posts				copies the request
 *	forgets for itself		waiting -= 1, release: the request may be gone now
 *	waiting == 0, acquire		forgets
 *	frees the page			returns
 *
 * Why that is sound here: from the acknowledgement to the last INVLPG the target executes only this
 * function, with interrupts off, and it touches nothing that was mapped there.  What the CPU reads
 * ahead has no effect on ordinary memory.  The exception would be an NMI handler; the rule is in
 * the header.
 *
 * A CPU that is no target of cross calls is passed over, and may have any translation that it ever
 * had.  When it comes back it forgets everything, once it is a target (tlb_flush()): what changed
 * before is forgotten then, what changes after comes by call.  INIT and the way through the
 * trampoline have dropped its translations too, but it may have read ahead since.
 *
 * The caller waits with its own spin, not with xc_wait(), which would wait for the functions to
 * return.  Interrupts are on, so it serves others meanwhile.  A spin that lasts goes over to
 * xc_wait(), which reports who does not answer.
 *
 * Limits.  One counter for all targets.  Many pages are all pages (kernel/x86/paging.c).
 */
#include "kernel/clients/tlb.h"

#include <stdatomic.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "xcall/xc_status.h"
#include "xcall/xcall.h"

/* Then somebody is late enough to be looked at: far more than a hard call takes, far less than a
 * stall report waits. */
#define TLB_SPIN_NS 10000000ull

/* On the caller's stack until all have acknowledged. */
struct tlb_request {
	uintptr_t address;
	size_t npages;
	_Atomic uint64_t seen; /* acknowledgements */
};

static void
tlb_forget(void *arg1, void *arg2 __attribute__((unused)))
{
	struct tlb_request *request = arg1;
	uintptr_t address = request->address;
	size_t npages = request->npages;

	/* Release: pairs with tlb_shootdown().  The request may be gone after this. */
	atomic_fetch_add_explicit(&request->seen, 1, memory_order_release);
	machine_tlb_invalidate(address, npages);
}

/* Whether all targets have acknowledged, within the time of a spin. */
static bool
tlb_acknowledged(struct tlb_request *request, unsigned targets)
{
	uint64_t end = clock_ns() + TLB_SPIN_NS;

	/* Acquire: pairs with tlb_forget(). */
	while (atomic_load_explicit(&request->seen, memory_order_acquire) < targets) {
		if (clock_ns() > end)
			return false;
		machine_pause();
	}
	return true;
}

void
tlb_shootdown(uintptr_t address, size_t npages)
{
	struct tlb_request request = { .address = address, .npages = npages };
	struct xc_status status;
	uint64_t where;

	KASSERTMSG(machine_intr_enabled() && !cpu_intr_p(), "tlb_shootdown: with interrupts off");
	where = xc_broadcast(XC_HARD | XC_NOSELF, tlb_forget, &request, NULL);
	KASSERTMSG(!XC_ISERR(where), "tlb_shootdown: error %d", XC_ERRNO(where));
	machine_tlb_invalidate(address, npages);
	if (xc_status(where, &status) != 0 || status.func == NULL)
		return; /* over already */
	if (!tlb_acknowledged(&request, status.posted))
		xc_wait(where);
}

void
tlb_flush(void)
{
	machine_tlb_invalidate(0, SIZE_MAX);
}

void
tlb_remap(uintptr_t window, void *page)
{
	machine_window_map(window, page);
	tlb_shootdown(window, 1);
}
