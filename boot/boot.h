/*
 * Numbers that assembly and C share.  kernel/x86/offsets.c turns them into build/.../offsets.inc,
 * so each stands here only.
 */
#ifndef BOOT_BOOT_H
#define BOOT_BOOT_H

/* Where the image is linked and loaded: above the first megabyte, below the holes that UEFI
 * firmware leaves at 8 MiB. */
#define BOOT_LOAD_ADDRESS 0x200000

/* The boot CPU starts on, and later idles on, a stack of this size. */
#define BOOT_STACK_BYTES 16384

/* Segment selectors; the GDT of every CPU has this shape. */
#define BOOT_SEL_CODE32 0x08
#define BOOT_SEL_CODE64 0x10
#define BOOT_SEL_DATA 0x18
#define BOOT_SEL_TSS 0x20

/* The parameter block at the end of the AP trampoline page (struct smp_ap_params), and its
 * fields. */
#define BOOT_AP_PARAMS 0xf80

/* How the machine was entered (struct bootinfo, entry.asm). */
#define BOOT_MAGIC_MULTIBOOT2 0x36d76289 /* multiboot2 3.1: EAX at entry */
#define BOOT_MAGIC_PVH 0x336ec578        /* Xen hvm_start_info: first word */

/* Exit values: QEMU's isa-debug-exit at port 0xf4 turns v into exit status 2v+1. */
#define BOOT_DEBUG_EXIT_PORT 0xf4
#define BOOT_EXIT_PASS 0x10
#define BOOT_EXIT_FAIL 0x11
#define BOOT_EXIT_PANIC 0x12

#endif
