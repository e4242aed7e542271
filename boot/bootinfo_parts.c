/*
 * Memory maps, texts and modules of all loaders.
 *
 * The memory map is made by a sweep: from address zero upwards, each step looks at all entries of
 * the loader's map, takes the most restrictive of those that cover the place, and goes on to the
 * next place where any entry begins or ends.  It needs no memory beside the result, and since the
 * result grows from low to high and a piece is judged once and for all, running out of room loses
 * memory but never hands out memory that is not ours.
 */
#include "boot/bootinfo_parts.h"

#define BOOTINFO_E820_USABLE 1
#define BOOTINFO_E820_ACPI 3
#define BOOTINFO_E820_NVS 4

void
bootinfo_parts_clear(struct bootinfo *bi)
{
	unsigned char *to = (unsigned char *)bi;

	for (size_t i = 0; i < sizeof(*bi); i++)
		to[i] = 0;
}

void
bootinfo_parts_warn(struct bootinfo *bi, const char *sentence)
{
	if (bi->warning == NULL)
		bi->warning = sentence;
}

char
bootinfo_parts_char(uint8_t c)
{
	if (c == '\t')
		return ' ';
	return c >= 0x20 && c < 0x7f ? (char)c : '?';
}

bool
bootinfo_parts_text(char *to, size_t room, struct bytes from)
{
	size_t i;

	for (i = 0; i < from.size && from.data[i] != '\0' && i < room - 1; i++)
		to[i] = bootinfo_parts_char(from.data[i]);
	to[i] = '\0';
	return i == from.size || from.data[i] == '\0';
}

enum bootinfo_region_type
bootinfo_parts_e820(uint32_t type)
{
	switch (type) {
	case BOOTINFO_E820_USABLE:
		return BOOTINFO_USABLE;
	case BOOTINFO_E820_ACPI:
	case BOOTINFO_E820_NVS:
		return BOOTINFO_ACPI;
	default:
		return BOOTINFO_RESERVED;
	}
}

void
bootinfo_parts_module(struct bootinfo *bi, uint64_t start, uint64_t end)
{
	if (start > end) {
		bootinfo_parts_warn(bi, "a module ends before it begins and was ignored");
		return;
	}
	if (start == end)
		return;
	if (bi->module_start == bi->module_end) {
		bi->module_start = start;
		bi->module_end = end;
		return;
	}
	if (start < bi->module_start)
		bi->module_start = start;
	if (end > bi->module_end)
		bi->module_end = end;
}

/* One entry with its end computed.  Memory that wraps around the address space is nobody's. */
static struct bootinfo_region
bootinfo_parts_entry(const struct bootinfo_map *map, size_t index)
{
	struct bootinfo_map_entry entry = map->entry(map, index);
	struct bootinfo_region region = { entry.start, entry.start + entry.length, entry.type };

	if (entry.length > UINT64_MAX - entry.start) {
		region.end = UINT64_MAX;
		region.type = BOOTINFO_RESERVED;
	}
	return region;
}

static void
bootinfo_parts_append(struct bootinfo *bi, struct bootinfo_region piece)
{
	struct bootinfo_region *last = bi->nregions == 0 ? NULL : &bi->region[bi->nregions - 1];

	if (last != NULL && last->end == piece.start && last->type == piece.type) {
		last->end = piece.end;
		return;
	}
	if (bi->nregions == BOOTINFO_MAX_REGIONS) {
		bi->regions_dropped++;
		bootinfo_parts_warn(bi, "the memory map has more regions than the kernel keeps");
		return;
	}
	bi->region[bi->nregions++] = piece;
}

/*
 * One step of the sweep: *piece goes from `at` to the next place where something changes.  *covered
 * tells whether any entry covers it.  False when all entries lie below.
 */
static bool
bootinfo_parts_step(const struct bootinfo_map *map, size_t entries, uint64_t at,
    struct bootinfo_region *piece, bool *covered)
{
	bool more = false;

	*covered = false;
	*piece = (struct bootinfo_region){ at, UINT64_MAX, BOOTINFO_USABLE };
	for (size_t i = 0; i < entries; i++) {
		struct bootinfo_region region = bootinfo_parts_entry(map, i);

		if (region.start == region.end || region.end <= at)
			continue;
		more = true;
		if (region.start > at) {
			if (region.start < piece->end)
				piece->end = region.start;
			continue;
		}
		*covered = true;
		if (region.type > piece->type)
			piece->type = region.type;
		if (region.end < piece->end)
			piece->end = region.end;
	}
	return more;
}

const char *
bootinfo_parts_regions(struct bootinfo *bi, const struct bootinfo_map *map)
{
	struct bootinfo_region piece = { 0, 0, BOOTINFO_USABLE };
	size_t entries = map->entries;
	bool covered, usable = false;

	if (entries > BOOTINFO_MAX_ENTRIES) {
		bi->regions_dropped = (unsigned)(entries - BOOTINFO_MAX_ENTRIES);
		entries = BOOTINFO_MAX_ENTRIES;
		bootinfo_parts_warn(bi, "the memory map has more entries than the kernel reads");
	}
	for (size_t i = 0; i < entries; i++) {
		struct bootinfo_map_entry entry = map->entry(map, i);

		if (entry.length > UINT64_MAX - entry.start)
			bootinfo_parts_warn(bi, "an entry of the memory map wraps around");
	}
	while (bootinfo_parts_step(map, entries, piece.end, &piece, &covered)) {
		if (covered)
			bootinfo_parts_append(bi, piece);
	}
	for (unsigned i = 0; i < bi->nregions; i++)
		usable = usable || bi->region[i].type == BOOTINFO_USABLE;
	return usable ? NULL : "the loader's memory map has no usable memory";
}
