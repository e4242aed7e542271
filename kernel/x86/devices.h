/*
 * The console's devices, and the machine's end.
 *
 * Each attach function looks whether its device is there, prepares it, and attaches it to the
 * console; false when it is not there or cannot be used.
 */
#ifndef KERNEL_X86_DEVICES_H
#define KERNEL_X86_DEVICES_H

#include <stdbool.h>

#include "boot/bootinfo.h"

/* COM1 at 115200 8N1.  May be the first act of the kernel: needs nothing, not even the GS base. */
bool uart_attach(void);
/* Waits, for a bounded time, until the last character has left.  Any context. */
void uart_flush(void);
/* The text screen of a VGA, and the linear framebuffer, that the loader named; not every machine
 * has one.  Need paging_map_identity(), the framebuffer kmem_boot_alloc(), too. */
bool vga_attach(const struct bootinfo_framebuffer *fb);
bool framebuffer_attach(const struct bootinfo_framebuffer *fb);

/* Maps what machine_exit() and machine_reboot() will need; once `platform` is filled in. */
void poweroff_init(void);

#endif
