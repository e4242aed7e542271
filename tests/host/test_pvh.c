/*
 * boot/bootinfo_pvh.c.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "boot/boot.h"
#include "tests/host/image.h"
#include "tests/host/mbi.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000

/* Where the parts lie; odd, so that nothing is aligned. */
#define TEST_INFO 0x7003
#define TEST_MAP 0x8001
#define TEST_CMDLINE 0x9001
#define TEST_MODULES 0xa001

static struct table test_info;

static void
test_pvh_build(uint32_t version, uint32_t entries)
{
	static struct table map;

	image_reset();
	table_reset(&test_info);
	table_number(&test_info, BOOT_MAGIC_PVH, 4);
	table_number(&test_info, version, 4);
	table_number(&test_info, 0, 4);
	table_number(&test_info, 1, 4);
	table_number(&test_info, TEST_MODULES, 8);
	table_number(&test_info, TEST_CMDLINE, 8);
	table_number(&test_info, 0xf5aa0, 8);
	if (version > 0) {
		table_number(&test_info, TEST_MAP, 8);
		table_number(&test_info, entries, 4);
		table_number(&test_info, 0, 4);
	}
	image_place_table(TEST_INFO, &test_info);
	image_place(TEST_CMDLINE, "hz=250\thold", 12);
	table_reset(&map);
	table_number(&map, 0x400000, 8);
	table_number(&map, 0x1234, 8);
	table_zero(&map, 16);
	image_place_table(TEST_MODULES, &map);
	table_reset(&map);
	for (unsigned i = 0; i < (entries < 3000 ? entries : 3); i++) {
		table_number(&map, i * 0x10000, 8);
		table_number(&map, 0x8000, 8);
		table_number(&map, i % 4 + 1, 8);
	}
	image_place_table(TEST_MAP, &map);
}

static const char *
test_pvh_parse(void)
{
	const char *error;

	memset(&mbi_result, 0xee, sizeof(mbi_result));
	error = bootinfo_pvh(&mbi_result, TEST_INFO, image_fetch);
	mbi_check();
	image_release();
	return error;
}

static void
test_pvh(void **state)
{
	(void)state;
	test_pvh_build(1, 4);
	assert_null(test_pvh_parse());
	assert_null(mbi_result.warning);
	assert_string_equal(mbi_result.loader, "PVH");
	assert_string_equal(mbi_result.cmdline, "hz=250 hold");
	assert_int_equal(mbi_result.rsdp_address, 0xf5aa0);
	assert_int_equal(mbi_result.rsdp_bytes, 0);
	assert_int_equal(mbi_result.module_start, 0x400000);
	assert_int_equal(mbi_result.module_end, 0x401234);
	assert_int_equal(mbi_result.nregions, 4);
	mbi_check_region(0, 0, 0x8000, BOOTINFO_USABLE);
	mbi_check_region(1, 0x10000, 0x18000, BOOTINFO_RESERVED);
	mbi_check_region(2, 0x20000, 0x28000, BOOTINFO_ACPI);
	mbi_check_region(3, 0x30000, 0x38000, BOOTINFO_ACPI);
	test_pvh_build(2, 4);
	assert_null(test_pvh_parse());
}

static void
test_pvh_refused(void **state)
{
	size_t size;

	(void)state;
	test_pvh_build(0, 0);
	assert_non_null(strstr(test_pvh_parse(), "version 0"));
	test_pvh_build(1, 0);
	assert_non_null(strstr(test_pvh_parse(), "no memory map"));
	test_pvh_build(1, 0xffffffff);
	assert_non_null(strstr(test_pvh_parse(), "outside memory"));
	test_pvh_build(1, 3);
	image_block(TEST_INFO, &size)[0] ^= 1;
	assert_non_null(strstr(test_pvh_parse(), "magic"));
	assert_non_null(bootinfo_pvh(&mbi_result, 0, image_fetch));
	assert_non_null(bootinfo_pvh(&mbi_result, UINT64_MAX - 8, image_fetch));
	test_pvh_build(1, 3);
	for (size_t n = 0; n < test_info.size; n++) {
		image_place(TEST_INFO, test_info.data, n);
		assert_non_null(test_pvh_parse());
	}
}

static void
test_pvh_outside_memory(void **state)
{
	char text[1100];

	(void)state;
	test_pvh_build(1, 3);
	image_place(TEST_CMDLINE, "hold", 4);
	assert_null(test_pvh_parse());
	assert_non_null(strstr(mbi_result.warning, "command line"));
	assert_string_equal(mbi_result.cmdline, "hold");

	memset(text, 'y', sizeof(text));
	image_place(TEST_CMDLINE, text, sizeof(text));
	assert_null(test_pvh_parse());
	assert_non_null(strstr(mbi_result.warning, "cut"));
	assert_int_equal(strlen(mbi_result.cmdline), 1023);
	text[1023] = '\0';
	image_place(TEST_CMDLINE, text, sizeof(text));
	assert_null(test_pvh_parse());
	assert_null(mbi_result.warning);

	image_place(TEST_MODULES, text, 31);
	assert_null(test_pvh_parse());
	assert_non_null(strstr(mbi_result.warning, "modules"));
	/* 0xffffffff modules, all alike */
	table_set(&test_info, 12, 0xffffffff, 4);
	image_place_table(TEST_INFO, &test_info);
	assert_null(test_pvh_parse());
	assert_true(mbi_result.warning != NULL);
}

static void
test_pvh_mutations(void **state)
{
	static const uint64_t blocks[] = { TEST_INFO, TEST_INFO, TEST_MAP, TEST_MODULES };
	struct random random = { 0x70766821 };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		size_t size;
		uint8_t *block;

		test_pvh_build(1, 5);
		block = image_block(blocks[random_below(&random, 4)], &size);
		random_spoil(&random, block, size);
		test_pvh_parse();
	}
	image_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pvh),
		cmocka_unit_test(test_pvh_refused),
		cmocka_unit_test(test_pvh_outside_memory),
		cmocka_unit_test(test_pvh_mutations),
	};

	return cmocka_run_group_tests_name("pvh", tests, NULL, NULL);
}
