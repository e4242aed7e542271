/*
 * The monitor's views of the threads: what they do, and what they wait for.
 *
 * The list of threads is walked under its spinlock, and printing takes milliseconds a line; so what
 * is shown is copied first and printed after.  A row is a snapshot: of fields that other CPUs are
 * just changing, each has some value it had.
 */
#include "kernel/command.h"
#include "kernel/cpu.h"
#include "kernel/evcnt.h"
#include "kernel/kmem.h"
#include "kernel/kthread.h"
#include "kernel/mutex.h"
#include "kernel/param.h"
#include "kernel/printf.h"
#include "kernel/string.h"

/* Threads that may be born between counting and copying. */
#define THREAD_COMMAND_SLACK 32
#define THREAD_COMMAND_NS_PER_MS 1000000
#define THREAD_COMMAND_MUTEX_BYTES 20

struct thread_command_row {
	char name[LWP_NAME_BYTES];
	unsigned id, cpu;
	pri_t pri, base_pri;
	int state;
	const char *why; /* NULL unless asleep */
	uint64_t run_ns, switches, preempted;
	unsigned held;                          /* adaptive mutexes */
	char mutex[THREAD_COMMAND_MUTEX_BYTES]; /* it waits for; "" if none */
	char owner[LWP_NAME_BYTES];             /* of that mutex */
};

struct thread_command_table {
	struct thread_command_row *row;
	unsigned capacity, n, missed;
};

static const char *const thread_command_states[] = {
	[LS_IDLE] = "parked", /* or a new thread, which nobody sees so for long */
	[LS_RUNNABLE] = "ready",
	[LS_ONCPU] = "running",
	[LS_SLEEPING] = "asleep",
	[LS_ZOMBIE] = "zombie",
};

/* Notes for which mutex the thread sleeps, if it does.  A mutex lives while somebody waits for it,
 * so what was copied counts only if the thread waits for the same one still. */
static void
thread_command_copy_wait(struct thread_command_row *r, lwp_t *l)
{
	struct kmutex *m = atomic_load_explicit(&l->l_blocked_on, memory_order_acquire);
	const struct lwp *owner;

	if (m == NULL)
		return;
	owner = mutex_owner(m);
	snprintf(r->mutex, sizeof(r->mutex), "%s", m->mtx_name);
	snprintf(r->owner, sizeof(r->owner), "%s", owner != NULL ? owner->l_name : "(nobody)");
	if (atomic_load_explicit(&l->l_blocked_on, memory_order_acquire) != m)
		r->mutex[0] = r->owner[0] = '\0';
}

/* Under the list lock. */
static void
thread_command_copy(lwp_t *l, void *arg)
{
	struct thread_command_table *t = arg;
	struct thread_command_row *r;

	if (t->n == t->capacity) {
		t->missed++;
		return;
	}
	r = &t->row[t->n++];
	memcpy(r->name, l->l_name, sizeof(r->name));
	r->id = l->l_id;
	r->cpu = l->l_cpu->ci_index;
	r->pri = l->l_pri;
	r->base_pri = l->l_base_pri;
	r->state = atomic_load_explicit(&l->l_state, memory_order_relaxed);
	r->why = r->state == LS_SLEEPING ? l->l_sleep_why : NULL;
	kthread_stats(l, &r->run_ns, &r->switches, &r->preempted);
	r->held = l->l_held_count;
	thread_command_copy_wait(r, l);
}

/* Copies all threads and has each printed. */
static void
thread_command_each(void (*print)(const struct thread_command_row *))
{
	struct thread_command_table t = { 0 };
	size_t npages;

	t.capacity = kthread_count() + THREAD_COMMAND_SLACK;
	npages = (t.capacity * sizeof(*t.row) + PAGE_BYTES - 1) / PAGE_BYTES;
	t.row = kmem_page_alloc(npages);
	if (t.row == NULL) {
		printf("no memory for a copy of %u threads\n", t.capacity);
		return;
	}
	kthread_foreach(thread_command_copy, &t);
	for (unsigned i = 0; i < t.n; i++)
		print(&t.row[i]);
	if (t.missed > 0)
		printf("and %u more, just born\n", t.missed);
	kmem_page_free(t.row, npages);
}

static void
thread_command_print(const struct thread_command_row *r)
{
	printf("%5u  %-23s %4u  %3d  %-7s  %9lu.%03lu  %8lu  %9lu  %s\n", r->id, r->name, r->cpu,
	    r->pri, thread_command_states[r->state], r->run_ns / THREAD_COMMAND_NS_PER_MS,
	    r->run_ns / (THREAD_COMMAND_NS_PER_MS / 1000) % 1000, r->switches, r->preempted,
	    r->why != NULL ? r->why : "");
}

COMMAND(threads, "", "all threads: where, state, run time, why asleep")
{
	printf("   id  name                     CPU  pri  state           run ms  switches"
	       "  preempted  asleep for\n");
	thread_command_each(thread_command_print);
	return 0;
}

static void
thread_command_print_locks(const struct thread_command_row *r)
{
	if (r->held == 0 && r->mutex[0] == '\0')
		return;
	printf("%5u  %-23s %4u  %3d -> %3d  %4u  %s%s%s\n", r->id, r->name, r->cpu, r->base_pri,
	    r->pri, r->held, r->mutex, r->mutex[0] != '\0' ? ", held by " : "", r->owner);
}

/* Counters of the lock modules are their record of contention. */
static void
thread_command_print_counter(const struct evcnt *ev, void *arg __attribute__((unused)))
{
	if (strcmp(ev->ev_group, "mutex") == 0 || strcmp(ev->ev_group, "spinlock") == 0)
		printf("%12lu  %s %s\n", evcnt_read(ev), ev->ev_group, ev->ev_name);
}

COMMAND(locks, "", "threads that hold or wait for mutexes, and how often locks were contended")
{
	evcnt_foreach(thread_command_print_counter, NULL);
	printf("   id  name                     CPU  priority    held  waits for\n");
	thread_command_each(thread_command_print_locks);
	return 0;
}
