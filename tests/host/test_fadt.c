/*
 * kernel/x86/fadt.c: the FADT and the _S5_ package of the DSDT.
 */
#include "tests/host/cmocka_all.h"

#include <string.h>

#include "tests/host/image.h"
#include "tests/host/machine.h"
#include "tests/host/random.h"

#define TEST_MUTATIONS 10000

/* Offsets and flags of the FADT. */
#define TEST_DSDT 40
#define TEST_PM_TIMER 76
#define TEST_PM_TIMER_BYTES 91
#define TEST_FLAGS 112
#define TEST_RESET 116
#define TEST_X_DSDT 140
#define TEST_X_PM1A 172
#define TEST_X_PM1B 184
#define TEST_X_PM_TIMER 208
#define TEST_SLEEP 244
#define TEST_TMR_32BIT (1u << 8)
#define TEST_RESET_SUPPORTED (1u << 10)
#define TEST_HW_REDUCED (1u << 20)

static const struct platform *const test_pl = &machine_platform;

static void
test_begin(void)
{
	machine_build();
	machine_fadt(276);
}

static void
test_parse(void)
{
	table_acpi_end(&machine_table);
	image_place_table(MACHINE_FADT, &machine_table);
	assert_true(machine_parse());
}

static void
test_pm_timer(void **state)
{
	(void)state;
	test_begin();
	table_gas(&machine_table, TEST_X_PM_TIMER, 0, 0x1fed80808);
	table_set(&machine_table, TEST_FLAGS, 0, 4);
	test_parse();
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_MEMORY);
	assert_int_equal(test_pl->pm_timer.address, 0x1fed80808);
	assert_false(test_pl->pm_timer_32bit);

	table_gas(&machine_table, TEST_X_PM_TIMER, 1, 0);
	test_parse();
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_IO);
	assert_int_equal(test_pl->pm_timer.address, 0x608);

	table_set(&machine_table, TEST_PM_TIMER, 0, 4);
	table_set(&machine_table, TEST_FLAGS, TEST_TMR_32BIT, 4);
	test_parse();
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_NONE);
	assert_false(test_pl->pm_timer_32bit);
	assert_int_equal(test_pl->nwarnings, 0);

	table_set(&machine_table, TEST_PM_TIMER, 0x10000, 4);
	test_parse();
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_NONE);
	assert_true(machine_warned("FADT: the PM timer is said to be I/O port 0x10000"));
}

static void
test_pm_timer_width(void **state)
{
	(void)state;
	for (unsigned bytes = 0; bytes < 256; bytes++) {
		test_begin();
		table_set(&machine_table, TEST_PM_TIMER_BYTES, bytes, 1);
		test_parse();
		assert_int_equal(
		    test_pl->pm_timer.space, bytes == 4 ? PLATFORM_REG_IO : PLATFORM_REG_NONE);
		assert_int_equal(test_pl->nwarnings, bytes != 0 && bytes != 4);
	}
}

static void
test_address_spaces(void **state)
{
	(void)state;
	test_begin();
	table_gas(&machine_table, TEST_X_PM_TIMER, 2, 0x608);
	table_gas(&machine_table, TEST_X_PM1A, 1, 0x123456789);
	table_gas(&machine_table, TEST_X_PM1B, 0, 0xfed80000);
	table_gas(&machine_table, TEST_RESET, 0x7f, 0x64);
	test_parse();
	/* The old fields stand in for the first two. */
	assert_int_equal(test_pl->pm_timer.address, 0x608);
	assert_int_equal(test_pl->pm1a_control.address, 0x604);
	assert_int_equal(test_pl->pm1b_control.space, PLATFORM_REG_MEMORY);
	assert_int_equal(test_pl->reset.space, PLATFORM_REG_NONE);
	assert_int_equal(test_pl->nwarnings, 3);
	assert_true(machine_warned("FADT: the reset register lies in address space 127"));
}

static void
test_hw_reduced(void **state)
{
	(void)state;
	test_begin();
	table_set(
	    &machine_table, TEST_FLAGS, TEST_HW_REDUCED | TEST_TMR_32BIT | TEST_RESET_SUPPORTED, 4);
	table_gas(&machine_table, TEST_SLEEP, 0, 0xfea00000);
	test_parse();
	assert_true(test_pl->hw_reduced);
	assert_int_equal(test_pl->sleep_control.space, PLATFORM_REG_MEMORY);
	assert_int_equal(test_pl->sleep_control.address, 0xfea00000);
	assert_int_equal(test_pl->pm_timer.space, PLATFORM_REG_NONE);
	assert_int_equal(test_pl->pm1a_control.space, PLATFORM_REG_NONE);
	assert_int_equal(test_pl->reset.address, 0xcf9);
	assert_true(test_pl->has_s5);
	assert_int_equal(test_pl->nwarnings, 0);
}

static void
test_reset_unsupported(void **state)
{
	(void)state;
	test_begin();
	table_set(&machine_table, TEST_FLAGS, TEST_TMR_32BIT, 4);
	test_parse();
	assert_int_equal(test_pl->reset.space, PLATFORM_REG_NONE);
}

/* A table of every length: fields that are not there count as absent. */
static void
test_prefixes(void **state)
{
	(void)state;
	for (size_t n = 36; n <= 276; n++) {
		machine_build();
		machine_fadt(n);
		test_parse();
		assert_int_equal(machine_warned("FADT: the table has only"), n < 116);
		assert_int_equal(test_pl->has_s5, n >= 116);
		assert_int_equal(test_pl->reset.space != PLATFORM_REG_NONE, n >= 129);
		if (n >= 116)
			assert_int_equal(test_pl->pm_timer.address, n < 220 ? 0x608 : 0x1608);
	}
}

static void
test_dsdt_address(void **state)
{
	(void)state;
	test_begin();
	table_set(&machine_table, TEST_DSDT, 0x7777777, 4);
	test_parse();
	assert_true(test_pl->has_s5);
	table_set(&machine_table, TEST_X_DSDT, 0, 8);
	test_parse();
	assert_false(test_pl->has_s5);
	assert_true(machine_warned("DSDT: it cannot be read at 0x7777777"));
	table_set(&machine_table, TEST_DSDT, 0, 4);
	test_parse();
	assert_true(machine_warned("names no DSDT"));
	table_set(&machine_table, TEST_X_DSDT, MACHINE_MADT, 8);
	test_parse();
	assert_true(machine_warned("DSDT: it is not at"));
}

static bool
test_s5_found(const void *aml, size_t bytes)
{
	machine_build();
	machine_dsdt(aml, bytes);
	assert_true(machine_parse());
	assert_int_equal(machine_warned("DSDT"), !test_pl->has_s5);
	return test_pl->has_s5;
}

#define TEST_S5(...) \
	test_s5_found((const uint8_t[]){ __VA_ARGS__ }, sizeof((const uint8_t[]){ __VA_ARGS__ }))
#define TEST_NAME 0x08, '_', 'S', '5', '_'

static void
test_s5_forms(void **state)
{
	(void)state;
	assert_true(TEST_S5(TEST_NAME, 0x12, 0x06, 0x04, 0x00, 0x01, 0x00, 0x00));
	assert_int_equal(test_pl->s5_type_a, 0);
	assert_int_equal(test_pl->s5_type_b, 1);
	assert_true(TEST_S5(0x08, '\\', '_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a, 7, 0x0a, 5));
	assert_int_equal(test_pl->s5_type_a, 7);
	assert_int_equal(test_pl->s5_type_b, 5);
	/* Constants of 16, 32 and 64 bits; lengths of two, three and four bytes. */
	assert_true(TEST_S5(TEST_NAME, 0x12, 0x4b, 0x00, 0x02, 0x0b, 4, 0, 0x0c, 3, 0, 0, 0));
	assert_int_equal(test_pl->s5_type_a, 4);
	assert_int_equal(test_pl->s5_type_b, 3);
	assert_true(TEST_S5(TEST_NAME, 0x12, 0x8f, 0, 0, 2, 0x0e, 6, 0, 0, 0, 0, 0, 0, 0, 0x0a, 2));
	assert_int_equal(test_pl->s5_type_a, 6);
	assert_true(TEST_S5(TEST_NAME, 0x12, 0xc9, 0, 0, 0, 2, 0x0a, 6, 0x0a, 2));
	/* Another thing of that name first. */
	assert_true(TEST_S5(TEST_NAME, 0x0a, 5, TEST_NAME, 0x12, 0x06, 0x02, 0x0a, 5, 0x0a, 5));
}

static void
test_s5_refused(void **state)
{
	(void)state;
	assert_false(TEST_S5('_', 'S', '5', '_', 0x12, 0x06, 0x02, 0x0a, 5, 0x0a, 5));
	assert_true(machine_warned("no package _S5_"));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x06, 0x02, 0x0a, 8, 0x0a, 5));
	assert_true(machine_warned("cannot be read"));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x06, 0x01, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x06, 0x02, 'A', 'B', 'C', 'D'));
	/* Elements or the package run out of the package or of the table. */
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x05, 0x02, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x3f, 0x02, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0xff, 0xff, 0xff, 0xff, 2, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x00, 0x02, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x40, 0x00, 0x02, 0x0a, 5, 0x0a, 5));
	assert_false(TEST_S5(TEST_NAME, 0x12, 0x06, 0x02, 0x0d, 5, 0x0a, 5));
}

/* The AML ends after each of its bytes. */
static void
test_s5_prefixes(void **state)
{
	static const uint8_t aml[] = { TEST_NAME, 0x12, 0x8f, 0, 0, 2, 0x0e, 6, 0, 0, 0, 0, 0, 0, 0,
		0x0a, 2 };

	(void)state;
	for (size_t n = 0; n <= sizeof(aml); n++)
		assert_int_equal(test_s5_found(aml, n), n == sizeof(aml));
}

static void
test_mutations(void **state)
{
	struct random random = { 0x66616474 };

	(void)state;
	for (unsigned i = 0; i < TEST_MUTATIONS; i++) {
		uint8_t aml[24] = { TEST_NAME, 0x12, 0x06, 0x04, 0x0a, 5, 0x0a, 5 };

		test_begin();
		random_spoil(&random, aml, sizeof(aml));
		machine_dsdt(aml, random_below(&random, sizeof(aml) + 1));
		random_spoil(&random, machine_table.data + 36, machine_table.size - 36);
		test_parse();
		if (test_pl->pm_timer.space == PLATFORM_REG_IO)
			assert_in_range(test_pl->pm_timer.address, 1, 0xffff);
	}
	image_reset();
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_pm_timer),
		cmocka_unit_test(test_pm_timer_width),
		cmocka_unit_test(test_address_spaces),
		cmocka_unit_test(test_hw_reduced),
		cmocka_unit_test(test_reset_unsupported),
		cmocka_unit_test(test_prefixes),
		cmocka_unit_test(test_dsdt_address),
		cmocka_unit_test(test_s5_forms),
		cmocka_unit_test(test_s5_refused),
		cmocka_unit_test(test_s5_prefixes),
		cmocka_unit_test(test_mutations),
	};

	return cmocka_run_group_tests_name("fadt", tests, NULL, NULL);
}
