/*
 * The local timer of each CPU and the record of its expiries.
 *
 * Background
 *
 *	A record is written by its own CPU only: by timer_program() and by the handler of the
 *	timer's vector, both with interrupts off, so that neither can interrupt the other.  Any CPU
 *	reads it.  A reader must see a setting together with the samples that belong to it, and must
 *	not hold up the handler.
 *
 * Implementation
 *
 *	A sequence lock: the writer makes the sequence odd, writes, and makes it even; a reader
 *	copies and starts over unless it saw the same even sequence before and after.  All shared
 *	words are atomic, so that a copy that is thrown away was still no data race.  Instead of
 *	fences, every data word is stored with release and loaded with acquire:
 *
 *		writer				reader
 *		tc_sequence = odd		s = tc_sequence		(acquire)
 *		word = new	(release)	copy = word		(acquire)
 *		tc_sequence = even (release)	again unless tc_sequence == s
 *
 *	A reader that copied a new word has thereby seen the odd sequence, so its last load is not
 *	s.  One that saw the even sequence first has seen all words before it.  On x86 all of these
 *	are plain moves.
 *
 *	An interrupt may stand for no expiry of its own.  When a timer is reprogrammed with
 *	interrupts off, an expiry of the old setting may be pending in the LAPIC already; nothing
 *	can take it back, and it looks like one of the new setting.  And when an interrupt comes
 *	late, the timer may be loaded again before the handler reads its count: the handler then
 *	sees the next expiry, whose own interrupt follows.  Time tells: the current count says when
 *	the timer was last loaded.  A periodic timer that was last loaded less than half a period
 *	after timer_program(), or after the expiry recorded last, has not expired since; nor has a
 *	one-shot that still counts.
 *
 *	A deadline is one expiry; the handler sets the next.  It follows from the time of the
 *	setting and the rate alone (timer_deadline()), so late handlers and rounding add up to
 *	nothing.  An interrupt before the deadline that is set is not its own.
 *
 *	Rejected: asking the LAPIC's request register before programming.  A pending bit may stand
 *	for the old and the new expiry both, if interrupts stay off long enough.
 *
 * Limits
 *
 *	One bit of the LAPIC stands for any number of expiries while interrupts are off; the record
 *	then has one sample, the last.  Whoever looks for missed expiries takes intervals, which are
 *	whole multiples of the period, and not the number of samples.
 */
#include "kernel/timer.h"

#include <stdatomic.h>

#include "kernel/callout.h"
#include "kernel/clock.h"
#include "kernel/cpu.h"
#include "kernel/errno.h"
#include "kernel/evcnt.h"
#include "kernel/intr.h"
#include "kernel/kmem.h"
#include "kernel/panic.h"
#include "kernel/scale.h"
#include "kernel/sched.h"
#include "kernel/string.h"

/* What timer_program() leaves for readers. */
struct timer_programmed {
	struct timer_setting setting;
	struct machine_timer registers;
} __attribute__((aligned(8)));

#define TIMER_PROGRAMMED_WORDS (sizeof(struct timer_programmed) / sizeof(uint64_t))

/*
 * Locking keys:
 *	o	the CPU itself only, with interrupts off
 *	s	the CPU itself writes, under tc_sequence; everybody reads
 */
struct timer_cpu {
	_Atomic uint64_t tc_sequence;                           /* odd while the CPU writes */
	_Atomic uint64_t tc_programmed[TIMER_PROGRAMMED_WORDS]; /* s: struct timer_programmed */
	_Atomic uint64_t tc_expiries;                     /* s: number n is in slot n % SAMPLES */
	_Atomic uint64_t tc_expiry_cycles[TIMER_SAMPLES]; /* s */
	_Atomic uint64_t tc_late_cycles[TIMER_SAMPLES];   /* s */

	enum timer_mode tc_mode; /* o */
	uint64_t tc_hz;          /* o: asked */
	bool tc_stopped;         /* o: by timer_stop(), which has left these two: */
	enum timer_mode tc_stopped_mode;
	uint64_t tc_stopped_hz;
	uint32_t tc_count;       /* o: initial count; 0: stopped */
	uint64_t tc_generation;  /* o */
	uint64_t tc_last_cycles; /* o: expiry recorded last; none yet: just before programming */
	uint64_t tc_half_cycles; /* o: half a period */
	uint64_t tc_start;       /* o: what deadlines count from, in cycles */
	uint64_t tc_deadline;    /* o: the next */
	struct scale tc_cycles;  /* o: from counts of the timer to cycles */
	uint32_t tc_divide;      /* o: that of tc_cycles; 0: none yet */
};

/* How far apart the readings of the cycle counter around one of the timer may be; and how often a
 * closer pair is tried for.  On silicon a reading takes a tenth of this. */
#define TIMER_BRACKET_NS 1000
#define TIMER_BRACKET_TRIES 3

static struct evcnt timer_stale_count;

uint64_t
timer_stale(void)
{
	return evcnt_read(&timer_stale_count);
}

static void
timer_write_begin(struct timer_cpu *tc)
{
	uint64_t sequence = atomic_load_explicit(&tc->tc_sequence, memory_order_relaxed);

	KASSERT(!machine_intr_enabled() && sequence % 2 == 0);
	/* Relaxed: the release of each data word orders it. */
	atomic_store_explicit(&tc->tc_sequence, sequence + 1, memory_order_relaxed);
}

/* Release: pairs with timer_load(). */
static void
timer_store(_Atomic uint64_t *word, uint64_t value)
{
	atomic_store_explicit(word, value, memory_order_release);
}

static void
timer_write_end(struct timer_cpu *tc)
{
	uint64_t sequence = atomic_load_explicit(&tc->tc_sequence, memory_order_relaxed);

	/* Release: pairs with the first acquire in timer_get(). */
	atomic_store_explicit(&tc->tc_sequence, sequence + 1, memory_order_release);
}

/* Acquire: pairs with timer_store(). */
static uint64_t
timer_load(const _Atomic uint64_t *word)
{
	return atomic_load_explicit(word, memory_order_acquire);
}

/* One copy, perhaps torn. */
static void
timer_copy(const struct timer_cpu *tc, struct timer_record *record)
{
	struct timer_programmed programmed;
	uint64_t words[TIMER_PROGRAMMED_WORDS];
	uint64_t first;

	for (unsigned i = 0; i < TIMER_PROGRAMMED_WORDS; i++)
		words[i] = timer_load(&tc->tc_programmed[i]);
	memcpy(&programmed, words, sizeof(programmed));
	record->setting = programmed.setting;
	record->registers = programmed.registers;
	record->expiries = timer_load(&tc->tc_expiries);
	record->nsamples = record->expiries < TIMER_SAMPLES ? (unsigned)record->expiries
							    : TIMER_SAMPLES;
	first = record->expiries - record->nsamples;
	for (unsigned i = 0; i < record->nsamples; i++) {
		unsigned slot = (unsigned)((first + i) % TIMER_SAMPLES);

		record->sample[i].expiry_cycles = timer_load(&tc->tc_expiry_cycles[slot]);
		record->sample[i].late_cycles = timer_load(&tc->tc_late_cycles[slot]);
	}
}

void
timer_get(const struct cpu_info *ci, struct timer_record *record)
{
	const struct timer_cpu *tc = ci->ci_timer;
	uint64_t sequence;

	KASSERT(tc != NULL && !cpu_nmi_p());
	/* Ends: a writer holds the sequence odd for a few hundred instructions with interrupts
	 * off. */
	for (;;) {
		/* Acquire: pairs with timer_write_end(). */
		sequence = atomic_load_explicit(&tc->tc_sequence, memory_order_acquire);
		if (sequence % 2 == 0) {
			timer_copy(tc, record);
			/* Relaxed: the acquire of each word keeps it behind them. */
			if (atomic_load_explicit(&tc->tc_sequence, memory_order_relaxed) == sequence)
				return;
		}
		machine_pause();
	}
}

/* Reads the current count and the cycle counter as nearly at one moment as can be had. */
static uint32_t
timer_read_together(uint64_t *cycles)
{
	uint64_t narrowest = UINT64_MAX, bracket = clock_ns_to_cycles(TIMER_BRACKET_NS);
	uint32_t count = 0;

	for (unsigned i = 0; i < TIMER_BRACKET_TRIES && narrowest > bracket; i++) {
		uint64_t before = machine_cycles();
		uint32_t current = machine_timer_current();
		uint64_t width = machine_cycles() - before;

		if (width < narrowest) {
			narrowest = width;
			count = current;
			*cycles = before + width / 2;
		}
	}
	return count;
}

/* When the timer expired that interrupts now; false when nothing expired that is not recorded
 * yet. */
static bool
timer_expiry(const struct timer_cpu *tc, uint64_t now, uint64_t *expiry_cycles)
{
	uint64_t cycles = now;
	uint32_t current;

	if (tc->tc_mode == TIMER_OFF)
		return false;
	if (tc->tc_mode == TIMER_DEADLINE) {
		*expiry_cycles = tc->tc_deadline;
		return now >= tc->tc_deadline;
	}
	current = timer_read_together(&cycles);
	if (tc->tc_mode == TIMER_ONESHOT) {
		*expiry_cycles = now;
		return current == 0;
	}
	*expiry_cycles = cycles - scale_apply(&tc->tc_cycles, tc->tc_count - current);
	/* Signed: reading errors may put the same moment a little earlier than before. */
	return (int64_t)(*expiry_cycles - tc->tc_last_cycles) > (int64_t)tc->tc_half_cycles;
}

/* Sets the first deadline after `now`. */
static void
timer_arm(struct timer_cpu *tc, uint64_t now, bool first)
{
	tc->tc_deadline = timer_deadline(tc->tc_start, clock_hz(), tc->tc_hz, now);
	machine_timer_deadline(tc->tc_deadline, first);
}

static void
timer_intr(void *arg __attribute__((unused)), struct trapframe *frame __attribute__((unused)))
{
	struct cpu_info *ci = curcpu();
	struct timer_cpu *tc = ci->ci_timer;
	uint64_t now = machine_cycles(), expiry_cycles = now, n;

	/* The firmware's timer may have fired on a CPU that has no record yet. */
	if (tc == NULL || !timer_expiry(tc, now, &expiry_cycles)) {
		evcnt_increment(&timer_stale_count);
	} else {
		n = atomic_load_explicit(&tc->tc_expiries, memory_order_relaxed);
		timer_write_begin(tc);
		timer_store(&tc->tc_expiry_cycles[n % TIMER_SAMPLES], expiry_cycles);
		/* A period may end between the two readings of the counter. */
		timer_store(&tc->tc_late_cycles[n % TIMER_SAMPLES],
		    expiry_cycles < now ? now - expiry_cycles : 0);
		timer_store(&tc->tc_expiries, n + 1);
		timer_write_end(tc);
		tc->tc_last_cycles = expiry_cycles;
	}
	/* After an interrupt that came too early this is the same deadline again, which has then
	 * gone off or not. */
	if (tc != NULL && tc->tc_mode == TIMER_DEADLINE)
		timer_arm(tc, now, false);
	sched_tick(ci);
	callout_tick(ci, clock_ns());
}

void
timer_init_cpu(struct cpu_info *ci)
{
	static bool claimed;

	if (!claimed) {
		claimed = true;
		evcnt_attach_dynamic(
		    &timer_stale_count, EVCNT_TYPE_INTR, NULL, "timer", "stale expiries");
		intr_establish(INTR_VECTOR_TIMER, timer_intr, NULL, "timer");
	}
	KASSERT(ci->ci_timer == NULL);
	ci->ci_timer = kmem_boot_alloc(sizeof(struct timer_cpu));
	callout_init_cpu(ci);
}

/* Publishes a new setting with no samples. */
static void
timer_publish(struct timer_cpu *tc, const struct timer_programmed *programmed)
{
	uint64_t words[TIMER_PROGRAMMED_WORDS];

	memcpy(words, programmed, sizeof(words));
	timer_write_begin(tc);
	for (unsigned i = 0; i < TIMER_PROGRAMMED_WORDS; i++)
		timer_store(&tc->tc_programmed[i], words[i]);
	timer_store(&tc->tc_expiries, 0);
	timer_write_end(tc);
}

/* Whether this CPU's timer can do that; divider and count, where it counts. */
static int
timer_check(enum timer_mode mode, uint64_t hz, uint32_t *divide, uint32_t *count)
{
	*divide = 1;
	*count = 0;
	if (mode == TIMER_OFF)
		return 0;
	if (hz < TIMER_HZ_MIN || hz > TIMER_HZ_MAX)
		return EINVAL;
	if (mode == TIMER_DEADLINE)
		return machine_timer_has_deadline() ? 0 : EOPNOTSUPP;
	return timer_choose(machine_timer_input_hz(), hz, divide, count);
}

int
timer_program(enum timer_mode mode, uint64_t hz)
{
	struct timer_programmed programmed;
	struct timer_setting *setting = &programmed.setting;
	struct timer_cpu *tc = curcpu()->ci_timer;
	uint32_t divide, count;
	bool intr;
	int error;

	KASSERT(tc != NULL && !cpu_nmi_p() && machine_timer_input_hz() != 0);
	KASSERTMSG(mode <= TIMER_DEADLINE, "timer mode %u", mode);
	error = timer_check(mode, hz, &divide, &count);
	if (error != 0)
		return error;
	memset(&programmed, 0, sizeof(programmed));
	*setting = (struct timer_setting){
		.mode = mode, .hz = hz, .divide = divide, .count = count
	};

	intr = machine_intr_disable();
	tc->tc_mode = mode;
	tc->tc_hz = hz;
	tc->tc_count = count;
	/* Made bit by bit, and the same each time but for the divider. */
	if (divide != tc->tc_divide) {
		scale_init(&tc->tc_cycles, machine_timer_input_hz(), clock_hz() * divide);
		tc->tc_divide = divide;
	}
	tc->tc_half_cycles = scale_apply(&tc->tc_cycles, count) / 2;
	setting->generation = ++tc->tc_generation;
	setting->set_ns = clock_ns();
	tc->tc_last_cycles = machine_cycles();
	tc->tc_start = tc->tc_last_cycles;
	if (mode == TIMER_DEADLINE)
		timer_arm(tc, tc->tc_start, true);
	else
		machine_timer_program(divide, count, mode == TIMER_PERIODIC);
	machine_timer_read(&programmed.registers);
	timer_publish(tc, &programmed);
	machine_intr_restore(intr);
	return 0;
}

void
timer_stop(void)
{
	struct timer_cpu *tc = curcpu()->ci_timer;
	int error;

	KASSERT(!machine_intr_enabled() && !tc->tc_stopped);
	tc->tc_stopped = true;
	tc->tc_stopped_mode = tc->tc_mode;
	tc->tc_stopped_hz = tc->tc_hz;
	error = timer_program(TIMER_OFF, 0);
	KASSERT(error == 0);
}

int
timer_start(void)
{
	struct timer_cpu *tc = curcpu()->ci_timer;

	KASSERT(!machine_intr_enabled());
	if (!tc->tc_stopped)
		return timer_program(TIMER_PERIODIC, HZ);
	tc->tc_stopped = false;
	return timer_program(tc->tc_stopped_mode, tc->tc_stopped_hz);
}
