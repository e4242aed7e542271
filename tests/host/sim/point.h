/*
 * Scheduling points, as the code under test has them (shim/stdatomic.h).
 *
 * SIM_LAYER, given on the compiler's command line:
 *	2	xcall/: every atomic operation is a point, before and after it
 *	1	kernel/, tests/kernel/, the scenarios: one before each operation that reads and
 *		writes (a lock is taken by one); before each other one too in the runs whose seed
 *		says so
 *	undefined	no points
 */
#ifndef TESTS_HOST_SIM_POINT_H
#define TESTS_HOST_SIM_POINT_H

#include <stdbool.h>
#include <stdint.h>

enum sim_kind {
	SIM_LOAD,
	SIM_STORE,
	SIM_MODIFIED, /* exchange, fetch-and-something */
	SIM_COMPARED, /* compare-and-exchange */
	SIM_PAUSE,    /* it spins */
	SIM_IDLE,     /* it waits for an interrupt */
	SIM_SWITCHED, /* between two operations: not a site of the source */
	SIM_KINDS
};

/* A place in the source; they are gathered in a section. */
struct sim_site {
	const char *file;
	uint32_t line;
	uint32_t kind;
};

void sim_before(const struct sim_site *, const volatile void *object);
void sim_after(const struct sim_site *);
/* Whether every operation of layer 1 is a point in this run. */
extern bool sim_fine;
/* Operations of layer 1 since the last point; so many are one: a loop that only reads has
 * points. */
extern unsigned sim_passed;
#define SIM_PASSED 200u
/* Whether a weak compare-and-exchange fails although it need not. */
bool sim_spurious(void);

#ifdef SIM_LAYER
#define SIM_SITE(kind_) \
	static const struct sim_site sim_site __attribute__((used, section("set_sim_sites"), \
	    aligned(16))) = { .file = __FILE__, .line = __LINE__, .kind = (kind_) }
#define SIM_BEFORE(kind_, object) \
	SIM_SITE(kind_); \
	if (SIM_LAYER == 2 || (kind_) >= SIM_MODIFIED || sim_fine || ++sim_passed == SIM_PASSED) \
	sim_before(&sim_site, object)
#define SIM_AFTER(kind_) \
	if (SIM_LAYER == 2) \
	sim_after(&sim_site)
#else
#define SIM_BEFORE(kind_, object) (void)(object)
#define SIM_AFTER(kind_) (void)0
#endif

#endif
