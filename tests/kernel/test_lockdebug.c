/*
 * Lock checking: what it reports, and what it must not.  What it has learnt it never forgets, so
 * each case has locks of names of its own.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/ksyms.h"
#include "kernel/lockdebug.h"
#include "kernel/lockdebug_graph.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/test.h"

/* From lockdebug_listen() to lockdebug_listened() reports are printed and heard. */
static enum lockdebug_policy lockdebug_before;

static unsigned
lockdebug_count_reports(void)
{
	struct lockdebug_figures figures;

	lockdebug_figures(&figures);
	return figures.reports;
}

static void
lockdebug_listen(void)
{
	overhear_begin();
	lockdebug_before = lockdebug_set_policy(LOCKDEBUG_REPORT);
}

static void
lockdebug_listened(void)
{
	(void)lockdebug_set_policy(lockdebug_before);
	overhear_end();
}

/* The two calls have names that a stack shows. */
static void __attribute__((noinline))
lockdebug_outer(struct spinlock *outer, struct spinlock *inner)
{
	spinlock_enter(outer);
	spinlock_enter(inner);
	spinlock_exit(inner);
	spinlock_exit(outer);
}

static void __attribute__((noinline))
lockdebug_backwards(struct spinlock *outer, struct spinlock *inner)
{
	spinlock_enter(outer);
	spinlock_enter(inner);
	spinlock_exit(inner);
	spinlock_exit(outer);
}

TEST_CASE(lockdebug, is_on_where_tests_run)
{
	T_ASSERT(lockdebug_on());
}

TEST_CASE(lockdebug, reports_a_circle_once_with_both_stacks)
{
	struct spinlock a = SPINLOCK_INIT("two, a"), b = SPINLOCK_INIT("two, b");
	unsigned before = lockdebug_count_reports();

	lockdebug_listen();
	lockdebug_outer(&a, &b);
	lockdebug_outer(&a, &b);
	lockdebug_backwards(&b, &a);
	lockdebug_backwards(&b, &a);
	lockdebug_listened();
	T_ASSERT_EQ(lockdebug_count_reports() - before, 1);
	T_ASSERT_EQ(overhear_count("lockdebug: lock order: main on CPU 0 wants spinlock two, a and "
				   "holds spinlock two, b: a circle of 2"),
	    1);
	T_ASSERT(overhear_has("spinlock two, a wanted while spinlock two, b was held, taken at "
			      "lockdebug_backwards+"));
	T_ASSERT(overhear_has("; now, CPU 0, thread main:"));
	T_ASSERT(overhear_has("spinlock two, b wanted while spinlock two, a was held, taken at "
			      "lockdebug_outer+"));
	T_ASSERT(overhear_has("; first seen at "));
	T_ASSERT(overhear_has("  lockdebug_outer+"));
	T_ASSERT(overhear_has("  lockdebug_backwards+"));
}

/* One of three links of a circle, on a CPU of its own where there is one. */
struct lockdebug_link {
	struct crew_job job;
	kmutex_t *outer, *inner;
};

static void
lockdebug_take_link(void *arg)
{
	struct lockdebug_link *link = arg;

	mutex_enter(link->outer);
	mutex_enter(link->inner);
	mutex_exit(link->inner);
	mutex_exit(link->outer);
}

TEST_CASE(lockdebug, reports_a_circle_of_three_threads)
{
	static const char *const names[] = { "three, a", "three, b", "three, c" };
	struct lockdebug_link link[3];
	kmutex_t m[3];

	for (unsigned i = 0; i < 3; i++)
		mutex_init(&m[i], MUTEX_DEFAULT, IPL_NONE, names[i]);
	lockdebug_listen();
	for (unsigned i = 0; i < 3; i++) {
		link[i].outer = &m[i];
		link[i].inner = &m[(i + 1) % 3];
		crew_start(
		    &link[i].job, cpu_lookup(i % ncpu), PRI_KERNEL, lockdebug_take_link, &link[i]);
		crew_join(&link[i].job);
	}
	lockdebug_listened();
	for (unsigned i = 0; i < 3; i++)
		mutex_destroy(&m[i]);
	T_ASSERT(overhear_has("wants mutex three, a and holds mutex three, c: a circle of 3"));
	T_ASSERT(overhear_has("mutex three, a wanted while mutex three, c was held"));
	T_ASSERT(overhear_has("mutex three, b wanted while mutex three, a was held"));
	T_ASSERT(overhear_has("mutex three, c wanted while mutex three, b was held"));
	T_ASSERT(ncpu < 3 || overhear_has("; now, CPU 2, thread crew/2:"));
	T_ASSERT_EQ(overhear_count("  lockdebug_take_link+"), 3);
}

/* Under another lock there is no order yet between the two. */
TEST_CASE(lockdebug, a_common_lock_makes_no_circle)
{
	struct spinlock top = SPINLOCK_INIT("tree, top"), left = SPINLOCK_INIT("tree, left"),
			right = SPINLOCK_INIT("tree, right");
	unsigned before = lockdebug_count_reports();

	lockdebug_listen();
	lockdebug_outer(&top, &left);
	lockdebug_outer(&top, &right);
	lockdebug_outer(&left, &right);
	lockdebug_outer(&top, &left);
	lockdebug_listened();
	T_ASSERT_EQ(lockdebug_count_reports() - before, 0);
}

TEST_CASE(lockdebug, locks_of_one_class_nest_both_ways)
{
	struct spinlock a = SPINLOCK_INIT("same"), b = SPINLOCK_INIT("same");
	unsigned before = lockdebug_count_reports();

	lockdebug_listen();
	lockdebug_outer(&a, &b);
	lockdebug_outer(&b, &a);
	lockdebug_listened();
	T_ASSERT_EQ(lockdebug_count_reports() - before, 0);
}

/* A mutex and a condition variable may have one name. */
TEST_CASE(lockdebug, kinds_of_one_name_are_classes_apart)
{
	struct spinlock spin;
	kmutex_t mutex;
	unsigned before = lockdebug_count_reports();

	spinlock_init(&spin, "namesake");
	mutex_init(&mutex, MUTEX_DEFAULT, IPL_HIGH, "namesake");
	lockdebug_listen();
	lockdebug_outer(&spin, &mutex.mtx_spin);
	lockdebug_outer(&mutex.mtx_spin, &spin);
	lockdebug_listened();
	mutex_destroy(&mutex);
	T_ASSERT_EQ(lockdebug_count_reports() - before, 1);
	T_ASSERT(overhear_has("wants spinlock namesake and holds spin mutex namesake"));
}

static bool
lockdebug_try(struct spinlock *outer, struct spinlock *inner)
{
	bool taken;

	spinlock_enter(outer);
	taken = spinlock_tryenter(inner);
	if (taken)
		spinlock_exit(inner);
	spinlock_exit(outer);
	return taken;
}

TEST_CASE(lockdebug, trying_waits_for_nothing)
{
	struct spinlock a = SPINLOCK_INIT("tried, a"), b = SPINLOCK_INIT("tried, b");
	unsigned before = lockdebug_count_reports();
	bool taken;

	lockdebug_listen();
	lockdebug_outer(&a, &b);
	taken = lockdebug_try(&b, &a);
	taken &= lockdebug_try(&b, &a);
	lockdebug_listened();
	T_ASSERT(taken);
	T_ASSERT_EQ(lockdebug_count_reports() - before, 0);
	T_ASSERT(lockdebug_known(LOCKDEBUG_ORDER, lockdebug_class(&a), lockdebug_class(&b)));
	T_ASSERT(!lockdebug_known(LOCKDEBUG_ORDER, lockdebug_class(&b), lockdebug_class(&a)));
}

/* --- condition variables ---------------------------------------------------------------------- */

struct lockdebug_meeting {
	struct crew_job job;
	kmutex_t outer, inner;
	kcondvar_t cv;
	unsigned turn; /* inner */
};

static void
lockdebug_turns(struct lockdebug_meeting *m, unsigned mine)
{
	for (unsigned i = 0; i < 10; i++) {
		mutex_enter(&m->inner);
		while (m->turn % 2 != mine)
			cv_wait(&m->cv, &m->inner);
		m->turn++;
		cv_broadcast(&m->cv);
		mutex_exit(&m->inner);
	}
}

static void
lockdebug_other_turn(void *arg)
{
	lockdebug_turns(arg, 1);
}

/* The waiter holds a mutex that comes before, takes the other again behind it; and its table is
 * right in the end. */
static bool
lockdebug_meet(struct lockdebug_meeting *m, enum ipl ipl)
{
	char text[LOCKDEBUG_TEXT_BYTES];
	bool right;

	m->turn = 0;
	mutex_init(&m->outer, MUTEX_DEFAULT, IPL_NONE, "meeting, outer");
	mutex_init(&m->inner, MUTEX_DEFAULT, ipl, "meeting");
	cv_init(&m->cv, "meeting");
	crew_start(&m->job, cpu_lookup(ncpu - 1), PRI_KERNEL, lockdebug_other_turn, m);
	mutex_enter(&m->outer);
	lockdebug_turns(m, 0);
	right = lockdebug_held_by_lwp(curlwp, 0, text) != NULL &&
	    strncmp(text, "mutex meeting, outer", 20) == 0 &&
	    lockdebug_held_by_lwp(curlwp, 1, text) == NULL;
	mutex_exit(&m->outer);
	crew_join(&m->job);
	cv_destroy(&m->cv);
	mutex_destroy(&m->inner);
	mutex_destroy(&m->outer);
	return right && lockdebug_held_by_lwp(curlwp, 0, text) == NULL;
}

TEST_CASE(lockdebug, a_wait_takes_its_mutex_again_in_order)
{
	struct lockdebug_meeting m;
	unsigned before = lockdebug_count_reports();
	bool right;

	lockdebug_listen();
	right = lockdebug_meet(&m, IPL_NONE);
	right &= lockdebug_meet(&m, IPL_HIGH);
	lockdebug_listened();
	T_ASSERT(right);
	T_ASSERT_EQ(lockdebug_count_reports() - before, 0);
}

/* --- interrupts ------------------------------------------------------------------------------- */

static struct spinlock lockdebug_shared = SPINLOCK_INIT("shared with interrupts");
static _Atomic uint64_t lockdebug_came;

static void
lockdebug_handler(
    void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	spinlock_enter(&lockdebug_shared);
	spinlock_exit(&lockdebug_shared);
	atomic_fetch_add_explicit(&lockdebug_came, 1, memory_order_release);
}

static void
lockdebug_interrupt(void)
{
	uint64_t came = atomic_load_explicit(&lockdebug_came, memory_order_relaxed);

	machine_send_ipi(curcpu(), test_vector(lockdebug_handler));
	while (atomic_load_explicit(&lockdebug_came, memory_order_acquire) == came)
		machine_pause();
}

/* What an interrupted thread holds, the interrupt does not; and sharing a lock with interrupts is
 * what spinlocks are for. */
TEST_CASE(lockdebug, an_interrupt_holds_nothing_of_its_thread)
{
	unsigned before = lockdebug_count_reports(), class, shared;
	kmutex_t m;

	mutex_init(&m, MUTEX_DEFAULT, IPL_NONE, "interrupted");
	lockdebug_listen();
	mutex_enter(&m);
	lockdebug_interrupt();
	mutex_exit(&m);
	spinlock_enter(&lockdebug_shared);
	spinlock_exit(&lockdebug_shared);
	lockdebug_listened();
	class = lockdebug_class(&m.mtx_spin);
	shared = lockdebug_class(&lockdebug_shared);
	mutex_destroy(&m);
	T_ASSERT_EQ(lockdebug_count_reports() - before, 0);
	T_ASSERT(lockdebug_known(LOCKDEBUG_IN_INTR, shared, shared));
	T_ASSERT(!lockdebug_known(LOCKDEBUG_INTR_ON, shared, shared));
	T_ASSERT(!lockdebug_known(LOCKDEBUG_ORDER, class, shared));
}

/* --- who holds what --------------------------------------------------------------------------- */

static bool
lockdebug_holds(unsigned i, const char *words)
{
	char text[LOCKDEBUG_TEXT_BYTES];

	return lockdebug_held_by_cpu(curcpu(), i, text) != NULL &&
	    strncmp(text, words, strlen(words)) == 0;
}

TEST_CASE(lockdebug, a_cpu_knows_what_it_holds)
{
	struct spinlock a = SPINLOCK_INIT("held, a"), b = SPINLOCK_INIT("held, b"),
			c = SPINLOCK_INIT("held, c");
	char text[LOCKDEBUG_TEXT_BYTES];
	bool three, two, none;

	spinlock_enter(&a);
	spinlock_enter(&b);
	spinlock_enter(&c);
	three = lockdebug_holds(0, "spinlock held, a, taken at test_lockdebug_a_cpu_knows") &&
	    lockdebug_holds(1, "spinlock held, b, taken at test_lockdebug_a_cpu_knows") &&
	    lockdebug_holds(2, "spinlock held, c, taken at test_lockdebug_a_cpu_knows");
	spinlock_exit(&a);
	two = lockdebug_holds(0, "spinlock held, b,") && lockdebug_holds(1, "spinlock held, c,") &&
	    !lockdebug_holds(2, "");
	spinlock_exit(&c);
	spinlock_exit(&b);
	(void)machine_intr_disable();
	none = lockdebug_held_by_cpu(curcpu(), 0, text) == NULL;
	machine_intr_restore(true);
	T_ASSERT(three);
	T_ASSERT(two);
	T_ASSERT(none);
}

static void
lockdebug_keep(void *arg)
{
	struct gate *gate = arg;
	kmutex_t m;

	mutex_init(&m, MUTEX_DEFAULT, IPL_NONE, "kept");
	mutex_enter(&m);
	atomic_fetch_add_explicit(&lockdebug_came, 1, memory_order_release);
	gate_pass(gate);
	mutex_exit(&m);
	mutex_destroy(&m);
}

/* Also an onlooker's view. */
TEST_CASE(lockdebug, a_thread_that_sleeps_keeps_its_mutexes)
{
	char text[LOCKDEBUG_TEXT_BYTES];
	struct crew_job job;
	struct gate gate;
	bool kept;

	gate_init(&gate);
	atomic_store_explicit(&lockdebug_came, 0, memory_order_relaxed);
	crew_start(&job, cpu_lookup(ncpu - 1), PRI_KERNEL, lockdebug_keep, &gate);
	kept = test_wait_at_least(&lockdebug_came, 1) &&
	    lockdebug_held_by_lwp(job.thread, 0, text) != NULL &&
	    strncmp(text, "mutex kept, taken at lockdebug_keep+", 36) == 0;
	gate_open(&gate);
	crew_join(&job);
	gate_destroy(&gate);
	T_ASSERT(kept);
}

/* What is taken while it is off is not known, and not missed; what is given back then is not held
 * afterwards. */
TEST_CASE(lockdebug, comes_and_goes_at_any_time)
{
	struct spinlock a = SPINLOCK_INIT("between, a"), b = SPINLOCK_INIT("between, b"),
			c = SPINLOCK_INIT("between, c"), d = SPINLOCK_INIT("between, d");
	enum lockdebug_policy policy;
	bool right;

	spinlock_enter(&a);
	spinlock_enter(&d);
	policy = lockdebug_set_policy(LOCKDEBUG_OFF);
	spinlock_enter(&b);
	spinlock_exit(&d);
	right = !lockdebug_holds(0, "");
	(void)lockdebug_set_policy(policy);
	right &= lockdebug_holds(0, "spinlock between, a,") && !lockdebug_holds(1, "");
	spinlock_enter(&c);
	spinlock_exit(&b);
	spinlock_exit(&a);
	right &= lockdebug_holds(0, "spinlock between, c,") && !lockdebug_holds(1, "");
	spinlock_exit(&c);
	(void)machine_intr_disable();
	right &= !lockdebug_holds(0, "");
	machine_intr_restore(true);
	T_ASSERT(right);
	T_ASSERT(lockdebug_known(LOCKDEBUG_ORDER, lockdebug_class(&a), lockdebug_class(&c)));
	T_ASSERT(!lockdebug_known(LOCKDEBUG_ORDER, lockdebug_class(&b), lockdebug_class(&c)));
	T_ASSERT(!lockdebug_known(LOCKDEBUG_ORDER, lockdebug_class(&d), lockdebug_class(&c)));
}

TEST_CASE(lockdebug, says_when_a_thread_holds_too_many)
{
	static kmutex_t m[LOCKDEBUG_HELD + 1];
	char text[LOCKDEBUG_TEXT_BYTES];
	bool last, none;

	for (unsigned i = 0; i <= LOCKDEBUG_HELD; i++)
		mutex_init(&m[i], MUTEX_DEFAULT, IPL_NONE, "many");
	lockdebug_listen();
	for (unsigned i = 0; i <= LOCKDEBUG_HELD; i++)
		mutex_enter(&m[i]);
	last = lockdebug_held_by_lwp(curlwp, LOCKDEBUG_HELD - 1, text) != NULL &&
	    lockdebug_held_by_lwp(curlwp, LOCKDEBUG_HELD, text) == NULL;
	for (unsigned i = 0; i <= LOCKDEBUG_HELD; i++)
		mutex_exit(&m[i]);
	none = lockdebug_held_by_lwp(curlwp, 0, text) == NULL;
	lockdebug_listened();
	for (unsigned i = 0; i <= LOCKDEBUG_HELD; i++)
		mutex_destroy(&m[i]);
	T_ASSERT(last);
	T_ASSERT(none);
	T_ASSERT_EQ(overhear_count("mutex many is one of more than 12 that are held"), 1);
}
