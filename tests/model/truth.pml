/*
 * What no model of the algorithm knows: the truth about each job, and the assertions that hold the one against the
 * other.  A job is one post; begin_job() and end_job() are its function's first and last instruction on one CPU.
 *
 * The model says before: CPUS, JOBS; ONE_SENDER if there is but one, else job[].sender must be set; LEVELS if calls
 * of several levels need not keep their order among each other, job[].level being it.  `k` is a scratch variable of
 * the process, 0 before and after.
 */
#define NONE 255
#define BIT(i) (1 << (i))
#define HAS(set, i) (((set) & BIT(i)) != 0)
#define ADD(set, i) set = set | BIT(i)
#define REMOVE(set, i) set = set & (255 - BIT(i))

typedef job_t {
#ifndef ONE_SENDER
	byte sender;
#endif
#ifdef LEVELS
	byte level;
#endif
#ifdef KINDS
	byte kind;		/* what its function does */
#endif
	byte want, begun, ran;	/* CPUs that must run it, where it has begun, where it has returned */
	bool cut;		/* some were withdrawn */
};
job_t job[JOBS];
byte jobs;
#define COMPLETE(j) (job[j].ran == job[j].want)

#ifdef ONE_SENDER
#define SAME_SENDER(i, j) true
#else
#define SAME_SENDER(i, j) (job[i].sender == job[j].sender)
#endif
#ifdef LEVELS
#define SAME_LEVEL(i, j) (job[i].level == job[j].level)
#else
#define SAME_LEVEL(i, j) true
#endif

/* The function of job j begins on CPU `me`: a target, for the first time, the sender's oldest one for it. */
inline begin_job(j, me)
{
	assert(HAS(job[j].want, me) && !HAS(job[j].begun, me));
	do
	:: k == j -> break
	:: else ->
		assert(!SAME_SENDER(k, j) || !SAME_LEVEL(k, j) || !HAS(job[k].want & (255 - job[k].begun), me));
		k++
	od;
	k = 0;
	ADD(job[j].begun, me)
}

/* It returns. */
inline end_job(j, me)
{
	assert(HAS(job[j].begun, me) && !HAS(job[j].ran, me));
	ADD(job[j].ran, me)
}

/* The targets in `set` will not run it. */
inline withdraw_job(j, set)
{
	assert((job[j].begun & (set)) == 0);
	job[j].want = job[j].want & (255 - (set));
	job[j].cut = true
}

/* Its call is over.  Jobs that were complete then look alike, so that the search need not tell them apart. */
inline forget(j)
{
	if
	:: COMPLETE(j) ->
		job[j].want = 0; job[j].begun = 0; job[j].ran = 0;
#ifdef KINDS
		job[j].kind = 0;
#endif
#ifdef LEVELS
		job[j].level = 0;
#endif
#ifndef ONE_SENDER
		job[j].sender = 0
#endif
	:: else
	fi
}

/* Nothing moves any more: whatever was posted has run. */
inline all_complete()
{
	byte j;

	do
	:: j == jobs -> break
	:: else -> assert(COMPLETE(j)); j++
	od
}
