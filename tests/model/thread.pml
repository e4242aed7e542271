/*
 * xcall/N is woken through an interrupt, serves, nests and sleeps; threads sleep for calls and for room.
 *
 * Models xc_thread_main, xc_thread_serve_until, wait, wait_slot, sleep_until, sleep_slot, wake, wake_waiters and
 * wake_posters (xc_thread.c); xc_intr_handler and xc_intr_serve of the low level (xc_intr.c); xc_post_wait (xcall.c);
 * xc_barrier (xc_drain.c).  Leaves out: time (deadlines, and the looks of stalls and chains, which would only wake more);
 * the spin before a sleep; the mutexes themselves (what is done under one is one step); boards; descriptors, which
 * are waited for in the same way; xc_drain, which is made of waits.
 *
 * Each CPU has a handler of interrupts and a thread xcall/N (`server`).  CALLERS threads, caller i on CPU HOME(i), post
 * ROUNDS calls each, a unicast to any CPU or a broadcast (UNICASTS: never that), and wait or do not.  SLOTS a CPU; DEPTH of
 * nested serving.  What the functions do: nothing; MIXED: post in turn, or not; CALLING: unicasts only, whose functions
 * call the next CPU and wait; RING: broadcasts of such; BARRIERS: CPU 1 runs barriers.  WATCHER: a thread more that waits
 * for a caller's ticket.
 *
 * A post, a notification, a search with its claim, the return of a slot are one step each: the other models have their steps.
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef ONLINE
#define ONLINE ((1 << CPUS) - 1)
#endif
#ifndef CALLERS
#define CALLERS 2
#endif
#ifdef SAME_CPU
#define HOME(i) 0
#else
#define HOME(i) (i)
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SLOTS
#define SLOTS 1
#endif
#ifndef DEPTH
#define DEPTH 3
#endif
#define POSTS (CALLERS * ROUNDS)
#if defined(MIXED) || defined(CALLING) || defined(RING) || defined(BARRIERS)
#define NESTING
#define JOBS (POSTS * (1 + CPUS))
#else
#define JOBS POSTS
#endif
#define KINDS
#include "truth.pml"

/* What a function does: nothing; posts a call to the next CPU; posts it and waits; posts one to all CPUs, if need
 * be after waiting for room, and waits. */
#define PLAIN 0
#define POSTS_ON 1
#define CALLS_ON 2
#define BARRIER 3

typedef slot_t {
	byte generation;	/* of the call that is live, or was last */
	bool live;		/* both are s_state */
	bool taken;		/* its bit is not in x_free */
	bool waited;
	byte order, job, todo, unfinished;
};
slot_t slot[CPUS * SLOTS];
#define SLOT(cpu, k) ((cpu) * SLOTS + (k))
#define SENDER(x) ((x) / SLOTS)
#define OVER(x, g) (!slot[x].live || slot[x].generation != g)

byte posted[CPUS], credit[CPUS];
byte senders[CPUS];		/* the inbox */
bool notify[CPUS];		/* the low bit of x_notify */
bool irr[CPUS];
bool roused[CPUS];		/* l_roused of xcall/N */
byte over_sleepers[CPUS];	/* callers asleep on x_over, the one bucket */
byte waiters[CPUS];		/* x_waiters: each xcall/N */
byte freed_sleepers[CPUS];	/* callers asleep on x_freed */
byte wanted[CPUS];		/* x_wanted */
bool server_wants[CPUS];	/* x_server_wants */
byte callers_done;

#ifdef WATCHER
bool handed;			/* caller 0's latest ticket */
byte handed_slot, handed_generation, handed_job;
#endif

/* xc_slot_take to xc_slot_publish: any free slot of CPU `from` for a call to `set`; x, or NONE. */
inline post(from, set, what)
{
	x = NONE;
	if
	:: credit[from] != 0 ->
		credit[from]--;
		do
		:: !slot[SLOT(from, k)].taken -> break
		:: else -> k++
		od;
		x = SLOT(from, k);
		k = 0;
		slot[x].taken = true;
		slot[x].waited = false;
		slot[x].todo = set;
#ifdef DROP_SELF
		if
		:: set == ONLINE -> REMOVE(slot[x].todo, from)
		:: else
		fi;
#endif
		slot[x].unfinished = slot[x].todo;
		slot[x].generation++;
		slot[x].live = true;
		posted[from]++;
		slot[x].order = posted[from];
		generation = slot[x].generation;
		mine = jobs;
		jobs++;
		job[mine].kind = what;
		job[mine].sender = from;
		job[mine].want = set;
		slot[x].job = mine
	:: else
	fi
}

/* xc_inbox_add_sender and xc_intr_notify for each of `set` */
inline tell(from, set)
{
	do
	:: atomic { set == 0 -> break }
	:: atomic {
		set != 0 ->
		do
		:: HAS(set, t) -> break
		:: else -> t++
		od;
		REMOVE(set, t);
		ADD(senders[t], from);
		irr[t] = irr[t] || !notify[t];
		notify[t] = true;
		t = 0
	   }
	od
}

proctype handler(byte me)
{
end:	do
	:: atomic { irr[me] ->
		irr[me] = false;
		if
		:: notify[me] -> notify[me] = false; roused[me] = true	/* xc_thread_wake */
		:: else
		fi }
	od
}

/* Chooses a CPU. */
inline any_cpu()
{
	t = 0;
	do
	:: t < CPUS - 1 -> t++
	:: break
	od
}

/* Any xcall/N in `set` looks again at what it waits for. */
inline wake_servers(set)
{
#ifndef NO_SERVER_WAKE
	do
	:: t == CPUS -> t = 0; break
	:: t < CPUS && HAS(set, t) -> roused[t] = true; t++
	:: t < CPUS && !HAS(set, t) -> t++
	od
#else
	skip
#endif
}

/* xc_slot_retire */
inline retire()
{
	atomic {
		k = slot[x].job;
		forget(k);
		k = 0;
		slot[x].live = false
	};
	atomic {
		from = SENDER(x);
		waited = slot[x].waited;
#ifndef REUSE_EARLY
		slot[x].order = 0;
		slot[x].job = 0;
		slot[x].waited = false;		/* else the next post would do it */
		slot[x].taken = false;
		credit[from]++;
		if
		:: credit[from] == SLOTS -> posted[from] = 0	/* no two calls to tell apart */
		:: else
		fi;
#endif
		x = 0;
		if
		:: waited ->
			waited = false;
#ifdef WAKE_ONE
			over_sleepers[from] = over_sleepers[from] & (over_sleepers[from] - 1);
#else
			over_sleepers[from] = 0;
#endif
			wake_servers(waiters[from])
		:: else
		fi
	};
	atomic {
		if
		:: wanted[from] != 0 ->
#ifndef NO_FREED_SIGNAL
			freed_sleepers[from] = 0;
#ifndef NO_WANTS
			if
			:: server_wants[from] -> roused[from] = true
			:: else
			fi
#endif
#endif
		:: else
		fi;
		from = 0
	}
}

#ifdef NO_NESTED_SERVE
#define MAY_SERVE (depth == 0)
#else
#define MAY_SERVE (depth < DEPTH)
#endif

proctype server(byte me)
{
	byte depth;				/* functions on the stack that wait */
	byte stack_x[DEPTH], stack_job[DEPTH];	/* what they are */
	byte wait_x[DEPTH], wait_generation[DEPTH], wait_job[DEPTH];	/* what they wait for */
	byte from, x, k, t, generation, mine, now, next;
	bool more, waited;
#ifdef BARRIERS
	bool wanted_before[DEPTH];
#endif

look:	atomic {	/* xc_thread_serve_until, xc_thread_main */
		if
#ifdef BARRIERS
		:: depth > 0 && wait_x[depth - 1] == NONE && credit[me] != 0 -> goto resume_slot
#endif
		:: depth > 0 && wait_x[depth - 1] != NONE && OVER(wait_x[depth - 1], wait_generation[depth - 1]) ->
			goto resume
		:: else
		fi;
		if
		:: senders[me] != 0 && MAY_SERVE -> goto take
		:: else
		fi;
#ifdef LOST_CALL
	};
	atomic {
		roused[me] = false;	/* forgotten after the look, not before it */
#endif
		if
		:: depth > 0 -> goto nested_sleep
		:: else -> goto end_idle
		fi
	};
nested_sleep:			/* kthread_await */
	atomic { roused[me] -> roused[me] = false; goto look };
end_idle:
	atomic { roused[me] -> roused[me] = false; goto look };

take:	atomic {	/* xc_inbox_take_sender: any, which is more than taking turns */
		from = 0;
		do
		:: HAS(senders[me], from) -> break
		:: from < CPUS - 1 && senders[me] >= BIT(from + 1) -> from++
		od;
		REMOVE(senders[me], from);
		/* xc_inbox_begin_slot: the oldest call of that sender */
		x = NONE;
		k = 0;
		do
		:: k == SLOTS -> k = 0; break
		:: else ->
			t = SLOT(from, k);
			if
			:: slot[t].live && HAS(slot[t].todo, me) ->
				more = (x != NONE);
				if
				:: x == NONE -> x = t
				:: x != NONE && slot[t].order < slot[x].order -> x = t
				:: else
				fi
			:: else
			fi;
			k++
		od;
		t = 0;
		if
		:: x == NONE -> x = 0; from = 0; goto look
		:: else
		fi;
		REMOVE(slot[x].todo, me);
		if
		:: more -> more = false; ADD(senders[me], from)
		:: else
		fi;
#ifdef REUSE_EARLY
		if
		:: slot[x].todo == 0 -> slot[x].taken = false; credit[from]++
		:: else
		fi;
#endif
		from = 0;

		/* the words of the call are read; the function begins */
		now = slot[x].job;
		begin_job(now, me);
#ifndef NESTING
		goto finish
#else
		if
		:: job[now].kind == PLAIN -> goto finish
		:: else
		fi;
		stack_x[depth] = x;
		x = 0
	};
post_on:
	atomic {
		next = (job[now].kind == BARRIER -> ONLINE : BIT((me + 1) % CPUS));
		post(me, next, PLAIN);
		if
		:: x == NONE ->
			next = 0;
#ifdef BARRIERS
			if
			:: job[now].kind == BARRIER -> goto wait_slot
			:: else
			fi;
#endif
			goto unstack		/* EBUSY */
		:: else
		fi
#endif
	};
#ifdef NESTING
	tell(me, next);
	atomic {	/* xc_thread_wait */
		if
		:: job[now].kind == POSTS_ON -> goto unstack
		:: else
		fi;
		ADD(waiters[me], me);
		wait_x[depth] = x;
		wait_generation[depth] = generation;
		wait_job[depth] = mine;
		stack_job[depth] = now;
		depth++;
		generation = 0; mine = 0; now = 0
	};
	atomic { slot[x].waited = true; x = 0; goto look };
#endif
#ifdef BARRIERS
wait_slot:
	atomic {	/* xc_thread_wait_slot */
		wanted_before[depth] = server_wants[me];
		server_wants[me] = true;
		wait_x[depth] = NONE;
		stack_job[depth] = now;
		x = 0; now = 0
	};
	atomic { wanted[me]++; depth++; goto look };
resume_slot:
	atomic {
		depth--;
		wanted[me]--;
		server_wants[me] = wanted_before[depth];
		now = stack_job[depth];
		wanted_before[depth] = 0; wait_x[depth] = 0; stack_job[depth] = 0;
		goto post_on
	};
#endif

resume:	atomic {
		depth--;
		assert(COMPLETE(wait_job[depth]));
		now = stack_job[depth];
		wait_x[depth] = 0; wait_generation[depth] = 0; wait_job[depth] = 0; stack_job[depth] = 0;
#ifdef NESTING
		/* Those below on this stack wait still, for calls of the same sender. */
		k = 0;
		do
		:: k == depth -> REMOVE(waiters[me], me); break
		:: k < depth && wait_x[k] != NONE -> break
		:: k < depth && wait_x[k] == NONE -> k++
		od;
		k = 0;
#endif
unstack:	x = stack_x[depth];
		stack_x[depth] = 0; generation = 0; mine = 0
	};

finish:	atomic {	/* the function returns; xc_slot_finish */
		end_job(now, me);
		now = 0;
		REMOVE(slot[x].unfinished, me);
		if
		:: slot[x].unfinished != 0 -> x = 0; goto look
		:: else
		fi
	};
	retire();
	goto look
}

/* xc_thread_sleep */
inline wait_for(x, g, j, self)
{
	do
	:: atomic { OVER(x, g) -> assert(COMPLETE(j)); break }
	:: atomic { !OVER(x, g) -> slot[x].waited = true };
	   atomic {	/* xc_thread_sleep_until */
		if
		:: OVER(x, g) -> assert(COMPLETE(j)); break
		:: else
		fi;
#ifdef LOST_WAKE
	   };
	   atomic {
#endif
		ADD(over_sleepers[SENDER(x)], self)
	   };
	   !HAS(over_sleepers[SENDER(x)], self)
	od
}

proctype caller(byte me)
{
	byte round, set, what, x, k, t, generation, mine;

	do
	:: round == ROUNDS -> break
	:: else ->
		atomic {
#if defined(RING)
			set = ONLINE; what = CALLS_ON;
#elif defined(CALLING)
			any_cpu(); set = BIT(t); t = 0; what = CALLS_ON;
#elif defined(BARRIERS)
			if
			:: me == 0 -> set = BIT(1); what = BARRIER
			:: me != 0 -> set = ONLINE
			:: me != 0 -> any_cpu(); set = BIT(t); t = 0
			fi;
#else
			if
#ifndef UNICASTS
			:: set = ONLINE
#endif
			:: any_cpu(); set = BIT(t); t = 0
			fi;
#endif
#ifdef MIXED
			if
			:: what = PLAIN
			:: what = POSTS_ON
			:: what = CALLS_ON
			fi;
#endif
#ifndef OFFLINE
			if
			:: (set & ONLINE) == 0 -> goto next	/* EHOSTDOWN */
			:: else
			fi
#endif
		};
		do
		:: atomic {
			post(HOME(me), set, what);
			if
			:: x != NONE ->
				what = 0;
#ifdef WATCHER
				if
				:: me == 0 ->
					handed_slot = x; handed_generation = generation;
					handed_job = mine; handed = true
				:: else
				fi;
#endif
				break
			:: else -> x = 0
			fi
		   };
		   /* xc_thread_sleep_slot */
#ifndef WANTED_LATE
		   wanted[HOME(me)]++;
#endif
		   atomic {
			if
			:: credit[HOME(me)] == 0 -> ADD(freed_sleepers[HOME(me)], me)
			:: else
			fi
		   };
#ifdef WANTED_LATE
		   wanted[HOME(me)]++;
#endif
		   !HAS(freed_sleepers[HOME(me)], me);
		   wanted[HOME(me)]--
		od;
		tell(HOME(me), set);
		if
		:: goto next				/* nobody waits for it */
		:: wait_for(x, generation, mine, me)
		fi;
next:
		atomic { set = 0; what = 0; x = 0; generation = 0; mine = 0; round++ }
	od;
	callers_done++
}

#ifdef WATCHER
/* A second thread that waits for the same ticket, early or late. */
proctype watcher()
{
	byte x, generation, mine;

end:	atomic { handed -> x = handed_slot; generation = handed_generation; mine = handed_job };
	wait_for(x, generation, mine, CALLERS)
}
#endif

init
{
	byte k;

	atomic {
		for (k : 0 .. CPUS - 1) {
			credit[k] = SLOTS;
			if
			:: HAS(ONLINE, k) -> run handler(k); run server(k)
			:: else
			fi
		}
		for (k : 0 .. CALLERS - 1) { run caller(k) }
#ifdef WATCHER
		run watcher()
#endif
	}
}

#ifdef LIVENESS
ltl all_end { <> (callers_done == CALLERS) }
#endif

/* When nothing moves any more, every call has run everywhere, its slot is free, and nobody sleeps but idle servers. */
active proctype judge()
{
	byte c;

	timeout;
	all_complete();
	for (c : 0 .. CPUS - 1) {
		assert(credit[c] == SLOTS && over_sleepers[c] == 0 && freed_sleepers[c] == 0 && waiters[c] == 0)
	};
	assert(callers_done == CALLERS)
}
