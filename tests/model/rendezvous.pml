/*
 * Entry with step back, phases, the caller that gives up; records that follow each other in one place.
 *
 * Models xc_rendezvous_count, step_back, abandon, enter, meet, take_part, lead, finish and run (rendezvous.c).  Leaves out:
 * barriers that are opted out (PHASES is the number of those there are), stop-machine (one phase), CPUs that leave.
 *
 * A CPU is one process.  CPUs 0 to CALLERS - 1 have a thread that calls ROUNDS rendezvous of CPUs in SET, one at a time
 * by a flag; OUTSIDE: the callers are no members.  PHASES functions, with barriers.  GIVE_UP: a caller may do so at any
 * moment at entry.  FELLOWS: the thread of the last CPU makes a hard broadcast meanwhile, whose functions
 * wait for each other and serve nobody.
 *
 * The calls themselves are simple here: a set of those that have yet to begin, one of those that have yet to return
 * (slot.pml has the rest).  The record is in one place for all rounds of a caller, as a stack frame may be.
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef PHASES
#define PHASES 2
#endif
#define ALL ((1 << CPUS) - 1)
#ifndef SET
#define SET ALL
#endif
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) & BIT(i)) != 0)
#define ADD(set, i) set = set | BIT(i)
#define REMOVE(set, i) set = set & (255 - BIT(i))

#ifdef OUTSIDE
#define SET_OF(c) (SET & (255 - BIT(c)))
#else
#define SET_OF(c) SET
#endif

#define ABANDONED 255
#define GONE 100

bool busy;
/* The record, and the call that leads to it. */
typedef record_t {
	short missing;
	byte passed, step, members;
	byte todo, unfinished;
	/* the truth: */
	byte entered, leaving, ended[PHASES];
	bool begun, gave_up;
};
record_t record[CALLERS];
#ifdef FELLOWS
byte fellows_todo, arrived;
#endif
byte serving;			/* CPUs that are in the midst of a function of the broadcast */
byte finished;			/* threads */

inline count(n)
{
	atomic {
		record[c].missing = record[c].missing + n;
		zero = (record[c].missing == 0)
	};
	if
	:: atomic { zero -> zero = false; record[c].step = 1 }
	:: else
	fi
}

#ifdef FELLOWS
inline fellow()
{
	atomic { HAS(fellows_todo, me) -> REMOVE(fellows_todo, me); ADD(serving, me); arrived++ };
	atomic { arrived == CPUS -> REMOVE(serving, me) }
}
#define ASKED HAS(fellows_todo, me)
#else
#define ASKED false
#endif

#define MAY_GIVE_UP (me == c && record[c].step == 0 && record[c].missing != 0)
#ifdef STEP_BACK_AT_ZERO
#define MAY_STEP_BACK true
#else
#define MAY_STEP_BACK (record[c].missing != 0)
#endif
#ifdef EARLY_LEAVE
#define RETURNED true
#else
#define RETURNED (record[me].unfinished == 0)
#endif

/* xc_rendezvous_meet: the barrier that opens `opens`. */
inline meet(opens)
{
	atomic {
		record[c].passed++;
		zero = (record[c].passed == (opens - 1) * record[c].members)
	};
	if
	:: atomic { zero -> zero = false; record[c].step = opens }
	:: else
	fi;
	record[c].step >= opens
}

/* xc_rendezvous_abandon, when the time has come */
inline give_up()
{
#ifdef NON_ATOMIC_ABANDON
	atomic { MAY_GIVE_UP };
	record[c].missing = GONE;
#else
	atomic { MAY_GIVE_UP -> record[c].missing = GONE };
#endif
	record[c].step = ABANDONED
}

/* One CPU's way through it; jumps there are back to `passed_through`. */
inline take_part()
{
	d_step { assert(record[c].leaving == 0 && !HAS(record[c].entered, me)); ADD(record[c].entered, me) };
	count(-1);
	do
	:: atomic { record[c].step != 0 -> break }
#ifdef FELLOWS
#ifndef NO_SERVE_AT_ENTRY
#ifdef NO_STEP_BACK
	:: atomic { record[c].step == 0 && ASKED }; fellow()
#else
	:: atomic { record[c].step == 0 && ASKED && MAY_STEP_BACK -> record[c].missing++ }; fellow(); count(-1)
#endif
#endif
#endif
#ifdef GIVE_UP
	:: give_up()
#endif
	od;
	if
	:: atomic { record[c].step == ABANDONED -> assert(!record[c].begun); goto passed_through }
	:: else
	fi;
	do
	:: phase == PHASES -> break
	:: else ->
		if
#ifdef PHASES_TOGETHER
		:: true
#else
		:: phase != 0 -> meet(phase + 1)
		:: else
#endif
		fi;
		atomic {
			/* Everybody is there and in the midst of nothing; the phase before is over. */
			assert(record[c].entered == SET_OF(c) && (serving & record[c].entered) == 0 && !record[c].gave_up);
			assert(phase == 0 || record[c].ended[phase - 1] == SET_OF(c));
			assert(!HAS(record[c].ended[phase], me));
			record[c].begun = true
		};
		atomic { ADD(record[c].ended[phase], me); phase++ }
	od;
	phase = 0;
	meet(PHASES + 1);
	atomic { assert(record[c].ended[PHASES - 1] == SET_OF(c)); ADD(record[c].leaving, me) };
passed_through:
	skip
}

proctype cpu(byte me)
{
	byte round, c, phase, k;
	bool lead, zero, holds;

end:	/* interrupts are on; so they are where the caller waits for its turn or for the others' return */
	if
	:: atomic { me < CALLERS && !holds && round < ROUNDS && !busy ->
		busy = true; holds = true; c = me;
		/* xc_rendezvous, xc_multicast */
#ifndef STALE_RENDEZVOUS_COUNT
		record[c].passed = 0;
#endif
		record[c].missing = 0; record[c].step = 0; record[c].members = 0;
		record[c].entered = 0; record[c].leaving = 0; record[c].begun = false; record[c].gave_up = false;
		for (k : 0 .. PHASES - 1) { record[c].ended[k] = 0 }
		k = 0;
		record[c].todo = SET & (255 - BIT(me));
		record[c].unfinished = record[c].todo;
		c = 0;
		goto end }
	:: atomic { me < CALLERS && holds && record[me].members == 0 -> goto lead_it }
	:: atomic { me < CALLERS && holds && record[me].members != 0 && RETURNED -> goto over }
	:: atomic { HAS(record[0].todo, me) -> c = 0; REMOVE(record[0].todo, me); goto in_it }
#if CALLERS > 1
	:: atomic { HAS(record[1].todo, me) -> c = 1; REMOVE(record[1].todo, me); goto in_it }
#endif
#ifdef FELLOWS
	:: fellow(); goto end
#endif
	fi;

lead_it:
	atomic {
		c = me;
		for (k : 0 .. CPUS - 1) { record[c].members = record[c].members + HAS(SET_OF(c), k) }
		k = 0
	};
	count(record[c].members);
#ifdef OUTSIDE
	do
	:: atomic { record[c].step != 0 -> break }
#ifdef FELLOWS
	:: fellow()
#endif
#ifdef GIVE_UP
	:: give_up()
#endif
	od;
	goto withdraw;
#endif
	lead = true;

in_it:	take_part();
	atomic {
		if
		:: lead -> lead = false; goto withdraw
		:: else -> REMOVE(record[c].unfinished, me); c = 0; goto end
		fi
	};

withdraw:
	atomic {	/* xc_cancel, if it was abandoned */
		if
		:: record[c].step == ABANDONED ->
			record[c].unfinished = record[c].unfinished & (255 - record[c].todo);
			record[c].todo = 0;
			record[c].gave_up = true
		:: else
		fi;
		c = 0;
		goto end
	};

over:	atomic {
		assert(record[me].gave_up == !record[me].begun);
		holds = false;
		busy = false;
		record[me].missing = 0; record[me].members = 0; record[me].entered = 0; record[me].leaving = 0;
		for (k : 0 .. PHASES - 1) { record[me].ended[k] = 0 }
		k = 0;
		record[me].gave_up = false; record[me].begun = false;
		round++;
		finished++;
		goto end
	}
}

#ifdef FELLOWS
active proctype fellows_caller()
{
	fellows_todo = ALL
}
#endif

init
{
	byte k;

	atomic { for (k : 0 .. CPUS - 1) { run cpu(k) } }
}

active proctype judge()
{
	timeout;
	assert(finished == CALLERS * ROUNDS);
#ifdef FELLOWS
	assert(arrived == CPUS)
#endif
}
