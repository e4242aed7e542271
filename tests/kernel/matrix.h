/*
 * Who may do what: the operations of the table in matrix_cells.h, each to be tried in any context.
 */
#ifndef TESTS_KERNEL_MATRIX_H
#define TESTS_KERNEL_MATRIX_H

#include <stdbool.h>

#include "tests/kernel/context.h"
#include "tests/kernel/matrix_cells.h"
#include "xcall/xc_ticket.h"

/* Each operation is tried in three steps. */
struct matrix_op {
	enum xc_level level;
	/* In a thread, before: for a cell that is forbidden, so that nothing but the context is wrong. */
	void (*prepare)(const struct matrix_op *);
	/* In the context; notes what it finds. */
	void (*run)(const struct matrix_op *, enum context);
	/* In a thread, after: whether all was as it should be. */
	bool (*check)(const struct matrix_op *, enum context);
};

#define MATRIX_DECLARE(op, ...) extern const struct matrix_op matrix_##op;
MATRIX_TABLE(MATRIX_DECLARE)

/* A cell that is allowed; a cell that is forbidden: returns only when nobody minded. */
bool matrix_allowed(const struct matrix_op *, enum context);
void matrix_forbidden(const struct matrix_op *, enum context);

#endif
