/*
 * How lock checking says what is wrong, and who holds what.
 *
 * A panic tells its message, its context and its stack first, and then asks lockdebug_dump() for
 * the rest.  By then all other CPUs stand still, in the middle of anything, so no lock is taken;
 * threads are walked as they are.
 */
#include <stddef.h>

#include "kernel/cpu.h"
#include "kernel/ksyms.h"
#include "kernel/kthread.h"
#include "kernel/lockdebug_report.h"
#include "kernel/mutex.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"

#define LOCKDEBUG_NS_PER_S UINT64_C(1000000000)

static _Atomic unsigned lockdebug_report_count;
/* What a panic is about, or NULL.  Of the CPU that panics. */
static const struct lockdebug_report *lockdebug_panic_report;

unsigned
lockdebug_reports(void)
{
	return atomic_load_explicit(&lockdebug_report_count, memory_order_relaxed);
}

/* --- facts ------------------------------------------------------------------------------------ */

static void
lockdebug_print_class(unsigned class)
{
	printf("%s %s", lockdebug_kind_words(class), lockdebug_name(class));
}

static void
lockdebug_print_who(const struct lockdebug_fact *f, bool now)
{
	if (now)
		printf("now");
	else
		printf("first seen at %lu.%06lu s", f->f_ns / LOCKDEBUG_NS_PER_S,
		    f->f_ns % LOCKDEBUG_NS_PER_S / 1000);
	printf(
	    ", CPU %u, %sthread %s:\n", f->f_cpu, f->f_intr ? "an interrupt of " : "", f->f_thread);
}

void
lockdebug_print_fact(const struct lockdebug_fact *f, const struct lockdebug_report *r)
{
	char text[KSYMS_TEXT_BYTES];

	printf("  ");
	lockdebug_print_class(f->f_to);
	if (f->f_what == LOCKDEBUG_ORDER) {
		printf(" wanted while ");
		lockdebug_print_class(f->f_from);
		printf(" was held, taken at %s; ", ksyms_format(f->f_taken, text));
	} else if (f->f_what == LOCKDEBUG_IN_INTR) {
		printf(" taken in an interrupt; ");
	} else {
		printf(" held with interrupts on, taken at %s; ", ksyms_format(f->f_taken, text));
	}
	lockdebug_print_who(f, r != NULL && f == &r->r_now);
	/* Return addresses: look up the call before. */
	for (unsigned i = 0; i < f->f_depth; i++)
		printf("    %#014lx  %s\n", f->f_stack[i], ksyms_format(f->f_stack[i] - 1, text));
}

static void
lockdebug_print_report(const struct lockdebug_report *r)
{
	for (unsigned i = 0; i < r->r_n && i < LOCKDEBUG_LINKS; i++)
		lockdebug_print_fact(r->r_fact[i], r);
	if (r->r_n > LOCKDEBUG_LINKS)
		printf("  and %u more\n", r->r_n - LOCKDEBUG_LINKS);
}

void
lockdebug_tell(struct lockdebug_report *r)
{
	atomic_fetch_add_explicit(&lockdebug_report_count, 1, memory_order_relaxed);
	if (atomic_load_explicit(&lockdebug_policy, memory_order_relaxed) == LOCKDEBUG_PANIC) {
		lockdebug_panic_report = r;
		panic("%s", r->r_headline);
	}
	printf("lockdebug: %s\n", r->r_headline);
	lockdebug_print_report(r);
}

/* --- who holds what --------------------------------------------------------------------------- */

/* A snapshot: an entry that changes meanwhile is given as it was before, after, or as a mixture. */
static const char *
lockdebug_format_held(const struct lockdebug_table *t, unsigned i, char buf[LOCKDEBUG_TEXT_BYTES])
{
	const struct lockdebug_held *h = &t->lt_held[i];
	char where[KSYMS_TEXT_BYTES];
	unsigned class;

	/* Acquire: pairs with the release in lockdebug_push(). */
	if (i >= atomic_load_explicit(&t->lt_n, memory_order_acquire) || !lockdebug_on())
		return NULL;
	class = atomic_load_explicit(&h->lh_class, memory_order_relaxed);
	ksyms_format(atomic_load_explicit(&h->lh_where, memory_order_relaxed), where);
	snprintf(buf, LOCKDEBUG_TEXT_BYTES, "%s %s, taken at %s", lockdebug_kind_words(class),
	    lockdebug_name(class), where);
	return buf;
}

const char *
lockdebug_held_by_cpu(const struct cpu_info *ci, unsigned i, char buf[LOCKDEBUG_TEXT_BYTES])
{
	return lockdebug_format_held(&ci->ci_lockdebug, i, buf);
}

const char *
lockdebug_held_by_lwp(const struct lwp *l, unsigned i, char buf[LOCKDEBUG_TEXT_BYTES])
{
	return lockdebug_format_held(&l->l_lockdebug, i, buf);
}

static void
lockdebug_dump_lwp(lwp_t *l, void *arg __attribute__((unused)))
{
	char text[LOCKDEBUG_TEXT_BYTES];

	for (unsigned i = 0; lockdebug_held_by_lwp(l, i, text) != NULL; i++)
		printf("  thread %s on CPU %u holds %s\n", l->l_name, l->l_cpu->ci_index, text);
}

static void
lockdebug_dump_all(void)
{
	char text[LOCKDEBUG_TEXT_BYTES];
	const struct cpu_info *ci;

	CPU_INFO_FOREACH(ci)
		for (unsigned i = 0; lockdebug_held_by_cpu(ci, i, text) != NULL; i++)
			printf("  CPU %u holds %s\n", ci->ci_index, text);
	kthread_foreach_stopped(lockdebug_dump_lwp, NULL);
}

/* What is known without this module. */
static void
lockdebug_dump_own(void)
{
	const struct cpu_info *ci = curcpu();
	char where[KSYMS_TEXT_BYTES];

	for (unsigned i = 0; i < ci->ci_spin_depth && i < CPU_SPINLOCKS; i++) {
		const struct spinlock *sl = spinlock_held(ci->ci_spin_held[i]);

		if (spinlock_owned(sl))
			printf("  CPU %u holds spinlock %s, taken at %s\n", ci->ci_index,
			    sl->sl_name,
			    ksyms_format(
				atomic_load_explicit(&sl->sl_where, memory_order_relaxed), where));
	}
	for (const kmutex_t *m = curlwp != NULL ? curlwp->l_held : NULL; m != NULL;
	     m = m->mtx_held_next)
		printf("  thread %s holds mutex %s\n", curlwp->l_name, m->mtx_name);
}

void
lockdebug_dump(void)
{
	if (lockdebug_panic_report != NULL && lockdebug_panic_report->r_cpu == curcpu())
		lockdebug_print_report(lockdebug_panic_report);
	if (lockdebug_on())
		lockdebug_dump_all();
	else
		lockdebug_dump_own();
}
