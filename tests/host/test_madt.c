/*
 * kernel/x86/madt.c.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "tests/host/image.h"
#include "tests/host/machine.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000
#define TEST_HEADER_BYTES 44

static const struct platform *const test_pl = &machine_platform;

static void
test_begin(void)
{
	machine_build();
	machine_madt_begin();
}

static bool
test_parse(void)
{
	machine_madt_end();
	return machine_parse();
}

static void
test_flags(void **state)
{
	static const uint32_t flags[] = { 0, 1, 2, 3, 0xfffffffe, 0xffffffff };

	(void)state;
	test_begin();
	for (uint8_t i = 0; i < 6; i++) {
		machine_lapic(i, i, flags[i]);
		machine_x2apic(0x100u + i, 0x100u + i, flags[i]);
	}
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, 6);
	assert_int_equal(test_pl->cpus_disabled, 6);
	assert_int_equal(test_pl->cpus_duplicate, 0);
	assert_int_equal(test_pl->cpu[0].apic_id, 1);
	assert_int_equal(test_pl->cpu[1].apic_id, 0x101);
	assert_int_equal(test_pl->cpu[1].acpi_uid, 0x101);
	assert_int_equal(test_pl->nwarnings, 0);
}

static void
test_duplicates(void **state)
{
	(void)state;
	test_begin();
	machine_lapic(7, 4, 1);
	machine_x2apic(4, 4, 1); /* type 9 for an id below 255 */
	machine_lapic(8, 4, 1);
	machine_x2apic(5, 0x12345678, 1);
	machine_x2apic(6, 0x12345678, 1);
	machine_lapic(9, 255, 1); /* the broadcast ids */
	machine_lapic(9, 255, 0);
	machine_x2apic(9, 0xffffffff, 1);
	machine_x2apic(10, 255, 1); /* a real id in this type */
	machine_lapic(11, 0, 1);
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, 4);
	assert_int_equal(test_pl->cpus_duplicate, 3);
	assert_int_equal(test_pl->cpus_disabled, 0);
	assert_int_equal(test_pl->cpu[0].apic_id, 4);
	assert_int_equal(test_pl->cpu[0].acpi_uid, 7);
	assert_int_equal(test_pl->cpu[1].apic_id, 0x12345678);
	assert_int_equal(test_pl->cpu[2].apic_id, 255);
	assert_int_equal(test_pl->cpu[3].apic_id, 0);
}

static void
test_many(void **state)
{
	(void)state;
	test_begin();
	for (uint32_t i = 0; i < 1000; i++)
		machine_x2apic(i, 3 * i, 1);
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, 1000);
	assert_int_equal(test_pl->cpu[999].apic_id, 2997);

	test_begin();
	for (uint32_t i = 0; i < 5000; i++)
		machine_x2apic(i, i, 1);
	machine_x2apic(0, 17, 1);
	assert_true(test_parse());
	assert_int_equal(test_pl->ncpus, MAXCPUS);
	assert_int_equal(test_pl->cpus_unreachable, 5000 - MAXCPUS);
	assert_int_equal(test_pl->cpus_duplicate, 1);
}

static void
test_no_cpu(void **state)
{
	(void)state;
	test_begin();
	machine_lapic(0, 0, 0);
	machine_lapic(1, 1, 2);
	machine_ioapic(0xfec00000);
	machine_lapic_nmi(0xff, 0, 1);
	assert_false(test_parse());
	assert_true(machine_warned("MADT: it names no enabled CPU"));
	/* Nothing is left that would mix with the MP table. */
	assert_int_equal(test_pl->nioapics, 0);
	assert_int_equal(test_pl->nnmis, 0);
	assert_int_equal(test_pl->cpus_disabled, 0);
	assert_int_equal(test_pl->lapic_address, 0);
}

/* The walk ends at a length that cannot be, and keeps what it has. */
static void
test_walk_ends(void **state)
{
	(void)state;
	for (uint8_t length = 0; length < 2; length++) {
		test_begin();
		machine_lapic(0, 3, 1);
		machine_entry(0, length, 8);
		machine_lapic(1, 4, 1);
		assert_true(test_parse());
		assert_int_equal(test_pl->ncpus, 1);
		assert_true(machine_warned(length == 0 ? "length 0" : "length 1"));
	}
	for (size_t bytes = 1; bytes < 8; bytes++) {
		test_begin();
		machine_lapic(0, 3, 1);
		machine_entry(0, 8, bytes);
		assert_true(test_parse());
		assert_int_equal(test_pl->ncpus, 1);
		assert_true(machine_warned("runs past the end"));
	}
}

/* Every type with every length, as the last entry and with one behind it. */
static void
test_entry_lengths(void **state)
{
	static const uint8_t known[] = { 0, 1, 2, 4, 5, 9, 10 },
			     needs[] = { 8, 12, 10, 6, 12, 16, 12 };

	(void)state;
	for (unsigned type = 0; type < 256; type++) {
		const uint8_t *k = memchr(known, (int)type, sizeof(known));

		for (uint8_t length = 2; length < 20; length++) {
			bool is_short = k != NULL && length < needs[k - known];

			for (unsigned behind = 0; behind < 2; behind++) {
				test_begin();
				machine_lapic(0, 3, 1);
				machine_entry((uint8_t)type, length, length);
				if (behind != 0)
					machine_lapic(0, 5, 1);
				assert_true(test_parse());
				assert_int_equal(machine_warned("too short"), is_short);
				assert_int_equal(test_pl->cpu[0].apic_id, 3);
				assert_true(test_pl->ncpus >= 1 + behind);
			}
		}
	}
}

static void
test_ioapics(void **state)
{
	(void)state;
	test_begin();
	machine_lapic(0, 0, 1);
	machine_ioapic(0);
	for (uint32_t i = 0; i < 70; i++) {
		machine_ioapic(0xfec00000 + i * 0x1000);
		machine_ioapic(0xfec00000 + i * 0x1000);
	}
	assert_true(test_parse());
	assert_int_equal(test_pl->nioapics, PLATFORM_MAX_IOAPICS);
	assert_int_equal(test_pl->ioapic[63], 0xfec3f000);
	assert_int_equal(test_pl->nwarnings, 1 + 12);
	assert_true(machine_warned("no address"));
	assert_true(machine_warned("MADT: the I/O APIC at 0xfec40000"));
}

static void
test_nmis(void **state)
{
	(void)state;
	test_begin();
	machine_lapic(0, 0, 1);
	machine_lapic_nmi(3, 0x000d, 0);
	machine_lapic_nmi(3, 0x000d, 0);
	machine_lapic_nmi(4, 0, 2);
	table_number(&machine_table, 0x00050c0a, 4); /* type 10, flags 5, of CPU 0x123, LINT1 */
	table_number(&machine_table, 0x123, 4);
	table_number(&machine_table, 1, 4);
	assert_true(test_parse());
	assert_int_equal(test_pl->nnmis, 2);
	assert_int_equal(test_pl->nmi[0].acpi_uid, 3);
	assert_int_equal(test_pl->nmi[0].flags, 0xd);
	assert_int_equal(test_pl->nmi[0].lint, 0);
	assert_int_equal(test_pl->nmi[1].acpi_uid, 0x123);
	assert_int_equal(test_pl->nmi[1].flags, 5);
	assert_int_equal(test_pl->nmi[1].lint, 1);
	assert_true(machine_warned("LINT2"));

	test_begin();
	machine_lapic(0, 0, 1);
	for (uint8_t i = 0; i < 70; i++)
		machine_lapic_nmi(i, 0, 1);
	assert_true(test_parse());
	assert_int_equal(test_pl->nnmis, PLATFORM_MAX_NMIS);
	assert_int_equal(test_pl->nwarnings, 6);
}

static void
test_override(uint64_t address)
{
	table_number(&machine_table, 0x0c05, 4);
	table_number(&machine_table, address, 8);
}

static void
test_lapic_address(void **state)
{
	(void)state;
	test_begin();
	machine_lapic(0, 0, 1);
	test_override(0x1fee00000);
	test_override(0);
	assert_true(test_parse());
	assert_int_equal(test_pl->lapic_address, 0x1fee00000);
	assert_true(machine_warned("zero"));
	test_begin();
	table_set(&machine_table, 40, 0xfffffffe, 4);
	machine_lapic(0, 0, 1);
	assert_true(test_parse());
	assert_false(test_pl->has_pics);
}

static void
test_source_overrides(void **state)
{
	static const uint8_t bus_irq[][2] = { { 0, 0 }, { 0, 15 }, { 1, 3 }, { 0, 16 } };

	(void)state;
	for (unsigned i = 0; i < 4; i++) {
		test_begin();
		machine_lapic(0, 0, 1);
		machine_entry(2, 10, 10);
		table_set(&machine_table, machine_table.size - 8, bus_irq[i][0], 1);
		table_set(&machine_table, machine_table.size - 7, bus_irq[i][1], 1);
		assert_true(test_parse());
		assert_int_equal(test_pl->nwarnings, i >= 2);
	}
}

/* Tables of every length from the header on, each sound by its checksum. */
static void
test_prefixes(void **state)
{
	size_t full;

	(void)state;
	machine_build();
	machine_entry(2, 10, 10);
	test_override(0xfee00000);
	machine_x2apic(7, 7, 1);
	machine_entry(10, 12, 12);
	full = machine_table.size;
	for (size_t n = 36; n <= full; n++) {
		machine_table.size = n;
		machine_madt_end();
		assert_int_equal(machine_parse(), n >= TEST_HEADER_BYTES + 8);
		if (n < TEST_HEADER_BYTES)
			assert_true(machine_warned("only"));
	}
}

static void
test_checksum(void **state)
{
	size_t size;

	(void)state;
	machine_build();
	image_block(MACHINE_MADT, &size)[9] ^= 0x10;
	assert_false(machine_parse());
	assert_true(machine_warned("MADT: the checksum is wrong"));
	assert_true(machine_warned("ACPI: there is no MADT"));
	assert_int_equal(test_pl->hpet_address, 0xfed00000);
}

static void
test_misaligned(void **state)
{
	(void)state;
	for (uint64_t shift = 0; shift < 16; shift++) {
		uint64_t at = 0x2000000 + shift;

		machine_build();
		image_place_table(at, &machine_table);
		machine_list("XSDT", &at, 1);
		assert_true(machine_parse());
		assert_int_equal(test_pl->ncpus, 2);
	}
}

/* Only the entries are spoiled, and the checksum is right. */
static void
test_mutations(void **state)
{
	struct random random = { 0x6d616474 };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		machine_build();
		machine_x2apic(7, 7, 1);
		test_override(0xfee00000);
		machine_entry(10, 12, 12);
		random_spoil(&random, machine_table.data + 36, machine_table.size - 36);
		test_parse();
		for (unsigned a = 0; a < test_pl->ncpus; a++) {
			for (unsigned b = 0; b < a; b++)
				assert_true(test_pl->cpu[a].apic_id != test_pl->cpu[b].apic_id);
		}
	}
	image_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_flags),
		cmocka_unit_test(test_duplicates),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_no_cpu),
		cmocka_unit_test(test_walk_ends),
		cmocka_unit_test(test_entry_lengths),
		cmocka_unit_test(test_ioapics),
		cmocka_unit_test(test_nmis),
		cmocka_unit_test(test_lapic_address),
		cmocka_unit_test(test_source_overrides),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_checksum),
		cmocka_unit_test(test_misaligned),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("madt", tests, NULL, NULL);
}
