// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: interleavings about the lifetime of a folio that were claimed on
 * linux-mm, replayed step by step on a real page cache mapped in a real mm.
 *
 * A scenario is one claim: actors (functions below), and steps, which say which
 * actor runs until which sync point, what the claim has the folio look like
 * then, and what it does look like.  The claims are those of the thread about
 * https://lore.kernel.org/linux-mm/20240314083921.1146937-1-zhaoyang.huang@unisoc.com/
 *
 * To add one, add an entry to scenarios[], and an actor if there is none yet
 * that does what is claimed.  What is printed for it tells the points that the
 * actors went by.
 */
#define pr_fmt(fmt) "folio_race: " fmt

#include <kunit/test.h>
#include <linux/debug_locks.h>
#include <linux/falloc.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mm_sync_point.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/vmstat.h>
#include <asm/sections.h>
#include "../../mm/internal.h"
#include "../../mm/damon/ops-common.h"
#include "folio_race.h"

#define MAX_STEPS	16
#define MAX_ACTORS	5
#define MAX_BAD		4

static int repeat = 3;
module_param(repeat, int, 0444);
MODULE_PARM_DESC(repeat, "how often each scenario is run; all runs must be the same");

static char *only;
module_param(only, charp, 0444);
MODULE_PARM_DESC(only, "run just the scenario with this id");

/* What the folio looks like; -1: not said */
struct state {
	int refs;
	int mapcount;
	int lru;
	int locked;
	int cached;
};

#define STATE(refs, mapcount, lru, locked, cached) \
	{ refs, mapcount, lru, locked, cached }
/* The claims are about these three */
#define CLAIM(refs, lru, locked)	{ refs, -1, lru, locked, -1 }
#define UNSAID				{ -1, -1, -1, -1, -1 }

struct step {
	const char *label;
	char actor;
	struct {
		enum mm_sync_point point;
		bool or_end;	/* or until it ends, if it never gets there */
	} until;
	struct state claim;
	struct state seen;
	const char *text;
};

#define UNTIL(point)		{ MM_SYNC_##point, false }
#define UNTIL_OR_END(point)	{ MM_SYNC_##point, true }

/* The guard: @actor goes by @from, and the next thing is @to, or it waits for @lock */
struct guard {
	char actor;
	enum mm_sync_point from;
	enum mm_sync_point to;
	int lock;
	const char *text;
};

#define GUARD(who, before, after, words) \
	{ .actor = who, .from = MM_SYNC_##before, .to = MM_SYNC_##after, .text = words }
#define GUARD_LOCK(who, which, words) \
	{ .actor = who, .to = MM_SYNC_WAIT, .lock = MM_SYNC_##which, .text = words }

struct scenario {
	const char *id;
	const char *title;
	/* What there is at the start */
	unsigned int pages;	/* BIT(index): which pages are in the page cache */
	bool mapped;		/* the folio is, in the actors' mm */
	bool undrained;		/* it is still in this CPU's batch, not on the LRU */
	bool shmem;		/* the file is one of shmem */
	bool orphan;		/* a PTE without page cache is what it is about */
	bool stand_in;		/* the test holds a reference, as the claimed PTE would */
	const char *injected;	/* which rule the test itself breaks, if it does */
	unsigned int warnings;	/* how many WARNs must come */
	struct actor actors[MAX_ACTORS];
	struct step steps[MAX_STEPS];
	/* What the claim comes to, apart from violated(): one gets to such a point */
	struct {
		char actor;
		enum mm_sync_point point;
	} bad[MAX_BAD];
	struct guard guard;
	const char *skip;	/* why it can't be run */
};

struct replay;

struct replay_actor {
	struct replay *replay;
	struct mm_sync_run *run;
	struct task_struct *task;
	int index;
	int warnings;
};

struct replay {
	struct race race;
	const struct scenario *sc;
	struct mm_sync_step steps[MAX_STEPS];
	struct replay_actor actors[MAX_ACTORS];
	struct file *filler;	/* its folios fill the memory */
	pgoff_t nr_filled;	/* the number of these folios */
	bool stuck;		/* actors may come back: leave them all this */
};

/* ---- actors ------------------------------------------------------------- */

static void truncate_file(struct race *race)
{
	truncate_inode_pages(race->mapping, 0);
}

static void fallocate_page(struct race *race)
{
	vfs_fallocate(race->file, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      INDEX << PAGE_SHIFT, PAGE_SIZE);
}

static void lock_folio(struct race *race)
{
	folio_lock(race->run->folio);
	mm_sync_point(TEST_1, race->run->folio);
	folio_unlock(race->run->folio);
}

/* A caller of folio_isolate_lru() whose reference is not a real one */
static void isolate_stale(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (!folio_isolate_lru(folio))
		return;
	if (race_went_by(race, MM_SYNC_FOLIOS_PUT_FREE) ||
	    race_went_by(race, MM_SYNC_RELEASE_BEFORE_LRU))
		/* It is being freed.  Do not let that happen with references. */
		page_ref_sub(folio_page(folio, 0), race_went_by(race, MM_SYNC_TEST_2) ? 2 : 1);
	else
		folio_putback_lru(folio);
}

/* What is claimed has happened by then: keep folio_get() from ending it in a BUG */
static void survive(struct race *race)
{
	if (race_went_by(race, MM_SYNC_ISOLATE_CLEARED) && !folio_ref_count(race->run->folio)) {
		page_ref_inc(folio_page(race->run->folio, 0));
		mm_sync_point(TEST_2, race->run->folio);
	}
}

/* A caller of folio_isolate_lru() that believes in its reference, and puts it */
static void isolate_put(struct race *race)
{
	if (folio_isolate_lru(race->run->folio))
		folio_putback_lru(race->run->folio);
	else if (race_went_by(race, MM_SYNC_ISOLATE_STALE))
		folio_put(race->run->folio);
}

/* As damon_pa_pageout() does with each folio */
static void damon_pageout(struct race *race)
{
#ifdef CONFIG_DAMON_PADDR
	struct folio *folio = damon_get_folio(folio_pfn(race->run->folio));
	LIST_HEAD(list);

	if (!folio)
		return;
	if (folio_isolate_lru(folio))
		list_add(&folio->lru, &list);
	folio_put(folio);
	reclaim_pages(&list);
#endif
}

static void readahead(struct race *race)
{
	DEFINE_READAHEAD(ractl, race->file, &race->file->f_ra, race->mapping, INDEX);

	filemap_invalidate_lock_shared(race->mapping);
	page_cache_ra_unbounded(&ractl, 1, 0);
	filemap_invalidate_unlock_shared(race->mapping);
}

/*
 * What a non-atomic __folio_set_dropbehind() compiles to, cut in two.  The
 * flags must not have changed in between, but the folio is alive, so they may.
 */
static void set_flag_nonatomic(struct race *race)
{
	unsigned long flags = READ_ONCE(race->run->folio->flags.f);

	mm_sync_point(TEST_1, race->run->folio);
	race->flags = READ_ONCE(race->run->folio->flags.f);
	WRITE_ONCE(race->run->folio->flags.f, flags | BIT(PG_dropbehind));

	/* To be able to mend the list later: around the folio and its neighbour */
	race->before = race->neighbour->lru.prev;
	race->after = race->run->folio->lru.next;
}

static void set_flag_atomic(struct race *race)
{
	mm_sync_point(TEST_1, race->run->folio);
	folio_set_dropbehind(race->run->folio);
}

/* As compaction does with the folios of a range, if it can't migrate them */
static void isolate_putback(struct race *race)
{
	struct folio *folios[] = { race->run->folio, race->neighbour };

	for (int i = 0; i < ARRAY_SIZE(folios); i++) {
		folio_get(folios[i]);
		KUNIT_EXPECT_TRUE(race->test, folio_isolate_lru(folios[i]));
		folio_put(folios[i]);
	}
	mm_sync_point(TEST_2, race->run->folio);
	for (int i = 0; i < ARRAY_SIZE(folios); i++)
		folio_putback_lru(folios[i]);
}

/*
 * Whoever deletes a neighbour of the folio from the list: the victim of the
 * reports, if the folio was freed while it was on that list.
 */
static void delete_neighbour(struct race *race)
{
	struct lruvec *lruvec;

	/* Only the plain write leaves the folio on the list; it notes the folio's place there */
	if (race->before)
		KUNIT_EXPECT_PTR_EQ(race->test, race->neighbour->lru.next, &race->run->folio->lru);
	if (!folio_isolate_lru(race->neighbour))
		return;
	if (race->before && race_went_by(race, MM_SYNC_FOLIOS_PUT_FREE)) {
		lruvec = folio_lruvec_lock_irq(race->neighbour);
		race->before->next = race->after;
		race->after->prev = race->before;
		lruvec_unlock_irq(lruvec);
	}
	folio_putback_lru(race->neighbour);
}

/* ---- scenarios ---------------------------------------------------------- */

#define ACTOR_BAD	{ 'B', "bad", "truncates the whole file", truncate_file }
#define ACTOR_STALE(fn)	{ 'I', "isolate", "isolates, without a reference of its own", fn }
#define ACTOR_READAHEAD	{ 'R', "readahead", "reads ahead; ->readahead() leaves the folio alone", \
			  readahead }
#define ACTOR_FALLOCATE(lane, name) \
			{ lane, name, "fallocate(2) punches the folio out", fallocate_page }
#define ACTOR_LOCK	{ 'U', "lock", "has the folio locked for a moment", lock_folio }

#define ACTOR_FLAGS	{ 'W', "flags", "__folio_set_dropbehind(), folio alive", \
			  set_flag_nonatomic }
#define ACTOR_ATOMIC	{ 'W', "flags", "folio_set_dropbehind(), folio alive", set_flag_atomic }
#define ACTOR_COMPACT	{ 'C', "compact", "isolates the folio, and puts it back", isolate_putback }
#define ACTOR_VICTIM	{ 'V', "victim", "deletes the neighbour from the list", delete_neighbour, \
			  .loud = true }

#define PLAIN_WRITE	"a plain write to the flags of a live folio"
#define STALE_REFERENCE	"a caller of folio_isolate_lru() without a reference"

static const struct scenario scenarios[] = {
{
	.id = "A",
	.title = "the last put comes after PG_lru is cleared and before isolation has a reference",
	.pages = NEIGHBOUR_AFTER, .mapped = true,
	.actors = { ACTOR_MADVISE, ACTOR_TRUNCATE },
	.steps = {
		{ "0", 'M', UNTIL(ISOLATE_CLEARED),
		  CLAIM(2, 0, 0), STATE(2 + ISOLATE_PINS_FIRST, 1, 0, 0, 1),
		  "madvise: folio_isolate_lru() clears PG_lru" },
		{ "1", 'T', UNTIL(WAIT),
		  CLAIM(1, 0, 0), STATE(3 + ISOLATE_PINS_FIRST, 1, 0, 1, 1),
		  "truncate: the other references go" },
		{ "2", 'M', UNTIL(END),
		  UNSAID, STATE(3, 1, 1, 1, 1),
		  "madvise: goes on" },
		{ "3", 'T', UNTIL_OR_END(RELEASE_BEFORE_LRU),
		  CLAIM(0, 0, 0), STATE(0, 0, 1, 0, 0),
		  "truncate: the last put finds PG_lru clear" },
	},
	.guard = GUARD_LOCK('T', PTL,
			    "the caller holds the PTL, which keeps the PTE's reference"),
},
{
	.id = "A.put",
	.title = "the same, the caller's reference not being real: it goes before the pin",
	.pages = NEIGHBOUR_AFTER, .warnings = 1, .injected = STALE_REFERENCE,
	.actors = { ACTOR_TRUNCATE, ACTOR_STALE(isolate_stale),
		    { 'S', "survive", "has folio_get() find a reference", survive } },
	.steps = {
		{ "0", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: out of the page cache" },
		{ "1", 'I', UNTIL(ISOLATE_BEFORE_LRU),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "isolate: the folio has a reference and PG_lru" },
		{ "2", 'T', UNTIL(RELEASE_BEFORE_LRU),
		  CLAIM(0, 1, 0), STATE(0, 0, 1, 0, 0),
		  "truncate: puts the last reference" },
		{ "3", 'I', UNTIL_OR_END(ISOLATE_CLEARED),
		  CLAIM(0, 0, 0), STATE(0, 0, 1, 0, 0),
		  "isolate: clears PG_lru of a folio without references" },
		{ "4", 'S', UNTIL(END),
		  UNSAID, STATE(0, 0, 1, 0, 0),
		  "a reference for folio_get()" },
		{ "5", 'I', UNTIL_OR_END(END),
		  UNSAID, UNSAID,
		  "isolate: goes on" },
	},
	.bad = { { 'I', MM_SYNC_ISOLATE_CLEARED } },
	.guard = GUARD('I', ISOLATE_BEFORE_PIN, ISOLATE_STALE,
		       "folio_try_get() in folio_isolate_lru()"),
},
{
	.id = "A.count",
	.title = "the same, it goes between the pin and the test of the count",
	.pages = NEIGHBOUR_AFTER, .warnings = 1, .injected = STALE_REFERENCE,
	.actors = { ACTOR_TRUNCATE, ACTOR_STALE(isolate_put) },
	.steps = {
		{ "0", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: out of the page cache" },
		{ "1", 'I', UNTIL_OR_END(ISOLATE_BEFORE_COUNT),
		  CLAIM(2, 1, 0), STATE(2, 0, 1, 0, 0),
		  "isolate: pins the folio" },
		{ "2", 'T', UNTIL(END),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: puts the reference that the caller relied on" },
		{ "3", 'I', UNTIL_OR_END(ISOLATE_CLEARED),
		  CLAIM(1, 0, 0), STATE(0, 0, 0, 0, 0),
		  "isolate: has the only reference, and the caller puts it" },
	},
	.bad = { { 'I', MM_SYNC_ISOLATE_CLEARED } },
	.guard = GUARD('I', ISOLATE_BEFORE_COUNT, ISOLATE_STALE,
		       "the count after the pin in folio_isolate_lru()"),
},
{
	.id = "A.free",
	.title = "the same, it goes after PG_lru was cleared",
	.pages = NEIGHBOUR_AFTER, .injected = STALE_REFERENCE,
	.actors = { ACTOR_TRUNCATE, ACTOR_STALE(isolate_stale),
		    { 'S', "survive", "has folio_get() find a reference", survive } },
	.steps = {
		{ "0", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: out of the page cache" },
		{ "1", 'I', UNTIL(ISOLATE_CLEARED),
		  CLAIM(1, 0, 0), STATE(2, 0, 0, 0, 0),
		  "isolate: clears PG_lru" },
		{ "2", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, 0, 0), STATE(1, 0, 0, 0, 0),
		  "truncate: the last put finds PG_lru clear and frees the folio" },
		{ "2.1", 'S', UNTIL(END),
		  UNSAID, STATE(1, 0, 0, 0, 0),
		  "a reference for folio_get()" },
		{ "3", 'I', UNTIL(END),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "isolate: deletes a freed folio from its list" },
	},
	.bad = { { 'T', MM_SYNC_FOLIOS_PUT_FREE } },
	.guard = GUARD('T', FOLIOS_PUT_BEFORE, FOLIOS_PUT_IN_USE,
		       "the pin, taken before PG_lru is cleared"),
},
{
	.id = "B",
	.title = "madvise, lru_add_drain() and the removal in read_pages()",
	.pages = BIT(FIRST) | BIT(LAST),
	.actors = { ACTOR_READAHEAD, ACTOR_FILEMAP, ACTOR_MADVISE, ACTOR_DRAIN },
	.steps = {
		{ "0", 'R', UNTIL(READ_PAGES_BEFORE_REMOVE),
		  CLAIM(3, 0, 1), STATE(3, 0, 0, 1, 1),
		  "readahead: about to remove the folio; it is still in the LRU batch" },
		{ "1", 'D', UNTIL(END),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "drain: puts it on the LRU" },
		{ "2", 'F', UNTIL_OR_END(FILEMAP_MAP_SET_PTE),
		  CLAIM(3, 1, 1), STATE(2, 0, 1, 1, 1),
		  "filemap: maps it" },
		{ "3", 'M', UNTIL_OR_END(ISOLATE_CLEARED),
		  CLAIM(3, 0, 1), STATE(2, 0, 1, 1, 1),
		  "madvise: isolates it" },
		{ "4", 'R', UNTIL_OR_END(RELEASE_BEFORE_LRU),
		  CLAIM(0, 0, 0), STATE(0, 0, 1, 0, 0),
		  "readahead: removes it, and the last put finds PG_lru clear" },
	},
	.bad = { { 'F', MM_SYNC_FILEMAP_MAP_SET_PTE }, { 'M', MM_SYNC_ISOLATE_CLEARED } },
	.guard = GUARD('F', NEXT_UPTODATE_FOLIO_BEFORE_LOCKED, NEXT_UPTODATE_FOLIO_SKIP,
		       "in no PTE, so madvise does not see it: readahead has it locked"),
},
{
	.id = "C",
	.title = "madvise isolates while truncate removes and frees",
	.pages = NEIGHBOUR_AFTER, .mapped = true,
	.actors = { ACTOR_MADVISE, ACTOR_TRUNCATE },
	.steps = {
		{ "0", 'M', UNTIL(MADVISE_PTE_BEFORE_ISOLATE),
		  CLAIM(2, 1, 0), STATE(2, 1, 1, 0, 1),
		  "madvise: has found the folio in a PTE" },
		{ "1", 'T', UNTIL(WAIT),
		  CLAIM(1, 1, 0), STATE(3, 1, 1, 1, 1),
		  "truncate: removes it from the page cache" },
		{ "2", 'M', UNTIL(MADVISE_PTE_AFTER_ISOLATE),
		  CLAIM(2, 0, 0), STATE(4, 1, 0, 1, 1),
		  "madvise: isolates a folio that is out of the page cache" },
		{ "3", 'M', UNTIL(END),
		  UNSAID, STATE(3, 1, 1, 1, 1),
		  "madvise: goes on" },
	},
	.guard = GUARD_LOCK('T', PTL,
			    "truncate_cleanup_folio() unmaps under the PTL before the removal"),
},
{
	.id = "D",
	.title = "damon_pa_pageout() isolates while truncate removes and frees",
	.pages = NEIGHBOUR_AFTER,
	.skip = IS_ENABLED(CONFIG_DAMON_PADDR) ? NULL : "needs CONFIG_DAMON_PADDR",
	.actors = { { 'P', "damon", "as damon_pa_pageout() does it", damon_pageout },
		    ACTOR_TRUNCATE },
	.steps = {
		{ "0", 'P', UNTIL(ISOLATE_CLEARED),
		  CLAIM(2, 0, 0), STATE(2 + ISOLATE_PINS_FIRST, 0, 0, 0, 1),
		  "damon: folio_isolate_lru() clears PG_lru" },
		{ "1", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, 0, 0), STATE(1 + ISOLATE_PINS_FIRST, 0, 0, 0, 0),
		  "truncate: removes the folio, and the last put finds PG_lru clear" },
		{ "2", 'P', UNTIL(END),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "damon: goes on" },
	},
	.bad = { { 'T', MM_SYNC_FOLIOS_PUT_FREE } },
	.guard = GUARD('T', FOLIOS_PUT_BEFORE, FOLIOS_PUT_IN_USE,
		       "the reference of damon_get_folio()"),
},
{
	.id = "E",
	.title = "filemap_map_pages() makes a PTE after truncate",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_FILEMAP, ACTOR_TRUNCATE },
	.steps = {
		{ "0", 'F', UNTIL(NEXT_UPTODATE_FOLIO_BEFORE_TRYLOCK),
		  CLAIM(2, 1, 0), STATE(2, 0, 1, 0, 1),
		  "filemap: has a reference, the entry is still there" },
		{ "1", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(2, 1, 0), STATE(2, 0, 1, 0, 0),
		  "truncate: out of the page cache" },
		{ "2", 'F', UNTIL_OR_END(FILEMAP_MAP_SET_PTE),
		  CLAIM(2, 1, 1), STATE(1, 0, 1, 0, 0),
		  "filemap: sets up a PTE" },
		{ "3", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(1, 1, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: does not free" },
	},
	.bad = { { 'F', MM_SYNC_FILEMAP_MAP_SET_PTE } },
	.guard = GUARD('F', NEXT_UPTODATE_FOLIO_BEFORE_MAPPING, NEXT_UPTODATE_FOLIO_UNLOCK,
		       "the test of the mapping, locked, in next_uptodate_folio()"),
},
{
	.id = "E.lock",
	.title = "the same, filemap has passed all tests",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_FILEMAP, ACTOR_TRUNCATE },
	.steps = {
		{ "0", 'F', UNTIL(FILEMAP_MAP_BEFORE_SET_PTE),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "filemap: about to set up a PTE" },
		{ "1", 'T', UNTIL(WAIT),
		  CLAIM(2, 1, 0), STATE(3, 0, 1, 1, 1),
		  "truncate: out of the page cache" },
		{ "2", 'F', UNTIL(END),
		  CLAIM(2, 1, 0), STATE(3, 1, 1, 0, 1),
		  "filemap: sets up a PTE" },
		{ "3", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(1, 1, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: does not free" },
	},
	.guard = GUARD_LOCK('T', FOLIO_LOCK,
			    "filemap_map_pages() holds the folio lock until the PTE is set"),
},
{
	.id = "F",
	.title = "the report: filemap_map_pages() is preempted before folio_try_get()",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_BAD, ACTOR_FILEMAP, ACTOR_TRUNCATE, ACTOR_MADVISE, ACTOR_LOCK },
	.steps = {
		{ "a", 'U', UNTIL(TEST_1),
		  UNSAID, STATE(1, 0, 1, 1, 1),
		  "somebody has the folio locked for a moment" },
		{ "b", 'B', UNTIL(FIND_LOCK_ENTRIES_PUT),
		  UNSAID, STATE(2, 0, 1, 1, 1),
		  "bad: so its first pass leaves the folio to the second" },
		{ "c", 'U', UNTIL(END),
		  UNSAID, STATE(2, 0, 1, 0, 1),
		  "unlocked" },
		{ "0", 'B', UNTIL(FIND_GET_ENTRY_LOADED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 1),
		  "bad: entry loaded, preempted before folio_try_get()" },
		{ "1", 'F', UNTIL(NEXT_UPTODATE_FOLIO_LOADED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 1),
		  "filemap: entry loaded, preempted before folio_try_get()" },
		{ "2", 'T', UNTIL(FIND_LOCK_ENTRIES_LOCKED),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: find_lock_entries()" },
		{ "3", 'T', UNTIL(TRUNCATE_BATCH_BEFORE_DELETE),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: truncate_cleanup_folio()" },
		{ "4", 'T', UNTIL(TRUNCATE_BATCH_BEFORE_UNLOCK),
		  CLAIM(1, 1, 1), STATE(1, 0, 1, 1, 0),
		  "truncate: delete_from_page_cache_batch()" },
		{ "4.1", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: folio_unlock()" },
		{ "5", 'F', UNTIL_OR_END(FILEMAP_MAP_SET_PTE),
		  CLAIM(2, 1, 1), STATE(1, 0, 1, 0, 0),
		  "filemap: resumes, sets up a PTE" },
		{ "6", 'M', UNTIL_OR_END(ISOLATE_CLEARED),
		  CLAIM(2, 0, 0), STATE(1, 0, 1, 0, 0),
		  "madvise: folio_isolate_lru() clears PG_lru" },
		{ "7", 'T', UNTIL_OR_END(RELEASE_BEFORE_LRU),
		  UNSAID, STATE(0, 0, 1, 0, 0),
		  "truncate: folio_batch_release()" },
		{ "7.1", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(1, 0, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: folio_batch_release() does not free" },
		{ "8", 'B', UNTIL_OR_END(TRUNCATE_LOCKED),
		  CLAIM(2, 0, 1), STATE(0, 0, 0, 0, 0),
		  "bad: resumes, collects the folio in its batch" },
		{ "9", 'B', UNTIL_OR_END(TRUNCATE_BEFORE_UNLOCK),
		  CLAIM(1, 0, 1), UNSAID,
		  "bad: filemap_remove_folio() drops a reference that is not the page cache's" },
		{ "10", 'B', UNTIL_OR_END(RELEASE_BEFORE_LRU),
		  CLAIM(0, 0, 0), UNSAID,
		  "bad: release_pages() frees the folio, still on the LRU list" },
	},
	.bad = { { 'F', MM_SYNC_FILEMAP_MAP_SET_PTE }, { 'M', MM_SYNC_ISOLATE_CLEARED },
		 { 'B', MM_SYNC_TRUNCATE_LOCKED }, { 'B', MM_SYNC_RELEASE_BEFORE_LRU } },
	.guard = GUARD('F', NEXT_UPTODATE_FOLIO_BEFORE_RELOAD, NEXT_UPTODATE_FOLIO_SKIP,
		       "xas_reload() in next_uptodate_folio()"),
},
{
	.id = "F.shmem",
	.title = "the report's steps 1 to 5 on shmem",
	.pages = NEIGHBOUR_BEFORE, .shmem = true,
	.actors = { ACTOR_FILEMAP, ACTOR_TRUNCATE },
	.steps = {
		{ "1", 'F', UNTIL(NEXT_UPTODATE_FOLIO_LOADED),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 1),
		  "filemap: entry loaded, preempted before folio_try_get(), PTL held" },
		{ "2", 'T', UNTIL(FIND_LOCK_ENTRIES_LOCKED),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: find_lock_entries()" },
		{ "3", 'T', UNTIL(TRUNCATE_INODE_FOLIO_BEFORE_REMOVE),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: truncate_cleanup_folio()" },
		{ "4", 'T', UNTIL(FILEMAP_FREE_FOLIO_BEFORE_PUT),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 0),
		  "truncate: out of the page cache, whose reference goes next" },
		{ "4.1", 'T', UNTIL(FOLIOS_PUT_BEFORE),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: folio_unlock()" },
		{ "5", 'F', UNTIL_OR_END(FILEMAP_MAP_SET_PTE),
		  CLAIM(2, 1, 1), STATE(1, 0, 1, 0, 0),
		  "filemap: resumes, sets up a PTE" },
		{ "7", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(1, 1, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: does not free" },
	},
	.bad = { { 'F', MM_SYNC_FILEMAP_MAP_SET_PTE } },
	.guard = GUARD('F', NEXT_UPTODATE_FOLIO_BEFORE_RELOAD, NEXT_UPTODATE_FOLIO_SKIP,
		       "xas_reload() in next_uptodate_folio()"),
},
{
	.id = "F.6",
	.title = "the report from step 6 on, the PTE of step 5 made as TCP receive zerocopy does",
	.pages = NEIGHBOUR_AFTER, .stand_in = true, .orphan = true,
	.actors = { ACTOR_TRUNCATE, ACTOR_MADVISE, ACTOR_TCP },
	.steps = {
		{ "4.1", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(1, 1, 0), STATE(2, 0, 1, 0, 0),
		  "truncate: out of the page cache, unlocked" },
		{ "5", 'Z', UNTIL(END),
		  CLAIM(2, 1, 0), STATE(3, 1, 1, 0, 0),
		  "sets up a PTE" },
		{ "6", 'M', UNTIL(MADVISE_PTE_AFTER_ISOLATE),
		  CLAIM(2, 0, 0), STATE(3, 1, 1, 0, 0),
		  "madvise: folio_isolate_lru() clears PG_lru" },
		{ "7", 'T', UNTIL(END),
		  CLAIM(1, 0, 0), STATE(2, 1, 1, 0, 0),
		  "truncate: folio_batch_release() does not free" },
	},
	.bad = { { 'M', MM_SYNC_ISOLATE_CLEARED } },
	.guard = GUARD('M', ISOLATE_BEFORE_ORPHAN, ISOLATE_REFUSED,
		       "folio_is_orphan() in folio_isolate_lru()"),
},
{
	.id = "F.8",
	.title = "the report's step 8, a reference standing in for the PTE of step 5",
	.pages = NEIGHBOUR_AFTER, .stand_in = true,
	.actors = { ACTOR_BAD, ACTOR_TRUNCATE, ACTOR_LOCK },
	.steps = {
		{ "a", 'U', UNTIL(TEST_1),
		  UNSAID, STATE(2, 0, 1, 1, 1),
		  "somebody has the folio locked for a moment" },
		{ "b", 'B', UNTIL(FIND_LOCK_ENTRIES_PUT),
		  UNSAID, STATE(3, 0, 1, 1, 1),
		  "bad: so its first pass leaves the folio to the second" },
		{ "c", 'U', UNTIL(END),
		  UNSAID, STATE(3, 0, 1, 0, 1),
		  "unlocked" },
		{ "0", 'B', UNTIL(FIND_GET_ENTRY_LOADED),
		  CLAIM(1, 1, 0), STATE(2, 0, 1, 0, 1),
		  "bad: entry loaded, preempted before folio_try_get()" },
		{ "7", 'T', UNTIL(END),
		  CLAIM(1, -1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: folio_batch_release() does not free" },
		{ "8", 'B', UNTIL_OR_END(TRUNCATE_LOCKED),
		  CLAIM(2, -1, 1), STATE(1, 0, 1, 0, 0),
		  "bad: resumes, collects the folio in its batch" },
	},
	.bad = { { 'B', MM_SYNC_TRUNCATE_LOCKED } },
	.guard = GUARD('B', FIND_GET_ENTRY_BEFORE_RELOAD, FIND_GET_ENTRY_STALE,
		       "xas_reload() in find_get_entry()"),
},
{
	.id = "F.9",
	.title = "the report's step 9: the folio is in the batch already when truncate removes it",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_TRUNCATE, ACTOR_BAD },
	.steps = {
		{ "2", 'T', UNTIL(FIND_LOCK_ENTRIES_LOCKED),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: find_lock_entries()" },
		{ "8", 'B', UNTIL(TRUNCATE_BEFORE_LOCK),
		  CLAIM(3, 1, 1), STATE(3, 0, 1, 1, 1),
		  "bad: collects the folio in its batch" },
		{ "7", 'T', UNTIL(END),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: out of the page cache; does not free" },
		{ "9", 'B', UNTIL_OR_END(FILEMAP_REMOVE_FOLIO_BEFORE_LOCK),
		  CLAIM(1, 1, 1), STATE(0, 0, 0, 0, 0),
		  "bad: filemap_remove_folio() drops a reference that is not the page cache's" },
		{ "10", 'B', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, -1, 0), UNSAID,
		  "bad: release_pages()" },
	},
	.bad = { { 'B', MM_SYNC_FILEMAP_REMOVE_FOLIO_BEFORE_LOCK } },
	.guard = GUARD('B', TRUNCATE_INODE_FOLIO_BEFORE_MAPPING, TRUNCATE_INODE_FOLIO_GONE,
		       "the test of the mapping, locked, in truncate_inode_folio()"),
},
{
	.id = "G",
	.title = "two truncates at once, as system calls on tmpfs",
	.pages = NEIGHBOUR_AFTER, .shmem = true,
	.skip = IS_ENABLED(CONFIG_TMPFS) ? NULL : "needs CONFIG_TMPFS",
	.actors = { ACTOR_FALLOCATE('T', "truncate"), ACTOR_FALLOCATE('B', "bad") },
	.steps = {
		{ "0", 'T', UNTIL(FIND_LOCK_ENTRIES_LOCKED),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: has the folio in its batch" },
		{ "1", 'B', UNTIL(WAIT),
		  CLAIM(3, 1, 1), STATE(2, 0, 1, 1, 1),
		  "bad: has it in its batch, too" },
		{ "2", 'T', UNTIL_OR_END(RELEASE_BEFORE_LRU),
		  CLAIM(0, 1, 0), STATE(0, 0, 1, 0, 0),
		  "truncate: goes on" },
	},
	.bad = { { 'B', MM_SYNC_FIND_GET_ENTRY_FOUND } },
	.guard = GUARD_LOCK('B', I_RWSEM,
			    "shmem_fallocate() takes it, as other file systems do"),
},
{
	.id = "G.lock",
	.title = "two truncates at once, without the file system's lock",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_TRUNCATE, ACTOR_BAD },
	.steps = {
		{ "0", 'T', UNTIL(TRUNCATE_BATCH_BEFORE_DELETE),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "truncate: has the folio in its batch" },
		{ "1", 'B', UNTIL(WAIT),
		  CLAIM(3, 1, 1), STATE(3, 0, 1, 1, 1),
		  "bad: has it in its batch, too" },
		{ "2", 'T', UNTIL(END),
		  CLAIM(2, 1, 0), STATE(1, 0, 1, 0, 0),
		  "truncate: removes it, puts it" },
		{ "3", 'B', UNTIL_OR_END(FILEMAP_REMOVE_FOLIO_BEFORE_LOCK),
		  CLAIM(1, 1, 1), STATE(0, 0, 0, 0, 0),
		  "bad: removes it once more" },
		{ "4", 'B', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, 1, 0), UNSAID,
		  "bad: puts it" },
	},
	.bad = { { 'B', MM_SYNC_FILEMAP_REMOVE_FOLIO_BEFORE_LOCK } },
	.guard = GUARD('B', TRUNCATE_INODE_FOLIO_BEFORE_MAPPING, TRUNCATE_INODE_FOLIO_GONE,
		       "the folio lock, then the test of the mapping in truncate_inode_folio()"),
},
{
	.id = "H",
	.title = "truncate and the removal in read_pages() of one folio",
	.pages = BIT(LAST),
	.actors = { ACTOR_READAHEAD, ACTOR_BAD },
	.steps = {
		{ "0", 'R', UNTIL(READ_PAGES_BEFORE_REMOVE),
		  CLAIM(3, 0, 1), STATE(3, 0, 0, 1, 1),
		  "readahead: about to remove the folio" },
		{ "1", 'B', UNTIL(WAIT),
		  CLAIM(4, 0, 1), STATE(3, 0, 1, 1, 1),
		  "truncate: has it in its batch" },
		{ "2", 'R', UNTIL(END),
		  CLAIM(2, 0, 0), STATE(1, 0, 1, 0, 0),
		  "readahead: removes it and puts it" },
		{ "3", 'B', UNTIL_OR_END(FILEMAP_REMOVE_FOLIO_BEFORE_LOCK),
		  CLAIM(1, 0, 1), STATE(0, 0, 0, 0, 0),
		  "truncate: removes it once more" },
	},
	.bad = { { 'B', MM_SYNC_FILEMAP_REMOVE_FOLIO_BEFORE_LOCK } },
	.guard = GUARD('B', TRUNCATE_INODE_FOLIO_BEFORE_MAPPING, TRUNCATE_INODE_FOLIO_GONE,
		       "the folio lock, then the test of the mapping in truncate_inode_folio()"),
},
{
	.id = "I",
	.title = "read_pages() puts twice",
	.pages = BIT(LAST),
	.actors = { ACTOR_READAHEAD, ACTOR_DRAIN },
	.steps = {
		{ "0", 'R', UNTIL(FOLIO_ADD_LRU_ADDED),
		  CLAIM(3, 0, 1), STATE(3, 0, 0, 1, 1),
		  "readahead: added: page cache, readahead, LRU batch" },
		{ "1", 'D', UNTIL(END),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "drain: on the LRU" },
		{ "2", 'R', UNTIL(READ_PAGES_BEFORE_GET),
		  CLAIM(1, 1, 1), STATE(1, 0, 1, 1, 1),
		  "readahead: its reference put by readahead_folio()" },
		{ "3", 'R', UNTIL(READ_PAGES_BEFORE_REMOVE),
		  CLAIM(2, 1, 1), STATE(2, 0, 1, 1, 1),
		  "readahead: folio_get()" },
		{ "4", 'R', UNTIL(READ_PAGES_BEFORE_UNLOCK),
		  CLAIM(1, 1, 1), STATE(1, 0, 1, 1, 0),
		  "readahead: filemap_remove_folio()" },
		{ "5", 'R', UNTIL(READ_PAGES_BEFORE_PUT),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 0),
		  "readahead: folio_unlock()" },
		{ "6", 'R', UNTIL(FOLIO_PUT_ZERO),
		  CLAIM(0, 1, 0), STATE(0, 0, 1, 0, 0),
		  "readahead: folio_put()" },
	},
	.guard = GUARD('R', READ_PAGES_BEFORE_PUT, FOLIO_PUT_ZERO,
		       "references 1-2-1-0: only the last put gets to zero, PG_lru set"),
},
{
	.id = "J",
	.title = "reclaim freezes two references that readahead relies on",
	.pages = BIT(LAST),
	.actors = { ACTOR_READAHEAD, ACTOR_DRAIN, ACTOR_RECLAIM },
	.steps = {
		{ "0", 'R', UNTIL(READ_PAGES_BEFORE_GET),
		  CLAIM(2, 0, 1), STATE(2, 0, 0, 1, 1),
		  "readahead: the references are the page cache's and the LRU batch's" },
		{ "1", 'D', UNTIL(END),
		  CLAIM(1, 1, 1), STATE(1, 0, 1, 1, 1),
		  "drain: on the LRU" },
		{ "2", 'K', UNTIL_OR_END(SHRINK_REMOVED),
		  CLAIM(0, 0, 1), STATE(1, 0, 1, 1, 1),
		  "reclaim: isolates, __remove_mapping() freezes 2 references" },
	},
	.bad = { { 'K', MM_SYNC_SHRINK_REMOVED } },
	.guard = GUARD('K', SHRINK_BEFORE_TRYLOCK, SHRINK_KEEP,
		       "folio_trylock() in shrink_folio_list()"),
},
{
	.id = "K",
	.title = "reclaim freezes two references, one of which is that of truncate's batch",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_TRUNCATE, ACTOR_RECLAIM },
	.steps = {
		{ "0", 'K', UNTIL(SHRINK_BEFORE_TRYLOCK),
		  CLAIM(2, 0, 0), STATE(2, 0, 0, 0, 1),
		  "reclaim: isolated" },
		{ "1", 'T', UNTIL(TRUNCATE_BATCH_UNLOCKED),
		  CLAIM(2, 0, 0), STATE(2, 0, 0, 0, 0),
		  "truncate: removed; two references, the batch's and the isolation's" },
		{ "2", 'K', UNTIL_OR_END(SHRINK_REMOVED),
		  CLAIM(0, 0, 1), STATE(1, 0, 1, 0, 0),
		  "reclaim: __remove_mapping() freezes 2 references" },
		{ "3", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "truncate: puts the batch" },
	},
	.bad = { { 'K', MM_SYNC_SHRINK_REMOVED } },
	.guard = GUARD('K', SHRINK_BEFORE_REMOVE, SHRINK_KEEP,
		       "the test of the mapping, locked, in shrink_folio_list()"),
},
{
	.id = "K.lock",
	.title = "the same, reclaim has read the mapping",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_TRUNCATE, ACTOR_RECLAIM },
	.steps = {
		{ "0", 'K', UNTIL(REMOVE_MAPPING_BEFORE_FREEZE),
		  CLAIM(2, 0, 1), STATE(2, 0, 0, 1, 1),
		  "reclaim: isolated, the mapping is there" },
		{ "1", 'T', UNTIL(WAIT),
		  CLAIM(2, 0, 0), STATE(3, 0, 0, 1, 1),
		  "truncate: out of the page cache" },
		{ "2", 'K', UNTIL_OR_END(SHRINK_REMOVED),
		  CLAIM(0, 0, 1), STATE(2, 0, 1, 0, 1),
		  "reclaim: __remove_mapping() freezes 2 references" },
	},
	.guard = GUARD_LOCK('T', FOLIO_LOCK,
			    "reclaim holds it from before it reads the mapping"),
},
{
	.id = "L",
	.title = "a non-atomic update of the flags loses PG_lru",
	.pages = NEIGHBOUR_AFTER, .undrained = true, .warnings = 1,
	.injected = PLAIN_WRITE,
	.actors = { ACTOR_FLAGS, ACTOR_DRAIN, ACTOR_TRUNCATE, ACTOR_VICTIM },
	.steps = {
		{ "0", 'W', UNTIL(TEST_1),
		  CLAIM(2, 0, 0), STATE(2, 0, 0, 0, 1),
		  "flags: read" },
		{ "1", 'D', UNTIL(END),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 1),
		  "drain: on the LRU list, PG_lru set" },
		{ "2", 'W', UNTIL(END),
		  CLAIM(1, 0, 0), STATE(1, 0, 0, 0, 1),
		  "flags: written back, PG_lru lost" },
		{ "3", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, 0, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: the last put frees the folio, still on the LRU list" },
		{ "4", 'T', UNTIL_OR_END(END),
		  UNSAID, UNSAID,
		  "truncate: goes on" },
		{ "5", 'V', UNTIL(END),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "victim: list_del corruption" },
	},
	.bad = { { 'T', MM_SYNC_FOLIOS_PUT_FREE } },
	.guard = GUARD('T', RELEASE_BEFORE_LRU, RELEASE_KEPT,
		       "the look at the links in __page_cache_release()"),
},
{
	.id = "L.putback",
	.title = "the same, compaction having the folio isolated, and putting it back",
	.pages = NEIGHBOUR_AFTER, .warnings = 1,
	.injected = PLAIN_WRITE,
	.actors = { ACTOR_FLAGS, ACTOR_COMPACT, ACTOR_TRUNCATE, ACTOR_VICTIM },
	.steps = {
		{ "0", 'C', UNTIL(TEST_2),
		  CLAIM(2, 0, 0), STATE(2, 0, 0, 0, 1),
		  "compact: isolated, PG_lru cleared" },
		{ "1", 'W', UNTIL(TEST_1),
		  CLAIM(2, 0, 0), STATE(2, 0, 0, 0, 1),
		  "flags: read" },
		{ "2", 'C', UNTIL(END),
		  CLAIM(1, 1, 0), STATE(1, 0, 1, 0, 1),
		  "compact: back on the LRU list, PG_lru set" },
		{ "3", 'W', UNTIL(END),
		  CLAIM(1, 0, 0), STATE(1, 0, 0, 0, 1),
		  "flags: written back, PG_lru lost" },
		{ "4", 'T', UNTIL_OR_END(FOLIOS_PUT_FREE),
		  CLAIM(0, 0, 0), STATE(0, 0, 0, 0, 0),
		  "truncate: the last put frees the folio, still on the LRU list" },
		{ "5", 'T', UNTIL_OR_END(END),
		  UNSAID, UNSAID,
		  "truncate: goes on" },
		{ "6", 'V', UNTIL(END),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "victim: list_del corruption" },
	},
	.bad = { { 'T', MM_SYNC_FOLIOS_PUT_FREE } },
	.guard = GUARD('T', RELEASE_BEFORE_LRU, RELEASE_KEPT,
		       "the look at the links in __page_cache_release()"),
},
{
	.id = "L.atomic",
	.title = "a drain as in L, and the flag is set atomically",
	.pages = NEIGHBOUR_AFTER, .undrained = true,
	.actors = { ACTOR_ATOMIC, ACTOR_DRAIN, ACTOR_TRUNCATE, ACTOR_VICTIM },
	.steps = {
		{ "0", 'W', UNTIL(TEST_1),
		  UNSAID, STATE(2, 0, 0, 0, 1),
		  "flags: about to be set" },
		{ "1", 'D', UNTIL(END),
		  UNSAID, STATE(1, 0, 1, 0, 1),
		  "drain: on the LRU list, PG_lru set" },
		{ "2", 'W', UNTIL(END),
		  UNSAID, STATE(1, 0, 1, 0, 1),
		  "flags: set, PG_lru as before" },
		{ "3", 'T', UNTIL(FOLIOS_PUT_FREE),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "truncate: the last put takes the folio off the LRU list" },
		{ "4", 'T', UNTIL(END),
		  UNSAID, UNSAID,
		  "truncate: goes on" },
		{ "5", 'V', UNTIL(END),
		  UNSAID, UNSAID,
		  "victim: the list is whole" },
	},
	.guard = GUARD('T', RELEASE_BEFORE_LRU, FOLIOS_PUT_FREE,
		       "an atomic set keeps PG_lru, so the release unlinks"),
},
{
	.id = "L.putback.atomic",
	.title = "a putback as in L.putback, and the flag is set atomically",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_ATOMIC, ACTOR_COMPACT, ACTOR_TRUNCATE, ACTOR_VICTIM },
	.steps = {
		{ "0", 'C', UNTIL(TEST_2),
		  UNSAID, STATE(2, 0, 0, 0, 1),
		  "compact: isolated, PG_lru cleared" },
		{ "1", 'W', UNTIL(TEST_1),
		  UNSAID, STATE(2, 0, 0, 0, 1),
		  "flags: about to be set" },
		{ "2", 'C', UNTIL(END),
		  UNSAID, STATE(1, 0, 1, 0, 1),
		  "compact: back on the LRU list, PG_lru set" },
		{ "3", 'W', UNTIL(END),
		  UNSAID, STATE(1, 0, 1, 0, 1),
		  "flags: set, PG_lru as before" },
		{ "4", 'T', UNTIL(FOLIOS_PUT_FREE),
		  UNSAID, STATE(0, 0, 0, 0, 0),
		  "truncate: the last put takes the folio off the LRU list" },
		{ "5", 'T', UNTIL(END),
		  UNSAID, UNSAID,
		  "truncate: goes on" },
		{ "6", 'V', UNTIL(END),
		  UNSAID, UNSAID,
		  "victim: the list is whole" },
	},
	.guard = GUARD('T', RELEASE_BEFORE_LRU, FOLIOS_PUT_FREE,
		       "an atomic set keeps PG_lru, so the release unlinks"),
},
};

/* ---- running one -------------------------------------------------------- */

static int actor_index(const struct scenario *sc, char lane)
{
	for (int i = 0; i < MAX_ACTORS && sc->actors[i].lane; i++)
		if (sc->actors[i].lane == lane)
			return i;
	return -1;
}

static int actor_thread(void *data)
{
	struct replay_actor *actor = data;
	struct race *race = &actor->replay->race;
	const struct scenario *sc = actor->replay->sc;
	const struct actor *role = sc->actors + actor->index;
	struct kunit_suppressed_warning *warnings = NULL;

	kthread_use_mm(race->mm);
	if (sc->warnings && !role->loud)
		warnings = kunit_start_suppress_warning(race->test);
	if (!mm_sync_join(actor->run, actor->index)) {
		role->fn(race);
		/* PG_lru of what it has put back */
		lru_add_drain();
	}
	mm_sync_leave(actor->run);
	actor->warnings = kunit_suppressed_warning_count(warnings);
	kunit_end_suppress_warning(race->test, warnings);
	kthread_unuse_mm(race->mm);
	return 0;
}

static bool same_state(const struct state *want, const struct mm_sync_state *is)
{
	return (want->refs < 0 || want->refs == is->refs) &&
	       (want->mapcount < 0 || want->mapcount == is->mapcount) &&
	       (want->lru < 0 || want->lru == is->lru) &&
	       (want->locked < 0 || want->locked == is->locked) &&
	       (want->cached < 0 || want->cached == is->cached);
}

static const char *state_text(char *buf, size_t size, const struct state *state)
{
	static const char * const names[] = { "refs", "mapcount", "lru", "locked", "cached" };
	const int values[] = { state->refs, state->mapcount, state->lru, state->locked,
			       state->cached };
	int len = 0;

	strscpy(buf, "-", size);
	for (int i = 0; i < ARRAY_SIZE(values); i++)
		if (values[i] >= 0)
			len += scnprintf(buf + len, size - len, "%s%s=%d", len ? " " : "",
					 names[i], values[i]);
	return buf;
}

static const struct mm_sync_event *event_of_step(const struct mm_sync_run *run, int step)
{
	for (int i = 0; i < run->nr_events; i++)
		if (run->events[i].ends_step && run->events[i].step == step)
			return run->events + i;
	return NULL;
}

static bool guard_held(const struct scenario *sc, const struct mm_sync_run *run)
{
	const struct guard *guard = &sc->guard;
	int who = actor_index(sc, guard->actor);
	enum mm_sync_point last = MM_SYNC_END;

	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		if (event->actor != who)
			continue;
		if (event->point == guard->to &&
		    (guard->to == MM_SYNC_WAIT ? event->lock == guard->lock : last == guard->from))
			return true;
		last = event->point;
	}
	return false;
}

/* Did an actor get to a point that the claim needs and the kernel must not let it? */
static const struct mm_sync_event *bad_event(const struct scenario *sc,
					     const struct mm_sync_run *run)
{
	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		for (int j = 0; j < MAX_BAD && sc->bad[j].actor; j++)
			if (event->actor == actor_index(sc, sc->bad[j].actor) &&
			    event->point == sc->bad[j].point)
				return event;
	}
	return NULL;
}

/* What must never be, in whichever scenario */
static const char *violated(const struct scenario *sc, const struct mm_sync_run *run)
{
	int frees = 0;

	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		if (race_bad_free(event))
			return race_bad_free(event);
		if (mm_sync_is_free(event->point) && ++frees > 1)
			return "the folio is freed twice";
		if (event->state.mapcount && !event->state.cached && !sc->orphan)
			return "a PTE maps the folio, which has left the page cache";
	}
	return NULL;
}

static void label_of(const void *data, int step, char *label)
{
	const struct scenario *sc = data;

	strscpy(label, sc->steps[step].label, RACE_MAX_LABEL);
}

static struct race_story story_of(const struct scenario *sc)
{
	return (struct race_story){
		.id = sc->id, .title = sc->title, .injected = sc->injected,
		.actors = sc->actors, .label = label_of, .data = sc,
	};
}

static void print_run(const struct scenario *sc, const struct mm_sync_run *run)
{
	const struct race_story story = story_of(sc);
	char claim[64];

	race_print_run(run, &story);
	for (int i = 0; i < run->nr_steps; i++) {
		const struct mm_sync_event *event = event_of_step(run, i);
		const struct step *step = sc->steps + i;
		const char *how = "missing";

		if (event)
			how = same_state(&step->seen, &event->state) ? "ok" : "differs";
		else if (step->until.or_end)
			how = "ok";
		state_text(claim, sizeof(claim), &step->claim);
		race_print_step(&story, i, step->actor, step->until.point, claim, event, how,
				step->text);
	}
}

static const char *error_text(const struct scenario *sc, const struct mm_sync_run *run,
			      char *buf, size_t size)
{
	static const struct step rest = { "after the last", .until = UNTIL(END) };
	const struct step *step = run->err_step < run->nr_steps ? sc->steps + run->err_step : &rest;
	const char *until = mm_sync_point_name(step->until.point);
	char lane = sc->actors[run->err_actor].lane;

	switch (run->err) {
	case -ESRCH:
		scnprintf(buf, size, "step %s: %c ended and did not come to %s", step->label,
			  lane, until);
		break;
	case -EDEADLK:
		scnprintf(buf, size, "step %s: %c has to wait for the %s", step->label, lane,
			  mm_sync_lock_name(run->err_lock));
		break;
	case -EWOULDBLOCK:
		scnprintf(buf, size, "step %s: %c can't be held at %s: interrupts are off",
			  step->label, lane, until);
		break;
	case -ETIMEDOUT:
		scnprintf(buf, size, "step %s: %c did not come to %s within %u ms", step->label,
			  lane, until, run->stall_ms);
		break;
	case -EOWNERDEAD:
		scnprintf(buf, size, "step %s: %c is dead", step->label, lane);
		break;
	case -EINVAL:
		scnprintf(buf, size, "step %s: %c has ended already", step->label, lane);
		break;
	default:
		scnprintf(buf, size, "step %s: error %d", step->label, run->err);
	}
	return buf;
}

static void judge(struct kunit *test, const struct scenario *sc, const struct mm_sync_run *run,
		  int runs)
{
	const struct mm_sync_event *bad = bad_event(sc, run);
	const struct race_story story = story_of(sc);
	const char *verdict = "refuted", *wrong = violated(sc, run);
	char reason[160];

	strscpy(reason, sc->guard.text);
	if (run->err) {
		verdict = "error";
		error_text(sc, run, reason, sizeof(reason));
	} else if (bad) {
		verdict = "reproduced";
		scnprintf(reason, sizeof(reason), "%s came to %s",
			  sc->actors[bad->actor].name, mm_sync_point_name(bad->point));
	} else if (wrong) {
		verdict = "reproduced";
		strscpy(reason, wrong);
	} else if (!guard_held(sc, run)) {
		verdict = "error";
		scnprintf(reason, sizeof(reason), "not by this guard: %s", sc->guard.text);
	} else if (sc->guard.to == MM_SYNC_WAIT) {
		verdict = "blocked";
		scnprintf(reason, sizeof(reason), "%s: %s", mm_sync_lock_name(sc->guard.lock),
			  sc->guard.text);
	}
	if (run->err || bad || wrong || !guard_held(sc, run))
		KUNIT_FAIL(test, "%s: %s: %s", sc->id, verdict, reason);
	for (int i = 0; i < run->nr_steps; i++) {
		const struct mm_sync_event *event = event_of_step(run, i);

		if (event && same_state(&sc->steps[i].seen, &event->state))
			continue;
		if (!event && sc->steps[i].until.or_end)
			continue;
		KUNIT_FAIL(test, "%s: step %s is %s", sc->id, sc->steps[i].label,
			   event ? "not as expected" : "missing");
	}
	race_print_verdict(&story, verdict, reason, runs);
}

static void set_up(struct replay *replay)
{
	const struct scenario *sc = replay->sc;
	struct race *race = &replay->race;
	struct mm_sync_run *run;

	run = kzalloc_obj(*run);
	KUNIT_ASSERT_NOT_NULL(race->test, run);
	race->run = run;
	race->pages = sc->pages;
	race->advice = MADV_PAGEOUT;
	for (pgoff_t index = 0; index < NR_PAGES; index++) {
		struct folio *folio;

		if (!(sc->pages & BIT(index)))
			continue;
		folio = race_add_page(race, index);
		if (index == INDEX)
			run->folio = folio;
		race->neighbour = folio;
	}
	if (!sc->undrained)
		lru_add_drain();
	if (sc->mapped)
		race_fault(race, race->addr + INDEX * PAGE_SIZE);
	if (sc->stand_in)
		folio_get(run->folio);

	run->mapping = race->mapping;
	run->index = INDEX;
	run->steps = replay->steps;
	for (int i = 0; i < MAX_STEPS && sc->steps[i].label; i++) {
		replay->steps[i].actor = actor_index(sc, sc->steps[i].actor);
		replay->steps[i].until = sc->steps[i].until.point;
		replay->steps[i].or_end = sc->steps[i].until.or_end;
		run->nr_steps++;
	}
	while (run->nr_actors < MAX_ACTORS && sc->actors[run->nr_actors].lane)
		run->nr_actors++;
}

static void tear_down(struct replay *replay)
{
	struct race *race = &replay->race;

	if (replay->sc->stand_in)
		folio_put(race->run->folio);
	if (race->run->folio && race_went_by(race, MM_SYNC_RELEASE_KEPT))
		race_free_kept(race);
	unmap_mapping_range(race->mapping, 0, 0, 1);
	race_truncate(race, FIRST, LAST);
	lru_add_drain();
}

/* Run the scenario once; the run is race.run afterwards */
static void run_once(struct replay *replay)
{
	const struct scenario *sc = replay->sc;
	struct race *race = &replay->race;
	struct mm_sync_run *run = race->run;
	struct kunit *test = race->test;
	bool tainted = test_taint(TAINT_WARN);
	int warnings = 0;
	int ret;

	ret = mm_sync_begin(run);
	KUNIT_ASSERT_EQ_MSG(test, ret, 0, "another run, or a bad schedule");
	for (int i = 0; i < run->nr_actors; i++) {
		struct replay_actor *actor = replay->actors + i;

		actor->replay = replay;
		actor->run = run;
		actor->index = i;
		actor->task = race_start_thread(actor_thread, actor, "folio_race/%u");
	}
	mm_sync_start(run);
	ret = mm_sync_finish(run);
	if (ret == -EBUSY) {
		replay->stuck = true;
		get_file(race->file);
		mmget(race->mm);
		KUNIT_FAIL_AND_ABORT(test, "actors are stuck: %s", sc->id);
	}
	for (int i = 0; i < run->nr_actors; i++) {
		struct replay_actor *actor = replay->actors + i;

		if (!actor->task)
			continue;
		kthread_stop_put(actor->task);
		actor->task = NULL;
		warnings += actor->warnings;
	}
	KUNIT_EXPECT_EQ_MSG(test, warnings, sc->warnings, "%s: warnings", sc->id);
	if (!sc->warnings)
		KUNIT_EXPECT_EQ_MSG(test, test_taint(TAINT_WARN), tainted, "%s: there was a WARN",
				    sc->id);
	KUNIT_EXPECT_TRUE_MSG(test, debug_locks, "lockdep has turned itself off");
}

static bool same_run(const struct mm_sync_run *a, const struct mm_sync_run *b)
{
	return a->err == b->err && a->nr_events == b->nr_events &&
	       !memcmp(a->events, b->events, a->nr_events * sizeof(a->events[0]));
}

static void free_run(void *run)
{
	kfree(run);
}

static void replay(struct kunit *test)
{
	const struct scenario *sc = test->param_value;
	struct mm_sync_run *first = NULL;
	struct replay *replay = test->priv;
	struct race *race = &replay->race;
	int runs = 0;

	if (only && strcmp(only, sc->id))
		kunit_skip(test, "folio_race_kunit.only=%s", only);
	if (sc->skip) {
		pr_info("skip %s|%s\n", sc->id, sc->skip);
		kunit_skip(test, "%s", sc->skip);
	}
	replay->sc = sc;
	while (runs < max(repeat, 1)) {
		/* What warns once, anywhere, is to warn each time */
		memset(__start_once, 0, __end_once - __start_once);
		set_up(replay);
		run_once(replay);
		tear_down(replay);
		runs++;
		if (!first) {
			first = race->run;
			race->run = NULL;
			KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_run, first));
			continue;
		}
		if (!same_run(first, race->run)) {
			KUNIT_FAIL(test, "%s: run %d (error %d) is not as the first (error %d)",
				   sc->id, runs, race->run->err, first->err);
			print_run(sc, race->run);
			break;
		}
		kfree(race->run);
		race->run = NULL;
	}
	print_run(sc, first);
	judge(test, sc, first, runs);
}

/* ---- who takes no part is not held -------------------------------------- */

static unsigned long scanned_by_kswapd(void)
{
	return global_node_page_state(PGSCAN_KSWAPD);
}

/* Add clean folios to the page cache until kswapd has had to look at some */
static void make_pressure(struct race *race)
{
	struct replay *replay = container_of(race, struct replay, race);
	struct address_space *mapping = replay->filler->f_mapping;
	pgoff_t end = replay->nr_filled + 4 * totalram_pages();
	unsigned long before = scanned_by_kswapd();

	while (replay->nr_filled < end) {
		struct folio *folio = filemap_alloc_folio(GFP_KERNEL, 0, NULL);

		if (!folio)
			break;
		if (!filemap_add_folio(mapping, folio, replay->nr_filled, GFP_KERNEL)) {
			folio_mark_uptodate(folio);
			folio_unlock(folio);
		}
		folio_put(folio);
		if (++replay->nr_filled % 1024 == 0 && scanned_by_kswapd() > before + 1024)
			break;
		cond_resched();
	}
}

/*
 * One actor is held under RCU, another one with the folio locked, and a third
 * one makes the machine run short of memory: kswapd goes by the points.
 */
static const struct scenario pressure = {
	.id = "kswapd",
	.pages = NEIGHBOUR_AFTER,
	.actors = { ACTOR_FILEMAP, ACTOR_TRUNCATE,
		    { 'P', "pressure", "fills the memory", make_pressure } },
	.steps = {
		{ "0", 'F', UNTIL(NEXT_UPTODATE_FOLIO_LOADED) },
		{ "1", 'T', UNTIL(FIND_LOCK_ENTRIES_LOCKED) },
		{ "2", 'P', UNTIL(END) },
	},
};

static void kswapd_passes(struct kunit *test)
{
	struct replay *replay = test->priv;
	struct race *race = &replay->race;
	unsigned long scanned, bystanders;

	if (only)
		kunit_skip(test, "folio_race_kunit.only=%s", only);
	replay->filler = race_open_ramfs();
	KUNIT_ASSERT_FALSE(test, IS_ERR(replay->filler));
	/*
	 * Fill the memory before an actor is held under RCU: on a slow machine
	 * that takes longer than RCU lets a grace period last.
	 */
	make_pressure(race);

	replay->sc = &pressure;
	set_up(replay);
	race->run->stall_ms = 10 * MSEC_PER_SEC;
	scanned = scanned_by_kswapd();
	bystanders = mm_sync_bystanders();
	run_once(replay);
	tear_down(replay);
	KUNIT_EXPECT_EQ(test, race->run->err, 0);
	KUNIT_EXPECT_GT(test, scanned_by_kswapd(), scanned);
	KUNIT_EXPECT_GT(test, mm_sync_bystanders(), bystanders);
	pr_info("kswapd scanned %lu pages; points passed by threads that take no part: %lu\n",
		scanned_by_kswapd() - scanned, mm_sync_bystanders() - bystanders);
	kfree(race->run);
	race->run = NULL;
}

/* ---- suite -------------------------------------------------------------- */

static int race_init(struct kunit *test)
{
	const struct scenario *sc = test->param_value;
	struct replay *replay;

	replay = kzalloc_obj(*replay);
	if (!replay)
		return -ENOMEM;
	test->priv = replay;
	return race_open(&replay->race, test, sc && sc->shmem, NR_PAGES);
}

static void race_exit(struct kunit *test)
{
	struct replay *replay = test->priv;

	if (!replay || replay->stuck)
		return;
	if (!IS_ERR_OR_NULL(replay->filler))
		__fput_sync(replay->filler);
	kfree(replay->race.run);
	kfree(replay);
}

static void scenario_desc(const struct scenario *sc, char *desc)
{
	strscpy(desc, sc->id, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(scenario, scenarios, scenario_desc);

static struct kunit_case race_cases[] = {
	KUNIT_CASE_PARAM(replay, scenario_gen_params),
	KUNIT_CASE_SLOW(kswapd_passes),
	{}
};

static struct kunit_suite race_suite = {
	.name = "folio_race",
	.init = race_init,
	.exit = race_exit,
	.test_cases = race_cases,
};

kunit_test_suites(&race_suite);
