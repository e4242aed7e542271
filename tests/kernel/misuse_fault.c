/*
 * Functions that fault, never return, overflow their stack, come back on another one, at each
 * level; a local APIC that takes nothing; a CPU that is gone.  Boots that must end in a panic that
 * names CPU and call (tests/console/misuse.toml); leaks are in misuse_xcall.c.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/param.h"
#include "kernel/string.h"
#include "tests/kernel/fault.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/recurse.h"
#include "tests/kernel/test.h"
#include "xcall/xc_status.h"
#include "xcall/xcall.h"

/* After so long a wait panics. */
#define MISUSE_PANIC_NS 300000000ull

static struct cpu_info *
misuse_last_cpu(void)
{
	return cpu_lookup(ncpu - 1);
}

static void
misuse_call(unsigned flags, xcfunc_t func)
{
	(void)xc_wait(xc_unicast(flags, func, NULL, NULL, misuse_last_cpu()));
}

/* --- faults ----------------------------------------------------------------------------------- */

static _Atomic uintptr_t misuse_zero; /* which the compiler must not see through */

static void
misuse_read(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	(void)*(const _Atomic uint32_t *)(atomic_load_explicit(&misuse_zero, memory_order_relaxed) +
	    16);
}

TEST_MISUSE(fault_in_low)
{
	misuse_call(0, misuse_read);
}

TEST_MISUSE(fault_in_soft)
{
	misuse_call(XC_HIGHPRI, misuse_read);
}

TEST_MISUSE(fault_in_hard)
{
	misuse_call(XC_HARD, misuse_read);
}

TEST_MISUSE(fault_in_nmi)
{
	misuse_call(XC_NMI, misuse_read);
}

/* --- stacks ----------------------------------------------------------------------------------- */

static void
misuse_overflow(void *arg1, void *arg2 __attribute__((unused)))
{
	if (misuse_recurse((uintptr_t)arg1) == 1)
		atomic_store_explicit(&misuse_zero, 0, memory_order_relaxed);
}

TEST_MISUSE(overflow_in_low)
{
	misuse_call(0, misuse_overflow);
}

TEST_MISUSE(overflow_in_soft)
{
	misuse_call(XC_HIGHPRI, misuse_overflow);
}

TEST_MISUSE(overflow_in_hard)
{
	misuse_call(XC_HARD, misuse_overflow);
}

TEST_MISUSE(overflow_in_nmi)
{
	misuse_call(XC_NMI, misuse_overflow);
}

/*
 * A function that comes back on another stack: a second context copies the stack as it stands, and
 * lets the first one go on on the copy.  The copy is as far below its end as the original, and
 * addresses in it lead back to the original, so that the caller is none the wiser.
 */
#define MISUSE_COPY_BYTES (2 * KSTACK_BYTES)

static uint8_t misuse_copy[MISUSE_COPY_BYTES] __attribute__((aligned(16)));
static uint8_t misuse_helper[KSTACK_BYTES] __attribute__((aligned(16)));
static uintptr_t misuse_original, misuse_end, misuse_unused;

static void
misuse_copy_stack(void *arg __attribute__((unused)))
{
	size_t bytes = misuse_end - misuse_original;
	uint8_t *copy = misuse_copy + MISUSE_COPY_BYTES - 4096 - (bytes + 15) / 16 * 16;

	memcpy(copy, (const void *)misuse_original, bytes);
	machine_switch(&misuse_unused, (uintptr_t)copy);
}

static void
misuse_return_elsewhere(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	misuse_end = (uintptr_t)curlwp->l_stack + KSTACK_BYTES;
	machine_switch(&misuse_original,
	    machine_thread_prepare(
		(uintptr_t)misuse_helper + sizeof(misuse_helper), misuse_copy_stack, NULL));
}

TEST_MISUSE(other_stack_in_low)
{
	misuse_call(0, misuse_return_elsewhere);
}

/* On top of a thread whose stack has a known end; the idle thread's has not. */
TEST_MISUSE(other_stack_in_soft)
{
	static struct counter counter;

	counter_begin(&counter, misuse_last_cpu());
	misuse_call(XC_HIGHPRI, misuse_return_elsewhere);
}

TEST_MISUSE(other_stack_in_hard)
{
	static struct counter counter;

	counter_begin(&counter, misuse_last_cpu());
	misuse_call(XC_HARD, misuse_return_elsewhere);
}

/* --- functions that never return -------------------------------------------------------------- */

static void
misuse_loop(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	for (;;)
		machine_pause();
}

static void
misuse_nothing(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
}

static void
misuse_stall(unsigned flags, xcfunc_t func)
{
	xc_stall_config(MISUSE_PANIC_NS / 2, MISUSE_PANIC_NS, true, true);
	misuse_call(flags, func);
}

TEST_MISUSE(loop_in_low)
{
	misuse_stall(0, misuse_loop);
}

TEST_MISUSE(loop_in_soft)
{
	misuse_stall(XC_HIGHPRI, misuse_loop);
}

TEST_MISUSE(loop_in_hard)
{
	misuse_stall(XC_HARD, misuse_loop);
}

TEST_MISUSE(loop_in_nmi)
{
	misuse_stall(XC_NMI, misuse_loop);
}

/* Not the call's own: one that came before. */
TEST_MISUSE(loop_before_a_call)
{
	(void)xc_unicast(XC_HARD, misuse_loop, NULL, NULL, misuse_last_cpu());
	misuse_stall(0, misuse_nothing);
}

/* --- the machine ------------------------------------------------------------------------------ */

static void
misuse_rules(const char *rules)
{
	const char *wrong = fault_begin(rules);

	T_ASSERT(wrong == NULL);
}

/* The local APIC of CPU 0 takes no command any more. */
TEST_MISUSE(stuck_icr)
{
	misuse_rules("stuck:call:by=0");
	misuse_call(XC_HARD, misuse_nothing);
}

/* Of an NMI that nobody took the waiter knows nothing: the report tries again, and says so. */
TEST_MISUSE(stuck_icr_nmi)
{
	misuse_rules("stuck:by=0");
	misuse_stall(XC_NMI, misuse_nothing);
}

/* All calls that CPU 0 sends are lost, and so is the second announcement. */
TEST_MISUSE(lost_for_good)
{
	misuse_rules("drop:call:by=0");
	misuse_stall(XC_HARD, misuse_nothing);
}
