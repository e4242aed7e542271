/*
 * The operations of the table of contexts.
 *
 * Each one notes what it found in matrix_right, which the check then asserts: a function in an
 * interrupt or an NMI must not print.
 */
#include "tests/kernel/matrix.h"

#include <stddef.h>

#include "kernel/errno.h"
#include "kernel/panic.h"
#include "tests/kernel/calls.h"
#include "tests/kernel/others.h"
#include "xcall/xc_call.h"
#include "xcall/xc_cpu.h"
#include "xcall/xc_slot.h"

/* A hang detector. */
#define MATRIX_LONG_NS 60000000000ull
/* Calls by ticket that are posted at a time: to this CPU, to another one, to all. */
#define MATRIX_POSTS 3

static struct probe matrix_probe;
static bool matrix_right; /* all that was looked at in the context */
static uint64_t matrix_ticket[XC_ROOM_SLEEP + 1];
static unsigned matrix_tickets;
static struct xc_call matrix_call[2];

void
matrix_note(bool right)
{
	matrix_right = matrix_right && right;
}

bool
matrix_is_right(void)
{
	return matrix_right;
}

/* --- posts ------------------------------------------------------------------------------------ */

static void
matrix_post(unsigned flags)
{
	matrix_ticket[0] = xc_unicast(flags, probe_run, &matrix_probe, NULL, curcpu());
	matrix_ticket[1] = xc_unicast(flags, probe_run, &matrix_probe, NULL, others_last());
	matrix_ticket[2] = xc_broadcast(flags, probe_run, &matrix_probe, NULL);
	matrix_tickets = MATRIX_POSTS;
}

/* Before the other CPUs are up: to this one, inline. */
static void
matrix_post_early(unsigned flags)
{
	const void *thread = curlwp;

	matrix_ticket[0] = xc_unicast(flags, probe_run, &matrix_probe, NULL, curcpu());
	matrix_note(matrix_ticket[0] == 0 && probe_ran(&matrix_probe) == 1);
	matrix_ticket[1] = xc_broadcast(flags, probe_run, &matrix_probe, NULL);
	matrix_note(matrix_ticket[1] == 0 && probe_ran(&matrix_probe) == 2);
	matrix_note(ncpu == 1 ||
	    xc_unicast(flags, probe_run, &matrix_probe, NULL, others_last()) == XC_ERROR(EHOSTDOWN));
	matrix_note(curlwp == thread && probe_ran_on(&matrix_probe, curcpu()) == 2);
	matrix_tickets = 0;
}

static void
matrix_run_post(const struct matrix_op *op, enum context context)
{
	unsigned flags = calls_flags(op->level);

	if (context == CONTEXT_EARLY)
		matrix_post_early(flags);
	else
		matrix_post(flags);
}

/* What was posted has run or will, once on each target and where it should. */
static bool
matrix_check_post(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	if (context == CONTEXT_EARLY)
		return matrix_right;
	for (unsigned i = 0; i < matrix_tickets; i++)
		/* 0: it is over; hard ones to the own CPU are at once. */
		matrix_note(i == 0 || ncpu == 1 || matrix_ticket[i] != 0);
	matrix_note(calls_wait_all(matrix_ticket, matrix_tickets));
	return matrix_right && probe_right(&matrix_probe, 2 + ncpu, 0);
}

/* --- posts without room ----------------------------------------------------------------------- */

/* What the call that makes CONTEXT_FUNCTION leaves of the room. */
static unsigned
matrix_room(enum context context)
{
	return XC_ROOM_SLEEP - (context == CONTEXT_FUNCTION);
}

/* Low ones to this CPU, where xcall/N does not run now: as many as there is room for. */
static void
matrix_fill_low(enum context context)
{
	while (matrix_tickets < matrix_room(context)) {
		uint64_t where = xc_unicast(0, probe_run, &matrix_probe, NULL, curcpu());

		matrix_note(!XC_ISERR(where));
		matrix_ticket[matrix_tickets++] = where;
	}
}

static void
matrix_run_full(const struct matrix_op *op, enum context context)
{
	unsigned flags = calls_flags(op->level);

	matrix_probe.level = XC_LEVEL_LOW;
	matrix_fill_low(context);
	matrix_note(xc_unicast(flags, probe_run, &matrix_probe, NULL, curcpu()) == XC_ERROR(EBUSY));
	matrix_note(xc_broadcast(flags, probe_run, &matrix_probe, NULL) == XC_ERROR(EBUSY));
	matrix_note(xc_unicast(flags | XC_TRY, probe_run, &matrix_probe, NULL, others_last()) ==
	    XC_ERROR(EBUSY));
}

static bool
matrix_check_full(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	matrix_note(calls_wait_all(matrix_ticket, matrix_tickets));
	return matrix_right && probe_right(&matrix_probe, matrix_room(context), 0);
}

/* With interrupts off they stay in the inbox until the post itself has to serve it. */
static void
matrix_run_hard_full(const struct matrix_op *op, enum context context)
{
	unsigned flags = calls_flags(op->level);
	uint64_t last;

	for (matrix_tickets = 0; matrix_tickets < XC_ROOM_HARD; matrix_tickets++)
		matrix_ticket[matrix_tickets] = xc_unicast(
		    flags, probe_run, &matrix_probe, NULL, curcpu());
	last = xc_unicast(flags, probe_run, &matrix_probe, NULL, curcpu());
	if (context == CONTEXT_SPINLOCK)
		matrix_note(last == XC_ERROR(EBUSY) && probe_ran(&matrix_probe) == 0);
	else
		matrix_ticket[matrix_tickets++] = last;
}

static bool
matrix_check_hard_full(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	matrix_note(calls_wait_all(matrix_ticket, matrix_tickets));
	return matrix_right &&
	    probe_right(&matrix_probe, XC_ROOM_HARD + (context != CONTEXT_SPINLOCK), 0);
}

/* --- waits ------------------------------------------------------------------------------------ */

/* A call that is over: a wait is wrong whether or not it would sleep. */
static void
matrix_prepare_ticket(const struct matrix_op *op)
{
	matrix_ticket[0] = xc_unicast(
	    calls_flags(op->level), probe_run, &matrix_probe, NULL, curcpu());
	(void)xc_wait(matrix_ticket[0]);
	matrix_tickets = 1;
}

/* The posts of the context, or the prepared one. */
static void
matrix_post_for_wait(const struct matrix_op *op, enum context context)
{
	if (matrix_tickets == 0)
		matrix_run_post(op, context);
}

static void
matrix_run_wait(const struct matrix_op *op, enum context context)
{
	matrix_post_for_wait(op, context);
	for (unsigned i = 0; i < matrix_tickets; i++)
		matrix_note(xc_wait(matrix_ticket[i]) == 0);
	matrix_note(context == CONTEXT_EARLY ? xc_wait(matrix_ticket[0]) == 0
					     : probe_right(&matrix_probe, 2 + ncpu, 0));
}

static void
matrix_run_timedwait(const struct matrix_op *op, enum context context)
{
	matrix_post_for_wait(op, context);
	for (unsigned i = 0; i < matrix_tickets; i++)
		matrix_note(xc_timedwait(matrix_ticket[i], MATRIX_LONG_NS) == 0);
	matrix_note(context == CONTEXT_EARLY ? xc_timedwait(matrix_ticket[0], 0) == 0
					     : probe_right(&matrix_probe, 2 + ncpu, 0));
}

static bool
matrix_check_right(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	return matrix_right;
}

/* --- descriptors ------------------------------------------------------------------------------ */

static void
matrix_call_init(void)
{
	for (unsigned i = 0; i < 2; i++)
		xc_call_init(&matrix_call[i], probe_run, &matrix_probe, NULL);
}

static void
matrix_run_call_post(const struct matrix_op *op, enum context context)
{
	unsigned flags = calls_flags(op->level);

	matrix_call_init();
	matrix_note(xc_call_post(&matrix_call[0], flags, curcpu()) == 0);
	if (context == CONTEXT_EARLY)
		matrix_note(probe_ran(&matrix_probe) == 1 && xc_call_done(&matrix_call[0]));
	else
		matrix_note(xc_call_post(&matrix_call[1], flags, others_last()) == 0);
}

static bool
matrix_check_call_post(const struct matrix_op *op __attribute__((unused)), enum context context)
{
	if (context == CONTEXT_EARLY)
		return matrix_right;
	for (unsigned i = 0; i < 2; i++)
		matrix_note(xc_call_wait(&matrix_call[i]) == 0 && xc_call_done(&matrix_call[i]));
	return matrix_right && probe_right(&matrix_probe, 2, 0);
}

static void
matrix_prepare_call(const struct matrix_op *op)
{
	matrix_call_init();
	KASSERT(xc_call_post(&matrix_call[0], calls_flags(op->level), curcpu()) == 0);
	(void)xc_call_wait(&matrix_call[0]);
	matrix_tickets = 1;
}

static void
matrix_run_call_wait(const struct matrix_op *op, enum context context)
{
	if (matrix_tickets == 0)
		matrix_run_call_post(op, context);
	matrix_note(xc_call_wait(&matrix_call[0]) == 0);
	matrix_note(xc_call_wait(&matrix_call[1]) == 0);
	matrix_note(probe_ran(&matrix_probe) == (context == CONTEXT_EARLY ? 1 : 2));
}

static void
matrix_run_call_timedwait(const struct matrix_op *op, enum context context)
{
	if (matrix_tickets == 0)
		matrix_run_call_post(op, context);
	matrix_note(xc_call_timedwait(&matrix_call[0], MATRIX_LONG_NS) == 0);
	matrix_note(xc_call_timedwait(&matrix_call[1], MATRIX_LONG_NS) == 0);
	matrix_note(probe_ran(&matrix_probe) == (context == CONTEXT_EARLY ? 1 : 2));
}

/* --- cancelling ------------------------------------------------------------------------------- */

/* A lazy call to this CPU: whether it has run meanwhile or not, nothing of it is left
 * afterwards. */
static void
matrix_run_cancel(const struct matrix_op *op, enum context context __attribute__((unused)))
{
	unsigned flags = calls_flags(op->level), withdrawn = 0;
	uint64_t where = matrix_ticket[0];

	if (matrix_tickets == 0)
		where = xc_unicast(op->level != XC_LEVEL_NMI ? flags | XC_LAZY : flags, probe_run,
		    &matrix_probe, NULL, curcpu());
	matrix_note(xc_cancel(where, &withdrawn) == 0);
	matrix_note(xc_wait(where) == (withdrawn != 0 ? ECANCELED : 0));
	matrix_note(withdrawn + probe_ran(&matrix_probe) == 1);
	if (context == CONTEXT_INTR_OFF || context == CONTEXT_HARDIRQ)
		matrix_note(withdrawn == 1 || op->level == XC_LEVEL_NMI);
}

static bool
matrix_check_cancel(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	xc_barrier(XC_HARD);
	xc_barrier(0);
	return matrix_right && probe_ran(&matrix_probe) <= 1;
}

static void
matrix_run_call_cancel(const struct matrix_op *op, enum context context __attribute__((unused)))
{
	int result;

	if (matrix_tickets == 0) {
		matrix_call_init();
		matrix_note(
		    xc_call_post(&matrix_call[0], calls_flags(op->level) | XC_LAZY, curcpu()) == 0);
	}
	result = xc_call_cancel(&matrix_call[0]);
	matrix_note(result == 0 || result == EBUSY);
	matrix_note((result == EBUSY) == !probe_ran(&matrix_probe));
}

/* The target finds it in its inbox, and lets it go. */
static bool
matrix_check_call_cancel(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	xc_barrier(calls_flags(op->level));
	return matrix_right && xc_call_done(&matrix_call[0]) && probe_ran(&matrix_probe) <= 1;
}

/* --- barriers, drains ------------------------------------------------------------------------- */

/* What was posted before is over after. */
static void
matrix_run_barrier(const struct matrix_op *op, enum context context)
{
	matrix_post_for_wait(op, context);
	xc_barrier(calls_flags(op->level));
	for (unsigned i = 0; i < matrix_tickets; i++)
		matrix_note(xc_done(matrix_ticket[i]));
}

static void
matrix_run_drain(const struct matrix_op *op, enum context context)
{
	matrix_post_for_wait(op, context);
	xc_drain(calls_flags(op->level));
	for (unsigned i = 0; i < matrix_tickets; i++)
		matrix_note(xc_done(matrix_ticket[i]));
}

/* --- CPUs that come and go -------------------------------------------------------------------- */

static void
matrix_run_cpu_online(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	xc_cpu_online(curcpu());
}

static void
matrix_run_cpu_dying(const struct matrix_op *op __attribute__((unused)),
    enum context context __attribute__((unused)))
{
	(void)!xc_cpu_dying(curcpu());
}

/* --- the table -------------------------------------------------------------------------------- */

/* clang-format off */
MATRIX_OP(post_low,            LOW,        NULL, NULL,                     post,           post)
MATRIX_OP(post_soft,           SOFTSERIAL, NULL, NULL,                     post,           post)
MATRIX_OP(post_hard,           HARD,       NULL, NULL,                     post,           post)
MATRIX_OP(post_nmi,            NMI,        NULL, NULL,                     post,           post)
MATRIX_OP(post_low_to_full,    LOW,        NULL, NULL,                     full,           full)
MATRIX_OP(post_soft_to_full,   SOFTNET,    NULL, NULL,                     full,           full)
MATRIX_OP(post_hard_to_full,   HARD,       NULL, NULL,                     hard_full,      hard_full)
MATRIX_OP(call_post_low,       LOW,        NULL, NULL,                     call_post,      call_post)
MATRIX_OP(call_post_soft,      SOFTBIO,    NULL, NULL,                     call_post,      call_post)
MATRIX_OP(call_post_hard,      HARD,       NULL, NULL,                     call_post,      call_post)
MATRIX_OP(wait_low,            LOW,        NULL, matrix_prepare_ticket,    wait,           right)
MATRIX_OP(wait_soft,           SOFTCLOCK,  NULL, matrix_prepare_ticket,    wait,           right)
MATRIX_OP(wait_hard,           HARD,       NULL, matrix_prepare_ticket,    wait,           right)
MATRIX_OP(wait_nmi,            NMI,        NULL, matrix_prepare_ticket,    wait,           right)
MATRIX_OP(timedwait_low,       LOW,        NULL, matrix_prepare_ticket,    timedwait,      right)
MATRIX_OP(timedwait_soft,      SOFTSERIAL, NULL, matrix_prepare_ticket,    timedwait,      right)
MATRIX_OP(timedwait_hard,      HARD,       NULL, matrix_prepare_ticket,    timedwait,      right)
MATRIX_OP(timedwait_nmi,       NMI,        NULL, matrix_prepare_ticket,    timedwait,      right)
MATRIX_OP(call_wait_low,       LOW,        NULL, matrix_prepare_call,      call_wait,      right)
MATRIX_OP(call_wait_hard,      HARD,       NULL, matrix_prepare_call,      call_wait,      right)
MATRIX_OP(call_timedwait_low,  LOW,        NULL, matrix_prepare_call,      call_timedwait, right)
MATRIX_OP(call_timedwait_hard, HARD,       NULL, matrix_prepare_call,      call_timedwait, right)
MATRIX_OP(cancel_low,          LOW,        NULL, matrix_prepare_ticket,    cancel,         cancel)
MATRIX_OP(cancel_soft,         SOFTSERIAL, NULL, matrix_prepare_ticket,    cancel,         cancel)
MATRIX_OP(cancel_hard,         HARD,       NULL, matrix_prepare_ticket,    cancel,         cancel)
MATRIX_OP(cancel_nmi,          NMI,        NULL, matrix_prepare_ticket,    cancel,         cancel)
MATRIX_OP(call_cancel_low,     LOW,        NULL, matrix_prepare_call     , call_cancel,    call_cancel)
MATRIX_OP(call_cancel_hard,    HARD,       NULL, matrix_prepare_call     , call_cancel,    call_cancel)
MATRIX_OP(barrier_low,         LOW,        NULL, matrix_prepare_ticket,    barrier,        right)
MATRIX_OP(barrier_soft,        SOFTSERIAL, NULL, matrix_prepare_ticket,    barrier,        right)
MATRIX_OP(barrier_hard,        HARD,       NULL, matrix_prepare_ticket,    barrier,        right)
MATRIX_OP(barrier_nmi,         NMI,        NULL, matrix_prepare_ticket,    barrier,        right)
MATRIX_OP(drain_low,           LOW,        NULL, matrix_prepare_ticket,    drain,          right)
MATRIX_OP(drain_soft,          SOFTCLOCK,  NULL, matrix_prepare_ticket,    drain,          right)
MATRIX_OP(drain_hard,          HARD,       NULL, matrix_prepare_ticket,    drain,          right)
MATRIX_OP(drain_nmi,           NMI,        NULL, matrix_prepare_ticket,    drain,          right)
MATRIX_OP(cpu_online,          LOW,        NULL, NULL,                     cpu_online,     right)
MATRIX_OP(cpu_dying,           LOW,        NULL, NULL,                     cpu_dying,      right)
/* clang-format on */

struct matrix_step {
	const struct matrix_op *op;
	enum context context;
};

static void
matrix_step(void *arg)
{
	const struct matrix_step *step = arg;

	step->op->run(step->op, step->context);
}

bool
matrix_allowed(const struct matrix_op *op, enum context context)
{
	struct matrix_step step = { op, context };
	bool right;

	probe_init(&matrix_probe, op->level);
	matrix_right = true;
	matrix_tickets = 0;
	if (op->setup != NULL)
		op->setup(op);
	right = context_run(context, matrix_step, &step) && op->check(op, context);
	probe_free(&matrix_probe);
	return right;
}

void
matrix_forbidden(const struct matrix_op *op, enum context context)
{
	struct matrix_step step = { op, context };

	probe_init(&matrix_probe, op->level);
	matrix_right = true;
	matrix_tickets = 0;
	if (op->setup != NULL)
		op->setup(op);
	if (op->prepare != NULL)
		op->prepare(op);
	(void)!context_run(context, matrix_step, &step);
}
