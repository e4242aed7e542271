/*
 * The runtime on POSIX threads: a virtual CPU is a thread, and one more thread keeps the time.
 *
 * A virtual CPU that idles sleeps on its vc_signals with the host's futex: whoever counts it up
 * calls the kernel of the host, which compares and sleeps in one step, so no wake-up is lost.  No
 * lock and no condition variable of the host: they would order virtual CPUs that the kernel under
 * test does not order.
 *
 * Time is that of the host, less what the host has taken away.  The ticker gives out a step of it
 * whenever all virtual CPUs that have something to do have been at a safe point since the last one;
 * who has used the step up sees the clock stand still.  So a virtual CPU that has to wait for a
 * host CPU, on a host with fewer of them or with other work, is not late.  One that comes to no
 * safe point is waited for only so long.
 */
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "kernel/panic.h"
#include "tests/host/vcpu/fiber.h"
#include "tests/host/vcpu/runtime.h"

/* How late a local timer may be. */
#define THREADS_TICK_NS 250000
/* What is given out at once, and after which time of the host without asking. */
#define THREADS_STEP_NS UINT64_C(1000000)
#define THREADS_PATIENCE_NS UINT64_C(200000000)
#define THREADS_POINTS_A_YIELD 256

struct threads_cpu {
	_Atomic(struct cpu_md *) tc_md; /* once it was started */
	_Atomic uint64_t tc_points;     /* safe points that it has passed */
	_Atomic bool tc_waits;          /* it has nothing to do */
	uint64_t tc_before;             /* tc_points at the last step; the ticker's own */
};

static struct threads_cpu threads_cpu[VCPU_MAX];
static unsigned threads_n; /* those in use; bring-up */
static _Thread_local struct cpu_md *threads_self;
static _Thread_local struct threads_cpu *threads_here;
static _Thread_local uint64_t threads_random;

/* --- time ------------------------------------------------------------------------------------- */

/* Time of the host that does not count; what the clock does not go beyond.  Written by the ticker,
 * in this order. */
static _Atomic uint64_t threads_lost_ns, threads_limit_ns = RUNTIME_HZ;

static uint64_t
threads_host_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * RUNTIME_HZ + (uint64_t)now.tv_nsec;
}

uint64_t
runtime_cycles(void)
{
	/* Acquire, both: pair with threads_step().  With a limit comes what was lost before it was
	 * set, and the host's clock is read last: so the difference never steps back. */
	uint64_t limit = atomic_load_explicit(&threads_limit_ns, memory_order_acquire);
	uint64_t lost = atomic_load_explicit(&threads_lost_ns, memory_order_acquire);
	uint64_t now = threads_host_ns() - lost;

	return now < limit ? now : limit;
}

/* Whether all have got on since the last step; notes where they are now. */
static bool
threads_all_got_on(void)
{
	bool all = true;

	for (struct threads_cpu *tc = threads_cpu; tc < threads_cpu + VCPU_MAX && all; tc++)
		all = atomic_load_explicit(&tc->tc_md, memory_order_acquire) == NULL ||
		    atomic_load_explicit(&tc->tc_waits, memory_order_relaxed) ||
		    atomic_load_explicit(&tc->tc_points, memory_order_relaxed) != tc->tc_before;
	if (!all)
		return false;
	for (struct threads_cpu *tc = threads_cpu; tc < threads_cpu + VCPU_MAX; tc++)
		tc->tc_before = atomic_load_explicit(&tc->tc_points, memory_order_relaxed);
	return true;
}

/* The clock goes on from where it stands, by a step at most. */
static void
threads_step(uint64_t host_ns)
{
	uint64_t limit = atomic_load_explicit(&threads_limit_ns, memory_order_relaxed);
	uint64_t lost = atomic_load_explicit(&threads_lost_ns, memory_order_relaxed);

	if (host_ns - lost > limit)
		lost = host_ns - limit;
	/* Release, both: pair with runtime_cycles(). */
	atomic_store_explicit(&threads_lost_ns, lost, memory_order_release);
	atomic_store_explicit(
	    &threads_limit_ns, host_ns - lost + THREADS_STEP_NS, memory_order_release);
}

static void *
threads_ticker(void *arg)
{
	const struct timespec tick = { .tv_nsec = THREADS_TICK_NS };
	uint64_t stepped_ns = 0, host_ns;

	(void)arg;
	for (;;) {
		host_ns = threads_host_ns();
		if (threads_all_got_on() || host_ns - stepped_ns > THREADS_PATIENCE_NS) {
			threads_step(host_ns);
			stepped_ns = host_ns;
		}
		for (unsigned i = 0; i < VCPU_MAX; i++) {
			/* Acquire: pairs with threads_list(). */
			struct cpu_md *vc = atomic_load_explicit(
			    &threads_cpu[i].tc_md, memory_order_acquire);

			if (vc != NULL)
				vcpu_timer_expire(vc, runtime_cycles());
		}
		nanosleep(&tick, NULL);
	}
	return NULL;
}

/* --- virtual CPUs ----------------------------------------------------------------------------- */

struct cpu_md *
runtime_self(void)
{
	return threads_self;
}

/* The bounds of the stack that the host has given. */
static void
threads_adopt(struct cpu_md *vc)
{
	struct vcpu_context *vx = &vc->vc_idle;
	pthread_attr_t attr;
	size_t bytes;
	void *low;

	if (pthread_getattr_np(pthread_self(), &attr) != 0 ||
	    pthread_attr_getstack(&attr, &low, &bytes) != 0)
		abort();
	pthread_attr_destroy(&attr);
	vx->vx_low = (uintptr_t)low;
	vx->vx_high = (uintptr_t)low + bytes;
	fiber_adopt(vx);
	vc->vc_context = vx;
	threads_self = vc;
	threads_here = vc->vc_runtime;
	threads_random = threads_host_ns() | 1;
	atomic_store_explicit(&threads_here->tc_waits, false, memory_order_relaxed);
}

static void *
threads_main(void *arg)
{
	struct cpu_md *vc = arg;

	threads_adopt(vc);
	vc->vc_entry();
	abort();
}

static void
threads_create(void *(*main)(void *), void *arg)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, main, arg) != 0 || pthread_detach(thread) != 0)
		abort();
}

static void
threads_list(struct cpu_md *vc)
{
	struct threads_cpu *tc = vc->vc_runtime;

	if (tc == NULL)
		vc->vc_runtime = tc = &threads_cpu[threads_n++];
	/* Release: pairs with threads_ticker(). */
	atomic_store_explicit(&tc->tc_md, vc, memory_order_release);
}

void
runtime_run(struct cpu_md *vc, void (*entry)(void))
{
	threads_step(threads_host_ns());
	threads_list(vc);
	threads_adopt(vc);
	threads_create(threads_ticker, NULL);
	entry();
	abort();
}

void
runtime_start(struct cpu_md *vc, void (*entry)(void))
{
	vc->vc_entry = entry;
	threads_list(vc);
	threads_create(threads_main, vc);
}

/* Its thread ends; a new one starts it again. */
void
runtime_park(void)
{
	atomic_store_explicit(&threads_here->tc_waits, true, memory_order_relaxed);
	pthread_exit(NULL);
}

/* The host may have fewer CPUs than there are virtual ones: whoever is waited for must get on
 * one. */
void
runtime_pause(void)
{
	sched_yield();
}

/* Now and then a virtual CPU loses its host CPU, at a safe point of no particular kind: it would
 * otherwise seldom be where it is short. */
bool
runtime_point(void)
{
	uint64_t points = atomic_load_explicit(&threads_here->tc_points, memory_order_relaxed);

	atomic_store_explicit(&threads_here->tc_points, points + 1, memory_order_relaxed);
	/* Marsaglia's xorshift64. */
	threads_random ^= threads_random << 13;
	threads_random ^= threads_random >> 7;
	threads_random ^= threads_random << 17;
	if (threads_random % THREADS_POINTS_A_YIELD == 0)
		sched_yield();
	return true;
}

void
runtime_wait(uint32_t seen)
{
	atomic_store_explicit(&threads_here->tc_waits, true, memory_order_relaxed);
	syscall(SYS_futex, &threads_self->vc_signals, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
	atomic_store_explicit(&threads_here->tc_waits, false, memory_order_relaxed);
}

void
runtime_signal(struct cpu_md *vc)
{
	struct threads_cpu *tc = vc->vc_runtime;

	if (vc == threads_self || tc == NULL)
		return;
	/* From now on it has something to do. */
	atomic_store_explicit(&tc->tc_waits, false, memory_order_relaxed);
	syscall(SYS_futex, &vc->vc_signals, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

/* The ticker looks at all deadlines all the time. */
void
runtime_deadline(void)
{
}

void
runtime_exit(int status)
{
	exit(status);
}
