/*
 * The kernel command line: words, each `name` or `name=value`.  Pure code: also built on the host.
 */
#ifndef KERNEL_CMDLINE_H
#define KERNEL_CMDLINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CMDLINE_BYTES 1024

/* Keeps a copy; cut at CMDLINE_BYTES - 1, which cmdline_truncated() then tells. */
void cmdline_init(const char *text);
const char *cmdline_text(void);
bool cmdline_truncated(void);
/* Whether the word `name` stands there, alone or with a value. */
bool cmdline_has(const char *name);
/* Copies the value of the last `name=value`; false when there is none or it does not fit. */
bool cmdline_value(const char *name, char *buf, size_t size);
/* The value as a decimal number in [min, max].  0; ENOENT when absent; EINVAL when it is no number
 * or out of bounds, *value unchanged in both. */
int cmdline_number(const char *name, uint64_t min, uint64_t max, uint64_t *value)
    __attribute__((warn_unused_result));
/* Calls bad(word, length) for each word whose name is not in the NULL-terminated list. */
void cmdline_check(const char *const *known, void (*bad)(const char *word, size_t length));

#endif
