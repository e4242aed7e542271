/*
 * kernel/x86/acpi.c: finding the tables.
 */
#include "tests/host/cmocka_all.h"

#include <stdlib.h>
#include <string.h>

#include "kernel/x86/acpi.h"
#include "tests/host/image.h"
#include "tests/host/machine.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000

static const struct platform *const test_pl = &machine_platform;

static void
test_sound(void **state)
{
	(void)state;
	machine_build();
	assert_true(machine_parse());
	assert_int_equal(test_pl->nwarnings, 0);
	assert_string_equal(test_pl->source, "ACPI MADT");
	assert_int_equal(test_pl->ncpus, 2);
	assert_int_equal(test_pl->cpu[1].apic_id, 1);
	assert_int_equal(test_pl->lapic_address, 0xfee00000);
	assert_true(test_pl->has_pics);
	assert_false(test_pl->has_imcr);
	assert_int_equal(test_pl->nioapics, 1);
	assert_int_equal(test_pl->ioapic[0], 0xfec00000);
	assert_int_equal(test_pl->nnmis, 1);
	assert_int_equal(test_pl->nmi[0].acpi_uid, 0xffffffff);
	assert_int_equal(test_pl->nmi[0].lint, 1);
	assert_int_equal(test_pl->nmi[0].flags, 5);
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_IO);
	assert_int_equal(test_pl->pm_timer.address, 0x1608);
	assert_true(test_pl->pm_timer_32bit);
	assert_int_equal(test_pl->hpet_address, 0xfed00000);
	assert_int_equal(test_pl->pm1a_control.address, 0x1604);
	assert_int_equal(test_pl->pm1b_control.space, PLATFORM_REG_NONE);
	assert_true(test_pl->has_s5);
	assert_int_equal(test_pl->s5_type_a, 5);
	assert_int_equal(test_pl->s5_type_b, 6);
	assert_int_equal(test_pl->reset.address, 0xcf9);
	assert_int_equal(test_pl->reset_value, 0x0f);
	assert_false(test_pl->hw_reduced);
}

static void
test_rsdp(void **state)
{
	(void)state;
	for (unsigned revision = 0; revision <= 2; revision += 2) {
		table_rsdp(&machine_rsdp, (uint8_t)revision, MACHINE_RSDT, MACHINE_XSDT);
		for (size_t n = 0; n <= machine_rsdp.size; n++) {
			uint8_t *exact = table_exact(&machine_rsdp, n);

			assert_int_equal(acpi_rsdp_valid(exact, n), n >= 20);
			free(exact);
		}
		for (size_t at = 0; at < 20; at++) {
			machine_rsdp.data[at] ^= 0x40;
			assert_false(acpi_rsdp_valid(machine_rsdp.data, machine_rsdp.size));
			machine_rsdp.data[at] ^= 0x40;
		}
	}
	assert_false(acpi_rsdp_valid(NULL, 36));
	machine_build();
	machine_rsdp.data[3] ^= 1;
	assert_false(machine_parse());
	assert_true(machine_warned("RSDP"));
}

static uint64_t
test_search(uint16_t ebda_segment, uint64_t ebda_rsdp, uint64_t bios_rsdp)
{
	static uint8_t bios[0x20000], low[0xa0000 - 0x400];
	uint64_t found;

	table_rsdp(&machine_rsdp, 0, MACHINE_RSDT, 0);
	memset(bios, 0, sizeof(bios));
	memset(low, 0, sizeof(low));
	low[0x0e] = (uint8_t)ebda_segment;
	low[0x0f] = (uint8_t)(ebda_segment >> 8);
	if (ebda_rsdp != 0)
		memcpy(low + (ebda_rsdp - 0x400), machine_rsdp.data, 20);
	if (bios_rsdp != 0)
		memcpy(bios + (bios_rsdp - 0xe0000), machine_rsdp.data, 20);
	image_reset();
	image_place(0x400, low, sizeof(low));
	image_place(0xe0000, bios, sizeof(bios));
	found = acpi_rsdp_search(image_fetch);
	image_release();
	return found;
}

static void
test_rsdp_search(void **state)
{
	(void)state;
	assert_int_equal(test_search(0, 0, 0), 0);
	assert_int_equal(test_search(0, 0, 0xe0000), 0xe0000);
	assert_int_equal(test_search(0, 0, 0xfffe0), 0xfffe0);
	assert_int_equal(test_search(0, 0, 0xf0008), 0);
	assert_int_equal(test_search(0x9fc0, 0x9fc00, 0xf0000), 0x9fc00);
	assert_int_equal(test_search(0x9fc0, 0x9ffe0, 0xf0000), 0x9ffe0);
	assert_int_equal(test_search(0x9ff0, 0x9ff00, 0), 0x9ff00);
	/* Beyond the first KiB, and an EBDA that lies where none can. */
	assert_int_equal(test_search(0x9000, 0x90400, 0xf0000), 0xf0000);
	assert_int_equal(test_search(0x0040, 0x400 + 0x100, 0xf0000), 0xf0000);
	assert_int_equal(test_search(0xa000, 0, 0xf0000), 0xf0000);
	assert_int_equal(test_search(0xffff, 0, 0xf0000), 0xf0000);
	image_reset();
	assert_int_equal(acpi_rsdp_search(image_fetch), 0);
}

/* The XSDT lists a MADT with 3 CPUs, the RSDT the one with 2. */
static void
test_prefer_build(void)
{
	static const uint64_t other = 0x2000001;

	machine_build();
	machine_madt_begin();
	for (uint8_t id = 0; id < 3; id++)
		machine_lapic(id, id, 1);
	table_acpi_end(&machine_table);
	image_place_table(other, &machine_table);
	machine_list("XSDT", &other, 1);
}

static void
test_xsdt_preferred(void **state)
{
	(void)state;
	test_prefer_build();
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 3);
	table_rsdp(&machine_rsdp, 0, MACHINE_RSDT, 0);
	/* Revision 0 with rubbish behind it. */
	table_number(&machine_rsdp, UINT64_MAX, 8);
	table_number(&machine_rsdp, UINT64_MAX, 8);
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_int_equal(test_pl->nwarnings, 0);
}

static void
test_rsdt_instead(void **state)
{
	static const uint64_t bad[] = { 0, MACHINE_MADT, 0x7777777, UINT64_MAX, UINT64_MAX - 35 };
	size_t size;

	(void)state;
	for (unsigned i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		test_prefer_build();
		table_rsdp(&machine_rsdp, 2, MACHINE_RSDT, bad[i]);
		assert_true(machine_parse());
		assert_int_equal(test_pl->ncpus, 2);
		assert_int_equal(test_pl->nwarnings, bad[i] != 0);
	}
	test_prefer_build();
	image_block(MACHINE_XSDT, &size)[9] ^= 1;
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_true(machine_warned("XSDT: the checksum"));

	/* The second checksum, and a length that is not there. */
	test_prefer_build();
	machine_rsdp.data[32] ^= 1;
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_true(machine_warned("RSDP"));
	table_rsdp(&machine_rsdp, 2, MACHINE_RSDT, MACHINE_XSDT);
	table_set(&machine_rsdp, 20, 0xffffffff, 4);
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	machine_rsdp.size = 20;
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
}

static void
test_no_list(void **state)
{
	(void)state;
	machine_build();
	table_rsdp(&machine_rsdp, 2, 0, 0);
	assert_false(machine_parse());
	assert_true(machine_warned("neither XSDT nor RSDT"));
	table_rsdp(&machine_rsdp, 0, 0x7777777, 0);
	assert_false(machine_parse());
	assert_true(machine_warned("RSDT: it cannot be read at 0x7777777"));
	machine_list("RSDT", NULL, 0);
	table_rsdp(&machine_rsdp, 0, MACHINE_RSDT, 0);
	assert_false(machine_parse());
	assert_true(machine_warned("no MADT"));
}

static void
test_bad_addresses_in_list(void **state)
{
	static const uint64_t tables[] = { 0, 0x9999999, UINT64_MAX, UINT64_MAX - 35, 1,
		MACHINE_MADT, 0 };

	(void)state;
	machine_build();
	machine_list("XSDT", tables, 7);
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_int_equal(test_pl->nwarnings, 4);
	assert_true(machine_warned("0x9999999 cannot be read"));
}

static void
test_many_tables(void **state)
{
	static uint64_t tables[5000];

	(void)state;
	machine_build();
	for (unsigned i = 0; i < 5000; i++)
		tables[i] = i == 1023 ? MACHINE_MADT : MACHINE_DSDT;
	machine_list("XSDT", tables, 5000);
	assert_true(machine_parse());
	assert_true(machine_warned("5000 tables"));
	tables[1023] = MACHINE_DSDT;
	tables[1024] = MACHINE_MADT;
	machine_list("XSDT", tables, 5000);
	assert_false(machine_parse());
}

static void
test_second_madt(void **state)
{
	static const uint64_t tables[] = { MACHINE_MADT, 0x2000001 };

	(void)state;
	test_prefer_build();
	machine_list("XSDT", tables, 2);
	assert_true(machine_parse());
	assert_int_equal(test_pl->ncpus, 2);
	assert_true(machine_warned("MADT: a second one"));
}

/* Lengths that cannot be, each with a right checksum over what is there. */
static void
test_lengths(void **state)
{
	static const uint32_t lengths[] = { 0, 1, 35, 0x400001, 0x7fffffff, 0xffffffff };
	static const uint64_t where[] = { MACHINE_MADT, MACHINE_FADT, MACHINE_HPET };

	(void)state;
	for (unsigned i = 0; i < sizeof(lengths) / sizeof(lengths[0]); i++) {
		machine_build();
		for (unsigned k = 0; k < 3; k++) {
			size_t size;
			uint8_t *block = image_block(where[k], &size);

			memcpy(block + 4, &lengths[i], 4);
		}
		assert_false(machine_parse());
		assert_true(machine_warned("MADT: a length of "));
		assert_true(machine_warned("FADT: a length of "));
		assert_int_equal(test_pl->hpet_address, 0);
	}
}

/* Each table ends before the length that its header claims. */
static void
test_memory_ends(void **state)
{
	static const uint64_t where[] = { MACHINE_RSDT, MACHINE_XSDT, MACHINE_MADT, MACHINE_FADT,
		MACHINE_HPET, MACHINE_DSDT };

	(void)state;
	for (unsigned k = 0; k < 6; k++) {
		size_t size;

		machine_build();
		image_block(where[k], &size);
		for (size_t n = size - 1; n > 0; n--) {
			uint8_t *block = image_block(where[k], &size), *copy = malloc(n);

			memcpy(copy, block, n);
			image_place(where[k], copy, n);
			free(copy);
			assert_int_equal(machine_parse(), where[k] != MACHINE_MADT);
			assert_int_equal(test_pl->nwarnings != 0, where[k] != MACHINE_RSDT);
		}
	}
}

static void
test_hpet(void **state)
{
	(void)state;
	machine_build();
	table_acpi_begin(&machine_table, "HPET", 1);
	table_zero(&machine_table, 20);
	table_gas(&machine_table, 40, 0, 0x1fed00000);
	for (size_t size = 36; size <= 56; size++) {
		machine_table.size = size;
		table_acpi_end(&machine_table);
		image_place_table(MACHINE_HPET, &machine_table);
		assert_true(machine_parse());
		assert_int_equal(test_pl->hpet_address, size == 56 ? 0x1fed00000 : 0);
		assert_int_equal(machine_warned("HPET"), size != 56);
	}
	table_gas(&machine_table, 40, 1, 0x70);
	table_acpi_end(&machine_table);
	image_place_table(MACHINE_HPET, &machine_table);
	assert_true(machine_parse());
	assert_int_equal(test_pl->hpet_address, 0);
	assert_true(machine_warned("HPET"));
}

/* Gives a spoiled table its checksum back, so that its contents are looked at. */
static void
test_repair(uint8_t *block, size_t size)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < size; i++)
		sum = (uint8_t)(sum + block[i]);
	if (size > 9)
		block[9] = (uint8_t)(block[9] - sum);
}

static void
test_mutations(void **state)
{
	static const uint64_t where[] = { MACHINE_RSDT, MACHINE_XSDT, MACHINE_MADT, MACHINE_MADT,
		MACHINE_FADT, MACHINE_HPET, MACHINE_DSDT, MACHINE_DSDT };
	struct random random = { 0x61637069 };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		size_t size;
		uint8_t *block;

		machine_build();
		block = image_block(where[random_below(&random, 8)], &size);
		random_spoil(&random, block, size);
		if (random_below(&random, 8) != 0)
			test_repair(block, size);
		if (random_below(&random, 8) == 0)
			random_spoil(&random, machine_rsdp.data, machine_rsdp.size);
		machine_parse();
	}
	image_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sound),
		cmocka_unit_test(test_rsdp),
		cmocka_unit_test(test_rsdp_search),
		cmocka_unit_test(test_xsdt_preferred),
		cmocka_unit_test(test_rsdt_instead),
		cmocka_unit_test(test_no_list),
		cmocka_unit_test(test_bad_addresses_in_list),
		cmocka_unit_test(test_many_tables),
		cmocka_unit_test(test_second_madt),
		cmocka_unit_test(test_lengths),
		cmocka_unit_test(test_memory_ends),
		cmocka_unit_test(test_hpet),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("acpi", tests, NULL, NULL);
}
