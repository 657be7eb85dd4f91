// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit: all interleavings of a few actors on one folio.
 *
 * The explorer runs the actors again and again, each time by another schedule:
 * at each sync point it decides who goes on, and when all are done it takes the
 * last decision back that has an alternative, depth first, until there is none.
 * After each schedule it checks what must hold whatever the order.
 *
 * A spec says what is explored: a letter for each actor, then how, for instance
 * FTM/before/cold.  See actors[] and options[].  A schedule that fails is printed
 * as a line that folio_explore_kunit.schedule= takes.
 */
#define pr_fmt(fmt) "folio_explore: " fmt

#include <kunit/test.h>
#include <linux/debug_locks.h>
#include <linux/kthread.h>
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/pagemap.h>
#include <linux/prandom.h>
#include <linux/swap.h>
#include <linux/vmalloc.h>
#include <asm/sections.h>
#include "../../mm/internal.h"
#include "folio_race.h"

/* Where actor R puts the page: in the file, but not in the mapping */
#define REUSE_INDEX	NR_PAGES
#define FILE_PAGES	(NR_PAGES + 1)
/* What is left of the file when its size is changed */
#define CUT_PAGES	1
#define LARGE_ORDER	2
#define PAIR_ORDER	1

#define MAX_DECISIONS	MM_SYNC_MAX_EVENTS
#define MAX_LINE	900	/* of a record of the kernel's log */
/* How deep the choice tree is cut into shards */
#define SHARD_DEPTH	12
/* How often a random schedule changes its mind */
#define RANDOM_CHANGES	2
#define PROGRESS_SECONDS 5
/* For sets of which it is known that they have few states */
#define STATES_LOG2	19
#define FEW_STATES_LOG2	12

static char *actors_param;
module_param_named(actors, actors_param, charp, 0444);
MODULE_PARM_DESC(actors, "explore this, for instance FTM/before: see the source for what there is");

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
	CHECK_LOOKUP,
	CHECK_PLACE,
	CHECK_DIRTY,
	CHECK_FREE,
	CHECK_TWICE,
	CHECK_TAIL,
	CHECK_RANGE,
	CHECK_REFS,
	CHECK_LEAK,
	CHECK_LRU,
	CHECK_ISOLATE,
	CHECK_TAINT,
	CHECK_LOCKDEP,
	CHECK_STUCK,
};

/* What is checked after each schedule, the first ones at each decision as well */
static const struct {
	const char *name;
	const char *text;
	const char *spec;	/* in which it can be made to fail, if not X */
} checks[] = {
	[CHECK_PTE]	= { "pte", "a PTE maps a folio that is not in the page cache" },
	[CHECK_INDEX]	= { "index", "a PTE maps a folio of another index" },
	[CHECK_LOOKUP]	= { "lookup", "a lookup returns a folio of another index", "X/large" },
	[CHECK_PLACE]	= { "place", "the page cache has a folio at another index", "X/large" },
	[CHECK_DIRTY]	= { "dirty", "a folio leaves the page cache under writeback" },
	[CHECK_FREE]	= { "free", "the folio is freed while it is in use" },
	[CHECK_TWICE]	= { "twice", "the folio is freed twice" },
	[CHECK_TAIL]	= { "tail", "a part of the folio is freed twice, or in use", "X/large" },
	[CHECK_RANGE]	= { "range", "the page cache is not as the truncation must leave it" },
	[CHECK_REFS]	= { "refs", "a part has more or fewer references than users", "X/large" },
	[CHECK_LEAK]	= { "leak", "the folio can't be freed: a reference too many" },
	[CHECK_LRU]	= { "lru", "the LRU lists and their counts do not agree" },
	[CHECK_ISOLATE]	= { "isolate", "a folio is isolated that must not be" },
	[CHECK_TAINT]	= { "taint", "the kernel has reported something" },
	[CHECK_LOCKDEP]	= { "lockdep", "lockdep has turned itself off" },
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
	bool large;			/* it has the neighbour's page as well */
	bool pair;			/* it has two pages, the neighbour has another */
	bool size;			/* T changes the size of the file */
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

/* A state, told from others by a hash of all that is known of it */
struct state {
	u64 hash;
	u64 paths;		/* schedules from here to the end */
	u8 cost;		/* preemptions that it took to get here */
};

struct explorer;

struct explore_thread {
	struct explorer *ex;
	struct task_struct *task;
	int index;
};

enum mode { DEPTH_FIRST, RANDOM, FOLLOW };

struct explorer {
	struct race race;
	struct mm_sync_run run;
	struct spec spec;
	struct explore_thread threads[MM_SYNC_MAX_ACTORS];
	unsigned long addr2;		/* another mapping of just the folio's page */
	pte_t *ptes[NR_PAGES + 1];	/* of both mappings */
	unsigned int lives;		/* of the folio, in this schedule */
	struct lruvec *lruvec;
	bool running, stuck;		/* the threads */
	enum check sabotage;		/* for actor X: which check is to fail */

	/* How to explore */
	enum mode mode;
	int bound;
	bool prune;
	bool coarse;
	unsigned int shard, shards;

	/* The choice tree */
	struct decision nodes[MAX_DECISIONS];
	unsigned int depth;		/* decisions in this schedule */
	unsigned int prefix;		/* so many of them are given */
	unsigned int seen_events;
	unsigned int preemptions;
	bool not_mine;			/* is another shard's */
	u64 history[MM_SYNC_MAX_ACTORS];
	struct rnd_state rnd;
	u8 priority[MM_SYNC_MAX_ACTORS];
	unsigned int change[RANDOM_CHANGES];

	/* The states */
	struct state *states;
	unsigned long nr_slots;
	unsigned long nr_states;
	u64 states_digest;		/* the same for the same states in any order */

	/* What came out */
	unsigned long failed;		/* BIT(check) */
	char wrong[96];			/* what a lookup has returned */
	unsigned int nr_random;
	unsigned long schedules;
	unsigned long others;		/* run to find out that they are another shard's */
	unsigned long pruned;
	unsigned long nr_events;
	unsigned int longest;
	unsigned long nr_outcomes;
	u64 paths;			/* schedules in all, if no bound */
	u64 schedules_digest;
	unsigned long taint;
	const char *error;
	ktime_t start, reported;
};

static struct explorer *explorer_of(struct race *race)
{
	return container_of(race, struct explorer, race);
}

static unsigned int nr_parts(const struct spec *spec)
{
	return 1 << spec->order;
}

/* Is page @part of what the folio was in the beginning free, and kept? */
static bool part_is_kept(const struct explorer *ex, unsigned int part)
{
	return ex->run.kept_pages & BIT(part);
}

/* The folio that begins with this page, if one does */
static struct folio *folio_of_part(const struct explorer *ex, unsigned int part)
{
	struct page *page = folio_page(ex->run.folio, 0) + part;
	struct folio *folio = page_folio(page);

	return !part_is_kept(ex, part) && folio_page(folio, 0) == page ? folio : NULL;
}

static void check_failed(struct explorer *ex, enum check check)
{
	ex->failed |= BIT(check);
}

/* ---- actors ------------------------------------------------------------- */

static void second_pass(struct race *race)
{
	if (explorer_of(race)->spec.invalidate)
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
		    explorer_of(race)->spec.actors[race->run->events[i].actor].may & may)
			return true;
	return false;
}

static void truncate(struct race *race)
{
	if (explorer_of(race)->spec.size)
		race_resize(race, CUT_PAGES);
	else
		race_truncate_page(race);
}

/* Between two steps, and where nobody can be held */
static void look_up(struct explorer *ex, pgoff_t index)
{
	struct folio *folio = filemap_get_entry(ex->race.mapping, index);

	if (!folio || xa_is_value(folio))
		return;
	if (!folio_contains(folio, index)) {
		check_failed(ex, CHECK_LOOKUP);
		scnprintf(ex->wrong, sizeof(ex->wrong),
			  "a lookup of page %lu returns the folio at page %lu", index,
			  folio->index);
	}
	folio_put(folio);
}

/* The last page, which a split gets to last */
static void look_up_page(struct race *race)
{
	struct explorer *ex = explorer_of(race);

	look_up(ex, ex->spec.index + nr_parts(&ex->spec) - 1);
}

/*
 * An actor is where it can't be held, with interrupts off.  Elsewhere, others go
 * on: to look a page up takes no lock, and none of them comes by a point then
 * which matters to others.  Who finds a folio that is frozen would try again.
 */
static void passed(struct mm_sync_run *run)
{
	struct explorer *ex = container_of(run, struct explorer, run);

	if (!(ex->spec.may & MAY_LOOK))
		return;
	for (int i = 0; i < nr_parts(&ex->spec) && !ex->wrong[0]; i++) {
		pgoff_t index = ex->spec.index + i;
		struct folio *folio = xa_load(&ex->race.mapping->i_pages, index);
		size_t len;

		if (!folio || xa_is_value(folio) || !folio_ref_count(folio))
			continue;
		look_up(ex, index);
		len = strlen(ex->wrong);
		if (len)
			scnprintf(ex->wrong + len, sizeof(ex->wrong) - len, " at %s",
				  mm_sync_point_name(run->events[run->nr_events - 1].point));
	}
}

/* Under writeback, as a user of the page cache without a reference */
static struct folio *start_writeback(struct race *race, bool drop)
{
	struct folio *folio = race->run->folio;
	bool started = false;

	if (!folio_try_get(folio))
		return NULL;
	folio_lock(folio);
	if (folio->mapping == race->mapping && !folio_test_writeback(folio)) {
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
		check_failed(explorer_of(race), CHECK_DIRTY);
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
	explorer_of(race)->lives++;
	if (race_add_folio(race, race->run->folio, REUSE_INDEX))
		explorer_of(race)->error = "the freed page can't be added to the page cache";
}

static void miscount(struct explorer *ex, int nr)
{
	spin_lock_irq(&ex->lruvec->lru_lock);
	update_lru_size(ex->lruvec, LRU_INACTIVE_FILE, folio_zonenum(ex->run.folio), nr);
	spin_unlock_irq(&ex->lruvec->lru_lock);
}

/* Do what just one of the checks must report */
static void sabotage(struct race *race)
{
	struct explorer *ex = explorer_of(race);
	struct folio *folio = race->run->folio;

	switch (ex->sabotage) {
	case CHECK_PTE:
		folio_get(folio);
		race_truncate_page(race);
		race_map_orphan(race);
		break;
	case CHECK_INDEX:
		race_insert_page(race, FIRST);
		break;
	case CHECK_LOOKUP:
		folio->index = LAST;
		local_irq_disable();
		mm_sync_point(TEST_1, folio);
		local_irq_enable();
		folio->index = ex->spec.index;
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
		race_split(race);
		mm_sync_point(FOLIO_PUT_FREE, folio_of_part(ex, 1));
		break;
	case CHECK_TWICE:
		race_truncate_page(race);
		mm_sync_point(FOLIO_PUT_FREE, folio);
		break;
	case CHECK_RANGE:
		folio_get(race->neighbour);
		break;
	case CHECK_REFS:
	case CHECK_LEAK:
		folio_get(folio);
		break;
	case CHECK_LRU:
		miscount(ex, 1);
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
	case CHECK_STUCK:
		for (int i = 0; i < MM_SYNC_MAX_EVENTS; i++)
			mm_sync_point(TEST_1, folio);
		break;
	}
}

/* Take it back: tear_down() must do */
static void repair(struct explorer *ex)
{
	switch (ex->sabotage) {
	case CHECK_PTE:
		unmap_mapping_range(ex->race.mapping, 0, 0, 1);
		folio_put(ex->run.folio);
		break;
	case CHECK_PLACE:
		xa_erase(&ex->race.mapping->i_pages, LAST);
		break;
	case CHECK_DIRTY:
		folio_test_clear_writeback(ex->run.folio);
		folio_put(ex->run.folio);
		break;
	case CHECK_RANGE:
		folio_put(ex->race.neighbour);
		break;
	case CHECK_REFS:
	case CHECK_LEAK:
		folio_put(ex->run.folio);
		break;
	case CHECK_LRU:
		miscount(ex, -1);
		break;
	case CHECK_LOCKDEP:
		debug_locks = 1;
		break;
	default:
		break;
	}
}

/* In the order in which they are offered a turn.  R must be the last. */
static const struct actor actors[] = {
	{ 'F', "filemap", "faults next to the folio: fault-around", race_fault_neighbour },
	{ 'T', "truncate", "punches the page out of the file, or changes the file's size",
	  truncate, MAY_TRUNCATE },
	{ 'M', "madvise", "MADV_PAGEOUT or MADV_COLD of the folio's page", race_madvise,
	  MAY_REMOVE },
	{ 'B', "bad", "truncates the pages around as well, or invalidates", second_pass,
	  MAY_REMOVE },
	{ 'S', "split", "splits the folio, of which it has a reference", race_split, NEEDS_LARGE },
	{ 'L', "lookup", "looks the folio's last page up", look_up_page, MAY_LOOK },
	{ 'N', "nocache", "writes the folio back, and drops it then", write_and_drop, MAY_REMOVE },
	{ 'G', "again", "writes the folio back", write_again },
	{ 'K', "reclaim", "isolates and reclaims the folio", race_reclaim,
	  MAY_REMOVE | MAY_TAKE_ANY },
	{ 'P', "put", "puts a reference of its own", put_reference, NEEDS_REF },
	{ 'I', "isolate", "isolates, without a reference of its own", isolate_stale,
	  MAY_ISOLATE | BREAKS_RULES },
	{ 'Z', "tcp", "maps the page, of which it has a reference", race_map_orphan,
	  MAY_ORPHAN | KEEPS_REF },
	{ 'W', "flags", "loses PG_lru by a non-atomic update of the flags", lose_lru,
	  MAY_LOSE_LRU | BREAKS_RULES },
	{ 'D', "drain", "lru_add_drain()", race_drain },
	{ 'X', "sabotage", "what a check must report", sabotage,
	  MAY_REMOVE | MAY_ISOLATE | MAY_LOOK },
	{ 'R', "reuse", "reuses the freed page at another index", reuse, MAY_REUSE },
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
	{ "large", offsetof(struct spec, large) },
	{ "pair", offsetof(struct spec, pair) },
	{ "size", offsetof(struct spec, size) },
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
	spec->order = spec->large ? LARGE_ORDER : spec->pair ? PAIR_ORDER : 0;
	spec->index = spec->large ? FIRST : INDEX;
	if (spec->may & MAY_REUSE && (spec->shmem || spec->order))
		return "R can't reuse a page of shmem or of a large folio";
	if (spec->may & MAY_ORPHAN && (memchr(text, 'F', letters) || spec->mapped))
		return "Z takes the mmap_lock, which others are held with";
	if (spec->shmem && (spec->order || spec->size))
		return "there are no large folios of shmem here, and its size stays";
	if (spec->may & NEEDS_LARGE && !spec->order)
		return "S splits a large folio: /large or /pair";
	/* The neighbour is a page of the folio */
	spec->before |= spec->large;
	return NULL;
}

/* What has failed, in words: the first, if several have */
static const char *failed_text(const struct explorer *ex)
{
	enum check check = __ffs(ex->failed);

	return check == CHECK_LOOKUP && ex->wrong[0] ? ex->wrong : checks[check].text;
}

static pgoff_t neighbour_index(const struct spec *spec)
{
	return spec->before ? FIRST : LAST;
}

/* ---- states ------------------------------------------------------------- */

/* Which of the folio's pages is the first of what the point is about? */
static unsigned int part_of_event(const struct explorer *ex, const struct mm_sync_event *event)
{
	pgoff_t part = event->state.index - ex->spec.index;

	return part < nr_parts(&ex->spec) ? part : 0;
}

static u64 mix(u64 hash, u64 value)
{
	hash = (hash ^ value) * 0x9fb21c651e98df25ULL;
	return hash ^ (hash >> 29);
}

/* What an actor has seen so far: the points, and the little that it may have read there */
static void add_history(struct explorer *ex)
{
	for (; ex->seen_events < ex->run.nr_events; ex->seen_events++) {
		const struct mm_sync_event *event = ex->run.events + ex->seen_events;
		u64 *history = ex->history + event->actor;

		*history = mix(*history, event->point | event->lock << 16 |
			       event->state.cached << 24 | (u64)ex->lives << 32 |
			       (u64)part_of_event(ex, event) << 48);
	}
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
static unsigned int part_of_pfn(const struct explorer *ex, unsigned long pfn)
{
	unsigned long part = pfn - folio_pfn(ex->run.folio);

	return part < nr_parts(&ex->spec) ? part + 1 : 0;
}

static u64 state_of_pte(struct explorer *ex, int i)
{
	pte_t pte = ptep_get(ex->ptes[i]);

	if (pte_none(pte))
		return 0;
	if (!pte_present(pte))
		return 1;
	return 2 + part_of_pfn(ex, pte_pfn(pte)) * 2 + !!pte_young(pte);
}

static u64 state_of_index(struct explorer *ex, pgoff_t index)
{
	void *entry = xa_load(&ex->race.mapping->i_pages, index);

	return !entry ? 0 : xa_is_value(entry) ? 1 : entry == ex->run.folio ? 2 : 3;
}

/* Of more than one page: what has become of them, and where they are */
static u64 state_of_parts(struct explorer *ex)
{
	u64 hash = i_size_read(ex->race.mapping->host);

	for (int i = 0; i < nr_parts(&ex->spec); i++) {
		const struct folio *folio = folio_of_part(ex, i);

		hash = mix(hash, part_is_kept(ex, i));
		if (!folio)
			continue;
		hash = mix(hash, folio_ref_count(folio) | (u64)folio_mapcount(folio) << 32);
		hash = mix(hash, flags_of(folio));
		hash = mix(hash, (u64)!!READ_ONCE(folio->mapping) | folio->index << 1 |
				 (u64)folio_order(folio) << 32);
	}
	for (int i = 0; i < FILE_PAGES; i++) {
		void *entry = xa_load(&ex->race.mapping->i_pages, i);
		bool is_folio = entry && !xa_is_value(entry);

		hash = mix(hash, state_of_index(ex, i));
		if (is_folio)
			hash = mix(hash, part_of_pfn(ex, folio_pfn(entry)));
	}
	return hash;
}

/* Between two steps of an actor, nobody else running */
static u64 state_now(struct explorer *ex)
{
	const struct folio *folio = ex->run.folio;
	u64 hash = ex->lives;

	for (int i = 0; i < ex->run.nr_actors; i++)
		hash = mix(hash, ex->history[i]);
	hash = mix(hash, ex->run.freed | ex->run.kept << 1);
	if (!ex->run.freed) {
		hash = mix(hash, folio_ref_count(folio) | (u64)folio_mapcount(folio) << 32);
		hash = mix(hash, flags_of(folio));
		hash = mix(hash, (u64)!!READ_ONCE(folio->mapping) | folio->index << 1);
	}
	for (int i = 0; i < ARRAY_SIZE(ex->ptes); i++)
		hash = mix(hash, state_of_pte(ex, i));
	hash = mix(hash, state_of_index(ex, INDEX) | state_of_index(ex, REUSE_INDEX) << 2 |
			 state_of_index(ex, neighbour_index(&ex->spec)) << 4);
	if (ex->spec.order || ex->spec.size)
		hash = mix(hash, state_of_parts(ex));
	return hash ?: 1;
}

static struct state *find_state(struct explorer *ex, u64 hash)
{
	unsigned long slot = hash & (ex->nr_slots - 1);

	while (ex->states[slot].hash && ex->states[slot].hash != hash)
		slot = (slot + 1) & (ex->nr_slots - 1);
	return ex->states + slot;
}

/* Is this state new, or seen before, but at the cost of more preemptions? */
static bool add_state(struct explorer *ex, struct state *state, u64 hash)
{
	if (state->hash && (ex->bound < 0 || state->cost <= ex->preemptions))
		return false;
	state->cost = ex->preemptions;
	if (state->hash)
		return true;
	if (ex->nr_states > ex->nr_slots / 4 * 3) {
		ex->error = "too many states: raise folio_explore_kunit.states_log2";
		return false;
	}
	state->hash = hash;
	state->paths = 0;
	ex->nr_states++;
	ex->states_digest += mix(hash, 1);
	return true;
}

/* ---- checks ------------------------------------------------------------- */

/* The first, if several have */
static const typeof(checks[0]) *failed_check(const struct explorer *ex)
{
	return checks + __ffs(ex->failed);
}

static pgoff_t index_of_pte(int i)
{
	return i < NR_PAGES ? i : INDEX;
}

/* At each decision: the PTEs, of the neighbours as well */
static void check_ptes(struct explorer *ex)
{
	bool orphan = ex->spec.may & MAY_ORPHAN;

	for (int i = 0; i < ARRAY_SIZE(ex->ptes); i++) {
		pte_t pte = ptep_get(ex->ptes[i]);
		struct folio *folio;
		struct page *page;

		if (pte_none(pte) || !pte_present(pte))
			continue;
		page = pfn_to_page(pte_pfn(pte));
		folio = page_folio(page);
		if (READ_ONCE(folio->mapping) != ex->race.mapping) {
			if (!orphan)
				check_failed(ex, CHECK_PTE);
		} else if (folio->index + folio_page_idx(folio, page) != index_of_pte(i)) {
			check_failed(ex, CHECK_INDEX);
		}
	}
}

static struct folio *cached(struct explorer *ex, pgoff_t index)
{
	void *entry = xa_load(&ex->race.mapping->i_pages, index);

	return xa_is_value(entry) ? NULL : entry;
}

/* At each decision, too: nobody is in the middle of a change of the page cache */
static void check_cache(struct explorer *ex)
{
	for (int i = 0; i < nr_parts(&ex->spec); i++) {
		const struct folio *folio = folio_of_part(ex, i);

		if (folio && !folio->mapping && folio_test_writeback(folio))
			check_failed(ex, CHECK_DIRTY);
	}
	if (!ex->spec.order)
		return;
	for (int i = 0; i < FILE_PAGES; i++) {
		struct folio *folio = cached(ex, i);

		if (folio && (READ_ONCE(folio->mapping) != ex->race.mapping ||
			      !folio_contains(folio, i)))
			check_failed(ex, CHECK_PLACE);
	}
}

/* A part that was the folio's: who has it but the page cache and the PTEs? */
static void check_refs(struct explorer *ex)
{
	if (!ex->spec.order)
		return;
	for (int i = 0; i < nr_parts(&ex->spec); i++) {
		const struct folio *folio = folio_of_part(ex, i);

		if (folio && folio_ref_count(folio) != folio_mapcount(folio) +
		    (folio->mapping ? folio_nr_pages(folio) : 0))
			check_failed(ex, CHECK_REFS);
	}
}

/* A part, or all of it if it is not split, is freed: that is for good */
static void check_free(struct explorer *ex, const struct mm_sync_event *event,
		       unsigned int *frees)
{
	unsigned int part = part_of_event(ex, event);

	if (event->state.refs || race_bad_free(event))
		check_failed(ex, part ? CHECK_TAIL : CHECK_FREE);
	if (++frees[part] > ex->lives)
		check_failed(ex, part ? CHECK_TAIL : CHECK_TWICE);
}

/* What the actors came by */
static void check_events(struct explorer *ex)
{
	unsigned int frees[1 << LARGE_ORDER] = {};

	for (int i = 0; i < ex->run.nr_events; i++) {
		const struct mm_sync_event *event = ex->run.events + i;
		const struct mm_sync_state *state = &event->state;

		if (mm_sync_is_free(event->point))
			check_free(ex, event, frees);
		/* Both come with a WARN, which may be suppressed */
		if (event->point == MM_SYNC_RELEASE_KEPT && !(ex->spec.may & MAY_LOSE_LRU))
			check_failed(ex, CHECK_FREE);
		if (event->point == MM_SYNC_ISOLATE_STALE && !(ex->spec.may & MAY_ISOLATE))
			check_failed(ex, CHECK_ISOLATE);
		if (event->point == MM_SYNC_ISOLATE_CLEARED &&
		    (!state->refs || (state->mapcount && !state->cached)))
			check_failed(ex, CHECK_ISOLATE);
		/* One that the caller could rely on, and the isolation's own */
		if (event->point == MM_SYNC_ISOLATE_BEFORE_ORPHAN && state->refs < 2 &&
		    ex->spec.actors[event->actor].may & MAY_ISOLATE)
			check_failed(ex, CHECK_ISOLATE);
	}
}

/* All are done: what was truncated must be gone, and nothing else */
static void check_range(struct explorer *ex)
{
	const struct spec *spec = &ex->spec;
	bool truncated = spec->may & MAY_TRUNCATE;
	pgoff_t first = spec->size ? CUT_PAGES : INDEX;
	pgoff_t last = spec->size ? FILE_PAGES - 1 : INDEX;
	struct folio *neighbour = ex->race.neighbour;
	pgoff_t index = neighbour_index(spec);

	for (pgoff_t i = first; truncated && i <= last; i++)
		if (cached(ex, i))
			check_failed(ex, CHECK_RANGE);
	if (!spec->large && !(truncated && first <= index && index <= last) &&
	    (cached(ex, index) != neighbour ||
	     folio_ref_count(neighbour) != 1 + folio_mapcount(neighbour)))
		check_failed(ex, CHECK_RANGE);
	if (!truncated && !(spec->may & MAY_REMOVE) && !cached(ex, INDEX))
		check_failed(ex, CHECK_RANGE);
	/* Reclaim takes the folio as it finds it */
	if (ex->lives > 1 && !(spec->may & MAY_TAKE_ANY) &&
	    cached(ex, REUSE_INDEX) != ex->run.folio)
		check_failed(ex, CHECK_RANGE);
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
static void check_lru(struct explorer *ex)
{
	struct lruvec *lruvec = ex->lruvec;
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
		check_failed(ex, CHECK_LRU);
}

static void check_kernel(struct explorer *ex)
{
	if (get_taint() != ex->taint)
		check_failed(ex, CHECK_TAINT);
	if (!debug_locks)
		check_failed(ex, CHECK_LOCKDEP);
}

/* ---- decisions ---------------------------------------------------------- */

static bool can_go_on(int me, unsigned long may_go)
{
	return me >= 0 && may_go & BIT(me);
}

/* Who is it, the @choice-th of those in @may_go? */
static int nth_choice(int me, unsigned long may_go, unsigned int choice)
{
	if (can_go_on(me, may_go)) {
		if (!choice)
			return me;
		choice--;
		may_go &= ~BIT(me);
	}
	while (choice--)
		may_go &= may_go - 1;
	return __ffs(may_go);
}

static int chosen_by(const struct decision *node, unsigned int choice)
{
	return nth_choice(node->me, node->may_go, choice);
}

static bool is_preemption(const struct decision *node)
{
	return can_go_on(node->me, node->may_go) && node->chosen != node->me;
}

static u64 digest_of(const struct explorer *ex, unsigned int depth)
{
	u64 digest = 1;

	for (int i = 0; i < depth; i++)
		digest = mix(digest, ex->nodes[i].chosen);
	return digest;
}

/* How many of the choices at this decision are to be explored? */
static unsigned int choices(struct explorer *ex, struct decision *node, unsigned int depth)
{
	bool is_new;

	/* All shards get to this depth in the same way */
	if (ex->shards > 1 && depth == SHARD_DEPTH)
		ex->not_mine = node->hash % ex->shards != ex->shard;
	if (ex->not_mine)
		return 1;
	is_new = add_state(ex, node->state, node->hash);
	if (ex->prune && !is_new) {
		ex->pruned++;
		node->pruned = true;
		return 1;
	}
	/* At the bound, only those go on that can, or some other if it can't */
	if (ex->bound >= 0 && ex->preemptions >= ex->bound && can_go_on(node->me, node->may_go))
		return 1;
	return hweight8(node->may_go);
}

static unsigned int random_choice(struct explorer *ex, struct decision *node, unsigned int depth)
{
	unsigned int best = 0;

	for (int i = 0; i < RANDOM_CHANGES; i++)
		if (depth == ex->change[i] && node->me >= 0)
			ex->priority[node->me] = i;	/* lower than all others' */
	for (int choice = 1; choice < hweight8(node->may_go); choice++)
		if (ex->priority[chosen_by(node, choice)] > ex->priority[chosen_by(node, best)])
			best = choice;
	return best;
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

static int choose(struct mm_sync_run *run, int me, unsigned long may_go)
{
	struct explorer *ex = container_of(run, struct explorer, run);
	unsigned int depth = ex->depth;
	struct decision *node = ex->nodes + depth;
	u64 hash;

	add_history(ex);
	check_ptes(ex);
	check_cache(ex);
	if (ex->mode == FOLLOW) {
		if (run->step == run->nr_steps)
			return nth_choice(me, may_go, 0);
		if (!(may_go & BIT(run->steps[run->step].actor)))
			ex->error = "the actor of a step can't go on";
		return ex->error ? __ffs(may_go) : run->steps[run->step].actor;
	}
	/* R has nothing to do until there is a page */
	if (ex->spec.may & MAY_REUSE && !run->kept && ex->lives == 1 &&
	    hweight_long(may_go) > 1)
		may_go &= ~BIT(run->nr_actors - 1);
	if (ex->coarse && can_go_on(me, may_go) &&
	    is_inner(run->events[run->nr_events - 1].point))
		return me;
	if (depth == MAX_DECISIONS) {
		ex->error = "too many decisions in a schedule";
		return nth_choice(me, may_go, 0);
	}

	ex->depth++;
	hash = state_now(ex);
	/* Whose turn it was makes a difference to what the next switch costs */
	if (ex->bound >= 0)
		hash = mix(hash, me) ?: 1;
	if (ex->mode == DEPTH_FIRST && depth < ex->prefix &&
	    (node->hash != hash || node->may_go != may_go)) {
		ex->error = "the same choices have led to another state";
		node->choice = 0;
	}
	node->me = me;
	node->may_go = may_go;
	node->event = run->nr_events;
	node->hash = hash;
	if (ex->mode == RANDOM) {
		add_state(ex, find_state(ex, hash), hash);
		node->choice = random_choice(ex, node, depth);
	} else if (depth >= ex->prefix) {
		node->state = find_state(ex, hash);
		node->choice = 0;
		node->paths = 0;
		node->pruned = false;
		node->limit = choices(ex, node, depth);
	}
	node->chosen = chosen_by(node, node->choice);
	ex->preemptions += is_preemption(node);
	return node->chosen;
}

/*
 * Take back the last decision that has an alternative.  Those that have none
 * left are done with: so many schedules go on from there.
 */
static bool backtrack(struct explorer *ex)
{
	u64 paths = 1;

	for (int i = ex->depth - 1; i >= 0; i--) {
		struct decision *node = ex->nodes + i;

		if (check_add_overflow(node->paths, paths, &node->paths))
			node->paths = U64_MAX;
		if (node->choice + 1 < node->limit) {
			node->choice++;
			ex->prefix = i + 1;
			return true;
		}
		if (!node->pruned)
			node->state->paths = node->paths;
		paths = node->state->paths;
	}
	if (ex->bound < 0 && ex->shards == 1)
		ex->paths = paths;
	return false;
}

/* ---- one schedule ------------------------------------------------------- */

static void set_up(struct explorer *ex)
{
	struct mm_sync_run *run = &ex->run;
	struct race *race = &ex->race;
	struct folio *folio;

	if (ex->spec.shmem) {
		mm_sync_release(run);
		folio = race_add_page(race, INDEX);
	} else {
		if (ex->spec.order)
			mm_sync_release(run);
		folio = run->folio && !ex->spec.order ? mm_sync_reuse(run) :
			filemap_alloc_folio(GFP_KERNEL, ex->spec.order, NULL);
		KUNIT_ASSERT_NOT_NULL(race->test, folio);
		KUNIT_ASSERT_EQ(race->test, 0, race_add_folio(race, folio, ex->spec.index));
	}
	run->folio = folio;
	run->keep = true;
	if (ex->spec.large)
		race->neighbour = folio;
	else if (!cached(ex, neighbour_index(&ex->spec)))
		race->neighbour = race_add_page(race, neighbour_index(&ex->spec));
	i_size_write(race->mapping->host, FILE_PAGES * PAGE_SIZE);
	scoped_guard(rcu)
		ex->lruvec = folio_lruvec(folio);
	if (!(ex->spec.may & MAY_LOSE_LRU))
		lru_add_drain();
	if (ex->spec.mapped)
		race_fault(race, ex->addr2);
	if (ex->spec.may & NEEDS_REF)
		folio_get(folio);
	if (ex->spec.may & KEEPS_REF)
		folio_get(folio);
	/* What warns once, anywhere, is to warn each time */
	memset(__start_once, 0, __end_once - __start_once);

	ex->lives = 1;
	ex->depth = 0;
	ex->seen_events = 0;
	ex->preemptions = 0;
	ex->not_mine = false;
	ex->taint = get_taint();
	for (int i = 0; i < run->nr_actors; i++)
		ex->history[i] = i;
}

static void tear_down(struct explorer *ex)
{
	struct race *race = &ex->race;

	unmap_mapping_range(race->mapping, 0, 0, 1);
	if (ex->spec.may & KEEPS_REF)
		folio_put(ex->run.folio);
	if (race_went_by(race, MM_SYNC_RELEASE_KEPT))
		race_free_kept(race);
	if (ex->spec.order || ex->spec.size)
		race_truncate(race, 0, FILE_PAGES - 1);
	/* Also if it is just the shadow of a folio that was reclaimed */
	if (state_of_index(ex, INDEX))
		race_truncate(race, INDEX, INDEX);
	if (state_of_index(ex, REUSE_INDEX))
		race_truncate(race, REUSE_INDEX, REUSE_INDEX);
	lru_add_drain();
	if (cached(ex, neighbour_index(&ex->spec)))
		folio_clear_referenced(race->neighbour);
	for (int i = 0; i < nr_parts(&ex->spec); i++)
		if (!part_is_kept(ex, i))
			check_failed(ex, CHECK_LEAK);
}

/* Run one schedule, and check.  Return: whether to go on. */
static bool run_schedule(struct explorer *ex)
{
	struct mm_sync_run *run = &ex->run;
	struct state *state;
	u64 hash;

	set_up(ex);
	mm_sync_start(run);
	if (mm_sync_wait(run)) {
		if (ex->mode == FOLLOW)
			ex->error = "a step can't be done as it is said";
		else
			check_failed(ex, CHECK_STUCK);
		return false;
	}
	if (kthread_should_stop())
		ex->error = "KUnit's time is over: see kunit.timeout";
	add_history(ex);
	ex->nr_events += run->nr_events;
	ex->longest = max(ex->longest, ex->depth);

	check_ptes(ex);
	check_cache(ex);
	check_events(ex);
	check_range(ex);
	check_refs(ex);
	check_lru(ex);
	check_kernel(ex);
	hash = state_now(ex);
	state = find_state(ex, hash);
	ex->nr_outcomes += !state->hash;
	add_state(ex, state, hash);
	/* If something is wrong, nothing can be trusted any more */
	if (!ex->failed)
		tear_down(ex);
	return !ex->failed && !ex->error;
}

/* ---- a line for it ------------------------------------------------------ */

static char line[MAX_LINE];

/*
 * The last schedule as steps, an actor and the point until which it runs:
 * FTM/before:F@NEXT_UPTODATE_FOLIO_LOADED,T@END,...
 * A point that it goes by more than once in a step gets a step each time.
 */
static void print_schedule(const struct explorer *ex, bool died)
{
	const struct mm_sync_run *run = &ex->run;
	size_t len = scnprintf(line, MAX_LINE, "%s:", ex->spec.text);

	for (int i = 0; i < ex->depth; i++) {
		unsigned int actor = ex->nodes[i].chosen;
		unsigned int first = ex->nodes[i].event, last;

		while (i + 1 < ex->depth && ex->nodes[i + 1].chosen == actor)
			i++;
		last = i + 1 < ex->depth ? ex->nodes[i + 1].event : run->nr_events;
		for (int j = first; j < last; j++) {
			enum mm_sync_point point = run->events[j].point;

			if (point != run->events[last - 1].point ||
			    run->events[j].actor != actor)
				continue;
			if (len > MAX_LINE - 64) {
				pr_info("schedule %s\n", line);
				len = 0;
			}
			len += scnprintf(line + len, MAX_LINE - len, "%c@%s,",
					 ex->spec.actors[actor].lane, mm_sync_point_name(point));
		}
	}
	/* It did not get to a point any more */
	if (died && ex->depth)
		scnprintf(line + len, MAX_LINE - len, "%c@END",
			  ex->spec.actors[ex->nodes[ex->depth - 1].chosen].lane);
	else
		line[max(len, 1) - 1] = '\0';
	pr_info("schedule %s\n", line);
}

static void print_failed(const struct explorer *ex, const char *check, const char *text)
{
	pr_info("failed %s|%lu|%s|%s\n", ex->spec.text, ex->nr_random + ex->schedules, check,
		text);
}

/* The schedule that the kernel has died in: it counts as a check that failed */
static void died(struct mm_sync_run *run)
{
	struct explorer *ex = container_of(run, struct explorer, run);

	if (ex->mode == FOLLOW) {
		race_print_schedule(run, ex->spec.text, ex->spec.actors, "violated",
				    "the kernel dies");
		return;
	}
	ex->schedules += ex->mode == DEPTH_FIRST;
	print_failed(ex, "dies", "the kernel dies");
	print_schedule(ex, true);
}

/* ---- exploring ---------------------------------------------------------- */

static int explore_thread(void *data)
{
	struct explore_thread *me = data;
	struct explorer *ex = me->ex;
	struct kunit_suppressed_warning *warnings = NULL;

	kthread_use_mm(ex->race.mm);
	/* What they do is reported by a kernel that looks */
	if (ex->spec.may & BREAKS_RULES)
		warnings = kunit_start_suppress_warning(ex->race.test);
	if (mm_sync_join(&ex->run, me->index)) {
		mm_sync_leave(&ex->run);
	} else {
		do {
			ex->spec.actors[me->index].fn(&ex->race);
			/* PG_lru of what it has put back */
			lru_add_drain();
		} while (!mm_sync_again(&ex->run));
	}
	kunit_end_suppress_warning(ex->race.test, warnings);
	kthread_unuse_mm(ex->race.mm);
	return 0;
}

/* Also if the test was aborted in between */
static void stop_threads(void *data)
{
	struct explorer *ex = data;

	if (!ex->running)
		return;
	ex->running = false;
	if (mm_sync_finish(&ex->run) == -EBUSY) {
		/* Actors may come back: leave them all this */
		ex->stuck = true;
		get_file(ex->race.file);
		KUNIT_FAIL(ex->race.test, "actors are stuck: %s", ex->spec.text);
		return;
	}
	for (int i = 0; i < ex->run.nr_actors; i++)
		if (ex->threads[i].task)
			kthread_stop_put(ex->threads[i].task);
	mm_sync_release(&ex->run);
	mmput(ex->race.mm);
}

static void start_threads(struct explorer *ex)
{
	struct kunit *test = ex->race.test;

	ex->run.nr_actors = ex->spec.nr_actors;
	ex->run.choose = choose;
	ex->run.passed = passed;
	ex->run.died = died;
	KUNIT_ASSERT_EQ_MSG(test, mm_sync_begin(&ex->run), 0, "another run");
	ex->running = true;
	mmget(ex->race.mm);
	for (int i = 0; i < ex->run.nr_actors; i++) {
		struct explore_thread *thread = ex->threads + i;

		thread->ex = ex;
		thread->index = i;
		thread->task = race_start_thread(explore_thread, thread, "folio_explore/%u");
	}
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, stop_threads, ex));
}

static s64 ms_since(ktime_t start)
{
	return max(ktime_ms_delta(ktime_get(), start), 1);
}

/*
 * Estimate the number of all schedules: as if each choice's subtree were as
 * large as its siblings'.
 */
static unsigned long estimate(const struct explorer *ex)
{
	u64 one = 1ULL << 62, weight = one, done = 0;

	for (int i = 0; i < ex->depth && weight; i++) {
		weight = div_u64(weight, ex->nodes[i].limit);
		done += ex->nodes[i].choice * weight;
	}
	return done ? mul_u64_u64_div_u64(ex->schedules, one, done) : 0;
}

static void report_progress(struct explorer *ex)
{
	s64 ms = ms_since(ex->start);

	if (ktime_ms_delta(ktime_get(), ex->reported) < PROGRESS_SECONDS * MSEC_PER_SEC)
		return;
	ex->reported = ktime_get();
	pr_info("progress %s|schedules=%lu rate=%llu states=%lu estimate=%lu\n", ex->spec.text,
		ex->schedules, div64_u64(ex->schedules * MSEC_PER_SEC, ms), ex->nr_states,
		estimate(ex));
	cond_resched();
}

static bool run_random(struct explorer *ex, unsigned int nr)
{
	ex->mode = RANDOM;
	prandom_seed_state(&ex->rnd, seed);
	for (unsigned int n = 0; n < nr; n++) {
		for (int i = 0; i < ex->run.nr_actors; i++)
			ex->priority[i] = RANDOM_CHANGES + prandom_u32_state(&ex->rnd) % 128;
		for (int i = 0; i < RANDOM_CHANGES; i++)
			ex->change[i] = prandom_u32_state(&ex->rnd) % max(ex->longest, 1);
		ex->nr_random++;
		if (!run_schedule(ex))
			return false;
	}
	return true;
}

static void forget_states(struct explorer *ex)
{
	memset(ex->states, 0, ex->nr_slots * sizeof(*ex->states));
	ex->nr_states = 0;
	ex->nr_outcomes = 0;
	ex->states_digest = 0;
}

static bool run_depth_first(struct explorer *ex)
{
	ex->mode = DEPTH_FIRST;
	ex->prefix = 0;
	do {
		bool go_on = run_schedule(ex);

		if (ex->shards > 1 && ex->depth <= SHARD_DEPTH)
			ex->not_mine = digest_of(ex, ex->depth) % ex->shards != ex->shard;
		if (ex->not_mine) {
			ex->others++;
		} else {
			ex->schedules++;
			ex->schedules_digest += mix(digest_of(ex, ex->depth), 1);
		}
		if (!go_on)
			return false;
		report_progress(ex);
	} while (backtrack(ex));
	return true;
}

static void print_result(struct explorer *ex)
{
	u64 ms = ms_since(ex->start);
	unsigned long all = ex->nr_random + ex->schedules + ex->others;

	if (ex->error)
		pr_info("error %s|%s\n", ex->spec.text, ex->error);
	if (ex->failed) {
		print_failed(ex, failed_check(ex)->name, failed_text(ex));
		print_schedule(ex, false);
	}
	pr_info("done %s|bound=%d prune=%d coarse=%d shard=%u/%u|random=%u schedules=%lu interleavings=%llu states=%lu outcomes=%lu pruned=%lu others=%lu longest=%u events=%lu ms=%llu rate=%llu states_digest=%016llx schedules_digest=%016llx\n",
		ex->spec.text, ex->bound, ex->prune, ex->coarse, ex->shard, ex->shards,
		ex->nr_random, ex->schedules, ex->paths, ex->nr_states, ex->nr_outcomes,
		ex->pruned, ex->others, ex->longest,
		ex->nr_events, ms, div64_u64(all * MSEC_PER_SEC, ms), ex->states_digest,
		ex->schedules_digest);
}

static pte_t *pte_of(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = pmd_off(mm, addr);

	return pmd_none(*pmd) ? NULL : pte_offset_kernel(pmd, addr);
}

static void free_explorer(void *data)
{
	struct explorer *ex = data;

	if (ex->stuck)
		return;
	vfree(ex->states);
	vfree(ex);
}

/* Get it ready for schedules */
static struct explorer *open_explorer(struct kunit *test, const char *text,
				      unsigned int log2)
{
	struct explorer *ex = vzalloc(sizeof(*ex));
	struct race *race = &ex->race;
	const char *wrong;

	KUNIT_ASSERT_NOT_NULL(test, ex);
	ex->nr_slots = BIT(clamp(log2, 4, 30));
	ex->states = vcalloc(ex->nr_slots, sizeof(*ex->states));
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, free_explorer, ex));
	KUNIT_ASSERT_TRUE(test, ex->states);

	wrong = parse_spec(&ex->spec, text);
	if (wrong)
		KUNIT_FAIL_AND_ABORT(test, "%s: %s", text, wrong);
	if (ex->spec.order && !IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
		kunit_skip(test, "large folios need CONFIG_TRANSPARENT_HUGEPAGE");
	ex->bound = -1;
	ex->prune = true;
	ex->shards = 1;
	KUNIT_ASSERT_EQ(test, 0, race_open(race, test, ex->spec.shmem, FILE_PAGES));
	race->run = &ex->run;
	race->pages = ex->spec.before ? NEIGHBOUR_BEFORE : NEIGHBOUR_AFTER;
	race->advice = ex->spec.cold ? MADV_COLD : MADV_PAGEOUT;
	ex->addr2 = race_map(race, RACE_ADDR2, INDEX, 1);
	KUNIT_ASSERT_EQ(test, ex->addr2, RACE_ADDR2);
	race->advised = ex->spec.mapped ? ex->addr2 : race->addr + INDEX * PAGE_SIZE;

	if (ex->spec.order)
		mapping_set_large_folios(race->mapping);
	if (!ex->spec.large) {
		race->neighbour = race_add_page(race, neighbour_index(&ex->spec));
		lru_add_drain();
	}
	/* Page tables that stay */
	race_fault_neighbour(race);
	race_fault(race, ex->addr2);
	for (int i = 0; i < NR_PAGES; i++)
		ex->ptes[i] = pte_of(race->mm, race->addr + i * PAGE_SIZE);
	ex->ptes[NR_PAGES] = pte_of(race->mm, ex->addr2);
	for (int i = 0; i < ARRAY_SIZE(ex->ptes); i++)
		KUNIT_ASSERT_NOT_NULL(test, ex->ptes[i]);
	unmap_mapping_range(race->mapping, 0, 0, 1);
	race_truncate(race, INDEX, INDEX);
	if (ex->spec.large)
		race_truncate(race, 0, FILE_PAGES - 1);
	lru_add_drain();
	return ex;
}

/* Explore all there is, after so many random schedules */
static void explore(struct explorer *ex, unsigned int nr_random)
{
	ex->start = ktime_get();
	ex->reported = ex->start;
	start_threads(ex);
	if (run_random(ex, nr_random)) {
		/* States that were come by at random are not done with */
		if (nr_random)
			forget_states(ex);
		run_depth_first(ex);
	}
	stop_threads(ex);
	print_result(ex);
}

/* Run the one schedule that the run is given */
static void follow(struct explorer *ex)
{
	ex->mode = FOLLOW;
	start_threads(ex);
	run_schedule(ex);
	stop_threads(ex);
}

static void expect_good(struct kunit *test, const struct explorer *ex)
{
	if (ex->error)
		KUNIT_FAIL(test, "%s: %s", ex->spec.text, ex->error);
	if (ex->failed)
		KUNIT_FAIL(test, "%s: schedule %lu: %s: %s", ex->spec.text,
			   ex->nr_random + ex->schedules, failed_check(ex)->name,
			   failed_text(ex));
}

/* ---- one schedule, given ------------------------------------------------- */

static int point_by_name(const char *name, size_t len)
{
	for (int point = 0; point <= MM_SYNC_WAIT; point++)
		if (strlen(mm_sync_point_name(point)) == len &&
		    !strncmp(mm_sync_point_name(point), name, len))
			return point;
	return -1;
}

/* X@POINT,X@POINT,...; return NULL or what is wrong with it */
static const char *parse_steps(struct explorer *ex, struct mm_sync_step *steps, const char *text)
{
	unsigned int nr = 0;

	while (*text) {
		size_t len = strcspn(text, ",");
		int point = len > 2 && text[1] == '@' ? point_by_name(text + 2, len - 2) : -1;
		int actor;

		for (actor = 0; actor < ex->spec.nr_actors; actor++)
			if (ex->spec.actors[actor].lane == *text)
				break;
		if (actor == ex->spec.nr_actors || point < 0 || nr == RACE_MAX_STEPS)
			return text;
		steps[nr++] = (struct mm_sync_step){ .actor = actor, .until = point };
		text += len;
		text += *text == ',';
	}
	ex->run.steps = steps;
	ex->run.nr_steps = nr;
	return NULL;
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
};

static void set_desc(const struct set *set, char *desc)
{
	strscpy(desc, set->spec, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(set, sets, set_desc);

static void explore_set(struct kunit *test)
{
	const struct set *set = test->param_value;
	struct explorer *ex;

	ex = open_explorer(test, set->spec, STATES_LOG2);
	ex->bound = set->bound;
	explore(ex, random_schedules);
	expect_good(test, ex);
}

/* What folio_explore_kunit.actors= and so on say */
static void explore_param(struct kunit *test)
{
	struct explorer *ex;

	if (!actors_param)
		kunit_skip(test, "needs folio_explore_kunit.actors=");
	ex = open_explorer(test, actors_param, states_log2);
	ex->bound = bound;
	ex->prune = prune;
	ex->coarse = coarse;
	if (shard && (sscanf(shard, "%u/%u", &ex->shard, &ex->shards) != 2 ||
		      ex->shard >= ex->shards))
		KUNIT_FAIL_AND_ABORT(test, "shard=%s is not i/N, i from 0 to N - 1", shard);
	explore(ex, ex->shard ? 0 : random_schedules);
	expect_good(test, ex);
}

static void follow_schedule(struct kunit *test)
{
	struct mm_sync_step *steps;
	struct explorer *ex;
	char *spec, *line;
	const char *wrong;

	if (!schedule_param)
		kunit_skip(test, "needs folio_explore_kunit.schedule=");
	line = kunit_kstrdup(test, schedule_param, GFP_KERNEL);
	steps = kunit_kcalloc(test, RACE_MAX_STEPS, sizeof(*steps), GFP_KERNEL);
	KUNIT_ASSERT_TRUE(test, line && steps);
	spec = strsep(&line, ":");
	ex = open_explorer(test, spec, STATES_LOG2);
	wrong = parse_steps(ex, steps, line ?: "");
	if (wrong)
		KUNIT_FAIL_AND_ABORT(test, "not an actor of %s, @ and a point: %s", spec, wrong);
	follow(ex);
	race_print_schedule(&ex->run, ex->spec.text, ex->spec.actors,
			    ex->error ? "error" : ex->failed ? "violated" : "no violation",
			    ex->error ?: ex->failed ? failed_text(ex) : "");
	expect_good(test, ex);
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
		explore(all, 0);
		expect_good(test, all);
		pruned = open_explorer(test, some[i].spec, STATES_LOG2);
		pruned->bound = some[i].bound;
		pruned->coarse = true;
		explore(pruned, 0);
		expect_good(test, pruned);

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
	explore(whole, 0);
	expect_good(test, whole);
	for (int i = 0; i < ARRAY_SIZE(numbers); i++) {
		unsigned long schedules = 0;
		u64 digest = 0;

		for (int j = 0; j < numbers[i]; j++) {
			struct explorer *part = open_explorer(test, "FT", FEW_STATES_LOG2);

			part->coarse = true;
			part->prune = false;
			part->shard = j;
			part->shards = numbers[i];
			explore(part, 0);
			expect_good(test, part);
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

		explore(ex, random_schedules);
		expect_good(test, ex);
		if (!first)
			first = ex;
		KUNIT_EXPECT_EQ(test, ex->schedules, first->schedules);
		KUNIT_EXPECT_EQ(test, ex->schedules_digest, first->schedules_digest);
		KUNIT_EXPECT_EQ(test, ex->states_digest, first->states_digest);
		KUNIT_EXPECT_EQ(test, ex->paths, first->paths);
	}
}

static void check_desc(const typeof(checks[0]) *check, char *desc)
{
	strscpy(desc, check->name, KUNIT_PARAM_DESC_SIZE);
}

KUNIT_ARRAY_PARAM(check, checks, check_desc);

/* Each check fails for what it is there for, and none else does */
static void check_reports(struct kunit *test)
{
	const typeof(checks[0]) *check = test->param_value;
	struct explorer *ex = open_explorer(test, check->spec ?: "X", STATES_LOG2);

	ex->sabotage = check - checks;
	if (ex->sabotage == CHECK_TAINT && get_taint() & BIT(TAINT_AUX))
		kunit_skip(test, "the kernel is tainted in this way already");
	start_threads(ex);
	KUNIT_EXPECT_FALSE(test, run_schedule(ex));
	KUNIT_EXPECT_EQ(test, ex->failed, BIT(ex->sabotage));
	stop_threads(ex);
	if (ex->stuck)
		return;
	repair(ex);
	tear_down(ex);
}

static struct kunit_case explore_cases[] = {
	KUNIT_CASE_PARAM(explore_set, set_gen_params),
	KUNIT_CASE_SLOW(explore_param),
	KUNIT_CASE(follow_schedule),
	KUNIT_CASE_SLOW(prune_sees_all),
	KUNIT_CASE_SLOW(shards_make_the_whole),
	KUNIT_CASE_SLOW(same_again),
	KUNIT_CASE_PARAM(check_reports, check_gen_params),
	{}
};

static struct kunit_suite explore_suite = {
	.name = "folio_explore",
	.test_cases = explore_cases,
};

kunit_test_suites(&explore_suite);
