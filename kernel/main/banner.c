/*
 * What the console shows first: version, loader, memory, firmware tables.
 */
#include "kernel/main/banner.h"

#include "boot/bootinfo.h"
#include "kernel/cmdline.h"
#include "kernel/console.h"
#include "kernel/kmem.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/platform.h"

#define BANNER_REGIONS_SHOWN 12u
#define BANNER_ID_BYTES 8u

/* The linker's build id (ELF note type 3): a hash of the image, so a log names the very build. */
extern const uint8_t build_id_note[], build_id_note_end[];

static void
banner_build_id(char *text)
{
	/* A note: three words, the name "GNU\0", the hash. */
	const uint8_t *id = build_id_note + 16;

	for (unsigned i = 0; i < BANNER_ID_BYTES && id + i < build_id_note_end; i++)
		snprintf(text + 2 * i, 3, "%02x", id[i]);
}

void
banner_print(const struct bootinfo *bi)
{
	char id[2 * BANNER_ID_BYTES + 1] = "unknown", brand[49];

	banner_build_id(id);
	cpu_brand(brand);
	printf("\nxcall %s, build %s\n", XCALL_VERSION, id);
	printf("cpu: %s\n", brand[0] != '\0' ? brand : "(no brand string)");
	printf("loader: %s%s\n", bi->loader[0] != '\0' ? bi->loader : "(unnamed)",
	    strcmp(bi->loader, "PVH") == 0 ? ""
		: bi->efi                  ? ", UEFI firmware"
					   : ", BIOS firmware");
	printf("command line: \"%s\"\n", cmdline_text());
	printf("console:");
	for (const struct console_device *d = console_first(); d != NULL; d = console_next(d))
		printf(" %s", d->name);
	printf("\n");
	if (bi->warning != NULL)
		printf("warning: boot information: %s\n", bi->warning);
	if (cmdline_truncated())
		printf("warning: the command line was cut at %u characters\n", CMDLINE_BYTES - 1);
}

void
banner_print_memory(const struct bootinfo *bi)
{
	static const char *const types[] = {
		[BOOTINFO_USABLE] = "usable",
		[BOOTINFO_ACPI] = "ACPI",
		[BOOTINFO_RESERVED] = "reserved",
	};
	uint64_t usable = 0;

	for (unsigned i = 0; i < bi->nregions; i++) {
		if (bi->region[i].type == BOOTINFO_USABLE)
			usable += bi->region[i].end - bi->region[i].start;
	}
	printf("memory: %lu KiB usable in %u regions, %zu KiB free\n", usable / 1024, bi->nregions,
	    kmem_pages_free() * (PAGE_BYTES / 1024));
	for (unsigned i = 0; i < bi->nregions && i < BANNER_REGIONS_SHOWN; i++)
		printf("  0x%012lx-0x%012lx  %s\n", bi->region[i].start, bi->region[i].end,
		    types[bi->region[i].type]);
	if (bi->nregions > BANNER_REGIONS_SHOWN)
		printf("  and %u more\n", bi->nregions - BANNER_REGIONS_SHOWN);
	if (bi->regions_dropped != 0)
		printf("warning: %u regions of the loader's map did not fit and are not used\n",
		    bi->regions_dropped);
}

void
banner_print_platform(void)
{
	const unsigned kept = sizeof(platform.warning) / sizeof(platform.warning[0]);

	for (unsigned i = 0; i < platform.nwarnings && i < kept; i++)
		printf("warning: %s\n", platform.warning[i]);
	if (platform.nwarnings > kept)
		printf("warning: %u more faults in the firmware's tables\n",
		    platform.nwarnings - kept);
}
