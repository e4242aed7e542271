/*
 * <stdatomic.h> for code that runs in the simulator: every operation is a scheduling point, before
 * and after it.
 *
 * All virtual CPUs share one thread of the host, so an operation is plain code between two points.
 * Its memory order is not looked at: what the simulator runs is sequentially consistent.  Before it
 * stands apart from after: what is computed for an operation, and what is done with its result, may
 * be far from it in time.
 *
 * SIM_LAYER says how much of a file's operations are points (sim.h).
 */
#ifndef TESTS_HOST_SIM_SHIM_STDATOMIC_H
#define TESTS_HOST_SIM_SHIM_STDATOMIC_H

#include_next <stdatomic.h>

#include "tests/host/sim/point.h"

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit

/* Without the qualifiers. */
#define SIM_VALUE_OF(object) __typeof__((void)0, *(object))

#define atomic_load_explicit(object, order) \
	__extension__({ \
		__auto_type sim_object = (object); \
		SIM_VALUE_OF(sim_object) sim_old; \
		(void)(order); \
		SIM_BEFORE(SIM_LOAD, sim_object); \
		sim_old = *sim_object; \
		SIM_AFTER(SIM_LOAD); \
		sim_old; \
	})

#define atomic_store_explicit(object, value, order) \
	__extension__({ \
		__auto_type sim_object = (object); \
		SIM_VALUE_OF(sim_object) sim_new = (value); \
		(void)(order); \
		SIM_BEFORE(SIM_STORE, sim_object); \
		*sim_object = sim_new; \
		SIM_AFTER(SIM_STORE); \
	})

/* Reads sim_old and writes what is made of it and of sim_operand; the value is what was read. */
#define SIM_MODIFY(object, value, result) \
	__extension__({ \
		__auto_type sim_object = (object); \
		SIM_VALUE_OF(sim_object) sim_operand = (value), sim_old; \
		SIM_BEFORE(SIM_MODIFIED, sim_object); \
		sim_old = *sim_object; \
		*sim_object = (result); \
		SIM_AFTER(SIM_MODIFIED); \
		sim_old; \
	})

#define atomic_exchange_explicit(object, value, order) SIM_MODIFY(object, value, sim_operand)
#define atomic_fetch_add_explicit(object, value, order) \
	SIM_MODIFY(object, value, sim_old + sim_operand)
#define atomic_fetch_sub_explicit(object, value, order) \
	SIM_MODIFY(object, value, sim_old - sim_operand)
#define atomic_fetch_or_explicit(object, value, order) \
	SIM_MODIFY(object, value, sim_old | sim_operand)
#define atomic_fetch_and_explicit(object, value, order) \
	SIM_MODIFY(object, value, sim_old &sim_operand)

/* The weak one may fail for no reason. */
#define SIM_COMPARE_EXCHANGE(object, expected, desired, weak) \
	__extension__({ \
		__auto_type sim_object = (object); \
		__auto_type sim_expected = (expected); \
		SIM_VALUE_OF(sim_object) sim_new = (desired), sim_old; \
		_Bool sim_same; \
		SIM_BEFORE(SIM_COMPARED, sim_object); \
		sim_old = *sim_object; \
		sim_same = sim_old == *sim_expected && !((weak) && sim_spurious()); \
		if (sim_same) \
			*sim_object = sim_new; \
		else \
			*sim_expected = sim_old; \
		SIM_AFTER(SIM_COMPARED); \
		sim_same; \
	})

#define atomic_compare_exchange_strong_explicit(object, expected, desired, success, failure) \
	SIM_COMPARE_EXCHANGE(object, expected, desired, 0)
#define atomic_compare_exchange_weak_explicit(object, expected, desired, success, failure) \
	SIM_COMPARE_EXCHANGE(object, expected, desired, 1)

#endif
