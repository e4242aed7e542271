/*
 * What the parsers of the loaders' formats share.  Nobody else includes it.
 */
#ifndef BOOT_BOOTINFO_PARTS_H
#define BOOT_BOOTINFO_PARTS_H

#include <stddef.h>
#include <stdint.h>

#include "boot/bootinfo.h"
#include "boot/bytes.h"

/* A memory map as the loader left it: some number of entries, in any order, that may overlap. */
struct bootinfo_map {
	struct bytes table;
	size_t entry_bytes;
	size_t entries;
	bool boot_services; /* UEFI: the firmware still runs and owns its memory */
	struct bootinfo_map_entry (*entry)(const struct bootinfo_map *, size_t index);
};

struct bootinfo_map_entry {
	uint64_t start, length;
	enum bootinfo_region_type type;
};

/* Entries that are looked at: the sweep takes time with the square of it.  Large servers under UEFI
 * show a few hundred. */
#define BOOTINFO_MAX_ENTRIES 2048

void bootinfo_parts_clear(struct bootinfo *);
/* Keeps the first sentence. */
void bootinfo_parts_warn(struct bootinfo *, const char *sentence);
/* A character as it may be printed. */
char bootinfo_parts_char(uint8_t);
/* Copies a text that ends with NUL, with `from`, or with `room`; returns false when it was cut. */
bool bootinfo_parts_text(char *to, size_t room, struct bytes from);
/* The type of an entry in the numbering of E820, which multiboot2 and PVH share. */
enum bootinfo_region_type bootinfo_parts_e820(uint32_t type);
/* Adds a module to the hull. */
void bootinfo_parts_module(struct bootinfo *, uint64_t start, uint64_t end);
/* Turns the map into bi->region.  NULL, or the sentence that no memory is usable. */
const char *bootinfo_parts_regions(struct bootinfo *, const struct bootinfo_map *);

#endif
