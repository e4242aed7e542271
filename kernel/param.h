/*
 * Every tunable number of the kernel, each with its reason.
 */
#ifndef KERNEL_PARAM_H
#define KERNEL_PARAM_H

/* The capacity of a cpuset and of the CPU table; machines of 2026 stop short of it. */
#define MAXCPUS 4096

/* x86 cache lines; also what false sharing is avoided on. */
#define CACHE_LINE_BYTES 64

#define PAGE_BYTES 4096

/* A thread's stack.  On top of each other: the thread itself, 4 KiB; xcall nested to depth 8 in it,
 * about 0.5 KiB a level; the frames of a soft interrupt of each of four levels and of five hard
 * interrupts, 2.7 KiB as measured (softint.all_levels_fit_a_stack), their functions at 1 KiB a
 * level; a hard call served in a wait to depth 8, about 0.5 KiB each; and the deepest end (trap,
 * panic, backtrace, printf), below 4 KiB: 22.7 KiB. */
#define KSTACK_BYTES 24576

/* Stacks of the three vectors with a stack of their own: NMI, double fault, machine check. */
#define IST_STACK_BYTES 8192

/* The rate every local timer has from bring-up on, until somebody reprograms it. */
#define HZ 100

/* Threads of one priority take turns of this length; measured by the clock, not in ticks, because
 * the tick is what the main job changes. */
#define SCHED_SLICE_NS 20000000ull

/* How often a thread on a CPU with nothing else to run looks for its wake-up before it leaves the
 * CPU: some microseconds, about what leaving it, an interrupt and coming back cost. */
#define SCHED_LOOKS 32

/* How long an adaptive mutex watches its running owner before it sleeps all the same.  A bound, so
 * that an owner that loops cannot burn a second CPU for ever. */
#define MUTEX_SPIN_NS 1000000ull

/* A spinlock is held for microseconds.  On an emulator with more virtual CPUs than host cores a
 * holder can lose its host time slice; whoever spins longer than this, while the lock is not passed
 * on, panics and names the holder. */
#define SPINLOCK_HANG_NS 20000000000ull

#endif
