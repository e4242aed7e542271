/*
 * CPUs, sets of them, and what a CPU does with interrupts.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_CPU_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_CPU_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define MAXCPUS 128u
#define CPU_VECTORS 8u
#define CACHE_LINE_BYTES 64

struct lwp;
struct trapframe;

struct cpu_info {
	unsigned ci_index, ci_apicid;
	struct lwp *ci_curlwp;
	unsigned ci_intr_depth, ci_spin_depth, ci_nopreempt;
	_Atomic uint64_t ci_intr_count[CPU_VECTORS];
	void *ci_xcall;

	/* The toy's own. */
	bool ci_online, ci_intr_on;
	unsigned ci_nmi_depth;
	bool ci_spin_saved;        /* interrupts were on before the first spinlock */
	const char *ci_spin_wants; /* the spinlock it spins for */
	unsigned ci_pending;       /* vectors, a bit each */
	bool ci_nmi_pending;
	unsigned ci_softints;  /* scheduled levels, a bit each */
	unsigned ci_softlevel; /* the one that runs, from 1 on */
	uint64_t ci_next_tick;
	bool ci_yield; /* a tick came: equals take turns */
};

extern unsigned ncpu;

struct cpu_info *curcpu(void);
struct cpu_info *cpu_lookup(unsigned index); /* NULL: none of that index */
bool cpu_online(const struct cpu_info *);
unsigned cpu_distance(const struct cpu_info *, const struct cpu_info *);
#define CPU_INFO_FOREACH(ci) for (unsigned ci_i_ = 0; ((ci) = cpu_lookup(ci_i_)) != NULL; ci_i_++)
#define curlwp (curcpu()->ci_curlwp)

bool cpu_nmi_p(void);
bool cpu_intr_p(void);
bool cpu_softintr_p(void);
void kpreempt_disable(void);
void kpreempt_enable(void);

bool machine_intr_disable(void); /* whether they were on */
void machine_intr_restore(bool on);
bool machine_intr_enabled(void);
void machine_pause(void);
void machine_send_ipi(struct cpu_info *, unsigned vector);
void machine_send_call(struct cpu_info *);
bool machine_send_call_others(void); /* false: one by one */
bool machine_send_nmi(struct cpu_info *);
uint64_t machine_cycles(void);
#define machine_stack_pointer() ((uintptr_t)__builtin_frame_address(0))
#define machine_cycles_early() machine_cycles()
#define machine_count(counter) atomic_fetch_add_explicit((counter), 1, memory_order_relaxed)
bool machine_hypervisor(void);
/* Return addresses, innermost first; how many. */
unsigned machine_backtrace(const struct trapframe *, uintptr_t *pc, unsigned n);

#define CPUSET_WORDS (MAXCPUS / 64)
#define CPUSET_END MAXCPUS

struct cpuset {
	uint64_t cs_word[CPUSET_WORDS];
};

void cpuset_zero(struct cpuset *);
void cpuset_add(struct cpuset *, unsigned cpu);
void cpuset_remove(struct cpuset *, unsigned cpu);
bool cpuset_has(const struct cpuset *, unsigned cpu);
bool cpuset_empty(const struct cpuset *);
unsigned cpuset_first(const struct cpuset *);
unsigned cpuset_next(const struct cpuset *, unsigned after);

/* For tests/kernel/ only. */
unsigned cpuset_count(const struct cpuset *);

#endif
