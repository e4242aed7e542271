/*
 * A screen of character cells: the cursor, control characters, wrapping and scrolling that the
 * VGA's text screen and a framebuffer share.  Pure code: also built on the host.
 */
#ifndef KERNEL_X86_SCREEN_H
#define KERNEL_X86_SCREEN_H

struct screen {
	unsigned columns, rows; /* at least one each */
	unsigned column, row;   /* where the next character goes; column == columns: wrap first */
	char *cells;            /* what each cell shows, row by row */
	/* Shows a printable ASCII character; column < columns and row < rows always. */
	void (*draw)(unsigned column, unsigned row, char c);
};

/* Gives the screen its size and memory for columns * rows cells, and blanks it by drawing
 * spaces. */
void screen_init(struct screen *, unsigned columns, unsigned rows, char *cells,
    void (*draw)(unsigned column, unsigned row, char c));
/* Takes a character: printable ones, \n (with \r), \r, \b and \t (do not erase).  Other control
 * characters do nothing; what is not ASCII shows as '?'.  May be interrupted by itself: the text
 * may then suffer, memory may not. */
void screen_put(struct screen *, char c);

#endif
