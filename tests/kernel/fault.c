/*
 * Faults of the transport, made on purpose.
 *
 * Background
 *
 * What xcall promises must hold on a transport that loses, delays and doubles, as far as a report
 * and a second announcement can make it hold, and where they cannot, somebody must say so.  Real
 * local APICs fail too seldom to show it.
 *
 * Implementation
 *
 * The kernel sends everything through the operations that `apic` points to.  The first use of a
 * rule puts a copy of them in their place, with sending and the end of interrupts replaced by the
 * functions below; they stay there for the rest of the boot, and pass on what no rule hits.  So the
 * kernel has no hook for this, and a boot without faults runs no instruction of it.
 *
 * What is delayed waits in a table for any CPU that finds it due at the end of one of its
 * interrupts; CPU 0 has ticks in all tests.  There is no lock: who sends may be in an NMI.  An
 * entry belongs to whoever has taken it by compare-and-swap:
 *
 *	FREE -> BUSY	the sender, who fills it in
 *	BUSY -> HELD	the sender, release
 *	HELD -> BUSY	who finds it due, acquire, and sends it
 *	BUSY -> FREE	the same, release
 * A sender that finds no free entry does not delay.
 *
 * Chance is a hash of the rule's place and of how many messages it has met: the same messages in
 * the same order meet the same fate.
 *
 * Limits
 *
 * A message that is delayed comes from the local APIC of another CPU.  "stuck" is what the kernel
 * is told by xapic.c when the status does not clear; that it tells so is a case of its own.
 */
#include "tests/kernel/fault.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cmdline.h"
#include "kernel/cpu.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/x86/apic.h"
#include "tests/kernel/fault_words.h"
#include "tests/kernel/torture_count.h"
#include "xcall/xc_stall.h"

#define FAULT_HELD 64u
#define FAULT_NS_PER_US 1000u

enum { FAULT_FREE, FAULT_BUSY, FAULT_IN };

struct fault_held {
	uint64_t due_ns;
	_Atomic unsigned state;
	uint32_t apic_id;
	enum apic_delivery mode;
	uint8_t vector;
};

/* Release where it is set: pairs with the acquire in fault_meets(): the rules are constant then. */
static _Atomic bool fault_active;
static const struct apic_ops *fault_apic; /* the real one */
static struct apic_ops fault_ops;
static struct fault_held fault_held[FAULT_HELD];
static _Atomic unsigned fault_nheld;

/* --- which rule ------------------------------------------------------------------------------- */

static unsigned
fault_what(enum apic_delivery mode, uint8_t vector)
{
	switch (mode) {
	case APIC_NMI:
		return FAULT_NMI;
	case APIC_INIT:
		return FAULT_INIT;
	case APIC_STARTUP:
		return FAULT_STARTUP;
	case APIC_FIXED:
		break;
	}
	return vector == INTR_VECTOR_XCALL  ? FAULT_CALL
	    : vector == INTR_VECTOR_RESCHED ? FAULT_RESCHED
					    : FAULT_OTHER;
}

static bool
fault_hits(struct fault_rule *rule, unsigned what, uint32_t apic_id)
{
	uint64_t n;

	if ((rule->what & what) == 0 || (rule->to != FAULT_ANYBODY && rule->to != apic_id) ||
	    (rule->by != FAULT_ANYBODY && rule->by != curcpu()->ci_index))
		return false;
	n = atomic_fetch_add_explicit(&rule->met, 1, memory_order_relaxed);
	if (torture_hash(n * FAULT_RULES + (uint64_t)(rule - fault_rules.rule)) % rule->one_in != 0)
		return false;
	n = atomic_fetch_add_explicit(&rule->done, 1, memory_order_relaxed);
	if (rule->max == 0 || n < rule->max)
		return true;
	atomic_fetch_sub_explicit(&rule->done, 1, memory_order_relaxed);
	return false;
}

/* The first rule that hits. */
static const struct fault_rule *
fault_meets(unsigned what, uint32_t apic_id)
{
	if (!atomic_load_explicit(&fault_active, memory_order_acquire))
		return NULL;
	for (unsigned i = 0; i < fault_rules.n; i++)
		if (fault_hits(&fault_rules.rule[i], what, apic_id))
			return &fault_rules.rule[i];
	return NULL;
}

/* --- what comes late -------------------------------------------------------------------------- */

static bool
fault_take(struct fault_held *held, unsigned from)
{
	return atomic_compare_exchange_strong_explicit(
	    &held->state, &from, FAULT_BUSY, memory_order_acquire, memory_order_relaxed);
}

static bool
fault_hold(const struct fault_rule *rule, uint32_t apic_id, enum apic_delivery mode, uint8_t vector)
{
	uint64_t n = atomic_load_explicit(&rule->met, memory_order_relaxed), us;

	for (struct fault_held *held = fault_held; held < fault_held + FAULT_HELD; held++) {
		if (!fault_take(held, FAULT_FREE))
			continue;
		held->apic_id = apic_id;
		held->mode = mode;
		held->vector = vector;
		us = fault_what(mode, vector) == FAULT_STARTUP ? rule->us
							       : torture_hash(~n) % rule->us + 1;
		held->due_ns = clock_ns() + us * FAULT_NS_PER_US;
		atomic_store_explicit(&held->state, FAULT_IN, memory_order_release);
		atomic_fetch_add_explicit(&fault_nheld, 1, memory_order_relaxed);
		return true;
	}
	return false;
}

/* An NMI that comes to a CPU between INIT and its own IDT ends the machine, and none that is sent
 * comes that late. */
static bool
fault_may_go(const struct fault_held *held)
{
	struct cpu_info *ci;

	if (held->mode != APIC_NMI)
		return true;
	CPU_INFO_FOREACH(ci)
		if (ci->ci_apicid == held->apic_id)
			return cpu_online(ci);
	return false;
}

/* Sends what is due by then.  Interrupts off, not in an NMI. */
static void
fault_pump(uint64_t by_ns)
{
	for (struct fault_held *held = fault_held; held < fault_held + FAULT_HELD; held++) {
		if (!fault_take(held, FAULT_IN))
			continue;
		if (held->due_ns > by_ns) {
			atomic_store_explicit(&held->state, FAULT_IN, memory_order_release);
			continue;
		}
		if (fault_may_go(held))
			(void)fault_apic->send(held->apic_id, held->mode, held->vector);
		atomic_fetch_sub_explicit(&fault_nheld, 1, memory_order_relaxed);
		atomic_store_explicit(&held->state, FAULT_FREE, memory_order_release);
	}
}

/* --- in the place of the local APIC's operations ---------------------------------------------- */

/* Of the same kind, to some CPU that runs. */
static void
fault_stray(const struct fault_rule *rule, enum apic_delivery mode, uint8_t vector)
{
	uint64_t n = atomic_load_explicit(&rule->met, memory_order_relaxed);
	const struct cpu_info *ci = cpu_lookup((unsigned)(torture_hash(n) % ncpu));

	if (cpu_online(ci))
		(void)fault_apic->send(ci->ci_apicid, mode, vector);
}

/* Whether that was all; then *sent is what the sender is told. */
static bool
fault_acts(uint32_t apic_id, enum apic_delivery mode, uint8_t vector, bool *sent)
{
	const struct fault_rule *rule = fault_meets(fault_what(mode, vector), apic_id);

	*sent = true;
	if (rule == NULL)
		return false;
	switch (rule->kind) {
	case FAULT_DROP:
		return true;
	case FAULT_STUCK:
		*sent = false;
		return true;
	case FAULT_DELAY:
		return fault_hold(rule, apic_id, mode, vector);
	case FAULT_DOUBLE:
		(void)fault_apic->send(apic_id, mode, vector);
		break;
	case FAULT_SPURIOUS:
		fault_stray(rule, mode, vector);
		break;
	case FAULT_KINDS:
		break;
	}
	return false;
}

/* In bring-up nobody takes interrupts: what is due goes out with the next command. */
static bool
fault_send(uint32_t apic_id, enum apic_delivery mode, uint8_t vector)
{
	bool sent;

	if (mode == APIC_INIT || mode == APIC_STARTUP)
		fault_pump(clock_ns());
	return fault_acts(apic_id, mode, vector, &sent) ? sent
							: fault_apic->send(apic_id, mode, vector);
}

static bool
fault_send_fixed(uint32_t apic_id, uint8_t vector)
{
	bool sent;

	return fault_acts(apic_id, APIC_FIXED, vector, &sent)
	    ? sent
	    : fault_apic->send_fixed(apic_id, vector);
}

static void
fault_write(unsigned reg, uint32_t value)
{
	fault_apic->write(reg, value);
	if (reg == APIC_REG_EOI && atomic_load_explicit(&fault_nheld, memory_order_relaxed) != 0)
		fault_pump(clock_ns());
}

static void
fault_install(void)
{
	if (fault_apic != NULL)
		return;
	fault_apic = apic;
	fault_ops = *apic;
	fault_ops.send = fault_send;
	fault_ops.send_fixed = fault_send_fixed;
	fault_ops.write = fault_write;
	apic = &fault_ops;
	machine_lapic_watched = true;
}

/* --- from and to the tests -------------------------------------------------------------------- */

const char *
fault_begin(const char *rules)
{
	const char *wrong;

	fault_end();
	wrong = fault_words(rules);
	if (wrong != NULL) {
		fault_rules.n = 0;
		return wrong;
	}
	fault_install();
	atomic_store_explicit(&fault_active, true, memory_order_release);
	return NULL;
}

void
fault_end(void)
{
	bool intr;

	/* A sender that is still in fault_acts() may hold one back; the next interrupt sends it. */
	atomic_store_explicit(&fault_active, false, memory_order_release);
	if (fault_apic == NULL)
		return;
	intr = machine_intr_disable();
	fault_pump(UINT64_MAX);
	machine_intr_restore(intr);
}

uint64_t
fault_done(unsigned rule)
{
	return atomic_load_explicit(&fault_rules.rule[rule].done, memory_order_relaxed);
}

void
fault_print(void)
{
	for (unsigned i = 0; i < fault_rules.n; i++)
		printf("fault: %s: %lu of %lu\n", fault_rules.rule[i].text, fault_done(i),
		    atomic_load_explicit(&fault_rules.rule[i].met, memory_order_relaxed));
}

void
fault_boot(void)
{
	static char words[CMDLINE_BYTES];
	const char *wrong;

	if (!cmdline_has("fault"))
		return;
	wrong = cmdline_value("fault", words, sizeof(words)) ? fault_begin(words)
							     : "it has no value";
	if (wrong != NULL)
		panic("fault=: %s", wrong);
}

void
fault_boot_calls(void)
{
	struct xc_stall_settings set;

	if (!cmdline_has("fault"))
		return;
	xc_stall_settings(&set);
	fault_stall_config(set.warn_ns, set.panic_ns, set.resend, set.nmi);
}
