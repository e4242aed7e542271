/*
 * What the loader told us, whichever loader it was: copied out of its memory and checked, so that
 * the loader's memory can be reused.  Pure code: also built on the host and fuzzed.
 */
#ifndef BOOT_BOOTINFO_H
#define BOOT_BOOTINFO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define BOOTINFO_MAX_REGIONS 512
#define BOOTINFO_CMDLINE_BYTES 1024
#define BOOTINFO_LOADER_BYTES 64
#define BOOTINFO_RSDP_BYTES 36

enum bootinfo_region_type { BOOTINFO_USABLE, BOOTINFO_ACPI, BOOTINFO_RESERVED };

struct bootinfo_region {
	uint64_t start, end; /* end is exclusive */
	enum bootinfo_region_type type;
};

enum bootinfo_fb_type { BOOTINFO_FB_NONE, BOOTINFO_FB_TEXT, BOOTINFO_FB_RGB };

struct bootinfo_framebuffer {
	enum bootinfo_fb_type type;
	uint64_t address;
	uint32_t pitch, width, height; /* pitch in bytes; text: width and height in characters */
	uint8_t bpp;
	uint8_t red_shift, red_bits, green_shift, green_bits, blue_shift, blue_bits;
};

struct bootinfo {
	char loader[BOOTINFO_LOADER_BYTES];
	char cmdline[BOOTINFO_CMDLINE_BYTES];
	bool efi; /* started by UEFI firmware */
	/* Sorted, disjoint; overlaps went to the most restrictive type; unknown types are
	 * reserved. */
	struct bootinfo_region region[BOOTINFO_MAX_REGIONS];
	unsigned nregions;
	unsigned regions_dropped;          /* did not fit */
	uint64_t rsdp_address;             /* physical, or 0 (PVH) */
	uint8_t rsdp[BOOTINFO_RSDP_BYTES]; /* copy of the best RSDP tag */
	unsigned rsdp_bytes;               /* 0, 20 or 36 */
	struct bootinfo_framebuffer fb;
	uint64_t module_start,
	    module_end;      /* hull of the loader's modules; kept out of free memory */
	const char *warning; /* the first thing that was wrong and survivable, or NULL */
};

/*
 * Each parses the loader's memory of `bytes` bytes at `mem` into *bi.  Returns NULL, or one
 * sentence that says why this cannot be booted.  Reads nothing outside the given bytes.
 */
const char *bootinfo_multiboot2(struct bootinfo *bi, const void *mem, size_t bytes);
/* PVH's tables lie in several places: fetch(address, bytes) gives a pointer to readable memory, or
 * NULL. */
typedef const void *(*bootinfo_fetch_t)(uint64_t address, size_t bytes);
const char *bootinfo_pvh(struct bootinfo *bi, uint64_t start_info, bootinfo_fetch_t fetch);

#endif
