/*
 * boot/bootinfo.c: the tags of multiboot2.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/mbi.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000

static void
test_all_tags(void **state)
{
	(void)state;
	mbi_all_tags();
	assert_null(mbi_parse());
	assert_null(mbi_result.warning);
	assert_string_equal(mbi_result.cmdline, "hz=100 hold");
	assert_string_equal(mbi_result.loader, "GRUB 2.06");
	assert_int_equal(mbi_result.module_start, 0x200000);
	assert_int_equal(mbi_result.module_end, 0x300000);
	assert_true(mbi_result.efi);
	assert_int_equal(mbi_result.rsdp_bytes, 36);
	assert_int_equal(mbi_result.rsdp[0], 0x15);
	assert_int_equal(mbi_result.rsdp[35], 0x15);
	assert_int_equal(mbi_result.rsdp_address, 0);
	assert_int_equal(mbi_result.nregions, 4);
	mbi_check_region(0, 0, 0x9fc00, BOOTINFO_USABLE);
	mbi_check_region(1, 0x9fc00, 0xa0000, BOOTINFO_RESERVED);
	mbi_check_region(2, 0x100000, 0x3fe0000, BOOTINFO_USABLE);
	mbi_check_region(3, 0x3fe0000, 0x4000000, BOOTINFO_ACPI);
	assert_int_equal(mbi_result.regions_dropped, 0);
	assert_int_equal(mbi_result.fb.type, BOOTINFO_FB_RGB);
	assert_int_equal(mbi_result.fb.address, 0xfd000000);
	assert_int_equal(mbi_result.fb.pitch, 5120);
	assert_int_equal(mbi_result.fb.width, 1280);
	assert_int_equal(mbi_result.fb.height, 800);
	assert_int_equal(mbi_result.fb.red_shift, 16);
	assert_int_equal(mbi_result.fb.green_shift, 8);
	assert_int_equal(mbi_result.fb.blue_shift, 0);
	assert_int_equal(mbi_result.fb.blue_bits, 8);
}

/* All prefixes, with the size the loader wrote and with one that fits. */
static void
test_prefixes(void **state)
{
	size_t full;

	(void)state;
	mbi_all_tags();
	assert_null(mbi_parse());
	full = mbi.size;
	for (size_t n = 0; n < full; n++) {
		table_set(&mbi, 0, full, 4);
		mbi_parse_bytes(n);
		assert_non_null(n < 8 ? "too short" : mbi_result.warning);
		table_set(&mbi, 0, n, 4);
		mbi_parse_bytes(n);
	}
}

/* Every type, known or not, with every size up to 80, being the last bytes of the memory. */
static void
test_truncated_tags(void **state)
{
	(void)state;
	for (uint32_t type = 1; type < 24; type++) {
		for (uint32_t size = 0; size <= 80; size++) {
			mbi_begin();
			mbi_some_memory();
			mbi_tag_begin(type);
			for (unsigned i = 8; i < size; i++)
				table_number(&mbi, i % 3 == 0 ? 0xff : i, 1);
			table_set(&mbi, mbi_tag_start + 4, size, 4);
			table_set(&mbi, 0, mbi.size, 4);
			assert_null(mbi_parse_bytes(mbi.size));
			assert_non_null(mbi_result.warning);
			mbi_check_region(0, 0, 0x1000000, BOOTINFO_USABLE);
		}
	}
}

static void
test_impossible_sizes(void **state)
{
	static const uint32_t sizes[] = { 0, 1, 7, 0x7fffffff, 0xfffffff8, 0xffffffff };

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		mbi_begin();
		mbi_some_memory();
		mbi_tag_begin(1);
		table_set(&mbi, mbi_tag_start + 4, sizes[i], 4);
		assert_null(mbi_parse());
		assert_string_equal(mbi_result.warning, "a multiboot2 tag has an impossible size");
		assert_int_equal(mbi_result.nregions, 1);
	}
	mbi_begin();
	mbi_some_memory();
	table_set(&mbi, 0, 0xffffffff, 4);
	assert_null(mbi_parse_bytes(mbi.size));
	assert_non_null(strstr(mbi_result.warning, "longer than its memory"));
	table_set(&mbi, 0, 7, 4);
	assert_non_null(mbi_parse_bytes(mbi.size));
	assert_non_null(bootinfo_multiboot2(&mbi_result, NULL, 0));
}

static void
test_misaligned(void **state)
{
	(void)state;
	mbi_all_tags();
	assert_null(mbi_parse());
	for (size_t shift = 1; shift < 8; shift++) {
		uint8_t *block = malloc(mbi.size + shift);

		assert_non_null(block);
		memcpy(block + shift, mbi.data, mbi.size);
		assert_null(bootinfo_multiboot2(&mbi_result, block + shift, mbi.size));
		assert_null(mbi_result.warning);
		assert_int_equal(mbi_result.nregions, 4);
		free(block);
	}
}

static void
test_texts(void **state)
{
	char text[3000];

	(void)state;
	mbi_begin();
	mbi_some_memory();
	mbi_tag_text(1, "a\tb\x01\x7f\xff c");
	mbi_tag_begin(2);
	table_text(&mbi, "no end", 6);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_string_equal(mbi_result.cmdline, "a b??? c");
	assert_string_equal(mbi_result.loader, "no end");

	memset(text, 'x', sizeof(text));
	for (size_t length = 1021; length < 1026; length++) {
		text[length] = '\0';
		mbi_begin();
		mbi_some_memory();
		mbi_tag_text(1, text);
		mbi_tag_text(2, text);
		assert_null(mbi_parse());
		assert_int_equal(strlen(mbi_result.cmdline), length < 1023 ? length : 1023);
		assert_int_equal(strlen(mbi_result.loader), 63);
		assert_int_equal(mbi_result.warning != NULL, length > 1023);
		text[length] = 'x';
	}
}

static void
test_modules(void **state)
{
	static const uint32_t module[][2] = { { 0x500000, 0x600000 }, { 0x300000, 0x400000 },
		{ 0x100, 0x100 }, { 0x900000, 0x800000 }, { 0x550000, 0x610000 } };

	(void)state;
	mbi_begin();
	mbi_some_memory();
	for (unsigned i = 0; i < 5; i++) {
		mbi_tag_begin(3);
		table_number(&mbi, module[i][0], 4);
		table_number(&mbi, module[i][1], 4);
		table_number(&mbi, 0, 1);
		mbi_tag_end();
	}
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.module_start, 0x300000);
	assert_int_equal(mbi_result.module_end, 0x610000);
	assert_non_null(strstr(mbi_result.warning, "module"));
}

static void
test_rsdp_copies(void **state)
{
	(void)state;
	mbi_begin();
	mbi_some_memory();
	mbi_tag_rsdp(15, 0x15, 36);
	mbi_tag_rsdp(14, 0x14, 20);
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.rsdp[0], 0x15);

	mbi_begin();
	mbi_some_memory();
	mbi_tag_rsdp(15, 0x15, 35);
	mbi_tag_rsdp(14, 0x14, 24);
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.rsdp_bytes, 20);
	assert_int_equal(mbi_result.rsdp[19], 0x14);
	assert_int_equal(mbi_result.rsdp[20], 0);

	mbi_begin();
	mbi_some_memory();
	mbi_tag_rsdp(14, 0x14, 19);
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.rsdp_bytes, 0);
	assert_non_null(strstr(mbi_result.warning, "RSDP"));
	assert_false(mbi_result.efi);
}

static bool
test_framebuffer_taken(
    uint64_t address, uint32_t pitch, uint32_t width, uint32_t height, uint8_t bpp, uint8_t type)
{
	mbi_begin();
	mbi_some_memory();
	mbi_tag_framebuffer(address, pitch, width, height, bpp, type);
	assert_null(mbi_parse());
	return mbi_result.fb.type != BOOTINFO_FB_NONE;
}

static void
test_framebuffers(void **state)
{
	(void)state;
	assert_true(test_framebuffer_taken(0xb8000, 160, 80, 25, 16, 2));
	assert_int_equal(mbi_result.fb.type, BOOTINFO_FB_TEXT);
	assert_true(test_framebuffer_taken(0x1fd000000, 2400, 800, 600, 24, 1));
	assert_int_equal(mbi_result.fb.address, 0x1fd000000);
	assert_true(test_framebuffer_taken(0xfd000000, 5464, 1366, 768, 32, 1));
	assert_false(test_framebuffer_taken(0xfd000000, 640, 640, 480, 8, 0));
	assert_null(mbi_result.warning);
	assert_false(test_framebuffer_taken(0xfd000000, 640, 640, 480, 8, 3));
	assert_false(test_framebuffer_taken(0, 2400, 800, 600, 24, 1));
	assert_non_null(mbi_result.warning);
	assert_false(test_framebuffer_taken(0xfd000000, 2399, 800, 600, 24, 1));
	assert_false(test_framebuffer_taken(0xfd000000, 159, 80, 25, 16, 2));
	assert_false(test_framebuffer_taken(0xfd000000, 2400, 0, 600, 24, 1));
	assert_false(test_framebuffer_taken(0xfd000000, 2400, 800, 0, 24, 1));
	assert_false(test_framebuffer_taken(0xfd000000, 2400, 800, 600, 0, 1));
	assert_false(test_framebuffer_taken(0xfd000000, 10000, 800, 600, 64, 1));
	/* The colours of the builder end at bit 24. */
	assert_false(test_framebuffer_taken(0xfd000000, 2400, 800, 600, 16, 1));
	/* width times bytes and pitch times height beyond 32 and 64 bits */
	assert_false(test_framebuffer_taken(0xfd000000, 16, 0x40000004, 600, 32, 1));
	assert_false(test_framebuffer_taken(UINT64_MAX - 1000, 2400, 800, 600, 24, 1));
}

static void
test_mutations(void **state)
{
	static struct table good;
	struct random random = { 0x6d62693221 };

	(void)state;
	mbi_all_tags();
	assert_null(mbi_parse());
	good = mbi;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		mbi = good;
		random_spoil(&random, mbi.data, mbi.size);
		mbi_parse_bytes(
		    random_below(&random, 4) != 0 ? mbi.size : random_below(&random, mbi.size));
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_tags),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_truncated_tags),
		cmocka_unit_test(test_impossible_sizes),
		cmocka_unit_test(test_misaligned),
		cmocka_unit_test(test_texts),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_rsdp_copies),
		cmocka_unit_test(test_framebuffers),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("bootinfo", tests, NULL, NULL);
}
