/*
 * What the toy takes from the host: memory, text, the end; and counters, sets of CPUs.
 */
#include <stdarg.h>
#include <stdlib.h>

#include "kernel/cpu.h"
#include "kernel/evcnt.h"
#include "kernel/kmem.h"
#include "kernel/ksyms.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"

#define TOY_PAGES 1048576u

static struct evcnt *toy_counters;
static size_t toy_pages = TOY_PAGES;

/* --- memory ----------------------------------------------------------------------------------- */

void *
kmem_boot_alloc(size_t bytes)
{
	size_t size = (bytes + CACHE_LINE_BYTES - 1) / CACHE_LINE_BYTES * CACHE_LINE_BYTES;
	void *memory = aligned_alloc(CACHE_LINE_BYTES, size);

	KASSERTMSG(memory != NULL, "toy: no memory");
	return memset(memory, 0, size);
}

void *
kmem_page_alloc(size_t pages)
{
	toy_pages -= pages;
	return kmem_boot_alloc(pages * PAGE_BYTES);
}

void
kmem_page_free(void *memory, size_t pages)
{
	toy_pages += pages;
	free(memory);
}

size_t
kmem_pages_free(void)
{
	return toy_pages;
}

/* --- counters --------------------------------------------------------------------------------- */

void
evcnt_attach_dynamic(struct evcnt *ev, int type __attribute__((unused)),
    const struct evcnt *parent __attribute__((unused)), const char *group, const char *name)
{
	ev->ev_group = group;
	ev->ev_name = name;
	ev->ev_next = toy_counters;
	toy_counters = ev;
}

void
evcnt_attach_sum(
    struct evcnt *ev, int type, const char *group, const char *name, uint64_t (*sum)(void))
{
	ev->ev_sum = sum;
	evcnt_attach_dynamic(ev, type, NULL, group, name);
}

void
evcnt_increment(struct evcnt *ev)
{
	atomic_fetch_add_explicit(&ev->ev_count, 1, memory_order_relaxed);
}

uint64_t
evcnt_read(const struct evcnt *ev)
{
	return ev->ev_sum != NULL ? ev->ev_sum()
				  : atomic_load_explicit(&ev->ev_count, memory_order_relaxed);
}

void
evcnt_foreach(void (*visit)(const struct evcnt *, void *arg), void *arg)
{
	for (const struct evcnt *ev = toy_counters; ev != NULL; ev = ev->ev_next)
		visit(ev, arg);
}

/* --- the end, and words for it ---------------------------------------------------------------- */

void
panic(const char *fmt, ...)
{
	va_list ap;

	printf("panic: CPU %u: ", curcpu()->ci_index);
	va_start(ap, fmt);
	vprintf(fmt, ap);
	va_end(ap);
	printf("\n");
	fflush(stdout);
	_Exit(2);
}

/* The debugger of the host knows better. */
void
panic_establish(void (*note)(void) __attribute__((unused)))
{
}

/* A panic ends all CPUs. */
void
panic_stop_here(void)
{
}

const char *
ksyms_format(uintptr_t pc, char text[KSYMS_TEXT_BYTES])
{
	snprintf(text, KSYMS_TEXT_BYTES, "%#lx", (unsigned long)pc);
	return text;
}

unsigned
machine_backtrace(const struct trapframe *frame __attribute__((unused)),
    uintptr_t *pc __attribute__((unused)), unsigned n __attribute__((unused)))
{
	return 0;
}

bool
machine_hypervisor(void)
{
	return false;
}

/* --- sets ------------------------------------------------------------------------------------- */

void
cpuset_zero(struct cpuset *set)
{
	memset(set, 0, sizeof(*set));
}

void
cpuset_add(struct cpuset *set, unsigned cpu)
{
	set->cs_word[cpu / 64] |= UINT64_C(1) << cpu % 64;
}

void
cpuset_remove(struct cpuset *set, unsigned cpu)
{
	set->cs_word[cpu / 64] &= ~(UINT64_C(1) << cpu % 64);
}

bool
cpuset_has(const struct cpuset *set, unsigned cpu)
{
	return cpu < MAXCPUS && (set->cs_word[cpu / 64] >> cpu % 64 & 1) != 0;
}

bool
cpuset_empty(const struct cpuset *set)
{
	return cpuset_first(set) == CPUSET_END;
}

static unsigned
toy_cpuset_from(const struct cpuset *set, unsigned cpu)
{
	while (cpu < MAXCPUS && !cpuset_has(set, cpu))
		cpu++;
	return cpu;
}

unsigned
cpuset_count(const struct cpuset *set)
{
	unsigned n = 0;

	for (unsigned word = 0; word < CPUSET_WORDS; word++)
		n += (unsigned)__builtin_popcountll(set->cs_word[word]);
	return n;
}

unsigned
cpuset_first(const struct cpuset *set)
{
	return toy_cpuset_from(set, 0);
}

unsigned
cpuset_next(const struct cpuset *set, unsigned after)
{
	return toy_cpuset_from(set, after + 1);
}
