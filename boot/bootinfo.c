/*
 * The boot information of multiboot2 -> struct bootinfo (Multiboot2 Specification 2.0, 3.6).
 *
 * First all tags are walked and the ones that compete with each other are noted, then the best of
 * each kind is used: loaders may give the tags in any order.
 */
#include "boot/bootinfo.h"

#include "boot/bootinfo_parts.h"

/* Tag types (3.6.2 to 3.6.18). */
enum bootinfo_tag {
	BOOTINFO_TAG_END = 0,
	BOOTINFO_TAG_CMDLINE = 1,
	BOOTINFO_TAG_LOADER = 2,
	BOOTINFO_TAG_MODULE = 3,
	BOOTINFO_TAG_MEMINFO = 4,
	BOOTINFO_TAG_MMAP = 6,
	BOOTINFO_TAG_FRAMEBUFFER = 8,
	BOOTINFO_TAG_EFI32 = 11,
	BOOTINFO_TAG_EFI64 = 12,
	BOOTINFO_TAG_RSDP_OLD = 14,
	BOOTINFO_TAG_RSDP_NEW = 15,
	BOOTINFO_TAG_EFI_MMAP = 17,
	BOOTINFO_TAG_EFI_SERVICES = 18,
};

/* Both the information and each tag begin with two words. */
#define BOOTINFO_HEADER_BYTES 8
/* The two maps: header, size of an entry, its version. */
#define BOOTINFO_MAP_BYTES 16
/* What we read of an entry: base, length, type. */
#define BOOTINFO_MMAP_ENTRY_BYTES 20
/* UEFI 2.9, 7.2 EFI_MEMORY_DESCRIPTOR, up to the number of pages. */
#define BOOTINFO_EFI_ENTRY_BYTES 32
#define BOOTINFO_RSDP_OLD_BYTES 20

/* Tags of which one is chosen when all are known; size 0: not there. */
struct bootinfo_tags {
	struct bytes mmap, efi_mmap, meminfo, rsdp_old, rsdp_new;
	bool boot_services;
};

static struct bootinfo_map_entry
bootinfo_mmap_entry(const struct bootinfo_map *map, size_t index)
{
	struct bytes entry = bytes_part(map->table, index * map->entry_bytes, map->entry_bytes);

	return (struct bootinfo_map_entry){ bytes_u64(entry, 0), bytes_u64(entry, 8),
		bootinfo_parts_e820(bytes_u32(entry, 16)) };
}

/* UEFI 2.9, table 7-6: what each type is worth after ExitBootServices(). */
static enum bootinfo_region_type
bootinfo_efi_type(uint32_t type, bool boot_services)
{
	switch (type) {
	case 7: /* EfiConventionalMemory */
		return BOOTINFO_USABLE;
	case 1: /* EfiLoaderCode, EfiLoaderData: the loader has done its work */
	case 2:
	case 3: /* EfiBootServicesCode, EfiBootServicesData */
	case 4:
		return boot_services ? BOOTINFO_RESERVED : BOOTINFO_USABLE;
	case 9: /* EfiACPIReclaimMemory, EfiACPIMemoryNVS */
	case 10:
		return BOOTINFO_ACPI;
	default:
		return BOOTINFO_RESERVED;
	}
}

static struct bootinfo_map_entry
bootinfo_efi_entry(const struct bootinfo_map *map, size_t index)
{
	struct bytes entry = bytes_part(map->table, index * map->entry_bytes, map->entry_bytes);
	uint64_t pages = bytes_u64(entry, 24);

	/* A length that cannot be shifted wraps around, which the sweep knows how to treat. */
	return (struct bootinfo_map_entry){ bytes_u64(entry, 8),
		pages > UINT64_MAX >> 12 ? UINT64_MAX : pages << 12,
		bootinfo_efi_type(bytes_u32(entry, 0), map->boot_services) };
}

/* 3.6.4: KiB from address 0, and KiB from 1 MiB. */
static struct bootinfo_map_entry
bootinfo_meminfo_entry(const struct bootinfo_map *map, size_t index)
{
	return (struct bootinfo_map_entry){ index == 0 ? 0 : 0x100000,
		(uint64_t)bytes_u32(map->table, 4 * index) << 10, BOOTINFO_USABLE };
}

/* The entries behind the head of a map tag.  False when the tag cannot be read. */
static bool
bootinfo_map_tag(struct bootinfo *bi, struct bootinfo_map *map, struct bytes tag, size_t least)
{
	if (tag.size < BOOTINFO_MAP_BYTES) {
		if (tag.size != 0)
			bootinfo_parts_warn(bi, "the loader's memory map tag is too short");
		return false;
	}
	map->table = bytes_part(tag, BOOTINFO_MAP_BYTES, SIZE_MAX);
	map->entry_bytes = bytes_u32(tag, BOOTINFO_HEADER_BYTES);
	if (map->entry_bytes < least) {
		bootinfo_parts_warn(bi, "the entries of the loader's memory map are too small");
		return false;
	}
	map->entries = map->table.size / map->entry_bytes;
	if (map->table.size % map->entry_bytes != 0)
		bootinfo_parts_warn(bi, "the loader's memory map ends inside an entry");
	return map->entries != 0;
}

/* The best map there is: the loader's, UEFI's, or the two sizes of old times. */
static const char *
bootinfo_memory(struct bootinfo *bi, const struct bootinfo_tags *tags)
{
	struct bootinfo_map map = { .boot_services = tags->boot_services };

	if (bootinfo_map_tag(bi, &map, tags->mmap, BOOTINFO_MMAP_ENTRY_BYTES)) {
		map.entry = bootinfo_mmap_entry;
	} else if (bootinfo_map_tag(bi, &map, tags->efi_mmap, BOOTINFO_EFI_ENTRY_BYTES)) {
		map.entry = bootinfo_efi_entry;
		bootinfo_parts_warn(bi, "no memory map of the loader; UEFI's is used");
	} else if (bytes_has(tags->meminfo, BOOTINFO_HEADER_BYTES, 8)) {
		map.entry = bootinfo_meminfo_entry;
		map.table = bytes_part(tags->meminfo, BOOTINFO_HEADER_BYTES, 8);
		map.entries = 2;
		bootinfo_parts_warn(bi, "no memory map; the loader's two memory sizes are used");
	} else {
		return "the loader gave no memory map";
	}
	return bootinfo_parts_regions(bi, &map);
}

static void
bootinfo_copy_rsdp(struct bootinfo *bi, struct bytes tag, unsigned bytes)
{
	struct bytes rsdp = bytes_part(tag, BOOTINFO_HEADER_BYTES, bytes);

	for (size_t i = 0; i < rsdp.size; i++)
		bi->rsdp[i] = rsdp.data[i];
	bi->rsdp_bytes = bytes;
}

/* 3.6.15 and 3.6.16; the new one has the 64-bit address. */
static void
bootinfo_rsdp(struct bootinfo *bi, const struct bootinfo_tags *tags)
{
	if (bytes_has(tags->rsdp_new, BOOTINFO_HEADER_BYTES, BOOTINFO_RSDP_BYTES))
		bootinfo_copy_rsdp(bi, tags->rsdp_new, BOOTINFO_RSDP_BYTES);
	else if (bytes_has(tags->rsdp_old, BOOTINFO_HEADER_BYTES, BOOTINFO_RSDP_OLD_BYTES))
		bootinfo_copy_rsdp(bi, tags->rsdp_old, BOOTINFO_RSDP_OLD_BYTES);
	else if (tags->rsdp_new.size != 0 || tags->rsdp_old.size != 0)
		bootinfo_parts_warn(bi, "the loader's copy of the RSDP is too short");
}

/* Whether a colour's bits lie inside a pixel; the console draws with 8 bits a colour at most. */
static bool
bootinfo_colour(const struct bootinfo_framebuffer *fb, uint8_t shift, uint8_t bits)
{
	return bits >= 1 && bits <= 8 && shift + bits <= fb->bpp;
}

static bool
bootinfo_framebuffer_sound(const struct bootinfo_framebuffer *fb)
{
	uint64_t cell = fb->type == BOOTINFO_FB_TEXT ? 2 : (fb->bpp + 7u) / 8;

	if (fb->address == 0 || fb->width == 0 || fb->height == 0 || fb->pitch < fb->width * cell ||
	    (uint64_t)fb->pitch * fb->height > UINT64_MAX - fb->address)
		return false;
	if (fb->type == BOOTINFO_FB_TEXT)
		return true;
	return fb->bpp >= 15 && fb->bpp <= 32 && bootinfo_colour(fb, fb->red_shift, fb->red_bits) &&
	    bootinfo_colour(fb, fb->green_shift, fb->green_bits) &&
	    bootinfo_colour(fb, fb->blue_shift, fb->blue_bits);
}

/* 3.6.12.  The reserved field is two bytes in every loader; the specification draws one. */
static void
bootinfo_framebuffer(struct bootinfo *bi, struct bytes tag)
{
	struct bootinfo_framebuffer fb = {
		.address = bytes_u64(tag, 8),
		.pitch = bytes_u32(tag, 16),
		.width = bytes_u32(tag, 20),
		.height = bytes_u32(tag, 24),
		.bpp = bytes_u8(tag, 28),
	};

	switch (bytes_u8(tag, 29)) {
	case 1:
		fb.type = BOOTINFO_FB_RGB;
		fb.red_shift = bytes_u8(tag, 32);
		fb.red_bits = bytes_u8(tag, 33);
		fb.green_shift = bytes_u8(tag, 34);
		fb.green_bits = bytes_u8(tag, 35);
		fb.blue_shift = bytes_u8(tag, 36);
		fb.blue_bits = bytes_u8(tag, 37);
		break;
	case 2:
		fb.type = BOOTINFO_FB_TEXT;
		break;
	default: /* a palette, or what is not known: no screen */
		return;
	}
	if (bootinfo_framebuffer_sound(&fb))
		bi->fb = fb;
	else
		bootinfo_parts_warn(bi, "the loader's framebuffer makes no sense and is not used");
}

/* The first tag of a kind counts. */
static void
bootinfo_note(struct bytes *kept, struct bytes tag)
{
	if (kept->size == 0)
		*kept = tag;
}

static void
bootinfo_tag(struct bootinfo *bi, struct bootinfo_tags *tags, uint32_t type, struct bytes tag)
{
	struct bytes text = bytes_part(tag, BOOTINFO_HEADER_BYTES, SIZE_MAX);

	switch (type) {
	case BOOTINFO_TAG_CMDLINE:
		if (!bootinfo_parts_text(bi->cmdline, sizeof(bi->cmdline), text))
			bootinfo_parts_warn(bi, "the command line was cut");
		break;
	case BOOTINFO_TAG_LOADER:
		(void)bootinfo_parts_text(bi->loader, sizeof(bi->loader), text);
		break;
	case BOOTINFO_TAG_MODULE:
		bootinfo_parts_module(bi, bytes_u32(tag, 8), bytes_u32(tag, 12));
		break;
	case BOOTINFO_TAG_MEMINFO:
		bootinfo_note(&tags->meminfo, tag);
		break;
	case BOOTINFO_TAG_MMAP:
		bootinfo_note(&tags->mmap, tag);
		break;
	case BOOTINFO_TAG_FRAMEBUFFER:
		bootinfo_framebuffer(bi, tag);
		break;
	case BOOTINFO_TAG_EFI32:
	case BOOTINFO_TAG_EFI64:
		bi->efi = true;
		break;
	case BOOTINFO_TAG_RSDP_OLD:
		bootinfo_note(&tags->rsdp_old, tag);
		break;
	case BOOTINFO_TAG_RSDP_NEW:
		bootinfo_note(&tags->rsdp_new, tag);
		break;
	case BOOTINFO_TAG_EFI_MMAP:
		bootinfo_note(&tags->efi_mmap, tag);
		break;
	case BOOTINFO_TAG_EFI_SERVICES:
		tags->boot_services = true;
		break;
	default:
		break;
	}
}

/* 3.6.1: tags begin at multiples of 8, counted from the start of the information. */
static void
bootinfo_walk(struct bootinfo *bi, struct bootinfo_tags *tags, struct bytes info)
{
	size_t offset = BOOTINFO_HEADER_BYTES;

	while (bytes_has(info, offset, BOOTINFO_HEADER_BYTES)) {
		uint32_t type = bytes_u32(info, offset);
		size_t size = bytes_u32(info, offset + 4);

		if (type == BOOTINFO_TAG_END)
			return;
		if (size < BOOTINFO_HEADER_BYTES || !bytes_has(info, offset, size)) {
			bootinfo_parts_warn(bi, "a multiboot2 tag has an impossible size");
			return;
		}
		bootinfo_tag(bi, tags, type, bytes_part(info, offset, size));
		offset += (size + 7) & ~(size_t)7;
	}
	bootinfo_parts_warn(bi, "the multiboot2 information ends without its end tag");
}

const char *
bootinfo_multiboot2(struct bootinfo *bi, const void *mem, size_t bytes)
{
	struct bytes info = bytes_of(mem, bytes);
	struct bootinfo_tags tags = { .boot_services = false };
	size_t total = bytes_u32(info, 0);

	bootinfo_parts_clear(bi);
	if (total < BOOTINFO_HEADER_BYTES)
		return "the multiboot2 information has no size";
	if (total > info.size)
		bootinfo_parts_warn(bi, "the multiboot2 information is longer than its memory");
	info = bytes_part(info, 0, total);
	bootinfo_walk(bi, &tags, info);
	bootinfo_rsdp(bi, &tags);
	return bootinfo_memory(bi, &tags);
}
