/*
 * The table of contexts of the contract, one row an operation, and each cell a case: Y works as it
 * does in a thread, B works and is EBUSY without room, E works without the other CPUs, A panics
 * (misuse_xcall_matrix.c), X as well (misuse_xcall_ipi.c), _ does not arise.
 */
#ifndef TESTS_KERNEL_MATRIX_CELLS_H
#define TESTS_KERNEL_MATRIX_CELLS_H

/* clang-format off */
#define MATRIX_TABLE(ROW) \
	/*                 thread spinlock nopreempt intr_off softint hardirq nmi function early */\
	ROW(post_low,               Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(post_soft,              Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(post_hard,              Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(post_nmi,               Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(post_low_to_full,       _,       B,        B,       B,      B,      B,  _,       B,    _) \
	ROW(post_soft_to_full,      _,       B,        B,       B,      B,      B,  _,       B,    _) \
	ROW(post_hard_to_full,      Y,       B,        Y,       Y,      Y,      Y,  _,       Y,    _) \
	ROW(call_post_low,          Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(call_post_soft,         Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(call_post_hard,         Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(wait_low,               Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(wait_soft,              Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(wait_hard,              Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(wait_nmi,               Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(timedwait_low,          Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(timedwait_soft,         Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(timedwait_hard,         Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(timedwait_nmi,          Y,       Y,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(call_wait_low,          Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(call_wait_hard,         Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(call_timedwait_low,     Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(call_timedwait_hard,    Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    E) \
	ROW(cancel_low,             Y,       A,        A,       A,      A,      A,  A,       Y,    _) \
	ROW(cancel_soft,            Y,       A,        A,       A,      A,      A,  A,       Y,    _) \
	ROW(cancel_hard,            Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    _) \
	ROW(cancel_nmi,             Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    _) \
	ROW(call_cancel_low,        Y,       A,        A,       A,      A,      A,  A,       Y,    _) \
	ROW(call_cancel_hard,       Y,       A,        Y,       Y,      Y,      Y,  A,       Y,    _) \
	ROW(barrier_low,            Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(barrier_soft,           Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(barrier_hard,           Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(barrier_nmi,            Y,       A,        A,       A,      A,      A,  A,       Y,    E) \
	ROW(drain_low,              Y,       A,        A,       A,      A,      A,  A,       A,    E) \
	ROW(drain_soft,             Y,       A,        A,       A,      A,      A,  A,       A,    E) \
	ROW(drain_hard,             Y,       A,        A,       A,      A,      A,  A,       A,    E) \
	ROW(drain_nmi,              Y,       A,        A,       A,      A,      A,  A,       A,    E) \
	ROW(ipi_trigger,            Y,       Y,        Y,       Y,      Y,      Y,  X,       Y,    E) \
	ROW(ipi_message,            Y,       Y,        Y,       Y,      Y,      Y,  X,       Y,    E) \
	ROW(ipi_wait,               Y,       X,        Y,       Y,      Y,      Y,  X,       Y,    E) \
	ROW(rendezvous,             Y,       X,        X,       X,      X,      X,  X,       X,    E) \
	ROW(stop_machine,           Y,       X,        A,       A,      A,      A,  A,       X,    E) \
	ROW(stop_cpus,              Y,       Y,        Y,       Y,      Y,      Y,  Y,       Y,    _) \
	ROW(done,                   Y,       Y,        Y,       Y,      Y,      Y,  Y,       Y,    Y) \
	ROW(status,                 Y,       Y,        Y,       Y,      Y,      Y,  Y,       Y,    Y) \
	ROW(stats,                  Y,       Y,        Y,       Y,      Y,      Y,  Y,       Y,    Y) \
	ROW(dump,                   Y,       Y,        Y,       Y,      Y,      Y,  Y,       Y,    Y) \
	ROW(cpu_online,             A,       A,        A,       A,      A,      A,  A,       A,    _) \
	ROW(cpu_dying,              _,       A,        A,       A,      A,      A,  A,       A,    _)
/* clang-format on */

/* A row becomes MATRIX_Y(op, thread, CONTEXT_THREAD) and so on, named after what its cells say. */
#define MATRIX_CELLS(op, c0, c1, c2, c3, c4, c5, c6, c7, c8) \
	MATRIX_##c0(op, thread, CONTEXT_THREAD) MATRIX_##c1(op, spinlock, CONTEXT_SPINLOCK) \
	    MATRIX_##c2(op, nopreempt, CONTEXT_NOPREEMPT) MATRIX_##c3( \
		op, intr_off, CONTEXT_INTR_OFF) MATRIX_##c4(op, softint, CONTEXT_SOFTINT) \
		MATRIX_##c5(op, hardirq, CONTEXT_HARDIRQ) MATRIX_##c6(op, nmi, CONTEXT_NMI) \
		    MATRIX_##c7(op, function, CONTEXT_FUNCTION) \
			MATRIX_##c8(op, early, CONTEXT_EARLY)

#endif
