/*
 * boot/bootinfo.c and bootinfo_parts.c: memory maps of all sorts, by way of multiboot2.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/mbi.h"

static void
test_no_memory(void **state)
{
	(void)state;
	mbi_begin();
	assert_string_equal(mbi_parse(), "the loader gave no memory map");
	mbi_begin();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0, 0x1000000, 2);
	mbi_tag_end();
	assert_string_equal(mbi_parse(), "the loader's memory map has no usable memory");
}

static void
test_entry_sizes(void **state)
{
	(void)state;
	for (uint32_t bytes = 0; bytes < 64; bytes++) {
		mbi_begin();
		mbi_mmap_begin(bytes);
		for (unsigned i = 0; i < 3; i++) {
			table_number(&mbi, i * 0x10000, 8);
			table_number(&mbi, 0x1000, 8);
			table_number(&mbi, 1, 4);
			table_zero(&mbi, bytes > 20 ? bytes - 20 : 0);
		}
		mbi_tag_end();
		if (bytes < 20) {
			assert_string_equal(mbi_parse(), "the loader gave no memory map");
			continue;
		}
		assert_null(mbi_parse());
		assert_int_equal(mbi_result.nregions, 3);
		mbi_check_region(2, 0x20000, 0x21000, BOOTINFO_USABLE);
	}
	mbi_begin();
	mbi_mmap_begin(0xffffffff);
	mbi_mmap_entry(0, 0x1000000, 1);
	mbi_tag_end();
	assert_string_equal(mbi_parse(), "the loader gave no memory map");
}

static void
test_map_ends_inside_entry(void **state)
{
	(void)state;
	mbi_begin();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0, 0x1000000, 1);
	table_number(&mbi, 0x2000000, 8);
	table_number(&mbi, 0x1000000, 8);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_string_equal(mbi_result.warning, "the loader's memory map ends inside an entry");
	assert_int_equal(mbi_result.nregions, 1);
}

static void
test_overlaps(void **state)
{
	(void)state;
	mbi_begin();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0x5000, 0, 2);      /* empty */
	mbi_mmap_entry(0x8000, 0x1000, 4); /* NVS inside usable */
	mbi_mmap_entry(0x1000, 0xf000, 1);
	mbi_mmap_entry(0x8800, 0x1800, 77); /* unknown: reserved, over NVS and usable */
	mbi_mmap_entry(0x10000, 0x1000, 1); /* joins */
	mbi_mmap_entry(0x10000, 0x1000, 1); /* again */
	mbi_mmap_entry(0x20000, 0x1000, 5); /* broken memory */
	mbi_mmap_entry(0x21000, 0x1000, 2);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.nregions, 5);
	mbi_check_region(0, 0x1000, 0x8000, BOOTINFO_USABLE);
	mbi_check_region(1, 0x8000, 0x8800, BOOTINFO_ACPI);
	mbi_check_region(2, 0x8800, 0xa000, BOOTINFO_RESERVED);
	mbi_check_region(3, 0xa000, 0x11000, BOOTINFO_USABLE);
	mbi_check_region(4, 0x20000, 0x22000, BOOTINFO_RESERVED);
}

static void
test_wrap_around(void **state)
{
	(void)state;
	mbi_begin();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0x1000, 0x1000, 1);
	mbi_mmap_entry(0xfffffffffffff000, 0x2000, 1);
	mbi_mmap_entry(0x8000000000000000, UINT64_MAX, 1);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_string_equal(mbi_result.warning, "an entry of the memory map wraps around");
	assert_int_equal(mbi_result.nregions, 2);
	mbi_check_region(1, 0x8000000000000000, UINT64_MAX, BOOTINFO_RESERVED);
}

/* Entries one byte apart each from the next: 1000 regions, of which 512 are kept, the low ones. */
static void
test_many_entries(void **state)
{
	(void)state;
	mbi_begin();
	mbi_mmap_begin(24);
	for (unsigned i = 1000; i > 0; i--)
		mbi_mmap_entry(i * 0x2000, 0x1000, 1);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.nregions, BOOTINFO_MAX_REGIONS);
	assert_int_equal(mbi_result.regions_dropped, 1000 - BOOTINFO_MAX_REGIONS);
	assert_non_null(mbi_result.warning);
	mbi_check_region(511, 512 * 0x2000, 512 * 0x2000 + 0x1000, BOOTINFO_USABLE);

	mbi_begin();
	mbi_mmap_begin(24);
	for (unsigned i = 0; i < 3000; i++)
		mbi_mmap_entry(i * 0x1000, 0x1000, 1);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.nregions, 1);
	assert_int_equal(mbi_result.regions_dropped, 3000 - 2048);
}

/* Memory that is reserved stays reserved when there are more regions than fit. */
static void
test_many_holes(void **state)
{
	(void)state;
	mbi_begin();
	mbi_mmap_begin(24);
	mbi_mmap_entry(0, 0x10000000, 1);
	for (unsigned i = 1; i <= 600; i++)
		mbi_mmap_entry(i * 0x10000, 0x1000, 2);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_int_equal(mbi_result.nregions, BOOTINFO_MAX_REGIONS);
	for (unsigned i = 0; i < mbi_result.nregions; i++) {
		if (mbi_result.region[i].type == BOOTINFO_USABLE)
			assert_true(
			    mbi_result.region[i].end - mbi_result.region[i].start <= 0x10000);
	}
}

static void
test_efi_map(void **state)
{
	(void)state;
	mbi_begin();
	mbi_efi_map();
	assert_null(mbi_parse());
	assert_non_null(strstr(mbi_result.warning, "UEFI"));
	assert_int_equal(mbi_result.nregions, 5);
	mbi_check_region(0, 0x1000, 0xa000, BOOTINFO_USABLE);
	mbi_check_region(1, 0x100000, 0x200000, BOOTINFO_USABLE);
	mbi_check_region(2, 0x200000, 0x201000, BOOTINFO_RESERVED);
	mbi_check_region(3, 0x300000, 0x302000, BOOTINFO_ACPI);
	mbi_check_region(4, 0xfed00000, 0xfed01000, BOOTINFO_RESERVED);

	/* Boot services that still run own their memory. */
	mbi_begin();
	mbi_tag_begin(18);
	mbi_tag_end();
	mbi_efi_map();
	assert_null(mbi_parse());
	mbi_check_region(0, 0x1000, 0xa000, BOOTINFO_RESERVED);

	mbi_begin();
	mbi_tag_begin(17);
	table_number(&mbi, 40, 4);
	table_number(&mbi, 1, 4);
	mbi_efi_entry(7, 0x1000, 1, 0);
	mbi_efi_entry(7, 0x100000, UINT64_MAX, 0);
	mbi_tag_end();
	assert_null(mbi_parse());
	mbi_check_region(1, 0x100000, UINT64_MAX, BOOTINFO_RESERVED);
}

static void
test_meminfo(void **state)
{
	(void)state;
	mbi_begin();
	mbi_tag_begin(4);
	table_number(&mbi, 639, 4);
	table_number(&mbi, 0xffffffff, 4);
	mbi_tag_end();
	assert_null(mbi_parse());
	assert_non_null(mbi_result.warning);
	mbi_check_region(0, 0, 639 << 10, BOOTINFO_USABLE);
	mbi_check_region(1, 0x100000, 0x100000 + (0xffffffffull << 10), BOOTINFO_USABLE);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_no_memory),
		cmocka_unit_test(test_entry_sizes),
		cmocka_unit_test(test_map_ends_inside_entry),
		cmocka_unit_test(test_overlaps),
		cmocka_unit_test(test_wrap_around),
		cmocka_unit_test(test_many_entries),
		cmocka_unit_test(test_many_holes),
		cmocka_unit_test(test_efi_map),
		cmocka_unit_test(test_meminfo),
	};

	return cmocka_run_group_tests_name("memory_map", tests, NULL, NULL);
}
