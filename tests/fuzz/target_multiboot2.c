/*
 * The input is the loader's multiboot2 information: boot/bootinfo.c.  As it is, then with a total
 * size that says how long it is, so that a mutation that moves the end is read to its end.
 */
#include <string.h>

#include "tests/fuzz/fuzz.h"
#include "tests/host/mbi.h"

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size > TABLE_ROOM)
		return 0;
	memcpy(mbi.data, data, size);
	mbi.size = size;
	(void)mbi_parse_bytes(size);
	if (size < 8)
		return 0;
	table_set(&mbi, 0, size, 4);
	if (memcmp(mbi.data, data, 4) == 0)
		return 0;
	(void)mbi_parse_bytes(size);
	return 0;
}
