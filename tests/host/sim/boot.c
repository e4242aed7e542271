/*
 * Bring-up, in the order of kernel/main/main.c, up to the moment that every run starts from: all
 * CPUs online, every xcall/N asleep.  Each run is a child of a process that has stopped there.
 */
#include <stddef.h>
#include <stdio.h>
#include <sys/mman.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/sched.h"
#include "kernel/timer.h"
#include "tests/host/sim/engine.h"
#include "tests/host/sim/run.h"
#include "tests/host/sim/sim.h"
#include "tests/host/vcpu/runtime.h"
#include "xcall/xc_cpu.h"

/* Where the machine's memory is: the same in each process, so that no order depends on an
 * address. */
#define BOOT_MEMORY UINT64_C(0x200000000)
#define BOOT_MEMORY_BYTES (UINT64_C(64) << 20)
/* For every xcall/N to begin. */
#define BOOT_SETTLE_NS UINT64_C(50000000)

static struct cpu_info boot_cpu[SIM_CPUS];
static struct cpu_md boot_md[SIM_CPUS];
static void (*boot_main)(void);

static void
boot_init_memory(void)
{
	void *want = (void *)BOOT_MEMORY;
	void *memory = mmap(want, BOOT_MEMORY_BYTES, PROT_READ | PROT_WRITE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	if (memory != want)
		sim_fail("no memory at its address");
	kmem_add(BOOT_MEMORY, BOOT_MEMORY + BOOT_MEMORY_BYTES);
}

static void
boot_attach(struct cpu_info *ci)
{
	cpu_attach(ci);
	timer_init_cpu(ci);
	sched_init_cpu(ci);
}

static void
boot_go_online(void)
{
	if (timer_program(TIMER_PERIODIC, HZ) != 0)
		sim_fail("CPU %u: its local timer cannot tick", curcpu()->ci_index);
	cpu_set_online();
}

static void
boot_ap(void)
{
	boot_go_online();
	sched_start();
}

static void
boot_thread(void *arg)
{
	struct cpu_info *ci;

	(void)arg;
	CPU_INFO_FOREACH(ci)
		xc_init_cpu(ci);
	kthread_sleep_ns(BOOT_SETTLE_NS);
	engine_ready();
	boot_main();
}

static void
boot_first(void)
{
	sim_attach_console();
	clock_init(RUNTIME_HZ);
	boot_init_memory();
	vcpu_init_stacks();
	boot_attach(curcpu());
	boot_go_online();
	for (unsigned i = 1; i < sim.cpus; i++) {
		boot_attach(&boot_cpu[i]);
		boot_md[i].vc_entry = boot_ap;
		runtime_start(&boot_md[i], boot_ap);
		while (!cpu_online(&boot_cpu[i]))
			machine_pause();
	}
	if (kthread_create(PRI_KERNEL, KTHREAD_MPSAFE, curcpu(), boot_thread, NULL, NULL, "main") !=
	    0)
		sim_fail("no memory for the main thread");
	sched_start();
}

void
boot_kernel(void (*main)(void))
{
	boot_main = main;
	for (unsigned i = 0; i < sim.cpus; i++) {
		boot_cpu[i] = (struct cpu_info){
			.ci_self = &boot_cpu[i], .ci_apicid = i, .ci_md = &boot_md[i]
		};
		boot_md[i].vc_ci = &boot_cpu[i];
	}
	engine_boot(&boot_md[0], boot_first);
}
