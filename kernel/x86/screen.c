/*
 * Character cells.  The memory of a display is slow to read, a framebuffer's very slow, so `cells`
 * remembers what stands where: nothing is read back, and scrolling draws only the cells that
 * change.
 *
 * An NMI may print while screen_put() runs, so the cursor is copied once, and what is used as an
 * index is checked in that copy.
 */
#include "kernel/x86/screen.h"

#include <stddef.h>

#define SCREEN_TAB 8
/* Scrolling moves by this part of the screen at once: a full screen redraws nearly every cell for
 * each scroll, and that is what a console of 4K pixels spends its time on. */
#define SCREEN_SCROLL_PART 4

static void
screen_set(struct screen *s, unsigned column, unsigned row, char c)
{
	char *cell;

	if (column >= s->columns || row >= s->rows)
		return;
	cell = &s->cells[(size_t)row * s->columns + column];
	if (*cell == c)
		return;
	*cell = c;
	s->draw(column, row, c);
}

static void
screen_scroll(struct screen *s, unsigned lines)
{
	for (unsigned row = 0; row < s->rows; row++)
		for (unsigned column = 0; column < s->columns; column++)
			screen_set(s, column, row,
			    row + lines < s->rows
				? s->cells[(size_t)(row + lines) * s->columns + column]
				: ' ');
}

static void
screen_newline(struct screen *s)
{
	unsigned row = s->row + 1, lines;

	if (row >= s->rows) {
		lines = s->rows / SCREEN_SCROLL_PART;
		if (lines == 0)
			lines = 1;
		screen_scroll(s, lines);
		row = s->rows - lines;
	}
	s->row = row;
	s->column = 0;
}

static void
screen_print(struct screen *s, char c)
{
	unsigned column, row;

	if (s->column >= s->columns)
		screen_newline(s);
	column = s->column;
	row = s->row;
	screen_set(s, column, row, c);
	s->column = column + 1;
}

/* To the next stop, over what stands there. */
static void
screen_tab(struct screen *s)
{
	unsigned column;

	if (s->column >= s->columns)
		screen_newline(s);
	column = (s->column / SCREEN_TAB + 1) * SCREEN_TAB;
	s->column = column < s->columns ? column : s->columns;
}

void
screen_init(struct screen *s, unsigned columns, unsigned rows, char *cells,
    void (*draw)(unsigned column, unsigned row, char c))
{
	s->columns = columns;
	s->rows = rows;
	s->column = s->row = 0;
	s->cells = cells;
	s->draw = draw;
	for (unsigned row = 0; row < rows; row++)
		for (unsigned column = 0; column < columns; column++) {
			cells[(size_t)row * columns + column] = '\0';
			screen_set(s, column, row, ' ');
		}
}

void
screen_put(struct screen *s, char c)
{
	unsigned column = s->column;

	switch (c) {
	case '\n':
		screen_newline(s);
		break;
	case '\r':
		s->column = 0;
		break;
	case '\b':
		if (column > 0)
			s->column = column - 1;
		break;
	case '\t':
		screen_tab(s);
		break;
	default:
		if (c >= ' ' && c <= '~')
			screen_print(s, c);
		else if ((unsigned char)c >= 0x80)
			screen_print(s, '?');
		break;
	}
}
