/*
 * The operations of the table of contexts that are not about one call: ipi(9), everybody at once,
 * looking.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/matrix.h"
#include "tests/kernel/others.h"
#include "tests/kernel/overhear.h"
#include "tests/kernel/test.h"
#include "xcall/ipi.h"
#include "xcall/rendezvous.h"
#include "xcall/xc_status.h"

/* A hang detector. */
#define MATRIX_LONG_NS 60000000000ull

static _Atomic uint64_t matrix_handled, matrix_handled_wrong;
static unsigned matrix_ipi;
static ipi_msg_t matrix_msg;
static struct cpuset matrix_set;

/* --- ipi(9) ----------------------------------------------------------------------------------- */

static void
matrix_handler(void *arg __attribute__((unused)))
{
	if (!cpu_intr_p() || machine_intr_enabled())
		atomic_fetch_add_explicit(&matrix_handled_wrong, 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&matrix_handled, 1, memory_order_release);
}

static bool
matrix_handled_right(uint64_t n)
{
	return atomic_load_explicit(&matrix_handled, memory_order_acquire) == n &&
	    atomic_load_explicit(&matrix_handled_wrong, memory_order_relaxed) == 0;
}

static void
matrix_reset_handled(const struct matrix_op *op __attribute__((unused)))
{
	atomic_store_explicit(&matrix_handled, 0, memory_order_relaxed);
	atomic_store_explicit(&matrix_handled_wrong, 0, memory_order_relaxed);
	matrix_msg = (ipi_msg_t){ .func = matrix_handler };
	cpuset_zero(&matrix_set);
	for (unsigned i = 0; i < ncpu; i++)
		cpuset_add(&matrix_set, i);
}

static void
matrix_prepare_ipi(const struct matrix_op *op)
{
	matrix_reset_handled(op);
	matrix_ipi = ipi_register(matrix_handler, NULL);
}

static void
matrix_run_ipi_trigger(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	ipi_trigger_broadcast(matrix_ipi, false);
}

static bool
matrix_check_ipi_trigger(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	bool right = test_wait_at_least(&matrix_handled, context == CONTEXT_EARLY ? 1 : ncpu);

	ipi_unregister(matrix_ipi);
	return right && matrix_handled_right(context == CONTEXT_EARLY ? 1 : ncpu);
}

static void
matrix_run_ipi_message(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	ipi_broadcast(&matrix_msg, false);
}

static bool
matrix_check_ipi_message(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	ipi_wait(&matrix_msg);
	return matrix_handled_right(context == CONTEXT_EARLY ? 1 : ncpu);
}

static void
matrix_run_ipi_wait(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	ipi_broadcast(&matrix_msg, false);
	ipi_wait(&matrix_msg);
	matrix_note(matrix_handled_right(context == CONTEXT_EARLY ? 1 : ncpu));
}

/* --- everybody at once ------------------------------------------------------------------------ */

static void
matrix_run_rendezvous(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	matrix_note(xc_rendezvous(&matrix_set, matrix_handler, matrix_handler, matrix_handler, NULL,
			MATRIX_LONG_NS) == 0);
	matrix_note(matrix_handled_right(context == CONTEXT_EARLY ? 3 : 3 * ncpu));
}

static void
matrix_run_stop_machine(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	matrix_note(xc_stop_machine(matrix_handler, NULL, &matrix_set) == 0);
	matrix_note(matrix_handled_right(context == CONTEXT_EARLY ? 1 : ncpu));
	matrix_note(xc_stop_machine(matrix_handler, NULL, NULL) == 0);
	matrix_note(matrix_handled_right(context == CONTEXT_EARLY ? 2 : ncpu + 1));
}

static void
matrix_run_stop_cpus(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	matrix_note(xc_stop_cpus(&matrix_set, false, MATRIX_LONG_NS) == ncpu - 1);
	xc_restart_cpus(&matrix_set);
	matrix_note(xc_stop_cpus(&matrix_set, true, MATRIX_LONG_NS) == ncpu - 1);
	xc_restart_cpus(&matrix_set);
}

static bool
matrix_check_right(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	return matrix_is_right();
}

/* --- looking ---------------------------------------------------------------------------------- */

static uint64_t matrix_live, matrix_over;
static struct latch matrix_look_latch;
static struct xc_stats matrix_figures;

/* A call that is live, where there is another CPU to keep it, and one that is over; XC_TRY, as hard
 * calls to the own CPU have no ticket else. */
static void
matrix_prepare_look(const struct matrix_op *op)
{
	matrix_reset_handled(op);
	atomic_store_explicit(&matrix_look_latch.open, ncpu == 1, memory_order_relaxed);
	matrix_live = xc_unicast(0, latch_hold, &matrix_look_latch, NULL, others_last());
	matrix_over = xc_unicast(
	    XC_HARD | XC_TRY, latch_hold, &(struct latch){ .open = 1 }, NULL, curcpu());
	matrix_note(xc_wait(matrix_over) == 0);
	if (ncpu == 1)
		matrix_note(xc_wait(matrix_live) == 0);
	xc_stats(curcpu(), &matrix_figures);
	overhear_begin();
}

static void
matrix_run_done(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	matrix_note(xc_done(0) && xc_done(XC_ERROR(EBUSY)) && xc_done(matrix_over));
	matrix_note(xc_done(matrix_live) == (ncpu == 1));
}

static void
matrix_run_status(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	static struct cpuset posted, finished;
	struct xc_status status;

	matrix_note(xc_status(matrix_over, &status) == 0 && status.func == NULL);
	matrix_note(xc_status(matrix_live, &status) == 0);
	matrix_note(xc_status_sets(matrix_live, &posted, NULL, &finished) == 0);
	matrix_note(ncpu == 1
		? status.func == NULL
		: status.func == latch_hold && status.posted == 1 && status.finished == 0 &&
		    cpuset_has(&posted, ncpu - 1) && cpuset_empty(&finished));
	matrix_note(xc_status(matrix_over + (UINT64_C(1000) << XC_TICKET_GENERATION_SHIFT),
			&status) == EINVAL);
}

static void
matrix_run_stats(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	static struct xc_stats now;

	xc_stats(curcpu(), &now);
	matrix_note(now.posted[XC_CLASS_HARD] == matrix_figures.posted[XC_CLASS_HARD] &&
	    now.posted[XC_CLASS_LOW] >= matrix_figures.posted[XC_CLASS_LOW] &&
	    now.run[XC_CLASS_HARD] == matrix_figures.run[XC_CLASS_HARD]);
}

static void
matrix_run_dump(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	xc_dump(curcpu());
	xc_dump(others_last());
}

static bool
matrix_check_look(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	overhear_end();
	latch_open(&matrix_look_latch);
	return xc_wait(matrix_live) == 0 && matrix_is_right();
}

/* The function of the call that is live is named. */
static bool
matrix_check_dump(const struct matrix_op *op, enum context context)
{
	matrix_note(ncpu == 1 || overhear_has("latch_hold"));
	return matrix_check_look(op, context);
}

/* clang-format off */
MATRIX_OP(ipi_trigger,  HARD, matrix_prepare_ipi,   NULL, ipi_trigger,  ipi_trigger)
MATRIX_OP(ipi_message,  HARD, matrix_reset_handled, NULL, ipi_message,  ipi_message)
MATRIX_OP(ipi_wait,     HARD, matrix_reset_handled, NULL, ipi_wait,     right)
MATRIX_OP(rendezvous,   HARD, matrix_reset_handled, NULL, rendezvous,   right)
MATRIX_OP(stop_machine, HARD, matrix_reset_handled, NULL, stop_machine, right)
MATRIX_OP(stop_cpus,    HARD, matrix_reset_handled, NULL, stop_cpus,    right)
MATRIX_OP(done,         LOW,  matrix_prepare_look,  NULL, done,         look)
MATRIX_OP(status,       LOW,  matrix_prepare_look,  NULL, status,       look)
MATRIX_OP(stats,        LOW,  matrix_prepare_look,  NULL, stats,        look)
MATRIX_OP(dump,         LOW,  matrix_prepare_look,  NULL, dump,         dump)
/* clang-format on */
