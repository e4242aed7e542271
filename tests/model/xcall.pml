/*
 * The low-priority cross call of xcall/ as it is built: sender-owned slots, an inbox a CPU that holds the set
 * of senders, one thread xcall/N a CPU (`server`), completion by the slot's generation.
 *
 * A critical section is one step (`atomic`), because all that it touches is guarded by its mutex; what runs
 * between two sections is between two steps.  A target searches its calls, and counts itself out, without a lock:
 * there every access that others can come between is a step (pool.pml).  README.md says which function each part
 * stands for, and what is left out.  Every -D below the settings restores a defect, and the model then fails.
 *
 * Settings: CPUS; ONLINE, the set of those that run; CALLERS, each on CPU HOME(i), posting ROUNDS calls, a unicast
 * to any CPU or a broadcast; SLOTS a CPU; DEPTH of nested serving.  What the functions do: nothing; MIXED: post in
 * turn, or not; CALLING: unicasts only, whose functions call the next CPU and wait; RING: broadcasts of such;
 * BARRIERS: CPU 1 runs barriers.  WATCHER: a thread more that waits for a caller's ticket.  POST_ONLY: callers do not
 * wait; ONE_WAY: unicasts go to CPU 1, broadcasts are caller 1's.  FINE: see pool.pml; AT_ONCE: a search is one step.
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
#define NONE 255
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) & BIT(i)) != 0)
#define ADD(set, i) set = set | BIT(i)
#define REMOVE(set, i) set = set & (255 - BIT(i))

/* What a function does: nothing; posts a call to the next CPU; posts it and waits; posts one to all CPUs, if need
 * be after waiting for a free slot, and waits. */
#define PLAIN 0
#define POSTS_ON 1
#define CALLS_ON 2
#define BARRIER 3

byte posted[CPUS];		/* pool: the order of the latest call */
byte live[CPUS];		/* which of its slots are */
byte senders[CPUS];		/* inbox: who may have something for this CPU */
bool server_sleeps[CPUS];
byte freed_sleepers[CPUS];	/* callers asleep on x_freed */
#ifdef BARRIERS
bool server_wants[CPUS];	/* so does its server */
#endif

#include "truth.pml"
#include "pool.pml"

#ifdef WATCHER
bool handed;			/* caller 0's latest ticket */
byte handed_slot, handed_ticket, handed_job;
#endif

/* xc_thread_notify for each target: puts `from` into its inbox, and wakes its server when that was empty. */
inline notify(from, set)
{
	do
	:: atomic {
		do
		:: HAS(set, t) -> break
		:: else -> t++
		od;
		REMOVE(set, t);
#ifdef WAKE_FIRST
		if
		:: senders[t] == 0 -> server_sleeps[t] = false
		:: else
		fi
	   };
	   atomic {
		ADD(senders[t], from);
#else
		if
		:: senders[t] == 0 -> server_sleeps[t] = false
		:: else
		fi;
		ADD(senders[t], from);
#endif
		t = 0;
		if
		:: set == 0 -> break
		:: else
		fi
	   }
	od
}

/* cv_signal on the inbox of every server in `wake`. */
inline wake_servers()
{
	do
	:: t == CPUS -> break
#ifdef NO_SERVER_WAKE
	:: t < CPUS -> t++
#else
	:: t < CPUS && HAS(wake, t) -> server_sleeps[t] = false; t++
	:: t < CPUS && !HAS(wake, t) -> t++
#endif
	od;
	t = 0;
	wake = 0
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

/* What the function on top of the stack waits for is there: the end of its call, or a free slot. */
#ifdef BARRIERS
inline look_at_wait()
{
	if
	:: depth > 0 && wait_x[depth - 1] != NONE && OVER(wait_x[depth - 1], wait_ticket[depth - 1]) ->
		goto resume
	:: depth > 0 && wait_x[depth - 1] == NONE ->
		do
		:: k < SLOTS && slot[SLOT(me, k)].live -> k++
		:: k < SLOTS && !slot[SLOT(me, k)].live -> k = 0; goto resume_slot
		:: k == SLOTS -> k = 0; break
		od
	:: else
	fi
}
#else
inline look_at_wait()
{
	if
	:: depth > 0 && OVER(wait_x[depth - 1], wait_ticket[depth - 1]) -> goto resume
	:: else
	fi
}
#endif

#ifdef NO_NESTED_SERVE
#define MAY_SERVE (depth == 0)
#else
#define MAY_SERVE (depth < DEPTH)
#endif

proctype server(byte me)
{
	byte depth;				/* functions on the stack that wait */
	byte stack_x[DEPTH], stack_job[DEPTH];	/* what they are */
	byte wait_x[DEPTH], wait_ticket[DEPTH], wait_job[DEPTH];	/* what they wait for */
	byte from, x, k, t, ticket, mine, now, wake, next, latest, looks, seen;
	bool more;
#ifdef BARRIERS
	bool wanted[DEPTH];
#endif

look:	atomic {	/* xc_thread_serve_until */
		look_at_wait();
		if
		:: senders[me] != 0 && MAY_SERVE -> goto take
		:: else
		fi;
#ifdef LOST_CALL
	};
	atomic {
#endif
		server_sleeps[me] = true;
		if
		:: depth > 0 -> goto nested_sleep
		:: else -> goto end_idle
		fi
	};
nested_sleep:
	atomic { !server_sleeps[me] -> goto look };
end_idle:
	atomic { !server_sleeps[me] -> goto look };

take:	atomic {	/* xc_inbox_take: any sender, which is more than taking turns */
		do
		:: HAS(senders[me], from) -> break
		:: from < CPUS - 1 && senders[me] >= BIT(from + 1) -> from++
		od;
#ifndef SCAN_THEN_CLEAR
		REMOVE(senders[me], from)
#endif
	};
#ifdef AT_ONCE
	atomic {
#endif
	search(from, me);		/* xc_slot_begin */
claim:	atomic {
		if
		:: x != NONE ->
			assert(HAS(job[slot[x].job].want, me));
			REMOVE(slot[x].todo, me);
#ifdef EARLY
			if
			:: slot[x].todo == 0 -> end_call(); wake_servers()
			:: else
			fi;
#endif
#ifdef REUSE_EARLY
			if
			:: slot[x].todo == 0 -> free_slot()
			:: else
			fi;
#endif
		:: else
		fi;
#ifdef SCAN_THEN_CLEAR
	};
	atomic {
		REMOVE(senders[me], from);
#endif
		if
		:: x == NONE -> x = 0; from = 0; goto look
		:: x != NONE && !more -> goto begin
		:: else
		fi
	};
#ifdef AT_ONCE
	};
#endif
	atomic {
		more = false;
#ifndef ONE_A_BIT
		ADD(senders[me], from)
#endif
	};

begin:	atomic {	/* the words of the call are read; the function begins */
		from = 0;
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
	};
post:	atomic {
		next = (job[now].kind == BARRIER -> ONLINE : BIT((me + 1) % CPUS));
		make(me, next, PLAIN);
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
		fi;
		publish(me, next)
#endif
	};
#ifdef NESTING
	notify(me, next);
	atomic {	/* xc_thread_wait */
		if
		:: job[now].kind == POSTS_ON -> goto unstack
		:: else
		fi;
		if
		:: OVER(x, ticket) -> assert(COMPLETE(mine)); goto unstack
		:: else
		fi;
		ADD(slot[x].servers, me);
		wait_x[depth] = x;
		wait_ticket[depth] = ticket;
		wait_job[depth] = mine;
		stack_job[depth] = now;
		depth++;
		x = 0; ticket = 0; mine = 0; now = 0;
		goto look
	};
#endif
#ifdef BARRIERS
wait_slot:
	atomic {	/* xc_thread_wait_slot */
		wanted[depth] = server_wants[me];
		server_wants[me] = true;
		wait_x[depth] = NONE;
		stack_job[depth] = now;
		depth++;
		x = 0; now = 0;
		goto look
	};
resume_slot:
	atomic {
		depth--;
		server_wants[me] = wanted[depth];
		now = stack_job[depth];
		wanted[depth] = 0; wait_x[depth] = 0; stack_job[depth] = 0;
		goto post
	};
#endif

resume:	atomic {
		depth--;
		assert(COMPLETE(wait_job[depth]));
		now = stack_job[depth];
		wait_x[depth] = 0; wait_ticket[depth] = 0; wait_job[depth] = 0; stack_job[depth] = 0;
unstack:	x = stack_x[depth];
		stack_x[depth] = 0; ticket = 0; mine = 0
	};

finish:	atomic {	/* the function returns; xc_slot_finish */
		end_job(now, me);
		now = 0;
		slot[x].unfinished--;
#ifdef SHARED_DONE
		done++;
#endif
#ifdef COUNT_APART
	};
	atomic {
#endif
		if
		:: slot[x].unfinished != 0 -> x = 0; goto look
		:: else
		fi
	};
	atomic {	/* xc_slot_retire */
		UNLOCKED(SENDER(x)) ->
#ifndef EARLY
		end_call();
#endif
#ifndef REUSE_EARLY
		free_slot();
#endif
		x = 0;
		if
		:: wake == 0 -> goto look
		:: else
		fi
	};
	atomic { wake_servers(); goto look }
}

/* xc_wait in a thread: sleeps on s_over until the generation has passed. */
inline wait_for(x, ticket, j, self)
{
	do
	:: atomic {
		OVER(x, ticket) -> break
	   }
#ifdef LOST_WAKE
	:: !OVER(x, ticket) ->
		atomic { ADD(slot[x].sleepers, self) };
#else
	:: atomic {
		!OVER(x, ticket) && UNLOCKED(SENDER(x)) ->
		ADD(slot[x].sleepers, self);
		assert(!ENDED(j))
	   };
#endif
	   !HAS(slot[x].sleepers, self)
	od;
	assert(COMPLETE(j))
}

proctype caller(byte me)
{
	byte round, set, what, x, k, t, ticket, mine;

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
#elif defined(ONE_WAY)
			if
			:: me != 0 -> set = ONLINE
			:: set = BIT(1)
			fi;
#else
			if
			:: set = ONLINE
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
			fi;
#endif
		};
		do
		:: atomic {	/* xc_unicast, xc_broadcast */
			UNLOCKED(HOME(me)) ->
			make(HOME(me), set, what);
			if
			:: x != NONE ->
				what = 0;
#ifndef FINE
				publish(HOME(me), set);
#endif
#ifdef WATCHER
				if
				:: me == 0 ->
					handed_slot = x; handed_ticket = ticket;
					handed_job = mine; handed = true
				:: else
				fi;
#endif
				break
			:: else -> x = 0; ADD(freed_sleepers[HOME(me)], me)
			fi
		   };
		   !HAS(freed_sleepers[HOME(me)], me)
		od;
#ifdef FINE
		publish(HOME(me), set);
#endif
		notify(HOME(me), set);
		if
		:: goto next				/* nobody waits for it */
#ifndef POST_ONLY
		:: wait_for(x, ticket, mine, me)
#endif
		fi;
next:
		atomic { set = 0; what = 0; x = 0; ticket = 0; mine = 0; round++ }
	od;
	callers_done++
}

#ifdef WATCHER
/* A second thread that waits for the same ticket, early or late. */
proctype watcher()
{
	byte x, ticket, mine;

end:	atomic { handed -> x = handed_slot; ticket = handed_ticket; mine = handed_job };
	wait_for(x, ticket, mine, CALLERS)
}
#endif

init
{
	byte k;

	atomic {
		for (k : 0 .. CPUS - 1) {
			if
			:: HAS(ONLINE, k) -> run server(k)
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
