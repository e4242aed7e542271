/*
 * Changing kernel code while it runs.
 */
#ifndef KERNEL_CLIENTS_TEXT_H
#define KERNEL_CLIENTS_TEXT_H

#include <stddef.h>
#include <stdint.h>

/*
 * Replaces `length` bytes of kernel text, if they are `old` now.  When it returns every CPU
 * executes the new ones; none has executed a mixture.
 *	- 0; EINVAL: [address, address + length) is not text, or longer than TEXT_PATCH_BYTES;
 *	  EBUSY: the bytes are not `old`.
 *	- What is replaced must be within one instruction, or a sequence that nobody can be
 *	  interrupted in the middle of.
 *	- Not the code of NMI handlers, nor what stops the machine (xcall/, spinlocks).
 *	- Not while a CPU goes offline or comes back, unless what it runs meanwhile is not patched:
 *	  it is not stopped.
 *	- Context: as xc_rendezvous().
 */
#define TEXT_PATCH_BYTES 16
int text_patch(uintptr_t address, const void *old, const void *fresh, size_t length)
    __attribute__((warn_unused_result));

#endif
