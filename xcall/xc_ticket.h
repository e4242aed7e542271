/*
 * Tickets and the word that says where a slot's life stands.  Pure code.
 *
 * A slot's state is 2g - 1 while its call of generation g is live and 2g once that is over: one word,
 * read once, tells a live ticket from a stale and from a forged one.  It only ever grows.
 */
#ifndef XCALL_XC_TICKET_H
#define XCALL_XC_TICKET_H

#include <stdbool.h>
#include <stdint.h>

#define XC_TICKET_CPU_BITS 12
#define XC_TICKET_SLOT_BITS 6
#define XC_TICKET_GENERATION_SHIFT (XC_TICKET_CPU_BITS + XC_TICKET_SLOT_BITS)
/* The largest one would reach the values that are errors. */
#define XC_GENERATION_MAX ((UINT64_C(1) << (64 - XC_TICKET_GENERATION_SHIFT)) - 2)

/* Calls that the threads of one CPU may have in flight, as many as a ticket can name: 46 bits of
 * generation on 64 slots used in turn last 142 years at 10^6 posts a second; on 44 they would not
 * last 100. */
#define XC_SLOTS (1u << XC_TICKET_SLOT_BITS)

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

static inline uint64_t
xc_state_live(uint64_t generation)
{
	return 2 * generation - 1;
}

static inline uint64_t
xc_state_over(uint64_t generation)
{
	return 2 * generation;
}

/* The latest generation issued, whether it is live or over. */
static inline uint64_t
xc_state_generation(uint64_t state)
{
	return (state + 1) / 2;
}

#endif
