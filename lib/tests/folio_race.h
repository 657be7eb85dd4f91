/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the tests of races on the lifetime of a folio have in common: a page
 * cache that is mapped in a real mm, and actors.
 */
#ifndef _FOLIO_RACE_H
#define _FOLIO_RACE_H

#include <linux/mm_sync_point.h>
#include <linux/sizes.h>

/*
 * The mapping has five pages; the folio under test is the middle one, and it has
 * neighbours at one end or at both.
 */
#define NR_PAGES	5
#define INDEX		2
#define FIRST		0
#define LAST		(NR_PAGES - 1)

#define NEIGHBOUR_BEFORE	(BIT(FIRST) | BIT(INDEX))
#define NEIGHBOUR_AFTER		(BIT(INDEX) | BIT(LAST))

/*
 * Where the mapping is, always: whether fault-around gets from a neighbour to the
 * folio depends on the address.  Further on in the same page table is room for
 * another one.
 */
#define RACE_ADDR	SZ_256M
#define RACE_ADDR2	(RACE_ADDR + SZ_64K)

/*
 * Does folio_isolate_lru() hold a reference of its own before it clears PG_lru?
 * On a kernel without the mm series it takes that reference afterwards.
 */
#define ISOLATE_PINS_FIRST	1

/* Of a schedule that race_print_schedule() is given */
#define RACE_MAX_STEPS		96

struct kunit;

struct race {
	struct kunit *test;
	struct mm_struct *mm;
	struct file *file;
	struct address_space *mapping;
	unsigned long addr;
	unsigned int pages;		/* BIT(index): which are in the page cache */
	pgoff_t left;			/* of the file when it is truncated; 0: its size stays */
	int advice;			/* for madvise() */
	unsigned long advised;		/* address, the whole mapping if 0 */
	struct folio *neighbour;	/* comes after it in the file, before it on the LRU */
	struct list_head *before, *after;
	unsigned long flags;		/* of the folio, if they were overwritten */
	unsigned long disk;		/* where the path of what is swapped to is, or 0 */
	struct mm_sync_run *run;
};

/* What an actor of the explorer may do, and what it needs */
enum {
	MAY_TRUNCATE	= BIT(0),	/* the page is gone when it is done */
	MAY_REMOVE	= BIT(1),	/* the page may be gone */
	MAY_TAKE_ANY	= BIT(2),	/* even one that was reused */
	MAY_ORPHAN	= BIT(3),	/* it maps a page that is not in the page cache */
	MAY_ISOLATE	= BIT(4),	/* relies on a reference that somebody may put */
	MAY_LOSE_LRU	= BIT(5),	/* PG_lru is overwritten */
	MAY_REUSE	= BIT(6),	/* waits for the page to be free; comes last */
	MAY_LOOK	= BIT(7),	/* what it looks up must be what it asked for */
	NEEDS_LARGE	= BIT(8),
	NEEDS_REF	= BIT(9),	/* it is given a reference, and puts it */
	KEEPS_REF	= BIT(10),	/* it is given one for as long as it lasts */
	MAY_MOVE	= BIT(11),	/* another folio may be there afterwards */
	MAY_INSERT	= BIT(12),	/* also after a truncation */
	MAY_EVICT	= BIT(13),	/* the file's last user is gone */
	USES_FILE	= BIT(14),	/* it is one */
	MAY_BE_KILLED	= BIT(15),	/* while it waits for the folio lock */
	NEEDS_KILLED	= BIT(16),	/* such an actor */
	WRITES_BACK	= BIT(17),
	WAITS_FOR_IT	= BIT(18),	/* in the queue of the folio */
	FAULTS_IT	= BIT(19),	/* faults the page in, which is not uptodate */
	BREAKS_RULES	= BIT(20),	/* its WARNs are what there is to be seen */
};

/* An actor: what a thread of a race does */
struct actor {
	char lane;
	const char *name;
	const char *does;
	void (*fn)(struct race *race);
	unsigned int may;	/* in the explorer */
	bool loud;		/* its WARNs are not suppressed: there must be none */
};

/* Those that both scenarios and the explorer have */
#define ACTOR_FILEMAP	{ 'F', "filemap", "faults next to the folio: fault-around", \
			  race_fault_neighbour, USES_FILE }
#define ACTOR_TRUNCATE	{ 'T', "truncate", "punches the page out of the file, or cuts the file", \
			  race_truncate_page, MAY_TRUNCATE | USES_FILE | WAITS_FOR_IT }
#define ACTOR_MADVISE	{ 'M', "madvise", "MADV_PAGEOUT or MADV_COLD of the folio's page", \
			  race_madvise, MAY_REMOVE | USES_FILE }
#define ACTOR_RECLAIM	{ 'K', "reclaim", "isolates and reclaims the folio", race_reclaim, \
			  MAY_REMOVE | MAY_TAKE_ANY }
#define ACTOR_TCP	{ 'Z', "tcp", "maps the page, of which it has a reference", \
			  race_map_orphan, MAY_ORPHAN | KEEPS_REF }
#define ACTOR_DRAIN	{ 'D', "drain", "lru_add_drain()", race_drain }

#define RACE_MAX_LABEL		8

/* What is told of a run, beside its events */
struct race_story {
	const char *id;
	const char *title;
	const char *injected;	/* which rule the test itself breaks, if it does */
	const struct actor *actors;
	/* Name a step, in RACE_MAX_LABEL bytes */
	void (*label)(const void *data, int step, char *label);
	const void *data;
};

int race_open(struct race *race, struct kunit *test, bool shmem, unsigned int nr_pages);
struct folio *race_add_page(struct race *race, pgoff_t index);
int race_add_folio(struct race *race, struct folio *folio, pgoff_t index);
unsigned long race_map(struct race *race, unsigned long addr, pgoff_t index,
		       unsigned int nr_pages);
pte_t *race_pte(struct mm_struct *mm, unsigned long addr);
void race_fault(struct race *race, unsigned long addr);
void race_truncate(struct race *race, pgoff_t first, pgoff_t last);
bool race_went_by(struct race *race, enum mm_sync_point point);
void race_free_kept(struct race *race);
const char *race_bad_free(const struct mm_sync_event *event);
void race_print_run(const struct mm_sync_run *run, const struct race_story *story);
void race_print_step(const struct race_story *story, int step, char actor,
		     enum mm_sync_point until, const char *claimed,
		     const struct mm_sync_event *event, const char *how, const char *text);
void race_print_verdict(const struct race_story *story, const char *verdict, const char *reason,
			int runs);
void race_print_schedule(const struct mm_sync_run *run, const char *id,
			 const struct actor *actors, const char *verdict, const char *reason);
struct file *race_open_ramfs(void);
int race_swapon(struct race *race);
void race_swapoff(struct race *race);
void race_insert_page(struct race *race, pgoff_t index);
struct task_struct *race_start_thread(int (*fn)(void *data), void *data, const char *name);

void race_fault_neighbour(struct race *race);
void race_truncate_page(struct race *race);
void race_madvise(struct race *race);
void race_reclaim(struct race *race);
void race_migrate(struct race *race);
void race_drain(struct race *race);
void race_map_orphan(struct race *race);

#endif /* _FOLIO_RACE_H */
