/*
 * Who may do what, the cells that are forbidden: each must end in a panic with the documented words
 * (matrix_cells.h, tests/console/misuse.toml).
 */
#include "tests/kernel/matrix.h"
#include "tests/kernel/test.h"

#define MATRIX_CASE(name_) TEST_MISUSE(name_)
#define MATRIX_A(op, where, context) \
	MATRIX_CASE(matrix_##op##_in_##where) \
	{ \
		matrix_forbidden(&matrix_##op, context); \
	}
#define MATRIX_Y(op, where, context)
#define MATRIX_B(op, where, context)
#define MATRIX_E(op, where, context)
#define MATRIX_X(op, where, context)
#define MATRIX__(op, where, context)

MATRIX_TABLE(MATRIX_CELLS)
