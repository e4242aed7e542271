/*
 * The runtime on POSIX threads: a virtual CPU is a thread, and one more thread keeps the local timers.
 *
 * A virtual CPU that idles sleeps on its vc_signals with the host's futex: whoever counts it up calls the kernel of the
 * host, which compares and sleeps in one step, so no wake-up is lost.  No lock and no condition variable of
 * the host: they would order virtual CPUs that the kernel under test does not order.
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
#define THREADS_POINTS_A_YIELD 256

static _Thread_local struct cpu_md *threads_self;
static _Thread_local uint64_t threads_random;
/* Those that were started: an entry goes from NULL to a virtual CPU once. */
static _Atomic(struct cpu_md *) threads_all[VCPU_MAX];

struct cpu_md *
runtime_self(void)
{
	return threads_self;
}

uint64_t
runtime_cycles(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * RUNTIME_HZ + (uint64_t)now.tv_nsec;
}

static void *
threads_ticker(void *arg)
{
	const struct timespec tick = { .tv_nsec = THREADS_TICK_NS };

	(void)arg;
	for (;;) {
		uint64_t now = runtime_cycles();

		for (unsigned i = 0; i < VCPU_MAX; i++) {
			struct cpu_md *vc = atomic_load_explicit(
			    &threads_all[i], memory_order_acquire);

			if (vc != NULL)
				vcpu_timer_expire(vc, now);
		}
		nanosleep(&tick, NULL);
	}
	return NULL;
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
	threads_random = runtime_cycles() | 1;
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
	/* Release: pairs with threads_ticker(). */
	atomic_store_explicit(&threads_all[vc->vc_ci->ci_index], vc, memory_order_release);
}

void
runtime_run(struct cpu_md *vc, void (*entry)(void))
{
	threads_adopt(vc);
	threads_list(vc);
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
	pthread_exit(NULL);
}

/* The host may have fewer CPUs than there are virtual ones: whoever is waited for must get on one. */
void
runtime_pause(void)
{
	sched_yield();
}

/* Now and then a virtual CPU loses its host CPU, at a safe point of no particular kind: it would otherwise seldom be
 * where it is short. */
bool
runtime_point(void)
{
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
	syscall(SYS_futex, &threads_self->vc_signals, FUTEX_WAIT_PRIVATE, seen, NULL, NULL, 0);
}

void
runtime_signal(struct cpu_md *vc)
{
	if (vc != threads_self)
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
