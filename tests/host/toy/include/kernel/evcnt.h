/*
 * evcnt(9).
 */
#ifndef TESTS_HOST_TOY_INCLUDE_KERNEL_EVCNT_H
#define TESTS_HOST_TOY_INCLUDE_KERNEL_EVCNT_H

#include <stdint.h>

enum { EVCNT_TYPE_MISC, EVCNT_TYPE_INTR };

struct evcnt {
	const char *ev_group, *ev_name;
	_Atomic uint64_t ev_count;
	uint64_t (*ev_sum)(void); /* NULL: ev_count */
	struct evcnt *ev_next;
};

void evcnt_attach_dynamic(
    struct evcnt *, int type, const struct evcnt *parent, const char *group, const char *name);
void evcnt_attach_sum(
    struct evcnt *, int type, const char *group, const char *name, uint64_t (*sum)(void));
/* Any context, NMI included. */
void evcnt_increment(struct evcnt *);

/* For tests/kernel/ only. */
uint64_t evcnt_read(const struct evcnt *);
void evcnt_foreach(void (*)(const struct evcnt *, void *arg), void *arg);

#endif
