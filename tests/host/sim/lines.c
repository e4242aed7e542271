/*
 * Cache lines that move: each atomic operation of a run, against a protocol in which a line is in
 * the caches of any that read it, or in that of one that writes it.
 *
 * Counted is what a CPU has to fetch: a line that it reads and does not have, or writes and does
 * not have alone.  Plain accesses are not seen; most of them share a line with an atomic one.
 */
#include "tests/host/sim/lines.h"

#include "kernel/param.h"
#include "tests/host/sim/sim.h"

/* More than a run touches; a power of two. */
#define LINES_ROOM 8192u

struct lines_line {
	uintptr_t number; /* 0: free */
	uint32_t has;     /* CPUs */
};

static struct lines_line lines_all[LINES_ROOM];
static bool lines_on;
static struct lines_moved lines_sum;

static struct lines_line *
lines_find(uintptr_t number)
{
	for (uintptr_t at = number;; at++) {
		struct lines_line *line = &lines_all[at % LINES_ROOM];

		if (line->number == number)
			return line;
		if (line->number == 0) {
			line->number = number;
			return line;
		}
	}
}

void
lines_touch(const volatile void *object, unsigned cpu, bool write, bool xcall)
{
	struct lines_line *line;
	uint32_t bit = UINT32_C(1) << cpu;

	if (!lines_on)
		return;
	line = lines_find((uintptr_t)object / CACHE_LINE_BYTES);
	if ((line->has & bit) == 0 || (write && line->has != bit)) {
		lines_sum.xcall += xcall;
		lines_sum.kernel += !xcall;
	}
	line->has = write ? bit : line->has | bit;
}

void
lines_count(bool on)
{
	lines_on = on;
	lines_sum = (struct lines_moved){ 0, 0 };
}

struct lines_moved
lines_moved(void)
{
	return lines_sum;
}
