/*
 * The low-priority cross call of 2008, the algorithm this project grows from: one job slot for the whole
 * machine, one worker thread a CPU, one lock, and three counters that only grow: posted (per target),
 * begun, done.  A ticket is the value of `posted` after the post; it counts as complete when `done` has
 * reached it.
 *
 * As built in 2008 the next job is admitted when all targets of the last one have *begun*.  `done` is shared,
 * so the returns of another job pay for mine, and the assertion of `caller` fails.  With -DADMIT_DONE
 * the next job waits until all have returned, and it holds.
 */
#ifndef CPUS
#define CPUS 2
#endif
#ifndef CALLERS
#define CALLERS 2
#endif
#ifndef ROUNDS
#define ROUNDS 1
#endif
#define JOBS (CALLERS * ROUNDS)

#ifdef ADMIT_DONE
#define ADMITTED (posted == done)
#else
#define ADMITTED (posted == begun)
#endif

bool locked;
byte posted, begun, done;
byte slot;				/* the job in the only slot */
bool has_work[CPUS];			/* the target has not begun */
bool worker_sleeps[CPUS], caller_sleeps[CALLERS];

/* What the algorithm does not know: the truth about each job. */
byte jobs, owed[JOBS], returned[JOBS];

inline enter()
{
	atomic { !locked -> locked = true }
}

/* Sleeping releases the lock in the same step; waking takes it again. */
inline sleep_on(flag)
{
	atomic { flag = true; locked = false };
	atomic { !flag && !locked -> locked = true }
}

inline wake_callers()
{
	d_step {
		i = 0;
		do
		:: i < CALLERS -> caller_sleeps[i] = false; i++
		:: else -> break
		od;
		i = 0
	}
}

inline post_to(cpu)
{
	atomic {
		posted++; owed[job]++;
		has_work[cpu] = true; worker_sleeps[cpu] = false
	}
}

proctype worker(byte me)
{
	byte i, job;

	enter();
	do
	:: !has_work[me] ->
		if
		:: ADMITTED -> wake_callers()
		:: else
		fi;
		atomic { worker_sleeps[me] = true; locked = false };
end:		atomic { !worker_sleeps[me] && !locked -> locked = true }
	:: else ->
		d_step { has_work[me] = false; job = slot; begun++ };
		locked = false;
		returned[job]++;	/* the function, from its first instruction to its last */
		enter();
		done++
	od
}

proctype caller(byte me)
{
	byte i, job, ticket, round;

	do
	:: round == ROUNDS -> break
	:: else ->
		enter();
		do
		:: ADMITTED -> break
		:: else -> sleep_on(caller_sleeps[me])
		od;
		atomic { job = jobs; jobs++; slot = job };
		i = 0;
		if
		:: do			/* a broadcast */
		   :: i < CPUS -> post_to(i); i++
		   :: else -> break
		   od
		:: do			/* a unicast to any CPU */
		   :: i < CPUS - 1 -> i++
		   :: break
		   od;
		   post_to(i)
		fi;
		ticket = posted;
		locked = false;
		if
		:: done >= ticket
		:: else ->
			enter();
			do
			:: done >= ticket -> break
			:: else -> sleep_on(caller_sleeps[me])
			od;
			locked = false
		fi;
		assert(returned[job] == owed[job]);
		round++
	od
}

init
{
	byte k;

	atomic {
		for (k : 0 .. CPUS - 1) { run worker(k) }
		for (k : 0 .. CALLERS - 1) { run caller(k) }
	}
}
