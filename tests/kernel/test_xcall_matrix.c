/*
 * Who may do what, the cells that are allowed: each operation in each context (matrix_cells.h).
 */
#include "tests/kernel/matrix.h"
#include "tests/kernel/test.h"

#define MATRIX_CASE(name_) TEST_CASE(xcall_matrix, name_)
#define MATRIX_Y(op, where, context) \
	MATRIX_CASE(op##_in_##where) \
	{ \
		T_ASSERT(matrix_allowed(&matrix_##op, context)); \
	}
#define MATRIX_B(op, where, context) MATRIX_Y(op, where, context)
#define MATRIX_E(op, where, context) MATRIX_Y(op, where, context)
#define MATRIX_A(op, where, context)
#define MATRIX_X(op, where, context)
#define MATRIX__(op, where, context)

MATRIX_TABLE(MATRIX_CELLS)
