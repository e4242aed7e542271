/*
 * Addresses to names: a binary search in the table that the build makes from a first link
 * (ksyms_table.py).  In that first link the table is empty.
 */
#include "kernel/ksyms.h"

#include <stddef.h>

#include "kernel/printf.h"

/* Start addresses in ascending order; the image is linked at 2 MiB, so 32 bits hold them. */
extern const uint32_t ksyms_count;
extern const uint32_t ksyms_address[];
/* Offsets into ksyms_names, where each name ends with a zero byte. */
extern const uint32_t ksyms_name[];
extern const char ksyms_names[];
/* linker.ld */
extern const char text_end[];

const char *
ksyms_lookup(uintptr_t pc, uintptr_t *offset)
{
	uint32_t low = 0, high = ksyms_count, middle;

	if (ksyms_count == 0 || pc < ksyms_address[0] || pc >= (uintptr_t)text_end)
		return NULL;
	/* ksyms_address[low] <= pc, and what stands at `high` and above is greater than pc. */
	while (high - low > 1) {
		middle = low + (high - low) / 2;
		if (ksyms_address[middle] <= pc)
			low = middle;
		else
			high = middle;
	}
	*offset = pc - ksyms_address[low];
	return &ksyms_names[ksyms_name[low]];
}

const char *
ksyms_format(uintptr_t pc, char buf[KSYMS_TEXT_BYTES])
{
	uintptr_t offset;
	const char *name = ksyms_lookup(pc, &offset);

	if (name == NULL)
		snprintf(buf, KSYMS_TEXT_BYTES, "%#lx", pc);
	else
		snprintf(buf, KSYMS_TEXT_BYTES, "%s+%#lx", name, offset);
	return buf;
}
