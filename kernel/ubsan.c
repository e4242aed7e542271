/*
 * What the compiler's checks for undefined behaviour report to, in the build of `make ubsan`.
 *
 * Background.  With -fsanitize=undefined gcc and clang put a test before each operation that C11
 * leaves undefined, and a call where it fails: one function a kind, given a static record (where,
 * which types) and the values.  The names and the layout of the records are the compilers' private
 * agreement with their own runtime library, the same in gcc and clang; with -fno-sanitize-recover
 * the names end in _abort, and the call does not come back.
 *
 * Implementation.  Each ends in a panic: `undefined behaviour at FILE:LINE:COLUMN: ` and what, with
 * the values.  This file itself is compiled without the checks.  Kinds that are missing here cannot
 * come: arrays of variable length are refused (-Wvla), and values of enumerations and the end of a
 * function without a return are checked in C++ only.  A compiler that knows more kinds fails at the
 * link, with the name.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/panic.h"
#include "kernel/printf.h"

#define UBSAN_INTEGER 0
#define UBSAN_VALUE_BYTES 48

struct ubsan_place {
	const char *file;
	uint32_t line, column;
};

struct ubsan_type {
	uint16_t kind;
	uint16_t info; /* integers: bit 0 signed, above it log2 of the bits */
	char name[];   /* in quotes */
};

/* Common to all that have a type; the second one is of the shift count or of the index. */
struct ubsan_data {
	struct ubsan_place place;
	const struct ubsan_type *type, *second;
};

struct ubsan_mismatch {
	struct ubsan_place place;
	const struct ubsan_type *type;
	uint8_t log_align, access;
};

struct ubsan_builtin {
	struct ubsan_place place;
	uint8_t kind;
};

struct ubsan_nonnull {
	struct ubsan_place place, attribute;
	int argument;
};

#define UBSAN_HANDLER(name, ...) \
	_Noreturn void __ubsan_handle_##name(__VA_ARGS__); \
	_Noreturn void __ubsan_handle_##name(__VA_ARGS__)

#define UBSAN_PANIC(where, fmt, ...) \
	panic("undefined behaviour at %s:%u:%u: " fmt, (where)->file, (where)->line, \
	    (where)->column, __VA_ARGS__)

/* A value as its type has it.  What does not fit a word is passed by its address. */
static const char *
ubsan_value(const struct ubsan_type *type, uintptr_t value, char text[UBSAN_VALUE_BYTES])
{
	unsigned bits = 1u << (type->info >> 1);

	if (type->kind != UBSAN_INTEGER)
		snprintf(text, UBSAN_VALUE_BYTES, "%#lx", value);
	else if (bits > 64)
		snprintf(text, UBSAN_VALUE_BYTES, "0x%016lx%016lx", ((const uint64_t *)value)[1],
		    ((const uint64_t *)value)[0]);
	else if ((type->info & 1) != 0)
		snprintf(text, UBSAN_VALUE_BYTES, "%ld",
		    (int64_t)((uint64_t)value << (64 - bits)) >> (64 - bits));
	else
		snprintf(text, UBSAN_VALUE_BYTES, "%lu", value << (64 - bits) >> (64 - bits));
	return text;
}

static bool
ubsan_negative(const struct ubsan_type *type, uintptr_t value)
{
	unsigned bits = 1u << (type->info >> 1);

	return (type->info & 1) != 0 && bits <= 64 && (value >> (bits - 1) & 1) != 0;
}

static _Noreturn void
ubsan_overflow(const struct ubsan_data *d, uintptr_t left, const char *operation, uintptr_t right)
{
	char a[UBSAN_VALUE_BYTES], b[UBSAN_VALUE_BYTES];

	UBSAN_PANIC(&d->place, "overflow: %s %s %s is no value of %s",
	    ubsan_value(d->type, left, a), operation, ubsan_value(d->type, right, b),
	    d->type->name);
}

UBSAN_HANDLER(add_overflow_abort, const struct ubsan_data *d, uintptr_t left, uintptr_t right)
{
	ubsan_overflow(d, left, "+", right);
}

UBSAN_HANDLER(sub_overflow_abort, const struct ubsan_data *d, uintptr_t left, uintptr_t right)
{
	ubsan_overflow(d, left, "-", right);
}

UBSAN_HANDLER(mul_overflow_abort, const struct ubsan_data *d, uintptr_t left, uintptr_t right)
{
	ubsan_overflow(d, left, "*", right);
}

UBSAN_HANDLER(negate_overflow_abort, const struct ubsan_data *d, uintptr_t value)
{
	char text[UBSAN_VALUE_BYTES];

	UBSAN_PANIC(&d->place, "overflow: -(%s) is no value of %s",
	    ubsan_value(d->type, value, text), d->type->name);
}

UBSAN_HANDLER(divrem_overflow_abort, const struct ubsan_data *d, uintptr_t left, uintptr_t right)
{
	char text[UBSAN_VALUE_BYTES];

	if (right != 0)
		ubsan_overflow(d, left, "/", right);
	UBSAN_PANIC(&d->place, "division of %s by zero", ubsan_value(d->type, left, text));
}

UBSAN_HANDLER(
    shift_out_of_bounds_abort, const struct ubsan_data *d, uintptr_t value, uintptr_t count)
{
	char a[UBSAN_VALUE_BYTES], b[UBSAN_VALUE_BYTES];
	const char *n = ubsan_value(d->second, count, b);
	unsigned bits = 1u << (d->type->info >> 1);

	if (ubsan_negative(d->second, count) || count >= bits)
		UBSAN_PANIC(
		    &d->place, "shift of %s, which has %u bits, by %s", d->type->name, bits, n);
	UBSAN_PANIC(&d->place, "shift of %s by %s is no value of %s",
	    ubsan_value(d->type, value, a), n, d->type->name);
}

UBSAN_HANDLER(out_of_bounds_abort, const struct ubsan_data *d, uintptr_t index)
{
	char text[UBSAN_VALUE_BYTES];

	UBSAN_PANIC(&d->place, "index %s is outside of %s", ubsan_value(d->second, index, text),
	    d->type->name);
}

UBSAN_HANDLER(builtin_unreachable, const struct ubsan_place *place)
{
	UBSAN_PANIC(place, "%s", "reached what was said to be unreachable");
}

UBSAN_HANDLER(load_invalid_value_abort, const struct ubsan_data *d, uintptr_t value)
{
	char text[UBSAN_VALUE_BYTES];

	UBSAN_PANIC(&d->place, "%s was loaded, which is no value of %s",
	    ubsan_value(d->type, value, text), d->type->name);
}

UBSAN_HANDLER(type_mismatch_v1_abort, const struct ubsan_mismatch *d, uintptr_t address)
{
	static const char *const kinds[] = { "load", "store", "reference", "member access" };
	const char *access = d->access < sizeof(kinds) / sizeof(kinds[0]) ? kinds[d->access]
									  : "access";
	uintptr_t align = (uintptr_t)1 << d->log_align;

	if (address == 0)
		UBSAN_PANIC(&d->place, "%s of %s by a null pointer", access, d->type->name);
	if ((address & (align - 1)) != 0)
		UBSAN_PANIC(&d->place, "%s of %s at %#lx, which is not aligned to %lu", access,
		    d->type->name, address, align);
	UBSAN_PANIC(&d->place, "%s of %s at %#lx, where the object has no room for it", access,
	    d->type->name, address);
}

UBSAN_HANDLER(
    pointer_overflow_abort, const struct ubsan_place *place, uintptr_t base, uintptr_t result)
{
	UBSAN_PANIC(place, "pointer arithmetic wraps around: from %#lx to %#lx", base, result);
}

UBSAN_HANDLER(invalid_builtin_abort, const struct ubsan_builtin *d)
{
	UBSAN_PANIC(&d->place, "zero given to __builtin_%s()", d->kind == 0 ? "ctz" : "clz");
}

UBSAN_HANDLER(nonnull_arg_abort, const struct ubsan_nonnull *d)
{
	UBSAN_PANIC(&d->place, "null pointer as argument %d, which must not be one", d->argument);
}

UBSAN_HANDLER(
    nonnull_return_v1_abort, const struct ubsan_place *attribute, const struct ubsan_place *place)
{
	(void)attribute; /* where it is declared; the return is what is wrong */
	UBSAN_PANIC(place, "%s", "null pointer returned by a function that must not return one");
}
