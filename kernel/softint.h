/*
 * softint(9): soft interrupts, work that an interrupt leaves for later: with interrupts on, before
 * any thread goes on.  kernel/softint.9 is the manual.
 */
#ifndef KERNEL_SOFTINT_H
#define KERNEL_SOFTINT_H

#include <stdint.h>

/* Levels, lowest first: a higher one preempts a lower one, equals wait for each other. */
#define SOFTINT_CLOCK 0x00u
#define SOFTINT_BIO 0x01u
#define SOFTINT_NET 0x02u
#define SOFTINT_SERIAL 0x03u
#define SOFTINT_COUNT 4
#define SOFTINT_LVLMASK 0xffu
/* Accepted for its callers' sake: no handler runs under a lock of the kernel's. */
#define SOFTINT_MPSAFE 0x100u
/* How many may exist: the bits of a word. */
#define SOFTINT_HANDLES 64

/*
 * Makes a soft interrupt of that level that runs func(arg), or NULL when SOFTINT_HANDLES exist.
 * Any context but NMI.
 *	- func runs on the CPU where it was scheduled, on the stack of what it interrupts, with
 *	  interrupts on.  It must not sleep, and must leave interrupts, preemption and spinlocks as
 *	  it found them: that is checked.
 *	- On many CPUs at once, on each in one place only.
 */
void *softint_establish(unsigned flags, void (*func)(void *), void *arg)
    __attribute__((warn_unused_result));
/*
 * Takes it away.  When this returns no CPU runs func or will; a run that was scheduled before may
 * be left out.  Nobody may schedule it any more.  Thread context, as for sleeping.
 */
void softint_disestablish(void *cookie);
/*
 * Has it run once on this CPU, soon: scheduled again before it began, it still runs once.  Any
 * context but NMI.
 *	- In an interrupt: on the way out of the outermost one.
 *	- In a thread, or in a soft interrupt of lower level, with interrupts on: before this
 *	  returns.
 *	- There with interrupts off: when they come on.
 *	- In a soft interrupt of the same level or a higher one: when that has returned.
 * The caller's stores are visible to func.
 */
void softint_schedule(void *cookie);

/*
 * Of one CPU, by number of the soft interrupt.  The CPU itself writes, with interrupts off; the two
 * sets are read by all.
 */
struct softint_cpu {
	_Atomic uint64_t sic_pending; /* scheduled, not begun */
	_Atomic uint64_t sic_running; /* begun, not returned */
	unsigned sic_level;           /* the level that runs, plus 1; 0: none */
	unsigned sic_levels;          /* those that have pending ones, a bit each */
	/* The pending ones of each level, in order: number plus 1; 0: none. */
	uint8_t sic_first[SOFTINT_COUNT], sic_last[SOFTINT_COUNT], sic_next[SOFTINT_HANDLES];
};

/* For intr.c: runs what is scheduled here above the level that runs now.  Interrupts off. */
void softint_run(void);
/* For intr.c: sees to it that softint_run() is called when interrupts come on.  Interrupts off, not
 * in one. */
void softint_kick(void);

#endif
