/*
 * The text screen of a VGA: 16-bit cells in display memory, and the hardware cursor.  Facts: IBM
 * Personal System/2 Hardware Interface Technical Reference, Video Subsystem (CRT controller
 * registers).
 */
#include <stddef.h>

#include "kernel/console.h"
#include "kernel/x86/devices.h"
#include "kernel/x86/io.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/screen.h"

/* Display memory of the colour text modes. */
#define VGA_ADDRESS 0xb8000
#define VGA_BYTES 0x8000
#define VGA_CELL_BYTES 2
/* Light grey on black. */
#define VGA_ATTRIBUTE 0x0700

/* CRT controller: index, and data at the next port.  A word written to the index port reaches
 * both. */
#define VGA_CRTC 0x3d4
enum {
	VGA_CRTC_CURSOR_START = 0x0a, /* bit 5 hides the cursor */
	VGA_CRTC_CURSOR_END = 0x0b,
	VGA_CRTC_CURSOR_HIGH = 0x0e,
	VGA_CRTC_CURSOR_LOW = 0x0f,
};
/* An underline, in characters of 16 rows. */
#define VGA_CURSOR_START 13
#define VGA_CURSOR_END 14

static struct screen vga_screen;
static char vga_cells[VGA_BYTES / VGA_CELL_BYTES];
/* Bytes from a row to the next. */
static uint32_t vga_pitch;

static void
vga_crtc_write(uint8_t index, uint8_t value)
{
	outw(VGA_CRTC, (uint16_t)(value << 8 | index));
}

static void
vga_draw(unsigned column, unsigned row, char c)
{
	uint16_t *cell = (uint16_t *)(VGA_ADDRESS + (uintptr_t)row * vga_pitch +
	    (uintptr_t)column * VGA_CELL_BYTES);

	*cell = (uint16_t)(VGA_ATTRIBUTE | (uint8_t)c);
}

static void
vga_put(char c)
{
	unsigned at;

	screen_put(&vga_screen, c);
	at = vga_screen.row * (vga_pitch / VGA_CELL_BYTES) + vga_screen.column;
	vga_crtc_write(VGA_CRTC_CURSOR_HIGH, (uint8_t)(at >> 8));
	vga_crtc_write(VGA_CRTC_CURSOR_LOW, (uint8_t)at);
}

static struct console_device vga_device = { .name = "VGA text", .put = vga_put };

bool
vga_attach(const struct bootinfo_framebuffer *fb)
{
	if (fb->type != BOOTINFO_FB_TEXT || fb->address != VGA_ADDRESS || fb->width == 0 ||
	    fb->height == 0 || fb->pitch % VGA_CELL_BYTES != 0 || fb->pitch > VGA_BYTES ||
	    fb->width > fb->pitch / VGA_CELL_BYTES || fb->height > VGA_BYTES / fb->pitch)
		return false;
	if (!paging_map_identity(VGA_ADDRESS, VGA_BYTES, PAGING_UNCACHED))
		return false;
	vga_pitch = fb->pitch;
	screen_init(&vga_screen, fb->width, fb->height, vga_cells, vga_draw);
	vga_crtc_write(VGA_CRTC_CURSOR_START, VGA_CURSOR_START);
	vga_crtc_write(VGA_CRTC_CURSOR_END, VGA_CURSOR_END);
	console_attach(&vga_device);
	return true;
}
