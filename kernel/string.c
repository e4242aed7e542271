/*
 * Memory and strings in plain C.  Copies and fills go by words where the machine does not care
 * about alignment, which the type of the word tells the compiler.
 *
 * Built without the compiler's loop idioms, or memcpy() would become a call of memcpy().
 */
#include "kernel/string.h"

#include <stdint.h>

typedef uint64_t string_word_t __attribute__((aligned(1), may_alias));

#define STRING_WORD sizeof(string_word_t)

void *
memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	for (; n >= STRING_WORD; n -= STRING_WORD) {
		*(string_word_t *)t = *(const string_word_t *)f;
		t += STRING_WORD;
		f += STRING_WORD;
	}
	while (n-- > 0)
		*t++ = *f++;
	return to;
}

/* Upwards is right as long as nothing is read behind the place written; a word at a time would
 * be. */
void *
memmove(void *to, const void *from, size_t n)
{
	unsigned char *t = to;
	const unsigned char *f = from;

	if ((uintptr_t)t <= (uintptr_t)f) {
		for (size_t i = 0; i < n; i++)
			t[i] = f[i];
	} else {
		while (n-- > 0)
			t[n] = f[n];
	}
	return to;
}

void *
memset(void *to, int c, size_t n)
{
	unsigned char *t = to;
	uint64_t word = (unsigned char)c * UINT64_C(0x0101010101010101);

	for (; n >= STRING_WORD; n -= STRING_WORD) {
		*(string_word_t *)t = word;
		t += STRING_WORD;
	}
	while (n-- > 0)
		*t++ = (unsigned char)c;
	return to;
}

int
memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a, *y = b;

	for (size_t i = 0; i < n; i++) {
		if (x[i] != y[i])
			return x[i] - y[i];
	}
	return 0;
}

size_t
strlen(const char *s)
{
	size_t n = 0;

	while (s[n] != '\0')
		n++;
	return n;
}

int
strcmp(const char *a, const char *b)
{
	while (*a != '\0' && *a == *b) {
		a++;
		b++;
	}
	return (unsigned char)*a - (unsigned char)*b;
}

int
strncmp(const char *a, const char *b, size_t n)
{
	for (; n > 0; n--, a++, b++) {
		if (*a != *b || *a == '\0')
			return (unsigned char)*a - (unsigned char)*b;
	}
	return 0;
}
