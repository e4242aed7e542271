/*
 * The wide slot of one sender: calls to all others, between calls that go the long way.
 *
 * Models xc_wide.c, all of it; xc_intr_handler, xc_intr_notify (xc_intr.c), xc_inbox_begin_slot (xc_inbox.c), xc_slot_find,
 * xc_slot_claim, xc_slot_retire and xc_slot_withdraw (xc_slot.c) as far as they meet it; the section of a post, xc_cpu_enter,
 * xc_cpu_dying (xc_cpu.c).
 * Leaves out: other senders, with whom it shares but the words of xc_wides, a bit and a count each; the sender's own part
 * of the call, which is in its inbox like a call of the long way; direct calls and descriptors, for which the look into
 * the inbox stands; spins that serve (inbox.pml); the rest of a slot's life (slot.pml).
 *
 * CPU 0 posts ROUNDS calls to all others, each by the wide slot if that is free, or the long way, and lets them go, waits,
 * or (CANCEL) withdraws.  A group is one CPU.  LEAVE: the last CPU leaves.
 */
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef CPUS
#define CPUS 3
#endif
#define JOBS ROUNDS
#define ONE_SENDER
#include "truth.pml"

/* The slot: state, as one word; which job it is; groups that have not finished; is the sender in xc_wides. */
typedef wide_t {
	bool live;
	byte generation, job, groups;
	bool shown;
};
wide_t wide;
/* Its board: a word for each CPU, read and written as one; and who was a target when it was prepared. */
typedef group_t {
	byte tag;
	bool todo, unfinished, posted;
};
group_t group[CPUS];
byte version, prepared;		/* t_version, x_wide_version */
byte online;			/* t_set */

byte todo[JOBS];		/* calls of the long way */
byte posted;			/* x_posted */
byte senders, notify, irr;	/* of each target, a bit: the sender is in its set, x_notify, the vector */
bool off;			/* the sender is in a post */

/* The group of that CPU, for the next call: a step for each CPU. */
inline prepare(next)
{
	k = 1;
	do
	:: k == CPUS -> break
	:: else -> atomic {
		group[k].tag = next;
		group[k].todo = group[k].posted;
		group[k].unfinished = group[k].posted;
		k++ }
	od;
	k = 0
}

/* xc_wide_over, and the state */
inline retire()
{
#ifdef OVER_FIRST
	atomic { wide.live = false; j = wide.job; forget(j); j = 0 };
	seen = wide.generation + 1;
	prepare(seen);
	wide.shown = false;
#else
	seen = wide.generation + 1;
#ifndef NOT_PREPARED
	prepare(seen);
#endif
	wide.shown = false;
	atomic { wide.live = false; j = wide.job; forget(j); j = 0 };
#endif
	seen = 0
}

/* A group is done with; `last`: so is the call. */
inline group_done()
{
	assert(wide.groups > 0);
	wide.groups--;
	last = (wide.groups == 0)
}

proctype poster()
{
	byte round, mine, ticket, j, k, seen;
	bool last, by_inbox;

	do
	:: round == ROUNDS -> break
	:: else ->
		atomic {
			off = true;
			if
			:: by_inbox = false
			:: by_inbox = true
			fi;
			mine = round
		};
		/* xc_wide_post */
#ifdef REUSED
		if
		:: by_inbox -> goto long_way
#else
		if
		:: by_inbox || wide.live -> goto long_way
#endif
		:: else -> ticket = wide.generation + 1
		fi;
		if
#ifdef OLD_SET
		:: prepared == 0 ->
#else
		:: prepared != version ->
#endif
			prepared = version;
			atomic {
				for (k : 1 .. CPUS - 1) { group[k].posted = HAS(online, k) };
				k = 0
			};
			prepare(ticket)
		:: else
		fi;
		atomic {
			wide.groups = 0;
			for (k : 1 .. CPUS - 1) {
				wide.groups = wide.groups + (group[k].posted -> 1 : 0);
				job[mine].want = job[mine].want | (group[k].posted -> BIT(k) : 0)
			};
			k = 0;
			wide.job = mine
		};
#ifndef SHOWN_LATE
		wide.shown = true;
#endif
		atomic { wide.generation = ticket; wide.live = true };
		posted++;
#ifdef SHOWN_LATE
		wide.shown = true;
#endif
		atomic { irr = irr | (255 - 1); off = false };
		goto posted_it;

long_way:	/* xc_post_set */
		ticket = 0;
		atomic {
			job[mine].want = online & (255 - 1);
			todo[mine] = job[mine].want
		};
		posted++;
		k = 1;
		do
		:: k == CPUS -> k = 0; break
		:: k < CPUS && HAS(job[mine].want, k) ->
			ADD(senders, k);
			atomic {
				irr = irr | (HAS(notify, k) -> 0 : BIT(k));
				ADD(notify, k);
				k++
			}
		:: k < CPUS && !HAS(job[mine].want, k) -> k++
		od;
		off = false;
posted_it:	if
		:: skip
		:: atomic { (ticket != 0 -> !wide.live || wide.generation != ticket : COMPLETE(mine)) -> assert(COMPLETE(mine)) }
#ifdef CANCEL
		:: ticket != 0 ->	/* xc_slot_withdraw */
			seen = 1;
			do
			:: seen == CPUS -> seen = 0; break
			:: else ->
				atomic {
					if
					:: group[seen].tag == ticket && group[seen].todo ->
						group[seen].todo = false;
						group[seen].unfinished = false;
						withdraw_job(mine, BIT(seen));
						group_done()
					:: else
					fi;
					seen++
				};
				if
				:: atomic { last -> last = false }; retire(); break
				:: else
				fi
			od;
			(!wide.live || wide.generation != ticket)
#endif
		fi;
		atomic { ticket = 0; mine = 0; round++ }
	od
}

proctype target(byte me)
{
	byte state, latest, now, j, k, seen;
	bool told, last, leaving, gone;

end:	if
	:: atomic { HAS(irr, me) ->
		REMOVE(irr, me);
		told = HAS(notify, me);
#ifndef LOOK_FIRST
		REMOVE(notify, me)
#endif
		}
#ifdef LEAVE
	:: atomic { me == CPUS - 1 && !leaving -> leaving = true;
#ifdef VERSION_FIRST
		version++ };
		REMOVE(online, me);
#else
		REMOVE(online, me) };
		version++;
#endif
		goto end
	:: atomic { leaving && !off ->	/* the barrier */
		told = true; gone = true; REMOVE(notify, me) }
#endif
	fi;
	if
	:: told -> goto drain
	:: else -> goto look
	fi;

drain:	/* xc_inbox_next */
	if
	:: atomic { HAS(senders, me) -> REMOVE(senders, me) }
	:: else -> goto drained
	fi;
	latest = posted;
	atomic {	/* xc_slot_find, xc_slot_claim: the oldest of both kinds */
		now = NONE;
		for (k : 0 .. JOBS - 1) {
			now = (now == NONE && k < latest && HAS(todo[k], me) -> k : now)
		};
		k = 0;
		if
		:: wide.live && group[me].tag == wide.generation && group[me].todo && wide.job < latest &&
		    (now == NONE || wide.job < now) ->
			latest = 0;
			ADD(senders, me);
			now = wide.job;
			group[me].todo = false;
			begin_job(now, me);
			goto run_wide
		:: else
		fi;
		latest = 0;
		if
		:: now == NONE -> now = 0; goto drain
		:: else -> REMOVE(todo[now], me); ADD(senders, me); begin_job(now, me)
		fi
	};
	atomic { end_job(now, me); now = 0; goto drain };
drained:
#ifdef LOOK_FIRST
	REMOVE(notify, me);
#endif
#ifdef ONLY_WHEN_EMPTY
	goto over;
#endif

look:	/* xc_wide_serve */
	if
	:: !wide.shown -> goto over
	:: else
	fi;
	state = (wide.live -> wide.generation : 0);
	if
	:: atomic { state == 0 || group[me].tag != state || !group[me].todo -> state = 0; goto over }
	:: else
	fi;
#ifndef WIDE_FIRST
	if
	:: atomic { HAS(senders, me) -> state = 0; goto drain }
	:: else
	fi;
#endif
	atomic {
		if
#ifdef NO_TAG
		:: group[me].todo ->
#else
		:: group[me].tag == state && group[me].todo ->
#endif
			state = 0;
			now = wide.job;
			group[me].todo = false;
			begin_job(now, me)
		:: else -> state = 0; goto look
		fi
	};

run_wide:
	atomic {
		end_job(now, me);
		now = 0;
		assert(group[me].unfinished);
		group[me].unfinished = false;
		group_done()
	};
	if
	:: atomic { last -> last = false }; retire()
	:: else
	fi;
	if
	:: told -> goto drain
	:: else -> goto over
	fi;

over:	atomic {
		told = false;
		if
		:: gone -> goto parked
		:: else -> goto end
		fi
	};

parked:	assert(!HAS(senders, me));
end_parked:
	false
}

init
{
	byte k;

	atomic {
		online = BIT(CPUS) - 1;
		version = 1;
		run poster();
		for (k : 1 .. CPUS - 1) { run target(k) }
	}
}

/* When nothing moves any more, every call has run, and the slot is ready. */
active proctype judge()
{
	timeout;
	jobs = JOBS;
	all_complete();
	assert(!wide.live && !wide.shown)
}
