/*
 * The input is the EBDA's first KiB: the MP floating pointer, and behind it the table that it
 * names: kernel/x86/mptable.c.
 *
 * As it is, then with the pointer at its beginning made sound, then with the table behind it made
 * sound as well.
 */
#include <string.h>

#include "kernel/x86/mptable.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"
#include "tests/host/image.h"
#include "tests/host/machine.h"

#define TARGET_EBDA_POINTER 0x40e
#define TARGET_BASE_MEMORY 0x413
#define TARGET_EBDA 0x9fc00
#define TARGET_BYTES 1024
#define TARGET_POINTER_BYTES 16
#define TARGET_HEADER_BYTES 44

/* The odd inputs are found by the size of the base memory, the even ones by the EBDA's segment. */
static void
target_parse(const struct table *t)
{
	static const uint8_t segment[2] = { TARGET_EBDA >> 4 & 0xff, TARGET_EBDA >> 12 };
	static const uint8_t kib[2] = { (TARGET_EBDA + TARGET_BYTES) >> 10 & 0xff,
		(TARGET_EBDA + TARGET_BYTES) >> 18 };
	bool usable;

	image_reset();
	if (t->data[0] % 2 == 0)
		image_place(TARGET_BASE_MEMORY, kib, sizeof(kib));
	else
		image_place(TARGET_EBDA_POINTER, segment, sizeof(segment));
	image_place_table(TARGET_EBDA, t);
	memset(&machine_platform, 0, sizeof(machine_platform));
	usable = mptable_parse(&machine_platform, image_fetch);
	image_release();
	machine_check();
	assert_int_equal(usable, machine_platform.ncpus != 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct table t;

	if (size < TARGET_POINTER_BYTES || size > TARGET_BYTES)
		return 0;
	memset(t.data, 0, TARGET_BYTES);
	memcpy(t.data, data, size);
	t.size = TARGET_BYTES;
	target_parse(&t);

	memcpy(t.data, "_MP_", 4);
	table_set(&t, 4, TARGET_EBDA + TARGET_POINTER_BYTES, 4);
	table_set(&t, 8, 1, 1);
	table_checksum(&t, 0, TARGET_POINTER_BYTES, 10);
	target_parse(&t);

	if (size < TARGET_POINTER_BYTES + TARGET_HEADER_BYTES)
		return 0;
	table_set(&t, 11, 0, 1);
	table_checksum(&t, 0, TARGET_POINTER_BYTES, 10);
	memcpy(t.data + TARGET_POINTER_BYTES, "PCMP", 4);
	table_set(&t, TARGET_POINTER_BYTES + 4, size - TARGET_POINTER_BYTES, 2);
	table_checksum(
	    &t, TARGET_POINTER_BYTES, size - TARGET_POINTER_BYTES, TARGET_POINTER_BYTES + 7);
	target_parse(&t);
	return 0;
}
