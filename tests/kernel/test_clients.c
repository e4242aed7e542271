/*
 * What uses cross calls: TLB shootdown, counters of each CPU, patching of kernel text.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clients/pcounter.h"
#include "kernel/clients/text.h"
#include "kernel/clients/tlb.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"
#include "xcall/xcall.h"

#define CLIENTS_CPUS_MAX 64u

static unsigned
clients_ncpu(void)
{
	return ncpu < CLIENTS_CPUS_MAX ? ncpu : CLIENTS_CPUS_MAX;
}

/* --- TLB shootdown ---------------------------------------------------------------------------- */

#define TLB_ROUNDS 60u

/* Two windows, changed in turns.  Each page holds its number; whoever has seen a number announced
 * for a window must not see an older page there. */
static struct tlb_test {
	uintptr_t window[2];
	_Atomic uint64_t announced[2];
	_Atomic uint64_t stale, looks;
	_Atomic bool stop;
} tlb_test;

static void
tlb_reader(void *arg __attribute__((unused)))
{
	uint64_t at_least, seen;

	for (unsigned i = 0; !atomic_load_explicit(&tlb_test.stop, memory_order_relaxed); i ^= 1) {
		at_least = atomic_load_explicit(&tlb_test.announced[i], memory_order_acquire);
		seen = atomic_load_explicit(
		    (const _Atomic uint64_t *)tlb_test.window[i], memory_order_relaxed);
		if (seen < at_least)
			atomic_fetch_add_explicit(&tlb_test.stale, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&tlb_test.looks, 1, memory_order_relaxed);
		machine_pause();
	}
}

/* Puts the page, with that number, into the window whose turn it is. */
static void
tlb_put(void *page, uint64_t number)
{
	atomic_store_explicit((_Atomic uint64_t *)page, number, memory_order_relaxed);
	tlb_remap(tlb_test.window[number % 2], page);
	atomic_store_explicit(&tlb_test.announced[number % 2], number, memory_order_release);
}

static bool
tlb_begin(void *page[4])
{
	for (unsigned i = 0; i < 4; i++)
		page[i] = kmem_page_alloc(1);
	for (unsigned i = 0; i < 2; i++) {
		/* Windows are for ever: they are made once. */
		if (tlb_test.window[i] == 0)
			tlb_test.window[i] = machine_window_alloc();
		atomic_store_explicit(&tlb_test.announced[i], 0, memory_order_relaxed);
	}
	atomic_store_explicit(&tlb_test.stale, 0, memory_order_relaxed);
	atomic_store_explicit(&tlb_test.stop, false, memory_order_relaxed);
	return tlb_test.window[0] != 0 && tlb_test.window[1] != 0 && page[0] != NULL &&
	    page[1] != NULL && page[2] != NULL && page[3] != NULL;
}

static void
tlb_end(void *page[4])
{
	tlb_remap(tlb_test.window[0], NULL);
	tlb_remap(tlb_test.window[1], NULL);
	for (unsigned i = 0; i < 4; i++)
		kmem_page_free(page[i], 1);
}

TEST_CASE(clients, no_cpu_sees_a_page_that_was_shot_down)
{
	static struct crew_job job[CLIENTS_CPUS_MAX];
	void *page[4];

	T_ASSERT(tlb_begin(page));
	tlb_put(page[0], 0);
	tlb_put(page[1], 1);
	for (unsigned i = 1; i < clients_ncpu(); i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, tlb_reader, NULL);
	for (unsigned i = 2; i < TLB_ROUNDS; i++) {
		uint64_t looks = atomic_load_explicit(&tlb_test.looks, memory_order_relaxed);

		/* Somebody has both old translations. */
		if (ncpu > 1)
			T_ASSERT(test_wait_at_least(&tlb_test.looks, looks + 2));
		tlb_put(page[i % 4], i);
	}
	atomic_store_explicit(&tlb_test.stop, true, memory_order_relaxed);
	for (unsigned i = 1; i < clients_ncpu(); i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	tlb_end(page);
	T_ASSERT_EQ(atomic_load_explicit(&tlb_test.stale, memory_order_relaxed), 0);
}

/* Looks once, on the CPU. */
static void
tlb_look(void *arg1, void *arg2 __attribute__((unused)))
{
	*(uint64_t *)arg1 = atomic_load_explicit(
	    (const _Atomic uint64_t *)tlb_test.window[1], memory_order_relaxed);
}

/* A CPU that was away has forgotten what it knew; nobody waits for it meanwhile. */
TEST_CASE(clients, shootdown_with_a_cpu_offline)
{
	struct cpu_info *ci = cpu_lookup(ncpu - 1);
	void *page[4];
	uint64_t seen = 0;

	if (!plug_begin())
		return;
	T_ASSERT(tlb_begin(page));
	tlb_put(page[0], 11);
	T_ASSERT_EQ(xc_wait(xc_unicast(0, tlb_look, &seen, NULL, ci)), 0);
	T_ASSERT_EQ(seen, 11);
	T_ASSERT(plug_set(ci, false));
	tlb_put(page[1], 13);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT_EQ(xc_wait(xc_unicast(0, tlb_look, &seen, NULL, ci)), 0);
	T_ASSERT_EQ(seen, 13);
	tlb_end(page);
}

#define MANY_PAGES 40u

static _Atomic uint64_t many_stale;

static void
many_look(void *arg1, void *arg2)
{
	uintptr_t *window = arg1;

	for (unsigned i = 0; i < MANY_PAGES; i++)
		if (*(const uint64_t *)window[i] != (uintptr_t)arg2)
			atomic_fetch_add_explicit(&many_stale, 1, memory_order_relaxed);
}

/* One shootdown for many pages: all of them, on all CPUs. */
TEST_CASE(clients, shootdown_of_many_pages)
{
	static uintptr_t window[MANY_PAGES];
	uint64_t *page[2] = { kmem_page_alloc(1), kmem_page_alloc(1) };

	T_ASSERT(page[0] != NULL && page[1] != NULL);
	atomic_store_explicit(&many_stale, 0, memory_order_relaxed);
	for (unsigned i = 0; i < MANY_PAGES; i++) {
		window[i] = machine_window_alloc();
		T_ASSERT(window[i] != 0 && (i == 0 || window[i] > window[i - 1]));
	}
	for (uintptr_t n = 0; n < 6; n++) {
		*page[n % 2] = n;
		for (unsigned i = 0; i < MANY_PAGES; i++)
			machine_window_map(window[i], page[n % 2]);
		tlb_shootdown(window[0], (window[MANY_PAGES - 1] - window[0]) / PAGE_BYTES + 1);
		T_ASSERT_EQ(xc_wait(xc_broadcast(0, many_look, window, (void *)n)), 0);
	}
	for (unsigned i = 0; i < MANY_PAGES; i++)
		machine_window_map(window[i], NULL);
	tlb_shootdown(window[0], (window[MANY_PAGES - 1] - window[0]) / PAGE_BYTES + 1);
	kmem_page_free(page[0], 1);
	kmem_page_free(page[1], 1);
	T_ASSERT_EQ(atomic_load_explicit(&many_stale, memory_order_relaxed), 0);
}

/* --- counters --------------------------------------------------------------------------------- */

#define COUNTER_TAKES 60u
#define COUNTER_ADDS 2000u

static struct pcounter *counter_test;
static _Atomic bool counter_stop;
static _Atomic uint64_t counter_added;

static void
counter_interrupt(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	pcounter_add(counter_test, 1);
}

/* In the thread and, by a hard call to this CPU, on top of it. */
static void
counter_adder(void *arg __attribute__((unused)))
{
	uint64_t added = 0;

	while (!atomic_load_explicit(&counter_stop, memory_order_relaxed)) {
		for (unsigned i = 0; i < COUNTER_ADDS; i++)
			pcounter_add(counter_test, 1);
		T_ASSERT_EQ(
		    xc_wait(xc_unicast(XC_HARD, counter_interrupt, NULL, NULL, curcpu())), 0);
		added += COUNTER_ADDS + 1;
		kthread_yield();
	}
	atomic_fetch_add_explicit(&counter_added, added, memory_order_relaxed);
}

TEST_CASE(clients, takes_of_a_counter_lose_nothing)
{
	static struct crew_job job[CLIENTS_CPUS_MAX];
	uint64_t sum = 0, some = 0, all, last;

	if (counter_test == NULL)
		counter_test = pcounter_create();
	(void)pcounter_take(counter_test);
	atomic_store_explicit(&counter_stop, false, memory_order_relaxed);
	atomic_store_explicit(&counter_added, 0, memory_order_relaxed);
	for (unsigned i = 0; i < clients_ncpu(); i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, counter_adder, NULL);
	for (unsigned i = 0; i < COUNTER_TAKES; i++) {
		last = pcounter_take(counter_test);
		sum += last;
		some += last != 0;
		kthread_yield();
	}
	atomic_store_explicit(&counter_stop, true, memory_order_relaxed);
	for (unsigned i = 0; i < clients_ncpu(); i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	all = atomic_load_explicit(&counter_added, memory_order_relaxed);
	T_ASSERT(some > COUNTER_TAKES / 4);
	T_ASSERT_EQ(pcounter_read(counter_test) + sum, all);
	T_ASSERT_EQ(pcounter_take(counter_test) + sum, all);
	T_ASSERT_EQ(pcounter_read(counter_test), 0);
}

static void
counter_add_five(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	pcounter_add(counter_test, 5);
}

/* What a CPU has counted before it went is read, and taken when it is back. */
TEST_CASE(clients, counter_of_an_offline_cpu)
{
	struct cpu_info *ci = cpu_lookup(ncpu - 1);

	if (!plug_begin())
		return;
	if (counter_test == NULL)
		counter_test = pcounter_create();
	(void)pcounter_take(counter_test);
	pcounter_add(counter_test, 2);
	T_ASSERT_EQ(xc_wait(xc_unicast(0, counter_add_five, NULL, NULL, ci)), 0);
	T_ASSERT(plug_set(ci, false));
	T_ASSERT_EQ(pcounter_read(counter_test), 7);
	T_ASSERT_EQ(pcounter_take(counter_test), 2);
	T_ASSERT_EQ(pcounter_read(counter_test), 5);
	T_ASSERT(plug_set(ci, true));
	T_ASSERT_EQ(pcounter_take(counter_test), 5);
	T_ASSERT_EQ(pcounter_read(counter_test), 0);
}

/* --- kernel text ------------------------------------------------------------------------------ */

#define TEXT_BEFORE 0x12345678u
#define TEXT_AFTER 0x23456789u
#define TEXT_ROUNDS 16u

/* Loads a constant, which is what is patched. */
static uint32_t __attribute__((noinline)) text_probe(void)
{
	/* volatile: not folded into the callers. */
	volatile uint32_t constant = TEXT_BEFORE;

	return constant;
}

static struct text_test {
	_Atomic uint64_t looks, wrong;
	_Atomic uint32_t expected; /* on every CPU */
	_Atomic bool stop;
} text_test;

static void
text_reader(void *arg __attribute__((unused)))
{
	uint32_t seen;

	while (!atomic_load_explicit(&text_test.stop, memory_order_relaxed)) {
		seen = text_probe();
		if (seen != TEXT_BEFORE && seen != TEXT_AFTER)
			atomic_fetch_add_explicit(&text_test.wrong, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&text_test.looks, 1, memory_order_relaxed);
		machine_pause();
	}
}

static void
text_check(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	if (text_probe() != atomic_load_explicit(&text_test.expected, memory_order_relaxed))
		atomic_fetch_add_explicit(&text_test.wrong, 1, memory_order_relaxed);
}

/* Where the constant stands in the code; 0: nowhere. */
static uintptr_t
text_find(void)
{
	const uint32_t constant = TEXT_BEFORE;
	uintptr_t at = (uintptr_t)text_probe;

	for (unsigned i = 0; i < 32; i++)
		if (memcmp((const void *)(at + i), &constant, sizeof(constant)) == 0)
			return at + i;
	return 0;
}

TEST_CASE(clients, patched_text_runs_everywhere)
{
	static struct crew_job job[CLIENTS_CPUS_MAX];
	uint32_t constant[2] = { TEXT_BEFORE, TEXT_AFTER };
	uintptr_t at = text_find();

	T_ASSERT(at != 0);
	atomic_store_explicit(&text_test.stop, false, memory_order_relaxed);
	atomic_store_explicit(&text_test.wrong, 0, memory_order_relaxed);
	for (unsigned i = 1; i < clients_ncpu(); i++)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, text_reader, NULL);
	for (unsigned i = 0; i < TEXT_ROUNDS; i++) {
		T_ASSERT_EQ(
		    text_patch(at, &constant[i % 2], &constant[(i + 1) % 2], sizeof(uint32_t)), 0);
		atomic_store_explicit(
		    &text_test.expected, constant[(i + 1) % 2], memory_order_relaxed);
		T_ASSERT_EQ(xc_wait(xc_broadcast(0, text_check, NULL, NULL)), 0);
	}
	atomic_store_explicit(&text_test.stop, true, memory_order_relaxed);
	for (unsigned i = 1; i < clients_ncpu(); i++) {
		T_ASSERT(test_wait_at_least(&job[i].done, 1));
		crew_join(&job[i]);
	}
	T_ASSERT_EQ(atomic_load_explicit(&text_test.wrong, memory_order_relaxed), 0);
	T_ASSERT_EQ(text_patch(at, &constant[1], &constant[0], sizeof(uint32_t)), EBUSY);
	T_ASSERT_EQ(text_patch((uintptr_t)&text_test, &constant[0], &constant[1], 4), EINVAL);
	T_ASSERT_EQ(text_patch(at, &constant[0], &constant[1], TEXT_PATCH_BYTES + 1), EINVAL);
	T_ASSERT_EQ(text_probe(), TEXT_BEFORE);
}
