/*
 * The direct slot of one target, and what goes the long way to it: slots and descriptors of the hard level.
 *
 * Models xc_direct.c, all of it; xc_inbox_next, xc_inbox_begin_call, xc_inbox_begin_slot, xc_inbox_push and what they call
 * (xc_inbox.c); xc_intr_notify_hard, xc_intr_notify, xc_intr_handler, xc_intr_serve, xc_intr_inline, xc_intr_poll
 * (xc_intr.c); xc_slot_retire and xc_slot_withdraw of the direct slot (xc_slot.c); xc_post_one (xcall.c); xc_call_publish,
 * xc_descriptor_begin, xc_call_cancel (xc_call.c); xc_wait_look (xc_wait.c); the section of a post, xc_cpu_dying (xc_cpu.c).
 * Leaves out: the turns of xc_inbox_next, for which any choice stands here; the life of other slots, each post having one of
 * its own (slot.pml); room (thread.pml); other levels, the other bits of x_notify (inbox.pml); how a CPU answers a barrier
 * (offline.pml); tags and generations that run out; the direct slots of other targets, with which this one shares nothing.
 *
 * The target is the last CPU, so that a group word is a tag and one bit.  CALLERS threads, on a CPU each or (SAME_CPU) on
 * one, make ROUNDS posts: by xc_unicast, which is direct if it can be; by slot, as to a set of CPUs; by descriptor.  They
 * let the call go, wait for it, or (CANCEL) withdraw it.  SELF, at most POSTS: posts of the target to itself, with interrupts
 * on or off.  NESTED: functions may poll, so many on top of each other.  SPURIOUS: the callers' CPUs stand in the set of
 * senders from the beginning, as after calls that were withdrawn.  LEAVE: the target leaves.
 *
 * A job's place among those of its sender is its order, so that x_posted is the number of posts of the CPU.
 */
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef SELF
#define SELF 0
#endif
#ifndef NESTED
#define NESTED 0
#endif
#ifdef SAME_CPU
#define CPUS 2
#define POSTS (CALLERS * ROUNDS)	/* of a CPU */
#define CPU_OF(caller) 0
#else
#define CPUS (CALLERS + 1)
#define POSTS ROUNDS
#define CPU_OF(caller) (caller)
#endif
#define TARGET (CPUS - 1)
#define JOBS (TARGET * POSTS + SELF)
#include "truth.pml"

#define SENDER(j) ((j) / POSTS)
#define ORDER(j) ((j) % POSTS + 1)
#define NEXT(cpu) ((cpu) * POSTS + posted[cpu])
#define ANY CPUS

#define HARD 0
#define DIRECT 1
#define UNICAST 1
#define BY_SLOT 2
#define BY_CALL 3

/* The direct slot: x_direct; s_state, read and written as one word; the group word, likewise; what else the post writes. */
typedef direct_t {
	bool taken;
	byte generation;
	bool live, cancelled;
	byte tag;
	bool todo;
	byte from, job;
};
direct_t direct;

/* Posts by slot and by descriptor.  x_live is which of the former are live. */
typedef call_t {
	bool live, todo, descriptor;
};
call_t call[JOBS];
byte posted[CPUS];		/* x_posted */
byte senders;			/* i_senders */
/* Descriptors in order of their pushes; the first `taken` are in the target's own list. */
byte queue[JOBS], pushed, taken;
byte counted, begun;		/* i_posted, i_begun */
byte notify;			/* x_notify: bit HARD, bit DIRECT */
bool irr;
bool off[CPUS];			/* a thread of the CPU has interrupts off */
bool gone;			/* from the set of targets */

/* A job of that CPU, in a post. */
inline new_job(cpu)
{
	mine = NEXT(cpu);
	job[mine].sender = cpu;
	job[mine].want = BIT(TARGET)
}

inline new_call(cpu, by_descriptor)
{
	new_job(cpu);
	call[mine].live = true;
	call[mine].todo = true;
	call[mine].descriptor = by_descriptor
}

/* xc_slot_publish and xc_inbox_add_sender, or xc_call_publish; the notification is the caller's. */
inline publish(cpu, by_descriptor)
{
	if
	:: atomic { !(by_descriptor) -> new_call(cpu, false) };
		posted[cpu]++;
		ADD(senders, cpu)
	:: atomic { by_descriptor -> counted++; new_call(cpu, true) };
		atomic { queue[pushed] = mine; pushed++ };
		posted[cpu]++
	fi
}

/* xc_intr_notify, xc_intr_notify_hard */
inline tell(what)
{
	irr = irr || (notify == 0);
	ADD(notify, what)
}

/* xc_direct_first but for the look at i_begun: no call by slot is live, all descriptors have begun. */
inline look_first(cpu)
{
	first = (counted == seen);
#ifdef NO_DESCRIPTOR_LOOK
	first = true;
#endif
#ifndef NO_LIVE_LOOK
	for (k : (cpu) * POSTS .. (cpu) * POSTS + POSTS - 1) {
		first = first && (k >= JOBS || !call[k].live || call[k].descriptor)
	}
	k = 0;
#endif
	seen = 0
}

inline free_direct()
{
	assert(direct.taken);
	direct.taken = false
}

/* The end of xc_direct_serve; xc_slot_retire. */
inline end_direct(withdrawn)
{
	atomic {
		assert(direct.live);
#ifdef FREE_BEFORE_OVER
		seen = direct.generation;
		free_direct()
	};
	atomic {
		direct.generation = seen;
		seen = 0;
#endif
		direct.live = false;
		direct.cancelled = withdrawn;
		k = direct.job;
		forget(k);
		k = 0
	};
#ifdef CANCEL_KEEPS_TAKEN
	if
	:: withdrawn
	:: else -> free_direct()
	fi
#elif !defined(FREE_BEFORE_OVER)
	atomic { free_direct() }
#endif
}

#define OVER (ticket != 0 -> !direct.live || direct.generation != ticket : !call[mine].live)

/* xc_slot_result: ECANCELED if and only if it was withdrawn, as long as it is known. */
#define CHECK_END assert(COMPLETE(mine) && \
	(ticket == 0 || direct.generation != ticket || direct.cancelled == job[mine].cut))

/* xc_cancel, xc_call_cancel */
inline cancel()
{
	if
	:: atomic { ticket == 0 ->
		if
		:: call[mine].todo ->
			/* A descriptor stays in the inbox, and the sender in the set. */
			call[mine].todo = false;
			call[mine].live = false;
			withdraw_job(mine, BIT(TARGET));
			forget(mine)
		:: else
		fi }
	:: atomic { ticket != 0 && !off[cpu] -> off[cpu] = true };
		if
		:: OVER
		:: else ->
			atomic {	/* xc_group_withdraw */
				if
				:: direct.todo && direct.tag == ticket ->
					direct.todo = false;
					withdraw_job(mine, BIT(TARGET));
					first = true
				:: else
				fi
			};
			if
			:: atomic { first -> first = false }; end_direct(true)
			:: else
			fi
		fi;
		off[cpu] = false
	fi
}

proctype poster(byte me; byte cpu)
{
	byte round, mine, kind, ticket, seen, k;
	bool first;

	do
	:: round == ROUNDS -> break
	:: else ->
		atomic {
			!off[cpu] ->
			off[cpu] = true;
			if
			:: kind = UNICAST
			:: kind = BY_SLOT
			:: kind = BY_CALL
			fi
		};
#ifdef LEAVE
		if
		:: gone -> off[cpu] = false; goto done
		:: else
		fi;
#endif
		if
		:: kind != UNICAST -> goto long_way
		:: else -> seen = begun
		fi;
		atomic {	/* xc_direct_take */
			look_first(cpu);
			if
			:: first && !direct.taken -> first = false
			:: else -> first = false; off[cpu] = false; goto apart
			fi;
#ifdef TAKEN_NOT_ATOMIC
		};
		atomic {
#endif
			direct.taken = true
		};
#ifdef NOTIFY_FIRST
		tell(DIRECT);
#endif
		atomic {	/* xc_direct_fill */
			new_job(cpu);
			direct.job = mine;
			direct.from = cpu
		};
		atomic { direct.tag = direct.generation + 1; direct.todo = true };
		atomic {
			assert(!direct.live);
			direct.generation++;
			direct.live = true;
			direct.cancelled = false;
			ticket = direct.generation
		};
		posted[cpu]++;
		goto tell_it;

apart:		/* xc_unicast_slot: a section of its own */
		atomic { !off[cpu] -> off[cpu] = true };
#ifdef LEAVE
		if
		:: gone -> off[cpu] = false; goto done
		:: else
		fi;
#endif
long_way:	publish(cpu, kind == BY_CALL);
tell_it:	atomic {
			if
			:: ticket == 0 -> tell(HARD)
#ifdef NOTIFY_FIRST
			:: else
#else
			:: else -> tell(DIRECT)
#endif
			fi;
			off[cpu] = false;
			kind = 0
		};
		if
		:: skip
#ifndef POST_ONLY
		:: atomic { OVER -> CHECK_END }
#endif
#ifdef CANCEL
		:: cancel(); atomic { OVER -> CHECK_END }
#endif
		fi;
done:		atomic { mine = 0; kind = 0; ticket = 0; round++ }
	od
}

/* xc_direct_claim, of the call of generation `state` */
#ifdef CLAIM_WITHOUT_TAG
#define CLAIMABLE direct.todo
#elif defined(CLAIM_BY_STATE)
#define CLAIMABLE (direct.live && direct.generation == state)
#else
#define CLAIMABLE (direct.todo && direct.tag == state)
#endif

/* xc_direct_next, of that sender or of any: claimed or not. */
inline direct_next(who)
{
	state = (direct.live -> direct.generation : 0);
	if
	:: state != 0 && (who == ANY || direct.from == who) ->
		atomic {
			if
			:: CLAIMABLE ->
				direct.todo = false;
				now = direct.job;
				found = true;
				begin_job(now, TARGET)
			:: else
			fi;
			state = 0
		}
	:: else -> state = 0
	fi
}

/* xc_slot_find, as one step: the sender's oldest call by slot of the first `bound` posts. */
inline find(sender, bound)
{
	j = NONE;
	for (k : (sender) * POSTS .. (sender) * POSTS + (bound) - 1) {
		more = more || (j != NONE && call[k].todo && !call[k].descriptor);
		j = (j == NONE && call[k].todo && !call[k].descriptor -> k : j)
	}
	k = 0
}

#define DIRECT_ONLY (bits == BIT(DIRECT) && depth == 0)

proctype target()
{
	byte bits;			/* what was taken out of the word */
	byte depth, stack[NESTED + 1];	/* functions that poll */
	byte now, state, latest, s, j, k, seen, mine;
	byte selves, kind;		/* posts to itself */
	byte leaving, others;
	bool found, last, first, older, more;

end:	if
	:: atomic {	/* xc_intr_handler */
		irr ->
		irr = false;
		bits = notify;
		notify = 0;
		if
		:: bits == BIT(DIRECT) -> goto serve
		:: bits == 0 -> goto end
		:: else -> goto drain
		fi }
#if SELF > 0
	:: atomic { selves < SELF ->
		selves++;
		if
		:: kind = UNICAST
		:: kind = BY_SLOT
		:: kind = BY_CALL
		fi;
		if
		:: first = true		/* interrupts are on */
		:: kind != UNICAST
		fi;
		goto post }
#endif
#ifdef LEAVE
	:: atomic { leaving == 0 -> gone = true; leaving = 1;
#ifndef NO_BARRIER
		others = BIT(TARGET) - 1;
#endif
		goto end }
	:: atomic { leaving == 1 && HAS(others, 0) && !off[0] -> REMOVE(others, 0) }; goto end
	:: atomic { leaving == 1 && HAS(others, 1) && !off[1] -> REMOVE(others, 1) }; goto end
	:: atomic { leaving == 1 && others == 0 -> leaving = 2; notify = 0; bits = BIT(HARD) | BIT(DIRECT); goto drain }
#endif
	fi;

#if SELF > 0
post:	/* of a thread of the target */
	if
	:: atomic { kind == UNICAST -> seen = begun };
		atomic {	/* xc_direct_self */
			look_first(TARGET);
#ifdef NO_SELF_LOOK
			first = true;
#endif
			first = first && kind == UNICAST;
			if
			:: first ->
				new_job(TARGET);
				posted[TARGET]++;
				begin_job(mine, TARGET);
				end_job(mine, TARGET);
				forget(mine);
				mine = 0; kind = 0; first = false;
				goto end
			:: else -> first = true
			fi
		}
	:: else
	fi;
	publish(TARGET, kind == BY_CALL);
	atomic {
		mine = 0;
		kind = 0;
		if
		:: first ->		/* xc_intr_inline */
			first = false;
			bits = notify | BIT(HARD);
			notify = 0;
			goto drain
		:: else -> tell(HARD); goto end
		fi
	};
#endif

serve:	/* xc_direct_serve */
	state = (direct.live -> direct.generation : 0);
	if
	:: state == 0 -> goto drained
	:: else -> now = direct.job
	fi;
	atomic {
		if
		:: CLAIMABLE ->
			direct.todo = false;
			state = 0;
			begin_job(now, TARGET);
			goto running
		:: else -> now = 0; state = 0; goto drained
		fi
	};

drain:	/* xc_inbox_next: any choice is more than taking turns */
	taken = pushed;		/* xc_inbox_take_calls */
	if
	:: atomic { taken != 0 -> goto begin_call }
	:: atomic { senders != 0 ->
		do
		:: HAS(senders, s) -> break
		:: s < CPUS - 1 && senders >= BIT(s + 1) -> s++
		od;
		REMOVE(senders, s);
		goto begin_slot }
	:: atomic { last = (taken == 0 && senders == 0) };
		direct_next(ANY);
		if
		:: atomic { found -> found = false; last = false; goto running }
		:: atomic { !found && last -> last = false; goto drained }
		:: atomic { !found && !last -> goto drain }
		fi
	fi;

begin_call:	/* xc_inbox_begin_call */
#ifndef NO_DIRECT_LOOK
	s = SENDER(queue[0]);
	direct_next(s);
	if
	:: atomic { found -> found = false; s = 0; goto running }
	:: else -> s = 0
	fi;
#endif
	atomic {
		find(SENDER(queue[0]), ORDER(queue[0]));
		more = false;
		if
		:: j != NONE -> now = j; j = 0; s = ANY; goto claim
		:: else ->	/* xc_inbox_remove_first */
			j = 0;
			now = queue[0];
			for (k : 1 .. pushed - 1) { queue[k - 1] = queue[k] };
			k = 0;
			taken--;
			pushed--;
			queue[pushed] = 0
		fi;
		/* xc_descriptor_begin */
		if
		:: call[now].todo -> call[now].todo = false; begin_job(now, TARGET)
		:: else -> now = 0; begun++; goto drain
		fi
	};
	atomic { begun++; goto running };

begin_slot:	/* xc_inbox_begin_slot */
#ifdef LOOK_BEFORE_BOUND
	direct_next(s);
	latest = posted[s];
#else
	latest = posted[s];
#ifndef NO_DIRECT_LOOK
	direct_next(s);
#endif
#endif
	if
	:: atomic { found -> found = false; ADD(senders, s); s = 0; latest = 0; goto running }
	:: atomic { !found -> taken = pushed }
	fi;
	atomic {
		find(s, latest);
		latest = 0;
		if
		:: j == NONE -> j = 0; s = 0; goto drain
		:: else
		fi;
		for (k : 0 .. JOBS - 1) {	/* xc_inbox_has_older */
			older = older || (k < taken && SENDER(queue[k]) == s && queue[k] < j)
		};
		k = 0;
		if
		:: older -> older = false; more = false; ADD(senders, s); j = 0; s = 0; goto drain
		:: else -> now = j; j = 0
		fi
	};
claim:	atomic {	/* xc_slot_claim */
		found = call[now].todo;
		if
		:: s != ANY && (more || !found) -> ADD(senders, s)
		:: else
		fi;
		s = 0;
		more = false;
		if
		:: found -> found = false; call[now].todo = false; begin_job(now, TARGET)
		:: else -> now = 0; goto drain
		fi
	};

running:
#if NESTED > 0
	if
	:: atomic { depth < NESTED -> stack[depth] = now; now = 0; depth++; notify = 0; goto drain }	/* xc_intr_poll */
	:: skip
	fi;
finish:
#endif
	if
	:: atomic { call[now].live -> end_job(now, TARGET); call[now].live = false; forget(now); now = 0 }
	:: atomic { !call[now].live -> end_job(now, TARGET); now = 0 };
		end_direct(false)
	fi;
	if
	:: atomic { DIRECT_ONLY -> goto drained }
	:: else -> goto drain
	fi;

drained:
	if
#if NESTED > 0
	:: atomic { depth > 0 -> depth--; now = stack[depth]; stack[depth] = 0; goto finish }
#endif
	:: atomic { depth == 0 -> bits = 0;
		if
		:: leaving == 2 -> goto parked
		:: else -> goto end
		fi }
	fi;

parked:	/* Whatever was posted to it has run. */
	assert(pushed == 0 && senders == 0 && !direct.todo);
end_parked:
	false
}

init
{
	byte k;

	atomic {
#ifdef SPURIOUS
		senders = BIT(TARGET) - 1;
#endif
		for (k : 0 .. CALLERS - 1) { run poster(k, CPU_OF(k)) };
		run target()
	}
}

/* When nothing moves any more, every call has run, and the slot is free. */
active proctype judge()
{
	timeout;
	jobs = JOBS;
	all_complete();
	assert(!direct.taken && begun == counted)
}
