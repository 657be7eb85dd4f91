/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The search of the explorer: all schedules of a few actors, depth first.  It
 * knows the points that they come by, and nothing of what these are about: that
 * is the model's.
 */
#ifndef _FOLIO_EXPLORE_H
#define _FOLIO_EXPLORE_H

#include <linux/ktime.h>
#include <linux/mm_sync_point.h>
#include <linux/prandom.h>

struct explorer;
struct kunit;

struct explore_check {
	const char *name;
	const char *text;
	const char *spec;	/* in which it can be made to fail, if not X */
};

/* What is explored: all that the search knows of it */
struct explore_model {
	void (*set_up)(struct explorer *ex);
	/* In the thread of that actor */
	void (*act)(struct explorer *ex, unsigned int actor);
	/* Mix into @hash all that actors can see, between two steps of one */
	u64 (*hash)(struct explorer *ex, u64 hash);
	/* What an actor may have read at a point, in the bits from 24 to 31 and from 48 on */
	u64 (*seen)(struct explorer *ex, const struct mm_sync_event *event);
	/* Leave out those that have nothing to do yet */
	unsigned long (*choices)(struct explorer *ex, unsigned long may_go);
	/* Does it make no difference whether an actor is held there? */
	bool (*coarse)(enum mm_sync_point point);
	/* At each decision, and when all are done: set bits of ->failed */
	void (*check)(struct explorer *ex, bool done);
	/* Check what is left, and take it away; not after a check has failed */
	void (*tear_down)(struct explorer *ex);
	/* Print one schedule */
	void (*tell)(struct explorer *ex, const char *verdict, const char *reason);
	void (*passed)(struct mm_sync_run *run);
	const struct explore_check *checks;	/* what is to be told first comes first */
	/* Which of them is it if the actors can't go on? */
	unsigned int (*stuck)(const struct explorer *ex);
};

/* A decision: the choices are the actor itself, if it can go on, then the others */
struct decision {
	struct state *state;
	u64 hash;
	u8 may_go;
	s8 me;
	u8 chosen;		/* actor */
	u8 choice;		/* 0 to limit - 1 */
	u8 limit;
	u16 event;		/* the last there was */
	bool pruned;
	u64 paths;		/* through it, by the choices that are done with */
};

struct explore_thread {
	struct explorer *ex;
	struct task_struct *task;
	int index;
};

enum explore_mode { DEPTH_FIRST, RANDOM, FOLLOW };

struct explorer {
	const struct explore_model *model;
	struct kunit *test;
	const char *name;		/* of the set of actors */
	char lanes[MM_SYNC_MAX_ACTORS];	/* their letters */
	unsigned int nr_actors;
	struct mm_struct *mm;		/* in which they are, and which they use */
	struct file *file;
	bool suppress;			/* their WARNs */
	bool killable;			/* they may get fatal signals */
	unsigned int epoch;		/* the model counts it up: a point means more now */
	struct mm_sync_run run;
	struct explore_thread threads[MM_SYNC_MAX_ACTORS];
	bool running, stuck;		/* the threads */

	/* How to explore */
	enum explore_mode mode;
	int bound;
	bool prune;
	bool coarse;
	unsigned int shard, shards;
	unsigned int seed;
	unsigned long most;		/* schedules, 0: any number */

	/* The choice tree */
	struct decision nodes[MM_SYNC_MAX_EVENTS];
	unsigned int depth;		/* decisions in this schedule */
	unsigned int prefix;		/* so many of them are given */
	unsigned int seen_events;
	unsigned int preemptions;
	bool not_mine;			/* is another shard's */
	u64 history[MM_SYNC_MAX_ACTORS];
	int point[MM_SYNC_MAX_ACTORS];	/* the last that each came by, or -1 */
	struct rnd_state rnd;
	u8 priority[MM_SYNC_MAX_ACTORS];
	unsigned int change[2];		/* when a random schedule changes its mind */

	/* The states */
	struct state *states;
	unsigned long nr_slots;
	unsigned long nr_states;
	u64 states_digest;		/* the same for the same states in any order */

	/* What came out */
	unsigned long next[MM_SYNC_NR_POINTS][BITS_TO_LONGS(MM_SYNC_WAIT)];	/* of each point */
	unsigned long failed;		/* BIT(check) */
	char wrong[96];			/* more of it, if there is more to say */
	unsigned int nr_random;
	unsigned long schedules;
	unsigned long others;		/* run to find out that they are another shard's */
	unsigned long pruned;
	unsigned long nr_events;
	unsigned int longest;
	unsigned long nr_outcomes;
	u64 paths;			/* schedules in all, if no bound */
	u64 schedules_digest;
	bool left;			/* there are more than ->most schedules */
	const char *error;
	ktime_t start, reported;
};

static inline u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9fb21c651e98df25ULL;
	return hash ^ (hash >> 29);
}

bool explore_open(struct explorer *ex, unsigned int log2);
void explore_start(struct explorer *ex);
bool explore_one(struct explorer *ex);
void explore_stop(struct explorer *ex);
void explore_all(struct explorer *ex, unsigned int nr_random);
unsigned long explore_estimate(const struct explorer *ex);
void explore_follow(struct explorer *ex, const char *text);
void explore_expect_good(struct explorer *ex);

#endif /* _FOLIO_EXPLORE_H */
