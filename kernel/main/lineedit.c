/*
 * The line editor: one character in, what happened out.  Escape sequences are those of ECMA-48
 * (5.4: CSI, then parameters, then a final byte from 0x40 to 0x7e) and SS3 with one character, as
 * terminals send them for keys.
 */
#include "kernel/main/lineedit.h"

enum {
	LINEEDIT_CTRL_C = 0x03,
	LINEEDIT_BACKSPACE = 0x08,
	LINEEDIT_CTRL_U = 0x15,
	LINEEDIT_ESC = 0x1b,
	LINEEDIT_DELETE = 0x7f,
};

void
lineedit_clear(struct lineedit *le)
{
	le->le_length = 0;
	le->le_line[0] = '\0';
}

void
lineedit_init(struct lineedit *le, void (*echo)(const char *text))
{
	le->le_state = LINEEDIT_TEXT;
	le->le_after_cr = false;
	le->le_echo = echo;
	lineedit_clear(le);
}

static void
lineedit_insert(struct lineedit *le, char c)
{
	char text[2] = { c, '\0' };

	if (le->le_length == LINEEDIT_BYTES - 1) {
		le->le_echo("\a");
		return;
	}
	le->le_line[le->le_length++] = c;
	le->le_line[le->le_length] = '\0';
	le->le_echo(text);
}

static void
lineedit_erase(struct lineedit *le)
{
	if (le->le_length == 0)
		return;
	le->le_line[--le->le_length] = '\0';
	le->le_echo("\b \b");
}

static enum lineedit_result
lineedit_control(struct lineedit *le, char c)
{
	/* A control character ends a sequence that was cut short. */
	le->le_state = LINEEDIT_TEXT;
	switch (c) {
	case '\r':
	case '\n':
		le->le_after_cr = c == '\r';
		le->le_echo("\n");
		return LINEEDIT_LINE;
	case LINEEDIT_CTRL_C:
		le->le_echo("^C\n");
		lineedit_clear(le);
		return LINEEDIT_DROPPED;
	case LINEEDIT_CTRL_U:
		while (le->le_length > 0)
			lineedit_erase(le);
		break;
	case LINEEDIT_BACKSPACE:
	case LINEEDIT_DELETE:
		lineedit_erase(le);
		break;
	case LINEEDIT_ESC:
		le->le_state = LINEEDIT_ESCAPE;
		break;
	}
	return LINEEDIT_MORE;
}

/* A printable character: text, or a part of an escape sequence. */
static void
lineedit_printable(struct lineedit *le, char c)
{
	switch (le->le_state) {
	case LINEEDIT_TEXT:
		lineedit_insert(le, c);
		break;
	case LINEEDIT_ESCAPE:
		le->le_state = c == '[' ? LINEEDIT_CSI : c == 'O' ? LINEEDIT_SS3 : LINEEDIT_TEXT;
		break;
	case LINEEDIT_CSI:
		if (c >= '@')
			le->le_state = LINEEDIT_TEXT;
		break;
	case LINEEDIT_SS3:
		le->le_state = LINEEDIT_TEXT;
		break;
	}
}

enum lineedit_result
lineedit_input(struct lineedit *le, char c)
{
	bool after_cr = le->le_after_cr;

	le->le_after_cr = false;
	if (after_cr && (c == '\n' || c == '\0'))
		return LINEEDIT_MORE;
	if ((unsigned char)c < ' ' || c == LINEEDIT_DELETE)
		return lineedit_control(le, c);
	if ((unsigned char)c < LINEEDIT_DELETE)
		lineedit_printable(le, c);
	return LINEEDIT_MORE;
}
