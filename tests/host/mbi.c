/*
 * Building multiboot2 information.
 */
#include "tests/host/mbi.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/cmocka_all.h"

struct table mbi;
struct bootinfo mbi_result;
size_t mbi_tag_start;

/* What holds whatever the loader wrote. */
void
mbi_check(void)
{
	assert_true(mbi_result.nregions <= BOOTINFO_MAX_REGIONS);
	for (unsigned i = 0; i < mbi_result.nregions; i++) {
		const struct bootinfo_region *r = &mbi_result.region[i];

		assert_true(r->start < r->end);
		assert_true(i == 0 || r[-1].end < r->start ||
		    (r[-1].end == r->start && r[-1].type != r->type));
	}
	assert_non_null(memchr(mbi_result.cmdline, 0, sizeof(mbi_result.cmdline)));
	assert_non_null(memchr(mbi_result.loader, 0, sizeof(mbi_result.loader)));
	for (const char *p = mbi_result.cmdline; *p != '\0'; p++)
		assert_in_range(*p, 0x20, 0x7e);
	assert_true(mbi_result.rsdp_bytes == 0 || mbi_result.rsdp_bytes == 20 ||
	    mbi_result.rsdp_bytes == 36);
	assert_true(mbi_result.module_start <= mbi_result.module_end);
}

const char *
mbi_parse_bytes(size_t bytes)
{
	uint8_t *exact = table_exact(&mbi, bytes);
	const char *error;

	memset(&mbi_result, 0xee, sizeof(mbi_result));
	error = bootinfo_multiboot2(&mbi_result, exact, bytes);
	free(exact);
	mbi_check();
	return error;
}

void
mbi_tag_begin(uint32_t type)
{
	table_align(&mbi, 8);
	mbi_tag_start = mbi.size;
	table_number(&mbi, type, 4);
	table_number(&mbi, 0, 4);
}

void
mbi_tag_end(void)
{
	table_set(&mbi, mbi_tag_start + 4, mbi.size - mbi_tag_start, 4);
}

void
mbi_begin(void)
{
	table_reset(&mbi);
	table_number(&mbi, 0, 8);
}

const char *
mbi_parse(void)
{
	mbi_tag_begin(0);
	mbi_tag_end();
	table_set(&mbi, 0, mbi.size, 4);
	return mbi_parse_bytes(mbi.size);
}

void
mbi_tag_text(uint32_t type, const char *text)
{
	mbi_tag_begin(type);
	table_text(&mbi, text, strlen(text) + 1);
	mbi_tag_end();
}

void
mbi_mmap_begin(uint32_t entry_bytes)
{
	mbi_tag_begin(6);
	table_number(&mbi, entry_bytes, 4);
	table_number(&mbi, 0, 4);
}

void
mbi_mmap_entry(uint64_t start, uint64_t length, uint32_t type)
{
	table_number(&mbi, start, 8);
	table_number(&mbi, length, 8);
	table_number(&mbi, type, 4);
	table_number(&mbi, 0, 4);
}

/* A map with one usable piece, for tests of other tags. */
void
mbi_some_memory(void)
{
	mbi_mmap_begin(24);
	mbi_mmap_entry(0, 0x1000000, 1);
	mbi_tag_end();
}

void
mbi_tag_rsdp(uint32_t type, uint8_t fill, size_t bytes)
{
	mbi_tag_begin(type);
	for (size_t i = 0; i < bytes; i++)
		table_number(&mbi, fill, 1);
	mbi_tag_end();
}

void
mbi_tag_framebuffer(
    uint64_t address, uint32_t pitch, uint32_t width, uint32_t height, uint8_t bpp, uint8_t type)
{
	mbi_tag_begin(8);
	table_number(&mbi, address, 8);
	table_number(&mbi, pitch, 4);
	table_number(&mbi, width, 4);
	table_number(&mbi, height, 4);
	table_number(&mbi, bpp, 1);
	table_number(&mbi, type, 1);
	table_number(&mbi, 0, 2);
	table_number(&mbi, 0x080008080810, 6);
	mbi_tag_end();
}

void
mbi_efi_entry(uint32_t type, uint64_t start, uint64_t pages, size_t padding)
{
	table_number(&mbi, type, 8);
	table_number(&mbi, start, 8);
	table_number(&mbi, 0, 8);
	table_number(&mbi, pages, 8);
	table_number(&mbi, 0xf, 8);
	table_zero(&mbi, padding);
}

void
mbi_efi_map(void)
{
	mbi_tag_begin(17);
	table_number(&mbi, 48, 4);
	table_number(&mbi, 1, 4);
	mbi_efi_entry(7, 0x100000, 0x100, 8);
	mbi_efi_entry(4, 0x1000, 0x9, 8);
	mbi_efi_entry(9, 0x300000, 1, 8);
	mbi_efi_entry(10, 0x301000, 1, 8);
	mbi_efi_entry(11, 0xfed00000, 1, 8);
	mbi_efi_entry(99, 0x200000, 1, 8);
	mbi_tag_end();
}

void
mbi_check_region(unsigned i, uint64_t start, uint64_t end, enum bootinfo_region_type type)
{
	assert_true(i < mbi_result.nregions);
	assert_int_equal(mbi_result.region[i].start, start);
	assert_int_equal(mbi_result.region[i].end, end);
	assert_int_equal(mbi_result.region[i].type, type);
}

/* Every tag we know, as GRUB would have them. */
void
mbi_all_tags(void)
{
	mbi_begin();
	mbi_tag_text(1, "hz=100 hold");
	mbi_tag_text(2, "GRUB 2.06");
	mbi_tag_begin(3);
	table_number(&mbi, 0x200000, 4);
	table_number(&mbi, 0x300000, 4);
	table_text(&mbi, "module", 7);
	mbi_tag_end();
	mbi_tag_begin(4);
	table_number(&mbi, 640, 4);
	table_number(&mbi, 64512, 4);
	mbi_tag_end();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0, 0x9fc00, 1);
	mbi_mmap_entry(0x9fc00, 0x400, 2);
	mbi_mmap_entry(0x100000, 0x3ee0000, 1);
	mbi_mmap_entry(0x3fe0000, 0x20000, 3);
	mbi_tag_end();
	mbi_tag_framebuffer(0xfd000000, 5120, 1280, 800, 32, 1);
	mbi_tag_begin(12);
	table_number(&mbi, 0x3f00000, 8);
	mbi_tag_end();
	mbi_tag_rsdp(14, 0x14, 20);
	mbi_tag_rsdp(15, 0x15, 36);
	mbi_efi_map();
}
