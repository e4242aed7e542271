/*
 * QEMU's fw_cfg device, the port interface (QEMU, docs/specs/fw_cfg): a selector at 0x510, a byte
 * of data at 0x511.  Every count is bounded: on other machines the ports answer anything.
 */
#include "kernel/x86/fwcfg.h"

#include <stdint.h>

#include "kernel/string.h"
#include "kernel/x86/io.h"

#define FWCFG_SELECTOR_PORT 0x510
#define FWCFG_DATA_PORT 0x511
#define FWCFG_SIGNATURE 0x00
#define FWCFG_DIRECTORY 0x19
#define FWCFG_MAX_FILES 1024u
#define FWCFG_NAME_BYTES 56

static void
fwcfg_bytes(void *buf, size_t n)
{
	uint8_t *to = buf;

	while (n-- > 0)
		*to++ = inb(FWCFG_DATA_PORT);
}

static uint32_t
fwcfg_be32(void)
{
	uint8_t b[4];

	fwcfg_bytes(b, 4);
	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

bool
fwcfg_read(const char *name, char *buf, size_t size)
{
	char entry[FWCFG_NAME_BYTES + 1];
	uint32_t files, bytes, selector;

	outw(FWCFG_SELECTOR_PORT, FWCFG_SIGNATURE);
	fwcfg_bytes(entry, 4);
	if (memcmp(entry, "QEMU", 4) != 0)
		return false;
	outw(FWCFG_SELECTOR_PORT, FWCFG_DIRECTORY);
	files = fwcfg_be32();
	for (uint32_t i = 0; i < files && i < FWCFG_MAX_FILES; i++) {
		bytes = fwcfg_be32();
		selector = fwcfg_be32() >> 16; /* 16 bits and 16 reserved ones */
		fwcfg_bytes(entry, FWCFG_NAME_BYTES);
		entry[FWCFG_NAME_BYTES] = '\0';
		if (strcmp(entry, name) != 0)
			continue;
		if (bytes > size - 1)
			bytes = (uint32_t)(size - 1);
		outw(FWCFG_SELECTOR_PORT, (uint16_t)selector);
		fwcfg_bytes(buf, bytes);
		buf[bytes] = '\0';
		return true;
	}
	return false;
}
