/*
 * What lock checking has learnt: classes of locks, and facts about them.
 *
 * Both tables only grow.  An entry is written before the count that covers it (release), so that
 * onlookers, a panic in an NMI among them, read without a lock (acquire).  Who adds to them holds
 * the lock of the graph, a word: a spinlock would come back here.
 *
 * A fact is looked at often and learnt once.  So for each there is a bit that says that nothing new
 * can be said of it, which is all that a lock operation on a beaten path reads.  These bits are
 * read and written relaxed: who misses one finds it under the lock; and the checker shall not order
 * what the locks themselves do not, or ThreadSanitizer would miss races.
 *
 * Limits.  Names are cut, and so must differ, in their first LOCKDEBUG_NAME_BYTES - 1 characters.
 */
#include "kernel/lockdebug_graph.h"

#include "kernel/machine.h"
#include "kernel/printf.h"
#include "kernel/spinlock.h"
#include "kernel/string.h"

#define LOCKDEBUG_WORDS (LOCKDEBUG_CLASSES / 64)
/* In a lock's tag, below its kind: 1 + class; 0: not looked for yet. */
#define LOCKDEBUG_TAG_CLASS 0xffffu

_Static_assert(LOCKDEBUG_CLASSES % 64 == 0, "rows of the graph are words of 64 bits");

struct lockdebug_class {
	unsigned c_kind;
	char c_name[LOCKDEBUG_NAME_BYTES];
};

static const char *const lockdebug_kinds[LOCKDEBUG_KINDS] = {
	[LOCKDEBUG_SPINLOCK] = "spinlock",
	[LOCKDEBUG_MUTEX] = "mutex",
	[LOCKDEBUG_SPIN_MUTEX] = "spin mutex",
	[LOCKDEBUG_CONDVAR] = "condition variable",
};

static _Atomic bool lockdebug_taken; /* the lock of the graph */
static _Atomic bool lockdebug_is_full;
static struct lockdebug_class lockdebug_classes[LOCKDEBUG_CLASSES];
static _Atomic unsigned lockdebug_class_count;
static struct lockdebug_fact lockdebug_facts[LOCKDEBUG_FACTS];
static _Atomic unsigned lockdebug_fact_count;
/* [from][to]; what is said of one class alone has both the same. */
static _Atomic uint64_t lockdebug_bits[LOCKDEBUG_WHATS][LOCKDEBUG_CLASSES][LOCKDEBUG_WORDS];
/* The graph proper, without what was refused.  Under its lock. */
static uint64_t lockdebug_after[LOCKDEBUG_CLASSES][LOCKDEBUG_WORDS];

bool
lockdebug_graph_enter(void)
{
	bool intr = machine_intr_disable();

	/* Acquire: pairs with lockdebug_graph_exit(). */
	while (atomic_exchange_explicit(&lockdebug_taken, true, memory_order_acquire))
		machine_pause();
	return intr;
}

void
lockdebug_graph_exit(bool intr)
{
	/* Release: pairs with lockdebug_graph_enter(). */
	atomic_store_explicit(&lockdebug_taken, false, memory_order_release);
	machine_intr_restore(intr);
}

/* Once for all tables. */
static void
lockdebug_complain(const char *what, unsigned max, unsigned class)
{
	if (atomic_exchange_explicit(&lockdebug_is_full, true, memory_order_relaxed))
		return;
	if (class == LOCKDEBUG_NO_CLASS)
		printf("lockdebug: no room for more than %u %s: new ones are not checked\n", max,
		    what);
	else
		printf("lockdebug: no room for more than %u %s: not all of %s %s is checked\n", max,
		    what, lockdebug_kind_words(class), lockdebug_name(class));
}

/* --- classes ---------------------------------------------------------------------------------- */

unsigned
lockdebug_kind(const struct spinlock *sl)
{
	return atomic_load_explicit(&sl->sl_debug, memory_order_relaxed) / LOCKDEBUG_TAG(1);
}

static unsigned
lockdebug_search_class(unsigned kind, const char *name)
{
	unsigned n = lockdebug_nclasses(), class = 0;

	while (class < n &&
	    (lockdebug_classes[class].c_kind != kind ||
		strncmp(lockdebug_classes[class].c_name, name, LOCKDEBUG_NAME_BYTES - 1) != 0))
		class ++;
	return class < n ? class : LOCKDEBUG_NO_CLASS;
}

/* The lock of the graph held. */
static unsigned
lockdebug_make_class(unsigned kind, const char *name)
{
	unsigned n = lockdebug_nclasses();
	struct lockdebug_class *c = &lockdebug_classes[n];

	if (n == LOCKDEBUG_CLASSES) {
		lockdebug_complain("classes of locks", n, LOCKDEBUG_NO_CLASS);
		return LOCKDEBUG_NO_CLASS;
	}
	c->c_kind = kind;
	snprintf(c->c_name, sizeof(c->c_name), "%s", name);
	/* Release: pairs with the acquire in lockdebug_nclasses(). */
	atomic_store_explicit(&lockdebug_class_count, n + 1, memory_order_release);
	return n;
}

unsigned
lockdebug_class(struct spinlock *sl)
{
	uint32_t tag = atomic_load_explicit(&sl->sl_debug, memory_order_relaxed);
	unsigned kind = tag / LOCKDEBUG_TAG(1), class;
	bool intr;

	if ((tag & LOCKDEBUG_TAG_CLASS) != 0)
		return (tag & LOCKDEBUG_TAG_CLASS) - 1;
	if ((class = lockdebug_search_class(kind, sl->sl_name)) == LOCKDEBUG_NO_CLASS) {
		intr = lockdebug_graph_enter();
		class = lockdebug_search_class(kind, sl->sl_name);
		if (class == LOCKDEBUG_NO_CLASS)
			class = lockdebug_make_class(kind, sl->sl_name);
		lockdebug_graph_exit(intr);
	}
	/* Another CPU may do the same, with the same result. */
	atomic_store_explicit(
	    &sl->sl_debug, LOCKDEBUG_TAG(kind) | (class + 1), memory_order_relaxed);
	return class;
}

const char *
lockdebug_kind_words(unsigned class)
{
	return class < lockdebug_nclasses() ? lockdebug_kinds[lockdebug_classes[class].c_kind]
					    : "lock";
}

const char *
lockdebug_name(unsigned class)
{
	return class < lockdebug_nclasses() ? lockdebug_classes[class].c_name : "(unchecked)";
}

unsigned
lockdebug_nclasses(void)
{
	/* Acquire: pairs with the release in lockdebug_make_class(). */
	return atomic_load_explicit(&lockdebug_class_count, memory_order_acquire);
}

/* --- facts ------------------------------------------------------------------------------------ */

bool
lockdebug_known(enum lockdebug_what what, unsigned from, unsigned to)
{
	uint64_t word = atomic_load_explicit(
	    &lockdebug_bits[what][from][to / 64], memory_order_relaxed);

	return (word >> to % 64 & 1) != 0;
}

void
lockdebug_mark_known(enum lockdebug_what what, unsigned from, unsigned to)
{
	atomic_fetch_or_explicit(
	    &lockdebug_bits[what][from][to / 64], UINT64_C(1) << to % 64, memory_order_relaxed);
}

void
lockdebug_learn(const struct lockdebug_fact *fact)
{
	unsigned n = lockdebug_nfacts();

	if (n == LOCKDEBUG_FACTS) {
		lockdebug_complain("facts about locks", n, fact->f_to);
	} else {
		lockdebug_facts[n] = *fact;
		/* Release: pairs with the acquire in lockdebug_nfacts(). */
		atomic_store_explicit(&lockdebug_fact_count, n + 1, memory_order_release);
		if (fact->f_what == LOCKDEBUG_ORDER)
			lockdebug_after[fact->f_from][fact->f_to / 64] |= UINT64_C(1)
			    << fact->f_to % 64;
	}
	lockdebug_mark_known(fact->f_what, fact->f_from, fact->f_to);
}

unsigned
lockdebug_nfacts(void)
{
	/* Acquire: pairs with the release in lockdebug_learn(). */
	return atomic_load_explicit(&lockdebug_fact_count, memory_order_acquire);
}

const struct lockdebug_fact *
lockdebug_fact(unsigned i)
{
	return i < lockdebug_nfacts() ? &lockdebug_facts[i] : NULL;
}

const struct lockdebug_fact *
lockdebug_find_fact(enum lockdebug_what what, unsigned from, unsigned to)
{
	const struct lockdebug_fact *f;

	for (unsigned i = 0; (f = lockdebug_fact(i)) != NULL; i++)
		if (f->f_what == what && f->f_from == from && f->f_to == to)
			return f;
	return NULL;
}

bool
lockdebug_full(void)
{
	return atomic_load_explicit(&lockdebug_is_full, memory_order_relaxed);
}

/* --- the graph -------------------------------------------------------------------------------- */

/* Writes the way that `before` leads back from `to` to `from`, from its other end. */
static void
lockdebug_trace(const uint16_t *before, unsigned from, unsigned to, struct lockdebug_path *path)
{
	unsigned n = 1;

	for (unsigned c = to; c != from; c = before[c])
		n++;
	path->p_n = n;
	for (unsigned c = to; n-- != 0; c = before[c])
		path->p_class[n] = (uint16_t)c;
}

/* A search in breadth. */
bool
lockdebug_find_path(unsigned from, unsigned to, struct lockdebug_path *path)
{
	static uint16_t before[LOCKDEBUG_CLASSES], queue[LOCKDEBUG_CLASSES];
	uint64_t found[LOCKDEBUG_WORDS] = { 0 };
	unsigned head = 0, tail = 0;

	found[from / 64] = UINT64_C(1) << from % 64;
	before[from] = (uint16_t)from;
	queue[tail++] = (uint16_t)from;
	while (head < tail && (found[to / 64] >> to % 64 & 1) == 0) {
		unsigned c = queue[head++];

		for (unsigned w = 0; w < LOCKDEBUG_WORDS; w++) {
			uint64_t fresh = lockdebug_after[c][w] & ~found[w];

			found[w] |= fresh;
			for (; fresh != 0; fresh &= fresh - 1) {
				queue[tail] = (uint16_t)(w * 64 + (unsigned)__builtin_ctzll(fresh));
				before[queue[tail++]] = (uint16_t)c;
			}
		}
	}
	if ((found[to / 64] >> to % 64 & 1) == 0)
		return false;
	lockdebug_trace(before, from, to, path);
	return true;
}
