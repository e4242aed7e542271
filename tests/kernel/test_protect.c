/*
 * What protects the kernel from itself: control bits, the stack canary, the page tables and the
 * audit that looks at them.
 */
#include <stdatomic.h>

#include "kernel/clients/text.h"
#include "kernel/clients/tlb.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/string.h"
#include "kernel/x86/audit.h"
#include "kernel/x86/canary.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/tables.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

#define PROTECT_AUDITS 8u
#define PROTECT_CR4 ((uint64_t)(CPU_CR4_SMEP | CPU_CR4_SMAP | CPU_CR4_UMIP))

static void
protect_read(void *arg1, void *arg2)
{
	cpu_read_control(arg1);
	*(uint64_t *)arg2 = cpu_protections();
}

/* Read from the registers of each CPU now, not from what bring-up noted. */
TEST_CASE(protect, each_cpu_has_on_what_its_cpuid_offers)
{
	struct cpu_control control;
	struct cpu_info *ci;
	uint64_t offered;

	CPU_INFO_FOREACH(ci) {
		T_ASSERT_EQ(xc_wait(xc_unicast(XC_HARD, protect_read, &control, &offered, ci)), 0);
		T_ASSERT_EQ(control.cr4 & PROTECT_CR4, offered);
		T_ASSERT((control.cr0 & CPU_CR0_WP) != 0);
		T_ASSERT_EQ((control.efer & CPU_EFER_NXE) != 0, cpu_has_nx());
	}
}

TEST_CASE(protect, the_canary_is_random_and_constant)
{
	struct paging_access access = paging_access((uintptr_t)&__stack_chk_guard);

	T_ASSERT(__stack_chk_guard >> 8 != 0);
	T_ASSERT_EQ(__stack_chk_guard & 0xff, 0); /* a string's end */
	T_ASSERT(access.present && !access.writable);
}

TEST_CASE(protect, the_page_tables_pass_the_audit)
{
	extern const uint8_t text_start[], text_end[];
	uint64_t text_pages = (uint64_t)(text_end - text_start) / PAGE_BYTES;
	struct audit a;

	T_ASSERT(audit_run(&a));
	T_ASSERT(a.writable < a.pages && a.writable > kmem_pages_total());
	if (cpu_has_nx()) /* and the trampoline */
		T_ASSERT_EQ(a.executable, text_pages + (ncpu > 1));
}

/* Whether what the audit says of an address begins so. */
static bool
protect_found(uintptr_t address, const char *what)
{
	struct audit a;

	return !audit_run(&a) && a.address == address && strncmp(a.wrong, what, strlen(what)) == 0;
}

static bool
protect_passes(void)
{
	struct audit a;

	return audit_run(&a);
}

/* Plants one page with those bits, and takes it out again. */
static bool
protect_planted(const void *page, uint64_t bits, const char *what)
{
	uintptr_t window = tables_map(page, bits);
	bool found = protect_found(window, what);

	tlb_remap(window, NULL);
	return found;
}

TEST_CASE(protect, the_audit_finds_a_page_that_is_writable_and_executable)
{
	void *page = kmem_page_alloc(1);
	uint64_t nx = cpu_has_nx() ? PAGING_NX : 0;

	T_ASSERT(page != NULL);
	if (nx != 0) {
		T_ASSERT(protect_planted(
		    page, PAGING_PRESENT | PAGING_WRITE, "writable and executable"));
		T_ASSERT(protect_planted(page, PAGING_PRESENT, "executable and no text"));
	}
	T_ASSERT(!protect_planted(page, PAGING_PRESENT | PAGING_WRITE | nx, ""));
	kmem_page_free(page, 1);
}

TEST_CASE(protect, the_audit_finds_text_that_is_writable_elsewhere)
{
	static const uint8_t constant[2 * PAGE_BYTES] = { 1 };
	uintptr_t inside = ((uintptr_t)constant + PAGE_BYTES) / PAGE_BYTES * PAGE_BYTES;
	uint64_t nx = cpu_has_nx() ? PAGING_NX : 0;
	const char *what = "a writable mapping of text or constants";

	T_ASSERT(protect_planted((void *)inside, PAGING_PRESENT | PAGING_WRITE | nx, what));
	T_ASSERT(!protect_planted((void *)inside, PAGING_PRESENT | nx, what));
}

TEST_CASE(protect, the_audit_finds_a_page_of_user_mode)
{
	uint64_t bits = PAGING_PRESENT | PAGING_USER | (cpu_has_nx() ? PAGING_NX : 0);
	void *page = kmem_page_alloc(1);
	uintptr_t window;

	T_ASSERT(page != NULL);
	window = tables_map(page, bits);
	T_ASSERT(window != 0);
	T_ASSERT(protect_passes()); /* the tables above keep user mode out */
	tables_open(window);
	T_ASSERT(protect_found(window, "open to user mode"));
	tlb_remap(window, NULL);
	for (unsigned level = 4; level > 1; level--)
		*tables_entry(window, level) &= ~PAGING_USER;
	kmem_page_free(page, 1);
}

/* Maps what must not be mapped, and looks. */
static bool
protect_mapped(uintptr_t hole, const void *page, const char *what)
{
	uint64_t *entry = tables_entry(hole, 1), old = *entry;
	bool found;

	*entry = (uintptr_t)page | PAGING_PRESENT | (cpu_has_nx() ? PAGING_NX : 0);
	found = protect_found(hole, what);
	*entry = old;
	tlb_shootdown(hole, 1);
	return found;
}

TEST_CASE(protect, the_audit_finds_a_guard_page_that_is_mapped)
{
	struct cpu_info *ci = cpu_lookup(ncpu - 1);
	/* Of whose stack is open: the page behind one is the page before the next. */
	const char *what = "the guard page of a stack of ";
	void *page = kmem_page_alloc(1);

	T_ASSERT(page != NULL);
	T_ASSERT(protect_mapped(0, page, "page 0 is mapped"));
	T_ASSERT(protect_mapped((uintptr_t)curlwp->l_stack - PAGE_BYTES, page, what));
	T_ASSERT(protect_mapped((uintptr_t)curlwp->l_stack + KSTACK_BYTES, page, what));
	for (unsigned i = 0; i < CPU_IST_COUNT; i++)
		T_ASSERT(protect_mapped(
		    ci->ci_md->tss.ist[i] - IST_STACK_BYTES - PAGE_BYTES, page, what));
	kmem_page_free(page, 1);
}

static _Atomic bool protect_stop;
static _Atomic uint64_t protect_patches;

/* Replaces text by itself. */
static void
protect_patch(void *arg __attribute__((unused)))
{
	uint8_t bytes[4];

	memcpy(bytes, (const void *)(uintptr_t)protect_read, sizeof(bytes));
	while (!atomic_load_explicit(&protect_stop, memory_order_relaxed)) {
		T_ASSERT_EQ(text_patch((uintptr_t)protect_read, bytes, bytes, sizeof(bytes)), 0);
		atomic_fetch_add_explicit(&protect_patches, 1, memory_order_relaxed);
		kthread_yield();
	}
}

TEST_CASE(protect, text_patches_never_open_the_text)
{
	static struct crew_job job;
	struct audit a;
	bool clean = true;

	atomic_store_explicit(&protect_stop, false, memory_order_relaxed);
	atomic_store_explicit(&protect_patches, 0, memory_order_relaxed);
	crew_start(&job, cpu_lookup(ncpu - 1), PRI_KERNEL, protect_patch, NULL);
	for (unsigned i = 0; i < PROTECT_AUDITS; i++) {
		clean &= test_wait_at_least(&protect_patches, i + 1);
		clean &= audit_run(&a);
	}
	atomic_store_explicit(&protect_stop, true, memory_order_relaxed);
	T_ASSERT(test_wait_at_least(&job.done, 1));
	crew_join(&job);
	T_ASSERT(clean);
}
