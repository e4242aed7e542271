/*
 * The start information of PVH -> struct bootinfo (Xen, public interface
 * arch-x86/hvm/start_info.h).
 *
 * It is a small structure that points to everything else, so each part is fetched for itself.
 */
#include "boot/boot.h"
#include "boot/bootinfo.h"
#include "boot/bootinfo_parts.h"

/* Offsets in the structure; the memory map came with version 1. */
enum bootinfo_pvh_field {
	BOOTINFO_PVH_MAGIC = 0,
	BOOTINFO_PVH_VERSION = 4,
	BOOTINFO_PVH_MODULES = 12,
	BOOTINFO_PVH_MODULE_LIST = 16,
	BOOTINFO_PVH_CMDLINE = 24,
	BOOTINFO_PVH_RSDP = 32,
	BOOTINFO_PVH_BYTES_V0 = 40,
	BOOTINFO_PVH_MEMMAP = 40,
	BOOTINFO_PVH_MEMMAP_ENTRIES = 48,
	BOOTINFO_PVH_BYTES_V1 = 56,
};

#define BOOTINFO_PVH_MODULE_BYTES 32
#define BOOTINFO_PVH_ENTRY_BYTES 24
/* The loader of a kernel without need for modules gives one at most. */
#define BOOTINFO_PVH_MAX_MODULES 64

static struct bytes
bootinfo_pvh_fetch(bootinfo_fetch_t fetch, uint64_t address, size_t bytes)
{
	if (address == 0 || bytes > UINT64_MAX - address)
		return bytes_of(NULL, 0);
	return bytes_of(fetch(address, bytes), bytes);
}

/* The length of the text is not known, so it is fetched byte by byte. */
static void
bootinfo_pvh_cmdline(struct bootinfo *bi, uint64_t address, bootinfo_fetch_t fetch)
{
	if (address == 0)
		return;
	for (size_t i = 0; i < sizeof(bi->cmdline); i++) {
		struct bytes c = bootinfo_pvh_fetch(fetch, address + i, 1);

		if (c.size == 0) {
			bootinfo_parts_warn(bi, "the command line lies outside memory");
			return;
		}
		if (c.data[0] == '\0')
			return;
		if (i == sizeof(bi->cmdline) - 1)
			bootinfo_parts_warn(bi, "the command line was cut");
		else
			bi->cmdline[i] = bootinfo_parts_char(c.data[0]);
	}
}

static void
bootinfo_pvh_modules(struct bootinfo *bi, struct bytes info, bootinfo_fetch_t fetch)
{
	uint32_t count = bytes_u32(info, BOOTINFO_PVH_MODULES);
	uint64_t list = bytes_u64(info, BOOTINFO_PVH_MODULE_LIST);

	if (count > BOOTINFO_PVH_MAX_MODULES) {
		bootinfo_parts_warn(bi, "the loader names more modules than the kernel reads");
		count = BOOTINFO_PVH_MAX_MODULES;
	}
	for (uint32_t i = 0; i < count; i++) {
		struct bytes module = bootinfo_pvh_fetch(fetch,
		    list + (uint64_t)i * BOOTINFO_PVH_MODULE_BYTES, BOOTINFO_PVH_MODULE_BYTES);
		uint64_t start = bytes_u64(module, 0), size = bytes_u64(module, 8);

		if (module.size == 0 || size > UINT64_MAX - start) {
			bootinfo_parts_warn(bi, "the list of modules cannot be read");
			return;
		}
		bootinfo_parts_module(bi, start, start + size);
	}
}

static struct bootinfo_map_entry
bootinfo_pvh_entry(const struct bootinfo_map *map, size_t index)
{
	struct bytes entry = bytes_part(map->table, index * map->entry_bytes, map->entry_bytes);

	return (struct bootinfo_map_entry){ bytes_u64(entry, 0), bytes_u64(entry, 8),
		bootinfo_parts_e820(bytes_u32(entry, 16)) };
}

static const char *
bootinfo_pvh_memory(struct bootinfo *bi, struct bytes info, bootinfo_fetch_t fetch)
{
	struct bootinfo_map map = {
		.entry_bytes = BOOTINFO_PVH_ENTRY_BYTES,
		.entries = bytes_u32(info, BOOTINFO_PVH_MEMMAP_ENTRIES),
		.entry = bootinfo_pvh_entry,
	};
	size_t readable = map.entries < BOOTINFO_MAX_ENTRIES ? map.entries : BOOTINFO_MAX_ENTRIES;

	if (map.entries == 0)
		return "the loader gave no memory map";
	map.table = bootinfo_pvh_fetch(
	    fetch, bytes_u64(info, BOOTINFO_PVH_MEMMAP), readable * BOOTINFO_PVH_ENTRY_BYTES);
	if (map.table.size == 0)
		return "the loader's memory map lies outside memory";
	return bootinfo_parts_regions(bi, &map);
}

const char *
bootinfo_pvh(struct bootinfo *bi, uint64_t start_info, bootinfo_fetch_t fetch)
{
	struct bytes info = bootinfo_pvh_fetch(fetch, start_info, BOOTINFO_PVH_BYTES_V0);

	bootinfo_parts_clear(bi);
	if (info.size == 0)
		return "the PVH start information lies outside memory";
	if (bytes_u32(info, BOOTINFO_PVH_MAGIC) != BOOT_MAGIC_PVH)
		return "the PVH start information has the wrong magic number";
	if (bytes_u32(info, BOOTINFO_PVH_VERSION) == 0)
		return "the PVH start information is of version 0, which has no memory map";
	info = bootinfo_pvh_fetch(fetch, start_info, BOOTINFO_PVH_BYTES_V1);
	if (info.size == 0)
		return "the PVH start information is cut short";
	(void)bootinfo_parts_text(bi->loader, sizeof(bi->loader), bytes_of("PVH", 3));
	bi->rsdp_address = bytes_u64(info, BOOTINFO_PVH_RSDP);
	bootinfo_pvh_cmdline(bi, bytes_u64(info, BOOTINFO_PVH_CMDLINE), fetch);
	bootinfo_pvh_modules(bi, info, fetch);
	return bootinfo_pvh_memory(bi, info, fetch);
}
