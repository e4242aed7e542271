/*
 * Finding out how fast the TSC and the LAPIC timer run.
 *
 * Background
 *
 *	No source is right everywhere.  CPUID's leaves are absent, incomplete or another machine's.
 *	There are PM timers at double speed, PITs without a clock, HPETs that stand still.  On an
 *	emulator the host may stop the machine at any moment, for seconds.
 *
 * Implementation
 *
 *	Every counter that is there is measured (calibrate_measure.c) over several windows, whose
 *	median counts if most of them agree.  Then two counters must agree within 1 %.  If they do
 *	not, everything is measured again, for a busy host gets quiet in the end; after the last
 *	round 5 % will do, and is printed as degraded.  CPUID's claims are compared, and may break a
 *	tie between measurements; they never overrule two that agree, and are never used themselves.
 *
 *	Of those that agree the most trusted is taken, not an average, which would spoil the best
 *	with the worst.  The HPET comes first: it is the finest, and one register.  The PM timer is
 *	coarser, and some must be read three times.  The PIT is last: it wraps each 54.9 ms, a
 *	reading takes three port accesses, and emulators serve it late.
 *
 *	The LAPIC timer runs through the same windows against the TSC, so its frequency is as good
 *	as the TSC's, and costs no time of its own.
 *
 * Limits
 *
 *	Where there is one counter only (QEMU's microvm: the PIT), it is believed if its windows
 *	agree.
 */
#include "kernel/x86/calibrate.h"

#include <stddef.h>

#include "kernel/clock.h"
#include "kernel/intr.h"
#include "kernel/machine.h"
#include "kernel/panic.h"
#include "kernel/printf.h"
#include "kernel/scale.h"
#include "kernel/x86/apic.h"

/* Of 100 ms each. */
#define CALIBRATE_ROUNDS 8
#define CALIBRATE_REMARK_BYTES 64
#define CALIBRATE_HZ_PER_MHZ 1000000
/* Code of the divide configuration register for 1 (SDM vol. 3, figure 11-10). */
#define CALIBRATE_LAPIC_DIVIDE_BY_1 0xb
#define CALIBRATE_LAPIC_START 0xffffffffu

enum { CALIBRATE_CRYSTAL, CALIBRATE_NOMINAL, CALIBRATE_CLAIMS };

/* Written by calibrate() once, on the boot CPU. */
static struct {
	struct calibrate_counter counter[CALIBRATE_COUNTERS];
	uint64_t measured_hz[CALIBRATE_SOURCES]; /* the TSC's, by each source; 0: unsteady */
	uint64_t claimed_hz[CALIBRATE_CLAIMS];
	const char *claim_why[CALIBRATE_CLAIMS]; /* ... is absent */
	enum calibrate_verdict verdict;
	unsigned chosen, rounds;
	uint64_t tsc_hz, lapic_hz;
} calibrate_state;

static const char *const calibrate_claim_names[CALIBRATE_CLAIMS] = { "CPUID 0x15", "CPUID 0x16" };

static uint64_t
calibrate_lapic_read(void)
{
	return apic->read(APIC_REG_TIMER_CURRENT);
}

/* Masked, one-shot, undivided; at a plausible frequency it runs a second or more, far longer than
 * the windows of a round unless the host stops us: then it stands at 0, and the round is
 * repeated. */
static void
calibrate_lapic_start(void)
{
	apic->write(APIC_REG_TIMER_INITIAL, 0);
	apic->write(APIC_REG_LVT_TIMER, APIC_LVT_MASKED | INTR_VECTOR_TIMER);
	apic->write(APIC_REG_TIMER_DIVIDE, CALIBRATE_LAPIC_DIVIDE_BY_1);
	apic->write(APIC_REG_TIMER_INITIAL, CALIBRATE_LAPIC_START);
}

static void
calibrate_probe(const struct platform *pl)
{
	struct calibrate_counter *c = calibrate_state.counter;

	hpet_probe(pl, &c[CALIBRATE_HPET].clock, &c[CALIBRATE_HPET].why);
	pmtimer_probe(pl, &c[CALIBRATE_PMTIMER].clock, &c[CALIBRATE_PMTIMER].why);
	pit_probe(pl, &c[CALIBRATE_PIT].clock, &c[CALIBRATE_PIT].why);
	c[CALIBRATE_LAPIC].clock = (struct refclock){
		.name = "LAPIC timer",
		.mask = UINT32_MAX,
		.counts_down = true,
		.read = calibrate_lapic_read,
	};
	calibrate_state.claimed_hz[CALIBRATE_CRYSTAL] = cpuid_clock_crystal(
	    &calibrate_state.claim_why[CALIBRATE_CRYSTAL]);
	calibrate_state.claimed_hz[CALIBRATE_NOMINAL] = cpuid_clock_nominal(
	    &calibrate_state.claim_why[CALIBRATE_NOMINAL]);
}

/* The TSC's frequency by one source. */
static uint64_t
calibrate_tsc_hz(const struct calibrate_counter *c)
{
	uint64_t hz[CALIBRATE_WINDOWS];

	for (unsigned i = 0; i < CALIBRATE_WINDOWS; i++)
		hz[i] = c->cycles[i] == 0 ? 0 : scale_once(c->cycles[i], c->counts[i], c->clock.hz);
	return calibrate_steady(hz);
}

static uint64_t
calibrate_lapic_by_tsc(const struct calibrate_counter *c, uint64_t tsc_hz)
{
	uint64_t hz[CALIBRATE_WINDOWS];

	for (unsigned i = 0; i < CALIBRATE_WINDOWS; i++)
		hz[i] = c->cycles[i] == 0 ? 0 : scale_once(c->counts[i], c->cycles[i], tsc_hz);
	return calibrate_steady(hz);
}

static unsigned
calibrate_present(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < CALIBRATE_SOURCES; i++)
		n += calibrate_state.counter[i].why == NULL;
	return n;
}

/* Measures once; true when the result needs no second look. */
static bool
calibrate_round(void)
{
	calibrate_state.rounds++;
	calibrate_lapic_start();
	calibrate_measure(calibrate_state.counter);
	apic->write(APIC_REG_TIMER_INITIAL, 0);
	for (unsigned i = 0; i < CALIBRATE_SOURCES; i++)
		if (calibrate_state.counter[i].why == NULL)
			calibrate_state.measured_hz[i] = calibrate_tsc_hz(
			    &calibrate_state.counter[i]);
	calibrate_state.verdict = calibrate_choose(calibrate_state.measured_hz, CALIBRATE_SOURCES,
	    calibrate_state.claimed_hz, CALIBRATE_CLAIMS, &calibrate_state.chosen);
	if (calibrate_state.verdict == CALIBRATE_NONE ||
	    calibrate_state.verdict == CALIBRATE_DISAGREE)
		return false;
	calibrate_state.tsc_hz = calibrate_state.measured_hz[calibrate_state.chosen];
	calibrate_state.lapic_hz = calibrate_lapic_by_tsc(
	    &calibrate_state.counter[CALIBRATE_LAPIC], calibrate_state.tsc_hz);
	return calibrate_state.lapic_hz != 0 &&
	    (calibrate_state.verdict == CALIBRATE_AGREED ||
		(calibrate_state.verdict == CALIBRATE_ALONE && calibrate_present() == 1));
}

/* What a source has to say for itself when all is lost. */
static const char *
calibrate_excuse(unsigned i, char buf[CALIBRATE_REMARK_BYTES])
{
	const struct calibrate_counter *c = &calibrate_state.counter[i];

	if (c->why != NULL)
		return c->why;
	if (calibrate_state.measured_hz[i] == 0)
		return "its windows disagree";
	(void)snprintf(buf, CALIBRATE_REMARK_BYTES, "says %lu Hz", calibrate_state.measured_hz[i]);
	return buf;
}

static _Noreturn void
calibrate_fail(void)
{
	char hpet[CALIBRATE_REMARK_BYTES], pmtimer[CALIBRATE_REMARK_BYTES];
	char pit[CALIBRATE_REMARK_BYTES];

	panic("no usable clock after %u rounds (%s): HPET: %s; PM timer: %s; PIT: %s",
	    calibrate_state.rounds,
	    calibrate_state.verdict == CALIBRATE_NONE ? "nothing to measure the TSC against"
		: calibrate_state.verdict == CALIBRATE_DISAGREE
		? "no two sources agree within 5 %"
		: "the LAPIC timer does not count steadily",
	    calibrate_excuse(CALIBRATE_HPET, hpet), calibrate_excuse(CALIBRATE_PMTIMER, pmtimer),
	    calibrate_excuse(CALIBRATE_PIT, pit));
}

void
calibrate(const struct platform *pl)
{
	bool sure = false;

	KASSERT(!machine_intr_enabled());
	calibrate_probe(pl);
	while (!sure && calibrate_present() != 0 && calibrate_state.rounds < CALIBRATE_ROUNDS)
		sure = calibrate_round();
	if (calibrate_state.verdict == CALIBRATE_NONE ||
	    calibrate_state.verdict == CALIBRATE_DISAGREE || calibrate_state.lapic_hz == 0)
		calibrate_fail();
	clock_init(calibrate_state.tsc_hz);
}

uint64_t
calibrate_lapic_hz(void)
{
	return calibrate_state.lapic_hz;
}

static void
calibrate_mhz(uint64_t hz, char buf[CALIBRATE_REMARK_BYTES])
{
	(void)snprintf(buf, CALIBRATE_REMARK_BYTES, "%lu.%06lu", hz / CALIBRATE_HZ_PER_MHZ,
	    hz % CALIBRATE_HZ_PER_MHZ);
}

/* Why the chosen source was chosen. */
static const char *
calibrate_reason(void)
{
	switch (calibrate_state.verdict) {
	case CALIBRATE_AGREED:
		return "chosen: the most trusted of those that agree";
	case CALIBRATE_DEGRADED:
		return "chosen, DEGRADED: agreement within 5 % only";
	case CALIBRATE_CLAIMED:
		return "chosen, DEGRADED: only CPUID agrees";
	default:
		return calibrate_present() == 1 ? "chosen: this machine has no other"
						: "chosen, DEGRADED: the others are unsteady";
	}
}

/* One line for a measured or claimed TSC frequency; `remark` when there is none or it is the chosen
 * one. */
static void
calibrate_print_row(const char *name, uint64_t counter_hz, uint64_t tsc_hz, const char *remark)
{
	char counter[CALIBRATE_REMARK_BYTES] = "-", tsc[CALIBRATE_REMARK_BYTES] = "-";
	char ppm[CALIBRATE_REMARK_BYTES] = "-";

	if (counter_hz != 0)
		calibrate_mhz(counter_hz, counter);
	if (tsc_hz != 0) {
		calibrate_mhz(tsc_hz, tsc);
		(void)snprintf(
		    ppm, sizeof(ppm), "%ld", calibrate_ppm(tsc_hz, calibrate_state.tsc_hz));
	}
	printf("  %-11s  %11s  %12s  %8s  %s\n", name, counter, tsc, ppm, remark);
}

static void
calibrate_print_source(unsigned i)
{
	const struct calibrate_counter *c = &calibrate_state.counter[i];
	uint64_t hz = calibrate_state.measured_hz[i];
	char absent[CALIBRATE_REMARK_BYTES];
	const char *remark;

	if (c->why != NULL) {
		(void)snprintf(absent, sizeof(absent), "absent: %s", c->why);
		remark = absent;
	} else if (hz == 0)
		remark = "unsteady, not used";
	else if (i == calibrate_state.chosen)
		remark = calibrate_reason();
	else
		remark = calibrate_agree(hz, calibrate_state.tsc_hz, CALIBRATE_AGREE_PPM)
		    ? "agrees"
		    : "is off, not used";
	calibrate_print_row(c->clock.name, c->clock.hz, hz, remark);
}

static void
calibrate_print_claim(unsigned i)
{
	uint64_t hz = calibrate_state.claimed_hz[i];
	char absent[CALIBRATE_REMARK_BYTES];
	const char *remark;

	if (hz == 0) {
		(void)snprintf(absent, sizeof(absent), "absent: %s", calibrate_state.claim_why[i]);
		remark = absent;
	} else
		remark = calibrate_agree(hz, calibrate_state.tsc_hz, CALIBRATE_AGREE_PPM)
		    ? "claims only; agrees"
		    : "claims only; wrong";
	calibrate_print_row(calibrate_claim_names[i], 0, hz, remark);
}

void
calibrate_print(void)
{
	printf("clocks, measured in %u round%s of %u windows:\n", calibrate_state.rounds,
	    calibrate_state.rounds == 1 ? "" : "s", CALIBRATE_WINDOWS);
	printf(
	    "  %-11s  %11s  %12s  %8s  %s\n", "source", "counter MHz", "TSC MHz", "ppm", "remark");
	for (unsigned i = 0; i < CALIBRATE_SOURCES; i++)
		calibrate_print_source(i);
	for (unsigned i = 0; i < CALIBRATE_CLAIMS; i++)
		calibrate_print_claim(i);
	calibrate_print_row(calibrate_state.counter[CALIBRATE_LAPIC].clock.name,
	    calibrate_state.lapic_hz, 0, "measured against the TSC, undivided");
}
