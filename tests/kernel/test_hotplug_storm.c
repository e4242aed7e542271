/*
 * Cross calls of every kind from all CPUs to one that goes and comes meanwhile, with a ledger: what
 * was posted runs exactly once, what was refused never.
 */
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/errno.h"
#include "kernel/ipl.h"
#include "kernel/printf.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/plug.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/xc_call.h"
#include "xcall/xcall.h"

/* Of all victims together. */
#define STORM_CYCLES 32
/* Calls that a poster has outstanding. */
#define STORM_WINDOW 12
/* A barrier, or a drain, once in so many calls. */
#define STORM_BARRIER 61

/* Tickets, a descriptor of the caller's, a message of ipi(9). */
enum storm_kind {
	STORM_UNICAST,
	STORM_BROADCAST,
	STORM_MULTICAST,
	STORM_DESCRIPTOR,
	STORM_MESSAGE,
	STORM_KINDS
};

struct storm_call {
	enum storm_kind kind;
	uint64_t where;         /* STORM_DESCRIPTOR: 0, or as XC_ERROR() */
	uint64_t before, after; /* storm_sequence around the post */
	struct xc_call descriptor;
	ipi_msg_t message;
	_Atomic uint8_t *ran; /* a count a CPU */
};

struct storm_poster {
	struct crew_job job;
	unsigned number;
	struct storm_call call[STORM_WINDOW];
	struct cpuset set; /* the victim and this CPU */
};

static struct cpu_info *storm_victim;
/* Modulo 4: 0, online; 1, on its way out; 2, offline; 3, on its way in. */
static _Atomic uint64_t storm_sequence;
static _Atomic uint64_t storm_stop, storm_accepted, storm_refused, storm_offline_seen;
static _Atomic uint64_t storm_nested_accepted, storm_nested_ran, storm_nested_refused;

static void
storm_add(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static uint64_t
storm_get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* --- the functions ---------------------------------------------------------------------------- */

static void
storm_nested(void *arg1 __attribute__((unused)), void *arg2 __attribute__((unused)))
{
	storm_add(&storm_nested_ran);
}

/* Posts on, from whatever context that is; where there is no room, or the CPU is on its way out, it
 * is told so. */
static void
storm_post_on(unsigned flags, unsigned cpu)
{
	uint64_t where = xc_unicast(flags | XC_TRY, storm_nested, NULL, NULL, cpu_lookup(cpu));

	if (!XC_ISERR(where)) {
		storm_add(&storm_nested_accepted);
		return;
	}
	if (XC_ERRNO(where) != EHOSTDOWN && XC_ERRNO(where) != EBUSY)
		test_fail_eq(__FILE__, __LINE__, "why a nested post is refused",
		    (uint64_t)XC_ERRNO(where), EHOSTDOWN);
	storm_add(&storm_nested_refused);
}

static void
storm_run(void *arg1, void *arg2)
{
	_Atomic uint8_t *ran = arg1;
	uintptr_t mode = (uintptr_t)arg2;

	atomic_fetch_add_explicit(&ran[curcpu()->ci_index], 1, memory_order_relaxed);
	if (cpu_nmi_p())
		return;
	if (mode % 8 == 0)
		storm_post_on(0, (unsigned)(mode / 8 % ncpu));
	else if (mode % 8 == 1)
		storm_post_on(XC_HARD, (unsigned)(mode / 8 % ncpu));
}

static void
storm_message(void *arg)
{
	_Atomic uint8_t *ran = arg;

	atomic_fetch_add_explicit(&ran[curcpu()->ci_index], 1, memory_order_relaxed);
}

/* --- a poster --------------------------------------------------------------------------------- */

static unsigned
storm_flags(uint64_t random)
{
	const unsigned flags[] = { 0, 0, XC_LAZY, XC_HARD, XC_HARD, XC_HARD | XC_LAZY, XC_HIGHPRI,
		XC_HIGHPRI_IPL(IPL_SOFTCLOCK), XC_NMI };

	return flags[random % (sizeof(flags) / sizeof(flags[0]))];
}

static void
storm_post(struct storm_poster *p, struct storm_call *call, enum storm_kind kind, unsigned flags,
    void *mode)
{
	int error;

	call->kind = kind;
	call->where = 0;
	/* Sequentially consistent, here and in storm_cycle(): the post lies between the two. */
	call->before = atomic_load_explicit(&storm_sequence, memory_order_seq_cst);
	switch (call->kind) {
	case STORM_BROADCAST:
		call->where = xc_broadcast(flags, storm_run, call->ran, mode);
		break;
	case STORM_MULTICAST:
		call->where = xc_multicast(flags, storm_run, call->ran, mode, &p->set);
		break;
	case STORM_DESCRIPTOR:
		xc_call_init(&call->descriptor, storm_run, call->ran, mode);
		error = xc_call_post(
		    &call->descriptor, flags == XC_NMI ? XC_HARD : flags, storm_victim);
		call->where = error != 0 ? XC_ERROR(error) : 0;
		break;
	case STORM_MESSAGE:
		call->message.func = storm_message;
		call->message.arg = (void *)(uintptr_t)call->ran;
		ipi_unicast(&call->message, storm_victim);
		break;
	default:
		call->where = xc_unicast(flags, storm_run, call->ran, mode, storm_victim);
		break;
	}
	call->after = atomic_load_explicit(&storm_sequence, memory_order_seq_cst);
}

/* How often it must have run there; 2 when that cannot be told. */
static unsigned
storm_expected(const struct storm_poster *p, const struct storm_call *call, unsigned cpu)
{
	bool one = call->kind == STORM_UNICAST || call->kind == STORM_DESCRIPTOR;

	if (XC_ISERR(call->where))
		return 0;
	if (cpu != storm_victim->ci_index)
		return call->kind == STORM_BROADCAST ||
		    (call->kind == STORM_MULTICAST && cpuset_has(&p->set, cpu));
	if (one)
		return 1;
	if (call->before != call->after || call->before % 2 != 0)
		return 2;
	return call->before % 4 == 0;
}

/* Waits for the call, compares the ledger, and clears it. */
static void
storm_settle(struct storm_poster *p, struct storm_call *call)
{
	if (XC_ISERR(call->where)) {
		T_ASSERT_EQ(XC_ERRNO(call->where), EHOSTDOWN);
		T_ASSERT(call->before % 4 != 0 || call->before != call->after);
		storm_add(&storm_refused);
	} else if (call->kind == STORM_MESSAGE) {
		ipi_wait(&call->message);
	} else {
		T_ASSERT_EQ(call->kind == STORM_DESCRIPTOR ? xc_call_wait(&call->descriptor)
							   : xc_wait(call->where),
		    0);
		if (call->kind == STORM_UNICAST || call->kind == STORM_DESCRIPTOR)
			storm_add(&storm_accepted);
	}
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		unsigned expected = storm_expected(p, call, cpu);
		unsigned ran = atomic_exchange_explicit(&call->ran[cpu], 0, memory_order_relaxed);

		if (expected == 2 ? ran > 1 : ran != expected)
			printf(
			    "  # kind %u to CPU %u, CPU %u online at %lu to %lu: ran %u times, not %u\n",
			    call->kind, cpu, storm_victim->ci_index, call->before, call->after, ran,
			    expected);
		T_ASSERT(expected == 2 ? ran <= 1 : ran == expected);
		if (expected == 2 && ran == 0)
			storm_add(&storm_offline_seen);
	}
}

static void
storm_poster(void *arg)
{
	struct storm_poster *p = arg;
	uint64_t random = 0x9e3779b97f4a7c15 * (p->number + 1);
	unsigned n;

	cpuset_zero(&p->set);
	cpuset_add(&p->set, curcpu()->ci_index);
	cpuset_add(&p->set, storm_victim->ci_index);
	for (n = 0; storm_get(&storm_stop) == 0; n++) {
		struct storm_call *call = &p->call[n % STORM_WINDOW];

		if (n >= STORM_WINDOW)
			storm_settle(p, call);
		(void)crew_random(&random);
		storm_post(p, call,
		    (enum storm_kind)(random % 16 < 7 ? STORM_UNICAST : random % STORM_KINDS),
		    storm_flags(random / 16), (void *)(uintptr_t)(random / 256 % 4096));
		if (n % STORM_BARRIER == 0)
			xc_barrier(0);
		else if (n % STORM_BARRIER == STORM_BARRIER / 2)
			xc_drain(XC_HARD);
	}
	for (unsigned i = 0; i < STORM_WINDOW && i < n; i++)
		storm_settle(p, &p->call[i]);
}

/* --- one that leaves its calls lying until somebody comes for them ---------------------------- */

static bool
storm_over(struct storm_call *call)
{
	if (XC_ISERR(call->where))
		return true;
	return call->kind == STORM_DESCRIPTOR ? xc_call_done(&call->descriptor)
					      : xc_done(call->where);
}

/* Nobody has to wait for it: the CPU's tick does, or the CPU leaves. */
static bool
storm_left_lying(struct storm_call *call)
{
	bool gone;

	do {
		gone = atomic_load_explicit(&storm_sequence, memory_order_seq_cst) % 4 == 2;
		if (storm_over(call))
			return false;
		machine_pause();
	} while (!gone && storm_get(&storm_stop) == 0);
	return gone;
}

static void
storm_lazy_poster(void *arg)
{
	const unsigned flags[] = { 0, XC_HARD, XC_HIGHPRI, XC_HIGHPRI_IPL(IPL_SOFTCLOCK) };
	struct storm_poster *p = arg;
	unsigned n;

	for (n = 0; storm_get(&storm_stop) == 0; n++) {
		struct storm_call *call = &p->call[n % STORM_WINDOW];

		if (n >= STORM_WINDOW) {
			if (storm_left_lying(call))
				test_fail(
				    __FILE__, __LINE__, "a lazy call runs before its CPU is gone");
			storm_settle(p, call);
		}
		storm_post(p, call, n % 8 < 6 ? STORM_UNICAST : STORM_DESCRIPTOR,
		    flags[n % 4] | XC_LAZY, (void *)(uintptr_t)7);
	}
	for (unsigned i = 0; i < STORM_WINDOW && i < n; i++)
		storm_settle(p, &p->call[i]);
}

/* --- the storm -------------------------------------------------------------------------------- */

static void
storm_step(void)
{
	atomic_fetch_add_explicit(&storm_sequence, 1, memory_order_seq_cst);
}

static void
storm_cycle(uint64_t *random)
{
	storm_step();
	T_ASSERT(plug_set(storm_victim, false));
	storm_step();
	delay_us(crew_random(random) % 2000);
	storm_step();
	T_ASSERT(plug_set(storm_victim, true));
	storm_step();
	/* Long enough for the others to find it there. */
	kthread_sleep_ns(2000000 + crew_random(random) % 4000000);
}

static void
storm_around(
    struct cpu_info *victim, struct storm_poster *posters, void (*poster)(void *), uint64_t *random)
{
	unsigned cycles = STORM_CYCLES / (ncpu - 1) + 1;

	storm_victim = victim;
	atomic_store_explicit(&storm_stop, 0, memory_order_relaxed);
	for (unsigned cpu = 0; cpu < ncpu; cpu++) {
		posters[cpu].number = cpu;
		posters[cpu].job.thread = NULL;
		if (cpu != victim->ci_index)
			crew_start(
			    &posters[cpu].job, cpu_lookup(cpu), PRI_USER, poster, &posters[cpu]);
	}
	for (unsigned i = 0; i < cycles; i++)
		storm_cycle(random);
	atomic_store_explicit(&storm_stop, 1, memory_order_relaxed);
	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		crew_join(&posters[cpu].job);
}

static void
storm_all(void (*poster)(void *))
{
	unsigned cells = ncpu * STORM_WINDOW * ncpu;
	struct storm_poster *posters = crew_alloc(ncpu, sizeof(*posters));
	_Atomic uint8_t *ran = crew_alloc(cells, 1);
	uint64_t random = 88172645463325252u;

	for (unsigned cpu = 0; cpu < ncpu; cpu++)
		for (unsigned i = 0; i < STORM_WINDOW; i++)
			posters[cpu].call[i].ran = &ran[(cpu * STORM_WINDOW + i) * ncpu];
	for (unsigned cpu = 1; cpu < ncpu; cpu++)
		storm_around(cpu_lookup(cpu), posters, poster, &random);
	/* What the last functions have posted. */
	xc_barrier(0);
	xc_drain(XC_HARD);
	crew_free((void *)(uintptr_t)ran, cells, 1);
	crew_free(posters, ncpu, sizeof(*posters));
}

TEST_CASE(hotplug_storm, posted_runs_once_and_refused_never)
{
	if (!plug_begin())
		return;
	storm_all(storm_poster);
	printf("  # accepted %lu, refused %lu, passed over by others %lu; nested: %lu and %lu\n",
	    storm_get(&storm_accepted), storm_get(&storm_refused), storm_get(&storm_offline_seen),
	    storm_get(&storm_nested_accepted), storm_get(&storm_nested_refused));
	T_ASSERT_EQ(storm_get(&storm_nested_ran), storm_get(&storm_nested_accepted));
	T_ASSERT(storm_get(&storm_accepted) != 0);
	T_ASSERT(storm_get(&storm_refused) != 0);
	T_ASSERT(storm_get(&storm_nested_accepted) != 0);
}

TEST_CASE(hotplug_storm, lazy_calls_run_before_their_cpu_is_gone)
{
	uint64_t accepted = storm_get(&storm_accepted);

	if (!plug_begin())
		return;
	storm_all(storm_lazy_poster);
	T_ASSERT(storm_get(&storm_accepted) != accepted);
}
