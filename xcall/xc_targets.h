/*
 * The CPUs that xcall/ knows, and which of them are targets (xc_cpu.c).
 */
#ifndef XCALL_XC_TARGETS_H
#define XCALL_XC_TARGETS_H

#include <stdatomic.h>

#include "xcall/xc_port.h"

struct xc_cpu;

extern _Atomic(struct xc_cpu *) xc_cpu_table[MAXCPUS];

/* The state of a CPU that had its xc_init_cpu(), or NULL. */
static inline struct xc_cpu *
xc_cpu_lookup(unsigned index)
{
	/* Acquire: pairs with xc_init_cpu(). */
	return index < MAXCPUS ? atomic_load_explicit(&xc_cpu_table[index], memory_order_acquire)
			       : NULL;
}

/* That of the calling CPU. */
static inline struct xc_cpu *
xc_self(void)
{
	return atomic_load_explicit(&xc_cpu_table[curcpu()->ci_index], memory_order_acquire);
}

/* Which CPUs calls can be posted to, and how many (xc_cpu.c). */
extern struct xc_targets {
	_Atomic uint64_t t_set[CPUSET_WORDS]; /* a */
	_Atomic unsigned t_count;             /* a */
	_Atomic uint64_t t_version;           /* a: grows with each change, which comes before */
} xc_targets;
/* Whether calls can be posted to it.  Interrupts off until the post is over. */
static inline bool
xc_is_target(unsigned cpu)
{
	/* Acquire: pairs with xc_cpu_enter(). */
	return (atomic_load_explicit(&xc_targets.t_set[cpu / 64], memory_order_acquire) >> cpu % 64 &
		   1) != 0;
}

/* The state of such a CPU, or NULL. */
static inline struct xc_cpu *
xc_post_target(const struct cpu_info *ci)
{
	return xc_is_target(ci->ci_index) ? xc_cpu_lookup(ci->ci_index) : NULL;
}

/* Words of a set that may have members. */
static inline unsigned
xc_cpu_words(void)
{
	return (ncpu + 63) / 64;
}
/* The targets among those; NULL: all.  Only these words are written.  In a post. */
void xc_cpu_targets(struct cpuset *targets, const struct cpuset *among);

#endif
