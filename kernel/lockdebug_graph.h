/*
 * What lock checking has learnt: classes of locks, and facts about them.  For lockdebug*.c.
 */
#ifndef KERNEL_LOCKDEBUG_GRAPH_H
#define KERNEL_LOCKDEBUG_GRAPH_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "kernel/lockdebug.h"
#include "kernel/lwp.h"

/* All suites in one boot make 90 classes and 150 facts. */
#define LOCKDEBUG_CLASSES 192
#define LOCKDEBUG_FACTS 512
#define LOCKDEBUG_NAME_BYTES 24
/* A class that found no room. */
#define LOCKDEBUG_NO_CLASS 0xfffeu
/* Callers that a fact keeps. */
#define LOCKDEBUG_STACK 10

enum lockdebug_what {
	LOCKDEBUG_ORDER,     /* f_to was wanted while f_from was held */
	LOCKDEBUG_IN_INTR,   /* f_to was taken in an interrupt */
	LOCKDEBUG_INTR_ON,   /* f_to was held with interrupts on */
	LOCKDEBUG_INVERSION, /* no fact: that f_from in interrupts waits for f_to was said */
	LOCKDEBUG_WHATS,
};

/* Once learnt, constant: who saw lockdebug_nfacts grow past it reads it without a lock. */
struct lockdebug_fact {
	enum lockdebug_what f_what;
	unsigned f_from, f_to;
	unsigned f_cpu;
	uint64_t f_ns;
	uintptr_t f_taken; /* where f_from was taken */
	uintptr_t f_stack[LOCKDEBUG_STACK];
	unsigned f_depth;
	bool f_intr; /* in an interrupt, hard or soft */
	char f_thread[LWP_NAME_BYTES];
};

/* Classes from the first to the last, each before the next. */
struct lockdebug_path {
	unsigned p_n;
	uint16_t p_class[LOCKDEBUG_CLASSES];
};

/* The class of a lock, found or made; LOCKDEBUG_NO_CLASS when there is no room. */
unsigned lockdebug_class(struct spinlock *);
unsigned lockdebug_kind(const struct spinlock *);
/* "spin mutex", "hotplug state". */
const char *lockdebug_kind_words(unsigned class);
const char *lockdebug_name(unsigned class);

/* Whether nothing new can be said of it.  Any context. */
bool lockdebug_known(enum lockdebug_what, unsigned from, unsigned to);

/* --- under the lock of the graph, which keeps interrupts off: not in NMIs --------------------- */

bool lockdebug_graph_enter(void);
void lockdebug_graph_exit(bool intr);
/* Nothing more of it shall be said, as with what was learnt. */
void lockdebug_mark_known(enum lockdebug_what, unsigned from, unsigned to);
/* Keeps the fact, if there is room, and marks it. */
void lockdebug_learn(const struct lockdebug_fact *);
/* The shortest way, along what must come after, in *path; false: there is none. */
bool lockdebug_find_path(unsigned from, unsigned to, struct lockdebug_path *path);

/* --- any context ------------------------------------------------------------------------------ */

/* The `i`th fact learnt, or NULL; that one fact. */
const struct lockdebug_fact *lockdebug_fact(unsigned i);
const struct lockdebug_fact *lockdebug_find_fact(enum lockdebug_what, unsigned from, unsigned to);
unsigned lockdebug_nclasses(void);
unsigned lockdebug_nfacts(void);
bool lockdebug_full(void);

#endif
