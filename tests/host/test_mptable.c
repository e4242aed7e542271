/*
 * kernel/x86/mptable.c.
 */
#include "tests/host/cmocka_all.h"

#include <string.h>

#include "kernel/x86/mptable.h"
#include "tests/host/image.h"
#include "tests/host/machine.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000
#define TEST_LOW 0x400
#define TEST_EBDA 0x9fc00
#define TEST_TABLE 0x19fd03
#define TEST_HEADER_BYTES 44

static const struct platform *const test_pl = &machine_platform;
static struct table test_pointer, test_table;

/* Low memory with the two words of the BIOS, an EBDA apart, and nothing else. */
static void
test_low_memory(uint16_t ebda_segment, uint16_t base_kib)
{
	uint8_t low[0x100] = { 0 };

	low[0x0e] = (uint8_t)ebda_segment;
	low[0x0f] = (uint8_t)(ebda_segment >> 8);
	low[0x13] = (uint8_t)base_kib;
	low[0x14] = (uint8_t)(base_kib >> 8);
	image_place(TEST_LOW, low, sizeof(low));
}

static void
test_pointer_build(uint32_t table, uint8_t configuration, uint8_t features)
{
	table_reset(&test_pointer);
	table_text(&test_pointer, "_MP_", 4);
	table_number(&test_pointer, table, 4);
	table_number(&test_pointer, 1, 1);
	table_number(&test_pointer, 4, 1);
	table_number(&test_pointer, 0, 1);
	table_number(&test_pointer, configuration, 1);
	table_number(&test_pointer, features, 1);
	table_zero(&test_pointer, 3);
	table_checksum(&test_pointer, 0, 16, 10);
}

static void
test_processor(uint8_t apic_id, uint8_t flags)
{
	table_number(&test_table, 0, 1);
	table_number(&test_table, apic_id, 1);
	table_number(&test_table, 0x14, 1);
	table_number(&test_table, flags, 1);
	table_zero(&test_table, 16);
}

static void
test_entry(uint64_t eight_bytes)
{
	table_number(&test_table, eight_bytes, 8);
}

static void
test_begin(void)
{
	table_reset(&test_table);
	table_text(&test_table, "PCMP", 4);
	table_number(&test_table, 0, 2);
	table_number(&test_table, 4, 1);
	table_number(&test_table, 0, 1);
	table_text(&test_table, "OEM00000PRODUCT00000", 20);
	table_zero(&test_table, 8);
	table_number(&test_table, 0xfee00000, 4);
	table_zero(&test_table, 4);
}

/* Puts it all into place: low memory, the pointer in the EBDA, the table. */
static void
test_end(unsigned entries)
{
	image_reset();
	test_low_memory(TEST_EBDA >> 4, 639);
	test_pointer_build(TEST_TABLE, 0, 0x80);
	table_set(&test_table, 4, test_table.size, 2);
	table_set(&test_table, 34, entries, 2);
	table_checksum(&test_table, 0, test_table.size, 7);
	table_zero(&test_pointer, 1024 - 16);
	image_place_table(TEST_EBDA, &test_pointer);
	image_place_table(TEST_TABLE, &test_table);
}

/* Two CPUs and one that is disabled, two buses, two I/O APICs of which one is off, interrupts. */
static unsigned
test_whole(void)
{
	test_begin();
	test_processor(0, 3);
	test_processor(2, 1);
	test_processor(4, 0);
	test_entry(0x2020204943500001); /* bus 0: PCI */
	test_entry(0x2020204153490101); /* bus 1: ISA */
	test_entry(0xfec0000001111402); /* I/O APIC 0x14, enabled */
	test_entry(0xfec1000000111502); /* I/O APIC 0x15, not enabled */
	test_entry(0x0214010100000003); /* interrupt 1 of ISA */
	test_entry(0x00ff000100000304); /* the PIC on LINT0 of all */
	test_entry(0x01ff000100050104); /* NMI on LINT1 of all */
	return 10;
}

static bool
test_parse(void)
{
	bool found;

	memset(&machine_platform, 0, sizeof(machine_platform));
	found = mptable_parse(&machine_platform, image_fetch);
	image_release();
	machine_check();
	assert_int_equal(found, test_pl->ncpus != 0);
	return found;
}

static void
test_sound(void **state)
{
	(void)state;
	test_end(test_whole());
	assert_true(test_parse());
	assert_int_equal(test_pl->nwarnings, 0);
	assert_string_equal(test_pl->source, "MP table");
	assert_int_equal(test_pl->ncpus, 2);
	assert_int_equal(test_pl->cpu[0].apic_id, 0);
	assert_int_equal(test_pl->cpu[1].apic_id, 2);
	assert_int_equal(test_pl->cpu[1].acpi_uid, 2);
	assert_int_equal(test_pl->cpus_disabled, 1);
	assert_int_equal(test_pl->lapic_address, 0xfee00000);
	assert_int_equal(test_pl->nioapics, 1);
	assert_int_equal(test_pl->ioapic[0], 0xfec00000);
	assert_int_equal(test_pl->nnmis, 1);
	assert_int_equal(test_pl->nmi[0].acpi_uid, 0xffffffff);
	assert_int_equal(test_pl->nmi[0].lint, 1);
	assert_int_equal(test_pl->nmi[0].flags, 5);
	assert_true(test_pl->has_imcr);
	assert_true(test_pl->has_pics);
}

static void
test_nmi_of_one_cpu(void **state)
{
	(void)state;
	test_begin();
	test_processor(2, 1);
	test_entry(0x0002000100000104);
	test_entry(0x0202000100000104);
	test_end(3);
	assert_true(test_parse());
	assert_int_equal(test_pl->nnmis, 1);
	assert_int_equal(test_pl->nmi[0].acpi_uid, test_pl->cpu[0].acpi_uid);
	assert_int_equal(test_pl->nmi[0].lint, 0);
	assert_true(machine_warned("MP table: an NMI on LINT2"));
}

/* A default configuration, its pointer at `address`; the CPUs found tell whether it was seen. */
static bool
test_found_at(uint64_t address, uint16_t ebda_segment, uint16_t base_kib)
{
	static uint8_t base[0xa0000 - 0x10000], bios[0x10000];

	memset(base, 0, sizeof(base));
	memset(bios, 0, sizeof(bios));
	test_pointer_build(0, 5, 0);
	if (address >= 0xf0000)
		memcpy(bios + (address - 0xf0000), test_pointer.data, 16);
	else
		memcpy(base + (address - 0x10000), test_pointer.data, 16);
	image_reset();
	test_low_memory(ebda_segment, base_kib);
	image_place(0x10000, base, sizeof(base));
	image_place(0xf0000, bios, sizeof(bios));
	return test_parse();
}

static void
test_search(void **state)
{
	(void)state;
	assert_true(test_found_at(0x9fc00, 0x9fc0, 639));
	assert_true(test_found_at(0x9fff0, 0x9fc0, 0));
	assert_true(test_found_at(0x9fff0, 0x9ff0, 0));
	assert_true(test_found_at(0x9fc00, 0, 640));
	assert_true(test_found_at(0x9fff0, 0, 640));
	assert_true(test_found_at(0x7fc00, 0, 512));
	assert_true(test_found_at(0xf0000, 0, 0));
	assert_true(test_found_at(0xffff0, 0, 0));
	assert_true(test_found_at(0xf5aa0, 0xffff, 0xffff));
	/* Outside the areas, and not at a multiple of 16. */
	assert_false(test_found_at(0x9fbf0, 0x9fc0, 640));
	assert_false(test_found_at(0x90400, 0x9000, 0));
	assert_false(test_found_at(0x7fbf0, 0, 512));
	assert_false(test_found_at(0xf5aa8, 0, 0));
	assert_true(machine_warned("MP table: there is none"));
	image_reset();
	assert_false(test_parse());
}

static void
test_pointer_unsound(void **state)
{
	(void)state;
	for (size_t at = 0; at < 16; at++) {
		test_end(test_whole());
		test_pointer.data[at] ^= 0x20;
		image_place_table(TEST_EBDA, &test_pointer);
		assert_false(test_parse());
	}
	/* The length counts: nothing, more than there is, two paragraphs with a sum of their
	 * own. */
	for (unsigned paragraphs = 0; paragraphs < 256; paragraphs++) {
		test_end(test_whole());
		table_set(&test_pointer, 8, paragraphs, 1);
		table_set(&test_pointer, 20, 0x33, 1);
		table_checksum(&test_pointer, 0, paragraphs <= 1 ? 16 : 32, 10);
		image_place_table(TEST_EBDA, &test_pointer);
		assert_int_equal(test_parse(), paragraphs >= 1 && paragraphs <= 64);
	}
}

static void
test_default_configurations(void **state)
{
	(void)state;
	for (unsigned configuration = 1; configuration < 256; configuration++) {
		image_reset();
		test_low_memory(TEST_EBDA >> 4, 0);
		test_pointer_build(0, (uint8_t)configuration, configuration % 2 == 0 ? 0x80 : 0x7f);
		table_zero(&test_pointer, 1024 - 16);
		image_place_table(TEST_EBDA, &test_pointer);
		assert_int_equal(test_parse(), configuration <= 7);
		if (configuration > 7) {
			assert_true(machine_warned("does not exist"));
			continue;
		}
		assert_int_equal(test_pl->ncpus, 2);
		assert_int_equal(test_pl->cpu[0].apic_id, 0);
		assert_int_equal(test_pl->cpu[1].apic_id, 1);
		assert_int_equal(test_pl->lapic_address, 0xfee00000);
		assert_int_equal(test_pl->ioapic[0], 0xfec00000);
		assert_int_equal(test_pl->nmi[0].lint, 1);
		assert_int_equal(test_pl->has_imcr, configuration % 2 == 0);
	}
}

static void
test_table_unsound(void **state)
{
	size_t size;

	(void)state;
	test_end(test_whole());
	image_block(TEST_TABLE, &size)[50] ^= 1;
	assert_false(test_parse());
	assert_true(machine_warned("MP table: it has a wrong checksum"));
	test_end(test_whole());
	image_block(TEST_TABLE, &size)[0] ^= 1;
	assert_false(test_parse());
	assert_true(machine_warned("MP table: there is no table at"));
	/* The memory ends before the table does. */
	test_end(test_whole());
	for (size_t n = 1; n < test_table.size; n++) {
		image_place(TEST_TABLE, test_table.data, n);
		assert_false(test_parse());
		assert_int_equal(test_pl->nwarnings, 1);
	}
	/* No table and no default configuration. */
	test_pointer_build(0, 0, 0);
	table_zero(&test_pointer, 1024 - 16);
	image_place_table(TEST_EBDA, &test_pointer);
	assert_false(test_parse());
}

/* A table of every length, sound by its checksum. */
static void
test_prefixes(void **state)
{
	unsigned entries = test_whole();
	size_t full = test_table.size;

	(void)state;
	for (size_t n = 8; n <= full; n++) {
		test_whole();
		if (n >= 36)
			test_table.size = n;
		test_end(entries);
		if (n < 36) {
			table_set(&test_table, 4, n, 2);
			image_place_table(TEST_TABLE, &test_table);
		}
		assert_int_equal(test_parse(), n >= TEST_HEADER_BYTES + 20);
		assert_int_equal(test_pl->nwarnings != 0, n != full);
	}
}

static void
test_entry_counts(void **state)
{
	(void)state;
	test_whole();
	test_end(65535);
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_true(machine_warned("within entry 11 of 65535"));
	test_whole();
	test_end(1);
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, 1);
	test_whole();
	test_end(0);
	assert_false(test_parse());
	assert_true(machine_warned("no enabled CPU"));
}

static void
test_unknown_type(void **state)
{
	(void)state;
	for (unsigned type = 5; type < 256; type++) {
		test_begin();
		test_processor(3, 1);
		test_entry(type);
		test_processor(4, 1);
		test_end(3);
		assert_true(test_parse());
		assert_int_equal(test_pl->ncpus, 1);
		assert_true(machine_warned("MP table: entry 2 is of type"));
	}
}

static void
test_many_cpus(void **state)
{
	(void)state;
	test_begin();
	for (unsigned i = 0; i < 1000; i++)
		test_processor((uint8_t)i, 1);
	test_end(1000);
	assert_true(test_parse());
	/* 255 addresses all. */
	assert_int_equal(test_pl->ncpus, 255);
	assert_int_equal(test_pl->cpus_duplicate, 1000 - 255 - 3);
}

static void
test_mutations(void **state)
{
	struct random random = { 0x50434d50 };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		size_t size;
		uint8_t *block;

		test_end(test_whole());
		if (random_below(&random, 8) == 0) {
			random_spoil(&random, test_pointer.data, 16);
			table_checksum(&test_pointer, 0, 16, 10);
			image_place_table(TEST_EBDA, &test_pointer);
		}
		random_spoil(&random, test_table.data, test_table.size);
		if (random_below(&random, 8) != 0)
			table_checksum(&test_table, 0, test_table.size, 7);
		image_place_table(TEST_TABLE, &test_table);
		block = image_block(TEST_LOW, &size);
		if (random_below(&random, 16) == 0)
			random_spoil(&random, block, size);
		test_parse();
	}
	image_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_nmi_of_one_cpu),
		cmocka_unit_test(test_search),
		cmocka_unit_test(test_pointer_unsound),
		cmocka_unit_test(test_default_configurations),
		cmocka_unit_test(test_table_unsound),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_entry_counts),
		cmocka_unit_test(test_unknown_type),
		cmocka_unit_test(test_many_cpus),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("mptable", tests, NULL, NULL);
}
