/*
 * Starting the application processors, and starting them again.
 *
 * Background.  An AP waits for INIT and STARTUP interprocessor interrupts (SDM vol. 3, 9.4.4).  A
 * STARTUP can get lost (the AP is in SMM, a hypervisor is busy), come twice, or be answered seconds
 * late; firmware tables name processors that do not exist.  Each of these has brought a kernel down
 * somewhere.
 *
 * Implementation.  Everything an AP needs (stack, cpu_info, slot) exists before the first INIT.
 * Then all are kicked at once and collected afterwards, so the waits are shared: INIT to all,
 * STARTUP to all, a second STARTUP to those that have not answered, one more round with the long
 * delays of old hardware, and an end.  An AP finds its slot by its own APIC id and claims it by
 * compare-and-swap (enum smp_state in smp.h): of two arrivals one wins, and one that comes after
 * the slot was retired parks itself.  Slots are never reused and the trampoline page is never given
 * back, so a late AP finds both as they were.
 *
 * An AP that goes offline silences its LAPIC, marks its slot PARKED and halts with interrupts off.
 * NMIs are taken on their own stack and lead back into the halt; interrupts sent to all do not
 * reach a LAPIC that is disabled by software; an INIT has it wait for the STARTUP that its restart
 * sends in any case.  The restart is the same way again for one slot: same cpu_info, same stacks,
 * the first of which it starts anew, since the idle thread has nothing to go back to.  INIT comes
 * before the slot is KICKED, and again before each further try: whatever the AP was doing, it is
 * over then, so a try never meets what the one before left behind.  INIT keeps caches and TLB (SDM
 * vol. 3, table 10-1), but clears CR4, and the trampoline that sets CR4.PGE drops all translations
 * (4.10.4.1): nobody has to tell a parked CPU of mappings that changed.
 *
 * Rejected: one shared mailbox or stack (a late AP takes the next one's); numbering by arrival (a
 * CPU's index would change from boot to boot); broadcast INIT (starts processors that the tables
 * call disabled).
 *
 * Rules.  smp_start(): boot CPU only, clocks calibrated, interrupts of the boot CPU may be on.
 * Restarts: a thread on any other CPU, one at a time.
 *
 * Limits.  xAPIC reaches ids 0..254; others are named and left out.  An AP has no IDT between the
 * SIPI and 64-bit code; nothing can send it an NMI there, its LINT pins being masked since INIT.
 * The boot CPU cannot be parked: after INIT it would run the firmware, not wait for STARTUP (SDM
 * vol. 3, 9.4.2).
 */
#include "kernel/x86/smp.h"

#include "kernel/clock.h"
#include "kernel/command.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "kernel/x86/acpi.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/mptable.h"
#include "kernel/x86/paging.h"

/* Between INIT and STARTUP: 10 ms (SDM vol. 3, 9.4.4.1) is for processors before 2006; the first
 * round goes without, the second keeps it. */
#define SMP_INIT_DELAY_US 10000
/* A real AP answers within 0.4 to 4 ms, an emulated one on a loaded host was seen to take 212
 * ms. */
#define SMP_SECOND_SIPI_US 20000
#define SMP_ANSWER_US 1500000
/* Once let go an AP only has to mark itself online; an emulated one can wait long for its host. */
#define SMP_ONLINE_NS 30000000000ull

/* The highest id a physical xAPIC destination can name; 255 is broadcast. */
#define SMP_XAPIC_ID_MAX 254

struct platform platform;

/* Read by ap_trampoline.asm. */
extern struct smp_slot *smp_slots;
extern uint32_t smp_slot_count;
struct smp_slot *smp_slots;
uint32_t smp_slot_count;

uint8_t smp_vector;

extern const uint8_t ap_trampoline_start[], ap_trampoline_32[], ap_trampoline_end[];
extern const uint8_t boot_gdt[], boot_gdt_end[];
extern void ap_entry(void);
void smp_ap_start(struct smp_slot *slot);

/* --- discovery -------------------------------------------------------------------------------- */

static const void *
smp_fetch(uint64_t address, size_t bytes)
{
	if (!paging_map_identity(address, bytes, PAGING_WRITE_BACK))
		return NULL;
	return (const void *)address;
}

void
smp_discover(const struct bootinfo *bi)
{
	const void *rsdp = bi->rsdp_bytes != 0 ? bi->rsdp : NULL;
	size_t bytes = bi->rsdp_bytes;
	uint64_t address = bi->rsdp_address;

	if (rsdp == NULL) {
		if (address == 0)
			address = acpi_rsdp_search(smp_fetch);
		for (bytes = 36; rsdp == NULL && address != 0 && bytes >= 20; bytes -= 16) {
			rsdp = smp_fetch(address, bytes);
			if (rsdp != NULL)
				break;
		}
	}
	if (rsdp != NULL && acpi_parse(&platform, rsdp, bytes, smp_fetch))
		return;
	if (mptable_parse(&platform, smp_fetch))
		return;
	platform.source = "none";
}

/* --- the APs' side ---------------------------------------------------------------------------- */

/* Called by ap_trampoline.asm on the AP's own stack, GS base set, interrupts off. */
void
smp_ap_start(struct smp_slot *slot)
{
	struct cpu_info *ci = slot->ci;
	uint32_t expected = SMP_CLAIMED;
	const char *wrong = apic_check_cpu();

	if (wrong != NULL) {
		slot->failure = wrong;
		/* Release: the boot CPU that sees RETIRED sees why. */
		atomic_compare_exchange_strong_explicit(&slot->state, &expected, SMP_RETIRED,
		    memory_order_release, memory_order_relaxed);
		machine_halt();
	}
	cpu_load(ci);
	ci->ci_md->stale_interrupts = apic_init_cpu(&platform, ci->ci_md->acpi_uid);
	cpu_read_topology(ci);
	/* Release: what was set up is visible to the boot CPU that sees ALIVE (smp_collect). */
	if (!atomic_compare_exchange_strong_explicit(
		&slot->state, &expected, SMP_ALIVE, memory_order_release, memory_order_relaxed))
		machine_halt();
	/* Acquire: pairs with the release in smp_let_go(). */
	while (atomic_load_explicit(&slot->state, memory_order_acquire) != SMP_GO)
		machine_pause();
	ap_main();
}

/* --- the boot CPU's side ---------------------------------------------------------------------- */

/* The highest usable page below 640 KiB that no module of the loader lies in; 0 when there is
 * none. */
static uintptr_t
smp_trampoline_page(const struct bootinfo *bi)
{
	uint64_t best = 0;

	for (unsigned i = 0; i < bi->nregions; i++) {
		const struct bootinfo_region *r = &bi->region[i];
		uint64_t end = r->end < 0xa0000 ? r->end : 0xa0000, page;

		if (r->type != BOOTINFO_USABLE || end < 2 * PAGE_BYTES)
			continue;
		page = (end & ~(uint64_t)(PAGE_BYTES - 1)) - PAGE_BYTES;
		if (page < bi->module_end && page + PAGE_BYTES > bi->module_start)
			page = (bi->module_start & ~(uint64_t)(PAGE_BYTES - 1)) - PAGE_BYTES;
		if (page >= PAGE_BYTES && page >= r->start && page + PAGE_BYTES <= end &&
		    page > best)
			best = page;
	}
	return best;
}

static bool
smp_write_trampoline(uintptr_t page)
{
	struct smp_ap_params *p = (struct smp_ap_params *)(page + BOOT_AP_PARAMS);
	struct cpu_control control;

	if (!paging_map_identity(page, PAGE_BYTES, PAGING_WRITE_BACK))
		return false;
	memset((void *)page, 0xcc, PAGE_BYTES); /* INT3: no way through the gaps */
	memcpy(
	    (void *)page, ap_trampoline_start, (size_t)(ap_trampoline_end - ap_trampoline_start));
	cpu_read_control(&control);
	*p = (struct smp_ap_params){
		.gdt_limit = (uint16_t)(boot_gdt_end - boot_gdt - 1),
		.gdt_base = (uint32_t)(uintptr_t)boot_gdt,
		.far32 = (uint32_t)(page + (uintptr_t)(ap_trampoline_32 - ap_trampoline_start)),
		.far32_selector = BOOT_SEL_CODE32,
		.far64 = (uint32_t)(uintptr_t)ap_entry,
		.far64_selector = BOOT_SEL_CODE64,
		.cr0 = (uint32_t)control.cr0,
		.cr3 = paging_root(),
		/* What an AP does not have it must not be given: cpu_load() asks each. */
		.cr4 = (uint32_t)control.cr4 & ~(CPU_CR4_SMEP | CPU_CR4_SMAP | CPU_CR4_UMIP),
		.efer = (uint32_t)control.efer & ~(1u << 10), /* LMA is the CPU's to set */
	};
	return paging_make_text(page);
}

static void
smp_prepare(void)
{
	struct cpu_info *self = curcpu();
	struct smp_slot *slot;

	smp_slots = kmem_boot_alloc((platform.ncpus + 1) * sizeof(*smp_slots));
	for (unsigned i = 0; i < platform.ncpus; i++) {
		const struct platform_cpu *pc = &platform.cpu[i];
		void *stack;

		if (pc->apic_id == self->ci_apicid)
			continue;
		slot = &smp_slots[smp_slot_count++];
		slot->apic_id = pc->apic_id;
		if (pc->apic_id > SMP_XAPIC_ID_MAX) {
			slot->failure = "its APIC id needs x2APIC, which is not built yet";
			continue;
		}
		slot->ci = cpu_create(pc->apic_id, pc->acpi_uid);
		stack = kmem_stack_alloc();
		if (slot->ci == NULL || stack == NULL) {
			slot->failure = "no memory for its stacks";
			continue;
		}
		slot->stack_top = (uintptr_t)stack + KSTACK_BYTES;
		/* Release: the slot is complete for the AP that claims it (ap_trampoline.asm). */
		atomic_store_explicit(&slot->state, SMP_KICKED, memory_order_release);
	}
}

static bool
smp_unanswered(const struct smp_slot *slot)
{
	return atomic_load_explicit(&slot->state, memory_order_relaxed) == SMP_KICKED;
}

/* Sends one command to all that have not answered; a LAPIC that does not take it is a failure of
 * that AP. */
static void
smp_send(enum apic_delivery mode, uint8_t vector)
{
	for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		if (!smp_unanswered(s))
			continue;
		if (mode == APIC_STARTUP) {
			s->sipi_ns = clock_ns();
			s->sipis++;
		}
		if (!apic->send(s->apic_id, mode, vector))
			s->failure = "the local APIC stayed busy";
	}
}

/* Waits until all have answered, or that long; notes the time of each answer. */
static bool
smp_collect(uint64_t timeout_us)
{
	uint64_t end = clock_ns() + timeout_us * 1000;
	bool all;

	do {
		all = true;
		for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
			/* Acquire: pairs with the AP's release of ALIVE. */
			uint32_t state = atomic_load_explicit(&s->state, memory_order_acquire);

			if (state == SMP_ALIVE && s->alive_ns == 0)
				s->alive_ns = clock_ns();
			if (state == SMP_KICKED || state == SMP_CLAIMED)
				all = false;
		}
		machine_pause();
	} while (!all && clock_ns() < end);
	return all;
}

/* Gives up on a slot whose AP has not come up; the loser of the race parks (or was alive after
 * all). */
static void
smp_retire(struct smp_slot *s)
{
	uint32_t state = atomic_load_explicit(&s->state, memory_order_relaxed);

	while (state == SMP_KICKED || state == SMP_CLAIMED) {
		bool claimed = state == SMP_CLAIMED;

		if (!atomic_compare_exchange_weak_explicit(
			&s->state, &state, SMP_RETIRED, memory_order_relaxed, memory_order_relaxed))
			continue;
		if (s->failure == NULL)
			s->failure = claimed ? "it started, but never finished its own set-up"
					     : "no answer to two rounds of INIT and STARTUP";
		(void)apic->send(s->apic_id, APIC_INIT, 0); /* parks it where it stands */
		return;
	}
}

static void
smp_attach(struct cpu_info *ci)
{
	cpu_attach(ci);
	timer_init_cpu(ci);
	sched_init_cpu(ci);
}

static void
smp_let_go(struct smp_slot *s)
{
	cpu_check_control(s->ci);
	/* Release: pairs with the acquire in smp_ap_start(). */
	atomic_store_explicit(&s->state, SMP_GO, memory_order_release);
}

static void
smp_await_online(const struct smp_slot *s)
{
	const struct cpu_info *ci = s->ci;
	uint64_t end = clock_ns() + SMP_ONLINE_NS;

	while (!cpu_online(ci)) {
		if (clock_ns() > end)
			panic("CPU %u (APIC id %u) came up, was let go, and never got online",
			    ci->ci_index, ci->ci_apicid);
		machine_pause();
	}
}

void
smp_start(const struct bootinfo *bi)
{
	uintptr_t page = smp_trampoline_page(bi);

	smp_vector = (uint8_t)(page / PAGE_BYTES);
	smp_prepare();
	if (smp_slot_count == 0)
		return;
	if (page == 0 || !smp_write_trampoline(page)) {
		for (unsigned i = 0; i < smp_slot_count; i++)
			smp_slots[i].failure = "no usable page below 640 KiB for the trampoline";
	} else {
		smp_send(APIC_INIT, 0);
		smp_send(APIC_STARTUP, smp_vector);
		if (!smp_collect(SMP_SECOND_SIPI_US)) {
			smp_send(APIC_STARTUP, smp_vector);
			smp_collect(SMP_ANSWER_US);
		}
		if (!smp_collect(0)) {
			smp_send(APIC_INIT, 0);
			delay_us(SMP_INIT_DELAY_US);
			smp_send(APIC_STARTUP, smp_vector);
			smp_collect(SMP_ANSWER_US);
		}
	}
	for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		smp_retire(s);
		/* Acquire: pairs with the AP's releases of ALIVE and RETIRED. */
		if (atomic_load_explicit(&s->state, memory_order_acquire) == SMP_ALIVE) {
			smp_attach(s->ci);
		} else {
			printf("warning: the CPU with APIC id %u is left out: %s\n", s->apic_id,
			    s->failure);
		}
	}
	machine_send_others_ok = smp_failed() == 0;
	/* All at once: those that wait to be let go spin, and an emulator with fewer cores than
	 * CPUs gives each its turn. */
	for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		if (atomic_load_explicit(&s->state, memory_order_relaxed) == SMP_ALIVE)
			smp_let_go(s);
	}
	for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		if (atomic_load_explicit(&s->state, memory_order_relaxed) == SMP_GO)
			smp_await_online(s);
	}
}

struct smp_slot *
smp_slot_of(const struct cpu_info *ci)
{
	for (struct smp_slot *s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		if (s->ci == ci)
			return s;
	}
	return NULL;
}

/* --- leaving and coming back ------------------------------------------------------------------ */

void
machine_cpu_park(void)
{
	struct smp_slot *slot = smp_slot_of(curcpu());

	KASSERTMSG(slot != NULL, "the boot CPU cannot be restarted");
	apic_silence();
	/* Relaxed: cpu_set_offline() publishes it. */
	atomic_store_explicit(&slot->state, SMP_PARKED, memory_order_relaxed);
	cpu_set_offline();
	machine_halt();
}

/* One try; whether the AP has answered, be it that its LAPIC is of no use. */
static bool
smp_restart_try(struct smp_slot *s, uint64_t init_delay_us)
{
	if (!apic->send(s->apic_id, APIC_INIT, 0))
		s->failure = "the local APIC stayed busy";
	delay_us(init_delay_us);
	/* INIT may have hit it in an NMI. */
	s->ci->ci_nmi_depth = 0;
	s->ci->ci_nmi_frame = NULL;
	/* Release: as in smp_prepare(). */
	atomic_store_explicit(&s->state, SMP_KICKED, memory_order_release);
	smp_send(APIC_STARTUP, smp_vector);
	if (smp_collect(SMP_SECOND_SIPI_US))
		return true;
	smp_send(APIC_STARTUP, smp_vector);
	return smp_collect(SMP_ANSWER_US);
}

const char *
machine_cpu_restart(struct cpu_info *ci)
{
	struct smp_slot *s = smp_slot_of(ci);

	KASSERTMSG(s != NULL && !cpu_online(ci), "CPU %u", ci->ci_index);
	s->failure = NULL;
	s->sipis = 0;
	s->alive_ns = 0;
	if (!smp_restart_try(s, 0))
		(void)smp_restart_try(s, SMP_INIT_DELAY_US);
	smp_retire(s);
	/* Acquire: pairs with the AP's releases of ALIVE and RETIRED. */
	if (atomic_load_explicit(&s->state, memory_order_acquire) != SMP_ALIVE)
		return s->failure;
	smp_let_go(s);
	smp_await_online(s);
	return NULL;
}

/* --- the table -------------------------------------------------------------------------------- */

unsigned
smp_found(void)
{
	return smp_slot_count + 1;
}

unsigned
smp_failed(void)
{
	return smp_found() - ncpu;
}

static void
smp_print_repairs(void)
{
	unsigned copied = 0, stale = 0;
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci) {
		copied += ci->ci_md->mtrrs_copied;
		stale += ci->ci_md->stale_interrupts;
	}
	if (copied != 0)
		printf(
		    "  note: the MTRRs of %u CPUs differed from the boot CPU's and were set to its values\n",
		    copied);
	if (stale != 0)
		printf("  note: %u interrupts that were pending from before were drained\n", stale);
}

void
smp_print(void)
{
	const struct smp_slot *s;
	struct cpu_info *ci;
	char answer[32];

	printf("cpus: %u found in the %s, %u online, %u disabled by firmware\n", smp_found(),
	    platform.source, cpu_online_count(), platform.cpus_disabled);
	printf("  cpu  apic id  package/core/thread  state    SIPI->alive us  SIPIs\n");
	CPU_INFO_FOREACH(ci) {
		s = smp_slot_of(ci);
		if (s != NULL)
			snprintf(answer, sizeof(answer), "%14lu  %5u",
			    (s->alive_ns - s->sipi_ns) / 1000, s->sipis);
		else
			snprintf(answer, sizeof(answer), "%14s  %5s", "-", "-");
		printf("  %3u  %7u  %7u/%4u/%6u  %-7s  %s\n", ci->ci_index, ci->ci_apicid,
		    ci->ci_package_id, ci->ci_core_id, ci->ci_smt_id,
		    s == NULL            ? "boot"
			: cpu_online(ci) ? "online"
					 : "offline",
		    answer);
	}
	for (s = smp_slots; s < smp_slots + smp_slot_count; s++) {
		if (s->failure != NULL && (s->ci == NULL || cpu_lookup(s->ci->ci_index) != s->ci))
			printf("    -  %7u  %20s  failed   %14s  %5u  %s\n", s->apic_id, "-", "-",
			    s->sipis, s->failure);
	}
	smp_print_repairs();
	cpu_print_protection();
}

COMMAND(cpus, "", "the CPUs: ids, topology, how they came up")
{
	smp_print();
	return 0;
}
