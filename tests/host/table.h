/*
 * Building firmware tables byte by byte, with right and with wrong lengths and checksums.
 */
#ifndef TESTS_HOST_TABLE_H
#define TESTS_HOST_TABLE_H

#include <stddef.h>
#include <stdint.h>

#define TABLE_ROOM (256u << 10)

struct table {
	size_t size;
	uint8_t data[TABLE_ROOM];
};

void table_reset(struct table *);
/* Appends: a little-endian number, a text padded with NULs, NULs, NULs up to a multiple. */
void table_number(struct table *, uint64_t value, unsigned bytes);
void table_text(struct table *, const char *text, size_t bytes);
void table_zero(struct table *, size_t bytes);
void table_align(struct table *, size_t multiple);
/* Overwrites a number. */
void table_set(struct table *, size_t offset, uint64_t value, unsigned bytes);
/* Makes [start, start + bytes) add up to zero by its byte at `offset`. */
void table_checksum(struct table *, size_t start, size_t bytes, size_t offset);
/* The first `bytes` bytes in a heap block of just that size; the caller frees it. */
uint8_t *table_exact(const struct table *, size_t bytes);

/* A table of ACPI: header, then what is appended in between, then length and checksum. */
void table_acpi_begin(struct table *, const char *signature, uint8_t revision);
void table_acpi_end(struct table *);
/* Revision 0 or 2. */
void table_rsdp(struct table *, uint8_t revision, uint32_t rsdt, uint64_t xsdt);
/* Generic Address Structure. */
void table_gas(struct table *, size_t offset, uint8_t space, uint64_t address);

#endif
