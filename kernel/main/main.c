/*
 * The order of bring-up, one line a step: kmain() for the boot CPU, ap_main() for every other.
 */
#include <stdint.h>

#include "boot/boot.h"
#include "boot/bootinfo.h"
#include "kernel/clients/hotplug.h"
#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/console.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug.h"
#include "kernel/main/banner.h"
#include "kernel/main/bringup.h"
#include "kernel/main/end.h"
#include "kernel/main/monitor.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "kernel/string.h"
#include "kernel/timer.h"
#include "kernel/x86/apic.h"
#include "kernel/x86/audit.h"
#include "kernel/x86/cpu.h"
#include "kernel/x86/devices.h"
#include "kernel/x86/fwcfg.h"
#include "kernel/x86/paging.h"
#include "kernel/x86/refclock.h"
#include "kernel/x86/smp.h"
#include "tests/bench/kernel/bench.h"
#include "tests/kernel/fault.h"
#include "tests/kernel/test.h"
#include "tests/kernel/torture.h"
#include "xcall/xc_cpu.h"

/* Memory below is left alone: real-mode data, the trampoline's page, firmware. */
#define MAIN_LOW_MEMORY 0x100000ull
/* What the first page tables map (entry.asm). */
#define MAIN_BOOT_MAPPED 0x100000000ull
/* Samples of a benchmark's row. */
#define MAIN_SAMPLES 1000u
#define MAIN_SAMPLES_MAX 100000u

static struct bootinfo main_bootinfo;
/* What bring-up cost, for the benchmarks. */
static struct bench_costs main_costs;

/* Called by entry.asm with the loader's magic number and the address of its information. */
void kmain(uint32_t magic, uint32_t info);

/* Words of the command line that mean something; others are reported. */
static const char *const main_words[] = { "again", "bench", "dead", "fault", "faults", "hold", "hz",
	"lockdebug", "memcheck", "misuse", "monitor", "samples", "seed", "test", "torture", NULL };

/* Physical memory is where the loader left it; only what the first page tables map can be read. */
static const void *
main_fetch(uint64_t address, size_t bytes)
{
	if (address == 0 || address >= MAIN_BOOT_MAPPED || bytes > MAIN_BOOT_MAPPED - address)
		return NULL;
	return (const void *)address;
}

static void
main_read_bootinfo(uint32_t magic, uint32_t info)
{
	const char *error = "neither multiboot2 nor PVH: the loader's magic number is unknown";
	const uint32_t *size;

	if (magic == BOOT_MAGIC_MULTIBOOT2) {
		size = main_fetch(info, sizeof(*size));
		error = "the loader's information lies at address 0 or beyond 4 GiB";
		if (size != NULL)
			error = bootinfo_multiboot2(&main_bootinfo, size,
			    *size <= MAIN_BOOT_MAPPED - info ? *size : MAIN_BOOT_MAPPED - info);
	} else if (magic == BOOT_MAGIC_PVH) {
		error = bootinfo_pvh(&main_bootinfo, info, main_fetch);
	}
	if (error != NULL)
		panic("cannot boot: %s", error);
}

static void
main_bad_word(const char *word, size_t length)
{
	printf("warning: command line: \"%.*s\" is not known\n", (int)length, word);
}

/* QEMU's -append reaches only its own loader; for an ISO the words come through fw_cfg, behind the
 * menu's. */
static void
main_read_cmdline(void)
{
	static char words[CMDLINE_BYTES], more[CMDLINE_BYTES];

	if (fwcfg_read("opt/xcall/cmdline", more, sizeof(more)))
		snprintf(words, sizeof(words), "%s %s", main_bootinfo.cmdline, more);
	else
		snprintf(words, sizeof(words), "%s", main_bootinfo.cmdline);
	cmdline_init(words);
}

/* Lock checking: on where tests run, and where the words ask for it. */
static void
main_init_lockdebug(void)
{
	char value[16];
	bool on = cmdline_has("test") || cmdline_has("torture") || cmdline_has("lockdebug");

	if (!cmdline_value("lockdebug", value, sizeof(value)))
		(void)lockdebug_set_policy(on ? LOCKDEBUG_PANIC : LOCKDEBUG_OFF);
	else if (strcmp(value, "report") == 0)
		(void)lockdebug_set_policy(LOCKDEBUG_REPORT);
	else if (strcmp(value, "off") != 0)
		printf("warning: lockdebug= takes \"report\" or \"off\"\n");
}

/* The checks of memory: by their word, and by themselves where something is tested. */
static void
main_choose_checks(void)
{
	static const char *const tests[] = { "test", "misuse", "torture" };
	bool on = cmdline_has("memcheck");
	char off[16];

	for (unsigned i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		on |= cmdline_has(tests[i]);
	if (cmdline_value("memcheck", off, sizeof(off)) && strcmp(off, "off") == 0)
		on = false;
	if (on)
		kmem_check_enable();
}

/* Gives the allocator what is usable of [low, high), less the image and the loader's modules. */
static void
main_add_memory(uint64_t low, uint64_t high)
{
	extern const uint8_t image_end[];
	const struct bootinfo *bi = &main_bootinfo;

	for (unsigned i = 0; i < bi->nregions; i++) {
		uint64_t start = bi->region[i].start, end = bi->region[i].end;

		if (bi->region[i].type != BOOTINFO_USABLE)
			continue;
		if (start < low)
			start = low;
		if (end > high)
			end = high;
		if (start < (uintptr_t)image_end && end > BOOT_LOAD_ADDRESS)
			start = (uintptr_t)image_end;
		if (start < bi->module_end && end > bi->module_start)
			start = bi->module_end;
		if (start < end)
			kmem_add(start, end);
	}
}

static void
main_init_memory(void)
{
	main_add_memory(MAIN_LOW_MEMORY, MAIN_BOOT_MAPPED);
	paging_init(&main_bootinfo);
	main_add_memory(MAIN_BOOT_MAPPED, paging_end());
}

/* The uid of the boot CPU matters for the LINT pin that carries NMI; it is known by its APIC id. */
static void
main_find_boot_uid(void)
{
	for (unsigned i = 0; i < platform.ncpus; i++) {
		if (platform.cpu[i].apic_id == curcpu()->ci_apicid)
			curcpu()->ci_md->acpi_uid = platform.cpu[i].acpi_uid;
	}
}

static void
main_init_apic(void)
{
	const char *error = apic_init(&platform);

	if (error != NULL)
		panic("cannot use the local APIC: %s", error);
	curcpu()->ci_apicid = apic->id();
	main_find_boot_uid();
	apic_mask_legacy(&platform);
	apic_establish();
	curcpu()->ci_md->stale_interrupts = apic_init_cpu(&platform, curcpu()->ci_md->acpi_uid);
	cpu_read_topology(curcpu());
}

static void
main_go_online(void)
{
	if (timer_start() != 0)
		panic("CPU %u: its local timer cannot tick at %u Hz", curcpu()->ci_index, HZ);
	cpu_set_online();
}

static void
main_init_cpu(void)
{
	struct cpu_info *ci = curcpu();

	cpu_attach(ci);
	timer_init_cpu(ci);
	sched_init_cpu(ci);
	main_go_online();
}

static void
main_start_others(void)
{
	uint64_t from = clock_ns();

	smp_start(&main_bootinfo);
	main_costs.start_ns = clock_ns() - from;
}

static void
main_init_xcall(void)
{
	size_t pages = kmem_pages_free();
	struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		xc_init_cpu(ci);
	main_costs.xcall_pages = pages - kmem_pages_free();
	hotplug_init();
}

/* As many samples a row as the performance goals ask for, unless samples=N says otherwise. */
static bool
main_bench(const char *rows)
{
	uint64_t samples = MAIN_SAMPLES;

	if (cmdline_number("samples", 1, MAIN_SAMPLES_MAX, &samples) == EINVAL)
		printf("warning: samples= takes a number from 1 to %u; %lu is used\n",
		    MAIN_SAMPLES_MAX, samples);
	return bench_run(rows, (unsigned)samples, &main_costs);
}

/* Once, or again and again for so many seconds, until something fails. */
static bool
main_tests(const char *suites)
{
	uint64_t seconds = 0, from = clock_ns();

	if (cmdline_number("again", 1, TORTURE_SECONDS_MAX, &seconds) == EINVAL)
		printf("warning: again= takes a number of seconds up to %u\n", TORTURE_SECONDS_MAX);
	do {
		if (!test_run(suites))
			return false;
	} while (clock_ns() - from < seconds * 1000000000);
	return true;
}

/* A minute, and a seed that nobody chose, unless the words say otherwise. */
static bool
main_torture(void)
{
	uint64_t seconds = 60, seed = clock_ns() % UINT32_MAX;

	if (cmdline_number("torture", 1, TORTURE_SECONDS_MAX, &seconds) == EINVAL)
		printf("warning: torture= takes a number of seconds up to %u; %lu are used\n",
		    TORTURE_SECONDS_MAX, seconds);
	if (cmdline_number("seed", 0, UINT64_MAX, &seed) == EINVAL)
		printf("warning: seed= takes a number; %lu is used\n", seed);
	return torture_run((unsigned)seconds, seed);
}

/* What the command line asks for; without a word, the main job. */
static void
main_thread(void *arg __attribute__((unused)))
{
	char words[CMDLINE_BYTES];

	main_init_xcall();
	fault_boot_calls();
	if (cmdline_value("misuse", words, sizeof(words)))
		end_report(test_misuse(words) ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
	if (cmdline_value("test", words, sizeof(words)))
		end_report(main_tests(words) ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
	if (cmdline_value("bench", words, sizeof(words)))
		end_report(main_bench(words) ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
	if (cmdline_has("torture"))
		end_report(main_torture() ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
	if (cmdline_has("monitor"))
		monitor_run();
	end_report(bringup_run() ? BOOT_EXIT_PASS : BOOT_EXIT_FAIL);
}

void
kmain(uint32_t magic, uint32_t info)
{
	cpu_init_boot();
	uart_attach();
	main_read_bootinfo(magic, info);
	main_read_cmdline();
	main_init_lockdebug();
	main_choose_checks();
	main_init_memory();
	vga_attach(&main_bootinfo.fb);
	framebuffer_attach(&main_bootinfo.fb);
	smp_discover(&main_bootinfo);
	poweroff_init();
	banner_print(&main_bootinfo);
	cmdline_check(main_words, main_bad_word);
	banner_print_memory(&main_bootinfo);
	banner_print_platform();
	main_init_apic();
	calibrate(&platform);
	main_init_cpu();
	fault_boot();
	main_start_others();
	smp_print();
	audit_boot();
	calibrate_print();
	if (kthread_create(PRI_KERNEL, KTHREAD_MPSAFE, curcpu(), main_thread, NULL, NULL, "main") !=
	    0)
		panic("no memory for the main thread");
	sched_start();
}

void
ap_main(void)
{
	main_go_online();
	sched_start();
}
