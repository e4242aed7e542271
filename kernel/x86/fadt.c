/*
 * The FADT: the PM timer, and how to switch off and to reset (ACPI 6.4, 5.2.9).
 *
 * Fields that an older, shorter table does not have read as zero, which means absent in every one
 * of them.  Powering off also needs two numbers out of the DSDT, which is a program in ACPI's own
 * language; they stand in a package of constants with a fixed name, so it is found without an
 * interpreter.
 */
#include "kernel/x86/acpi_tables.h"
#include "kernel/x86/firmware.h"

/* Offsets (table 5.9). */
enum fadt_field {
	FADT_DSDT = 40,
	FADT_PM1A_CONTROL = 64,
	FADT_PM1B_CONTROL = 68,
	FADT_PM_TIMER = 76,
	FADT_PM_TIMER_BYTES = 91,
	FADT_FLAGS = 112,
	FADT_BYTES_V1 = 116, /* ACPI 1.0: nothing behind the flags */
	FADT_RESET = 116,
	FADT_RESET_VALUE = 128,
	FADT_X_DSDT = 140,
	FADT_X_PM1A_CONTROL = 172,
	FADT_X_PM1B_CONTROL = 184,
	FADT_X_PM_TIMER = 208,
	FADT_SLEEP_CONTROL = 244,
};

/* Flags (table 5.10). */
#define FADT_TMR_VAL_EXT (1u << 8)
#define FADT_RESET_REG_SUP (1u << 10)
#define FADT_HW_REDUCED (1u << 20)

/* Generic Address Structure (5.2.3.2). */
#define FADT_GAS_BYTES 12
#define FADT_GAS_ADDRESS 4
#define FADT_SPACE_MEMORY 0
#define FADT_SPACE_IO 1

#define FADT_IO_PORTS 0x10000
#define FADT_PM_TIMER_WIDTH 4

/* AML (20.2.2 to 20.2.5): what `Name (\_S5, Package () { a, b, ... })` is made of. */
#define FADT_AML_NAME_OP 0x08
#define FADT_AML_PACKAGE_OP 0x12
#define FADT_AML_BYTE_PREFIX 0x0a
#define FADT_AML_QWORD_PREFIX 0x0e
#define FADT_SLEEP_TYPE_MAX 7 /* three bits: 4.8.3.2.1 and 4.8.3.7 */

static struct platform_register
fadt_io(struct platform *pl, uint64_t port, const char *name)
{
	struct platform_register none = { PLATFORM_REG_NONE, 0 };

	if (port == 0)
		return none;
	if (port >= FADT_IO_PORTS) {
		firmware_warn(pl, "FADT: %s is said to be I/O port 0x%llx and is not used", name,
		    (unsigned long long)port);
		return none;
	}
	return (struct platform_register){ PLATFORM_REG_IO, port };
}

static struct platform_register
fadt_register(struct platform *pl, struct bytes fadt, size_t offset, const char *name)
{
	struct bytes gas = bytes_part(fadt, offset, FADT_GAS_BYTES);
	uint64_t address = bytes_u64(gas, FADT_GAS_ADDRESS);

	if (address != 0 && bytes_u8(gas, 0) == FADT_SPACE_MEMORY)
		return (struct platform_register){ PLATFORM_REG_MEMORY, address };
	if (address != 0 && bytes_u8(gas, 0) != FADT_SPACE_IO) {
		firmware_warn(pl, "FADT: %s lies in address space %u and is not used", name,
		    bytes_u8(gas, 0));
		address = 0;
	}
	return fadt_io(pl, address, name);
}

/* The register by its extended field, or by the old one, which names a port. */
static struct platform_register
fadt_block(struct platform *pl, struct bytes fadt, size_t extended, size_t old, const char *name)
{
	struct platform_register reg = fadt_register(pl, fadt, extended, name);

	return reg.space == PLATFORM_REG_NONE ? fadt_io(pl, bytes_u32(fadt, old), name) : reg;
}

static void
fadt_pm_timer(struct platform *pl, struct bytes fadt, uint32_t flags)
{
	uint8_t width = bytes_u8(fadt, FADT_PM_TIMER_BYTES);

	if (width == 0)
		return;
	if (width != FADT_PM_TIMER_WIDTH) {
		firmware_warn(pl, "FADT: a PM timer of %u bytes is not used", width);
		return;
	}
	pl->pm_timer = fadt_block(pl, fadt, FADT_X_PM_TIMER, FADT_PM_TIMER, "the PM timer");
	pl->pm_timer_32bit = pl->pm_timer.space != PLATFORM_REG_NONE &&
	    (flags & FADT_TMR_VAL_EXT) != 0;
}

/*
 * The length in a PkgLength, which counts from its own first byte (20.2.4); *bytes: how many it
 * takes itself.  0 when it does not lie inside.
 */
static size_t
fadt_aml_length(struct bytes aml, size_t *bytes)
{
	uint8_t lead = bytes_u8(aml, 0);
	unsigned more = lead >> 6;

	*bytes = 1 + more;
	if (!bytes_has(aml, 0, *bytes))
		return 0;
	if (more == 0)
		return lead & 0x3f;
	return (lead & 0x0f) | (size_t)bytes_number(aml, 1, more) << 4;
}

/* A constant (20.2.3: ByteConst to QWordConst, ZeroOp, OneOp); returns its length, 0 if it is
 * none. */
static size_t
fadt_aml_constant(struct bytes aml, uint64_t *value)
{
	uint8_t op = bytes_u8(aml, 0);
	unsigned count;

	if (aml.size == 0)
		return 0;
	*value = op;
	if (op <= 1)
		return 1;
	if (op < FADT_AML_BYTE_PREFIX || op > FADT_AML_QWORD_PREFIX || op == 0x0d)
		return 0;
	count = op == FADT_AML_QWORD_PREFIX ? 8 : 1u << (op - FADT_AML_BYTE_PREFIX);
	*value = bytes_number(aml, 1, count);
	return bytes_has(aml, 1, count) ? 1 + count : 0;
}

/* The package behind a name: the sleep types for PM1a and PM1b control are its first elements
 * (7.4.2). */
static bool
fadt_s5_package(struct platform *pl, struct bytes aml)
{
	uint64_t type[2];
	size_t head, length;
	struct bytes package;

	if (bytes_u8(aml, 0) != FADT_AML_PACKAGE_OP)
		return false;
	aml = bytes_part(aml, 1, SIZE_MAX);
	length = fadt_aml_length(aml, &head);
	if (!bytes_has(aml, 0, length) || length < head)
		return false;
	package = bytes_part(bytes_part(aml, 0, length), head, SIZE_MAX);
	if (bytes_u8(package, 0) < 2)
		return false;
	package = bytes_part(package, 1, SIZE_MAX);
	for (unsigned i = 0; i < 2; i++) {
		size_t bytes = fadt_aml_constant(package, &type[i]);

		if (bytes == 0 || type[i] > FADT_SLEEP_TYPE_MAX)
			return false;
		package = bytes_part(package, bytes, SIZE_MAX);
	}
	pl->s5_type_a = (uint8_t)type[0];
	pl->s5_type_b = (uint8_t)type[1];
	return true;
}

static bool
fadt_s5_named(struct bytes dsdt, size_t at)
{
	return bytes_match(dsdt, at, "_S5_") &&
	    (bytes_u8(dsdt, at - 1) == FADT_AML_NAME_OP ||
		(bytes_u8(dsdt, at - 1) == '\\' && bytes_u8(dsdt, at - 2) == FADT_AML_NAME_OP));
}

static void
fadt_s5(struct platform *pl, struct bytes dsdt)
{
	bool named = false;

	for (size_t at = ACPI_HEADER_BYTES + 1; bytes_has(dsdt, at, 4); at++) {
		if (!fadt_s5_named(dsdt, at))
			continue;
		named = true;
		if (fadt_s5_package(pl, bytes_part(dsdt, at + 4, SIZE_MAX))) {
			pl->has_s5 = true;
			return;
		}
	}
	firmware_warn(pl,
	    named ? "DSDT: the package _S5_ cannot be read; no power-off by ACPI"
		  : "DSDT: it has no package _S5_; no power-off by ACPI");
}

static void
fadt_dsdt(struct platform *pl, struct bytes fadt, acpi_fetch_t fetch)
{
	uint64_t address = bytes_u64(fadt, FADT_X_DSDT);
	struct bytes dsdt;

	if (address == 0)
		address = bytes_u32(fadt, FADT_DSDT);
	if (address == 0)
		firmware_warn(pl, "FADT: it names no DSDT; no power-off by ACPI");
	else if (acpi_table(pl, fetch, address, "DSDT", &dsdt))
		fadt_s5(pl, dsdt);
}

void
fadt_parse(struct platform *pl, struct bytes fadt, acpi_fetch_t fetch)
{
	uint32_t flags = bytes_u32(fadt, FADT_FLAGS);

	if (fadt.size < FADT_BYTES_V1) {
		firmware_warn(pl, "FADT: the table has only %zu bytes and is ignored", fadt.size);
		return;
	}
	pl->hw_reduced = (flags & FADT_HW_REDUCED) != 0;
	if (pl->hw_reduced) {
		/* 4.1: such a machine has neither the PM timer nor the PM1 registers. */
		pl->sleep_control = fadt_register(pl, fadt, FADT_SLEEP_CONTROL, "sleep control");
	} else {
		fadt_pm_timer(pl, fadt, flags);
		pl->pm1a_control = fadt_block(
		    pl, fadt, FADT_X_PM1A_CONTROL, FADT_PM1A_CONTROL, "PM1a control");
		pl->pm1b_control = fadt_block(
		    pl, fadt, FADT_X_PM1B_CONTROL, FADT_PM1B_CONTROL, "PM1b control");
	}
	if ((flags & FADT_RESET_REG_SUP) != 0 && bytes_has(fadt, FADT_RESET_VALUE, 1)) {
		pl->reset = fadt_register(pl, fadt, FADT_RESET, "the reset register");
		pl->reset_value = bytes_u8(fadt, FADT_RESET_VALUE);
	}
	fadt_dsdt(pl, fadt, fetch);
}
