/*
 * Reading tables that firmware or a loader wrote: little-endian numbers, any alignment, no trust.
 *
 * A struct bytes is a stretch of readable memory.  Every read goes through bytes_has(): what does
 * not lie wholly inside reads as zero, which is also what ACPI gives to the fields that an older
 * revision of a table does not have.  Whoever must tell zero from absent asks bytes_has() itself.
 */
#ifndef BOOT_BYTES_H
#define BOOT_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	const uint8_t *data;
	size_t size;
};

static inline struct bytes
bytes_of(const void *data, size_t size)
{
	return (struct bytes){ data, data == NULL ? 0 : size };
}

static inline bool
bytes_has(struct bytes b, size_t offset, size_t count)
{
	return offset <= b.size && count <= b.size - offset;
}

/* The stretch of `count` bytes at `offset`, cut where `b` ends. */
static inline struct bytes
bytes_part(struct bytes b, size_t offset, size_t count)
{
	if (offset >= b.size)
		return (struct bytes){ b.data, 0 };
	return (struct bytes){ b.data + offset, count < b.size - offset ? count : b.size - offset };
}

static inline uint64_t
bytes_number(struct bytes b, size_t offset, unsigned count)
{
	uint64_t value = 0;

	if (!bytes_has(b, offset, count))
		return 0;
	for (unsigned i = 0; i < count; i++)
		value |= (uint64_t)b.data[offset + i] << (8 * i);
	return value;
}

static inline uint8_t
bytes_u8(struct bytes b, size_t offset)
{
	return (uint8_t)bytes_number(b, offset, 1);
}

static inline uint16_t
bytes_u16(struct bytes b, size_t offset)
{
	return (uint16_t)bytes_number(b, offset, 2);
}

static inline uint32_t
bytes_u32(struct bytes b, size_t offset)
{
	return (uint32_t)bytes_number(b, offset, 4);
}

static inline uint64_t
bytes_u64(struct bytes b, size_t offset)
{
	return bytes_number(b, offset, 8);
}

/* Whether `text` stands at `offset`; its terminator does not count. */
static inline bool
bytes_match(struct bytes b, size_t offset, const char *text)
{
	for (size_t i = 0; text[i] != '\0'; i++) {
		if (!bytes_has(b, offset + i, 1) || b.data[offset + i] != (uint8_t)text[i])
			return false;
	}
	return true;
}

/* Firmware tables are sound when their bytes add up to zero, modulo 256. */
static inline uint8_t
bytes_sum(struct bytes b)
{
	uint8_t sum = 0;

	for (size_t i = 0; i < b.size; i++)
		sum = (uint8_t)(sum + b.data[i]);
	return sum;
}

#endif
