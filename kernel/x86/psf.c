/*
 * PSF headers, as psf(5) and the kbd package's font-formats page describe them.
 *
 * The Unicode tables behind the glyphs are not read: the kernel prints ASCII, which the Lat15 fonts
 * have at its own positions.
 */
#include "kernel/x86/psf.h"

/* Version 1: two bytes of magic, mode, height; eight pixels wide. */
enum { PSF1_MODE = 2, PSF1_HEIGHT = 3, PSF1_HEADER = 4 };
#define PSF1_MAGIC 0x0436
#define PSF1_MODE_512 0x01
/* Version 2: words of 32 bits, little endian. */
enum {
	PSF2_HEADER_BYTES = 8,
	PSF2_COUNT = 16,
	PSF2_GLYPH_BYTES = 20,
	PSF2_HEIGHT = 24,
	PSF2_WIDTH = 28,
	PSF2_HEADER = 32,
};
#define PSF2_MAGIC 0x864ab572

#define PSF_ASCII 128

static uint32_t
psf_word(const uint8_t *p)
{
	return p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24;
}

/* Checks what the header said against itself and against the `bytes` bytes from `glyphs` on. */
static bool
psf_check(struct psf *f, size_t bytes)
{
	if (f->width == 0 || f->width > PSF_WIDTH_MAX || f->height == 0 ||
	    f->height > PSF_HEIGHT_MAX)
		return false;
	f->row_bytes = (f->width + 7) / 8;
	return f->count >= PSF_ASCII && f->glyph_bytes >= f->row_bytes * f->height &&
	    (uint64_t)f->count * f->glyph_bytes <= bytes;
}

bool
psf_parse(struct psf *f, const void *file, size_t bytes)
{
	const uint8_t *p = file;
	size_t header;

	if (bytes >= PSF1_HEADER && (p[0] | p[1] << 8) == PSF1_MAGIC) {
		header = PSF1_HEADER;
		f->count = p[PSF1_MODE] & PSF1_MODE_512 ? 512 : 256;
		f->width = 8;
		f->height = f->glyph_bytes = p[PSF1_HEIGHT];
	} else if (bytes >= PSF2_HEADER && psf_word(p) == PSF2_MAGIC) {
		header = psf_word(p + PSF2_HEADER_BYTES);
		f->count = psf_word(p + PSF2_COUNT);
		f->glyph_bytes = psf_word(p + PSF2_GLYPH_BYTES);
		f->height = psf_word(p + PSF2_HEIGHT);
		f->width = psf_word(p + PSF2_WIDTH);
	} else {
		return false;
	}
	if (header < PSF1_HEADER || header > bytes)
		return false;
	f->glyphs = p + header;
	return psf_check(f, bytes - header);
}

const uint8_t *
psf_glyph(const struct psf *f, char c)
{
	return f->glyphs + (size_t)((unsigned char)c % PSF_ASCII) * f->glyph_bytes;
}
