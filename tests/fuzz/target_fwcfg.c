/*
 * The input is what QEMU's fw_cfg device, or whatever answers at its ports, says:
 * kernel/x86/fwcfg.c.  The directory first, and the files each from its own place in the input.
 */
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/x86/fwcfg.h"
#include "kernel/x86/io.h"
#include "tests/fuzz/fuzz.h"
#include "tests/host/cmocka_all.h"

/* The byte count of the directory, a big-endian word, comes behind the signature. */
#define TARGET_SIGNATURE_BYTES 4
#define TARGET_DIRECTORY 0x19
/* Size, selector, a reserved word, name. */
#define TARGET_ENTRY_BYTES 64

static const uint8_t *target_data;
static size_t target_size, target_at;

uint8_t
inb(uint16_t port)
{
	assert_int_equal(port, 0x511);
	/* A bus without a device reads as ones. */
	return target_at < target_size ? target_data[target_at++] : 0xff;
}

void
outw(uint16_t port, uint16_t value)
{
	assert_int_equal(port, 0x510);
	if (value == 0)
		target_at = 0;
	else
		target_at = TARGET_SIGNATURE_BYTES +
		    (value == TARGET_DIRECTORY ? 0 : (size_t)value % 256);
}

static void
target_read(size_t room)
{
	char *buf = malloc(room);

	assert_non_null(buf);
	memset(buf, 'x', room);
	target_at = 0;
	if (fwcfg_read("opt/xcall/cmdline", buf, room))
		assert_non_null(memchr(buf, 0, room));
	free(buf);
}

/* The longest walk through a directory, once: a bus without a device that answers ones behind the
 * signature. */
static void
target_ones(void)
{
	static const uint8_t signature[] = { 'Q', 'E', 'M', 'U' };
	static bool done;

	target_data = signature;
	target_size = sizeof(signature);
	if (!done)
		target_read(16);
	done = true;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *sound = malloc(size + TARGET_SIGNATURE_BYTES);
	size_t files = size / TARGET_ENTRY_BYTES + 1;

	assert_non_null(sound);
	target_ones();
	target_data = data;
	target_size = size;
	if (size < TARGET_SIGNATURE_BYTES || memcmp(data, "QEMU", TARGET_SIGNATURE_BYTES) != 0)
		target_read(16);

	/* No more files than there is input for: the rest would be ones again. */
	memcpy(sound, "QEMU", TARGET_SIGNATURE_BYTES);
	if (size != 0)
		memcpy(sound + TARGET_SIGNATURE_BYTES, data, size);
	if (size >= 4 && (data[0] | data[1] | data[2]) != 0)
		memset(sound + TARGET_SIGNATURE_BYTES, 0, 3);
	if (size >= 4 && sound[TARGET_SIGNATURE_BYTES + 3] > files)
		sound[TARGET_SIGNATURE_BYTES + 3] = (uint8_t)files;
	target_data = sound;
	target_size = size + TARGET_SIGNATURE_BYTES;
	target_read(16);
	target_read(1024);
	free(sound);
	return 0;
}
