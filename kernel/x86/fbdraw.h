/*
 * Drawing characters into a linear framebuffer of any layout a loader may report.  Pure code: also
 * built on the host.
 */
#ifndef KERNEL_X86_FBDRAW_H
#define KERNEL_X86_FBDRAW_H

#include <stdint.h>

#include "boot/bootinfo.h"
#include "kernel/x86/psf.h"

struct fbdraw {
	uint8_t *memory;
	uint64_t bytes;                   /* what is drawn in: all stores lie in it */
	uint32_t pitch;                   /* bytes from a row of pixels to the next */
	uint32_t pixel_bytes;             /* 2, 3 or 4 */
	uint32_t scale;                   /* each font pixel is a square of this many */
	uint32_t cell_width, cell_height; /* pixels */
	uint32_t columns, rows;           /* whole cells that fit; at least one each */
	uint32_t foreground, background;  /* as stored */
	struct psf font;
};

/* Takes the layout of `fb` and a font; `memory` is where the framebuffer can be written.  NULL, or
 * a sentence that says why this cannot be drawn in.  Draws nothing yet. */
const char *fbdraw_init(
    struct fbdraw *, const struct bootinfo_framebuffer *fb, void *memory, const struct psf *font);
/* Paints the visible part of all rows with the background. */
void fbdraw_clear(const struct fbdraw *, uint32_t width, uint32_t height);
/* Draws an ASCII character in a cell; cells outside are ignored.  Writes only, never reads back. */
void fbdraw_cell(const struct fbdraw *, uint32_t column, uint32_t row, char c);

#endif
