/*
 * What the algorithm of xcall.pml does not know: the truth about each job, and the assertions that hold the
 * one against the other.  A job is one post; begin_job() and end_job() are its function's first and last
 * instruction on one CPU, `k` a scratch variable of the process.
 */
typedef job_t {
	byte kind, sender;
	byte want, begun, ran;	/* CPUs that it was posted to, has begun on, has returned on */
};
job_t job[JOBS];
byte jobs;
byte callers_done;
#define COMPLETE(j) (job[j].ran == job[j].want)
#define ENDED(j) (job[j].want == 0)

/* The function of job j begins on CPU `me`: a target, for the first time, the sender's oldest one for it. */
inline begin_job(j, me)
{
	assert(HAS(job[j].want, me) && !HAS(job[j].begun, me));
	k = 0;
	do
	:: k == j -> break
	:: else ->
		assert(job[k].sender != job[j].sender || !HAS(job[k].want & (255 - job[k].begun), me));
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

/* Its call is over.  Jobs that were complete then all look alike, so that the search need not tell them apart. */
inline forget(j)
{
	if
	:: COMPLETE(j) ->
		job[j].kind = 0; job[j].sender = 0;
		job[j].want = 0; job[j].begun = 0; job[j].ran = 0
	:: else
	fi
}

/* When nothing moves any more, every job has run on all its targets, and its call is over. */
active proctype judge()
{
	byte j;

	timeout;
	do
	:: j == jobs -> break
	:: else -> assert(COMPLETE(j)); j++
	od;
	j = 0;
	do
	:: j == CPUS -> break
	:: else -> assert(live[j] == 0); j++
	od
}
