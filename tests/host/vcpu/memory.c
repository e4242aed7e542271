/*
 * Door 1 of the host: memory, windows on it, and kernel text.
 *
 * All memory is one file without a name, so that a page can be seen at two addresses.  The host's
 * own kernel has all of its CPUs forget a mapping that it changes, before it says that it did: an
 * old page is never seen, whatever a virtual CPU forgets or not.  What these functions show here is
 * that the clients' protocols have no race, not that they are needed.
 *
 * The mapping of a window is changed behind the back of the sanitizer, which would take it for a
 * store to the window.
 */
#include "tests/host/vcpu/memory.h"

#include <cpuid.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "tests/host/vcpu/runtime.h"

#define MEMORY_WINDOWS 4096u
/* A window and what keeps it from the next. */
#define MEMORY_WINDOW_STRIDE (UINT64_C(2) * PAGE_BYTES)

static int memory_file;
static uintptr_t memory_start, memory_windows;
static _Atomic unsigned memory_nwindows;

void
memory_init(void)
{
	void *memory, *windows;

	memory_file = memfd_create("memory", MFD_CLOEXEC);
	if (memory_file < 0 || ftruncate(memory_file, VCPU_MEMORY_BYTES) != 0)
		panic("no memory from the host");
	memory = mmap(NULL, VCPU_MEMORY_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, memory_file, 0);
	windows = mmap(NULL, MEMORY_WINDOWS * MEMORY_WINDOW_STRIDE, PROT_NONE,
	    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED || windows == MAP_FAILED)
		panic("no addresses from the host");
	memory_start = (uintptr_t)memory;
	memory_windows = (uintptr_t)windows;
	kmem_add(memory_start, memory_start + VCPU_MEMORY_BYTES);
}

uintptr_t
machine_window_alloc(void)
{
	/* Relaxed: only that no two get the same. */
	unsigned n = atomic_fetch_add_explicit(&memory_nwindows, 1, memory_order_relaxed);

	return n < MEMORY_WINDOWS ? memory_windows + n * MEMORY_WINDOW_STRIDE : 0;
}

void
machine_window_map(uintptr_t window, void *page)
{
	long result;

	KASSERTMSG(
	    (window - memory_windows) % MEMORY_WINDOW_STRIDE == 0, "%#lx is no window", window);
	if (page != NULL)
		result = syscall(SYS_mmap, window, PAGE_BYTES, PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_FIXED, memory_file, (uintptr_t)page - memory_start);
	else
		result = syscall(SYS_mmap, window, PAGE_BYTES, PROT_NONE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0L);
	KASSERTMSG(result == (long)window, "%#lx", window);
}

/* The host's kernel has seen to it. */
void
machine_tlb_invalidate(uintptr_t address, size_t npages)
{
	(void)address;
	(void)npages;
}

/* Not by memcpy(): the sanitizer keeps no record of text, and none can be made. */
void
machine_text_write(uintptr_t address, const void *bytes, size_t length)
{
	uintptr_t first = address / PAGE_BYTES * PAGE_BYTES;
	size_t span = address + length - first;

	KASSERT(!machine_intr_enabled());
	if (mprotect((void *)first, span, PROT_READ | PROT_WRITE | PROT_EXEC) != 0)
		panic("the host does not let its text be written");
	__asm__ volatile("rep movsb" : "+D"(address), "+S"(bytes), "+c"(length) : : "memory");
	if (mprotect((void *)first, span, PROT_READ | PROT_EXEC) != 0)
		panic("the host does not let its text be closed");
}

/* CPUID serialises: instructions are fetched anew after it (SDM vol. 3, 9.3 and 9.1.3). */
void
machine_text_sync(void)
{
	unsigned a, b, c, d;

	__cpuid(0, a, b, c, d);
	(void)(a + b + c + d);
}
