/*
 * The formatter behind printf(), snprintf() and panic(): no state, no locks, no memory beyond its
 * stack, so that it works in any context.  printf() and vprintf() themselves stand in console.c.
 */
#include "kernel/printf.h"

#include <limits.h>
#include <stdbool.h>
#include <stdint.h>

/* C11 7.21.6.1 paragraph 15 wants 4095 characters from one conversion; a wider one is a bug of the
 * caller, which must not print for minutes. */
#define PRINTF_WIDTH_MAX 4095
/* 2^64 - 1 in decimal; hexadecimal is shorter. */
#define PRINTF_DIGITS 20

enum printf_length {
	PRINTF_INT,
	PRINTF_CHAR,
	PRINTF_SHORT,
	PRINTF_LONG,
	PRINTF_LONGLONG,
	PRINTF_SIZE
};

struct printf_spec {
	bool left, zero, plus, space, alternate;
	int width;
	int precision; /* -1: none */
	enum printf_length length;
	char conversion; /* 0: the format ended early */
};

/* Where the text goes, and the arguments: a struct, because a va_list that is itself a parameter
 * cannot be passed on by reference portably. */
struct printf_state {
	void (*put)(void *, char);
	void *cookie;
	va_list ap;
};

struct printf_buffer {
	char *buf;
	size_t size;
	size_t length; /* of the whole text, whether it fitted or not */
};

static void
printf_repeat(struct printf_state *st, char c, int times)
{
	while (times-- > 0)
		st->put(st->cookie, c);
}

/* A number in the format, or the argument that '*' stands for. */
static int
printf_parse_number(struct printf_state *st, const char **fmt)
{
	int n = 0;

	if (**fmt == '*') {
		(*fmt)++;
		n = va_arg(st->ap, int);
		if (n < -PRINTF_WIDTH_MAX)
			return -PRINTF_WIDTH_MAX;
		return n > PRINTF_WIDTH_MAX ? PRINTF_WIDTH_MAX : n;
	}
	for (; **fmt >= '0' && **fmt <= '9'; (*fmt)++) {
		n = n * 10 + (**fmt - '0');
		if (n > PRINTF_WIDTH_MAX)
			n = PRINTF_WIDTH_MAX;
	}
	return n;
}

static void
printf_parse_flags(struct printf_spec *sp, const char **fmt)
{
	for (;; (*fmt)++) {
		switch (**fmt) {
		case '-':
			sp->left = true;
			break;
		case '0':
			sp->zero = true;
			break;
		case '+':
			sp->plus = true;
			break;
		case ' ':
			sp->space = true;
			break;
		case '#':
			sp->alternate = true;
			break;
		default:
			return;
		}
	}
}

static enum printf_length
printf_parse_length(const char **fmt)
{
	char first = **fmt;

	if (first != 'h' && first != 'l' && first != 'z')
		return PRINTF_INT;
	(*fmt)++;
	if (first == 'z')
		return PRINTF_SIZE;
	if (**fmt != first)
		return first == 'h' ? PRINTF_SHORT : PRINTF_LONG;
	(*fmt)++;
	return first == 'h' ? PRINTF_CHAR : PRINTF_LONGLONG;
}

/* Reads a conversion from behind its '%' and leaves *fmt behind it. */
static struct printf_spec
printf_parse(struct printf_state *st, const char **fmt)
{
	struct printf_spec sp = { .precision = -1 };

	printf_parse_flags(&sp, fmt);
	sp.width = printf_parse_number(st, fmt);
	if (sp.width < 0) {
		sp.left = true;
		sp.width = -sp.width;
	}
	if (**fmt == '.') {
		(*fmt)++;
		sp.precision = printf_parse_number(st, fmt);
		if (sp.precision < 0)
			sp.precision = -1;
	}
	sp.length = printf_parse_length(fmt);
	sp.conversion = **fmt;
	if (sp.conversion != '\0')
		(*fmt)++;
	return sp;
}

static int64_t
printf_signed(struct printf_state *st, enum printf_length length)
{
	switch (length) {
	case PRINTF_CHAR:
		return (signed char)va_arg(st->ap, int);
	case PRINTF_SHORT:
		return (short)va_arg(st->ap, int);
	case PRINTF_LONG:
		return va_arg(st->ap, long);
	case PRINTF_LONGLONG:
		return va_arg(st->ap, long long);
	case PRINTF_SIZE:
		return (int64_t)va_arg(st->ap, size_t);
	default:
		return va_arg(st->ap, int);
	}
}

static uint64_t
printf_unsigned(struct printf_state *st, enum printf_length length)
{
	switch (length) {
	case PRINTF_CHAR:
		return (unsigned char)va_arg(st->ap, unsigned);
	case PRINTF_SHORT:
		return (unsigned short)va_arg(st->ap, unsigned);
	case PRINTF_LONG:
		return va_arg(st->ap, unsigned long);
	case PRINTF_LONGLONG:
		return va_arg(st->ap, unsigned long long);
	case PRINTF_SIZE:
		return va_arg(st->ap, size_t);
	default:
		return va_arg(st->ap, unsigned);
	}
}

/* Prints `prefix`, then `value`: padding, precision and zeros as C11 7.21.6.1 has them. */
static void
printf_number(struct printf_state *st, const struct printf_spec *sp, const char *prefix,
    uint64_t value, unsigned base)
{
	const char *digit = sp->conversion == 'X' ? "0123456789ABCDEF" : "0123456789abcdef";
	char text[PRINTF_DIGITS];
	int n = 0, zeros, pad, nprefix = 0;

	for (; value != 0; value /= base)
		text[n++] = digit[value % base];
	zeros = (sp->precision < 0 ? 1 : sp->precision) - n;
	if (zeros < 0)
		zeros = 0;
	while (prefix[nprefix] != '\0')
		nprefix++;
	pad = sp->width - nprefix - zeros - n;
	if (sp->zero && !sp->left && sp->precision < 0 && pad > 0) {
		zeros += pad;
		pad = 0;
	}
	if (!sp->left)
		printf_repeat(st, ' ', pad);
	for (int i = 0; i < nprefix; i++)
		st->put(st->cookie, prefix[i]);
	printf_repeat(st, '0', zeros);
	while (n > 0)
		st->put(st->cookie, text[--n]);
	if (sp->left)
		printf_repeat(st, ' ', pad);
}

/* Prints at most `precision` characters of a string, or, with `length` >= 0, exactly that many. */
static void
printf_text(struct printf_state *st, const struct printf_spec *sp, const char *text, int length)
{
	int n = 0, pad;

	if (length >= 0)
		n = length;
	else
		while ((sp->precision < 0 || n < sp->precision) && n < INT_MAX && text[n] != '\0')
			n++;
	pad = sp->width - n;
	if (!sp->left)
		printf_repeat(st, ' ', pad);
	for (int i = 0; i < n; i++)
		st->put(st->cookie, text[i]);
	if (sp->left)
		printf_repeat(st, ' ', pad);
}

static void
printf_decimal(struct printf_state *st, const struct printf_spec *sp)
{
	int64_t v = printf_signed(st, sp->length);
	const char *prefix = v < 0 ? "-" : sp->plus ? "+" : sp->space ? " " : "";

	/* Negated as unsigned: -INT64_MIN does not exist. */
	printf_number(st, sp, prefix, v < 0 ? (uint64_t)0 - (uint64_t)v : (uint64_t)v, 10);
}

static void
printf_hexadecimal(struct printf_state *st, const struct printf_spec *sp)
{
	uint64_t v = printf_unsigned(st, sp->length);
	const char *prefix = "";

	if (sp->alternate && v != 0)
		prefix = sp->conversion == 'X' ? "0X" : "0x";
	printf_number(st, sp, prefix, v, 16);
}

/* Prints one conversion.  What is none is printed as it stands in the format, from `from` to
 * `to`. */
static void
printf_convert(
    struct printf_state *st, const struct printf_spec *sp, const char *from, const char *to)
{
	const char *s;
	char c;

	switch (sp->conversion) {
	case 'd':
	case 'i':
		printf_decimal(st, sp);
		break;
	case 'u':
		printf_number(st, sp, "", printf_unsigned(st, sp->length), 10);
		break;
	case 'x':
	case 'X':
		printf_hexadecimal(st, sp);
		break;
	case 'p':
		printf_number(st, sp, "0x", (uintptr_t)va_arg(st->ap, void *), 16);
		break;
	case 'c':
		c = (char)va_arg(st->ap, int);
		printf_text(st, sp, &c, 1);
		break;
	case 's':
		s = va_arg(st->ap, const char *);
		printf_text(st, sp, s == NULL ? "(null)" : s, -1);
		break;
	case '%':
		st->put(st->cookie, '%');
		break;
	default:
		for (; from < to; from++)
			st->put(st->cookie, *from);
		break;
	}
}

void
printf_format(void (*put)(void *, char), void *cookie, const char *fmt, va_list ap)
{
	struct printf_state st = { .put = put, .cookie = cookie };
	struct printf_spec sp;
	const char *from;

	va_copy(st.ap, ap);
	while (*fmt != '\0') {
		if (*fmt != '%') {
			put(cookie, *fmt++);
			continue;
		}
		from = fmt++;
		sp = printf_parse(&st, &fmt);
		printf_convert(&st, &sp, from, fmt);
	}
	va_end(st.ap);
}

static void
printf_put_buffer(void *cookie, char c)
{
	struct printf_buffer *b = cookie;

	if (b->length + 1 < b->size)
		b->buf[b->length] = c;
	b->length++;
}

int
vsnprintf(char *buf, size_t size, const char *fmt, va_list ap)
{
	struct printf_buffer b = { .buf = buf, .size = size };

	printf_format(printf_put_buffer, &b, fmt, ap);
	if (size > 0)
		buf[b.length < size ? b.length : size - 1] = '\0';
	return b.length > INT_MAX ? INT_MAX : (int)b.length;
}

int
snprintf(char *buf, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(buf, size, fmt, ap);
	va_end(ap);
	return n;
}
