/*
 * Benchmarks that run inside the booted kernel: `bench=all`, or `bench=row,row`, on the command
 * line.  Each row prints one line, "BENCH {...}", which tests/bench/ reads.
 *
 * A sample is the difference of two readings of the cycle counter around one operation, which the
 * compiler lays out in place: no call, no loop.  What the readings cost is the row "empty"; it is
 * subtracted nowhere.
 */
#ifndef TESTS_BENCH_KERNEL_BENCH_H
#define TESTS_BENCH_KERNEL_BENCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/cpu.h"
#include "tests/bench/kernel/bench_mark.h"

/* What the CPUs other than the measuring one, CPU 0, do: nothing (halted by the idle thread), or
 * spin in a thread: CPU 1 alone, all of them. */
enum bench_load { BENCH_IDLE, BENCH_BUSY, BENCH_ALL_BUSY };

struct bench_run {
	unsigned warm, samples; /* to take; what is before them does not count */
	uint64_t *sample;       /* what they took, in cycles */
	uint64_t calls;         /* of the row as a whole, if it counts any */
	uint64_t cycles;        /* of these together */
	uint64_t interrupts;    /* taken for them, where the row itself counts */
};

struct bench_row {
	const char *name;
	enum bench_load load;
	unsigned cpus;  /* at least; without them the row is left out */
	unsigned share; /* of the samples: one in so many */
	void (*run)(struct bench_run *);
};

/* The files' tables; a row without a name ends each. */
extern const struct bench_row bench_floor_rows[], bench_hard_rows[], bench_many_rows[],
    bench_thread_rows[], bench_crowd_rows[];

/* What bring-up measured: until all CPUs were online, from before the first INIT; what
 * xc_init_cpu() took of all CPUs, stacks of xcall/N included. */
struct bench_costs {
	uint64_t start_ns;
	size_t xcall_pages;
};

/* Runs the rows of a comma-separated list, or "all"; false when none of them exists. */
bool bench_run(const char *list, unsigned samples, const struct bench_costs *);

/* The CPU that is called. */
#define bench_target() cpu_lookup(1)
/* Lets the others come to rest between two samples. */
void bench_gap(void);
/* Waits for it. */
void bench_await(_Atomic uint64_t *counter, uint64_t value);
/* Called function. */
void bench_nop(void *, void *);

static inline void
bench_nothing(void)
{
}

/* Takes the samples of a row; before() and after() are not part of them.  Thread on CPU 0. */
static inline __attribute__((always_inline)) void
bench_sample(struct bench_run *run, void (*before)(void), void (*op)(void), void (*after)(void))
{
	for (unsigned i = 0; i < run->warm + run->samples; i++) {
		uint64_t from, to;

		bench_gap();
		before();
		bench_mark_begin();
		from = machine_cycles();
		op();
		to = machine_cycles();
		bench_mark_end();
		after();
		if (i >= run->warm)
			run->sample[i - run->warm] = to - from;
	}
}

/* The run function of a row that measures op() alone. */
#define BENCH_OP(op_) \
	static void op_##_run(struct bench_run *run) \
	{ \
		bench_sample(run, bench_nothing, op_, bench_nothing); \
	}

#endif
