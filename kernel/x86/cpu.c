/*
 * Bringing one CPU to the state that the kernel expects: GDT, TSS, stacks, control registers.
 */
#include "kernel/x86/cpu.h"

#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/printf.h"
#include "kernel/string.h"
#include "kernel/x86/canary.h"
#include "kernel/x86/msr.h"
#include "kernel/x86/mtrr.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/trap.h"

/* Model-specific registers (SDM vol. 4, chapter 2). */
#define CPU_MSR_PAT 0x277
#define CPU_MSR_EFER 0xc0000080
#define CPU_MSR_GS_BASE 0xc0000101

/* SDM vol. 3, 2.5: PG, WP, NE, ET, MP, PE.  CD, NW, EM, TS stay clear whatever was found. */
#define CPU_CR0 0x80010033u
/* PGE, MCE, PAE, and cpu_protections().  Everything else, LA57 included, off. */
#define CPU_CR4 0x000000e0u
/* Entries 0..3, repeated: WB, WC, UC-, UC (SDM vol. 3, 12.12.4); paging.c counts on 0, 1 and 3. */
#define CPU_PAT 0x0007010600070106ull

struct cpu_gdt_operand {
	uint16_t limit;
	uint64_t base;
} __attribute__((packed));

static struct cpu_info cpu_boot_info;
static struct cpu_md cpu_boot_md;
/* A guard page below each, and one above the last. */
static struct {
	struct {
		uint8_t guard[PAGE_BYTES], stack[IST_STACK_BYTES];
	} ist[CPU_IST_COUNT];
	uint8_t guard[PAGE_BYTES];
} cpu_boot_stacks __attribute__((aligned(PAGE_BYTES)));

static bool
cpu_feature(unsigned bit)
{
	return (cpuid(1, 0).edx & 1u << bit) != 0;
}

static bool
cpu_has_pat(void)
{
	return cpu_feature(16);
}

bool
cpu_has_mtrr(void)
{
	return cpu_feature(12);
}

bool
machine_hypervisor(void)
{
	/* Hypervisors set it for their guests; hardware has 0 there (APM vol. 3, E.3.2; SDM vol. 2,
	 * table 3-10). */
	return (cpuid(1, 0).ecx & 1u << 31) != 0;
}

bool
cpu_has_nx(void)
{
	return cpuid(0x80000000, 0).eax >= 0x80000001 && (cpuid(0x80000001, 0).edx & 1u << 20) != 0;
}

/* UMIP keeps SGDT and its like from user mode, of which there is none: harmless, and one thing less
 * to think of.  SMEP and SMAP make a page that was left open to user mode a fault and no way in.
 * CPUID.(7, 0) (SDM vol. 2, table 3-8). */
uint64_t
cpu_protections(void)
{
	uint64_t bits = 0;
	struct cpuid_regs r;

	if (cpuid(0, 0).eax < 7)
		return 0;
	r = cpuid(7, 0);
	if ((r.ebx & 1u << 7) != 0)
		bits |= CPU_CR4_SMEP;
	if ((r.ebx & 1u << 20) != 0)
		bits |= CPU_CR4_SMAP;
	if ((r.ecx & 1u << 2) != 0)
		bits |= CPU_CR4_UMIP;
	return bits;
}

void
cpu_brand(char brand[49])
{
	struct cpuid_regs r;

	brand[0] = '\0';
	if (cpuid(0x80000000, 0).eax < 0x80000004)
		return;
	for (unsigned i = 0; i < 3; i++) {
		r = cpuid(0x80000002 + i, 0);
		memcpy(brand + 16 * i, &r, 16);
	}
	brand[48] = '\0';
}

static void
cpu_fill_tables(struct cpu_md *md, uintptr_t ist_top[CPU_IST_COUNT])
{
	uint64_t tss = (uintptr_t)&md->tss;
	uint64_t limit = sizeof(md->tss) - 1;

	md->gdt[BOOT_SEL_CODE32 / 8] = 0x00cf9b000000ffff;
	md->gdt[BOOT_SEL_CODE64 / 8] = 0x00af9b000000ffff;
	md->gdt[BOOT_SEL_DATA / 8] = 0x00cf93000000ffff;
	/* SDM vol. 3, figure 7-4: 64-bit TSS descriptor, available, present. */
	md->gdt[BOOT_SEL_TSS / 8] = limit | (tss & 0xffffff) << 16 | 0x89ull << 40 |
	    (tss >> 24 & 0xff) << 56;
	md->gdt[BOOT_SEL_TSS / 8 + 1] = tss >> 32;
	for (unsigned i = 0; i < CPU_IST_COUNT; i++)
		md->tss.ist[i] = ist_top[i];
	md->tss.iomap = sizeof(md->tss);
}

void
cpu_init_boot(void)
{
	uintptr_t ist_top[CPU_IST_COUNT];
	struct cpu_info *ci = &cpu_boot_info;

	for (unsigned i = 0; i < CPU_IST_COUNT; i++)
		ist_top[i] = (uintptr_t)cpu_boot_stacks.ist[i].stack + IST_STACK_BYTES;
	ci->ci_self = ci;
	ci->ci_md = &cpu_boot_md;
	ci->ci_apicid = cpuid(1, 0).ebx >> 24; /* until the LAPIC can be asked */
	cpu_fill_tables(ci->ci_md, ist_top);
	wrmsr(CPU_MSR_GS_BASE, (uintptr_t)ci);
	trap_init();
	mtrr_save();
	cpu_load(ci);
}

struct cpu_info *
cpu_create(uint32_t apic_id, uint32_t acpi_uid)
{
	uintptr_t ist_top[CPU_IST_COUNT];
	const size_t ist_pages = IST_STACK_BYTES / PAGE_BYTES;
	struct cpu_info *ci;

	_Static_assert(sizeof(*ci) + sizeof(struct cpu_md) <= PAGE_BYTES, "one page a CPU");
	ci = kmem_page_alloc(1);
	if (ci == NULL)
		return NULL;
	for (unsigned i = 0; i < CPU_IST_COUNT; i++) {
		uint8_t *stack = machine_map_stack(ist_pages);

		if (stack == NULL)
			return NULL;
		ist_top[i] = (uintptr_t)stack + IST_STACK_BYTES;
	}
	ci->ci_self = ci;
	ci->ci_apicid = apic_id;
	ci->ci_md = (struct cpu_md *)(ci + 1);
	ci->ci_md->acpi_uid = acpi_uid;
	cpu_fill_tables(ci->ci_md, ist_top);
	return ci;
}

static void
cpu_load_tables(struct cpu_md *md)
{
	struct cpu_gdt_operand operand = { sizeof(md->gdt) - 1, (uintptr_t)md->gdt };

	__asm__ volatile("lgdt %0" : : "m"(operand));
	/* CS can only be loaded by a far transfer; GS is left alone, loading it would clear its
	 * base. */
	__asm__ volatile("pushq %0; leaq 1f(%%rip), %%rax; pushq %%rax; lretq; 1:"
			 :
			 : "i"(BOOT_SEL_CODE64)
			 : "rax", "memory");
	__asm__ volatile("movl %0, %%ds; movl %0, %%es; movl %0, %%ss"
			 :
			 : "r"(BOOT_SEL_DATA)
			 : "memory");
	md->gdt[BOOT_SEL_TSS / 8] &= ~(1ull << 41); /* not busy, or LTR refuses */
	__asm__ volatile("ltr %w0" : : "r"(BOOT_SEL_TSS) : "memory");
}

void
cpu_load(struct cpu_info *ci)
{
	uint64_t cr3;

	cpu_load_tables(ci->ci_md);
	trap_load_idt();
	if (cpu_has_nx())
		wrmsr(CPU_MSR_EFER, rdmsr(CPU_MSR_EFER) | CPU_EFER_NXE);
	__asm__ volatile("movq %0, %%cr0" : : "r"((uint64_t)CPU_CR0) : "memory");
	__asm__ volatile("movq %0, %%cr4" : : "r"(CPU_CR4 | cpu_protections()) : "memory");
	if (cpu_has_pat()) {
		/* Caches and TLB hold lines of the old types (SDM vol. 3, 12.12.4). */
		__asm__ volatile("wbinvd" : : : "memory");
		wrmsr(CPU_MSR_PAT, CPU_PAT);
		__asm__ volatile("wbinvd; movq %%cr3, %0; movq %0, %%cr3" : "=r"(cr3) : : "memory");
	}
	ci->ci_md->mtrrs_copied = mtrr_match();
	cpu_read_control(&ci->ci_md->control);
}

void
cpu_read_control(struct cpu_control *c)
{
	*c = (struct cpu_control){ .efer = rdmsr(CPU_MSR_EFER) };
	__asm__ volatile("movq %%cr0, %0" : "=r"(c->cr0));
	__asm__ volatile("movq %%cr4, %0" : "=r"(c->cr4));
	if (cpu_has_pat())
		c->pat = rdmsr(CPU_MSR_PAT);
}

static bool
cpu_check_register(const struct cpu_info *ci, const char *name, uint64_t mine, uint64_t boot)
{
	if (mine != boot)
		printf("warning: CPU %u: %s is %#lx, the boot CPU's is %#lx\n", ci->ci_index, name,
		    mine, boot);
	return mine == boot;
}

bool
cpu_check_control(const struct cpu_info *ci)
{
	const struct cpu_control *mine = &ci->ci_md->control, *boot = &cpu_boot_md.control;
	bool same = true;

	same &= cpu_check_register(ci, "CR0", mine->cr0, boot->cr0);
	same &= cpu_check_register(ci, "CR4", mine->cr4, boot->cr4);
	same &= cpu_check_register(ci, "EFER", mine->efer, boot->efer);
	same &= cpu_check_register(ci, "PAT", mine->pat, boot->pat);
	return same;
}

uintptr_t
cpu_boot_ist_guard(unsigned i)
{
	return (
	    uintptr_t)(i < CPU_IST_COUNT ? cpu_boot_stacks.ist[i].guard : cpu_boot_stacks.guard);
}

/* A protection that all CPUs have set, by name; or how many of them, if it is some. */
static void
cpu_print_bit(const char *name, unsigned having, const char **separator)
{
	if (having == 0)
		return;
	printf("%s%s", *separator, name);
	if (having != ncpu)
		printf(" (%u of %u CPUs)", having, ncpu);
	*separator = ", ";
}

void
cpu_print_protection(void)
{
	unsigned wp = 0, nx = 0, smep = 0, smap = 0, umip = 0;
	const char *separator = " ";
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		const struct cpu_control *c = &ci->ci_md->control;

		wp += (c->cr0 & CPU_CR0_WP) != 0;
		nx += (c->efer & CPU_EFER_NXE) != 0;
		smep += (c->cr4 & CPU_CR4_SMEP) != 0;
		smap += (c->cr4 & CPU_CR4_SMAP) != 0;
		umip += (c->cr4 & CPU_CR4_UMIP) != 0;
	}
	printf("protection:");
	cpu_print_bit("WP", wp, &separator);
	cpu_print_bit("NX", nx, &separator);
	cpu_print_bit("SMEP", smep, &separator);
	cpu_print_bit("SMAP", smap, &separator);
	cpu_print_bit("UMIP", umip, &separator);
	printf("; stack canary from %s\n", canary_source());
}

void
machine_idle(void)
{
	/* STI holds interrupts back for one more instruction (SDM vol. 2, STI): none can slip in
	 * between the caller's test and HLT. */
	__asm__ volatile("sti; hlt" : : : "memory");
}
