/*
 * Fonts, pixels and character cells: every layout that loaders report, drawn into memory whose
 * surroundings are watched.
 */
#include "tests/host/cmocka_all.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "kernel/x86/fbdraw.h"
#include "kernel/x86/psf.h"
#include "kernel/x86/screen.h"

#define TEST_PAINT 0xa5

/* --- a font ----------------------------------------------------------------------------------- */

/* Version 1, 8 x 16, 256 glyphs, each with a pattern of its own. */
static uint8_t test_psf1[4 + 256 * 16];

static struct psf
test_font(void)
{
	static const uint8_t header[4] = { 0x36, 0x04, 0x02, 16 };
	struct psf font;

	memcpy(test_psf1, header, sizeof(header));
	for (unsigned i = 0; i < 256 * 16; i++)
		test_psf1[4 + i] = (uint8_t)(i * 167 + (i >> 4) * 13 + 1);
	assert_true(psf_parse(&font, test_psf1, sizeof(test_psf1)));
	return font;
}

static void
test_word(uint8_t *p, uint32_t value)
{
	for (unsigned i = 0; i < 4; i++)
		p[i] = (uint8_t)(value >> 8 * i);
}

/* A version 2 header. */
static void
test_psf2(
    uint8_t *file, uint32_t header, uint32_t count, uint32_t bytes, uint32_t height, uint32_t width)
{
	const uint32_t words[8] = { 0x864ab572, 0, header, 0, count, bytes, height, width };

	for (unsigned i = 0; i < 8; i++)
		test_word(file + 4 * i, words[i]);
}

static void
psf_reads_version_1(void **state)
{
	struct psf font = test_font();

	(void)state;
	assert_int_equal(font.count, 256);
	assert_int_equal(font.width, 8);
	assert_int_equal(font.height, 16);
	assert_ptr_equal(psf_glyph(&font, 'A'), test_psf1 + 4 + 'A' * 16);
	test_psf1[2] = 1; /* 512 glyphs, but bytes for 256 */
	assert_false(psf_parse(&font, test_psf1, sizeof(test_psf1)));
}

static void
psf_reads_version_2(void **state)
{
	size_t bytes = 40 + 128 * 3 * 20;
	uint8_t *file = calloc(1, bytes);
	struct psf font;

	(void)state;
	test_psf2(file, 40, 128, 3 * 20, 20, 18);
	assert_true(psf_parse(&font, file, bytes));
	assert_int_equal(font.row_bytes, 3);
	assert_ptr_equal(psf_glyph(&font, '~'), file + 40 + '~' * 60);
	free(file);
}

/* Cut at every length, in memory of exactly that length. */
static void
psf_refuses_cut_files(void **state)
{
	struct psf font = test_font();

	(void)state;
	for (size_t n = 0; n < sizeof(test_psf1); n++) {
		uint8_t *cut = malloc(n + (n == 0));

		memcpy(cut, test_psf1, n);
		assert_false(psf_parse(&font, cut, n));
		free(cut);
	}
}

static void
psf_refuses_absurd_headers(void **state)
{
	static const uint32_t bad[][5] = {
		{ 32, 128, 16, 16, 0 },
		{ 32, 128, 16, 0, 8 },
		{ 32, 128, 16, 16, 33 },
		{ 32, 128, 65, 65, 8 },
		{ 32, 127, 16, 16, 8 },
		{ 32, 128, 15, 16, 8 },
		{ 32, 128, 16, 16, 9 },
		{ 32, 129, 16, 16, 8 },
		{ 33, 128, 16, 16, 8 },
		{ 0, 128, 16, 16, 8 },
		{ 0xffffffff, 128, 16, 16, 8 },
		{ 32, 0x10000000, 16, 16, 8 },
		{ 32, 0xffffffff, 0xffffffff, 16, 8 },
		{ 32, 128, 16, 0x20000000, 8 },
	};
	uint8_t file[32 + 128 * 16] = { 0 };
	struct psf font;

	(void)state;
	test_psf2(file, 32, 128, 16, 16, 8);
	assert_true(psf_parse(&font, file, sizeof(file)));
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		test_psf2(file, bad[i][0], bad[i][1], bad[i][2], bad[i][3], bad[i][4]);
		assert_false(psf_parse(&font, file, sizeof(file)));
	}
	memset(file, 'x', sizeof(file));
	assert_false(psf_parse(&font, file, sizeof(file)));
}

/* --- pixels ----------------------------------------------------------------------------------- */

static struct bootinfo_framebuffer
test_layout(uint32_t width, uint32_t height, uint32_t pitch, uint8_t bpp)
{
	return (struct bootinfo_framebuffer){
		.type = BOOTINFO_FB_RGB,
		.address = 0x7000000000,
		.width = width,
		.height = height,
		.pitch = pitch,
		.bpp = bpp,
		.red_shift = 16,
		.red_bits = 8,
		.green_shift = 8,
		.green_bits = 8,
		.blue_shift = 0,
		.blue_bits = 8,
	};
}

/* Layouts as met: OVMF's 24 bits, QEMU's and boards' 32 bits with longer rows, 15 and 16 bits, BGR,
 * ten bits a colour, odd rows, 4K. */
static void
test_layouts(struct bootinfo_framebuffer fb[8])
{
	fb[0] = test_layout(800, 600, 2400, 24);
	fb[1] = test_layout(1280, 800, 5120, 32);
	fb[2] = test_layout(1366, 768, 5504, 32);
	fb[2].red_shift = 0;
	fb[2].blue_shift = 16;
	fb[3] = test_layout(333, 99, 999 + 5, 24);
	fb[4] = test_layout(640, 480, 1280, 16);
	fb[4].red_shift = 11;
	fb[4].green_shift = 5;
	fb[4].red_bits = fb[4].blue_bits = 5;
	fb[4].green_bits = 6;
	fb[5] = fb[4];
	fb[5].bpp = 15;
	fb[5].red_shift = 10;
	fb[5].green_bits = 5;
	fb[5].pitch = 1301;
	fb[6] = fb[1];
	fb[6].red_bits = fb[6].green_bits = fb[6].blue_bits = 10;
	fb[6].red_shift = 20;
	fb[6].green_shift = 10;
	fb[7] = test_layout(3840, 2160, 15360, 32);
}

static uint32_t
test_pixel(const struct bootinfo_framebuffer *fb, const uint8_t *memory, uint32_t x, uint32_t y)
{
	uint32_t bytes = (fb->bpp + 7u) / 8, value = 0;

	for (uint32_t i = 0; i < bytes; i++)
		value |= (uint32_t)memory[(size_t)y * fb->pitch + (size_t)x * bytes + i] << 8 * i;
	return value;
}

/* One colour of a pixel, as a part of 255. */
static unsigned
test_component(uint32_t pixel, unsigned shift, unsigned bits)
{
	return (pixel >> shift & ((1u << bits) - 1)) * 255 / ((1u << bits) - 1);
}

static void
test_check_lit(const struct bootinfo_framebuffer *fb, uint32_t pixel)
{
	assert_in_range(test_component(pixel, fb->red_shift, fb->red_bits), 180, 204);
	assert_in_range(test_component(pixel, fb->green_shift, fb->green_bits), 180, 204);
	assert_in_range(test_component(pixel, fb->blue_shift, fb->blue_bits), 180, 204);
}

/* Compares a cell with the glyph, pixel by pixel. */
static void
test_check_cell(const struct fbdraw *d, const struct bootinfo_framebuffer *fb, uint32_t column,
    uint32_t row, char c)
{
	for (uint32_t y = 0; y < d->cell_height; y++)
		for (uint32_t x = 0; x < d->cell_width; x++) {
			uint8_t bits = test_psf1[4 + (unsigned char)c * 16 + y / d->scale];
			uint32_t pixel = test_pixel(
			    fb, d->memory, column * d->cell_width + x, row * d->cell_height + y);

			if (bits >> (7 - x / d->scale) & 1)
				test_check_lit(fb, pixel);
			else
				assert_int_equal(pixel, 0);
		}
}

static char
test_char_at(uint32_t column, uint32_t row)
{
	return (char)(' ' + (column * 7 + row * 3) % 95);
}

/* What lies outside the visible pixels, or outside the cells, was not painted over. */
static void
test_check_padding(const struct fbdraw *d, const struct bootinfo_framebuffer *fb, uint32_t width)
{
	for (uint32_t y = 0; y < fb->height; y++)
		for (size_t at = (size_t)width * d->pixel_bytes; at < fb->pitch; at++)
			assert_int_equal(d->memory[(size_t)y * fb->pitch + at], TEST_PAINT);
}

static void
test_draw_layout(const struct bootinfo_framebuffer *fb)
{
	struct psf font = test_font();
	size_t bytes = (size_t)fb->pitch * fb->height;
	uint8_t *memory = malloc(bytes);
	struct fbdraw d;

	memset(memory, TEST_PAINT, bytes);
	assert_null(fbdraw_init(&d, fb, memory, &font));
	assert_int_equal(d.bytes, bytes);
	assert_int_equal(d.columns, fb->width / (8 * d.scale));
	for (uint32_t row = 0; row < d.rows; row++)
		for (uint32_t column = 0; column < d.columns; column++)
			fbdraw_cell(&d, column, row, test_char_at(column, row));
	test_check_padding(&d, fb, d.columns * d.cell_width);
	for (uint32_t row = 0; row < d.rows; row++)
		for (uint32_t column = 0; column < d.columns; column++)
			test_check_cell(&d, fb, column, row, test_char_at(column, row));
	fbdraw_clear(&d, fb->width, fb->height);
	test_check_padding(&d, fb, fb->width);
	for (uint32_t y = 0; y < fb->height; y++)
		for (uint32_t x = 0; x < fb->width; x++)
			assert_int_equal(test_pixel(fb, memory, x, y), 0);
	free(memory);
}

static void
fbdraw_draws_every_layout(void **state)
{
	struct bootinfo_framebuffer fb[8];

	(void)state;
	test_layouts(fb);
	for (unsigned i = 0; i < 8; i++)
		test_draw_layout(&fb[i]);
}

static void
fbdraw_scales_with_the_screen(void **state)
{
	struct psf font = test_font();
	struct bootinfo_framebuffer fb = test_layout(3840, 2160, 15360, 32);
	uint8_t nothing;
	struct fbdraw d;

	(void)state;
	assert_null(fbdraw_init(&d, &fb, &nothing, &font));
	assert_int_equal(d.scale, 2);
	assert_int_equal(d.columns, 240);
	fb.height = 1080;
	assert_null(fbdraw_init(&d, &fb, &nothing, &font));
	assert_int_equal(d.scale, 1);
}

static void
fbdraw_ignores_cells_outside(void **state)
{
	struct psf font = test_font();
	struct bootinfo_framebuffer fb = test_layout(83, 35, 83 * 4, 32);
	uint8_t *memory = malloc((size_t)fb.pitch * fb.height);
	struct fbdraw d;

	(void)state;
	memset(memory, TEST_PAINT, (size_t)fb.pitch * fb.height);
	assert_null(fbdraw_init(&d, &fb, memory, &font));
	fbdraw_cell(&d, 10, 0, 'A');
	fbdraw_cell(&d, 0, 2, 'A');
	fbdraw_cell(&d, UINT32_MAX, UINT32_MAX, 'A');
	for (size_t i = 0; i < (size_t)fb.pitch * fb.height; i++)
		assert_int_equal(memory[i], TEST_PAINT);
	free(memory);
}

static void
test_refused(struct bootinfo_framebuffer fb)
{
	struct psf font = test_font();
	uint8_t nothing;
	struct fbdraw d;

	assert_non_null(fbdraw_init(&d, &fb, &nothing, &font));
}

static void
fbdraw_refuses_what_it_cannot_draw(void **state)
{
	struct bootinfo_framebuffer good = test_layout(640, 480, 2560, 32), fb;

	(void)state;
	for (unsigned bpp = 0; bpp < 256; bpp++) {
		if (bpp == 15 || bpp == 16 || bpp == 24 || bpp == 32)
			continue;
		fb = good;
		fb.bpp = (uint8_t)bpp;
		test_refused(fb);
	}
	test_refused(test_layout(640, 480, 2559, 32));
	test_refused(test_layout(7, 480, 2560, 32));
	test_refused(test_layout(640, 15, 2560, 32));
	test_refused(test_layout(0, 0, 0, 32));
	test_refused(test_layout(0x40000001, 480, 4, 32));
	test_refused(test_layout(640, UINT32_MAX, UINT32_MAX, 32));
	fb = good;
	fb.red_shift = 25;
	test_refused(fb);
	fb = good;
	fb.green_bits = 0;
	test_refused(fb);
	fb = good;
	fb.blue_shift = 255;
	fb.blue_bits = 255;
	test_refused(fb);
	fb = good;
	fb.address = UINT64_MAX - 1000;
	test_refused(fb);
}

/* --- cells ------------------------------------------------------------------------------------ */

#define TEST_COLUMNS 16
#define TEST_ROWS 8

static struct screen test_screen;
static char test_cells[TEST_COLUMNS * TEST_ROWS];
/* What the display shows. */
static char test_shown[TEST_ROWS][TEST_COLUMNS + 1];
static unsigned test_draws;

static void
test_draw(unsigned column, unsigned row, char c)
{
	assert_true(column < test_screen.columns && row < test_screen.rows);
	assert_in_range((unsigned char)c, ' ', '~');
	test_shown[row][column] = c;
	test_draws++;
}

static void
test_put(const char *text)
{
	while (*text != '\0')
		screen_put(&test_screen, *text++);
}

/* A blank screen of 16 x 8. */
static void
test_blank(void)
{
	memset(test_shown, 0, sizeof(test_shown));
	screen_init(&test_screen, TEST_COLUMNS, TEST_ROWS, test_cells, test_draw);
	test_draws = 0;
}

static void
screen_begins_blank(void **state)
{
	(void)state;
	test_blank();
	for (unsigned row = 0; row < TEST_ROWS; row++)
		assert_string_equal(test_shown[row], "                ");
}

static void
screen_moves_the_cursor(void **state)
{
	(void)state;
	test_blank();
	test_put("abc\b\bX\rY\ta\n\x01\x7f\a\x1bq\xe4");
	assert_string_equal(test_shown[0], "YXc     a       ");
	assert_string_equal(test_shown[1], "q?              ");
	test_blank();
	test_put("\b\bz\t\t\tw");
	assert_string_equal(test_shown[0], "z               ");
	assert_string_equal(test_shown[1], "        w       ");
}

/* A full line does not wrap before the next character: its \n must not leave an empty line. */
static void
screen_wraps_late(void **state)
{
	(void)state;
	test_blank();
	test_put("0123456789abcdef\nnext\n0123456789abcdefg");
	assert_string_equal(test_shown[0], "0123456789abcdef");
	assert_string_equal(test_shown[1], "next            ");
	assert_string_equal(test_shown[3], "g               ");
}

static void
screen_scrolls(void **state)
{
	(void)state;
	test_blank();
	test_put("0\n1\n2\n3\n4\n5\n6\n7");
	assert_int_equal(test_draws, 7 + 1);
	test_draws = 0;
	test_put("\n");
	assert_string_equal(test_shown[0], "2               ");
	assert_string_equal(test_shown[5], "7               ");
	assert_string_equal(test_shown[6], "                ");
	assert_int_equal(test_screen.row, 6);
	/* Eight digits changed, nothing else was drawn. */
	assert_int_equal(test_draws, 8);
	test_put("8\n9");
	assert_string_equal(test_shown[6], "8               ");
	assert_string_equal(test_shown[7], "9               ");
}

/* Noise on screens of all shapes: what is shown is what is remembered, and test_draw() checks
 * bounds. */
static void
screen_survives_noise(void **state)
{
	static const char often[] = "\n\r\b\t abcdefgh";
	uint32_t seed = 7;

	(void)state;
	for (unsigned columns = 1; columns <= TEST_COLUMNS; columns += 5)
		for (unsigned rows = 1; rows <= TEST_ROWS; rows++) {
			char *cells = malloc((size_t)columns * rows);

			screen_init(&test_screen, columns, rows, cells, test_draw);
			for (unsigned i = 0; i < 20000; i++) {
				seed = seed * 1664525u + 1013904223u;
				screen_put(&test_screen,
				    seed & 0x10000 ? often[(seed >> 24) % (sizeof(often) - 1)]
						   : (char)(seed >> 24));
			}
			for (unsigned row = 0; row < rows; row++)
				assert_memory_equal(
				    test_shown[row], cells + (size_t)row * columns, columns);
			free(cells);
		}
}

/* An NMI that prints may leave the cursor anywhere while screen_put() runs. */
static void
screen_survives_a_wild_cursor(void **state)
{
	(void)state;
	test_blank();
	test_screen.row = TEST_ROWS;
	test_screen.column = TEST_COLUMNS + 3;
	test_put("x\t\b\ny");
	test_screen.row = UINT32_MAX - 1;
	test_screen.column = UINT32_MAX;
	test_put("x\t\b\b\n\n\ny");
	assert_true(test_screen.row < TEST_ROWS);
	test_screen.row = TEST_ROWS;
	test_put("x");
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(psf_reads_version_1),
		cmocka_unit_test(psf_reads_version_2),
		cmocka_unit_test(psf_refuses_cut_files),
		cmocka_unit_test(psf_refuses_absurd_headers),
		cmocka_unit_test(fbdraw_draws_every_layout),
		cmocka_unit_test(fbdraw_scales_with_the_screen),
		cmocka_unit_test(fbdraw_ignores_cells_outside),
		cmocka_unit_test(fbdraw_refuses_what_it_cannot_draw),
		cmocka_unit_test(screen_begins_blank),
		cmocka_unit_test(screen_moves_the_cursor),
		cmocka_unit_test(screen_wraps_late),
		cmocka_unit_test(screen_scrolls),
		cmocka_unit_test(screen_survives_noise),
		cmocka_unit_test(screen_survives_a_wild_cursor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
