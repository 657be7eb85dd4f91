/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Sync points: named places at which a test can hold a thread.
 *
 * A test lets a few threads (actors) join a run.  Exactly one of them runs at a
 * time, and which one goes on is decided at the sync points, by the run's
 * schedule: so one interleaving can be run, step by step, as often as one likes.
 * All other threads pass the points.
 */
#ifndef _LINUX_MM_SYNC_POINT_H
#define _LINUX_MM_SYNC_POINT_H

#include <linux/types.h>

struct folio;
struct folio_batch;
struct page;
struct rw_semaphore;
struct wait_queue_entry;

enum mm_sync_point {
#define MM_SYNC_POINT(NAME, ...) MM_SYNC_##NAME,
#include <linux/mm_sync_point_defs.h>
#undef MM_SYNC_POINT
	MM_SYNC_NR_POINTS,
	MM_SYNC_END = MM_SYNC_NR_POINTS,	/* the actor is done */
	MM_SYNC_WAIT,				/* the actor must wait for a lock */
};

/* Locks that an actor may hold at a point, and others have to wait for */
enum mm_sync_lock {
#define MM_SYNC_LOCK(NAME, ...) MM_SYNC_##NAME,
#include <linux/mm_sync_point_defs.h>
#undef MM_SYNC_LOCK
};

#ifdef CONFIG_MM_SYNC_POINTS
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/hrtimer.h>
#include <linux/jump_label.h>

#define MM_SYNC_MAX_ACTORS	8
#define MM_SYNC_MAX_EVENTS	256
#define MM_SYNC_MAX_PAGES	512ul

DECLARE_STATIC_KEY_FALSE(mm_sync_key);

void __mm_sync_point(enum mm_sync_point point, struct folio *folio);
void __mm_sync_point_batch(enum mm_sync_point point, struct folio_batch *fbatch);
void __mm_sync_lock(enum mm_sync_lock type, const void *lock);
void __mm_sync_rwsem(struct rw_semaphore *sem, bool shared);
bool __mm_sync_queued(struct wait_queue_entry *entry, unsigned int task_state);
void __mm_sync_hold_off(int by);
bool __mm_sync_keep(struct page *page, unsigned int order);

/**
 * mm_sync_point() - A place where a thread can be held.
 * @name: Name of the point, see mm_sync_point_defs.h.
 * @folio: The folio that the code around is about.
 *
 * Context: Any.  With softirqs off, or between mm_sync_hold_off() and
 * mm_sync_hold_on(), it is recorded, but nobody is held.  With interrupts off a
 * thread is held only if all other actors are bound to other CPUs: it spins, for
 * a while.  Within RCU, or with a PTL or a folio lock, threads are held: who
 * needs that lock comes to mm_sync_lock() first.
 */
#define mm_sync_point(name, folio) do {					\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_point(MM_SYNC_##name, folio);			\
} while (0)

/* The same for each folio of a batch */
#define mm_sync_point_batch(name, fbatch) do {				\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_point_batch(MM_SYNC_##name, fbatch);		\
} while (0)

/**
 * mm_sync_lock() - About to take a lock that an actor may hold at a point.
 * @type: Which kind of lock: the part of enum mm_sync_lock after MM_SYNC_.
 * @lock: The lock, for MM_SYNC_FOLIO_LOCK the folio.
 *
 * If it is taken, the actor waits here, as far as the run is concerned, and
 * others go on: so it is exact who waits for what.
 *
 * Context: As for mm_sync_point().
 */
#define mm_sync_lock(type, lock) do {					\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_lock(MM_SYNC_##type, lock);			\
} while (0)

/**
 * mm_sync_rwsem() - The same, for an rw_semaphore.
 * @sem: The semaphore: it shows by itself whether it is one that we know.
 * @shared: Will it be taken for reading?
 *
 * Context: As for mm_sync_point().
 */
#define mm_sync_rwsem(sem, shared) do {					\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_rwsem(sem, shared);				\
} while (0)

/*
 * An actor is in the queue for a folio lock, and about to sleep: it waits until it
 * is woken up.  Return: true if it is to look again, false if it is to sleep.
 */
static inline bool mm_sync_queued(struct wait_queue_entry *entry, unsigned int task_state)
{
	return static_branch_unlikely(&mm_sync_key) && __mm_sync_queued(entry, task_state);
}

/* A point of an actor that leaves a queue: it has not slept, and runs now */
#define mm_sync_point_woken(name, folio) do {				\
	if (static_branch_unlikely(&mm_sync_key)) {			\
		__set_current_state(TASK_RUNNING);			\
		__mm_sync_point(MM_SYNC_##name, folio);			\
	}								\
} while (0)

/*
 * From here to mm_sync_hold_on(), nobody is held: a per-CPU lock is held, and
 * others on this CPU could not wait for it.
 */
#define mm_sync_hold_off() do {						\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_hold_off(1);					\
} while (0)

#define mm_sync_hold_on() do {						\
	if (static_branch_unlikely(&mm_sync_key))			\
		__mm_sync_hold_off(-1);					\
} while (0)

/* Is this free page one that a run wants to have, rather than the allocator? */
static inline bool mm_sync_keep(struct page *page, unsigned int order)
{
	return static_branch_unlikely(&mm_sync_key) && __mm_sync_keep(page, order);
}

/*
 * What is recorded at each event of the folio that the point is about or, where
 * it is about none, of that which has the page under test by then
 */
struct mm_sync_state {
	int refs;
	int mapcount;
	bool lru;
	bool locked;
	bool cached;		/* ->mapping is set */
	bool listed;		/* linked on some list */
	bool dirty;
	bool writeback;
	u8 order;
	pgoff_t index;
	pgoff_t size;		/* of the file in pages, if the run has a mapping */
};

enum mm_sync_kind {
	MM_SYNC_KIND_PASS,	/* went by a point */
	MM_SYNC_KIND_STOP,	/* was held there: it was the end of a step */
	MM_SYNC_KIND_WAIT,	/* has to wait for a lock */
	MM_SYNC_KIND_END,	/* is done, with this round at least */
};

struct mm_sync_event {
	u8 actor;
	u8 kind;		/* enum mm_sync_kind */
	u8 lock;		/* enum mm_sync_lock, of a wait */
	bool ends_step;
	u16 step;		/* which, if it ends one */
	u16 point;		/* enum mm_sync_point */
	struct mm_sync_state state;
};

/**
 * struct mm_sync_step - A step of a schedule: one actor runs, all others wait.
 * @actor: Which one: the index it joined with.
 * @until: The point at which the step ends, %MM_SYNC_END or, if the actor has
 *	to wait for a lock, %MM_SYNC_WAIT.
 * @or_end: The step also ends if the actor does.
 */
struct mm_sync_step {
	u8 actor;
	bool or_end;
	enum mm_sync_point until;
};

struct mm_sync_wait {
	enum mm_sync_lock type;
	void *lock;		/* or NULL */
	unsigned int state;	/* of the task, with a wakeup */
	bool shared;
};

struct mm_sync_actor {
	struct task_struct *task;
	struct mm_sync_wait wait;
	int hold_off;
	bool held;		/* not its turn, and it is blocked */
	bool done;		/* with this round */
	bool left;
};

/**
 * struct mm_sync_run - A run, see mm_sync_begin().
 * @mapping: With @folio NULL, the first folio of this mapping at @index that
 *	an actor gets to a point with is the one.  Its page at @index is the
 *	page under test; without @mapping, its first page.
 * @index: See @mapping.
 * @folio: The folio under test: points that are about none of its pages are
 *	passed, also when it has been split.
 * @steps: The schedule.  After its last step, each actor in turn runs to its
 *	end.
 * @nr_steps: Their number.
 * @nr_actors: How many threads are going to join.
 * @choose: In place of @steps: which actor goes on?  @me, or -1, has just got to
 *	a point, and those in @may_go can, of which it returns one.  With a raw
 *	lock held and interrupts off.
 * @passed: An actor has come by a point at which it can't be held, and goes on
 *	after this, which is called in its context.  Points that it comes by in
 *	there are not recorded.  Nobody spins in such a run.
 * @died: Called when the kernel panics, after the schedule was printed.
 * @keep: When a page of @folio is freed, it is kept from the allocator, for
 *	mm_sync_reuse(), if its order is one that the allocator has per CPU.
 * @kept: The first one is free, and kept.
 * @kept_pages: All that are, if there are no more than BITS_PER_LONG: a bit each.
 * @once: When @folio has been freed, no point is about it any more: its page may
 *	be part of another one.
 * @queued: A bit for each actor that waits for folio locks as others do, in their
 *	queues.
 * @mortal: A bit for each that may be killed, too, and leaves then.
 * @starts_itself: When all actors have joined, without mm_sync_start().
 * @stall_ms: How long may nothing happen until the run is given up?  0: 2 s.
 * @err: 0, or why the schedule was not followed to its end: %-ESRCH: an actor
 *	ended, and the point did not come; %-EDEADLK: an actor that should go on
 *	has to wait for a lock, or all do; %-EWOULDBLOCK: an actor can't be held
 *	at the point, interrupts or preemption must stay off there; %-ETIMEDOUT:
 *	nothing happened for @stall_ms, or an actor did not join;
 *	%-EOWNERDEAD: an actor is gone without mm_sync_leave(); %-EINTR: one was
 *	killed; %-E2BIG: too many
 *	events; %-EINVAL: a step of an actor that has ended or that is not there;
 *	%-ECANCELED: it was finished without having been started, or abandoned.
 * @err_step: The step that could not be done.
 * @err_actor: The actor that it failed with.
 * @err_lock: With %-EDEADLK, the lock that it has to wait for.
 * @nr_events: How many events there are.
 * @events: All that happened, in order.
 */
struct mm_sync_run {
	struct address_space *mapping;
	pgoff_t index;
	struct folio *folio;
	const struct mm_sync_step *steps;
	unsigned int nr_steps;
	unsigned int nr_actors;
	int (*choose)(struct mm_sync_run *run, int me, unsigned long may_go);
	void (*passed)(struct mm_sync_run *run);
	void (*died)(struct mm_sync_run *run);
	bool keep;
	bool kept;
	unsigned long kept_pages;
	bool once;
	unsigned long queued;
	unsigned long mortal;
	bool starts_itself;
	unsigned int stall_ms;

	int err;
	unsigned int err_step;
	unsigned int err_actor;
	enum mm_sync_lock err_lock;
	unsigned int nr_events;
	struct mm_sync_event events[MM_SYNC_MAX_EVENTS];

	/* private: */
	struct mm_sync_actor actors[MM_SYNC_MAX_ACTORS];
	unsigned int joined;
	unsigned int ended;	/* this round */
	unsigned int left;
	unsigned int step;	/* that comes next */
	bool started;
	bool open;		/* given up: everybody passes all points */
	bool over;		/* there is no other round */
	const struct folio *known;	/* that the next two are of */
	unsigned long nr_pages;
	unsigned long page;	/* which is under test */
	DECLARE_BITMAP(gone, MM_SYNC_MAX_PAGES);	/* somebody else's now */
	bool freed;		/* so is the page under test */
	bool passing;		/* in @passed */
	u8 kept_order[BITS_PER_LONG];	/* by their first page */
	unsigned int idle_ticks;
	unsigned int seen_events;
	struct completion all_joined;
	struct completion all_ended;
	struct completion all_left;
	struct hrtimer watchdog;
};

int mm_sync_begin(struct mm_sync_run *run);
int mm_sync_join(struct mm_sync_run *run, unsigned int actor);
int mm_sync_again(struct mm_sync_run *run);
void mm_sync_leave(struct mm_sync_run *run);
int mm_sync_start(struct mm_sync_run *run);
int mm_sync_wait(struct mm_sync_run *run);
int mm_sync_finish(struct mm_sync_run *run);
int mm_sync_abandon(struct mm_sync_run *run);
void mm_sync_peek(const struct mm_sync_run *run, struct mm_sync_run *copy);
struct folio *mm_sync_reuse(struct mm_sync_run *run);
void mm_sync_release(struct mm_sync_run *run);
const char *mm_sync_point_name(enum mm_sync_point point);
const char *mm_sync_point_meaning(enum mm_sync_point point);
const char *mm_sync_lock_name(enum mm_sync_lock type);
bool mm_sync_is_free(enum mm_sync_point point);
unsigned long mm_sync_bystanders(void);

void mm_sync_schedule(void);	/* kernel/sched/core.c */
#else
/* No code, but names and arguments must be right all the same */
#define mm_sync_point(name, folio) \
	do { (void)MM_SYNC_##name; (void)sizeof(folio); } while (0)
#define mm_sync_point_batch(name, fbatch) \
	do { (void)MM_SYNC_##name; (void)sizeof(fbatch); } while (0)
#define mm_sync_lock(type, lock) \
	do { (void)MM_SYNC_##type; (void)sizeof(lock); } while (0)
static inline void mm_sync_rwsem(struct rw_semaphore *sem, bool shared) { }
#define mm_sync_point_woken(name, folio) mm_sync_point(name, folio)
static inline bool mm_sync_queued(struct wait_queue_entry *entry, unsigned int task_state)
{
	return false;
}

#define mm_sync_hold_off()			do { } while (0)
#define mm_sync_hold_on()			do { } while (0)
static inline bool mm_sync_keep(struct page *page, unsigned int order)
{
	return false;
}
#endif /* CONFIG_MM_SYNC_POINTS */

#endif /* _LINUX_MM_SYNC_POINT_H */
