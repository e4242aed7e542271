/*
 * Changing kernel code while it runs.
 *
 * Background.  A CPU may have fetched and decoded instructions long before it executes them.  Code
 * that one CPU writes and another one executes must not be executed until it is whole, and then
 * only after the executing CPU has serialised (SDM vol. 3, 9.1.3, cross-modifying code).
 *
 * Implementation.  A rendezvous of all CPUs: the machine stands still, interrupts off everywhere.
 * In its second phase the caller's CPU writes, while the others have nothing to do and wait for the
 * third; there each of them, and it itself, serialises before it goes on:
 *
 *	the caller's CPU		every other
 *	all have come			all have come
 *	writes the bytes		spins in xcall/rendezvous.c
 *	the next phase			the next phase
 *	serialises			serialises
 *
 * Rejected: xc_stop_machine() for the writing alone.  The others would go on afterwards with what
 * they have fetched, and rely on the interrupt's return to serialise (it does: SDM vol. 3, 9.3).
 *
 * Limits.  An NMI may come on any CPU at any time: its handlers must not be patched.  A CPU on its
 * way out or in is no member: the rule is in the header.  An emulator that looks for changed code
 * by itself does not show a missing serialisation.
 */
#include "kernel/clients/text.h"

#include <stdbool.h>

#include "kernel/cpu.h"
#include "kernel/cpuset.h"
#include "kernel/errno.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/string.h"
#include "xcall/rendezvous.h"

extern const uint8_t text_start[], text_end[];

struct text_request {
	struct cpu_info *writer;
	uintptr_t address;
	const void *old, *fresh;
	size_t length;
	int error; /* of the writer */
};

/* On every CPU, all stopped: that of the caller writes. */
static void
text_write(void *arg)
{
	struct text_request *request = arg;

	if (curcpu() != request->writer)
		return;
	request->error = EBUSY;
	if (memcmp((const void *)request->address, request->old, request->length) == 0) {
		machine_text_write(request->address, request->fresh, request->length);
		request->error = 0;
	}
}

static void
text_sync(void *arg __attribute__((unused)))
{
	machine_text_sync();
}

int
text_patch(uintptr_t address, const void *old, const void *fresh, size_t length)
{
	struct text_request request = {
		.address = address, .old = old, .fresh = fresh, .length = length
	};
	struct cpuset all;
	struct cpu_info *ci;
	int error;

	if (length == 0 || length > TEXT_PATCH_BYTES || address < (uintptr_t)text_start ||
	    address >= (uintptr_t)text_end || length > (uintptr_t)text_end - address)
		return EINVAL;
	cpuset_zero(&all);
	CPU_INFO_FOREACH(ci)
		cpuset_add(&all, ci->ci_index);
	request.writer = curcpu();
	error = xc_rendezvous(&all, NULL, text_write, text_sync, &request, 0);
	return error != 0 ? error : request.error;
}
