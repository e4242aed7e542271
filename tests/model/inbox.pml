/*
 * How a target is told, looks, and serves; calls by slot and by descriptor; two levels, hard and soft, on one notify word
 * and one vector.
 *
 * Models xc_intr_notify, xc_intr_handler, xc_intr_take, xc_intr_serve, xc_intr_drain, xc_intr_soft, xc_intr_inline and
 * xc_intr_poll (xc_intr.c); xc_inbox.c, all of it; xc_call_publish (xc_call.c); xc_wait_spin (xc_wait.c); the order of
 * xc_run_job's stack.  Leaves out: the direct slot (direct.pml); NMIs, whose word and inbox are like the hard ones with
 * nothing shared; lazy marks (offline.pml); ipi(9); cancelled calls (slot.pml); the turns of xc_inbox_next, for which any
 * choice stands here; the low level, whose notification is that of the soft one (thread.pml has the rest).
 *
 * A CPU is one process, so an interrupt stops what it interrupts: `depth` hard functions stand on its stack, and wait.
 * Each post has a call of its own (how slots are used again is slot.pml; there a search is many steps, here one).  CPUs 0 to
 * CALLERS - 1 post ROUNDS times, with interrupts on or off, and let it go or wait.  What they post: a call to any one CPU, of
 * either level, by slot or by descriptor (BY_SLOT: never that), whose function does nothing.  WIDE: caller 0 calls all, the
 * others hard ones.  HARD_ONLY, SOFT_ONLY: calls of one level.  CALLING: a hard call whose function makes a hard call to the next CPU and waits; RING: the same to
 * the next CPU, all with interrupts off.  HANDED: two hard calls to the last CPU, the second one's function waits for
 * the first, which somebody else has posted.  ORDER: POSTS hard calls in a row to the last CPU, and nobody waits.
 *
 * The interrupt line is a local APIC's: one request can be in service and one wait (irr).  ONE_LATCH: a request that comes while
 * one is in service is dropped.  LEVEL_LINE: the word itself is the line, and only `in service` keeps it from interrupting.
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
#ifndef POSTS
#define POSTS 1
#endif
#ifndef DEPTH
#define DEPTH 3
#endif
#if defined(CALLING) || defined(RING) || defined(HANDED)
#define NESTING
#define BY_SLOT
#define JOBS (2 * CALLERS * ROUNDS)
#else
#define JOBS (CALLERS * ROUNDS * POSTS)
#endif
#define KINDS
#define LEVELS
#define ALL ((1 << CPUS) - 1)
#include "truth.pml"

#define HARD 0
#define SOFT 1
#define BOX(cpu, level) ((cpu) * 2 + (level))

typedef call_t {
	bool live, descriptor;
	byte order, todo, unfinished;
};
call_t call[JOBS];
byte posted[CPUS];		/* x_posted */
byte notify[CPUS];		/* x_notify: bit HARD, bit SOFT */
byte senders[CPUS * 2];		/* i_senders of each level */
/* Descriptors in order of their pushes; the first `taken` are in the target's own list. */
#ifndef DESCRIPTORS
#define DESCRIPTORS JOBS
#endif
byte queue[CPUS * 2 * DESCRIPTORS], pushed[CPUS * 2], taken[CPUS * 2];
#define QUEUE(box, i) queue[(box) * DESCRIPTORS + (i)]

bool irr[CPUS];
#ifdef ONE_LATCH
bool in_service[CPUS];
#define SEND(cpu) irr[cpu] = irr[cpu] || !in_service[cpu]
#else
#define SEND(cpu) irr[cpu] = true
#endif
#ifdef LEVEL_LINE
#define REQUESTED (notify[me] != 0)
#else
#define REQUESTED irr[me]
#endif

/* xc_inbox_take_calls */
#define TAKE_CALLS taken[BOX(me, level)] = pushed[BOX(me, level)]

inline new_call(set, l, what, by_descriptor)
{
	mine = jobs;
	jobs++;
	job[mine].sender = me;
	job[mine].level = l;
	job[mine].kind = what;
	job[mine].want = set;
	call[mine].descriptor = by_descriptor;
	call[mine].order = posted[me] + 1;
	call[mine].todo = set;
	call[mine].unfinished = set;
	call[mine].live = true
}

/* xc_inbox_push of xc_call_publish */
inline push(box)
{
#ifdef NON_ATOMIC_PUSH
	k = pushed[box];
	atomic {
		pushed[box] = k;
#else
	atomic {
#endif
		QUEUE(box, pushed[box]) = mine;
		pushed[box]++;
		k = 0
	}
}

/* xc_inbox_add_sender, if it is no descriptor, and xc_intr_notify, for the CPUs in `set` but this one */
inline tell(set, l)
{
	do
	:: (set & (255 - BIT(me))) == 0 -> break
	:: else ->
		atomic {
			do
			:: HAS(set, t) && t != me -> break
			:: else -> t++
			od;
			REMOVE(set, t);
#ifdef NOTIFY_FIRST
			notify_one(t, l)
		};
		atomic {
			add_sender(t, l);
#else
			add_sender(t, l)
		};
		notify_one(t, l);
		atomic {
#endif
			t = 0
		}
	od
}

inline add_sender(to, l)
{
	if
	:: by_descriptor
	:: else -> ADD(senders[BOX(to, l)], me)
	fi
}

inline notify_one(to, l)
{
#ifdef NON_ATOMIC_NOTIFY
	old = notify[to];
	atomic {
#else
	atomic {
		old = notify[to];
#endif
		notify[to] = old | BIT(l);
		if
		:: old == 0 -> SEND(to)
		:: else
		fi;
		old = 0
	}
}

/* xc_slot_find, as one step: the oldest call by slot of `s`, numbered up to `latest`, that this CPU has to begin.  A
 * sender's calls have ascending indices. */
inline find(s, latest)
{
	j = 0;
	do
	:: j == jobs -> j = NONE; break
	:: j < jobs && call[j].live && !call[j].descriptor && job[j].sender == s && job[j].level == level &&
	    HAS(call[j].todo, me) && call[j].order <= latest -> break
	:: else -> j++
	od
}

/* xc_inbox_has_older */
inline older_descriptor(s, number)
{
	older = false;
	do
	:: k == taken[BOX(me, level)] -> k = 0; break
	:: else ->
		older = older || (job[QUEUE(BOX(me, level), k)].sender == s &&
		    call[QUEUE(BOX(me, level), k)].order < number);
		k++
	od
}

#define OVER(j) (!call[j].live)
#define BEGUN(j) (!HAS(call[j].todo, me))

proctype cpu(byte me)
{
	byte depth;			/* hard functions on the stack; they wait */
	byte stack_job[DEPTH], stack_wait[DEPTH];
	byte waits;			/* for which call the thread waits, plus 1 */
	byte round, posts;		/* of the thread */
	bool off;			/* the thread has interrupts off */
	bool soft, in_soft;		/* the soft interrupt is scheduled, runs */
	bool in_intr;			/* an interrupt, or what a post serves at once */
	bool accepted;			/* by an interrupt */
	byte bits;			/* what it took out of the word */
	byte level;			/* that is being drained */
	byte set, t, mine, now, old, k, j, s, latest, l;
	bool older, by_descriptor, wait;

thread:	/* no hard function stands on the stack */
	if
	:: waits != 0 -> goto spin
	:: else
	fi;
end:	if
	:: atomic { REQUESTED -> goto accept }
	:: atomic { soft -> goto soft_interrupt }
	:: atomic { round < (me < CALLERS -> ROUNDS : 0) -> goto choose }
	fi;

choose:	atomic {
#if defined(ORDER)
		set = BIT(CPUS - 1);
		if
		:: by_descriptor = true
		:: by_descriptor = false
		fi;
#elif defined(HANDED)
		/* Caller 0's is job 0. */
		me == 0 || jobs != 0 ->
		set = BIT(CPUS - 1);
#elif defined(RING)
		set = BIT((me + 1) % CPUS); off = true; wait = true;
#else
		if
		:: off = true
		:: off = false
		fi;
#ifdef CALLING
		do
		:: t < CPUS - 1 -> t++
		:: break
		od;
		set = BIT(t); t = 0; wait = true;
#else
		if
#ifndef SOFT_ONLY
		:: l = HARD
#endif
#ifdef WIDE
		:: me == 0 -> l = SOFT
#elif !defined(HARD_ONLY)
		:: l = SOFT
#endif
		fi;
		if
#ifdef WIDE
		:: me == 0 -> set = ALL
		:: me != 0 ->
#else
		::
#endif
		   do
		   :: t < CPUS - 1 -> t++
		   :: break
		   od;
		   set = BIT(t); t = 0;
#ifndef BY_SLOT
		   if
		   :: by_descriptor = true
		   :: by_descriptor = false
		   fi
#endif
		fi;
		if
		:: wait = (l == HARD || !off)
		:: wait = false
		fi;
#endif
#endif
#ifdef HANDED
		new_call(set, HARD, (me == 0 -> 0 : 2), false);
#elif defined(NESTING)
		new_call(set, HARD, 1, false);
#else
		new_call(set, l, 0, by_descriptor);
#endif
		if
		:: by_descriptor
		:: else -> posted[me]++
		fi
	};
	if
	:: by_descriptor ->
		for (t : 0 .. CPUS - 1) {
			if
			:: HAS(set, t) -> push(BOX(t, l))
			:: else
			fi
		};
		/* The target may have ended the call; it is not looked at any more. */
		atomic { t = 0; posted[me]++ }
	:: else
	fi;
	tell(set, l);
	atomic {
		if
		:: wait -> waits = mine + 1
		:: else
		fi;
		wait = false;
		posts++;
		if
		:: posts == POSTS -> round++; posts = 0
		:: else
		fi
	};
	if
	:: atomic { !HAS(set, me) -> set = 0; mine = 0; l = 0; by_descriptor = false; goto posted_all }
	:: else
	fi;
	add_sender(me, l);
	if
	:: atomic { off -> set = 0 };
		notify_one(me, l);
		atomic { mine = 0; l = 0; by_descriptor = false }
	:: atomic { !off -> set = 0; ADD(notify[me], l); mine = 0; l = 0; by_descriptor = false; in_intr = true; goto take }
	fi;
posted_all:
	atomic {
		if
		:: waits == 0 -> off = false
		:: else
		fi;
		goto thread
	};

spin:	/* xc_wait_spin: of the function on top of the stack, or of the thread */
	if
	:: atomic { depth == 0 && OVER(waits - 1) -> assert(COMPLETE(waits - 1)); waits = 0; off = false; goto thread }
	:: atomic { depth == 0 && !off && REQUESTED -> goto accept }
	:: atomic { depth == 0 && !off && soft -> goto soft_interrupt }
#ifdef NESTING
	:: atomic { depth > 0 && OVER(stack_wait[depth - 1]) ->
		depth--;
		assert(COMPLETE(stack_wait[depth]));
		now = stack_job[depth];
		stack_job[depth] = 0; stack_wait[depth] = 0;
		goto finish }
#endif
#ifndef NO_SELF_SERVE
	:: atomic { (depth > 0 || off) && depth < DEPTH &&	/* xc_intr_poll */
#ifndef POLL_BY_BIT
		(HAS(notify[me], HARD) || (depth > 0 && (senders[BOX(me, HARD)] != 0 || pushed[BOX(me, HARD)] != 0))) ->
#else
		HAS(notify[me], HARD) ->
#endif
#ifdef DRAIN_OWN_BIT
		notify[me] = 0;
#else
		REMOVE(notify[me], HARD);
#endif
		level = HARD;
		goto drain }
#endif
	fi;

accept:	atomic {
		irr[me] = false;
		in_intr = true;
		accepted = true;
#ifdef ONE_LATCH
		in_service[me] = true
#endif
	};
#ifdef EOI_BEFORE_CLEAR
	atomic {
		accepted = false;
#ifdef ONE_LATCH
		in_service[me] = false;
#endif
#ifdef LEVEL_LINE
		/* The line still stands: the handler would be entered again, on and on. */
		assert(!REQUESTED)
#endif
	};
#endif

take:	atomic {	/* xc_intr_take, xc_intr_serve */
		bits = notify[me];
#ifndef SCAN_THEN_CLEAR
		notify[me] = 0;
#endif
		level = HARD;
		if
		:: HAS(bits, HARD) -> goto drain
		:: else -> goto drained
		fi
	};

soft_interrupt:
	atomic { soft = false; in_soft = true; level = SOFT };

drain:	/* xc_inbox_next */
#ifndef BY_SLOT
	TAKE_CALLS;
#endif
	if
	:: atomic { level == SOFT && REQUESTED -> goto accept }
#ifndef BY_SLOT
	:: atomic { taken[BOX(me, level)] != 0 -> goto begin_call }
#endif
	:: atomic { senders[BOX(me, level)] != 0 ->	/* xc_inbox_take_sender: any, which is more than taking turns */
		s = 0;
		do
		:: HAS(senders[BOX(me, level)], s) -> break
		:: s < CPUS - 1 && senders[BOX(me, level)] >= BIT(s + 1) -> s++
		od;
#ifndef LATE_REMOVE
		REMOVE(senders[BOX(me, level)], s);
#endif
		goto begin_slot }
	:: atomic { taken[BOX(me, level)] == 0 && senders[BOX(me, level)] == 0 -> goto drained }
	fi;

#ifndef BY_SLOT
begin_call:
	atomic {	/* xc_inbox_begin_call */
		now = QUEUE(BOX(me, level), 0);
#ifdef NO_OLDER_SLOT
		j = NONE;
#else
		s = job[now].sender;
		find(s, call[now].order);
		s = 0;
#endif
		if
		:: j != NONE -> now = j
		:: else ->	/* xc_inbox_remove_first */
			for (k : 1 .. pushed[BOX(me, level)] - 1) {
				QUEUE(BOX(me, level), k - 1) = QUEUE(BOX(me, level), k)
			};
			k = 0;
			taken[BOX(me, level)]--;
			pushed[BOX(me, level)]--;
			QUEUE(BOX(me, level), pushed[BOX(me, level)]) = 0
		fi;
		j = 0;
		goto begin
	};
#endif

begin_slot:	/* xc_inbox_begin_slot */
#ifndef BY_SLOT
#ifdef TAKE_FIRST
	TAKE_CALLS;
	latest = posted[s];
#else
	latest = posted[s];
	TAKE_CALLS;
#endif
#endif
	atomic {
#if defined(BY_SLOT) || defined(NO_SNAPSHOT)
		latest = posted[s];
#endif
		find(s, latest);
#ifdef LATE_REMOVE
	};
	atomic {
		REMOVE(senders[BOX(me, level)], s);
#endif
		if
		:: j == NONE -> j = 0; s = 0; latest = 0; goto drain
		:: else
		fi;
#if !defined(BY_SLOT) && !defined(NO_OLDER_DESCRIPTOR)
		older_descriptor(s, call[j].order);
		if
		:: older -> ADD(senders[BOX(me, level)], s); older = false; j = 0; s = 0; latest = 0; goto drain
		:: else
		fi;
#endif
		now = j;
		REMOVE(call[now].todo, me);
#ifndef ONE_A_BIT
		find(s, latest);	/* `more` */
		if
		:: j != NONE -> ADD(senders[BOX(me, level)], s)
		:: else
		fi;
#endif
		j = 0; s = 0; latest = 0
	};

begin:	atomic {	/* xc_run_job */
		REMOVE(call[now].todo, me);
		assert(job[now].level == level && (level == SOFT || in_intr || off || depth > 0));
		begin_job(now, me);
#ifndef NESTING
		goto finish	/* slot.pml says what others see meanwhile */
#else
		if
		:: job[now].kind == 0 -> goto finish
		:: else
		fi;
		assert(depth < DEPTH);
		stack_job[depth] = now;
		now = 0;
#ifdef HANDED
		stack_wait[depth] = 0;
		depth++;
		goto spin;
#endif
		set = BIT((me + 1) % CPUS);
		new_call(set, HARD, 0, false);
		posted[me]++
	};
	tell(set, HARD);
	if
	:: HAS(set, me) -> add_sender(me, HARD); notify_one(me, HARD)
	:: else
	fi;
	atomic {
		set = 0;
		stack_wait[depth] = mine;
		mine = 0;
		depth++;
		goto spin
#endif
	};

finish:	atomic {	/* xc_slot_finish, xc_descriptor_finish */
		end_job(now, me);
		REMOVE(call[now].unfinished, me);
		call[now].live = (call[now].unfinished != 0);
		if
		:: !call[now].live -> forget(now); call[now].order = 0; call[now].descriptor = false
		:: else
		fi;
		now = 0;
#ifdef COUNT_INTERRUPTS
		if
		:: in_intr && depth == 0 -> goto drained
		:: else
		fi;
#endif
		goto drain
	};

drained:
	if
	:: atomic { level == SOFT -> in_soft = false; level = HARD; goto thread }
	:: atomic { level != SOFT && depth > 0 -> goto spin }
	:: atomic { level != SOFT && depth == 0 && !in_intr -> goto spin }
	:: atomic { level != SOFT && depth == 0 && in_intr ->
#ifdef SCAN_THEN_CLEAR
		notify[me] = 0;
#endif
		soft = soft || HAS(bits, SOFT);
		bits = 0;
		in_intr = false;
#ifndef EOI_BEFORE_CLEAR
#ifdef ONE_LATCH
		in_service[me] = in_service[me] && !accepted;
#endif
		accepted = false;
#endif
		if
		:: in_soft -> level = SOFT; goto drain
		:: else -> goto thread
		fi }
	fi
}

init
{
	byte k;

	atomic { for (k : 0 .. CPUS - 1) { run cpu(k) } }
}

/* When nothing moves any more, every call has run where it had to. */
active proctype judge()
{
	timeout;
	all_complete()
}
