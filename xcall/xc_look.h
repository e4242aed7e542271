/*
 * Looking at calls and CPUs from outside: for the dump, the monitor, the report of a stall
 * (xc_look.c).  All of it reads only, takes no lock, tells of a moment, and is legal in any
 * context.
 */
#ifndef XCALL_XC_LOOK_H
#define XCALL_XC_LOOK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "xcall/xc_run.h"
#include "xcall/xc_wait.h"

/* A live call.  Targets that were withdrawn count as finished. */
struct xc_view {
	struct xc_event v_event;
	xcfunc_t v_func;
	uint64_t v_posted; /* cycles */
	bool v_lazy;
	unsigned v_sender;                       /* of a ticket */
	unsigned v_targets, v_begun, v_finished; /* how many */
};

/* How far a call is on one CPU. */
enum xc_stand {
	XC_STAND_OVER,    /* finished, or no target */
	XC_STAND_UNTAKEN, /* nothing of its level, or above, runs there */
	XC_STAND_QUEUED,  /* t_func runs there */
	XC_STAND_RUNNING, /* t_func is the call's own */
	XC_STAND_UNSEEN,  /* its function has left the stack, but its end was not counted */
	XC_STANDS
};

struct xc_standing {
	enum xc_stand t_stand;
	xcfunc_t t_func;
	enum xc_level t_level; /* of t_func */
	uint64_t t_since;      /* cycles */
	struct xc_ref t_wait;  /* what t_func waits for; none: both fields are empty */
	bool t_due; /* untaken: an interrupt or NMI for calls was sent, and was not taken */
};

/* The call of an event, of a slot; false when it is over, there is none. */
bool xc_look_event(const struct xc_event *, struct xc_view *);
bool xc_look_slot(struct xc_cpu *sender, unsigned slot, struct xc_view *);
/* The oldest live call of the sender that takes up room of that level; false when there is none. */
bool xc_look_oldest(struct xc_cpu *sender, enum xc_level, struct xc_view *);
/* How far that call is on that CPU. */
void xc_look_target(const struct xc_view *, unsigned cpu, struct xc_standing *);
/* Live calls by ticket of a sender. */
unsigned xc_look_live(const struct xc_cpu *sender);
/* The function that runs on top of that level there; false when none does. */
bool xc_look_top(const struct xc_cpu *, enum xc_level, struct xc_standing *);
/* Interrupts that the CPU has taken since boot. */
uint64_t xc_look_interrupts(const struct cpu_info *);

/* Text of a line, cut at its size. */
#define XC_TEXT_BYTES 320
struct xc_text {
	size_t x_length;
	char x_text[XC_TEXT_BYTES];
};
void xc_text_clear(struct xc_text *);
void xc_text_add(struct xc_text *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
/* "5.012 s". */
void xc_text_add_ns(struct xc_text *, uint64_t ns);
/* "call 0x40003 of CPU 3: func+0, hard, posted 5.012 s ago". */
void xc_text_add_view(struct xc_text *, const struct xc_view *);
/* "running this since ..." and so on. */
void xc_text_add_standing(struct xc_text *, const struct xc_cpu *, const struct xc_standing *);
/* "func+0 (low) since ...", and what it waits or sleeps for. */
void xc_text_add_top(struct xc_text *, const struct xc_cpu *, const struct xc_standing *);
const char *xc_text_level(enum xc_level);

/* From now on a panic names the calls that its CPU was in. */
void xc_look_init(void);

#endif
