/*
 * The targets of a call, up to XC_GROUP_CPUS of them in a word.
 *
 *	tag << 33 | cancelled << 32 | unfinished << 16 | todo
 *
 * `todo` has the targets that have not begun, `unfinished` those that have not returned.  The tag
 * is the slot and the low 25 bits of its generation: who changes the word by compare-and-swap
 * changes it for the call he meant.
 */
#ifndef XCALL_XC_GROUP_H
#define XCALL_XC_GROUP_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "xcall/xc_ticket.h"

#define XC_GROUP_CPUS 16u
#define XC_GROUP_MASK 0xffffu
#define XC_GROUP_CANCELLED (UINT64_C(1) << 32)
#define XC_GROUP_TAG_SHIFT 33

static inline uint64_t
xc_group_tag(unsigned slot, uint64_t generation)
{
	return (generation << XC_TICKET_SLOT_BITS | slot) << XC_GROUP_TAG_SHIFT;
}

static inline bool
xc_group_is(uint64_t word, uint64_t tag)
{
	return word >> XC_GROUP_TAG_SHIFT == tag >> XC_GROUP_TAG_SHIFT;
}

/* A group begins at a multiple of XC_GROUP_CPUS. */
struct xc_group {
	_Atomic uint64_t g_word; /* partners are named where it is read and written */
};

#endif
