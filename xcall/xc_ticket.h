/*
 * Levels, tickets, and the word that says where a slot's life stands.  Pure code.
 *
 * s_state:	generation << 5 | level << 2 | cancelled << 1 | live
 *	One word, read once, tells a live ticket from a stale and from a forged one, and where the
 *	call runs.  It only grows: `over` of a generation is told from its `live` by a flag, and the
 *	next generation is larger.
 */
#ifndef XCALL_XC_TICKET_H
#define XCALL_XC_TICKET_H

#include <stdbool.h>
#include <stdint.h>

/* Where a function runs; a larger one interrupts a smaller one. */
enum xc_level {
	XC_LEVEL_LOW,
	XC_LEVEL_SOFTCLOCK,
	XC_LEVEL_SOFTBIO,
	XC_LEVEL_SOFTNET,
	XC_LEVEL_SOFTSERIAL,
	XC_LEVEL_HARD,
	XC_LEVEL_NMI,
	XC_LEVELS
};

#define XC_TICKET_CPU_BITS 12
#define XC_TICKET_SLOT_BITS 6
#define XC_TICKET_GENERATION_SHIFT (XC_TICKET_CPU_BITS + XC_TICKET_SLOT_BITS)
/* The largest one would reach the values that are errors. */
#define XC_GENERATION_MAX ((UINT64_C(1) << (64 - XC_TICKET_GENERATION_SHIFT)) - 2)
/* Slots of a CPU, as many as a ticket can name.  The last one is not for its own calls: it is the
 * direct slot, for a call to it (xc_direct.c).  The one before is for its calls to all
 * (xc_wide.c); the others are its pool. */
#define XC_SLOTS (1u << XC_TICKET_SLOT_BITS)
#define XC_DIRECT (XC_SLOTS - 1)
#define XC_WIDE (XC_SLOTS - 2)
#define XC_POOL (XC_SLOTS - 2)

static inline uint64_t
xc_ticket_make(unsigned cpu, unsigned slot, uint64_t generation)
{
	return generation << XC_TICKET_GENERATION_SHIFT | (uint64_t)slot << XC_TICKET_CPU_BITS |
	    cpu;
}

static inline unsigned
xc_ticket_cpu(uint64_t ticket)
{
	return ticket & ((1u << XC_TICKET_CPU_BITS) - 1);
}

static inline unsigned
xc_ticket_slot(uint64_t ticket)
{
	return ticket >> XC_TICKET_CPU_BITS & (XC_SLOTS - 1);
}

static inline uint64_t
xc_ticket_generation(uint64_t ticket)
{
	return ticket >> XC_TICKET_GENERATION_SHIFT;
}

#define XC_STATE_LIVE 1u
#define XC_STATE_CANCELLED 2u
#define XC_STATE_LEVEL_SHIFT 2
#define XC_STATE_GENERATION_SHIFT 5

static inline uint64_t
xc_state_live(uint64_t generation, enum xc_level level)
{
	return generation << XC_STATE_GENERATION_SHIFT | (uint64_t)level << XC_STATE_LEVEL_SHIFT |
	    XC_STATE_LIVE;
}

/* Complete; the level stays, for who waits while the ticket is the slot's latest. */
static inline uint64_t
xc_state_over(uint64_t generation, enum xc_level level)
{
	return xc_state_live(generation, level) & ~(uint64_t)XC_STATE_LIVE;
}

static inline uint64_t
xc_state_generation(uint64_t state)
{
	return state >> XC_STATE_GENERATION_SHIFT;
}

static inline enum xc_level
xc_state_level(uint64_t state)
{
	return (enum xc_level)(state >> XC_STATE_LEVEL_SHIFT & 7);
}

#endif
