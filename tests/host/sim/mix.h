/*
 * Random programs by profile.
 */
#ifndef TESTS_HOST_SIM_MIX_H
#define TESTS_HOST_SIM_MIX_H

enum {
	MIX_LOW,
	MIX_SOFT,
	MIX_HARD,
	MIX_NMI,
	MIX_LEVELS,
	MIX_SETS,
	MIX_DESCRIPTOR,
	MIX_CANCEL,
	MIX_TIMED,
	MIX_NESTED,
	MIX_LAZY,
	MIX_ALL,
	MIX_PROFILES
};

/* Weights of the levels; the rest in percent. */
struct mix_profile {
	unsigned low, soft, hard, nmi;
	unsigned sets;          /* posts to more than one CPU, or to any */
	unsigned descriptors;   /* posts by descriptor */
	unsigned lazy, try;     /* flags of posts */
	unsigned intr_off;      /* posts with interrupts off */
	unsigned nested;        /* functions that post */
	unsigned cancel, timed; /* of what is done with a call */
};

void mix_run(unsigned profile);
/* How many actors, which post so often each, for a profile. */
void mix_actors(unsigned profile, unsigned actors, unsigned posts);

#endif
