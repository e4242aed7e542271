/*
 * The input is memory from TARGET_BASE on, and PVH's start information stands at its beginning:
 * boot/bootinfo_pvh.c.  As it is, then with the magic number and the version made right.
 */
#include <string.h>

#include "boot/boot.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/image.h"
#include "tests/host/mbi.h"

#define TARGET_BASE 0x1000

static void
target_parse(void)
{
	image_place_table(TARGET_BASE, &mbi);
	memset(&mbi_result, 0xee, sizeof(mbi_result));
	(void)bootinfo_pvh(&mbi_result, TARGET_BASE, image_fetch);
	image_release();
	mbi_check();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (size == 0 || size > TABLE_ROOM)
		return 0;
	memcpy(mbi.data, data, size);
	mbi.size = size;
	target_parse();
	if (size < 8)
		return 0;
	table_set(&mbi, 0, BOOT_MAGIC_PVH, 4);
	table_set(&mbi, 4, 1, 4);
	if (memcmp(mbi.data, data, 8) == 0)
		return 0;
	target_parse();
	return 0;
}
