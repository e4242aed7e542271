/*
 * Traps: interrupts and NMIs arrive and leave everything as it was; accesses that may fault are
 * survived; memory is mapped as the image says.
 */
#include <stdatomic.h>

#include "boot/boot.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/trap.h"
#include "tests/kernel/test.h"

/* No handler is ever established for it. */
#define UNUSED_VECTOR 0x81u
#define NMI_ROUNDS 100u

TEST_CASE(trap, unclaimed_vector_is_counted_and_survived)
{
	uint64_t before = intr_unclaimed();
	uint64_t spins = 0;

	machine_send_ipi(curcpu(), UNUSED_VECTOR);
	while (intr_unclaimed() == before && spins++ < 1000000000)
		machine_pause();
	T_ASSERT(intr_unclaimed() == before + 1);
}

static _Atomic uint64_t trap_seen;

static void
trap_note_context(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	if (cpu_intr_p() && !machine_intr_enabled())
		atomic_fetch_add_explicit(&trap_seen, 1, memory_order_release);
}

TEST_CASE(trap, handler_runs_in_interrupt_context_on_each_cpu)
{
	struct cpu_info *ci;
	uint64_t sent = 0;

	atomic_store_explicit(&trap_seen, 0, memory_order_relaxed);
	CPU_INFO_FOREACH(ci) {
		machine_send_ipi(ci, test_vector(trap_note_context));
		T_ASSERT(test_wait_at_least(&trap_seen, ++sent));
	}
	T_ASSERT(!cpu_intr_p());
	T_ASSERT(machine_intr_enabled());
}

/* A computation whose state fills the registers, to be interrupted as often as possible. */
static uint64_t
trap_churn(uint64_t seed, unsigned rounds)
{
	uint64_t a = seed, b = seed * 3, c = seed * 5, d = seed * 7, e = seed * 11, f = seed * 13,
		 g = seed * 17, h = seed * 19;

	for (unsigned i = 0; i < rounds; i++) {
		a += b ^ i;
		b = (b << 7 | b >> 57) + c;
		c ^= d + a;
		d = (d << 13 | d >> 51) ^ e;
		e += f;
		f ^= g + (g >> 9);
		g += h ^ a;
		h = (h << 3 | h >> 61) + b;
	}
	return a ^ b ^ c ^ d ^ e ^ f ^ g ^ h;
}

TEST_CASE(trap, nmis_reach_every_cpu_and_disturb_nothing)
{
	const uint64_t expected = trap_churn(12345, 20000);
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		uint64_t before = atomic_load_explicit(&ci->ci_md->nmis, memory_order_relaxed);

		for (unsigned i = 0; i < NMI_ROUNDS; i++) {
			T_ASSERT(machine_send_nmi(ci));
			T_ASSERT_EQ(trap_churn(12345, 20000), expected);
		}
		T_ASSERT(test_wait_at_least(&ci->ci_md->nmis, before + 1));
		T_ASSERT(!cpu_nmi_p());
	}
}

TEST_CASE(trap, faulting_accesses_answer_false)
{
	uint64_t value = 1;

	T_ASSERT(!trap_load((const void *)8, &value));                  /* page 0: no page */
	T_ASSERT(!trap_load((const void *)0x8000000000000000, &value)); /* not canonical: #GP */
	T_ASSERT_EQ(value, 1);
	T_ASSERT(trap_load(&(uint64_t){ 42 }, &value));
	T_ASSERT_EQ(value, 42);
}

TEST_CASE(trap, backtrace_names_its_callers)
{
	uintptr_t pcs[8], offset;
	unsigned n = machine_backtrace(NULL, pcs, 8);
	const char *name;
	bool found = false;

	for (unsigned i = 0; i < n; i++) {
		name = ksyms_lookup(pcs[i] - 1, &offset);
		found |= name != NULL && strcmp(name, "test_trap_backtrace_names_its_callers") == 0;
	}
	T_ASSERT(found);
}

extern const uint8_t text_start[], text_end[], rodata_end[], data_start[], image_end[],
    boot_stack_guard[];

static bool
trap_is_guard(uintptr_t page)
{
	for (unsigned i = 0; i <= CPU_IST_COUNT; i++)
		if (page == cpu_boot_ist_guard(i))
			return true;
	return page == (uintptr_t)boot_stack_guard;
}

TEST_CASE(trap, image_is_mapped_by_section)
{
	for (uintptr_t a = (uintptr_t)text_start; a < (uintptr_t)image_end; a += PAGE_BYTES) {
		struct paging_access p = paging_access(a);

		if (trap_is_guard(a)) {
			T_ASSERT(!p.present);
			continue;
		}
		T_ASSERT(p.present);
		T_ASSERT_EQ(p.writable, a >= (uintptr_t)data_start);
		T_ASSERT_EQ(p.executable, a < (uintptr_t)text_end || !cpu_has_nx());
	}
	T_ASSERT(!paging_access(0).present);
}

TEST_CASE(trap, stacks_have_guard_pages)
{
	uintptr_t stack = (uintptr_t)curlwp->l_stack;
	struct paging_access inside = paging_access(stack);

	T_ASSERT(inside.present && inside.writable);
	T_ASSERT(!inside.executable || !cpu_has_nx());
	T_ASSERT(!paging_access(stack - PAGE_BYTES).present);
	T_ASSERT(!paging_access(stack + KSTACK_BYTES).present);
}
