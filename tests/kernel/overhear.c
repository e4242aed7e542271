/*
 * What the console was told meanwhile: one more device, which keeps what it is given.  It is called
 * under the console lock, so its variables need no other.
 */
#include "tests/kernel/overhear.h"

#include <stddef.h>

#include "kernel/console.h"
#include "kernel/string.h"

#define OVERHEAR_BYTES 32768u

static char overhear_text[OVERHEAR_BYTES];
static size_t overhear_length, overhear_line; /* so far; where the last line begins */
static _Atomic(const char *) overhear_words;
static _Atomic(void (*)(const char *line)) overhear_at_line;
_Atomic uint64_t overhear_watched;

static bool
overhear_contains(const char *line, const char *words)
{
	size_t n = strlen(words);

	for (;; line++) {
		if (strncmp(line, words, n) == 0)
			return true;
		if (*line == '\0')
			return false;
	}
}

/* Lines end in a zero byte. */
static void
overhear_put(char c)
{
	const char *words = atomic_load_explicit(&overhear_words, memory_order_relaxed);
	void (*hook)(const char *line);

	if (c == '\r' || overhear_length == OVERHEAR_BYTES - 1)
		return;
	overhear_text[overhear_length++] = c == '\n' ? '\0' : c;
	overhear_text[overhear_length] = '\0';
	if (c != '\n')
		return;
	if (words != NULL && overhear_contains(&overhear_text[overhear_line], words))
		/* Release: pairs with who waits for the line. */
		atomic_fetch_add_explicit(&overhear_watched, 1, memory_order_release);
	hook = atomic_load_explicit(&overhear_at_line, memory_order_relaxed);
	if (hook != NULL)
		hook(&overhear_text[overhear_line]);
	overhear_line = overhear_length;
}

static struct console_device overhear_device = { .name = "overhear", .put = overhear_put };

void
overhear_watch(const char *words)
{
	atomic_store_explicit(&overhear_words, words, memory_order_relaxed);
}

void
overhear_hook(void (*hook)(const char *line))
{
	atomic_store_explicit(&overhear_at_line, hook, memory_order_relaxed);
}

void
overhear_begin(void)
{
	/* A case that failed has not ended it. */
	console_detach(&overhear_device);
	overhear_length = overhear_line = 0;
	overhear_text[0] = '\0';
	atomic_store_explicit(&overhear_watched, 0, memory_order_relaxed);
	console_attach(&overhear_device);
}

void
overhear_end(void)
{
	console_detach(&overhear_device);
}

void
overhear_foreach(void (*visit)(const char *line, void *arg), void *arg)
{
	for (size_t at = 0; at < overhear_length; at += strlen(&overhear_text[at]) + 1)
		visit(&overhear_text[at], arg);
}

struct overhear_search {
	const char *words;
	unsigned count;
};

static void
overhear_visit(const char *line, void *arg)
{
	struct overhear_search *search = arg;

	search->count += overhear_contains(line, search->words);
}

unsigned
overhear_count(const char *words)
{
	struct overhear_search search = { .words = words };

	overhear_foreach(overhear_visit, &search);
	return search.count;
}

bool
overhear_has(const char *words)
{
	return overhear_count(words) != 0;
}
