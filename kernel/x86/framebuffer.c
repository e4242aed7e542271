/*
 * The framebuffer that the loader set up, as a console device: fbdraw.c draws, screen.c scrolls.
 *
 * It is mapped write-combining: uncached, each pixel would be a bus transaction of its own, and a
 * scroll would take seconds.
 */
#include <stddef.h>

#include "kernel/console.h"
#include "kernel/kmem.h"
#include "kernel/printf.h"
#include "kernel/x86/devices.h"
#include "kernel/x86/fbdraw.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/psf.h"
#include "kernel/x86/screen.h"

/* font.asm */
extern const uint8_t framebuffer_font[], framebuffer_font_end[];

static struct fbdraw framebuffer_fbdraw;
static struct screen framebuffer_screen;

static void
framebuffer_draw(unsigned column, unsigned row, char c)
{
	fbdraw_cell(&framebuffer_fbdraw, column, row, c);
}

static void
framebuffer_put(char c)
{
	screen_put(&framebuffer_screen, c);
}

static struct console_device framebuffer_device = { .name = "framebuffer", .put = framebuffer_put };

/* Prepares to draw.  NULL, or a sentence that says why not. */
static const char *
framebuffer_prepare(const struct bootinfo_framebuffer *fb)
{
	struct fbdraw *d = &framebuffer_fbdraw;
	struct psf font;
	const char *why;

	if (!psf_parse(&font, framebuffer_font, (size_t)(framebuffer_font_end - framebuffer_font)))
		return "the embedded font is broken";
	why = fbdraw_init(d, fb, (void *)(uintptr_t)fb->address, &font);
	if (why != NULL)
		return why;
	if (!paging_map_identity(fb->address, d->bytes, PAGING_WRITE_COMBINING))
		return "it cannot be mapped";
	fbdraw_clear(d, fb->width, fb->height);
	screen_init(&framebuffer_screen, d->columns, d->rows,
	    kmem_boot_alloc((size_t)d->columns * d->rows), framebuffer_draw);
	return NULL;
}

bool
framebuffer_attach(const struct bootinfo_framebuffer *fb)
{
	const char *why;

	if (fb->type != BOOTINFO_FB_RGB)
		return false;
	why = framebuffer_prepare(fb);
	if (why != NULL) {
		printf("framebuffer %ux%u, %u bits, at %#lx: not used, %s\n", fb->width, fb->height,
		    fb->bpp, fb->address, why);
		return false;
	}
	console_attach(&framebuffer_device);
	return true;
}
