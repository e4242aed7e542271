/*
 * Undefined behaviour, a case for each kind that kernel/ubsan.c reports: in the build of `make
 * ubsan` only, for without its checks these go unnoticed, or worse.
 */
#include <limits.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "kernel/printf.h"
#include "kernel/string.h"
#include "tests/kernel/test.h"

/* Values that the compiler must not see through. */
static _Atomic uintptr_t misuse_zero;

static uintptr_t
misuse_hidden(uintptr_t value)
{
	return value + atomic_load_explicit(&misuse_zero, memory_order_relaxed);
}

static int
misuse_hidden_int(int value)
{
	return (int)misuse_hidden((uintptr_t)value);
}

TEST_MISUSE(ubsan_add)
{
	printf("%d\n", misuse_hidden_int(INT_MAX) + misuse_hidden_int(1));
}

TEST_MISUSE(ubsan_subtract)
{
	printf("%d\n", misuse_hidden_int(INT_MIN) - misuse_hidden_int(2));
}

TEST_MISUSE(ubsan_multiply)
{
	printf("%ld\n", (int64_t)misuse_hidden(INT64_MAX) * (int64_t)misuse_hidden(3));
}

TEST_MISUSE(ubsan_negate)
{
	printf("%d\n", -misuse_hidden_int(INT_MIN));
}

TEST_MISUSE(ubsan_divide_by_zero)
{
	printf("%d\n", misuse_hidden_int(7) / misuse_hidden_int(0));
}

TEST_MISUSE(ubsan_divide_overflow)
{
	printf("%d\n", misuse_hidden_int(INT_MIN) / misuse_hidden_int(-1));
}

TEST_MISUSE(ubsan_shift_too_far)
{
	printf("%u\n", 1u << misuse_hidden_int(32));
}

TEST_MISUSE(ubsan_shift_backwards)
{
	printf("%lu\n", misuse_hidden(1) >> misuse_hidden_int(-1));
}

TEST_MISUSE(ubsan_shift_overflow)
{
	printf("%d\n", misuse_hidden_int(3) << misuse_hidden_int(31));
}

TEST_MISUSE(ubsan_index)
{
	static const unsigned table[4] = { 1, 2, 3, 4 };

	printf("%u\n", table[misuse_hidden_int(4)]);
}

TEST_MISUSE(ubsan_negative_index)
{
	static const unsigned table[4] = { 1, 2, 3, 4 };

	printf("%u\n", table[misuse_hidden_int(-1)]);
}

TEST_MISUSE(ubsan_unreachable)
{
	if (misuse_hidden(0) == 0)
		__builtin_unreachable();
	printf("reached\n");
}

TEST_MISUSE(ubsan_bool)
{
	uint8_t two = (uint8_t)misuse_hidden(2);
	bool is;

	memcpy(&is, &two, sizeof(is));
	printf("%d\n", is);
}

TEST_MISUSE(ubsan_null_load)
{
	printf("%u\n", *(const unsigned *)misuse_hidden(0));
}

TEST_MISUSE(ubsan_null_member)
{
	printf("%p\n", (const void *)((const struct test_case *)misuse_hidden(0))->name);
}

TEST_MISUSE(ubsan_misaligned)
{
	static uint64_t words[2];

	*(uint64_t *)(misuse_hidden((uintptr_t)words) + 4) = 1;
}

/* Room for half of what is loaded, and the compiler knows it. */
TEST_MISUSE(ubsan_object_too_small)
{
	static char object[12] __attribute__((aligned(8)));

	printf("%lu\n", *(const uint64_t *)(const void *)(object + misuse_hidden(8)));
}

TEST_MISUSE(ubsan_pointer_wraps)
{
	const char *p = (const char *)misuse_hidden(UINTPTR_MAX - 15);

	printf("%p\n", (const void *)(p + misuse_hidden(32)));
}

TEST_MISUSE(ubsan_count_of_zero)
{
	printf("%d\n", __builtin_clz((unsigned)misuse_hidden(0)));
}

static __attribute__((noinline, nonnull(2))) void
misuse_wants_pointer(unsigned n, const void *p)
{
	printf("%u %p\n", n, p);
}

TEST_MISUSE(ubsan_null_argument)
{
	misuse_wants_pointer(1, (const void *)misuse_hidden(0));
}

static __attribute__((noinline, returns_nonnull)) const void *
misuse_returns_pointer(void)
{
	return (const void *)misuse_hidden(0);
}

TEST_MISUSE(ubsan_null_return)
{
	printf("%p\n", misuse_returns_pointer());
}
