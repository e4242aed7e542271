/*
 * What the functions of torture post: records of the CPU, which its threads take back.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/torture_ledger.h"
#include "xcall/xc_internal.h"

/* Of a CPU: the bits of a word. */
#define CHILD_RECORDS 32u
/* In their tags; those of actors are without it. */
#define CHILD_TAG (UINT64_C(1) << 63)

struct child_cpu {
	_Atomic uint32_t taken, posted;
	struct torture_call *child;
};

static struct child_cpu *child_cpus;

static struct child_cpu *
child_self(void)
{
	return &child_cpus[curcpu()->ci_index];
}

void
torture_children_begin(void)
{
	child_cpus = crew_alloc(ncpu, sizeof(*child_cpus));
	for (unsigned i = 0; i < ncpu; i++)
		child_cpus[i].child = crew_alloc(CHILD_RECORDS, sizeof(struct torture_call));
}

void
torture_children_end(void)
{
	for (unsigned i = 0; i < ncpu; i++)
		crew_free(child_cpus[i].child, CHILD_RECORDS, sizeof(struct torture_call));
	crew_free(child_cpus, ncpu, sizeof(*child_cpus));
}

/* A record of this CPU's, or NULL.  Any context but NMI. */
static struct torture_call *
child_take(struct child_cpu *cpu, unsigned *number)
{
	uint32_t taken = atomic_load_explicit(&cpu->taken, memory_order_relaxed);

	do {
		if (taken == UINT32_MAX)
			return NULL;
		*number = (unsigned)__builtin_ctz(~taken);
	} while (!atomic_compare_exchange_weak_explicit(&cpu->taken, &taken,
	    taken | UINT32_C(1) << *number, memory_order_acquire, memory_order_relaxed));
	return &cpu->child[*number];
}

static void
child_free(struct child_cpu *cpu, unsigned number)
{
	/* Release: pairs with the acquire in child_take(). */
	atomic_fetch_and_explicit(&cpu->taken, ~(UINT32_C(1) << number), memory_order_release);
}

/* The posted ones that it takes over are its own. */
static void
child_reap(struct child_cpu *cpu, bool finish)
{
	/* Acquire: pairs with the release in torture_nest(). */
	uint32_t posted = atomic_exchange_explicit(&cpu->posted, 0, memory_order_acquire);
	uint32_t left = 0;

	for (; posted != 0; posted &= posted - 1) {
		unsigned number = (unsigned)__builtin_ctz(posted);
		struct torture_call *call = &cpu->child[number];

		if (!finish && !torture_over(call)) {
			left |= UINT32_C(1) << number;
			continue;
		}
		torture_finish(call);
		child_free(cpu, number);
	}
	atomic_fetch_or_explicit(&cpu->posted, left, memory_order_release);
}

void
torture_reap(void)
{
	child_reap(child_self(), false);
}

void
torture_reap_all(void)
{
	for (unsigned i = 0; i < ncpu; i++)
		child_reap(&child_cpus[i], true);
}

/* A function that waits at the bound of the depth serves nobody, and could wait for itself. */
static bool
child_may_wait(enum xc_level level)
{
	struct xc_cpu *xc = xc_cpu_lookup(curcpu()->ci_index);

	return xc_run_depth(&xc->x_stack[level]) < XC_DEPTH_MAX / 2;
}

/* Posts on, and waits for that where it may. */
void
torture_nest(const struct torture_call *call, struct torture_dice *dice)
{
	/* The call that runs here may hold the last room of its sender's, which is this CPU. */
	static const unsigned flags[] = { 0, 0, XC_HIGHPRI, XC_HARD, XC_HARD, XC_NMI };
	unsigned at = torture_below(dice, 6), number;
	enum torture_way way = torture_percent(dice, 20) ? TORTURE_MULTICAST : TORTURE_UNICAST;
	struct child_cpu *cpu = child_self();
	struct torture_call *child = child_take(cpu, &number);
	uint64_t set = UINT64_C(1) << torture_below(dice, ncpu);
	bool wait = torture_percent(dice, 60);

	if (child == NULL)
		return;
	set |= way == TORTURE_MULTICAST ? UINT64_C(1) << torture_below(dice, ncpu) : 0;
	child->nests = false;
	if (!torture_post(child, CHILD_TAG | torture_hash(dice->state) >> 1, way,
		flags[at] | XC_TRY, set, dice)) {
		child_free(cpu, number);
		return;
	}
	torture_count(TORTURE_NESTED, 1);
	if (wait &&
	    ((call->level == XC_LEVEL_LOW && child_may_wait(XC_LEVEL_LOW)) ||
		(child->level == XC_LEVEL_HARD && child_may_wait(XC_LEVEL_HARD)))) {
		torture_finish(child);
		child_free(cpu, number);
		return;
	}
	/* Release: pairs with the acquire in child_reap(). */
	atomic_fetch_or_explicit(&cpu->posted, UINT32_C(1) << number, memory_order_release);
}
