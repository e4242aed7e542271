/*
 * Building firmware tables.  Uses libc, not the kernel's functions: those are what is tested.
 */
#include "tests/host/table.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void
table_reset(struct table *t)
{
	t->size = 0;
}

void
table_number(struct table *t, uint64_t value, unsigned bytes)
{
	assert(t->size + bytes <= TABLE_ROOM);
	t->size += bytes;
	table_set(t, t->size - bytes, value, bytes);
}

void
table_text(struct table *t, const char *text, size_t bytes)
{
	size_t length = strlen(text);

	assert(t->size + bytes <= TABLE_ROOM);
	memset(t->data + t->size, 0, bytes);
	memcpy(t->data + t->size, text, length < bytes ? length : bytes);
	t->size += bytes;
}

void
table_zero(struct table *t, size_t bytes)
{
	table_text(t, "", bytes);
}

void
table_align(struct table *t, size_t multiple)
{
	while (t->size % multiple != 0)
		table_number(t, 0, 1);
}

void
table_set(struct table *t, size_t offset, uint64_t value, unsigned bytes)
{
	assert(offset + bytes <= t->size);
	for (unsigned i = 0; i < bytes; i++)
		t->data[offset + i] = (uint8_t)(value >> (8 * i));
}

void
table_checksum(struct table *t, size_t start, size_t bytes, size_t offset)
{
	uint8_t sum = 0;

	assert(start + bytes <= t->size && offset >= start && offset < start + bytes);
	t->data[offset] = 0;
	for (size_t i = start; i < start + bytes; i++)
		sum = (uint8_t)(sum + t->data[i]);
	t->data[offset] = (uint8_t)-sum;
}

uint8_t *
table_exact(const struct table *t, size_t bytes)
{
	uint8_t *copy = malloc(bytes);

	assert(copy != NULL && bytes <= t->size);
	memcpy(copy, t->data, bytes);
	return copy;
}

void
table_acpi_begin(struct table *t, const char *signature, uint8_t revision)
{
	table_reset(t);
	table_text(t, signature, 4);
	table_number(t, 0, 4);
	table_number(t, revision, 1);
	table_number(t, 0, 1);
	table_text(t, "OEMID", 6);
	table_text(t, "OEMTABLE", 8);
	table_number(t, 1, 4);
	table_text(t, "TEST", 4);
	table_number(t, 1, 4);
}

void
table_acpi_end(struct table *t)
{
	table_set(t, 4, t->size, 4);
	table_checksum(t, 0, t->size, 9);
}

void
table_rsdp(struct table *t, uint8_t revision, uint32_t rsdt, uint64_t xsdt)
{
	table_reset(t);
	table_text(t, "RSD PTR ", 8);
	table_number(t, 0, 1);
	table_text(t, "OEMID", 6);
	table_number(t, revision, 1);
	table_number(t, rsdt, 4);
	table_checksum(t, 0, 20, 8);
	if (revision < 2)
		return;
	table_number(t, 36, 4);
	table_number(t, xsdt, 8);
	/* The reserved bytes need not be zero. */
	table_number(t, 0xafafaf00, 4);
	table_checksum(t, 0, 36, 32);
}

void
table_gas(struct table *t, size_t offset, uint8_t space, uint64_t address)
{
	table_set(t, offset, space, 1);
	table_set(t, offset + 4, address, 8);
}
