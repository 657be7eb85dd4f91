// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: all interleavings of a few actors on one folio.
 *
 * This is the model: the folio and its file, what the actors do, the states, and
 * what must hold whatever the order.  The search is in folio_explore.c.
 *
 * A spec says what is explored: a letter for each actor, then how, for instance
 * FTM/before/cold.  See actors[] and options[].  A schedule that fails is printed
 * as a line that folio_explore_kunit.schedule= takes.
 */
#define pr_fmt(fmt) "folio_explore: " fmt

#include <kunit/test.h>
#include <linux/debug_locks.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/swapops.h>
#include <linux/vmalloc.h>
#include <linux/writeback.h>
#include <asm/sections.h>
#include "../../mm/internal.h"
#include "../../mm/swap.h"
#include "folio_explore.h"
#include "folio_race.h"

/* Where actor R puts the page: in the file, but not in the mapping */
#define REUSE_INDEX	NR_PAGES
#define FILE_PAGES	(NR_PAGES + 1)
/* What is left of the file when its size is changed */
#define CUT_PAGES	1
#define LARGE_ORDER	2
#define PAIR_ORDER	1

/* For sets of which it is known that they have few states */
#define STATES_LOG2	19
#define FEW_STATES_LOG2	12

static char *actors_param;
module_param_named(actors, actors_param, charp, 0444);
MODULE_PARM_DESC(actors, "explore these, for instance FTM/before,FTK: see the source for more");

static int bound = -1;
module_param(bound, int, 0444);
MODULE_PARM_DESC(bound, "at most so many preemptions in a schedule (default: any number)");

static bool prune = true;
module_param(prune, bool, 0444);
MODULE_PARM_DESC(prune, "do not go on from a state that was seen before");

static bool coarse;
module_param(coarse, bool, 0444);
MODULE_PARM_DESC(coarse, "do not decide at the points of inner[]");

static unsigned int random_schedules = 64;
module_param_named(random, random_schedules, uint, 0444);
MODULE_PARM_DESC(random, "how many random schedules come first");

static unsigned int seed = 1;
module_param(seed, uint, 0444);
MODULE_PARM_DESC(seed, "of the random schedules");

static unsigned long most;
module_param(most, ulong, 0444);
MODULE_PARM_DESC(most, "leave a set after so many schedules (default: explore all)");

static char *shard;
module_param(shard, charp, 0444);
MODULE_PARM_DESC(shard, "i/N: explore the i-th of N parts of the choice tree only");

static char *schedule_param;
module_param_named(schedule, schedule_param, charp, 0444);
MODULE_PARM_DESC(schedule, "run this schedule once, as printed for one that failed");

static unsigned int states_log2 = 22;
module_param(states_log2, uint, 0444);
MODULE_PARM_DESC(states_log2, "log2 of how many states can be told apart");

enum check {
	CHECK_PTE,
	CHECK_INDEX,
	CHECK_BEYOND,
	CHECK_LOOKUP,
	CHECK_PLACE,
	CHECK_DIRTY,
	CHECK_FREE,
	CHECK_TWICE,
	CHECK_TAIL,
	CHECK_RANGE,
	CHECK_ENTRY,
	CHECK_CONTENT,
	CHECK_SLOT,
	CHECK_BOTH,
	CHECK_REFS,
	CHECK_LEAK,
	CHECK_LRU,
	CHECK_ISOLATE,
	CHECK_TAINT,
	CHECK_LOCKDEP,
	CHECK_EMPTY,
	CHECK_INODE,
	CHECK_LOST,
	CHECK_STUCK,
};

/* What is checked after each schedule, the first ones at each decision as well */
static const struct explore_check checks[] = {
	[CHECK_PTE]	= { "pte", "a PTE maps a folio that is not in the page cache" },
	[CHECK_INDEX]	= { "index", "a PTE maps a folio of another index" },
	[CHECK_BEYOND]	= { "beyond", "a PTE maps a page beyond the end of the file" },
	[CHECK_LOOKUP]	= { "lookup", "a lookup returns a folio of another index", "X/large" },
	[CHECK_PLACE]	= { "place", "the page cache has a folio at another index", "X/large" },
	[CHECK_DIRTY]	= { "dirty", "a folio leaves the page cache under writeback" },
	[CHECK_FREE]	= { "free", "the folio is freed while it is in use" },
	[CHECK_TWICE]	= { "twice", "the folio is freed twice" },
	[CHECK_TAIL]	= { "tail", "a part of the folio is freed twice, or in use", "X/large" },
	[CHECK_RANGE]	= { "range", "the page cache is not as the truncation must leave it" },
	[CHECK_ENTRY]	= { "entry", "a PTE is left as migration has made it" },
	[CHECK_CONTENT]	= { "content", "what is read is not what was written", "X/swap" },
	[CHECK_SLOT]	= { "slot", "there are more or fewer swap slots than entries", "X/swap" },
	[CHECK_BOTH]	= { "both", "a folio is in page cache and swap cache at once", "X/swap" },
	[CHECK_REFS]	= { "refs", "a part has more or fewer references than users", "X/large" },
	[CHECK_LEAK]	= { "leak", "the folio can't be freed: a reference too many" },
	[CHECK_LRU]	= { "lru", "the LRU lists and their counts do not agree" },
	[CHECK_ISOLATE]	= { "isolate", "a folio is isolated that must not be" },
	[CHECK_TAINT]	= { "taint", "the kernel has reported something" },
	[CHECK_LOCKDEP]	= { "lockdep", "lockdep has turned itself off" },
	[CHECK_EMPTY]	= { "empty", "a file is evicted that has pages or shadows of pages", "EX" },
	[CHECK_INODE]	= { "inode", "a file is evicted that has a lock which is held", "EX" },
	[CHECK_LOST]	= { "lost", "an actor waits for a folio lock that nobody holds", "YX" },
	[CHECK_STUCK]	= { "stuck", "the actors can't go on" },
};

struct spec {
	char text[48];
	unsigned int nr_actors;
	struct actor actors[MM_SYNC_MAX_ACTORS];
	unsigned int may;		/* what any of them may do */
	unsigned int order;		/* of the folio */
	pgoff_t index;
	bool before;			/* the neighbour comes before the folio */
	bool mapped;			/* the folio is mapped at the start, elsewhere */
	bool cold;
	bool invalidate;
	bool shmem;
	bool swap;			/* shmem, with a disk to swap to */
	bool large;			/* it has the neighbour's page as well */
	bool pair;			/* it has two pages, the neighbour has another */
	bool size;			/* T changes the size of the file; E finds it changed */
	bool dirty;			/* the folio is */
	unsigned long reusers;		/* actors that may reuse the page */
};

struct model {
	struct explorer ex;
	struct race race;
	struct spec spec;
	unsigned long addr2;		/* another mapping of just the folio's page */
	pte_t *ptes[NR_PAGES + 1];	/* of both mappings */
	struct lruvec *lruvec;
	u64 written;			/* at the start of the folio */
	void *entries[4];		/* swap entries that the page has had */
	unsigned int nr_entries;
	long free_slots;
	bool unmapped;			/* by E, so that H faults no more */
	enum check sabotage;		/* for actor X: which check is to fail */
	unsigned long taint;
};

static struct model *model_of(struct explorer *ex)
{
	return container_of(ex, struct model, ex);
}

static struct model *model_of_race(struct race *race)
{
	return container_of(race, struct model, race);
}

static unsigned int nr_parts(const struct spec *spec)
{
	return 1 << spec->order;
}

/* Is page @part of what the folio was in the beginning free, and kept? */
static bool part_is_kept(const struct model *m, unsigned int part)
{
	return m->ex.run.kept_pages & BIT(part);
}

/* The folio that begins with this page, if one does */
static struct folio *folio_of_part(const struct model *m, unsigned int part)
{
	struct page *page = folio_page(m->ex.run.folio, 0) + part;
	struct folio *folio = page_folio(page);

	return !part_is_kept(m, part) && folio_page(folio, 0) == page ? folio : NULL;
}

static void check_failed(struct model *m, enum check check)
{
	m->ex.failed |= BIT(check);
}

/* ---- actors ------------------------------------------------------------- */

static void second_pass(struct race *race)
{
	if (model_of_race(race)->spec.invalidate)
		invalidate_mapping_pages(race->mapping, INDEX, INDEX);
	else	/* The folio is not the first or last in the range, which go their own ways */
		race_truncate(race, INDEX - 1, INDEX + 1);
}

static void put_reference(struct race *race)
{
	folio_put(race->run->folio);
}

static bool came_by(struct race *race, unsigned int may, enum mm_sync_point point)
{
	for (int i = 0; i < race->run->nr_events; i++)
		if (race->run->events[i].point == point &&
		    model_of_race(race)->spec.actors[race->run->events[i].actor].may & may)
			return true;
	return false;
}

/* Between two steps, and where nobody can be held */
static void look_up(struct model *m, pgoff_t index)
{
	struct folio *folio = filemap_get_entry(m->race.mapping, index);

	if (!folio || xa_is_value(folio))
		return;
	if (!folio_contains(folio, index)) {
		check_failed(m, CHECK_LOOKUP);
		scnprintf(m->ex.wrong, sizeof(m->ex.wrong),
			  "a lookup of page %lu returns the folio at page %lu", index,
			  folio->index);
	}
	folio_put(folio);
}

/* What is read when all are @done, or before? */
static void check_content(struct model *m, const struct folio *folio, bool done)
{
	bool may_be_gone = m->spec.may & MAY_TRUNCATE;
	u64 is = folio ? *(u64 *)folio_address(folio) : 0;

	if (is ? is != m->written || (done && may_be_gone) : !may_be_gone)
		check_failed(m, CHECK_CONTENT);
}

/* As read() does: it is swapped in if need be */
static void read_page(struct model *m, bool done)
{
	struct folio *folio = NULL;

	shmem_get_folio(m->race.mapping->host, INDEX, 0, &folio, SGP_READ);
	check_content(m, folio, done);
	if (!folio)
		return;
	folio_unlock(folio);
	folio_put(folio);
}

/* The last page, which a split gets to last */
static void look_up_page(struct race *race)
{
	struct model *m = model_of_race(race);

	if (m->spec.swap)
		read_page(m, false);
	else
		look_up(m, m->spec.index + nr_parts(&m->spec) - 1);
}

/*
 * An actor is where it can't be held, with interrupts off.  Elsewhere, others go
 * on: to look a page up takes no lock, and none of them comes by a point then
 * which matters to others.  Who finds a folio that is frozen would try again.
 */
static void passed(struct mm_sync_run *run)
{
	struct model *m = model_of(container_of(run, struct explorer, run));

	if (!(m->spec.may & MAY_LOOK) || m->spec.swap)
		return;
	for (int i = 0; i < nr_parts(&m->spec) && !m->ex.wrong[0]; i++) {
		pgoff_t index = m->spec.index + i;
		struct folio *folio = xa_load(&m->race.mapping->i_pages, index);
		size_t len;

		if (!folio || xa_is_value(folio) || !folio_ref_count(folio))
			continue;
		look_up(m, index);
		len = strlen(m->ex.wrong);
		if (len)
			scnprintf(m->ex.wrong + len, sizeof(m->ex.wrong) - len, " at %s",
				  mm_sync_point_name(run->events[run->nr_events - 1].point));
	}
}

/* With a reference, for whatever reason: what has page @part then stays locked */
static void split_keeping(struct race *race, unsigned int part)
{
	struct page *page = folio_page(race->run->folio, 0) + part;
	struct folio *folio = page_folio(page);

	if (!folio_try_get(folio))
		return;
	mm_sync_point(TEST_1, folio);
	folio_lock(folio);
	if (folio_test_large(folio))
		split_huge_page(page);
	folio = page_folio(page);
	folio_unlock(folio);
	folio_put(folio);
}

static void split_whole(struct race *race)
{
	split_keeping(race, 0);
}

/* As who takes that page offline */
static void split_offline(struct race *race)
{
	split_keeping(race, nr_parts(&model_of_race(race)->spec) - 1);
}

/* Under writeback, as a user of the page cache without a reference */
static struct folio *start_writeback(struct race *race, bool drop)
{
	struct folio *folio = race->run->folio;
	bool started = false;

	if (!folio_try_get(folio))
		return NULL;
	folio_lock(folio);
	if (folio->mapping == race->mapping && !folio_test_writeback(folio) &&
	    folio->index == model_of_race(race)->spec.index) {
		if (drop)
			folio_set_dropbehind(folio);
		folio_start_writeback(folio);
		started = true;
	}
	folio_unlock(folio);
	folio_put(folio);
	return started ? folio : NULL;
}

/* RWF_DONTCACHE: what was written is dropped when that is done */
static void write_and_drop(struct race *race)
{
	struct folio *folio = start_writeback(race, true);

	if (!folio)
		return;
	mm_sync_point(TEST_1, folio);
	folio_end_writeback(folio);
}

static void write_again(struct race *race)
{
	struct folio *folio = start_writeback(race, false);

	if (!folio)
		return;
	mm_sync_point(TEST_1, folio);
	if (folio->mapping != race->mapping)
		check_failed(model_of_race(race), CHECK_DIRTY);
	else
		folio_end_writeback(folio);
}

/* A caller of folio_isolate_lru() that believes in its reference, and puts it */
static void isolate_stale(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (folio_isolate_lru(folio))
		folio_putback_lru(folio);
	else if (came_by(race, MAY_ISOLATE, MM_SYNC_ISOLATE_STALE) &&
		 came_by(race, MAY_ISOLATE, MM_SYNC_ISOLATE_BEFORE_COUNT))
		folio_put(folio);
}

/*
 * What a non-atomic update of the flags does to PG_lru, if that is set meanwhile.
 * (To the other flags as well, which is another matter.)
 */
static void lose_lru(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (!folio_try_get(folio))
		return;
	if (!folio_test_lru(folio)) {
		mm_sync_point(TEST_1, folio);
		clear_bit(PG_lru, &folio->flags.f);
	}
	folio_put(folio);
}

/* The page is free: it becomes another page of the file */
static void reuse(struct race *race)
{
	if (!mm_sync_reuse(race->run))
		return;
	model_of_race(race)->ex.epoch++;
	if (race_add_folio(race, race->run->folio, REUSE_INDEX))
		model_of_race(race)->ex.error = "the freed page can't be added to the page cache";
}

/* The page is read again: into the same page, if that is free */
static void insert(struct race *race)
{
	struct folio *folio;

	if (model_of_race(race)->spec.swap) {
		race_fault(race, race->addr + INDEX * PAGE_SIZE);
		return;
	}
	folio = mm_sync_reuse(race->run);
	if (folio)
		model_of_race(race)->ex.epoch++;
	else
		folio = folio_alloc(GFP_KERNEL, 0);
	if (folio)	/* It may be there still */
		race_add_folio(race, folio, INDEX);
}

/*
 * A fault that was tried before.  It may not drop the mmap_lock to wait for the folio
 * lock, but drops it when it is killed.  No PTE that is present: see race_fault().
 */
static void fault_again(struct race *race)
{
	const unsigned int flags = FAULT_FLAG_ALLOW_RETRY | FAULT_FLAG_TRIED | FAULT_FLAG_KILLABLE;
	unsigned long addr = race->addr + INDEX * PAGE_SIZE;
	struct model *m = model_of_race(race);
	struct vm_area_struct *vma;
	vm_fault_t ret = 0;

	mmap_read_lock(race->mm);
	vma = vma_lookup(race->mm, addr);
	if (vma && !m->unmapped && !pte_present(ptep_get(m->ptes[INDEX])))
		ret = handle_mm_fault(vma, addr, flags, NULL);
	if (!(ret & VM_FAULT_RETRY))
		mmap_read_unlock(race->mm);
}

/* munmap(), and close(), by whoever had it mapped */
static void unmap(struct race *race)
{
	mmap_write_lock(race->mm);
	unmap_mapping_range(race->mapping, 0, 0, 1);
	model_of_race(race)->unmapped = true;
	mmap_write_unlock(race->mm);
}

/* The inode would be freed next */
static void evict(struct race *race)
{
	struct model *m = model_of_race(race);

	if (m->spec.may & FAULTS_IT)
		unmap(race);
	truncate_inode_pages_final(race->mapping);
	if (rwsem_is_locked(&race->mapping->i_mmap_rwsem) ||
	    rwsem_is_locked(&race->mapping->invalidate_lock))
		check_failed(m, CHECK_INODE);
}

static void lock_for_a_moment(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (!folio_try_get(folio))
		return;
	folio_lock(folio);
	mm_sync_point(TEST_1, folio);
	folio_unlock(folio);
	folio_put(folio);
}

static void lock_killable(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (!folio_try_get(folio))
		return;
	if (!folio_lock_killable(folio))
		folio_unlock(folio);
	folio_put(folio);
}

static void kill_actor(struct race *race)
{
	struct model *m = model_of_race(race);

	for (int i = 0; i < m->spec.nr_actors; i++)
		if (m->spec.actors[i].may & MAY_BE_KILLED)
			send_sig(SIGKILL, m->ex.threads[i].task, 1);
}

static void miscount(struct model *m, int nr)
{
	spin_lock_irq(&m->lruvec->lru_lock);
	update_lru_size(m->lruvec, LRU_INACTIVE_FILE, folio_zonenum(m->ex.run.folio), nr);
	spin_unlock_irq(&m->lruvec->lru_lock);
}

/* Do what just one of the checks must report */
static void sabotage(struct race *race)
{
	struct model *m = model_of_race(race);
	struct folio *folio = race->run->folio;
	struct wait_page_queue never = { .folio = folio };

	switch (m->sabotage) {
	case CHECK_PTE:
		folio_get(folio);
		race_truncate_page(race);
		race_map_orphan(race);
		break;
	case CHECK_INDEX:
		race_insert_page(race, FIRST);
		break;
	case CHECK_BEYOND:
		race_fault_neighbour(race);
		i_size_write(race->mapping->host, 0);
		break;
	case CHECK_LOOKUP:
		folio->index = LAST;
		local_irq_disable();
		mm_sync_point(TEST_1, folio);
		local_irq_enable();
		folio->index = m->spec.index;
		break;
	case CHECK_PLACE:
		xa_store(&race->mapping->i_pages, LAST, folio, GFP_KERNEL);
		break;
	case CHECK_DIRTY:
		folio_get(folio);
		race_truncate_page(race);
		folio_test_set_writeback(folio);
		break;
	case CHECK_FREE:
		mm_sync_point(FOLIO_PUT_FREE, folio);
		break;
	case CHECK_TAIL:
		split_keeping(race, 0);
		mm_sync_point(FOLIO_PUT_FREE, folio_of_part(m, 1));
		break;
	case CHECK_TWICE:
		race_truncate_page(race);
		mm_sync_point(FOLIO_PUT_FREE, folio);
		break;
	case CHECK_RANGE:
		folio_get(race->neighbour);
		break;
	case CHECK_ENTRY:
		set_pte(m->ptes[FIRST], swp_entry_to_pte(swp_entry(MAX_SWAPFILES, 0)));
		break;
	case CHECK_CONTENT:
		*(u64 *)folio_address(folio) = m->written - 1;
		break;
	case CHECK_SLOT:
		race_reclaim(race);
		xa_store(&race->mapping->i_pages, REUSE_INDEX,
			 xa_load(&race->mapping->i_pages, INDEX), GFP_KERNEL);
		break;
	case CHECK_BOTH:
		folio_set_swapcache(folio);
		break;
	case CHECK_REFS:
	case CHECK_LEAK:
		folio_get(folio);
		break;
	case CHECK_LRU:
		miscount(m, 1);
		break;
	case CHECK_ISOLATE:
		mm_sync_point(ISOLATE_BEFORE_ORPHAN, folio);
		break;
	case CHECK_TAINT:
		add_taint(TAINT_AUX, LOCKDEP_STILL_OK);
		break;
	case CHECK_LOCKDEP:
		debug_locks = 0;
		break;
	case CHECK_EMPTY:
		xa_store(&race->mapping->i_pages, INDEX, xa_mk_value(1), GFP_KERNEL);
		break;
	case CHECK_INODE:
		i_mmap_lock_read(race->mapping);
		evict(race);
		i_mmap_unlock_read(race->mapping);
		break;
	case CHECK_LOST:
		mm_sync_queued(&never.wait, TASK_UNINTERRUPTIBLE);
		break;
	case CHECK_STUCK:
		for (int i = 0; i < MM_SYNC_MAX_EVENTS; i++)
			mm_sync_point(TEST_1, folio);
		break;
	}
}

/* Take it back: tear_down() must do */
static void repair(struct model *m)
{
	switch (m->sabotage) {
	case CHECK_PTE:
		unmap_mapping_range(m->race.mapping, 0, 0, 1);
		folio_put(m->ex.run.folio);
		break;
	case CHECK_PLACE:
		xa_erase(&m->race.mapping->i_pages, LAST);
		break;
	case CHECK_DIRTY:
		folio_test_clear_writeback(m->ex.run.folio);
		folio_put(m->ex.run.folio);
		break;
	case CHECK_RANGE:
		folio_put(m->race.neighbour);
		break;
	case CHECK_ENTRY:
		set_pte(m->ptes[FIRST], __pte(0));
		break;
	case CHECK_SLOT:
		xa_erase(&m->race.mapping->i_pages, REUSE_INDEX);
		break;
	case CHECK_BOTH:
		folio_clear_swapcache(m->ex.run.folio);
		break;
	case CHECK_REFS:
	case CHECK_LEAK:
		folio_put(m->ex.run.folio);
		break;
	case CHECK_LRU:
		miscount(m, -1);
		break;
	case CHECK_LOCKDEP:
		debug_locks = 1;
		break;
	case CHECK_EMPTY:
		xa_erase(&m->race.mapping->i_pages, INDEX);
		break;
	default:
		break;
	}
}

/* In the order in which they are offered a turn.  R must be the last. */
static const struct actor actors[] = {
	ACTOR_FILEMAP, ACTOR_TRUNCATE, ACTOR_MADVISE,
	{ 'B', "bad", "truncates the pages around as well, or invalidates", second_pass,
	  MAY_REMOVE | USES_FILE | WAITS_FOR_IT },
	{ 'S', "split", "splits the folio, of which it has a reference", split_whole,
	  NEEDS_LARGE },
	{ 'O', "offline", "the same, but it is the last page that it needs", split_offline,
	  NEEDS_LARGE },
	{ 'L', "lookup", "looks the folio's last page up, or swaps it in", look_up_page,
	  MAY_LOOK | USES_FILE },
	{ 'N', "nocache", "writes the folio back, and drops it then", write_and_drop,
	  MAY_REMOVE | WRITES_BACK },
	{ 'G', "again", "writes the folio back", write_again, WRITES_BACK },
	ACTOR_RECLAIM,
	{ 'C', "compact", "migrates the folio", race_migrate, MAY_MOVE | MAY_TAKE_ANY },
	{ 'A', "add", "reads the page again, or faults it in", insert,
	  MAY_MOVE | MAY_INSERT | USES_FILE },
	{ 'H', "fault", "faults the page in, which has to be read, and may be killed", fault_again,
	  MAY_MOVE | MAY_INSERT | MAY_BE_KILLED | FAULTS_IT },
	{ 'E', "evict", "evicts the file, which nobody uses", evict,
	  MAY_EVICT | WAITS_FOR_IT },
	{ 'U', "lock", "has the folio locked for a moment", lock_for_a_moment },
	{ 'Y', "killable", "locks the folio, and may be killed while it waits", lock_killable,
	  MAY_BE_KILLED },
	{ 'Q', "kill", "kills Y and H", kill_actor, NEEDS_KILLED },
	{ 'P', "put", "puts a reference of its own", put_reference, NEEDS_REF },
	{ 'I', "isolate", "isolates, without a reference of its own", isolate_stale,
	  MAY_ISOLATE | BREAKS_RULES },
	ACTOR_TCP,
	{ 'W', "flags", "loses PG_lru by a non-atomic update of the flags", lose_lru,
	  MAY_LOSE_LRU | BREAKS_RULES },
	ACTOR_DRAIN,
	{ 'X', "sabotage", "what a check must report", sabotage,
	  MAY_REMOVE | MAY_ISOLATE | MAY_LOOK },
	{ 'R', "reuse", "reuses the freed page at another index", reuse,
	  MAY_REUSE | USES_FILE },
};

static const struct {
	const char *name;
	size_t flag;
} options[] = {
	{ "before", offsetof(struct spec, before) },
	{ "mapped", offsetof(struct spec, mapped) },
	{ "cold", offsetof(struct spec, cold) },
	{ "invalidate", offsetof(struct spec, invalidate) },
	{ "shmem", offsetof(struct spec, shmem) },
	{ "swap", offsetof(struct spec, swap) },
	{ "large", offsetof(struct spec, large) },
	{ "pair", offsetof(struct spec, pair) },
	{ "size", offsetof(struct spec, size) },
	{ "dirty", offsetof(struct spec, dirty) },
};

/* Return NULL, or what is wrong with it */
static const char *parse_spec(struct spec *spec, const char *text)
{
	size_t letters = strcspn(text, "/");

	memset(spec, 0, sizeof(*spec));
	if (strscpy(spec->text, text, sizeof(spec->text)) < 0)
		return "it is too long";
	for (int i = 0; i < ARRAY_SIZE(actors); i++) {
		if (!memchr(text, actors[i].lane, letters))
			continue;
		if (spec->nr_actors == MM_SYNC_MAX_ACTORS)
			return "there are too many actors";
		if (actors[i].may & MAY_REUSE)
			spec->reusers |= BIT(spec->nr_actors);
		spec->actors[spec->nr_actors++] = actors[i];
		spec->may |= actors[i].may;
	}
	if (!spec->nr_actors || spec->nr_actors != letters)
		return "there is no such actor, or it is named twice";

	for (const char *at = spec->text + letters; *at; ) {
		size_t word = strcspn(++at, "/");
		int i;

		for (i = 0; i < ARRAY_SIZE(options); i++)
			if (strlen(options[i].name) == word &&
			    !strncmp(at, options[i].name, word))
				break;
		if (i == ARRAY_SIZE(options))
			return "there is no such option";
		*((bool *)spec + options[i].flag) = true;
		at += word;
	}
	spec->shmem |= spec->swap;
	if (spec->swap && spec->may & WAITS_FOR_IT && !spec->invalidate)
		spec->may |= MAY_TRUNCATE;
	spec->order = spec->large ? LARGE_ORDER : spec->pair ? PAIR_ORDER : 0;
	spec->index = spec->large ? FIRST : INDEX;
	if (spec->may & MAY_REUSE && (spec->shmem || spec->order))
		return "R adds the freed page to the file itself: no page of shmem, no large folio";
	if (spec->shmem && (spec->order || spec->size || spec->dirty))
		return "shmem goes without /large, /pair, /size and /dirty; /swap makes it dirty";
	if (spec->may & NEEDS_LARGE && !spec->order)
		return "S and O split a large folio: /large or /pair";
	if (spec->may & NEEDS_KILLED && !(spec->may & MAY_BE_KILLED))
		return "Q kills Y and H, which are not there";
	if (spec->may & MAY_EVICT && (spec->may & USES_FILE || spec->mapped || spec->shmem))
		return "E evicts a file of ramfs that nobody else uses or maps";
	if (spec->may & MAY_INSERT && ((spec->shmem && !spec->swap) || spec->order))
		return "A adds a page of shmem with /swap only, and no large folio";
	if (spec->may & FAULTS_IT && (spec->shmem || spec->order))
		return "H faults a page of ramfs in";
	if (spec->may & WRITES_BACK && spec->shmem)
		return "N and G write back in the page cache, shmem does in the swap cache only";
	/* The neighbour is a page of the folio */
	spec->before |= spec->large;
	return NULL;
}

static pgoff_t neighbour_index(const struct spec *spec)
{
	return spec->before ? FIRST : LAST;
}

/* ---- states ------------------------------------------------------------- */

/* Which of the folio's pages is the first of what the point is about? */
static unsigned int part_of_event(const struct model *m, const struct mm_sync_event *event)
{
	pgoff_t part = event->state.index - m->spec.index;

	return part < nr_parts(&m->spec) ? part : 0;
}

#define FLAGS	(BIT(PG_locked) | BIT(PG_referenced) | BIT(PG_uptodate) | BIT(PG_dirty) | \
		 BIT(PG_lru) | BIT(PG_active) | BIT(PG_workingset) | BIT(PG_private) | \
		 BIT(PG_reclaim) | BIT(PG_swapbacked) | BIT(PG_unevictable) | \
		 BIT(PG_dropbehind) | BIT(PG_writeback))

static unsigned long flags_of(const struct folio *folio)
{
	return folio->flags.f & FLAGS;
}

/* Which of the folio's pages, from 1 on, or 0 */
static unsigned int part_of_pfn(const struct model *m, unsigned long pfn)
{
	unsigned long part = pfn - folio_pfn(m->ex.run.folio);

	return part < nr_parts(&m->spec) ? part + 1 : 0;
}

static u64 state_of_pte(struct model *m, int i)
{
	pte_t pte = ptep_get(m->ptes[i]);

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return 1;
	return 2 + part_of_pfn(m, pte_pfn(pte)) * 2 + !!pte_young(pte);
}

static struct folio *cached(struct model *m, pgoff_t index)
{
	void *entry = xa_load(&m->race.mapping->i_pages, index);

	return xa_is_value(entry) ? NULL : entry;
}

static u64 state_of_index(struct model *m, pgoff_t index)
{
	void *entry = xa_load(&m->race.mapping->i_pages, index);

	return !entry ? 0 : xa_is_value(entry) ? 1 : entry == m->ex.run.folio ? 2 : 3;
}

/* What is in place of the folio */
static u64 state_of_other(struct model *m)
{
	const struct folio *folio = cached(m, INDEX);

	if (!folio || folio == m->ex.run.folio)
		return 0;
	return mix(flags_of(folio), folio_ref_count(folio) | (u64)folio_mapcount(folio) << 32);
}

/* Who sleeps in the folio's queue, the last one first, and who is to be killed? */
static u64 state_of_waiters(const struct model *m)
{
	const struct mm_sync_run *run = &m->ex.run;
	u64 hash = run->folio->flags.f & BIT(PG_waiters);
	unsigned long seen = 0;

	for (int i = run->nr_events - 1; i >= 0; i--) {
		const struct mm_sync_event *event = run->events + i;
		const struct mm_sync_wait *wait = &run->actors[event->actor].wait;

		if (event->kind != MM_SYNC_KIND_WAIT || event->lock != MM_SYNC_WAKEUP ||
		    __test_and_set_bit(event->actor, &seen))
			continue;
		if (wait->lock && wait->type == MM_SYNC_WAKEUP)
			hash = mix(hash, event->actor |
				   (u64)((wait_queue_entry_t *)wait->lock)->flags << 8);
	}
	for (int i = 0; i < run->nr_actors; i++)
		hash = mix(hash, fatal_signal_pending(m->ex.threads[i].task));
	return hash;
}

/* Of more than one page: what has become of them, and where they are */
static u64 state_of_parts(struct model *m)
{
	u64 hash = i_size_read(m->race.mapping->host);

	for (int i = 0; i < nr_parts(&m->spec); i++) {
		const struct folio *folio = folio_of_part(m, i);

		hash = mix(hash, part_is_kept(m, i));
		if (!folio)
			continue;
		hash = mix(hash, folio_ref_count(folio) | (u64)folio_mapcount(folio) << 32);
		hash = mix(hash, flags_of(folio));
		hash = mix(hash, (u64)!!READ_ONCE(folio->mapping) | folio->index << 1 |
				 (u64)folio_order(folio) << 32);
	}
	for (int i = 0; i < FILE_PAGES; i++) {
		void *entry = xa_load(&m->race.mapping->i_pages, i);
		bool is_folio = entry && !xa_is_value(entry);

		hash = mix(hash, state_of_index(m, i));
		if (is_folio)
			hash = mix(hash, part_of_pfn(m, folio_pfn(entry)));
	}
	return hash;
}

/* The entry of the page, if it is swapped out.  Each one it has had is another. */
static void *swap_entry(struct model *m)
{
	void *entry = m->spec.swap ? xa_load(&m->race.mapping->i_pages, INDEX) : NULL;

	if (!xa_is_value(entry))
		return NULL;
	for (int i = 0; i < m->nr_entries; i++)
		if (m->entries[i] == entry)
			return entry;
	if (m->nr_entries == ARRAY_SIZE(m->entries))
		m->ex.error = "the page is swapped out too often";
	else
		m->entries[m->nr_entries++] = entry;
	return entry;
}

/* The swap cache has a reference */
static struct folio *swap_cached(void *entry)
{
	struct folio *folio = swap_cache_get_folio(radix_to_swp_entry(entry));

	if (folio)
		folio_put(folio);
	return folio;
}

static u64 state_of_swap(struct model *m)
{
	void *entry = swap_entry(m);
	u64 hash = m->free_slots - get_nr_swap_pages();

	for (int i = 0; i < m->nr_entries; i++) {
		const struct folio *folio = swap_cached(m->entries[i]);

		hash = mix(hash, m->entries[i] == entry);
		if (folio)
			hash = mix(hash, mix(flags_of(folio), folio_ref_count(folio) |
					     (u64)part_of_pfn(m, folio_pfn(folio)) << 32));
	}
	return hash;
}

static u64 seen(struct explorer *ex, const struct mm_sync_event *event)
{
	struct model *m = model_of(ex);

	swap_entry(m);
	return event->state.cached << 24 | m->nr_entries << 25 |
	       (u64)part_of_event(m, event) << 48;
}

static u64 hash_state(struct explorer *ex, u64 hash)
{
	struct model *m = model_of(ex);
	const struct folio *folio = ex->run.folio;

	hash = mix(hash, ex->run.freed | ex->run.kept << 1);
	if (!ex->run.freed) {
		hash = mix(hash, folio_ref_count(folio) | (u64)folio_mapcount(folio) << 32);
		hash = mix(hash, flags_of(folio));
		hash = mix(hash, (u64)!!READ_ONCE(folio->mapping) | folio->index << 1);
	}
	for (int i = 0; i < ARRAY_SIZE(m->ptes); i++)
		hash = mix(hash, state_of_pte(m, i));
	hash = mix(hash, state_of_index(m, INDEX) | state_of_index(m, REUSE_INDEX) << 2 |
			 state_of_index(m, neighbour_index(&m->spec)) << 4);
	if (m->spec.order || m->spec.size)
		hash = mix(hash, state_of_parts(m));
	if (m->spec.may & MAY_MOVE || m->spec.swap)
		hash = mix(hash, state_of_other(m));
	if (m->spec.swap)
		hash = mix(hash, state_of_swap(m));
	if (ex->run.queued)
		hash = mix(hash, state_of_waiters(m));
	return hash;
}

/* ---- checks ------------------------------------------------------------- */

static pgoff_t index_of_pte(int i)
{
	return i < NR_PAGES ? i : INDEX;
}

/*
 * At each decision: the PTEs, of the neighbours as well.  When all are @done, there
 * is none beyond the end of the file: a truncation has unmapped what it has cut off.
 *
 * A large folio of shmem is an exception.  filemap_map_folio_range() maps all of it
 * if it begins within the file, by PTEs as well as by a PMD.  There is none here, or
 * its PTEs would not count.
 */
static void check_ptes(struct model *m, bool done)
{
	pgoff_t end = done ? DIV_ROUND_UP(i_size_read(m->race.mapping->host), PAGE_SIZE) :
		FILE_PAGES;
	bool orphan = m->spec.may & MAY_ORPHAN;

	for (int i = 0; i < ARRAY_SIZE(m->ptes); i++) {
		pte_t pte = ptep_get(m->ptes[i]);
		struct folio *folio;
		struct page *page;

		if (pte_none(pte) || !pte_present(pte))
			continue;
		page = pfn_to_page(pte_pfn(pte));
		folio = page_folio(page);
		if (READ_ONCE(folio->mapping) != m->race.mapping) {
			if (!orphan)
				check_failed(m, CHECK_PTE);
		} else if (folio->index + folio_page_idx(folio, page) != index_of_pte(i)) {
			check_failed(m, CHECK_INDEX);
		} else if (index_of_pte(i) >= end) {
			check_failed(m, CHECK_BEYOND);
		}
	}
}

/* At each decision, too: nobody is in the middle of a change of the page cache */
static void check_cache(struct model *m)
{
	for (int i = 0; i < nr_parts(&m->spec); i++) {
		const struct folio *folio = folio_of_part(m, i);

		if (folio && !folio->mapping && folio_test_writeback(folio) &&
		    !folio_test_swapcache(folio))
			check_failed(m, CHECK_DIRTY);
	}
	if (!m->spec.order)
		return;
	for (int i = 0; i < FILE_PAGES; i++) {
		struct folio *folio = cached(m, i);

		if (folio && (READ_ONCE(folio->mapping) != m->race.mapping ||
			      !folio_contains(folio, i)))
			check_failed(m, CHECK_PLACE);
	}
}

/* A part that was the folio's: who has it but the page cache and the PTEs? */
static void check_refs(struct model *m)
{
	const struct folio *other = cached(m, INDEX);

	if ((m->spec.may & MAY_MOVE || m->spec.swap) && other && other != m->ex.run.folio &&
	    folio_ref_count(other) != folio_mapcount(other) + folio_nr_pages(other))
		check_failed(m, CHECK_REFS);
	if (!m->spec.order)
		return;
	for (int i = 0; i < nr_parts(&m->spec); i++) {
		const struct folio *folio = folio_of_part(m, i);
		bool kept = !i && m->spec.may & KEEPS_REF;

		if (folio && folio_ref_count(folio) != folio_mapcount(folio) + kept +
		    (folio->mapping ? folio_nr_pages(folio) : 0))
			check_failed(m, CHECK_REFS);
	}
}

/* A part, or all of it if it is not split, is freed: that is for good */
static void check_free(struct model *m, const struct mm_sync_event *event,
		       unsigned int *frees)
{
	unsigned int part = part_of_event(m, event);

	if (event->state.refs || race_bad_free(event))
		check_failed(m, part ? CHECK_TAIL : CHECK_FREE);
	if (++frees[part] > m->ex.epoch)
		check_failed(m, part ? CHECK_TAIL : CHECK_TWICE);
}

/* What the actors came by */
static void check_events(struct model *m)
{
	unsigned int frees[1 << LARGE_ORDER] = {};

	for (int i = 0; i < m->ex.run.nr_events; i++) {
		const struct mm_sync_event *event = m->ex.run.events + i;
		const struct mm_sync_state *state = &event->state;

		if (mm_sync_is_free(event->point))
			check_free(m, event, frees);
		/* Both come with a WARN, which may be suppressed */
		if (event->point == MM_SYNC_RELEASE_KEPT && !(m->spec.may & MAY_LOSE_LRU))
			check_failed(m, CHECK_FREE);
		if (event->point == MM_SYNC_ISOLATE_STALE && !(m->spec.may & MAY_ISOLATE))
			check_failed(m, CHECK_ISOLATE);
		if (event->point == MM_SYNC_ISOLATE_CLEARED &&
		    (!state->refs || (state->mapcount && !state->cached)))
			check_failed(m, CHECK_ISOLATE);
		/* One that the caller could rely on, and the isolation's own */
		if (event->point == MM_SYNC_ISOLATE_BEFORE_ORPHAN && state->refs < 2 &&
		    m->spec.actors[event->actor].may & MAY_ISOLATE)
			check_failed(m, CHECK_ISOLATE);
	}
}

/* All are done: nobody waits at a PTE any more */
static void check_entries(struct model *m)
{
	for (int i = 0; i < ARRAY_SIZE(m->ptes); i++) {
		pte_t pte = ptep_get(m->ptes[i]);

		if (!pte_none(pte) && !pte_present(pte))
			check_failed(m, CHECK_ENTRY);
	}
}

/* All are done: there is a slot for each entry, and for what is left in the swap cache */
static void check_swap(struct model *m)
{
	long slots = m->free_slots - get_nr_swap_pages();
	void *entry = swap_entry(m);

	for (int i = 0; i < FILE_PAGES; i++) {
		const struct folio *folio = cached(m, i);

		slots -= state_of_index(m, i) == 1;
		if (folio && folio_test_swapcache(folio))
			check_failed(m, CHECK_BOTH);
	}
	for (int i = 0; i < m->nr_entries; i++)
		slots -= m->entries[i] != entry && swap_cached(m->entries[i]);
	if (slots)
		check_failed(m, CHECK_SLOT);
}

/* A dirty folio that can't be split where it is cut is kept, for what is left of it */
static bool is_kept_whole(struct model *m, pgoff_t index, pgoff_t first, pgoff_t last)
{
	const struct folio *folio = cached(m, index);

	return m->spec.dirty && folio &&
	       (folio->index < first || folio_next_index(folio) - 1 > last);
}

/* All are done: what was truncated must be gone, and nothing else */
static void check_range(struct model *m)
{
	const struct spec *spec = &m->spec;
	bool truncated = spec->may & (MAY_TRUNCATE | MAY_EVICT), all = spec->may & MAY_EVICT;
	pgoff_t first = all ? 0 : spec->size ? CUT_PAGES : INDEX;
	pgoff_t last = all || spec->size ? FILE_PAGES - 1 : INDEX;
	struct folio *neighbour = m->race.neighbour;
	pgoff_t index = neighbour_index(spec);

	for (pgoff_t i = first; truncated && i <= last; i++)
		if (spec->swap ? state_of_index(m, i) : !!cached(m, i))
			if (!(spec->may & MAY_INSERT && i == INDEX) &&
			    !is_kept_whole(m, i, first, last))
				check_failed(m, CHECK_RANGE);
	if (all && !mapping_empty(m->race.mapping))
		check_failed(m, CHECK_EMPTY);
	if (!spec->large && !(truncated && first <= index && index <= last) &&
	    (cached(m, index) != neighbour ||
	     folio_ref_count(neighbour) != 1 + folio_mapcount(neighbour)))
		check_failed(m, CHECK_RANGE);
	if (!truncated && !(spec->may & MAY_REMOVE) && !cached(m, INDEX))
		check_failed(m, CHECK_RANGE);
	/* Reclaim takes the folio as it finds it */
	if (m->ex.epoch > 1 && !(spec->may & (MAY_TAKE_ANY | MAY_INSERT)) &&
	    cached(m, REUSE_INDEX) != m->ex.run.folio)
		check_failed(m, CHECK_RANGE);
}

static unsigned long pages_on(struct list_head *list)
{
	struct folio *folio;
	unsigned long nr = 0;

	list_for_each_entry(folio, list, lru)
		nr += folio_nr_pages(folio);
	return nr;
}

static unsigned long nr_counted(struct lruvec *lruvec, enum lru_list lru, int zone)
{
	if (!mem_cgroup_disabled())
		return mem_cgroup_get_zone_lru_size(lruvec, lru, zone);
	return zone_page_state_snapshot(lruvec_pgdat(lruvec)->node_zones + zone,
					NR_ZONE_LRU_BASE + lru);
}

/* The lists of the folio's lruvec, all together, against what is counted */
static void check_lru(struct model *m)
{
	struct lruvec *lruvec = m->lruvec;
	long counted = 0, listed = 0;

	spin_lock_irq(&lruvec->lru_lock);
	for (enum lru_list lru = 0; lru < NR_LRU_LISTS; lru++) {
		if (lru == LRU_UNEVICTABLE)	/* no list */
			continue;
		listed += pages_on(&lruvec->lists[lru]);
		for (int zone = 0; zone < MAX_NR_ZONES; zone++)
			counted += nr_counted(lruvec, lru, zone);
	}
#ifdef CONFIG_LRU_GEN
	for (int i = 0; i < MAX_NR_GENS * ANON_AND_FILE * MAX_NR_ZONES; i++) {
		listed += pages_on((struct list_head *)lruvec->lrugen.folios + i);
		/* Without memory cgroups, the zones count them all */
		if (!mem_cgroup_disabled())
			counted += ((long *)lruvec->lrugen.nr_pages)[i];
	}
#endif
	spin_unlock_irq(&lruvec->lru_lock);
	if (listed != counted)
		check_failed(m, CHECK_LRU);
}

static void check_kernel(struct model *m)
{
	if (get_taint() != m->taint)
		check_failed(m, CHECK_TAINT);
	if (!debug_locks)
		check_failed(m, CHECK_LOCKDEP);
}

static void check(struct explorer *ex, bool done)
{
	struct model *m = model_of(ex);

	check_ptes(m, done);
	check_cache(m);
	if (!done)
		return;
	check_events(m);
	check_range(m);
	check_entries(m);
	if (m->spec.swap)
		check_swap(m);
	check_refs(m);
	check_lru(m);
	check_kernel(m);
}

/* ---- decisions ---------------------------------------------------------- */

/* R has nothing to do until there is a page */
static unsigned long with_a_page(struct explorer *ex, unsigned long may_go)
{
	bool wait = !ex->run.kept && ex->epoch == 1;

	return may_go & ~(wait ? model_of(ex)->spec.reusers : 0);
}

/*
 * With coarse=1, an actor that comes to one of these goes on: the steps before
 * and after it are one.  What the step after it looks at can't be changed by
 * others, for the reason given, or is not looked at by them.  These are reasons,
 * not proofs: by default, all points count.
 */
static const enum mm_sync_point inner[] = {
	/* Flags and i_size, which nobody here changes */
	MM_SYNC_NEXT_UPTODATE_FOLIO_BEFORE_UPTODATE,
	MM_SYNC_NEXT_UPTODATE_FOLIO_BEFORE_UPTODATE_AGAIN,
	MM_SYNC_NEXT_UPTODATE_FOLIO_BEFORE_SIZE,
	/* The mapping of a folio that is locked */
	MM_SYNC_NEXT_UPTODATE_FOLIO_BEFORE_MAPPING,
	MM_SYNC_FIND_LOCK_ENTRIES_BEFORE_MAPPING,
	MM_SYNC_TRUNCATE_LOCKED,
	MM_SYNC_TRUNCATE_INODE_FOLIO_BEFORE_MAPPING,
	MM_SYNC_TRUNCATE_INODE_FOLIO_GONE,
	MM_SYNC_SHRINK_BEFORE_MAPPING,
	MM_SYNC_SHRINK_BEFORE_REMOVE,
	/* A PTE, under the PTL, of a folio that is locked */
	MM_SYNC_NEXT_UPTODATE_FOLIO_FOUND,
	MM_SYNC_FILEMAP_MAP_PAGES_BEFORE_MAP,
	MM_SYNC_FILEMAP_MAP_ORDER0_BEFORE_NONE,
	MM_SYNC_FILEMAP_MAP_RANGE_BEFORE_NONE,
	MM_SYNC_FILEMAP_MAP_BEFORE_SET_PTE,
	MM_SYNC_FILEMAP_MAP_SET_PTE,
	/* Nothing: the next step that counts is behind another point */
	MM_SYNC_FIND_GET_ENTRY_FOUND,
	MM_SYNC_FIND_LOCK_ENTRIES_LOCKED,
	MM_SYNC_TRUNCATE_BATCH_BEFORE_CLEANUP,
	MM_SYNC_TRUNCATE_CLEANUP_UNMAPPED,
	MM_SYNC_TRUNCATE_BATCH_BEFORE_DELETE,
	MM_SYNC_TRUNCATE_BATCH_UNLOCKED,
	MM_SYNC_TRUNCATE_INODE_FOLIO_BEFORE_REMOVE,
	MM_SYNC_MADVISE_PTE_BEFORE_ISOLATE,
	MM_SYNC_ISOLATE_DONE,
	MM_SYNC_MADVISE_PTE_AFTER_ISOLATE,
	/* The lock is let go of, which others can as well not have tried to take before */
	MM_SYNC_TRUNCATE_BATCH_BEFORE_UNLOCK,
	MM_SYNC_TRUNCATE_BEFORE_UNLOCK,
	MM_SYNC_SHRINK_REMOVED,
	/* The PTL keeps the PTE, which keeps a reference: PG_lru and the count will do */
	MM_SYNC_ISOLATE_BEFORE_LRU,
	MM_SYNC_ISOLATE_BEFORE_PIN,
	MM_SYNC_ISOLATE_BEFORE_COUNT,
	MM_SYNC_ISOLATE_BEFORE_ORPHAN,
};

static bool is_inner(enum mm_sync_point point)
{
	for (int i = 0; i < ARRAY_SIZE(inner); i++)
		if (inner[i] == point)
			return true;
	return false;
}

/* ---- one schedule ------------------------------------------------------- */

/* Something new: a slot may have what was there before */
static void write_page(struct model *m, struct folio *folio)
{
	folio_lock(folio);
	*(u64 *)folio_address(folio) = m->written += 2;
	folio_mark_dirty(folio);
	folio_unlock(folio);
	m->nr_entries = 0;
	m->free_slots = get_nr_swap_pages();
}

static void set_up(struct explorer *ex)
{
	struct model *m = model_of(ex);
	struct mm_sync_run *run = &ex->run;
	struct race *race = &m->race;
	struct folio *folio;

	if (m->spec.shmem) {
		mm_sync_release(run);
		folio = race_add_page(race, INDEX);
	} else {
		if (m->spec.order)
			mm_sync_release(run);
		folio = run->folio && !m->spec.order ? mm_sync_reuse(run) :
			filemap_alloc_folio(GFP_KERNEL, m->spec.order, NULL);
		KUNIT_ASSERT_NOT_NULL(race->test, folio);
		KUNIT_ASSERT_EQ(race->test, 0, race_add_folio(race, folio, m->spec.index));
	}
	run->folio = folio;
	run->keep = true;
	if (m->spec.may & FAULTS_IT)
		folio_clear_uptodate(folio);
	m->unmapped = false;
	if (m->spec.swap)
		write_page(m, folio);
	/* Not counted on ramfs.  What a split drops is taken off the counts, which nobody reads. */
	if (m->spec.dirty)
		folio_mark_dirty(folio);
	if (m->spec.large)
		race->neighbour = folio;
	else if (!cached(m, neighbour_index(&m->spec)))
		race->neighbour = race_add_page(race, neighbour_index(&m->spec));
	/* Before the file was evicted it was cut, and the folio could not be split then */
	i_size_write(race->mapping->host, PAGE_SIZE *
		     (m->spec.size && m->spec.may & MAY_EVICT ? CUT_PAGES : FILE_PAGES));
	scoped_guard(rcu)
		m->lruvec = folio_lruvec(folio);
	if (!(m->spec.may & MAY_LOSE_LRU))
		lru_add_drain();
	if (m->spec.mapped)
		race_fault(race, m->addr2);
	if (m->spec.may & NEEDS_REF)
		folio_get(folio);
	clear_bit(AS_EXITING, &race->mapping->flags);
	for (int i = 0; ex->killable && i < ex->nr_actors; i++)
		flush_signals(ex->threads[i].task);
	if (m->spec.may & KEEPS_REF)
		folio_get(folio);
	/* What warns once, anywhere, is to warn each time */
	memset(__start_once, 0, __end_once - __start_once);
	m->taint = get_taint();
}

static void act(struct explorer *ex, unsigned int actor)
{
	struct model *m = model_of(ex);

	m->spec.actors[actor].fn(&m->race);
	/* PG_lru of what it has put back */
	lru_add_drain();
}

/* What reclaim would do by itself: a folio that nobody needs is left in the swap cache */
static void leave_swap(struct model *m)
{
	for (int i = 0; i < m->nr_entries; i++) {
		struct folio *folio =
			swap_cache_get_folio(radix_to_swp_entry(m->entries[i]));

		if (!folio)
			continue;
		folio_lock(folio);
		folio_free_swap(folio);
		folio_unlock(folio);
		folio_put(folio);
	}
	if (get_nr_swap_pages() != m->free_slots)
		check_failed(m, CHECK_SLOT);
}

static void tear_down(struct explorer *ex)
{
	struct model *m = model_of(ex);
	struct race *race = &m->race;

	if (m->spec.swap)
		read_page(m, true);
	unmap_mapping_range(race->mapping, 0, 0, 1);
	if (m->spec.may & KEEPS_REF)
		folio_put(m->ex.run.folio);
	if (race_went_by(race, MM_SYNC_RELEASE_KEPT))
		race_free_kept(race);
	if (m->spec.order || m->spec.size)
		race_truncate(race, 0, FILE_PAGES - 1);
	/* Also if it is just the shadow of a folio that was reclaimed */
	if (state_of_index(m, INDEX))
		race_truncate(race, INDEX, INDEX);
	if (state_of_index(m, REUSE_INDEX))
		race_truncate(race, REUSE_INDEX, REUSE_INDEX);
	lru_add_drain();
	if (cached(m, neighbour_index(&m->spec)))
		folio_clear_referenced(race->neighbour);
	if (m->spec.swap)
		leave_swap(m);
	for (int i = 0; i < nr_parts(&m->spec); i++)
		if (!part_is_kept(m, i))
			check_failed(m, CHECK_LEAK);
}

/* A wakeup is lost if the last one to go on has seen that the folio is not locked */
static unsigned int stuck(const struct explorer *ex)
{
	const struct mm_sync_run *run = &ex->run;

	return run->err == -EDEADLK && run->err_lock == MM_SYNC_WAKEUP &&
	       !run->events[run->nr_events - 1].state.locked ? CHECK_LOST : CHECK_STUCK;
}

static void tell(struct explorer *ex, const char *verdict, const char *reason)
{
	race_print_schedule(&ex->run, ex->name, model_of(ex)->spec.actors, verdict, reason);
}

static const struct explore_model folio_model = {
	.set_up		= set_up,
	.act		= act,
	.hash		= hash_state,
	.seen		= seen,
	.choices	= with_a_page,
	.coarse		= is_inner,
	.check		= check,
	.tear_down	= tear_down,
	.tell		= tell,
	.passed		= passed,
	.checks		= checks,
	.stuck		= stuck,
};

static void free_model(void *data)
{
	struct model *m = data;

	if (m->ex.stuck)
		return;
	vfree(m->ex.states);
	vfree(m);
}

/* Get it ready for schedules */
static struct explorer *open_explorer(struct kunit *test, const char *text,
				      unsigned int log2)
{
	struct model *m = vzalloc(sizeof(*m));
	struct explorer *ex = &m->ex;
	struct race *race = &m->race;
	const char *wrong;
	bool is_open;
	int err;

	KUNIT_ASSERT_NOT_NULL(test, m);
	is_open = explore_open(ex, log2);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_model, m));
	KUNIT_ASSERT_TRUE(test, is_open);

	wrong = parse_spec(&m->spec, text);
	if (wrong)
		KUNIT_FAIL_AND_ABORT(test, "%s: %s", text, wrong);
	if (m->spec.order && !IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "large folios need CONFIG_TRANSPARENT_HUGEPAGE");
	KUNIT_ASSERT_EQ(test, 0, race_open(race, test, m->spec.shmem, FILE_PAGES));
	err = m->spec.swap ? race_swapon(race) : 0;
	if (err == -ENXIO)
		kunit_skip(test, "no swap: needs SWAP, BLK_DEV_RAM, and x86_64, arm64 or UML");
	KUNIT_ASSERT_EQ(test, err, 0);
	race->run = &ex->run;
	ex->model = &folio_model;
	ex->test = test;
	ex->name = m->spec.text;
	ex->nr_actors = m->spec.nr_actors;
	for (int i = 0; i < ex->nr_actors; i++)
		ex->lanes[i] = m->spec.actors[i].lane;
	ex->mm = race->mm;
	ex->file = race->file;
	ex->suppress = m->spec.may & BREAKS_RULES;
	ex->killable = m->spec.may & MAY_BE_KILLED;
	/* Who waits for writeback does so in the folio's queue, as for the lock with Y */
	if (ex->killable || (m->spec.may & WRITES_BACK && m->spec.may & WAITS_FOR_IT))
		ex->run.queued = BIT(ex->nr_actors) - 1;
	for (int i = 0; i < ex->nr_actors; i++)
		if (m->spec.actors[i].may & MAY_BE_KILLED)
			ex->run.mortal |= BIT(i);
	ex->seed = seed;
	race->pages = m->spec.before ? NEIGHBOUR_BEFORE : NEIGHBOUR_AFTER;
	race->left = m->spec.size ? CUT_PAGES : 0;
	race->advice = m->spec.cold ? MADV_COLD : MADV_PAGEOUT;
	m->addr2 = race_map(race, RACE_ADDR2, INDEX, 1);
	KUNIT_ASSERT_EQ(test, m->addr2, RACE_ADDR2);
	race->advised = m->spec.mapped ? m->addr2 : race->addr + INDEX * PAGE_SIZE;

	if (m->spec.order)
		mapping_set_large_folios(race->mapping);
	if (m->spec.dirty)
		inode_attach_wb(race->mapping->host, NULL);
	if (!m->spec.large) {
		race->neighbour = race_add_page(race, neighbour_index(&m->spec));
		lru_add_drain();
	}
	/* Page tables that stay */
	race_fault_neighbour(race);
	race_fault(race, m->addr2);
	for (int i = 0; i < NR_PAGES; i++)
		m->ptes[i] = race_pte(race->mm, race->addr + i * PAGE_SIZE);
	m->ptes[NR_PAGES] = race_pte(race->mm, m->addr2);
	for (int i = 0; i < ARRAY_SIZE(m->ptes); i++)
		KUNIT_ASSERT_NOT_NULL(test, m->ptes[i]);
	unmap_mapping_range(race->mapping, 0, 0, 1);
	race_truncate(race, INDEX, INDEX);
	if (m->spec.large)
		race_truncate(race, 0, FILE_PAGES - 1);
	lru_add_drain();
	return ex;
}

/* ---- cases -------------------------------------------------------------- */

struct set {
	const char *spec;
	int bound;
};

/* All of them take seconds; folio_explore_kunit.actors= goes on from here */
static const struct set sets[] = {
	{ "FT", -1 },
	{ "FTM", -1 },
	{ "FTM/before", -1 },
	{ "FTM/mapped", 1 },
	{ "FTM/cold/mapped", 2 },
	{ "FTM/shmem", -1 },
	{ "KL/swap", -1 },
	{ "TKL/swap", 1 },
	{ "FTM/large", 1 },
	{ "FTB", -1 },
	{ "FTB/invalidate", -1 },
	{ "FTMBR", 1 },
	{ "FTMBR/before", 1 },
	{ "FTK", 1 },
	{ "FTP", -1 },
	{ "FTMBKPR", 0 },
	{ "FT/pair/size", 1 },
	{ "TL/large", 1 },
	{ "SL/large", 1 },
	{ "ST/pair/size", 1 },
	{ "FS/pair", 1 },
	{ "TLR", -1 },
	{ "FNG", 1 },
	{ "TC/mapped", -1 },
	{ "FTC", 1 },
	{ "FTAR", 1 },
	{ "EK", -1 },
	{ "UYQ", -1 },
	{ "TN", -1 },
	{ "FTZ", -1 },
};

static void set_desc(const struct set *set, char *desc)
{
	strscpy(desc, set->spec, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(set, sets, set_desc);

/* Not if something has gone wrong: it does not end while a slot is in use */
static void swap_no_more(struct explorer *ex)
{
	struct model *m = model_of(ex);

	if (m->spec.swap && !ex->stuck && get_nr_swap_pages() == m->free_slots)
		race_swapoff(&m->race);
}

static void explore_set(struct kunit *test)
{
	const struct set *set = test->param_value;
	struct explorer *ex;

	ex = open_explorer(test, set->spec, STATES_LOG2);
	ex->bound = set->bound;
	explore_all(ex, random_schedules);
	swap_no_more(ex);
	explore_expect_good(ex);
}

/* Go on after it?  Not if something has gone wrong: it may have been left behind */
static bool explore_named(struct kunit *test, const char *name)
{
	struct explorer *ex;
	struct spec spec;
	const char *wrong = parse_spec(&spec, name);
	bool good;

	if (wrong) {
		pr_info("refused %s|%s\n", name, wrong);
		KUNIT_FAIL(test, "%s: %s", name, wrong);
		return true;
	}
	ex = open_explorer(test, name, states_log2);
	ex->bound = bound;
	ex->prune = prune;
	ex->coarse = coarse;
	ex->most = most;
	if (shard && (sscanf(shard, "%u/%u", &ex->shard, &ex->shards) != 2 ||
		      ex->shard >= ex->shards))
		KUNIT_FAIL_AND_ABORT(test, "shard=%s is not i/N, i from 0 to N - 1", shard);
	explore_all(ex, ex->shard ? 0 : random_schedules);
	swap_no_more(ex);
	explore_expect_good(ex);
	good = !ex->failed && !ex->error;
	if (good)
		kunit_release_action(test, free_model, model_of(ex));
	return good;
}

/* What folio_explore_kunit.actors= and so on say */
static void explore_param(struct kunit *test)
{
	char *names, *name;

	if (!actors_param)
		kunit_skip(test, "needs folio_explore_kunit.actors=");
	names = kunit_kstrdup(test, actors_param, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, names);
	while ((name = strsep(&names, ",")) && explore_named(test, name))
		;
}

static void follow_schedule(struct kunit *test)
{
	struct explorer *ex;
	char *spec, *line;

	if (!schedule_param)
		kunit_skip(test, "needs folio_explore_kunit.schedule=");
	line = kunit_kstrdup(test, schedule_param, GFP_KERNEL);
	KUNIT_ASSERT_NOT_NULL(test, line);
	spec = strsep(&line, ":");
	ex = open_explorer(test, spec, STATES_LOG2);
	explore_follow(ex, line ?: "");
	swap_no_more(ex);
	explore_expect_good(ex);
}

/* ---- is the explorer right? ---------------------------------------------- */

/* With the states that were seen left out, the same states are seen */
static void prune_sees_all(struct kunit *test)
{
	static const struct set some[] = {
		{ "FT", -1 },
		{ "TB", -1 },
		{ "FT", 2 },
		{ "TB", 3 },
	};

	for (int i = 0; i < ARRAY_SIZE(some); i++) {
		struct explorer *all, *pruned;

		all = open_explorer(test, some[i].spec, STATES_LOG2);
		all->bound = some[i].bound;
		all->coarse = true;
		all->prune = false;
		explore_all(all, 0);
		explore_expect_good(all);
		pruned = open_explorer(test, some[i].spec, STATES_LOG2);
		pruned->bound = some[i].bound;
		pruned->coarse = true;
		explore_all(pruned, 0);
		explore_expect_good(pruned);

		KUNIT_EXPECT_EQ(test, pruned->nr_states, all->nr_states);
		KUNIT_EXPECT_EQ(test, pruned->nr_outcomes, all->nr_outcomes);
		KUNIT_EXPECT_EQ(test, pruned->states_digest, all->states_digest);
		if (some[i].bound >= 0)
			continue;
		KUNIT_EXPECT_LT(test, pruned->schedules, all->schedules);
		KUNIT_EXPECT_EQ(test, pruned->paths, all->schedules);
		KUNIT_EXPECT_EQ(test, all->paths, all->schedules);
	}
}

/* Each schedule is in one shard, and there are no others */
static void shards_make_the_whole(struct kunit *test)
{
	static const unsigned int numbers[] = { 2, 3, 7 };
	struct explorer *whole = open_explorer(test, "FT", FEW_STATES_LOG2);

	whole->coarse = true;
	whole->prune = false;
	explore_all(whole, 0);
	explore_expect_good(whole);
	for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
		unsigned long schedules = 0;
		u64 digest = 0;

		for (int j = 0; j < numbers[i]; j++) {
			struct explorer *part = open_explorer(test, "FT", FEW_STATES_LOG2);

			part->coarse = true;
			part->prune = false;
			part->shard = j;
			part->shards = numbers[i];
			explore_all(part, 0);
			explore_expect_good(part);
			KUNIT_EXPECT_GT(test, part->schedules, 0);
			schedules += part->schedules;
			digest += part->schedules_digest;
		}
		KUNIT_EXPECT_EQ(test, schedules, whole->schedules);
		KUNIT_EXPECT_EQ(test, digest, whole->schedules_digest);
	}
}

static void same_again(struct kunit *test)
{
	struct explorer *first = NULL;

	for (int i = 0; i < 3; i++) {
		struct explorer *ex = open_explorer(test, "FTM", STATES_LOG2);

		explore_all(ex, random_schedules);
		explore_expect_good(ex);
		if (!first)
			first = ex;
		KUNIT_EXPECT_EQ(test, ex->schedules, first->schedules);
		KUNIT_EXPECT_EQ(test, ex->schedules_digest, first->schedules_digest);
		KUNIT_EXPECT_EQ(test, ex->states_digest, first->states_digest);
		KUNIT_EXPECT_EQ(test, ex->paths, first->paths);
	}
}

/* With 30 decisions of four choices each, and with 31, which are past counting */
static void estimate_is_limited(struct kunit *test)
{
	struct explorer *ex = open_explorer(test, "FT", FEW_STATES_LOG2);

	ex->schedules = 4;
	for (int i = 0; i < 31; i++)
		ex->nodes[i].limit = 4;
	ex->depth = 30;
	ex->nodes[29].choice = 3;
	KUNIT_EXPECT_EQ(test, explore_estimate(ex), (4UL << 60) / 3);
	ex->depth = 31;
	ex->nodes[29].choice = 0;
	ex->nodes[30].choice = 1;
	KUNIT_EXPECT_EQ(test, explore_estimate(ex), 0);
}

static void check_desc(const struct explore_check *check, char *desc)
{
	strscpy(desc, check->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(check, checks, check_desc);

/* Each check fails for what it is there for, and none else does */
static void check_reports(struct kunit *test)
{
	const struct explore_check *check = test->param_value;
	struct explorer *ex = open_explorer(test, check->spec ?: "X", STATES_LOG2);
	struct model *m = model_of(ex);

	m->sabotage = check - checks;
	if (m->sabotage == CHECK_TAINT && get_taint() & BIT(TAINT_AUX))
		kunit_skip(test, "the kernel is tainted in this way already");
	explore_start(ex);
	KUNIT_EXPECT_FALSE(test, explore_one(ex));
	KUNIT_EXPECT_EQ(test, ex->failed, BIT(m->sabotage));
	explore_stop(ex);
	if (ex->stuck)
		return;
	repair(m);
	tear_down(ex);
	swap_no_more(ex);
}

static struct kunit_case explore_cases[] = {
	KUNIT_CASE_PARAM(explore_set, set_gen_params),
	KUNIT_CASE_SLOW(explore_param),
	KUNIT_CASE(follow_schedule),
	KUNIT_CASE_SLOW(prune_sees_all),
	KUNIT_CASE_SLOW(shards_make_the_whole),
	KUNIT_CASE_SLOW(same_again),
	KUNIT_CASE(estimate_is_limited),
	KUNIT_CASE_PARAM(check_reports, check_gen_params),
	{}
};

static struct kunit_suite explore_suite = {
	.name = "folio_explore",
	.test_cases = explore_cases,
};

kunit_test_suites(&explore_suite);
