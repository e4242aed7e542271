/*
 * Threads: making, ending and listing them.
 *
 * A thread's lwp_t lies at the top of its stack, so that both come and go together.  Stacks never
 * become anything but stacks again (kmem_stack_alloc()), and each has its lwp_t at the same place:
 * a stale pointer to a thread points to a thread, if to another one, for ever.  The mutex relies on
 * that when it looks whether an owner that may have ended still runs.
 *
 * A thread ends by leaving its CPU as a zombie (sched_exit()).  The thread that runs next there
 * reaps it (kthread_reap()), when nothing stands on its stack any more: frees it, or lets its
 * joiner do so.
 *
 * kthread_lock guards the list of all threads, the counts of threads a CPU, and the join queues.
 * Lock order: before run queues.
 */
#include "kernel/kthread.h"

#include <stdarg.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/kmem.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/sched.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"

/* Where the lwp_t lies in a stack. */
#define KTHREAD_LWP_OFFSET \
	((KSTACK_BYTES - sizeof(struct lwp)) / CACHE_LINE_BYTES * CACHE_LINE_BYTES)

static struct spinlock kthread_lock = SPINLOCK_INIT("threads");
static lwp_t *kthread_all;
static unsigned kthread_n;
static _Atomic unsigned kthread_last_id;

/* Fills in all but what the maker knows. */
static void
kthread_init(lwp_t *l, struct cpu_info *ci, pri_t pri)
{
	size_t state = offsetof(lwp_t, l_state);
	size_t behind = offsetof(lwp_t, l_seen_pri) + sizeof(l->l_seen_pri);

	/* Whoever watched the last owner of this memory for a mutex may still look at l_state, and
	 * who signals a condition variable at l_seen_pri. */
	atomic_store_explicit(&l->l_state, LS_IDLE, memory_order_relaxed);
	atomic_store_explicit(&l->l_seen_pri, pri, memory_order_relaxed);
	memset(l, 0, state);
	memset((char *)l + behind, 0, sizeof(*l) - behind);
	l->l_cpu = ci;
	l->l_base_pri = l->l_pri = pri;
	l->l_sleep_until_ns = SLEEPQ_FOREVER;
	/* Relaxed: only that no two get the same. */
	l->l_id = atomic_fetch_add_explicit(&kthread_last_id, 1, memory_order_relaxed) + 1;
	atomic_init(&l->l_queue, NULL);
	atomic_init(&l->l_blocked_on, NULL);
	sleepq_init(&l->l_joinq, &kthread_lock);
}

/* Enters a thread into the list.  kthread_lock held. */
static void
kthread_link(lwp_t *l)
{
	if (kthread_all != NULL)
		kthread_all->l_all_link = &l->l_all_next;
	l->l_all_next = kthread_all;
	l->l_all_link = &kthread_all;
	kthread_all = l;
	kthread_n++;
	l->l_cpu->ci_nthreads++;
}

static void
kthread_unlink(lwp_t *l)
{
	*l->l_all_link = l->l_all_next;
	if (l->l_all_next != NULL)
		l->l_all_next->l_all_link = l->l_all_link;
	kthread_n--;
	l->l_cpu->ci_nthreads--;
}

lwp_t *
kthread_create_idle(struct cpu_info *ci)
{
	lwp_t *l = kmem_boot_alloc(sizeof(*l));

	kthread_init(l, ci, PRI_IDLE);
	l->l_flags = KTHREAD_SERVICE;
	snprintf(l->l_name, sizeof(l->l_name), "idle/%u", ci->ci_index);
	spinlock_enter(&kthread_lock);
	kthread_link(l);
	spinlock_exit(&kthread_lock);
	return l;
}

/* kthread_lock held. */
static bool
kthread_open(const struct cpu_info *ci)
{
	return cpu_online(ci) && !ci->ci_closed;
}

/* The open CPU with the fewest threads.  kthread_lock held. */
static struct cpu_info *
kthread_place(void)
{
	struct cpu_info *ci, *best = NULL;

	CPU_INFO_FOREACH(ci)
		if (kthread_open(ci) && (best == NULL || ci->ci_nthreads < best->ci_nthreads))
			best = ci;
	return best;
}

/* Binds the new thread to its CPU, chosen here if there is none yet; false when that takes no
 * threads. */
static bool
kthread_bind(lwp_t *l)
{
	bool open;

	spinlock_enter(&kthread_lock);
	if (l->l_cpu == NULL)
		l->l_cpu = kthread_place();
	open = kthread_open(l->l_cpu);
	if (open)
		kthread_link(l);
	spinlock_exit(&kthread_lock);
	return open;
}

/* Gives back an unlinked thread with its stack; a stale handle finds a thread that cannot be
 * joined. */
static void
kthread_free(lwp_t *l)
{
	l->l_flags = 0;
	kmem_stack_free(l->l_stack, KSTACK_BYTES - KTHREAD_LWP_OFFSET);
}

static void
kthread_begin(void *arg)
{
	lwp_t *l = arg;

	sched_enter_thread();
	l->l_func(l->l_arg);
	kthread_exit(0);
}

int
kthread_create(pri_t pri, int flags, struct cpu_info *ci, void (*func)(void *), void *arg,
    lwp_t **lp, const char *fmt, ...)
{
	char *stack;
	lwp_t *l;
	va_list ap;

	KASSERT(!cpu_intr_p() && func != NULL);
	if (pri <= PRI_IDLE || pri >= PRI_COUNT)
		return EINVAL;
	if ((stack = kmem_stack_alloc()) == NULL)
		return ENOMEM;
	l = (lwp_t *)(stack + KTHREAD_LWP_OFFSET);
	kthread_init(l, ci, pri);
	l->l_flags = flags;
	l->l_stack = stack;
	l->l_func = func;
	l->l_arg = arg;
	va_start(ap, fmt);
	vsnprintf(l->l_name, sizeof(l->l_name), fmt, ap);
	va_end(ap);
	l->l_sp = machine_thread_prepare((uintptr_t)l, kthread_begin, l);

	if (!kthread_bind(l)) {
		kthread_free(l);
		return EINVAL;
	}
	if (lp != NULL)
		*lp = l;
	sched_lock(l);
	sched_ready(l);
	sched_unlock(l);
	return 0;
}

_Noreturn void
kthread_exit(int code)
{
	lwp_t *l = curlwp;

	(void)code; /* nobody asks; kthread_exit(9) has it */
	sched_assert_sleepable("kthread_exit");
	if (l->l_held != NULL)
		panic("kthread_exit: %s holds mutex %s", l->l_name, l->l_held->mtx_name);
	sched_exit();
}

void
kthread_reap(lwp_t *l)
{
	bool join = (l->l_flags & KTHREAD_MUSTJOIN) != 0;

	spinlock_enter(&kthread_lock);
	if (join) {
		l->l_exited = true;
		sleepq_wake_all(&l->l_joinq);
	} else {
		kthread_unlink(l);
	}
	/* Quiet: the scheduler, which calls this between two threads, looks for itself. */
	spinlock_exit_quiet(&kthread_lock);
	if (!join)
		kthread_free(l);
}

int
kthread_join(lwp_t *l)
{
	lwp_t *self = curlwp;

	sched_assert_sleepable("kthread_join");
	if (l == self)
		panic("kthread_join: %s joins itself", self->l_name);
	spinlock_enter(&kthread_lock);
	if ((l->l_flags & KTHREAD_MUSTJOIN) == 0)
		panic("kthread_join: %s joins %s, which was made without KTHREAD_MUSTJOIN or has "
		      "been joined",
		    self->l_name, l->l_name);
	if (l->l_joiner != NULL)
		panic("kthread_join: %s joins %s, which %s joins", self->l_name, l->l_name,
		    l->l_joiner->l_name);
	l->l_joiner = self;
	while (!l->l_exited) {
		sleepq_enter(&l->l_joinq, l, "join");
		spinlock_exit(&kthread_lock);
		(void)sleepq_wait(SLEEPQ_FOREVER);
		spinlock_enter(&kthread_lock);
	}
	kthread_unlink(l);
	spinlock_exit(&kthread_lock);
	kthread_free(l);
	return 0;
}

void
kthread_yield(void)
{
	sched_assert_sleepable("kthread_yield");
	sched_yield();
}

void
kthread_sleep_ns(uint64_t ns)
{
	/* A queue that nobody knows: only the clock ends the wait. */
	struct spinlock lock = SPINLOCK_INIT("sleep");
	struct sleepq sq;
	uint64_t now = clock_ns();

	sched_assert_sleepable("kthread_sleep_ns");
	sleepq_init(&sq, &lock);
	spinlock_enter(&lock);
	sleepq_enter(&sq, NULL, "sleep");
	spinlock_exit(&lock);
	(void)sleepq_wait(ns < SLEEPQ_FOREVER - 1 - now ? now + ns : SLEEPQ_FOREVER - 1);
}

unsigned
kthread_count(void)
{
	unsigned n;

	spinlock_enter(&kthread_lock);
	n = kthread_n;
	spinlock_exit(&kthread_lock);
	return n;
}

void
kthread_foreach(void (*visit)(lwp_t *, void *), void *arg)
{
	spinlock_enter(&kthread_lock);
	for (lwp_t *l = kthread_all; l != NULL; l = l->l_all_next)
		visit(l, arg);
	spinlock_exit(&kthread_lock);
}

void
kthread_foreach_stopped(void (*visit)(lwp_t *, void *), void *arg)
{
	unsigned most = kthread_n;

	/* However broken the list may be, it has an end. */
	for (lwp_t *l = kthread_all; l != NULL && most-- != 0; l = l->l_all_next)
		visit(l, arg);
}

void
kthread_stats(lwp_t *l, uint64_t *run_ns, uint64_t *switches, uint64_t *preempted)
{
	uint64_t now = machine_cycles(), ran;

	sched_lock(l);
	ran = l->l_run;
	if (sched_running(l) && now > l->l_since)
		ran += now - l->l_since;
	*switches = l->l_switches;
	*preempted = l->l_preempted;
	sched_unlock(l);
	*run_ns = clock_cycles_to_ns(ran);
}

int
kthread_close_cpu(struct cpu_info *ci, char busy[LWP_NAME_BYTES])
{
	const lwp_t *l;

	spinlock_enter(&kthread_lock);
	for (l = kthread_all; l != NULL; l = l->l_all_next)
		if (l->l_cpu == ci && !l->l_exited && (l->l_flags & KTHREAD_SERVICE) == 0)
			break;
	if (l != NULL)
		memcpy(busy, l->l_name, LWP_NAME_BYTES);
	else
		ci->ci_closed = true;
	spinlock_exit(&kthread_lock);
	return l != NULL ? EBUSY : 0;
}

void
kthread_open_cpu(struct cpu_info *ci)
{
	spinlock_enter(&kthread_lock);
	ci->ci_closed = false;
	spinlock_exit(&kthread_lock);
}
