/*
 * QEMU's fw_cfg device: lets whoever starts QEMU hand words to a kernel that comes from an ISO.
 */
#ifndef KERNEL_X86_FWCFG_H
#define KERNEL_X86_FWCFG_H

#include <stdbool.h>
#include <stddef.h>

/* Copies the file `name` (cut at size - 1, always terminated); false when there is no such file or
 * no such device.  Boot CPU. */
bool fwcfg_read(const char *name, char *buf, size_t size);

#endif
