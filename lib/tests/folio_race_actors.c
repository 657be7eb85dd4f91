// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the tests of races on the lifetime of a folio have in common, see
 * folio_race.h.
 */
#define pr_fmt(fmt) "folio_race: " fmt

#include <kunit/test.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/fs_struct.h>
#include <linux/kthread.h>
#include <linux/major.h>
#include <linux/migrate.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/ramfs.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/syscalls.h>
#include <asm/syscall.h>
#include "../../mm/internal.h"
#include "folio_race.h"

/* ---- the file ----------------------------------------------------------- */

static struct vfsmount *ramfs;

static int race_read_folio(struct file *file, struct folio *folio)
{
	folio_zero_range(folio, 0, folio_size(folio));
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return 0;
}

/* Leave all folios alone: read_pages() has to remove them */
static void race_readahead(struct readahead_control *rac)
{
}

static const struct address_space_operations race_aops = {
	.read_folio	= race_read_folio,
	.readahead	= race_readahead,
	.dirty_folio	= noop_dirty_folio,
	.migrate_folio	= filemap_migrate_folio,
};

/* Nothing else in there has a name */
static const char disk[] = "/disk";

static int __init race_make_disk(void)
{
	struct dentry *root = ramfs->mnt_root, *dentry = d_alloc_name(root, disk + 1);
	struct inode *inode = ramfs_get_inode(ramfs->mnt_sb, d_inode(root), S_IFBLK | 0600,
					      MKDEV(RAMDISK_MAJOR, 0));

	if (!dentry || !inode)
		return -ENOMEM;
	d_add(dentry, inode);
	return 0;
}

static int __init race_mount(void)
{
	struct file_system_type *type = get_fs_type("ramfs");

	if (!type)
		return -ENODEV;
	ramfs = kern_mount(type);
	put_filesystem(type);
	return IS_ERR(ramfs) ? PTR_ERR(ramfs) : race_make_disk();
}
late_initcall(race_mount);

/**
 * race_open_ramfs() - A file whose page cache is clean and can be reclaimed.
 *
 * Return: The file, without a name, for __fput_sync(), or an ERR_PTR().
 */
struct file *race_open_ramfs(void)
{
	struct file *file;

	if (IS_ERR_OR_NULL(ramfs))
		return ERR_PTR(-ENODEV);
	file = file_open_root_mnt(ramfs, "/", O_RDWR | O_TMPFILE, 0600);
	if (!IS_ERR(file)) {
		file->f_mapping->a_ops = &race_aops;
		mapping_clear_unevictable(file->f_mapping);
	}
	return file;
}

static void put_file(void *file)
{
	__fput_sync(file);
}

/**
 * race_map() - Map pages of the file into current->mm.
 * @race: The fixture.
 * @addr: Where.
 * @index: Which is the first.
 * @nr_pages: How many.
 *
 * Return: The address, or what is no address.
 */
unsigned long race_map(struct race *race, unsigned long addr, pgoff_t index,
		       unsigned int nr_pages)
{
	return kunit_vm_mmap(race->test, race->file, addr, nr_pages * PAGE_SIZE, PROT_READ,
			     MAP_SHARED | MAP_FIXED, index * PAGE_SIZE);
}

/**
 * race_open() - Set the fixture up: a file, mapped in current->mm.
 * @race: The fixture, zeroed.
 * @test: The test that it is for, and ends with.
 * @shmem: Whether the file is to be one of shmem.
 * @nr_pages: Size of the file; the first NR_PAGES are mapped.
 *
 * Context: The thread of @test, which stays on its CPU from now on.
 * Return: 0 or an error.
 */
int race_open(struct race *race, struct kunit *test, bool shmem, unsigned int nr_pages)
{
	race->test = test;

	/* All on one CPU, which the LRU batches belong to as well */
	set_cpus_allowed_ptr(current, cpumask_of(raw_smp_processor_id()));

	if (shmem)
		race->file = shmem_kernel_file_setup("folio_race", nr_pages * PAGE_SIZE,
						     EMPTY_VMA_FLAGS);
	else
		race->file = race_open_ramfs();
	if (IS_ERR(race->file))
		return PTR_ERR(race->file);
	if (kunit_add_action_or_reset(test, put_file, race->file))
		return -ENOMEM;
	race->mapping = race->file->f_mapping;
	if (!shmem)
		i_size_write(race->mapping->host, nr_pages * PAGE_SIZE);

	race->addr = race_map(race, RACE_ADDR, 0, NR_PAGES);
	if (race->addr != RACE_ADDR)
		return -ENOMEM;
	race->mm = current->mm;
	return 0;
}

/**
 * race_add_folio() - Put a folio into the page cache, of which that has the only
 * reference, apart from this CPU's LRU batch.
 * @race: The fixture, its file one of ramfs.
 * @folio: The folio, whose reference is dropped.
 * @index: Where.
 *
 * Return: 0 or an error.
 */
int race_add_folio(struct race *race, struct folio *folio, pgoff_t index)
{
	int ret;

	folio_mark_uptodate(folio);
	ret = filemap_add_folio(race->mapping, folio, index, GFP_KERNEL);
	if (!ret)
		folio_unlock(folio);
	folio_put(folio);
	return ret;
}

/**
 * race_add_page() - Put a new page into the page cache.
 * @race: The fixture.
 * @index: Where.
 *
 * Return: The folio.  If there is no memory, the test ends.
 */
struct folio *race_add_page(struct race *race, pgoff_t index)
{
	struct folio *folio;

	if (shmem_mapping(race->mapping)) {
		folio = shmem_read_folio(race->mapping, index);
		KUNIT_ASSERT_FALSE(race->test, IS_ERR(folio));
		folio_put(folio);
		return folio;
	}

	folio = filemap_alloc_folio(GFP_KERNEL, 0, NULL);
	KUNIT_ASSERT_NOT_NULL(race->test, folio);
	folio_zero_range(folio, 0, folio_size(folio));
	KUNIT_ASSERT_EQ(race->test, 0, race_add_folio(race, folio, index));
	return folio;
}

/**
 * race_pte() - The PTE of an address, if there is a page table.
 * @mm: In which address space.
 * @addr: The address.
 *
 * Return: The PTE, or %NULL.
 */
pte_t *race_pte(struct mm_struct *mm, unsigned long addr)
{
	pmd_t *pmd = mm_find_pmd(mm, addr);

	return !pmd || pmd_none(*pmd) ? NULL : pte_offset_kernel(pmd, addr);
}

/**
 * race_fault() - Read from the mapping of the file: a fault, if the PTE is not present.
 * @race: The fixture.
 * @addr: The address.
 */
void race_fault(struct race *race, unsigned long addr)
{
	pte_t *pte = race_pte(race->mm, addr);
	struct vm_area_struct *vma;

	/* The fault of a PTE that is present takes its lock without mm_sync_lock() */
	if (pte && pte_present(ptep_get(pte)))
		return;
	mmap_read_lock(race->mm);
	vma = vma_lookup(race->mm, addr);
	if (vma)
		handle_mm_fault(vma, addr, 0, NULL);
	mmap_read_unlock(race->mm);
}

/**
 * race_truncate() - Remove a range of pages from the file.
 * @race: The fixture.
 * @first: Index of the first.
 * @last: Index of the last.
 */
void race_truncate(struct race *race, pgoff_t first, pgoff_t last)
{
	loff_t start = (loff_t)first << PAGE_SHIFT;
	loff_t end = ((loff_t)(last + 1) << PAGE_SHIFT) - 1;

	if (shmem_mapping(race->mapping))
		shmem_truncate_range(race->mapping->host, start, end);
	else
		truncate_inode_pages_range(race->mapping, start, end);
}

/**
 * race_went_by() - Has an actor come to a point?
 * @race: The fixture, its run under way or over.
 * @point: The point.
 *
 * Return: Whether one has.
 */
bool race_went_by(struct race *race, enum mm_sync_point point)
{
	for (int i = 0; i < race->run->nr_events; i++)
		if (race->run->events[i].point == point)
			return true;
	return false;
}

/**
 * race_free_kept() - Free the folio that the release path has reported and kept.
 * @race: The fixture.
 */
void race_free_kept(struct race *race)
{
	struct folio *folio = race->run->folio;

	if (race->flags)	/* MGLRU's generation is in there */
		WRITE_ONCE(folio->flags.f, race->flags);
	folio_ref_unfreeze(folio, 1);
	folio_set_lru(folio);
	folio_put(folio);
}

/**
 * race_bad_free() - Is the folio freed, and must not be?
 * @event: What happened.
 *
 * Return: Why it must not be, or NULL.
 */
const char *race_bad_free(const struct mm_sync_event *event)
{
	if (!mm_sync_is_free(event->point))
		return NULL;
	if (event->state.listed)
		return "the folio is freed while it is on a list";
	if (event->state.lru)
		return "the folio is freed with PG_lru set";
	if (event->state.mapcount || event->state.cached)
		return "the folio is freed while it is mapped or in the page cache";
	return NULL;
}

/**
 * race_start_thread() - Start a thread that is to join a run.
 * @fn: What it does.
 * @data: For @fn.
 * @name: Its name, with a %u for the CPU, which is this one.
 *
 * Return: The thread, for kthread_stop_put(), which comes when it has ended; or
 * NULL: mm_sync_start() will miss it.
 */
struct task_struct *race_start_thread(int (*fn)(void *data), void *data, const char *name)
{
	struct task_struct *task;

	task = kthread_create_on_cpu(fn, data, raw_smp_processor_id(), name);
	if (IS_ERR(task))
		return NULL;
	get_task_struct(task);
	wake_up_process(task);
	return task;
}

/* ---- swap --------------------------------------------------------------- */

/* So few that no CPU keeps free ones for itself */
#define SWAP_PAGES	512

/* swapon() or swapoff(), which there is only as system calls; or %-ENXIO */
static long swap_disk(struct race *race, int call)
{
	struct pt_regs __maybe_unused regs = {};

#if !defined(CONFIG_SWAP)
	return -ENXIO;
#elif defined(CONFIG_UML)
	return sys_call_table[call](race->disk, 0, 0, 0, 0, 0);
#elif defined(CONFIG_X86_64)
	regs.di = race->disk;
	return sys_call_table[call](&regs);
#elif defined(CONFIG_ARM64)
	regs.regs[0] = race->disk;
	return sys_call_table[call](&regs);
#else
	return -ENXIO;
#endif
}

static int make_swap(void)
{
	struct file *file = filp_open(disk, O_RDWR, 0);
	union swap_header *header;
	ssize_t ret = -ENOMEM;
	loff_t pos = 0;

	if (IS_ERR(file))
		return PTR_ERR(file);
	header = kzalloc(PAGE_SIZE, GFP_KERNEL);
	if (header) {
		header->info.version = 1;
		header->info.last_page = SWAP_PAGES - 1;
		memcpy(header->magic.magic, "SWAPSPACE2", sizeof(header->magic.magic));
		ret = kernel_write(file, header, PAGE_SIZE, &pos);
	}
	kfree(header);
	__fput_sync(file);
	return min(ret, 0);
}

/**
 * race_swapon() - Swap to a RAM disk.
 * @race: The fixture, which race_open() has set up.
 *
 * Context: The thread of the test.  Its paths begin in a file system of ours then.
 * Return: 0; %-ENXIO without CONFIG_SWAP or CONFIG_BLK_DEV_RAM, or on an architecture
 * that swap_disk() does not know; or another error.
 */
int race_swapon(struct race *race)
{
	const struct path root = { .mnt = ramfs, .dentry = ramfs->mnt_root };
	int ret = unshare_fs_struct();

	if (ret)
		return ret;
	set_fs_root(current->fs, &root);
	ret = make_swap();
	if (ret)
		return ret;
	race->disk = kunit_vm_mmap(race->test, NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				   MAP_PRIVATE | MAP_ANONYMOUS, 0);
	if (!race->disk || copy_to_user((void __user *)race->disk, disk, sizeof(disk)))
		return -EFAULT;
	return swap_disk(race, __NR_swapon);
}

/**
 * race_swapoff() - Do not swap any more, after race_swapon().
 * @race: The fixture.
 *
 * Context: The thread of the test.  Does not end if a slot is in use that nothing
 * refers to.
 */
void race_swapoff(struct race *race)
{
	KUNIT_EXPECT_EQ(race->test, swap_disk(race, __NR_swapoff), 0);
	/* It is to be free at once for the next one */
	flush_delayed_fput();
}

/* ---- the story of a run: Documentation/mm/mm_sync_points.rst has the format --- */

static void state_text(char *buf, size_t size, const struct mm_sync_state *state)
{
	scnprintf(buf, size, "refs=%d mapcount=%d lru=%d locked=%d cached=%d", state->refs,
		  state->mapcount, state->lru, state->locked, state->cached);
}

/**
 * race_print_run() - Print who took part in a run, and what happened.
 * @run: The run, which is over.
 * @story: What is told of it.
 */
void race_print_run(const struct mm_sync_run *run, const struct race_story *story)
{
	static const char * const kinds[] = {
		[MM_SYNC_KIND_PASS] = "pass",
		[MM_SYNC_KIND_STOP] = "stop",
		[MM_SYNC_KIND_WAIT] = "wait",
		[MM_SYNC_KIND_END] = "end",
	};
	const struct actor *actors = story->actors;
	char label[RACE_MAX_LABEL], seen[80];

	pr_info("begin %s|%s\n", story->id, story->title);
	if (story->injected)
		pr_info("injected %s\n", story->injected);
	for (int i = 0; i < run->nr_actors; i++)
		pr_info("actor %c|%s|%s\n", actors[i].lane, actors[i].name, actors[i].does);
	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		strscpy(label, "-");
		if (event->ends_step)
			story->label(story->data, event->step, label);
		state_text(seen, sizeof(seen), &event->state);
		pr_info("event %d|%c|%s|%s|%s listed=%d|%s\n", i, actors[event->actor].lane,
			kinds[event->kind], event->kind == MM_SYNC_KIND_WAIT ?
			mm_sync_lock_name(event->lock) : mm_sync_point_name(event->point),
			seen, event->state.listed, label);
	}
}

/**
 * race_print_step() - Print what was to come of a step of a run, and what came.
 * @story: What is told of the run.
 * @step: The number of the step.
 * @actor: Who was to go on.
 * @until: Until which point.
 * @claimed: What is said of the folio then, or "-".
 * @event: That has ended the step, or %NULL.
 * @how: "ok", "differs" or "missing".
 * @text: What the step is.
 */
void race_print_step(const struct race_story *story, int step, char actor,
		     enum mm_sync_point until, const char *claimed,
		     const struct mm_sync_event *event, const char *how, const char *text)
{
	char label[RACE_MAX_LABEL], seen[80] = "-";

	story->label(story->data, step, label);
	if (event)
		state_text(seen, sizeof(seen), &event->state);
	pr_info("step %s|%c|%s|%s|%s|%s|%s\n", label, actor, mm_sync_point_name(until), claimed,
		seen, how, text);
}

/**
 * race_print_verdict() - Print what came out; it is the end of the story.
 * @story: What is told.
 * @verdict: A word.
 * @reason: Why, or more of it.
 * @runs: How many runs were the same.
 */
void race_print_verdict(const struct race_story *story, const char *verdict, const char *reason,
			int runs)
{
	pr_info("verdict %s|%s\n", verdict, reason);
	pr_info("end %s|%d\n", story->id, runs);
}

static void numbered(const void *data, int step, char *label)
{
	scnprintf(label, RACE_MAX_LABEL, "%d", step + 1);
}

/**
 * race_print_schedule() - Print a run of which nothing is claimed.
 * @run: The run, which is over.
 * @id: A word for it.
 * @actors: What its actors are.
 * @verdict: A word of what came out.
 * @reason: More of it.
 */
void race_print_schedule(const struct mm_sync_run *run, const char *id,
			 const struct actor *actors, const char *verdict, const char *reason)
{
	const struct race_story story = {
		.id = id, .title = "a schedule of the explorer", .actors = actors,
		.label = numbered,
	};

	race_print_run(run, &story);
	for (int i = 0; i < run->nr_events; i++) {
		const struct mm_sync_event *event = run->events + i;

		if (event->ends_step)
			race_print_step(&story, event->step, actors[event->actor].lane,
					event->point, "-", event, "ok",
					mm_sync_point_meaning(event->point));
	}
	race_print_verdict(&story, verdict, reason, 1);
}

/* ---- actors ------------------------------------------------------------- */

/* A page next to the folio: fault-around brings the folio in */
void race_fault_neighbour(struct race *race)
{
	race_fault(race, race->addr + (race->pages & BIT(FIRST) ? FIRST : LAST) * PAGE_SIZE);
}

/* What punching a hole of the one page comes to, or truncate_setsize() */
void race_truncate_page(struct race *race)
{
	struct inode *inode = race->mapping->host;

	if (!race->left) {
		race_truncate(race, INDEX, INDEX);
		return;
	}
	i_size_write(inode, race->left << PAGE_SHIFT);
	/* File systems can do much in between */
	mm_sync_point(TEST_1, race->run->folio);
	truncate_pagecache(inode, race->left << PAGE_SHIFT);
}

void race_madvise(struct race *race)
{
	if (race->advised)
		do_madvise(race->mm, race->advised, PAGE_SIZE, race->advice);
	else
		do_madvise(race->mm, race->addr, NR_PAGES * PAGE_SIZE, race->advice);
}

/* As MADV_PAGEOUT does it, without a PTE */
void race_reclaim(struct race *race)
{
	LIST_HEAD(list);

	if (!folio_try_get(race->run->folio))
		return;
	if (folio_isolate_lru(race->run->folio))
		list_add(&race->run->folio->lru, &list);
	folio_put(race->run->folio);
	reclaim_pages(&list);
}

static struct folio *migration_target(struct folio *folio, unsigned long private)
{
	return folio_alloc(GFP_KERNEL, folio_order(folio));
}

/* As compaction does with a folio that it has found by its number */
void race_migrate(struct race *race)
{
	struct folio *folio = race->run->folio;
	LIST_HEAD(list);

	if (!folio_try_get(folio))
		return;
	if (folio_isolate_lru(folio)) {
		node_stat_mod_folio(folio, NR_ISOLATED_ANON + folio_is_file_lru(folio),
				    folio_nr_pages(folio));
		list_add(&folio->lru, &list);
	}
	folio_put(folio);
	if (!list_empty(&list) &&
	    migrate_pages(&list, migration_target, NULL, 0, MIGRATE_ASYNC, MR_COMPACTION, NULL))
		putback_movable_pages(&list);
}

void race_drain(struct race *race)
{
	lru_add_drain();
}

/* Map the folio where page @index of the file belongs */
void race_insert_page(struct race *race, pgoff_t index)
{
	unsigned long addr = race->addr + index * PAGE_SIZE;
	struct vm_area_struct *vma;

	mmap_write_lock(race->mm);
	vma = vma_lookup(race->mm, addr);
	if (vma)
		vm_insert_page(vma, addr, folio_page(race->run->folio, 0));
	mmap_write_unlock(race->mm);
}

/*
 * TCP receive zerocopy, which maps the pages of the skbs that it was sent if
 * they are not in the page cache: a reference of an skb is what the test holds.
 */
void race_map_orphan(struct race *race)
{
	if (!READ_ONCE(race->run->folio->mapping))
		race_insert_page(race, INDEX);
}
