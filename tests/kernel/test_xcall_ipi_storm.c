/*
 * ipi(9) in every context and under load: waits that cross each other, mailboxes that are full,
 * everybody to everybody.
 */
#include <stddef.h>

#include "kernel/evcnt.h"
#include "kernel/softint.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/masked.h"
#include "tests/kernel/others.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/xc_internal.h"

/* --- contexts --------------------------------------------------------------------------------- */

static _Atomic uint64_t context_count;

static void
context_count_up(void *arg __attribute__((unused)))
{
	atomic_fetch_add_explicit(&context_count, 1, memory_order_release);
}

struct sender {
	unsigned ipi;
	ipi_msg_t msg;
	_Atomic uint64_t sent;
};

/* To a CPU in turn, so that the message comes where it may. */
static void
context_send(struct sender *sender)
{
	ipi_trigger(sender->ipi, others_last());
	ipi_broadcast(&sender->msg, false);
	atomic_fetch_add_explicit(&sender->sent, 1, memory_order_release);
}

static void
context_soft(void *arg)
{
	context_send(arg);
	ipi_wait(&((struct sender *)arg)->msg);
}

static void
context_call(void *arg1, void *arg2 __attribute__((unused)))
{
	context_soft(arg1);
}

/* Each of them sends, and waits where a wait is legal; the caller waits for all. */
static void
context_check(struct sender *sender, unsigned context)
{
	static struct spinlock lock = SPINLOCK_INIT("context");
	void *softint;
	bool intr;

	switch (context) {
	case 0:
		spinlock_enter(&lock);
		context_send(sender);
		spinlock_exit(&lock);
		break;
	case 1:
		kpreempt_disable();
		context_soft(sender);
		kpreempt_enable();
		break;
	case 2:
		intr = machine_intr_disable();
		context_soft(sender);
		machine_intr_restore(intr);
		break;
	case 3:
		softint = softint_establish(SOFTINT_NET, context_soft, sender);
		softint_schedule(softint);
		softint_disestablish(softint);
		break;
	case 4:
		T_ASSERT_EQ(xc_wait(xc_unicast(XC_HARD, context_call, sender, NULL, curcpu())), 0);
		break;
	default:
		T_ASSERT_EQ(xc_wait(xc_unicast(0, context_call, sender, NULL, others_last())), 0);
		break;
	}
}

TEST_CASE(xcall_ipi_storm, sends_and_waits_in_every_context)
{
	struct sender sender = { .msg = { .func = context_count_up } };

	sender.ipi = ipi_register(context_count_up, NULL);
	for (unsigned context = 0; context < 6; context++) {
		atomic_store_explicit(&context_count, 0, memory_order_relaxed);
		atomic_store_explicit(&sender.sent, 0, memory_order_relaxed);
		context_check(&sender, context);
		ipi_wait(&sender.msg);
		T_ASSERT_EQ(atomic_load_explicit(&sender.sent, memory_order_acquire), 1);
		T_ASSERT(test_wait_at_least(&context_count, 1 + ncpu));
		T_ASSERT_EQ(atomic_load_explicit(&context_count, memory_order_acquire), 1 + ncpu);
	}
	ipi_unregister(sender.ipi);
}

/* --- the counter ------------------------------------------------------------------------------ */

static void
full_visit(const struct evcnt *ev, void *arg)
{
	if (strcmp(ev->ev_group, "ipi") == 0 && strcmp(ev->ev_name, "full") == 0)
		*(uint64_t *)arg = evcnt_read(ev);
}

/* How often a mailbox was full. */
static uint64_t
full_count(void)
{
	uint64_t n = UINT64_MAX;

	evcnt_foreach(full_visit, &n);
	return n;
}

/* --- waits that cross ------------------------------------------------------------------------- */

/* Of all CPUs together: where they share a host's, each wait costs a turn of the others. */
#define CROSS_ROUNDS 48

static unsigned
cross_rounds(void)
{
	return 1 + CROSS_ROUNDS / ncpu;
}

struct cross {
	_Atomic uint64_t ready, ran;
	bool hard; /* with interrupts off */
};

static void
cross_note(void *arg)
{
	atomic_fetch_add_explicit(&((struct cross *)arg)->ran, 1, memory_order_relaxed);
}

static void
cross_thread(void *arg)
{
	struct cpu_info *next = cpu_lookup((curcpu()->ci_index + 1) % ncpu);
	struct cross *cross = arg;
	ipi_msg_t msg = { .func = cross_note, .arg = cross };
	bool intr = cross->hard && machine_intr_disable();

	/* So that all wait at once, none with its interrupts on. */
	atomic_fetch_add_explicit(&cross->ready, 1, memory_order_acq_rel);
	while (atomic_load_explicit(&cross->ready, memory_order_acquire) < ncpu)
		machine_pause();
	for (unsigned i = 0; i < cross_rounds(); i++) {
		ipi_unicast(&msg, next);
		ipi_wait(&msg);
		ipi_broadcast(&msg, false);
		ipi_wait(&msg);
	}
	/* Who is done here may still be waited for. */
	if (cross->hard)
		machine_intr_restore(intr);
}

static void
cross_check(bool hard)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cross cross = { .hard = hard };

	/* The own CPU's last: it lets nobody else run here. */
	for (unsigned i = ncpu; i-- != 0;)
		crew_start(&job[i], cpu_lookup(i), PRI_KERNEL, cross_thread, &cross);
	for (unsigned i = 0; i < ncpu; i++)
		crew_join(&job[i]);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(atomic_load_explicit(&cross.ran, memory_order_relaxed),
	    (uint64_t)cross_rounds() * ncpu * (1 + ncpu));
}

TEST_CASE(xcall_ipi_storm, waits_cross_with_interrupts_off)
{
	cross_check(false);
	cross_check(true);
}

/* A handler sends on, and waits: to the bound of the depth, messages and hard calls in turn. */
struct chain {
	unsigned hops;
	_Atomic uint64_t ran;
};

static void chain_message(void *arg);

static void
chain_hop(struct chain *chain)
{
	struct cpu_info *next = cpu_lookup((curcpu()->ci_index + 1) % ncpu);
	struct chain rest = { .hops = chain->hops - 1 };
	ipi_msg_t msg = { .func = chain_message, .arg = &rest };

	if (chain->hops > 1) {
		ipi_unicast(&msg, next);
		ipi_wait(&msg);
	}
	atomic_store_explicit(&chain->ran,
	    1 + atomic_load_explicit(&rest.ran, memory_order_relaxed), memory_order_relaxed);
}

static void
chain_message(void *arg)
{
	chain_hop(arg);
}

/* Around all CPUs; where there are few, each is as deep as it may be. */
TEST_CASE(xcall_ipi_storm, handlers_send_and_wait_to_the_depth)
{
	struct chain chain = { .hops = XC_DEPTH_MAX * (ncpu < 3 ? ncpu : 3) };
	ipi_msg_t msg = { .func = chain_message, .arg = &chain };
	bool intr;

	ipi_unicast(&msg, curcpu());
	ipi_wait(&msg);
	T_ASSERT_EQ(atomic_load_explicit(&chain.ran, memory_order_relaxed), chain.hops);
	intr = machine_intr_disable();
	ipi_unicast(&msg, curcpu());
	ipi_wait(&msg);
	machine_intr_restore(intr);
	T_ASSERT_EQ(atomic_load_explicit(&chain.ran, memory_order_relaxed), chain.hops);
}

/* What a handler has not come to is served in its own wait: the second message, and the second
 * trigger. */
struct behind {
	unsigned ipi;
	ipi_msg_t first, second;
	_Atomic uint64_t first_in, second_ran, triggered;
	bool in_time;
};

static void
behind_first(void *arg)
{
	struct behind *behind = arg;

	atomic_store_explicit(&behind->first_in, 1, memory_order_release);
	/* Sent to this CPU before it came here, with one interrupt for all. */
	ipi_wait(&behind->second);
	behind->in_time = atomic_load_explicit(&behind->second_ran, memory_order_relaxed) == 1 &&
	    atomic_load_explicit(&behind->triggered, memory_order_relaxed) == 1;
}

static void
behind_second(void *arg)
{
	atomic_fetch_add_explicit(&((struct behind *)arg)->second_ran, 1, memory_order_relaxed);
}

static void
behind_trigger(void *arg)
{
	atomic_fetch_add_explicit(&((struct behind *)arg)->triggered, 1, memory_order_relaxed);
}

TEST_CASE(xcall_ipi_storm, a_wait_serves_what_came_with_it)
{
	struct cpu_info *ci = others_last();
	struct behind behind = { .first = { .func = behind_first, .arg = &behind },
		.second = { .func = behind_second, .arg = &behind } };
	struct masked masked;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	behind.ipi = ipi_register(behind_trigger, &behind);
	masked_begin(&masked, ci);
	ipi_unicast(&behind.first, ci);
	ipi_unicast(&behind.second, ci);
	ipi_trigger(behind.ipi, ci);
	masked_end(&masked);
	ipi_wait(&behind.first);
	ipi_unregister(behind.ipi);
	T_ASSERT(behind.in_time);
}

/* --- full mailboxes --------------------------------------------------------------------------- */

#define FULL_MESSAGES 40

struct full {
	ipi_msg_t msg[FULL_MESSAGES];
	_Atomic uint64_t ran, sent;
	struct cpu_info *to;
};

static void
full_note(void *arg)
{
	atomic_fetch_add_explicit(&((struct full *)arg)->ran, 1, memory_order_relaxed);
}

static void
full_sender(void *arg)
{
	struct full *full = arg;

	for (unsigned i = 0; i < FULL_MESSAGES; i++) {
		full->msg[i].func = full_note;
		full->msg[i].arg = full;
		ipi_unicast(&full->msg[i], full->to);
		atomic_fetch_add_explicit(&full->sent, 1, memory_order_release);
	}
	for (unsigned i = 0; i < FULL_MESSAGES; i++)
		ipi_wait(&full->msg[i]);
}

/* The senders wait for room, and the counter tells. */
TEST_CASE(xcall_ipi_storm, a_full_mailbox_is_waited_for)
{
	uint64_t before = full_count(), stuck = 0, ran = 0;
	struct crew_job *job;
	struct masked masked;
	struct full *full;

	if (ncpu == 1) {
		test_skip("needs another CPU");
		return;
	}
	full = crew_alloc(ncpu, sizeof(*full));
	job = crew_alloc(ncpu, sizeof(*job));
	masked_begin(&masked, others_last());
	for (unsigned i = 1; i < ncpu; i++) {
		full[i].to = others_last();
		crew_start(&job[i], cpu_lookup(i - 1), PRI_USER, full_sender, &full[i]);
	}
	kthread_sleep_ns(30000000);
	for (unsigned i = 1; i < ncpu; i++)
		stuck += atomic_load_explicit(&full[i].sent, memory_order_acquire);
	masked_end(&masked);
	for (unsigned i = 1; i < ncpu; i++) {
		crew_join(&job[i]);
		ran += atomic_load_explicit(&full[i].ran, memory_order_relaxed);
	}
	crew_free(job, ncpu, sizeof(*job));
	crew_free(full, ncpu, sizeof(*full));
	T_ASSERT(stuck <= 8);
	T_ASSERT_EQ(ran, (uint64_t)FULL_MESSAGES * (ncpu - 1));
	T_ASSERT(before != UINT64_MAX && full_count() > before);
}

/* --- everybody to everybody ------------------------------------------------------------------- */

/* Of all CPUs together. */
#define STORM_ROUNDS 24
#define STORM_BATCH 12

/* ledger[(sender * messages + message) * ncpu + target]: how often it ran there. */
static _Atomic uint8_t *storm_ledger;

static unsigned
storm_rounds(void)
{
	return 1 + STORM_ROUNDS / ncpu;
}

static unsigned
storm_messages(void)
{
	return storm_rounds() * STORM_BATCH;
}

static void
storm_note(void *arg)
{
	atomic_fetch_add_explicit(
	    &storm_ledger[(uintptr_t)arg * ncpu + curcpu()->ci_index], 1, memory_order_relaxed);
}

/* One CPU, or all but the sender's, or all. */
static void
storm_send(ipi_msg_t *msg, uint64_t random)
{
	if (random % 4 != 0)
		ipi_unicast(msg, cpu_lookup((unsigned)(random / 4 % ncpu)));
	else
		ipi_broadcast(msg, random / 4 % 2 == 0);
}

static bool
storm_expected(unsigned sender, unsigned target, uint64_t random)
{
	if (random % 4 != 0)
		return target == random / 4 % ncpu;
	return random / 4 % 2 != 0 || target != sender;
}

static uint64_t
storm_seed(unsigned sender)
{
	return 0x9e3779b97f4a7c15 * (sender + 1);
}

/* Every other CPU has its interrupts off all the time. */
static void
storm_thread(void *arg __attribute__((unused)))
{
	unsigned self = curcpu()->ci_index;
	uint64_t random = storm_seed(self);
	ipi_msg_t msg[STORM_BATCH];
	bool intr = self % 2 == 0 && machine_intr_disable();

	for (uintptr_t round = 0; round < storm_rounds(); round++) {
		for (uintptr_t i = 0; i < STORM_BATCH; i++) {
			msg[i].func = storm_note;
			msg[i].arg = (void *)((self * storm_rounds() + round) * STORM_BATCH + i);
			storm_send(&msg[i], crew_random(&random));
		}
		for (unsigned i = 0; i < STORM_BATCH; i++)
			ipi_wait(&msg[i]);
	}
	if (self % 2 == 0)
		machine_intr_restore(intr);
}

static unsigned
storm_count_wrong(void)
{
	unsigned wrong = 0;

	for (unsigned sender = 0; sender < ncpu; sender++) {
		uint64_t random = storm_seed(sender);

		for (unsigned i = 0; i < storm_messages(); i++) {
			uint64_t r = crew_random(&random);

			for (unsigned cpu = 0; cpu < ncpu; cpu++)
				wrong +=
				    atomic_load_explicit(
					&storm_ledger[(sender * storm_messages() + i) * ncpu + cpu],
					memory_order_relaxed) != storm_expected(sender, cpu, r);
		}
	}
	return wrong;
}

TEST_CASE(xcall_ipi_storm, every_message_runs_exactly_once)
{
	struct crew_job *job = crew_alloc(ncpu, sizeof(*job));
	struct cpu_info *ci;
	unsigned wrong;

	storm_ledger = crew_alloc(ncpu * storm_messages() * ncpu, 1);
	CPU_INFO_FOREACH(ci)
		crew_start(&job[ci->ci_index], ci, PRI_KERNEL, storm_thread, NULL);
	CPU_INFO_FOREACH(ci)
		crew_join(&job[ci->ci_index]);
	wrong = storm_count_wrong();
	crew_free((void *)(uintptr_t)storm_ledger, ncpu * storm_messages() * ncpu, 1);
	crew_free(job, ncpu, sizeof(*job));
	T_ASSERT_EQ(wrong, 0);
}
