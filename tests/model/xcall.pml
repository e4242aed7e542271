/*
 * The low-priority cross call of xcall/ as it is built: sender-owned slots, an inbox a CPU that holds the set
 * of senders, one thread xcall/N a CPU (`server`), completion by the slot's generation.
 *
 * A critical section is one step (`atomic`), because all that it touches is guarded by its mutex; what runs
 * between two sections is between two steps.  README.md says which function each part stands for, and what is
 * left out.  Every -D below the settings restores a defect, and the model then fails.
 *
 * Settings: CPUS; ONLINE, the set of those that run; CALLERS, each on CPU HOME(i), posting ROUNDS calls, a unicast to
 * any CPU or a broadcast; SLOTS a CPU; DEPTH of nested serving.  What the functions do: nothing; MIXED: post in turn, or
 * not; CALLING: unicasts only, whose functions call the next CPU and wait; RING: broadcasts of such; BARRIERS: CPU 1
 * runs barriers.  WATCHER: a thread more that waits for a caller's ticket.
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

typedef slot_t {
	byte generation;	/* of the call that is live, or will be next */
	bool live;
	byte job;		/* the words of the call: function and arguments */
	byte todo;		/* targets that have not begun */
	byte unfinished;	/* how many have not returned */
	byte sleepers;		/* callers asleep on s_over */
	byte servers;		/* xcall/N that wait for it */
};
slot_t slot[CPUS * SLOTS];
#define SLOT(cpu, k) ((cpu) * SLOTS + (k))
#define SENDER(x) ((x) / SLOTS)

byte senders[CPUS];		/* inbox: who may have something for this CPU */
bool server_sleeps[CPUS];
byte freed_sleepers[CPUS];	/* callers asleep on x_freed */
#ifdef BARRIERS
bool server_wants[CPUS];	/* so does its server */
#endif

#ifdef SHARED_DONE
byte posted, done;
#define TICKET posted
#define OVER(x, ticket) (done >= ticket)
#else
#define TICKET slot[x].generation
#ifdef NO_GENERATION
#define OVER(x, ticket) (!slot[x].live)
#else
#define OVER(x, ticket) (slot[x].generation != ticket)
#endif
#endif

#include "truth.pml"

#ifdef WATCHER
bool handed;			/* caller 0's latest ticket */
byte handed_slot, handed_ticket, handed_job;
#endif

/* The oldest live call of sender `from` that has CPU `me` to do: x, or NONE; `more` when it is not the only. */
inline oldest(from, me)
{
	x = NONE;
	more = false;
	k = 0;
	do
	:: k == SLOTS -> break
	:: else ->
		if
		:: HAS(slot[SLOT(from, k)].todo, me) ->
			more = (x != NONE);
			if
#ifdef NEWEST_FIRST
			:: x == NONE || slot[SLOT(from, k)].job > slot[x].job -> x = SLOT(from, k)
#else
			:: x == NONE || slot[SLOT(from, k)].job < slot[x].job -> x = SLOT(from, k)
#endif
			:: else
			fi
		:: else
		fi;
		k++
	od;
	k = 0
}

/* xc_slot_take: a free slot of CPU `from` for a call to `set`, filled; x, or NONE. */
inline fill(from, set, what)
{
	x = NONE;
	k = 0;
	do
	:: k == SLOTS -> break
	:: k < SLOTS && !slot[SLOT(from, k)].live -> x = SLOT(from, k); break
	:: k < SLOTS && slot[SLOT(from, k)].live -> k++
	od;
	k = 0;
	if
	:: x != NONE ->
		mine = jobs;
		jobs++;
		job[mine].kind = what;
		job[mine].want = set;
		job[mine].sender = from;
		slot[x].live = true;
		slot[x].job = mine;
		slot[x].todo = set;
#ifdef DROP_SELF
		if
		:: set == ONLINE -> REMOVE(slot[x].todo, from)
		:: else
		fi;
#endif
		do
		:: k == CPUS -> break
		:: else -> slot[x].unfinished = slot[x].unfinished + HAS(slot[x].todo, k); k++
		od;
		k = 0;
#ifdef SHARED_DONE
		posted = posted + slot[x].unfinished;
#endif
		ticket = TICKET
	:: else
	fi
}

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

/* The call in slot x is over: its generation passes, and whoever waits for it is woken. */
inline end_call()
{
	slot[x].generation++;
#ifdef WAKE_ONE
	slot[x].sleepers = slot[x].sleepers & (slot[x].sleepers - 1);
#else
	slot[x].sleepers = 0;
#endif
	wake = slot[x].servers;
	slot[x].servers = 0
}

inline free_slot()
{
	slot[x].live = false;
#ifndef NO_FREED_SIGNAL
	freed_sleepers[SENDER(x)] = freed_sleepers[SENDER(x)] & (freed_sleepers[SENDER(x)] - 1);
#if defined(BARRIERS) && !defined(NO_WANTS)
	if
	:: server_wants[SENDER(x)] -> ADD(wake, SENDER(x))
	:: else
	fi
#endif
#endif
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
	byte from, x, k, t, ticket, mine, now, wake, next;
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
	atomic {	/* xc_slot_begin */
		oldest(from, me);
		if
		:: x != NONE ->
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
#ifndef SCAN_THEN_CLEAR
		if
		:: x == NONE -> x = 0; from = 0; goto look
		:: x != NONE && !more -> goto begin
		:: else
		fi
#endif
	};
#ifdef SCAN_THEN_CLEAR
	atomic {
		REMOVE(senders[me], from);
		if
		:: x == NONE -> x = 0; from = 0; goto look
		:: x != NONE && !more -> goto begin
		:: else
		fi
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
		fill(me, next, PLAIN);
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

finish:	atomic {	/* the function returns; xc_slot_finish, xc_slot_retire */
		end_job(now, me);
		now = 0;
		slot[x].unfinished--;
#ifdef SHARED_DONE
		done++;
#endif
		if
		:: slot[x].unfinished == 0 ->
#ifndef EARLY
			end_call();
#endif
#ifndef REUSE_EARLY
			free_slot();
#endif
		:: else
		fi;
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
		!OVER(x, ticket) ->
		ADD(slot[x].sleepers, self);
		assert(!COMPLETE(j))
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
		:: atomic {	/* xc_pool_take, xc_pool_publish */
			fill(HOME(me), set, what);
			if
			:: x != NONE ->
				what = 0;
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
		notify(HOME(me), set);
		if
		:: goto next				/* nobody waits for it */
		:: wait_for(x, ticket, mine, me)
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
