/*
 * The cross calls of 2008 as a twin.
 *
 * One slot for the machine, guarded by one mutex.  Three counters of CPU-calls: posted (head),
 * begun (tail), finished (done).  The next call is admitted when all posted ones have begun; a
 * ticket is the value of head after the post, passed through 32 bits; a wait lasts until done has
 * reached it.  Which of these choices is wrong, test_xcall_seed.c shows.
 */
#include "tests/kernel/twin_seed.h"

#include <stddef.h>

#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "tests/kernel/crew.h"

/* Locking: twin_lock, but for the threads, which only start and stop touch. */
struct twin_cpu {
	kcondvar_t called;
	bool pending, running;
	lwp_t *thread;
};

static kmutex_t twin_lock;
static kcondvar_t twin_busy;
static xcfunc_t twin_func;
static void *twin_arg1, *twin_arg2;
static uint64_t twin_head, twin_tail;
/* Read without the lock too, with no order: defect 7. */
static _Atomic uint64_t twin_done;
static bool twin_admit_on_done, twin_stopping;
static struct twin_cpu *twin_cpu;

static uint64_t
twin_finished(void)
{
	return atomic_load_explicit(&twin_done, memory_order_relaxed);
}

/* Whether the slot may be overwritten. */
static bool
twin_idle(void)
{
	return twin_head == (twin_admit_on_done ? twin_finished() : twin_tail);
}

static void
twin_thread(void *arg)
{
	struct twin_cpu *me = arg;
	void *arg1, *arg2;
	xcfunc_t func;

	mutex_enter(&twin_lock);
	for (;;) {
		while (!twin_stopping && !(me->pending && me->running)) {
			if (twin_idle())
				cv_broadcast(&twin_busy);
			cv_wait(&me->called, &twin_lock);
		}
		if (twin_stopping)
			break;
		me->pending = false;
		func = twin_func;
		arg1 = twin_arg1;
		arg2 = twin_arg2;
		twin_tail++;
		mutex_exit(&twin_lock);

		(*func)(arg1, arg2);

		mutex_enter(&twin_lock);
		atomic_fetch_add_explicit(&twin_done, 1, memory_order_relaxed);
	}
	mutex_exit(&twin_lock);
}

void
twin_start(bool admit_on_done)
{
	struct cpu_info *ci;

	mutex_init(&twin_lock, MUTEX_DEFAULT, IPL_NONE, "twin");
	cv_init(&twin_busy, "twinbsy");
	twin_head = twin_tail = 0;
	atomic_store_explicit(&twin_done, 0, memory_order_relaxed);
	twin_admit_on_done = admit_on_done;
	twin_stopping = false;
	twin_cpu = crew_alloc(ncpu, sizeof(*twin_cpu));
	CPU_INFO_FOREACH(ci) {
		struct twin_cpu *me = &twin_cpu[ci->ci_index];

		cv_init(&me->called, "twin");
		me->running = true;
		if (kthread_create(PRI_KTHREAD, KTHREAD_MUSTJOIN, ci, twin_thread, me, &me->thread,
			"twin/%u", ci->ci_index) != 0)
			panic("no thread for a twin");
	}
}

void
twin_stop(void)
{
	struct cpu_info *ci;

	mutex_enter(&twin_lock);
	twin_stopping = true;
	cv_broadcast(&twin_busy);
	CPU_INFO_FOREACH(ci)
		cv_broadcast(&twin_cpu[ci->ci_index].called);
	mutex_exit(&twin_lock);
	CPU_INFO_FOREACH(ci)
		kthread_join(twin_cpu[ci->ci_index].thread);
	crew_free(twin_cpu, ncpu, sizeof(*twin_cpu));
}

static void
twin_call(struct twin_cpu *to)
{
	twin_head++;
	to->pending = true;
	cv_signal(&to->called);
}

static uint64_t
twin_post(xcfunc_t func, void *arg1, void *arg2, struct cpu_info *to)
{
	struct cpu_info *ci;
	uint32_t where; /* defect 4 */

	mutex_enter(&twin_lock);
	while (!twin_stopping && !twin_idle())
		cv_wait(&twin_busy, &twin_lock);
	if (twin_stopping) {
		mutex_exit(&twin_lock);
		return 0;
	}
	twin_arg1 = arg1;
	twin_arg2 = arg2;
	twin_func = func;
	if (to != NULL)
		twin_call(&twin_cpu[to->ci_index]);
	else {
		CPU_INFO_FOREACH(ci) {
			if (twin_cpu[ci->ci_index].running)
				twin_call(&twin_cpu[ci->ci_index]);
		}
	}
	where = (uint32_t)twin_head;
	mutex_exit(&twin_lock);
	return where;
}

uint64_t
twin_unicast(unsigned flags, xcfunc_t func, void *arg1, void *arg2, struct cpu_info *ci)
{
	KASSERT(flags == 0);
	return twin_post(func, arg1, arg2, ci);
}

uint64_t
twin_broadcast(unsigned flags, xcfunc_t func, void *arg1, void *arg2)
{
	KASSERT(flags == 0);
	return twin_post(func, arg1, arg2, NULL);
}

int
twin_wait(uint64_t where)
{
	if (twin_finished() >= where)
		return 0;
	mutex_enter(&twin_lock);
	while (!twin_stopping && twin_finished() < where)
		cv_wait(&twin_busy, &twin_lock);
	mutex_exit(&twin_lock);
	return 0;
}

void
twin_set_running(struct cpu_info *ci, bool running)
{
	mutex_enter(&twin_lock);
	twin_cpu[ci->ci_index].running = running;
	mutex_exit(&twin_lock);
}

void
twin_set_count(uint64_t count)
{
	mutex_enter(&twin_lock);
	twin_head = twin_tail = count;
	atomic_store_explicit(&twin_done, count, memory_order_relaxed);
	mutex_exit(&twin_lock);
}
