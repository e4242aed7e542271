/*
 * The slots of xcall.pml, which is xc_pool.c: how a call is posted, found by its target without a lock, and ended.
 *
 * A search is a step for the snapshot, one for each slot that is live in it, and one for the claim (xcall.pml).
 * With FINE each load of a look and each stage of a post is a step of its own; a post then holds the pool lock
 * (`locked`) from the first to the last.  Without, a post is one step and so is a look: a slot tells nothing before it
 * is live, and what is newer than the snapshot is passed over.
 */
typedef slot_t {
	byte generation;	/* of the call that is live, or will be next */
	bool live;		/* both are s_state */
	byte order;		/* place among the posts of its sender */
	byte job;		/* the words of the call: function and arguments */
	byte todo;		/* targets that have not begun */
	byte unfinished;	/* how many have not returned */
	byte sleepers;		/* callers asleep on s_over */
	byte servers;		/* xcall/N that wait for it */
};
slot_t slot[CPUS * SLOTS];
#define SLOT(cpu, k) ((cpu) * SLOTS + (k))
#define SENDER(x) ((x) / SLOTS)

#ifdef FINE
#ifdef NESTING
#error the posts of xcall/N are one step
#endif
bool locked[CPUS];
#define UNLOCKED(cpu) (!locked[cpu])
#else
#define UNLOCKED(cpu) true
#endif

#ifdef SHARED_DONE
byte due, done;
#define TICKET due
#define OVER(x, ticket) (done >= ticket)
#else
#define TICKET slot[x].generation
#ifdef NO_GENERATION
#define OVER(x, ticket) (!slot[x].live)
#else
#define OVER(x, ticket) (slot[x].generation != ticket)
#endif
#endif

/* xc_pool_take, xc_slot_target: any free slot of CPU `from` for a call to `set`; x, or NONE. */
inline make(from, set, what)
{
	x = NONE;
	k = 0;
	do
	:: k == SLOTS -> break
	:: k < SLOTS && !slot[SLOT(from, k)].live -> x = SLOT(from, k); k++
	:: k < SLOTS && (slot[SLOT(from, k)].live || x != NONE) -> k++
	od;
	k = 0;
	if
	:: x != NONE ->
#ifdef FINE
		locked[from] = true;
#endif
		mine = jobs;
		jobs++;
		job[mine].kind = what;
		job[mine].sender = from;
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
		k = 0
	:: else
	fi
}

/* xc_pool_publish: what make() has made is a call from here on. */
inline publish(from, set)
{
	d_step { slot[x].order = posted[from] + 1; slot[x].live = true };
	ADD(live[from], x % SLOTS);
	d_step {
		posted[from] = slot[x].order;
#ifdef SHARED_DONE
		due = due + slot[x].unfinished;
#endif
		ticket = TICKET;
		job[mine].want = set;
#ifdef FINE
		locked[from] = false
#endif
	}
}

/* xc_slot_begin, up to its claim: the oldest of the calls of sender `from`, up to the latest when the search began,
 * that CPU `me` has to do: x, or NONE; `more` when it is not the only one. */
#ifdef NO_SNAPSHOT
#define NEWER(x) false
#else
#define NEWER(x) (slot[x].order > latest)
#endif
#ifdef NEWEST_FIRST
#define BEFORE(x, y) (slot[x].order > slot[y].order)
#else
#define BEFORE(x, y) (slot[x].order < slot[y].order)
#endif

inline search(from, me)
{
#ifdef FINE
#ifdef LIVE_FIRST
	looks = live[from];
	latest = posted[from];
#else
	latest = posted[from];
	looks = live[from];
#endif
	atomic {
#else
	atomic {
		latest = posted[from];
		looks = live[from];
#endif
		x = NONE;
		if
		:: looks == 0 -> latest = 0; goto claim
		:: else
		fi
	};
	do
	:: atomic {
		do
		:: HAS(looks, k) -> break
		:: else -> k++
		od;
		REMOVE(looks, k);
#ifdef FINE
		seen = slot[SLOT(from, k)].generation;
		if
		:: !slot[SLOT(from, k)].live -> goto next_look
		:: else
		fi
	   };
	   atomic {
		if
		:: !HAS(slot[SLOT(from, k)].todo, me) -> goto next_look
		:: else
		fi
	   };
#ifndef TORN_LOOK
	   atomic {
		if
		:: !slot[SLOT(from, k)].live || slot[SLOT(from, k)].generation != seen -> goto next_look
		:: else
		fi
	   };
#endif
	   atomic {
		if
		:: !NEWER(SLOT(from, k)) ->
#else
		if
		:: slot[SLOT(from, k)].live && HAS(slot[SLOT(from, k)].todo, me) && !NEWER(SLOT(from, k)) ->
#endif
			more = (x != NONE);
			if
			:: x == NONE -> x = SLOT(from, k)
			:: x != NONE && BEFORE(SLOT(from, k), x) -> x = SLOT(from, k)
			:: else
			fi
		:: else
		fi;
next_look:	seen = 0;
		k = 0;
		if
		:: looks == 0 -> latest = 0; break
		:: else
		fi
	   }
	od
}

/* The call in slot x is over: its generation passes, and whoever waits for it is woken. */
inline end_call()
{
	k = slot[x].job;
	forget(k);
	if
	:: ENDED(k) ->	/* what nobody will read again must not tell states apart */
		slot[x].job = 0;
#ifndef FINE
		slot[x].order = 0
#endif
	:: else
	fi;
	k = 0;
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
	REMOVE(live[SENDER(x)], x % SLOTS);
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
