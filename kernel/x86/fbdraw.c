/*
 * Pixels.  A row of a cell is put together in a buffer and copied out in one go: write-combining
 * memory wants whole bursts, reading it is what makes framebuffer consoles slow, and pixels of
 * three bytes need no case of their own.
 *
 * All geometry is checked once, in fbdraw_init(); after that a cell inside [columns, rows) lies
 * inside `bytes`.
 */
#include "kernel/x86/fbdraw.h"

#include <stddef.h>

#include "kernel/string.h"

/* One more for every so many rows of pixels: text on a 4K screen stays legible. */
#define FBDRAW_SCALE_ROWS 1000
#define FBDRAW_SCALE_MAX 4
/* Beyond any screen, and small enough that no product below overflows 64 bits. */
#define FBDRAW_SIDE_MAX 65536u
/* Light grey on black. */
#define FBDRAW_GREY 0xc0

/* Puts an 8-bit component where this layout has it. */
static uint32_t
fbdraw_component(uint32_t value, uint32_t shift, uint32_t bits)
{
	value = bits <= 8 ? value >> (8 - bits) : value << (bits - 8);
	return value << shift;
}

static bool
fbdraw_field_fits(uint32_t shift, uint32_t bits, uint32_t pixel_bytes)
{
	return bits >= 1 && bits <= 16 && shift + bits <= pixel_bytes * 8;
}

static const char *
fbdraw_check(const struct bootinfo_framebuffer *fb, uint32_t pixel_bytes)
{
	if (fb->bpp != 15 && fb->bpp != 16 && fb->bpp != 24 && fb->bpp != 32)
		return "its pixels have neither 15, 16, 24 nor 32 bits";
	if (!fbdraw_field_fits(fb->red_shift, fb->red_bits, pixel_bytes) ||
	    !fbdraw_field_fits(fb->green_shift, fb->green_bits, pixel_bytes) ||
	    !fbdraw_field_fits(fb->blue_shift, fb->blue_bits, pixel_bytes))
		return "a colour lies outside its pixels";
	if (fb->width > FBDRAW_SIDE_MAX || fb->height > FBDRAW_SIDE_MAX)
		return "its size is absurd";
	if (fb->pitch < fb->width * pixel_bytes)
		return "its rows overlap";
	if (fb->address + (uint64_t)fb->pitch * fb->height < fb->address)
		return "it wraps around the end of the address space";
	return NULL;
}

const char *
fbdraw_init(
    struct fbdraw *d, const struct bootinfo_framebuffer *fb, void *memory, const struct psf *font)
{
	uint32_t pixel_bytes = (fb->bpp + 7u) / 8;
	const char *why = fbdraw_check(fb, pixel_bytes);

	if (why != NULL)
		return why;
	d->memory = memory;
	d->bytes = (uint64_t)fb->pitch * fb->height;
	d->pitch = fb->pitch;
	d->pixel_bytes = pixel_bytes;
	d->font = *font;
	d->scale = fb->height / FBDRAW_SCALE_ROWS;
	if (d->scale < 1)
		d->scale = 1;
	if (d->scale > FBDRAW_SCALE_MAX)
		d->scale = FBDRAW_SCALE_MAX;
	d->cell_width = font->width * d->scale;
	d->cell_height = font->height * d->scale;
	d->columns = fb->width / d->cell_width;
	d->rows = fb->height / d->cell_height;
	d->background = 0;
	d->foreground = fbdraw_component(FBDRAW_GREY, fb->red_shift, fb->red_bits) |
	    fbdraw_component(FBDRAW_GREY, fb->green_shift, fb->green_bits) |
	    fbdraw_component(FBDRAW_GREY, fb->blue_shift, fb->blue_bits);
	return d->columns == 0 || d->rows == 0 ? "not one character fits" : NULL;
}

void
fbdraw_clear(const struct fbdraw *d, uint32_t width, uint32_t height)
{
	for (uint32_t y = 0; y < height; y++)
		memset(d->memory + (size_t)y * d->pitch, 0, (size_t)width * d->pixel_bytes);
}

/* Expands one row of a glyph; returns how many bytes that made. */
static size_t
fbdraw_expand(const struct fbdraw *d, const uint8_t *bits, uint8_t *to)
{
	uint8_t *p = to;
	uint32_t colour;

	for (uint32_t x = 0; x < d->font.width; x++) {
		colour = bits[x / 8] >> (7 - x % 8) & 1 ? d->foreground : d->background;
		for (uint32_t i = 0; i < d->scale; i++)
			for (uint32_t byte = 0; byte < d->pixel_bytes; byte++)
				*p++ = (uint8_t)(colour >> 8 * byte);
	}
	return (size_t)(p - to);
}

void
fbdraw_cell(const struct fbdraw *d, uint32_t column, uint32_t row, char c)
{
	uint8_t pixels[PSF_WIDTH_MAX * FBDRAW_SCALE_MAX * 4];
	const uint8_t *glyph = psf_glyph(&d->font, c);
	uint8_t *to;
	size_t n;

	if (column >= d->columns || row >= d->rows)
		return;
	to = d->memory + (size_t)row * d->cell_height * d->pitch +
	    (size_t)column * d->cell_width * d->pixel_bytes;
	for (uint32_t y = 0; y < d->font.height; y++) {
		n = fbdraw_expand(d, glyph + (size_t)y * d->font.row_bytes, pixels);
		for (uint32_t i = 0; i < d->scale; i++) {
			memcpy(to, pixels, n);
			to += d->pitch;
		}
	}
}
