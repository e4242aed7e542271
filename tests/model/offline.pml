/*
 * A CPU leaves, and comes back, while others post to it: posted to a target means run there exactly once.
 *
 * Models xc_cpu_dying and xc_cpu_online (xc_cpu.c); the section of a post, xc_post_one (xcall.c); xc_intr_notify,
 * xc_intr_notify_lazy, xc_intr_exit, xc_intr_drain_all (xc_intr.c); xc_event_announce (xc_wait.c); xc_thread_main and
 * xc_thread_wait_idle (xc_thread.c).  Leaves out: soft levels, NMIs, calls to sets, what a CPU's port does between the
 * set and the park (hotplug.c).
 *
 * Each CPU has a thread (`poster` or `leaver`), a handler of interrupts, which waits while a thread has interrupts off,
 * and, as a target, xcall/N (`server`).  Posters 0 to POSTERS - 1 make ROUNDS posts to any CPU in LEAVERS: hard or low ones;
 * LAZY: some leave a mark only, and are announced by their poster, who waits (its CPU stays).  A leaver leaves, parks, and
 * with COME_BACK comes back; one CPU at a time.  LEAVERS: the set of them; those that are posters, too, post until they are
 * parked.
 *
 * A post is one section with interrupts off, in three steps: look at the targets; publish; notify.  How the calls are
 * found and ended is in the other models; here a call in an inbox is a bit.
 */
#ifndef CPUS
#define CPUS 3
#endif
#ifndef POSTERS
#define POSTERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#ifndef LEAVERS
#define LEAVERS 4
#endif
#define ALL ((1 << CPUS) - 1)
#define JOBS (POSTERS * ROUNDS)
#define LEVELS
#include "truth.pml"

#define HARD 0
#define LOW 1
#define BOX(cpu, level) ((cpu) * 2 + (level))

byte targets = ALL;
byte box[CPUS * 2];		/* calls that wait there, a bit a job */
byte notify[CPUS], lazy[CPUS];	/* x_notify, x_lazy: bit HARD, bit LOW */
bool irr[CPUS];
bool off[CPUS];			/* a thread of the CPU has interrupts off */
bool in_intr[CPUS];
bool parked[CPUS];
bool awake[CPUS];		/* xcall/N has been woken */
bool idle[CPUS];		/* x_idle, while the inbox is empty */
byte asked;			/* CPUs where the barrier's call waits */
byte unanswered;		/* CPUs where it has not returned */
bool going;			/* one CPU at a time */
byte gone;			/* how many have left */

#define INTERRUPTS_OFF(cpu) atomic { !off[cpu] && !in_intr[cpu] && !parked[cpu] -> off[cpu] = true }

/* xc_intr_notify */
inline tell(to, l)
{
	atomic {
		if
		:: notify[to] == 0 -> irr[to] = true
		:: else
		fi;
		ADD(notify[to], l)
	}
}

/* Runs what is in an inbox until it is empty. */
inline drain(cpu, l)
{
	do
	:: atomic { box[BOX(cpu, l)] == 0 -> break }
	:: atomic {
		box[BOX(cpu, l)] != 0 ->
		do
		:: HAS(box[BOX(cpu, l)], j) -> break
		:: else -> j++
		od;
		REMOVE(box[BOX(cpu, l)], j);
		assert(!parked[cpu] && job[j].level == l);
		begin_job(j, cpu);
		end_job(j, cpu);
		j = 0
	   }
	od
}

/* xc_intr_serve of what was taken */
inline serve(cpu)
{
	if
	:: HAS(bits, HARD) ->
		if
		:: atomic { HAS(asked, cpu) -> REMOVE(asked, cpu); REMOVE(unanswered, cpu) }
		:: else
		fi;
		drain(cpu, HARD)
	:: else
	fi
}

proctype handler(byte me)
{
	byte bits, j, k;

end:	do
	:: atomic {
		irr[me] && !off[me] && !in_intr[me] && !parked[me] ->
		irr[me] = false;
		in_intr[me] = true;
		bits = notify[me];
		notify[me] = 0
	   };
	   serve(me);
#ifdef LAZY
	   atomic {	/* xc_intr_exit */
		awake[me] = awake[me] || HAS(bits, LOW);
		bits = lazy[me];
		lazy[me] = 0
	   };
	   serve(me);
#endif
	   atomic {
		awake[me] = awake[me] || HAS(bits, LOW);
		bits = 0;
		in_intr[me] = false
	   }
	od
}

proctype server(byte me)
{
	byte j, k;

end:	atomic { awake[me] || box[BOX(me, LOW)] != 0 -> awake[me] = false; idle[me] = false };
	drain(me, LOW);
	atomic {
		if
		:: box[BOX(me, LOW)] == 0 -> idle[me] = true
		:: else
		fi;
		goto end
	}
}

proctype poster(byte me)
{
	byte round, to, level, mine;
	bool mark;

	do
	:: round == ROUNDS -> break
	:: else ->
		atomic {
			to = 0;
			do
			:: to < CPUS - 1 -> to++
			:: HAS(LEAVERS, to) && to != me -> break
			od;
			if
			:: level = HARD
			:: level = LOW
			fi;
#ifdef LAZY
			if
			:: !HAS(LEAVERS, me) -> mark = true
			:: mark = false
			fi
#endif
		};
#ifndef INTERRUPTS_ON
		if
		:: INTERRUPTS_OFF(me)
		:: parked[me] -> break		/* its threads do not run */
		fi;
#endif
		if
		:: HAS(targets, to)
		:: !HAS(targets, to) ->		/* EHOSTDOWN */
			off[me] = false;
			goto done
		fi;
		atomic {
			mine = jobs;
			jobs++;
			job[mine].sender = me;
			job[mine].want = BIT(to);
			job[mine].level = level;
			ADD(box[BOX(to, level)], mine)
		};
		if
		:: mark -> ADD(lazy[to], level)
		:: else -> tell(to, level)
		fi;
		off[me] = false;
#ifdef LAZY
		if
		:: mark ->	/* xc_event_announce, of a wait: who has not begun is told */
			if
			:: !COMPLETE(mine) ->
				INTERRUPTS_OFF(me);
				tell(to, level);
				off[me] = false
			:: else
			fi
		:: else
		fi;
#endif
done:		atomic { round++; to = 0; level = 0; mark = false; mine = 0 }
	od
}

/* A hard broadcast, and its wait */
inline barrier()
{
	atomic { !off[me] && !in_intr[me] -> off[me] = true; others = targets; unanswered = others };
	do
	:: atomic { others == 0 -> off[me] = false; break }
	:: atomic {
		others != 0 ->
		do
		:: HAS(others, t) -> break
		:: else -> t++
		od;
		REMOVE(others, t);
		ADD(asked, t);
		tell(t, HARD);
		t = 0
	   }
	od;
	unanswered == 0
}

/* xc_intr_drain_all, xc_thread_wait_idle */
inline drain_all()
{
	atomic { !off[me] && !in_intr[me] -> off[me] = true; notify[me] = 0; bits = 3 };
	serve(me);
	atomic { bits = 0; awake[me] = true; off[me] = false };
	idle[me] && box[BOX(me, LOW)] == 0
}

/* xc_cpu_dying, the park, xc_cpu_online */
proctype leaver(byte me)
{
	byte others, t, bits, j, k;

#ifndef TWO_AT_ONCE
	atomic { !going -> going = true };
#endif
#ifdef DRAIN_BEFORE_CLEAR
	drain_all();
#endif
#ifdef BARRIER_BEFORE_CLEAR
	barrier();
#endif
	/* By a thread of this CPU, and so not amid a post of another of its threads. */
	atomic { !off[me] && !in_intr[me] -> REMOVE(targets, me) };
#if !defined(NO_OFFLINE_BARRIER) && !defined(BARRIER_BEFORE_CLEAR)
	barrier();
#endif
#if !defined(NO_OFFLINE_DRAIN) && !defined(DRAIN_BEFORE_CLEAR)
	drain_all();
#endif
	/* Whatever was posted to it has run, before it parks. */
	atomic {
		!off[me] && !in_intr[me] ->
		assert(box[BOX(me, HARD)] == 0 && box[BOX(me, LOW)] == 0);
		parked[me] = true;
		gone++
	};
#ifdef COME_BACK
	atomic {	/* INIT: what was requested of its local APIC is forgotten */
		irr[me] = false;
		parked[me] = false;
		off[me] = true
	};
#ifndef NOTIFY_LEFT
	notify[me] = 0;
#endif
	ADD(targets, me);
	off[me] = false;
#endif
	going = false
}

init
{
	byte k;

	atomic {
		for (k : 0 .. CPUS - 1) {
			run handler(k);
			if
			:: HAS(LEAVERS, k) -> idle[k] = true; run server(k); run leaver(k)
			:: else
			fi
		};
		for (k : 0 .. POSTERS - 1) { run poster(k) }
	}
}

active proctype judge()
{
	byte k;

	timeout;
	for (k : 0 .. CPUS - 1) { gone = gone - HAS(LEAVERS, k) };
	assert(gone == 0);
	all_complete()
}
