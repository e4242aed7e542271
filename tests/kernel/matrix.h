/*
 * Who may do what: the operations of the table in matrix_cells.h, each to be tried in any context.
 */
#ifndef TESTS_KERNEL_MATRIX_H
#define TESTS_KERNEL_MATRIX_H

#include <stdbool.h>

#include "tests/kernel/context.h"
#include "tests/kernel/matrix_cells.h"
#include "xcall/xc_ticket.h"

/* How an operation is tried. */
struct matrix_op {
	enum xc_level level;
	/* In a thread, before; the second one for a cell that is forbidden, so that nothing but the
	 * context is wrong.  NULL: nothing. */
	void (*setup)(const struct matrix_op *);
	void (*prepare)(const struct matrix_op *);
	/* In the context; notes what it finds. */
	void (*run)(const struct matrix_op *, enum context);
	/* In a thread, after: whether all was as it should be. */
	bool (*check)(const struct matrix_op *, enum context);
};

#define MATRIX_DECLARE(op, ...) extern const struct matrix_op matrix_##op;
MATRIX_TABLE(MATRIX_DECLARE)

#define MATRIX_OP(name_, level_, setup_, prepare_, run_, check_) \
	const struct matrix_op matrix_##name_ = { .level = XC_LEVEL_##level_, \
		.setup = setup_, \
		.prepare = prepare_, \
		.run = matrix_run_##run_, \
		.check = matrix_check_##check_ };

/* What was looked at is as it should be, or not; all of it.  Any context. */
void matrix_note(bool right);
bool matrix_is_right(void);

/* A cell that is allowed; a cell that is forbidden: returns only when nobody minded. */
bool matrix_allowed(const struct matrix_op *, enum context);
void matrix_forbidden(const struct matrix_op *, enum context);

#endif
