/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What folio_sched consists of: a schedule file is read (folio_sched_parse.c),
 * its sessions do something (folio_sched_verbs.c) in a run (folio_sched.c), and
 * that is judged (folio_sched_judge.c).
 */
#ifndef __FOLIO_SCHED_H__
#define __FOLIO_SCHED_H__

#include <pthread.h>
#include <stdbool.h>

#include "folio_util.h"
#include "kselftest.h"
#include "vm_util.h"

#define BIT(nr)			(1u << (nr))

#define MM_SYNC			"/sys/kernel/debug/mm_sync/"
#define NO_MM_SYNC \
	"this kernel has no sync points: it takes CONFIG_MM_SYNC_POINTS_DEBUGFS=y (with DEBUG_KERNEL, SMP, PREEMPT, DEBUG_FS), and debugfs mounted"

#define MAX_SESSIONS		8
#define MAX_STEPS		8	/* of a session: as many as there are points USER_n */
#define MAX_PERMUTATIONS	16
#define MAX_TURNS		64	/* of a permutation */
#define MAX_NEVER		4
#define MAX_OBJECTS		8
#define MAX_SETUP		16
#define MAX_ARGS		4
#define MAX_TEXT		256

enum { TMPFS, EXT4, RAMFS, NR_FS };
enum { SMALL = NR_FS, LARGE, NR_VARIANTS };	/* follow, in one bit mask */
enum kind { FILE_OBJECT, MAP_OBJECT, TCP_OBJECT, SESSION_OBJECT, NO_OBJECT };

#define NR_KEYS			10	/* what is known of a folio: keys[] */
#define NR_SHOWN		5	/* of these, always */

/* -1: not said */
struct state {
	int value[NR_KEYS];
};

struct object {
	char *name;
	enum kind kind;
	bool is_sparse;
	int nr_pages;
	struct object *file;	/* of a mapping */
	/* when it is there */
	int fd, tx;
	char *addr;
};

struct command {
	const struct verb *verb;
	struct object *object;
	struct session *session;	/* in place of an object */
	int numbers[MAX_ARGS];
	char *name;		/* of the step */
	char *text;		/* as it was written */
	char *want;		/* result */
	unsigned int only;	/* variants, 0 for all */
	char got[32];		/* result */
};

struct verb {
	const char *name;
	enum kind kind;
	int nr_numbers;
	const char *usage;
	const char *(*fn)(struct command *cmd);
	const char * const *gives;	/* other results than 0 and errors, if any */
	bool any;		/* what it gives is not judged unless it is said */
};

struct session {
	char *name;
	struct command steps[MAX_STEPS];
	int nr_steps;
	bool alone;
	bool queued;
	bool mortal;		/* somebody kills it: a process of its own */
	pthread_t thread;
	pid_t pid;
	int results;		/* of the process: a pipe */
};

/* One line of a permutation */
struct turn {
	struct session *session;
	const char *until;	/* the point */
	bool or_end;
	char *lock;		/* to wait for */
	struct state want, claimed;
	char *text;
	int line;
	unsigned int only;
};

struct permutation {
	char *name;
	unsigned int only;
	struct turn turns[MAX_TURNS];
	int nr_turns;
	struct {
		struct session *session;
		const char *point;
		int line;
	} never[MAX_NEVER];
	int nr_never;
};

/* What a schedule file says */
struct sched {
	const char *path;
	char name[64];
	char *title;
	unsigned int variants;
	bool needs_swap;
	struct object objects[MAX_OBJECTS];
	int nr_objects;
	struct command setup[MAX_SETUP];
	int nr_setup;
	struct object *test;
	int test_page;
	bool absent;
	struct session sessions[MAX_SESSIONS];
	int nr_sessions;
	struct permutation permutations[MAX_PERMUTATIONS];
	int nr_permutations;
	int line;
};

/* One run, in a process of its own */
struct run {
	const struct permutation *perm;
	unsigned int variant;		/* two bits */
	char id[160];
	const char *folder;
	char *why_skipped;		/* the parent reads it */
	/* Of perm, those of this variant: a step of the kernel's schedule each */
	const struct turn *turns[MAX_TURNS];
	int nr_turns;
	/* Those that it has something to do for: the actors */
	struct session *sessions[MAX_SESSIONS];
	int nr_sessions;
};

extern struct sched sched;
extern struct run run;
extern const char * const variants[NR_VARIANTS];
extern const char * const keys[NR_KEYS];
extern const struct verb verbs[];	/* the last one has no name */

void parse_file(const char *path);
void list_points(void);

const char *write_pages(struct object *object, int first, int nr);
void exec_command(struct command *cmd);
bool as_wanted(const struct command *cmd);
bool can_do(const struct command *cmd);

int actor(struct session *session);
void __noreturn __printf(2, 3) verdict(const char *word, const char *fmt, ...);

void read_trace(void);
void print_story(void);
void __noreturn judge(void);

#endif
