/*
 * Mutexes: inheritance of priority.
 *
 * The runner's thread (main here) has PRI_KERNEL.
 */
#include <stdatomic.h>
#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/condvar.h"
#include "kernel/cpu.h"
#include "kernel/kthread.h"
#include "kernel/machine.h"
#include "kernel/mutex.h"
#include "tests/kernel/blocked.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/test.h"

#define MS 1000000ull
/* How long a hog keeps a CPU if nobody stops it: only a broken kernel lets it. */
#define LEND_HOG_NS (5000 * MS)
#define LEND_CREW 4

/* Below, around and above PRI_KERNEL, main's own. */
enum { LOW = PRI_USER + 9, MIDDLE = PRI_USER + 39, HIGH = PRI_KERNEL + 10 };

static kmutex_t lend_a, lend_b, lend_c;
static kcondvar_t lend_cv;
static struct crew_job lend_job[LEND_CREW], lend_hogs[LEND_CREW];
static _Atomic uint64_t lend_go, lend_here;
/* Guarded by lend_b. */
static pri_t lend_order[LEND_CREW];
static unsigned lend_norder;

static uint64_t
lend_load(_Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

static void
lend_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void
lend_setup(void)
{
	mutex_init(&lend_a, MUTEX_DEFAULT, IPL_NONE, "lend a");
	mutex_init(&lend_b, MUTEX_DEFAULT, IPL_NONE, "lend b");
	mutex_init(&lend_c, MUTEX_DEFAULT, IPL_NONE, "lend c");
	cv_init(&lend_cv, "lend");
	lend_store(&lend_go, 0);
	lend_store(&lend_here, 0);
	lend_norder = 0;
}

/* Also a check that everything was left. */
static void
lend_teardown(void)
{
	mutex_destroy(&lend_a);
	mutex_destroy(&lend_b);
	mutex_destroy(&lend_c);
	cv_destroy(&lend_cv);
}

static void
lend_spin_until(_Atomic uint64_t *word, uint64_t value)
{
	while (lend_load(word) < value)
		machine_pause();
}

/* Keeps its CPU from all lesser threads until told to stop, or for too long. */
static void
lend_hog(void *arg __attribute__((unused)))
{
	uint64_t end = clock_ns() + LEND_HOG_NS;

	while (lend_load(&lend_go) < 2 && clock_ns() < end)
		machine_pause();
}

/* A link of a chain: holds one mutex, then wants the one before. */
struct lend_link {
	kmutex_t *holds, *wants;
	pri_t seen; /* its effective priority once it had all it wanted */
};

static void
lend_chain(void *arg)
{
	struct lend_link *link = arg;

	mutex_enter(link->holds);
	atomic_fetch_add_explicit(&lend_here, 1, memory_order_acq_rel);
	if (link->wants != NULL)
		mutex_enter(link->wants);
	else
		lend_spin_until(&lend_go, 1);
	link->seen = curlwp->l_pri;
	if (link->wants != NULL)
		mutex_exit(link->wants);
	mutex_exit(link->holds);
}

/* Main waits for the last of a chain of `n`, on that many CPUs as there are, each kept busy by a
 * hog that is better than the links and worse than main.  Whether main gets through at once, every
 * link at main's priority. */
static bool
lend_run_chain(unsigned n)
{
	/* Who holds one wants the one before: a, b, c is the order of all cases here. */
	static kmutex_t *const mutex[] = { NULL, &lend_c, &lend_b, &lend_a };
	static struct lend_link link[3];
	uint64_t start;
	bool lent = true;

	for (unsigned i = 0; i < n; i++) {
		link[i] = (struct lend_link){ .holds = mutex[i + 1], .wants = mutex[i] };
		crew_start(
		    &lend_job[i], cpu_lookup(i % ncpu), LOW + (pri_t)i, lend_chain, &link[i]);
		if (!test_wait_at_least(&lend_here, i + 1))
			return false;
		if (i != 0 && !blocked_wait(lend_job[i].thread, mutex[i]))
			return false;
	}
	for (unsigned i = 0; i < n && i < ncpu; i++)
		crew_start(&lend_hogs[i], cpu_lookup(i), MIDDLE, lend_hog, NULL);
	start = clock_ns();
	lend_store(&lend_go, 1);
	mutex_enter(mutex[n]);
	lent = clock_ns() - start < LEND_HOG_NS;
	lend_store(&lend_go, 2);
	mutex_exit(mutex[n]);
	for (unsigned i = 0; i < n && i < ncpu; i++)
		crew_join(&lend_hogs[i]);
	for (unsigned i = 0; i < n; i++) {
		lent &= link[i].seen == PRI_KERNEL;
		crew_join(&lend_job[i]);
	}
	return lent;
}

TEST_CASE(mutex_lend, owner_inherits_priority)
{
	lend_setup();
	T_ASSERT(lend_run_chain(1));
	lend_teardown();
}

TEST_CASE(mutex_lend, chains_inherit_priority)
{
	lend_setup();
	T_ASSERT(lend_run_chain(2));
	lend_teardown();
	lend_setup();
	T_ASSERT(lend_run_chain(3));
	lend_teardown();
}

/* Holds two mutexes; notes its priority with both, with one, with none. */
static pri_t lend_steps[4];

static void
lend_two(void *arg __attribute__((unused)))
{
	mutex_enter(&lend_a);
	mutex_enter(&lend_b);
	lend_steps[0] = curlwp->l_pri;
	lend_store(&lend_here, 1);
	lend_spin_until(&lend_go, 1);
	lend_steps[1] = curlwp->l_pri;
	mutex_exit(&lend_b);
	lend_steps[2] = curlwp->l_pri;
	mutex_exit(&lend_a);
	lend_steps[3] = curlwp->l_pri;
}

static void
lend_want(void *arg)
{
	mutex_enter(arg);
	mutex_exit(arg);
}

TEST_CASE(mutex_lend, lent_priority_is_given_back)
{
	lend_setup();
	crew_start(&lend_job[0], curcpu(), LOW, lend_two, NULL);
	T_ASSERT(test_wait_at_least(&lend_here, 1));
	crew_start(&lend_job[1], curcpu(), MIDDLE, lend_want, &lend_a);
	T_ASSERT(blocked_wait(lend_job[1].thread, &lend_a));
	crew_start(&lend_job[2], curcpu(), MIDDLE + 5, lend_want, &lend_b);
	T_ASSERT(blocked_wait(lend_job[2].thread, &lend_b));
	lend_store(&lend_go, 1);
	for (unsigned i = 0; i < 3; i++)
		crew_join(&lend_job[i]);
	T_ASSERT_EQ(lend_steps[0], LOW);
	T_ASSERT_EQ(lend_steps[1], MIDDLE + 5);
	T_ASSERT_EQ(lend_steps[2], MIDDLE);
	T_ASSERT_EQ(lend_steps[3], LOW);
	lend_teardown();
}

/* A sleeper that inherits moves forward in its queue: LOW waits for lend_b first, owns lend_a. */
static void
lend_a_then_b(void *arg __attribute__((unused)))
{
	mutex_enter(&lend_a);
	mutex_enter(&lend_b);
	lend_order[lend_norder++] = curlwp->l_base_pri;
	mutex_exit(&lend_b);
	mutex_exit(&lend_a);
}

static void
lend_b_only(void *arg __attribute__((unused)))
{
	mutex_enter(&lend_b);
	lend_order[lend_norder++] = curlwp->l_base_pri;
	mutex_exit(&lend_b);
}

TEST_CASE(mutex_lend, a_sleeper_that_inherits_moves_forward)
{
	lend_setup();
	mutex_enter(&lend_b);
	crew_start(&lend_job[0], curcpu(), LOW, lend_a_then_b, NULL);
	T_ASSERT(blocked_wait(lend_job[0].thread, &lend_b));
	crew_start(&lend_job[1], curcpu(), MIDDLE, lend_b_only, NULL);
	T_ASSERT(blocked_wait(lend_job[1].thread, &lend_b));
	crew_start(&lend_job[2], curcpu(), HIGH, lend_want, &lend_a);
	T_ASSERT(blocked_wait(lend_job[2].thread, &lend_a));
	/* Main itself is lent HIGH through the chain. */
	T_ASSERT_EQ(curlwp->l_pri, HIGH);
	mutex_exit(&lend_b);
	for (unsigned i = 0; i < 3; i++)
		crew_join(&lend_job[i]);
	T_ASSERT_EQ(lend_norder, 2);
	T_ASSERT_EQ(lend_order[0], LOW);
	T_ASSERT_EQ(lend_order[1], MIDDLE);
	T_ASSERT_EQ(curlwp->l_pri, PRI_KERNEL);
	lend_teardown();
}

/* An owner that sleeps for a condition moves forward, too: both wait for lend_cv, LOW owns
 * lend_a. */
static void
lend_wait_holding(void *arg __attribute__((unused)))
{
	mutex_enter(&lend_a);
	mutex_enter(&lend_b);
	lend_store(&lend_here, 1);
	cv_wait(&lend_cv, &lend_b);
	lend_order[lend_norder++] = curlwp->l_base_pri;
	mutex_exit(&lend_b);
	mutex_exit(&lend_a);
}

static void
lend_wait_only(void *arg __attribute__((unused)))
{
	mutex_enter(&lend_b);
	lend_store(&lend_here, 2);
	cv_wait(&lend_cv, &lend_b);
	lend_order[lend_norder++] = curlwp->l_base_pri;
	mutex_exit(&lend_b);
}

TEST_CASE(mutex_lend, an_owner_that_waits_for_a_condition_moves_forward)
{
	struct cpu_info *other = cpu_lookup(ncpu - 1);

	lend_setup();
	crew_start(&lend_job[0], other, LOW, lend_wait_holding, NULL);
	T_ASSERT(test_wait_at_least(&lend_here, 1));
	crew_start(&lend_job[1], curcpu(), MIDDLE, lend_wait_only, NULL);
	T_ASSERT(test_wait_at_least(&lend_here, 2));
	crew_start(&lend_job[2], curcpu(), HIGH, lend_want, &lend_a);
	T_ASSERT(blocked_wait(lend_job[2].thread, &lend_a));
	for (unsigned i = 0; i < 2; i++) {
		mutex_enter(&lend_b);
		cv_signal(&lend_cv);
		mutex_exit(&lend_b);
		crew_join(&lend_job[i]);
	}
	crew_join(&lend_job[2]);
	T_ASSERT_EQ(lend_norder, 2);
	T_ASSERT_EQ(lend_order[0], LOW);
	T_ASSERT_EQ(lend_order[1], MIDDLE);
	lend_teardown();
}
