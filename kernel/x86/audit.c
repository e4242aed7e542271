/*
 * The audit of the page tables: what audit.h promises to find.
 *
 * Background.  That nothing is writable and executable is a property of all the code that ever
 * wrote an entry.  So it is not derived from that code, but read where the CPU reads it.
 *
 * Implementation.  A walk from CR3 through all present entries.  What an address may be used for is
 * what every entry on the way to it allows: writable and of user mode when all say so, executable
 * when none says no (SDM vol. 3, 4.6).  The walk takes no lock: tables are only ever added, each
 * entry is one word, and whoever changes one changes it from one allowed state to another.
 */
#include "kernel/x86/audit.h"

#include "kernel/kthread.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/smp.h"

extern const uint8_t text_start[], text_end[], rodata_end[], boot_stack_guard[];

/* One mapping: of a page, or of a large one. */
struct audit_leaf {
	uint64_t address, bytes, physical;
	bool writable, executable, user;
};

static void __attribute__((format(printf, 3, 4)))
audit_wrong(struct audit *a, uintptr_t address, const char *fmt, ...)
{
	va_list ap;

	if (a->wrong[0] != '\0')
		return;
	a->address = address;
	va_start(ap, fmt);
	vsnprintf(a->wrong, sizeof(a->wrong), fmt, ap);
	va_end(ap);
}

static bool
audit_is_text(uint64_t address)
{
	return (address >= (uintptr_t)text_start && address < (uintptr_t)text_end) ||
	    (smp_vector != 0 && address / PAGE_BYTES == smp_vector);
}

static void
audit_leaf(struct audit *a, const struct audit_leaf *leaf)
{
	bool nx = cpu_has_nx();

	a->pages += leaf->bytes / PAGE_BYTES;
	if (leaf->writable)
		a->writable += leaf->bytes / PAGE_BYTES;
	if (leaf->executable)
		a->executable += leaf->bytes / PAGE_BYTES;
	if (nx && leaf->writable && leaf->executable)
		audit_wrong(a, leaf->address, "writable and executable");
	if (nx && leaf->executable && !audit_is_text(leaf->address))
		audit_wrong(a, leaf->address, "executable and no text");
	if (leaf->user)
		audit_wrong(a, leaf->address, "open to user mode");
	if (leaf->writable && leaf->physical < (uintptr_t)rodata_end &&
	    leaf->physical + leaf->bytes > (uintptr_t)text_start)
		audit_wrong(a, leaf->address, "a writable mapping of text or constants");
}

/* The addresses below one table; `above` is what the entries on the way to it allow. */
static void
audit_table(struct audit *a, const uint64_t *table, unsigned level, const struct audit_leaf *above)
{
	uint64_t bytes = (uint64_t)PAGE_BYTES << (9 * (level - 1));

	for (unsigned i = 0; i < PAGING_ENTRIES; i++) {
		uint64_t entry = table[i];
		struct audit_leaf leaf = *above;

		if ((entry & PAGING_PRESENT) == 0)
			continue;
		leaf.address += i * bytes;
		/* The upper half: addresses are sign-extended from bit 47. */
		if (level == 4 && i >= PAGING_ENTRIES / 2)
			leaf.address |= 0xffff000000000000;
		leaf.bytes = bytes;
		leaf.physical = entry & PAGING_ADDRESS & ~(bytes - 1);
		leaf.writable &= (entry & PAGING_WRITE) != 0;
		leaf.user &= (entry & PAGING_USER) != 0;
		leaf.executable &= (entry & PAGING_NX) == 0;
		if (level == 1 || (level < 4 && (entry & PAGING_LARGE) != 0))
			audit_leaf(a, &leaf);
		else
			audit_table(
			    a, (const uint64_t *)(entry & PAGING_ADDRESS), level - 1, &leaf);
	}
}

static void
audit_guard(struct audit *a, uintptr_t page, const char *whose)
{
	if (paging_access(page).present)
		audit_wrong(a, page, "the guard page of a stack of %s is mapped", whose);
}

static void
audit_thread(lwp_t *l, void *arg)
{
	uintptr_t stack = (uintptr_t)l->l_stack;

	if (stack == 0)
		return; /* an idle thread: a CPU's first stack */
	audit_guard(arg, stack - PAGE_BYTES, l->l_name);
	audit_guard(arg, stack + KSTACK_BYTES, l->l_name);
}

static void
audit_stacks(struct audit *a)
{
	const struct smp_slot *slot;
	struct cpu_info *ci;
	char name[16];

	audit_guard(a, (uintptr_t)boot_stack_guard, "the boot CPU");
	CPU_INFO_FOREACH(ci) {
		snprintf(name, sizeof(name), "CPU %u", ci->ci_index);
		if ((slot = smp_slot_of(ci)) != NULL) {
			audit_guard(a, slot->stack_top, name);
			audit_guard(a, slot->stack_top - KSTACK_BYTES - PAGE_BYTES, name);
		}
		for (unsigned i = 0; i < CPU_IST_COUNT; i++) {
			audit_guard(a, ci->ci_md->tss.ist[i], name);
			audit_guard(a, ci->ci_md->tss.ist[i] - IST_STACK_BYTES - PAGE_BYTES, name);
		}
	}
	kthread_foreach(audit_thread, a);
}

bool
audit_run(struct audit *a)
{
	const struct audit_leaf all = { .writable = true, .executable = true, .user = true };
	struct cpu_control control;

	*a = (struct audit){ .pages = 0 };
	cpu_read_control(&control);
	if ((control.cr0 & CPU_CR0_WP) == 0)
		audit_wrong(a, 0, "CR0.WP is off");
	if (cpu_has_nx() && (control.efer & CPU_EFER_NXE) == 0)
		audit_wrong(a, 0, "EFER.NXE is off");
	if (paging_access(0).present)
		audit_wrong(a, 0, "page 0 is mapped");
	audit_table(a, (const uint64_t *)(uintptr_t)paging_root(), 4, &all);
	audit_stacks(a);
	return a->wrong[0] == '\0';
}

void
audit_boot(void)
{
	struct audit a;

	if (!audit_run(&a))
		panic("page tables: at %#lx: %s", a.address, a.wrong);
	printf("page tables: %lu pages writable, %lu executable, %s\n", a.writable, a.executable,
	    cpu_has_nx() ? "none both" : "for this CPU has no NX");
}
