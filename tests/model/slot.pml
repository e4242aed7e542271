/*
 * A call's life in a slot of its sender, from the post to the end that is combined from groups of targets; claimed by
 * targets while somebody withdraws it; waited for by several; the slot's next life.
 *
 * Models xc_slot.c and xc_group.h: xc_slot_take, target, publish, find, holds, claim, finish, group_done, retire, free,
 * withdraw, was_cancelled, result; xc_event_want, xc_cancel (xc_wait.c); xc_thread_sleep_until and xc_thread_wake_waiters
 * (xc_thread.c).  Leaves out: levels and classes of credit (one of each), more than one board, tags that wrap, room that is
 * slept for (thread.pml), the direct slot (direct.pml), calls that look from elsewhere (xc_slot_group, xc_status.c).
 *
 * One sender, as slots of different senders share nothing.  POSTERS of its threads post ROUNDS calls each; a post has
 * interrupts off, so posts follow each other.  A target is told by a flag: how it is told is inbox.pml.  A group has
 * GROUP CPUs.  A poster posts to all CPUs, to those of the first group, or to the last CPU (WIDE_ONLY: to several groups;
 * UNICASTS: to the first CPU, or to the last one), and lets its call go, or waits for it asleep (POST_ONLY: never).
 * WATCHER: somebody else waits for poster 0's ticket, early or late, then for the next one; CANCELLER: somebody cancels them.
 * SPURIOUS: each target is told once for nothing.
 *
 * What others can come between is a step.  FINE makes steps of the loads of a search and of the stores of a post, of the
 * end of a call, of the return of a slot; without it they are few, and more CPUs can be had.
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef GROUP
#define GROUP 2
#endif
#ifndef POSTERS
#define POSTERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#define GROUPS ((CPUS + GROUP - 1) / GROUP)
#define GROUP_OF(cpu) ((cpu) / GROUP)
#define JOBS (POSTERS * ROUNDS)
#define ALL ((1 << CPUS) - 1)
#define ONE_SENDER
#include "truth.pml"

#ifdef FINE
#define STEP }; atomic {
#else
#define STEP
#endif

/* s_state is generation, cancelled, live (there is one level): read and written as one word. */
typedef slot_t {
	byte generation, order, job, base, groups;
	bool live, cancelled, board, waited, cancels;
};
slot_t slot[SLOTS];
/* Group words: the slots' own, then the board's.  Tag 0 is nobody's. */
typedef word_t {
	byte tag, todo, unfinished;
	bool cancelled;
};
word_t word[SLOTS + GROUPS];
#if GROUPS == 3
#define BOARD_CANCELLED (word[SLOTS].cancelled || word[SLOTS + 1].cancelled || word[SLOTS + 2].cancelled)
#elif GROUPS == 2
#define BOARD_CANCELLED (word[SLOTS].cancelled || word[SLOTS + 1].cancelled)
#else
#define BOARD_CANCELLED false
#endif
#define TAG(x, generation) ((generation) * SLOTS + (x) + 1)
#define WORD(x, cpu) (slot[x].board -> SLOTS + GROUP_OF(cpu) : (x))

byte free = (1 << SLOTS) - 1;
byte credit = SLOTS;
bool board_free = true;
byte live, posted;
bool posting;			/* the sender's CPU has interrupts off in a post */
#ifdef SPURIOUS
byte told = ALL;
#else
byte told;			/* targets that have yet to look */
#endif
byte sleepers;			/* on the condition variable of the bucket */

/* Poster 0's latest call, and who of the others has yet to take note of it. */
byte handed, handed_x, handed_generation, handed_job;
#if defined(WATCHER) && defined(CANCELLER)
#define OTHERS 3
#elif defined(WATCHER)
#define OTHERS 1
#else
#define OTHERS 2
#endif
inline take_note(who)
{
	atomic {
		handed & who ->
		handed = handed & (3 - who);
		x = handed_x;
		g = handed_generation;
		mine = handed_job;
		if
		:: handed == 0 -> handed_x = 0; handed_generation = 0; handed_job = 0
		:: else
		fi
	}
}

#ifdef SHARED_DONE
byte due, due_of[JOBS], targets_done;
#define OVER(x, g, j) (targets_done >= due_of[j])
#else
#ifdef NO_GENERATION
#define OVER(x, g, j) (!slot[x].live)
#else
#define OVER(x, g, j) (!slot[x].live || slot[x].generation != g)
#endif
#endif

/* Returns what the slot held. */
inline give_back(x)
{
	atomic {
#ifdef CREDIT_FIRST
		credit++;
		STEP
#endif
		if
		:: slot[x].board -> assert(!board_free); board_free = true
		:: else
		fi;
		STEP
		assert(!HAS(free, x));
		ADD(free, x);
#ifndef CREDIT_FIRST
		STEP
		credit++
#endif
	}
}

/* xc_slot_retire; the words of the call do not change any more. */
inline retire(x)
{
	atomic {
		assert(slot[x].live);
		cancelled = slot[x].cancels && (slot[x].board -> BOARD_CANCELLED : word[x].cancelled);
		STEP
		REMOVE(live, x);
		STEP
#ifdef FREE_BEFORE_OVER
		skip
	};
	give_back(x);
	atomic {
#endif
#ifdef LOOK_BEFORE_OVER
		waited = slot[x].waited
	};
	atomic {
#endif
		slot[x].live = false;
		slot[x].cancelled = cancelled;
		cancelled = false;
		w = slot[x].job;
		forget(w);
		w = 0
	};
#ifndef LOOK_BEFORE_OVER
	waited = slot[x].waited;
#endif
#ifndef FREE_BEFORE_OVER
	give_back(x);
#endif
	atomic {	/* xc_thread_wake_waiters */
		if
		:: waited ->
			waited = false;
#ifdef WAKE_ONE
			sleepers = sleepers & (sleepers - 1)
#else
			sleepers = 0
#endif
		:: else
		fi
	}
}

/* xc_slot_group_done: who empties the last group ends the call. */
inline group_done(x)
{
	atomic {
		assert(slot[x].groups > 0);
		slot[x].groups--;
#ifdef COUNT_APART
	};
	atomic {
#endif
		last = (slot[x].groups == 0)
	};
	if
	:: atomic { last -> last = false }; retire(x)
	:: else
	fi
}

/* xc_slot_target */
inline fill(set, wide, g)
{
	part = set & (((1 << GROUP) - 1) << ((g) * GROUP));
	if
	:: part != 0 ->
		slot[x].base = g;
		w = (wide -> SLOTS + g : x);
		word[w].tag = TAG(x, slot[x].generation + 1);
		word[w].todo = part;
		word[w].unfinished = part;
		word[w].cancelled = false;
		slot[x].groups++;
		w = 0;
		part = 0
	:: else
	fi
}

/* xc_slot_take, xc_slot_target for each group, xc_slot_publish, the notifications. */
inline post(set, wide)
{
	atomic {
		!posting && credit > 0 && (!wide || board_free) ->
		posting = true;
		credit--;
		assert(free != 0);
		do
		:: HAS(free, x) -> break
		:: else -> x++
		od;
		REMOVE(free, x);
		STEP
		slot[x].board = wide;
		slot[x].groups = 0;
		slot[x].waited = false;
		slot[x].cancels = false;
		if
		:: wide ->
			board_free = false;
#ifndef OLD_BOARD
			for (k : SLOTS .. SLOTS + GROUPS - 1) {
				word[k].tag = 0; word[k].todo = 0;
				word[k].unfinished = 0; word[k].cancelled = false
			}
			k = 0
#else
			skip
#endif
		:: else
		fi;
		mine = jobs;
		jobs++;
		job[mine].want = set;
		slot[x].job = mine;
		STEP
		fill(set, wide, 0);
#if GROUP < CPUS
		STEP
		fill(set, wide, 1);
#endif
#if 2 * GROUP < CPUS
		STEP
		fill(set, wide, 2);
#endif
		STEP
		slot[x].order = posted + 1;
		STEP
		slot[x].generation++;
		slot[x].live = true;
		slot[x].cancelled = false;
		STEP
		ADD(live, x);
		STEP
#ifdef SHARED_DONE
		for (k : 0 .. CPUS - 1) { due = due + HAS(set, k) }
		due_of[mine] = due;
		k = 0;
#endif
		posted = slot[x].order;
		generation = slot[x].generation;
		STEP
		told = told | set;
		posting = false;
#if defined(WATCHER) || defined(CANCELLER)
		if
		:: me == 0 ->
			handed_x = x; handed_generation = generation; handed_job = mine; handed = OTHERS
		:: else
		fi
#endif
	}
}

/* xc_slot_result() of a call that is over: ECANCELED if and only if targets were withdrawn, as long as it is known. */
inline check_end(x, g, j)
{
	assert(COMPLETE(j));
#ifndef SHARED_DONE
	assert(slot[x].generation != g || slot[x].cancelled == job[j].cut)
#endif
}

/* xc_thread_sleep: any thread but xcall/N. */
inline wait_for(x, g, j, self)
{
	do
	:: atomic { OVER(x, g, j) -> check_end(x, g, j); break }
	:: atomic {
		!OVER(x, g, j) ->
#ifndef WAITED_LATE
		slot[x].waited = true
	   };
	   atomic {	/* x_wait_lock is held from this look to the sleep */
#endif
		if
#ifndef WAITED_LATE
		:: OVER(x, g, j) -> check_end(x, g, j); break
#endif
		:: else -> ADD(sleepers, self)
		fi
#ifdef WAITED_LATE
	   };
	   atomic {
		slot[x].waited = true
#endif
	   };
	   !HAS(sleepers, self)
	od
}

proctype poster(byte me)
{
	byte round, set, x, w, k, part, mine, generation;
	bool wide;

	do
	:: round == ROUNDS -> break
	:: else ->
		atomic {
			if
#ifdef UNICASTS
			:: set = BIT(0)
#else
			:: set = ALL; wide = (GROUPS > 1)
#ifdef WIDE_ONLY
			:: GROUPS > 2 -> set = 3; wide = true
#else
			:: set = ALL & ((1 << GROUP) - 1)
#endif
#endif
#ifndef WIDE_ONLY
			:: set = BIT(CPUS - 1)
#endif
			fi
		};
		post(set, wide);
		if
		:: skip
#ifndef POST_ONLY
		:: wait_for(x, generation, mine, me)
#endif
		fi;
		atomic { set = 0; wide = false; x = 0; mine = 0; generation = 0; round++ }
	od
}

/* xc_slot_finish */
inline finish_call()
{
	atomic {
#ifndef EARLY
		end_job(now, me);
		now = 0;
#endif
		w = WORD(x, me);
		assert(HAS(word[w].unfinished, me));
		REMOVE(word[w].unfinished, me);
#ifdef SHARED_DONE
		targets_done++;
#endif
		if
		:: word[w].unfinished == 0 -> w = 0
		:: else -> w = 0; goto finished
		fi
	};
	group_done(x);
finished:
	skip
}

#ifdef NEWEST_FIRST
#define OLDER (slot[x].order > order)
#else
#define OLDER (slot[x].order < order)
#endif

/* xc_slot_find, xc_slot_claim, xc_slot_finish, until nothing is found. */
proctype target(byte me)
{
	byte latest, looks, x, k, order, found, generation, seen, w, now;
	bool last, cancelled, waited, more;

end:	atomic {
		HAS(told, me) -> REMOVE(told, me);
		STEP
#ifdef LIVE_FIRST
		looks = live;
		STEP
		latest = posted;
#else
		latest = posted;
		STEP
		looks = live;
#endif
		found = NONE
	};
	do
	:: atomic { looks == 0 -> latest = 0; order = 0; break }
	:: atomic {
		looks != 0 ->
		do
		:: HAS(looks, x) -> break
		:: else -> x++
		od;
		REMOVE(looks, x);
		/* xc_slot_holds */
		seen = slot[x].generation;
		if
		:: !slot[x].live -> goto next
		:: else
		fi;
		STEP
		if
		:: slot[x].board -> w = SLOTS + GROUP_OF(me)
		:: !slot[x].board && slot[x].base == GROUP_OF(me) -> w = x
		:: else -> goto next
		fi;
		STEP
		if
		:: HAS(word[w].todo, me) && word[w].tag == TAG(x, seen) -> skip
		:: else -> goto next
		fi;
		STEP
		if
#ifndef NO_SNAPSHOT
		:: slot[x].order > latest -> skip
		:: slot[x].order <= latest && (found == NONE || OLDER) ->
#else
		:: found == NONE || OLDER ->
#endif
			more = (found != NONE);
			found = x; order = slot[x].order; generation = seen
		:: else -> more = true
		fi;
next:		x = 0; w = 0; seen = 0
	   }
	od;
	if
	:: atomic { found == NONE -> found = 0; goto end }
	:: atomic { found != NONE -> x = found; found = 0; w = WORD(x, me) }
	fi;
	atomic {	/* xc_slot_claim */
		if
#ifdef NO_TAG
		:: HAS(word[w].todo, me) -> skip
#else
		:: HAS(word[w].todo, me) && word[w].tag == TAG(x, generation) -> skip
#endif
		:: else -> x = 0; w = 0; generation = 0; more = false; ADD(told, me); goto end
		fi;
#ifdef NON_ATOMIC_CLAIM
		k = word[w].todo;
		seen = word[w].unfinished
	};
	atomic {
		word[w].todo = k;
		word[w].unfinished = seen;
		k = 0; seen = 0;
#endif
		REMOVE(word[w].todo, me);
		w = 0; generation = 0;
		if
		:: more -> more = false; ADD(told, me)
		:: else
		fi;
		now = slot[x].job;
		begin_job(now, me)
	};
	finish_call();
#ifdef EARLY
	atomic { end_job(now, me); now = 0 };
#endif
	atomic { x = 0; goto end }
}

#ifdef WATCHER
proctype watcher()
{
	byte x, g, mine;

end:	take_note(1);
	wait_for(x, g, mine, POSTERS);
	atomic { x = 0; g = 0; mine = 0; goto end }
}
#endif

#ifdef CANCELLER
/* xc_cancel: xc_slot_withdraw, then the wait for those that had begun. */
proctype canceller()
{
	byte x, g, mine, k, w, out;
	bool last, cancelled, waited, wide;

end:	take_note(2);
	if
	:: OVER(x, g, mine) -> goto wait
	:: else
	fi;
	atomic {
		slot[x].cancels = true;
		STEP
		wide = slot[x].board
	};
	do
	:: k == GROUPS || (k == 1 && !wide) -> break
	:: else ->
		atomic {	/* xc_group_withdraw */
			w = (wide -> SLOTS + k : x);
			k++;
#ifdef WITHDRAW_ANY
			if
			:: word[w].todo != 0 -> skip
#else
			if
			:: word[w].tag == TAG(x, g) && word[w].todo != 0 -> skip
#endif
			:: else -> w = 0; goto next_group
			fi;
			out = word[w].todo;
#ifdef NON_ATOMIC_WITHDRAW
		};
		atomic {
#endif
			word[w].todo = word[w].todo & (255 - out);
#ifndef CANCEL_LEAVES_UNFINISHED
			word[w].unfinished = word[w].unfinished & (255 - out);
#endif
			word[w].cancelled = true;
			withdraw_job(mine, out);
			out = 0;
			if
			:: word[w].unfinished == 0 -> w = 0
			:: else -> w = 0; goto next_group
			fi
		};
		group_done(x);
next_group:	skip
	od;
wait:	wait_for(x, g, mine, POSTERS + 1);
	atomic { x = 0; g = 0; mine = 0; k = 0; wide = false; goto end }
}
#endif

init
{
	byte k;

	atomic {
		for (k : 0 .. CPUS - 1) { run target(k) }
		for (k : 0 .. POSTERS - 1) { run poster(k) }
#ifdef WATCHER
		run watcher();
#endif
#ifdef CANCELLER
		run canceller()
#endif
	}
}

/* When nothing moves any more, every call has run where it had to, and everything is given back. */
active proctype judge()
{
	timeout;
	all_complete();
	assert(live == 0 && free == (1 << SLOTS) - 1 && credit == SLOTS && board_free && sleepers == 0)
}
