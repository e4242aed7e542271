/*
 * A line editor for a dumb terminal on a serial line.  Pure code: also built on the host.
 *
 *	printable ASCII		kept and echoed; a bell when the line is full
 *	backspace, delete	takes the last character back
 *	Ctrl-U			takes all of them back
 *	Ctrl-C			drops the line
 *	CR, LF, CR LF, CR NUL	end the line, once
 *	escape sequences	(arrow keys and the like) swallowed whole
 *	anything else		ignored
 */
#ifndef KERNEL_MAIN_LINEEDIT_H
#define KERNEL_MAIN_LINEEDIT_H

#include <stdbool.h>

/* With the zero byte at the end. */
#define LINEEDIT_BYTES 128

enum lineedit_result {
	LINEEDIT_MORE,    /* the line goes on */
	LINEEDIT_LINE,    /* it is complete, in le_line */
	LINEEDIT_DROPPED, /* Ctrl-C: prompt anew */
};

struct lineedit {
	char le_line[LINEEDIT_BYTES]; /* ends with a zero byte at all times */
	unsigned le_length;
	enum { LINEEDIT_TEXT, LINEEDIT_ESCAPE, LINEEDIT_CSI, LINEEDIT_SS3 } le_state;
	bool le_after_cr;
	void (*le_echo)(const char *text);
};

void lineedit_init(struct lineedit *, void (*echo)(const char *text));
/* Takes one received character.  After LINEEDIT_LINE or LINEEDIT_DROPPED the next one begins a new
 * line: lineedit_clear() before it. */
enum lineedit_result lineedit_input(struct lineedit *, char c);
void lineedit_clear(struct lineedit *);

#endif
