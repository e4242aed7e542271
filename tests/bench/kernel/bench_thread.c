/*
 * Calls in thread context, and two threads that wake each other: what they cost one caller.
 */
#include <stddef.h>

#include "kernel/condvar.h"
#include "kernel/mutex.h"
#include "tests/bench/kernel/bench.h"
#include "tests/kernel/crew.h"
#include "tests/kernel/twin_seed.h"
#include "xcall/xcall.h"

static inline void
bench_thread_call(void)
{
	xc_wait(xc_unicast(0, bench_nop, NULL, NULL, bench_target()));
}

BENCH_OP(bench_thread_call)

/* --- the calls of 2008 ------------------------------------------------------------------------ */

static inline void
bench_thread_seed(void)
{
	twin_wait(twin_unicast(0, bench_nop, NULL, NULL, bench_target()));
}

static inline void
bench_thread_seed_all(void)
{
	twin_wait(twin_broadcast(0, bench_nop, NULL, NULL));
}

static void
bench_thread_seed_run(struct bench_run *run)
{
	twin_start(true);
	bench_sample(run, bench_nothing, bench_thread_seed, bench_nothing);
	twin_stop();
}

static void
bench_thread_seed_all_run(struct bench_run *run)
{
	twin_start(true);
	bench_sample(run, bench_nothing, bench_thread_seed_all, bench_nothing);
	twin_stop();
}

/* --- ping and pong ---------------------------------------------------------------------------- */

/* Locking: lock. */
static struct bench_turn {
	kmutex_t lock;
	kcondvar_t ping, pong;
	bool pinged, ponged, stop;
} bench_turn;

static void
bench_thread_pong(void *arg __attribute__((unused)))
{
	struct bench_turn *t = &bench_turn;

	mutex_enter(&t->lock);
	for (;;) {
		while (!t->pinged && !t->stop)
			cv_wait(&t->ping, &t->lock);
		if (t->stop)
			break;
		t->pinged = false;
		t->ponged = true;
		cv_signal(&t->pong);
	}
	mutex_exit(&t->lock);
}

static inline void
bench_thread_ping(void)
{
	struct bench_turn *t = &bench_turn;

	mutex_enter(&t->lock);
	t->pinged = true;
	cv_signal(&t->ping);
	while (!t->ponged)
		cv_wait(&t->pong, &t->lock);
	t->ponged = false;
	mutex_exit(&t->lock);
}

static void
bench_thread_ping_run(struct bench_run *run)
{
	struct bench_turn *t = &bench_turn;
	struct crew_job job;

	mutex_init(&t->lock, MUTEX_DEFAULT, IPL_NONE, "turn");
	cv_init(&t->ping, "ping");
	cv_init(&t->pong, "pong");
	t->pinged = t->ponged = t->stop = false;
	crew_start(&job, bench_target(), PRI_KERNEL, bench_thread_pong, NULL);
	bench_sample(run, bench_nothing, bench_thread_ping, bench_nothing);
	mutex_enter(&t->lock);
	t->stop = true;
	cv_signal(&t->ping);
	mutex_exit(&t->lock);
	crew_join(&job);
	cv_destroy(&t->ping);
	cv_destroy(&t->pong);
	mutex_destroy(&t->lock);
}

const struct bench_row bench_thread_rows[] = {
	{ "low_idle", BENCH_IDLE, 2, 1, bench_thread_call_run },
	{ "low_busy", BENCH_BUSY, 2, 1, bench_thread_call_run },
	{ "ping_pong", BENCH_IDLE, 2, 1, bench_thread_ping_run },
	{ "seed_idle", BENCH_IDLE, 2, 1, bench_thread_seed_run },
	{ "seed_all", BENCH_IDLE, 2, 10, bench_thread_seed_all_run },
	{ .name = NULL },
};
