/*
 * PC screen fonts, versions 1 and 2, as Debian's console-setup-linux has them.  Pure code: also
 * built on the host.
 */
#ifndef KERNEL_X86_PSF_H
#define KERNEL_X86_PSF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define PSF_WIDTH_MAX 32
#define PSF_HEIGHT_MAX 64

struct psf {
	const uint8_t *glyphs;
	uint32_t count;         /* glyphs; at least 128 */
	uint32_t glyph_bytes;   /* of one */
	uint32_t row_bytes;     /* of one row of pixels; the highest bit is leftmost */
	uint32_t width, height; /* pixels; 1..PSF_WIDTH_MAX, 1..PSF_HEIGHT_MAX */
};

/* Reads the header of the font in `bytes` bytes at `file`, which must stay there.  False when it is
 * no PSF, is cut short, or is of no use here. */
bool psf_parse(struct psf *, const void *file, size_t bytes);
/* The rows of an ASCII character. */
const uint8_t *psf_glyph(const struct psf *, char c);

#endif
