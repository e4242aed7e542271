/*
 * Spinlocks, and mutex(9): at IPL_NONE a mutex sleeps, at any other it is a spinlock.
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_MUTEX_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_MUTEX_H

#include <stdatomic.h>
#include <stdbool.h>

struct cpu_info;
struct lwp;

enum { IPL_NONE, IPL_SOFTCLOCK, IPL_SOFTBIO, IPL_SOFTNET, IPL_SOFTSERIAL, IPL_HIGH };

struct spinlock {
	const char *sl_name;
	struct cpu_info *sl_holder;
};

typedef struct kmutex {
	const char *mtx_name;
	bool mtx_spins;
	struct spinlock mtx_lock;        /* that one */
	_Atomic(struct lwp *) mtx_owner; /* the other one's */
} kmutex_t;

enum { MUTEX_DEFAULT };

void mutex_init(kmutex_t *, int type, int ipl, const char *name);
void mutex_enter(kmutex_t *);
void mutex_exit(kmutex_t *);
/* Adaptive ones only. */
unsigned mutex_held_count(const struct lwp *);
struct lwp *mutex_owner(const kmutex_t *);

#define SPINLOCK_TEXT_BYTES 32
/* Which spinlock the CPU spins for, as text; NULL: none. */
const char *spinlock_wanted(const struct cpu_info *, char text[SPINLOCK_TEXT_BYTES]);

#define LOCKDEBUG_TEXT_BYTES 32
/* The `i`th lock held there, as text; NULL: nobody keeps count. */
const char *lockdebug_held_by_cpu(
    const struct cpu_info *, unsigned i, char text[LOCKDEBUG_TEXT_BYTES]);
const char *lockdebug_held_by_lwp(const struct lwp *, unsigned i, char text[LOCKDEBUG_TEXT_BYTES]);

/* For tests/kernel/ only. */
static inline bool
lockdebug_on(void)
{
	return false;
}

#define SPINLOCK_INIT(name) \
	{ \
		name, NULL \
	}
void spinlock_enter(struct spinlock *);
void spinlock_exit(struct spinlock *);
void mutex_destroy(kmutex_t *);

#endif
