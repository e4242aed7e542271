/*
 * evcnt(9): named event counters.
 */
#ifndef KERNEL_EVCNT_H
#define KERNEL_EVCNT_H

#include <stdatomic.h>
#include <stdint.h>

enum evcnt_type { EVCNT_TYPE_MISC, EVCNT_TYPE_INTR };

struct evcnt {
	_Atomic uint64_t ev_count;
	uint64_t (*ev_sum)(void); /* NULL: ev_count */
	enum evcnt_type ev_type;
	const struct evcnt *ev_parent;
	const char *ev_group, *ev_name;
	_Atomic(struct evcnt *) ev_next;
};

/* Adds a zeroed counter to the list that the monitor shows; the strings must outlive it. */
void evcnt_attach_dynamic(struct evcnt *, enum evcnt_type, const struct evcnt *parent,
    const char *group, const char *name);
/* The same, of a count that sum() knows: for what each CPU counts for itself.  Any context. */
void evcnt_attach_sum(
    struct evcnt *, enum evcnt_type, const char *group, const char *name, uint64_t (*sum)(void));
/* Any context. */
void evcnt_increment(struct evcnt *);
uint64_t evcnt_read(const struct evcnt *);
/* In the order in which they were attached; takes no lock. */
void evcnt_foreach(void (*visit)(const struct evcnt *, void *), void *arg);

#endif
