// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the contract of folio_isolate_lru() and of the path that
 * releases a folio with its last reference.
 *
 * They are safe on a machine in use, as with KUNIT_ALL_TESTS: all that is
 * touched are folios of their own, no rule is broken, and they run on the LRU
 * that is enabled.  A folio on an LRU list may be isolated by reclaim at any
 * time, so a case can fail while memory is short.
 */
#include <kunit/test.h>
#include <linux/file.h>
#include <linux/folio_batch.h>
#include <linux/fs.h>
#include <linux/initrd.h>
#include <linux/jiffies.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/pagemap.h>
#include <linux/ramfs.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <linux/workqueue.h>
#include "../../mm/internal.h"

#define LRU_FLAGS	(BIT(PG_lru) | BIT(PG_active) | BIT(PG_unevictable))
#define LARGE_ORDER	2
#define LONGTERM_PIN_TIMEOUT	(3 * HZ)

enum folio_kind {
	KIND_FILE,
	KIND_ACTIVE,
	KIND_SHMEM,
	KIND_ANON,
	KIND_LARGE,
	KIND_UNEVICTABLE,
};

/* What is released through which call: see release() */
enum release_path {
	BY_PUT,
	BY_BATCH,
};

struct lru_param {
	const char *name;
	int kind;		/* enum folio_kind or enum release_path */
};

static struct vfsmount *ramfs;

static int suite_init(struct kunit_suite *suite)
{
	struct file_system_type *type = get_fs_type("ramfs");

	if (!type)
		return -ENODEV;
	ramfs = kern_mount(type);
	put_filesystem(type);
	return PTR_ERR_OR_ZERO(ramfs);
}

static void suite_exit(struct kunit_suite *suite)
{
	kern_unmount(ramfs);
}

static int case_init(struct kunit *test)
{
	/* What is unpacked meanwhile goes through the LRU lists as well */
	wait_for_initramfs();
	return kunit_attach_mm();
}

/* ---- what a folio looks like -------------------------------------------- */

struct lru_state {
	unsigned long flags;
	bool linked;
	int refs;
	int mapcount;
};

/* Do the neighbours of a folio point back at it?  They may be anything. */
static bool folio_linked(const struct folio *folio)
{
	const struct list_head *entry = &folio->lru;
	struct list_head *back;

	return !get_kernel_nofault(back, &entry->next->prev) && back == entry &&
	       !get_kernel_nofault(back, &entry->prev->next) && back == entry;
}

static void read_state(const struct folio *folio, struct lru_state *state)
{
	state->flags = READ_ONCE(folio->flags.f) & LRU_FLAGS;
	state->linked = folio_linked(folio);
	state->refs = folio_ref_count(folio);
	state->mapcount = folio_mapcount(folio);
}

static void expect_state(struct kunit *test, const struct folio *folio,
			 const struct lru_state *want, const char *when)
{
	struct lru_state now;

	read_state(folio, &now);
	KUNIT_EXPECT_EQ_MSG(test, now.flags, want->flags, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.linked, want->linked, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.refs, want->refs, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.mapcount, want->mapcount, "%s", when);
}

static void putback(struct folio *folio)
{
	folio_putback_lru(folio);
	lru_add_drain_all();
}

/* The folio is refused, and nobody can tell that it was asked for */
static void expect_refused(struct kunit *test, struct folio *folio,
			   const char *what)
{
	struct lru_state was;
	bool isolated;

	read_state(folio, &was);
	isolated = folio_isolate_lru(folio);
	KUNIT_EXPECT_FALSE_MSG(test, isolated, "isolated though %s", what);
	expect_state(test, folio, &was, what);
	if (isolated)
		putback(folio);
}

/* MGLRU has a generation where the classic LRU has PG_active */
static bool on_active_list(struct folio *folio)
{
#ifdef CONFIG_LRU_GEN
	int gen = folio_lru_gen(folio);

	guard(rcu)();
	if (gen >= 0)
		return lru_gen_is_active(folio_lruvec(folio), gen);
#endif
	return folio_test_active(folio);
}

/* The folio is isolated once, then it is put back where it was */
static void expect_isolated(struct kunit *test, struct folio *folio)
{
	struct lru_state was, want;

	read_state(folio, &was);
	KUNIT_ASSERT_TRUE(test, folio_test_lru(folio));
	/* The unevictable list has a size, but it is not a list */
	KUNIT_EXPECT_EQ(test, was.linked, !folio_test_unevictable(folio));

	want = was;
	want.flags &= ~BIT(PG_lru);
	want.linked = false;
	want.refs++;
	if (on_active_list(folio))
		want.flags |= BIT(PG_active);

	KUNIT_ASSERT_TRUE(test, folio_isolate_lru(folio));
	expect_state(test, folio, &want, "isolated");
	expect_refused(test, folio, "already isolated");
	putback(folio);
	expect_state(test, folio, &was, "put back");
}

/*
 * Gone to the page allocator: seen at once, before somebody else gets the page.
 * Without memcg, what is left to see is that it is off the LRU.
 */
static bool folio_was_freed(struct folio *folio)
{
	return !folio_ref_count(folio) && !folio_test_lru(folio) &&
	       !folio_memcg_charged(folio);
}

/* ---- where folios come from --------------------------------------------- */

static void put_folio(void *folio)
{
	folio_put(folio);
}

static void put_inode(void *inode)
{
	iput(inode);
}

static void put_file(void *file)
{
	__fput_sync(file);
}

/* The test holds a reference on @folio until it ends */
static struct folio *own_folio(struct kunit *test, struct folio *folio)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, folio);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_folio, folio));
	lru_add_drain_all();
	return folio;
}

static struct folio *bare_folio_nolru(struct kunit *test, unsigned int order)
{
	struct folio *folio = folio_alloc(GFP_HIGHUSER_MOVABLE | __GFP_ZERO, order);

	KUNIT_ASSERT_NOT_NULL(test, folio);
	if (mem_cgroup_charge(folio, NULL, GFP_KERNEL)) {
		folio_put(folio);
		KUNIT_FAIL_AND_ABORT(test, "can't charge");
	}
	return folio;
}

/*
 * A folio that is on the LRU and nowhere else, as if truncated: the only
 * reference is the caller's, who must put it.
 */
static struct folio *bare_folio(struct kunit *test, unsigned int order,
				bool active)
{
	struct folio *folio = bare_folio_nolru(test, order);

	if (active)
		folio_set_active(folio);
	folio_add_lru(folio);
	lru_add_drain_all();
	return folio;
}

static struct address_space *ramfs_mapping(struct kunit *test, bool unevictable)
{
	struct inode *inode;

	inode = ramfs_get_inode(ramfs->mnt_sb, NULL, S_IFREG | 0600, 0);
	KUNIT_ASSERT_NOT_NULL(test, inode);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_inode, inode));
	/* All of ramfs is unevictable; apart from that it is a plain file */
	if (!unevictable)
		mapping_clear_unevictable(inode->i_mapping);
	return inode->i_mapping;
}

static struct folio *ramfs_folio(struct kunit *test, bool unevictable,
				 unsigned int order)
{
	struct address_space *mapping = ramfs_mapping(test, unevictable);
	struct folio *folio;

	if (order)
		mapping_set_large_folios(mapping);
	folio = __filemap_get_folio(mapping, 0,
				    FGP_LOCK | FGP_CREAT |
				    fgf_set_order(PAGE_SIZE << order),
				    mapping_gfp_mask(mapping));
	KUNIT_ASSERT_FALSE(test, IS_ERR(folio));
	folio_zero_range(folio, 0, folio_size(folio));
	folio_mark_uptodate(folio);
	folio_unlock(folio);
	return own_folio(test, folio);
}

static struct file *test_shmem_file(struct kunit *test)
{
	struct file *file;

	file = shmem_kernel_file_setup("folio_lru_kunit", 4 * PAGE_SIZE,
				       EMPTY_VMA_FLAGS);
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, file);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_file, file));
	return file;
}

static struct folio *test_shmem_folio(struct kunit *test)
{
	if (!IS_ENABLED(CONFIG_SHMEM))
		kunit_skip(test, "needs CONFIG_SHMEM: the file is on ramfs");
	return own_folio(test, shmem_read_folio(test_shmem_file(test)->f_mapping, 0));
}

static unsigned long test_mmap(struct kunit *test, struct file *file,
			       unsigned long flags)
{
	unsigned long addr = kunit_vm_mmap(test, file, 0, PAGE_SIZE,
					   PROT_READ | PROT_WRITE, flags, 0);

	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_LT(test, addr, TASK_SIZE);
	return addr;
}

/* The folio that a write fault brings to @addr */
static struct folio *fault_folio(struct kunit *test, unsigned long addr)
{
	struct page *page;

	KUNIT_ASSERT_EQ(test, 0, put_user(1, (int __user *)addr));
	KUNIT_ASSERT_EQ(test, 1, get_user_pages_fast(addr, 1, FOLL_WRITE, &page));
	return own_folio(test, page_folio(page));
}

static struct folio *anon_folio(struct kunit *test)
{
	unsigned long addr = test_mmap(test, NULL, MAP_PRIVATE | MAP_ANONYMOUS);

	return fault_folio(test, addr);
}

static struct folio *make_folio(struct kunit *test, enum folio_kind kind)
{
	switch (kind) {
	case KIND_FILE:
		return ramfs_folio(test, false, 0);
	case KIND_ACTIVE:
		return own_folio(test, bare_folio(test, 0, true));
	case KIND_SHMEM:
		return test_shmem_folio(test);
	case KIND_ANON:
		return anon_folio(test);
	case KIND_LARGE:
		/* Without THP no page cache can have it, but an LRU list can */
		if (IS_ENABLED(CONFIG_TRANSPARENT_HUGEPAGE))
			return ramfs_folio(test, false, LARGE_ORDER);
		return own_folio(test, bare_folio(test, LARGE_ORDER, false));
	case KIND_UNEVICTABLE:
		return ramfs_folio(test, true, 0);
	}
	return NULL;
}

/* Out of the page cache, through the file's own truncation */
static void truncate_folio(struct kunit *test, struct folio *folio)
{
	struct address_space *mapping = folio->mapping;

	if (shmem_mapping(mapping))
		shmem_truncate_range(mapping->host, 0, -1);
	else
		truncate_inode_pages(mapping, 0);
	KUNIT_ASSERT_PTR_EQ(test, folio->mapping, NULL);
	KUNIT_ASSERT_TRUE(test, folio_test_lru(folio));
	KUNIT_ASSERT_FALSE(test, folio_mapped(folio));
}

/*
 * Map @folio at @addr in the way of a driver that was handed the page: the
 * VMA is of some other file.
 */
static int insert_folio(struct folio *folio, unsigned long addr)
{
	struct vm_area_struct *vma;
	int ret = -EFAULT;

	mmap_write_lock(current->mm);
	vma = vma_lookup(current->mm, addr);
	if (vma)
		ret = vm_insert_page(vma, addr, folio_page(folio, 0));
	mmap_write_unlock(current->mm);
	return ret;
}

/* Return: where @folio is mapped now */
static unsigned long map_inserted(struct kunit *test, struct folio *folio)
{
	unsigned long addr = test_mmap(test, test_shmem_file(test), MAP_SHARED);

	KUNIT_ASSERT_EQ(test, 0, insert_folio(folio, addr));
	return addr;
}

/* ---- folio_isolate_lru() ------------------------------------------------ */

static void isolate_putback(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio = make_folio(test, param->kind);

	KUNIT_ASSERT_NOT_NULL(test, folio);
	if (param->kind == KIND_LARGE && !folio_test_large(folio))
		kunit_skip(test, "memory is too fragmented for a large folio");
	/* Is it what it was made for? */
	KUNIT_ASSERT_TRUE(test, folio_test_lru(folio));
	KUNIT_EXPECT_EQ(test, folio_test_anon(folio), param->kind == KIND_ANON);
	KUNIT_EXPECT_EQ(test, folio_test_swapbacked(folio),
			param->kind == KIND_ANON || param->kind == KIND_SHMEM);
	KUNIT_EXPECT_EQ(test, folio_order(folio),
			param->kind == KIND_LARGE ? LARGE_ORDER : 0);
	KUNIT_EXPECT_EQ(test, folio_test_unevictable(folio),
			param->kind == KIND_UNEVICTABLE);
	KUNIT_EXPECT_EQ(test, folio_mapcount(folio), param->kind == KIND_ANON);
	expect_isolated(test, folio);
}

static void isolate_never_added(struct kunit *test)
{
	struct folio *folio = own_folio(test, bare_folio_nolru(test, 0));

	KUNIT_ASSERT_FALSE(test, folio_test_lru(folio));
	expect_refused(test, folio, "never added");
}

/*
 * A folio that is not on the LRU is not even pinned: with its count frozen, that
 * would be reported.
 */
static void isolate_frozen_off_lru(struct kunit *test)
{
	struct folio *folio = own_folio(test, bare_folio_nolru(test, 0));

	if (!IS_ENABLED(CONFIG_DEBUG_VM))
		kunit_skip(test, "needs CONFIG_DEBUG_VM, to report a pin");
	KUNIT_ASSERT_TRUE(test, folio_ref_freeze(folio, 1));
	kunit_warning_suppress(test) {
		expect_refused(test, folio, "off the LRU and frozen");
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 0);
	}
	folio_ref_unfreeze(folio, 1);
}

static void detach_private(void *folio)
{
	folio_detach_private(folio);
}

/* Its mapping is gone, but PG_private needs somebody to migrate or free it */
static void isolate_truncated_private(struct kunit *test)
{
	struct folio *folio = ramfs_folio(test, false, 0);

	folio_attach_private(folio, test);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, detach_private, folio));
	truncate_folio(test, folio);
	KUNIT_EXPECT_TRUE(test, folio_test_private(folio));
	KUNIT_EXPECT_FALSE(test, folio_is_orphan(folio));
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
	expect_isolated(test, folio);
}

/*
 * Shmem in the swap cache: shmem_writeout() has taken it out of the page cache
 * and the swap cache has it.  Without a swap device, truncation stands in for
 * the former and PG_swapcache for the latter.  Reclaim would look it up in the
 * swap cache, if it could lock it.
 */
static void isolate_swapcache(struct kunit *test)
{
#ifdef CONFIG_SWAP
	struct folio *folio = test_shmem_folio(test);

	truncate_folio(test, folio);
	folio_lock(folio);
	folio_set_swapcache(folio);
	KUNIT_EXPECT_FALSE(test, folio_is_orphan(folio));
	expect_isolated(test, folio);
	folio_clear_swapcache(folio);
	folio_unlock(folio);
#else
	kunit_skip(test, "needs CONFIG_SWAP");
#endif
}

static void isolate_orphan(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio = make_folio(test, param->kind);
	struct lru_state was;
	unsigned long addr;

	truncate_folio(test, folio);
	expect_isolated(test, folio);
	read_state(folio, &was);

	addr = map_inserted(test, folio);
	KUNIT_ASSERT_EQ(test, folio_mapcount(folio), was.mapcount + 1);
	KUNIT_ASSERT_EQ(test, folio_ref_count(folio), was.refs + 1);
	expect_refused(test, folio, "an orphan");

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	lru_add_drain_all();
	expect_state(test, folio, &was, "unmapped");
	expect_isolated(test, folio);
}

/*
 * Reclaim takes a folio off its list before it looks what it is.  A poisoned
 * one it unmaps and does not put back; an orphan, which it can't unmap, must
 * go back, where memory offlining finds it.
 */
static void reclaim_keeps_poisoned_orphan(struct kunit *test)
{
#ifdef CONFIG_MEMORY_FAILURE
	struct folio *folio = make_folio(test, KIND_FILE);
	struct lru_state was;
	LIST_HEAD(isolated);

	truncate_folio(test, folio);
	KUNIT_ASSERT_TRUE(test, folio_isolate_lru(folio));
	list_add(&folio->lru, &isolated);
	map_inserted(test, folio);
	KUNIT_ASSERT_TRUE(test, folio_is_orphan(folio));
	read_state(folio, &was);

	SetPageHWPoison(&folio->page);
	reclaim_pages(&isolated);
	ClearPageHWPoison(&folio->page);
	lru_add_drain_all();

	KUNIT_EXPECT_TRUE(test, folio_test_lru(folio));
	KUNIT_EXPECT_TRUE(test, folio_linked(folio));
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), was.refs - 1);
	KUNIT_EXPECT_EQ(test, folio_mapcount(folio), 1);
	expect_refused(test, folio, "an orphan");
#else
	kunit_skip(test, "needs CONFIG_MEMORY_FAILURE");
#endif
}

static void is_orphan(struct kunit *test)
{
	struct file *file = test_shmem_file(test);
	unsigned long addr;
	struct folio *folio;

	addr = test_mmap(test, file, MAP_SHARED);
	folio = fault_folio(test, addr);
	KUNIT_ASSERT_PTR_EQ(test, folio->mapping, file->f_mapping);
	KUNIT_ASSERT_TRUE(test, folio_mapped(folio));
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "mapped, has a mapping");

	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	KUNIT_ASSERT_FALSE(test, folio_mapped(folio));
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "not mapped, has a mapping");

	truncate_folio(test, folio);
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "not mapped, no mapping");

	addr = test_mmap(test, file, MAP_SHARED);
	KUNIT_ASSERT_EQ(test, 0, insert_folio(folio, addr));
	KUNIT_EXPECT_TRUE_MSG(test, folio_is_orphan(folio), "mapped, no mapping");

#ifdef CONFIG_SWAP
	folio_lock(folio);
	folio_set_swapcache(folio);
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "mapped, in the swap cache");
	folio_clear_swapcache(folio);
	folio_unlock(folio);
#endif
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "unmapped again");
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(anon_folio(test)), "anon");
}

/*
 * A page that is not to be pinned for long where it is, and that nobody can
 * migrate, must not be tried again for ever.  This thread takes a signal to end
 * that.
 */
static struct {
	struct delayed_work timeout;
	struct task_struct *task;
	bool killed;
} longterm_pin;

static void longterm_pin_timeout(struct work_struct *work)
{
	longterm_pin.killed = true;
	send_sig(SIGKILL, longterm_pin.task, 1);
}

static void longterm_pin_fails(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio;
	unsigned long addr;
	struct page *page;
	long ret;

	if (param->kind == KIND_SHMEM) {
		folio = make_folio(test, KIND_SHMEM);
		truncate_folio(test, folio);
	} else {
		folio = own_folio(test, bare_folio_nolru(test, 0));
	}
	if (folio_is_longterm_pinnable(folio))
		kunit_skip(test, "needs ZONE_MOVABLE: boot with movablecore=");
	addr = map_inserted(test, folio);

	allow_signal(SIGKILL);
	longterm_pin.task = current;
	longterm_pin.killed = false;
	INIT_DELAYED_WORK(&longterm_pin.timeout, longterm_pin_timeout);
	schedule_delayed_work(&longterm_pin.timeout, LONGTERM_PIN_TIMEOUT);
	mmap_read_lock(current->mm);
	ret = pin_user_pages(addr, 1, FOLL_LONGTERM | FOLL_WRITE, &page);
	mmap_read_unlock(current->mm);
	cancel_delayed_work_sync(&longterm_pin.timeout);
	flush_signals(current);
	disallow_signal(SIGKILL);

	KUNIT_EXPECT_FALSE_MSG(test, longterm_pin.killed, "tried again for ever");
	KUNIT_EXPECT_EQ(test, ret, -ENOMEM);
	if (ret == 1)
		unpin_user_page(page);
	/* The caller's, and that of the PTE */
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 2);
}

/* ---- the last reference ------------------------------------------------- */

static void release(struct folio *folio, enum release_path path)
{
	struct folio_batch fbatch;

	if (path == BY_PUT) {
		folio_put(folio);
		return;
	}
	folio_batch_init(&fbatch);
	folio_batch_add(&fbatch, folio);
	folios_put(&fbatch);
}

/* Release @folio: it must be freed, and there is nothing to report */
static void expect_freed(struct kunit *test, struct folio *folio,
			 enum release_path path, const char *what)
{
	bool freed = false;

	kunit_warning_suppress(test) {
		/* Another task, or a softirq, could take the page again */
		local_bh_disable();
		release(folio, path);
		freed = folio_was_freed(folio);
		local_bh_enable();
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 0);
	}
	KUNIT_EXPECT_TRUE_MSG(test, freed, "%s", what);
}

static void release_lru(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct lru_state was;
	struct folio *keep, *folio;
	int order;

	keep = own_folio(test, bare_folio(test, 0, false));
	read_state(keep, &was);

	for (order = 0; order <= LARGE_ORDER; order += LARGE_ORDER) {
		folio = bare_folio(test, order, false);
		expect_freed(test, folio, param->kind, "inactive");
		expect_state(test, keep, &was, "inactive freed");

		folio = bare_folio(test, order, true);
		expect_freed(test, folio, param->kind, "active");
		expect_state(test, keep, &was, "active freed");
	}
	expect_isolated(test, keep);
}

static void release_never_added(struct kunit *test)
{
	const struct lru_param *param = test->param_value;

	expect_freed(test, bare_folio_nolru(test, 0), param->kind, "order 0");
	expect_freed(test, bare_folio_nolru(test, LARGE_ORDER), param->kind, "large");
}

static void release_isolated(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio = bare_folio(test, 0, false);
	LIST_HEAD(isolated);

	/* On the isolator's own list */
	KUNIT_ASSERT_TRUE(test, folio_isolate_lru(folio));
	list_add(&folio->lru, &isolated);
	folio_put(folio);
	expect_freed(test, folio, param->kind, "isolated");
}

/*
 * What was unevictable is on no list, and ->lru is not for a list: it is where
 * the mlock count is.
 */
static void release_unevictable(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio = ramfs_folio(test, true, 0);

	KUNIT_ASSERT_TRUE(test, folio_test_unevictable(folio));
	truncate_folio(test, folio);
	kunit_remove_action(test, put_folio, folio);
	expect_freed(test, folio, param->kind, "unevictable");
}

/* ---- suites ------------------------------------------------------------- */

static const struct lru_param kinds[] = {
	{ "file", KIND_FILE },
	{ "active", KIND_ACTIVE },
	{ "shmem", KIND_SHMEM },
	{ "anon", KIND_ANON },
	{ "large", KIND_LARGE },
	{ "unevictable", KIND_UNEVICTABLE },
};

KUNIT_ARRAY_PARAM_DESC(kinds, kinds, name);

static const struct lru_param orphans[] = {
	{ "file", KIND_FILE },
	{ "shmem", KIND_SHMEM },
};

KUNIT_ARRAY_PARAM_DESC(orphans, orphans, name);

static const struct lru_param pinned[] = {
	{ "truncated", KIND_SHMEM },
	{ "driver", -1 },
};

KUNIT_ARRAY_PARAM_DESC(pinned, pinned, name);

static const struct lru_param paths[] = {
	{ "put", BY_PUT },
	{ "batch", BY_BATCH },
};

KUNIT_ARRAY_PARAM_DESC(paths, paths, name);

static struct kunit_case isolate_cases[] = {
	KUNIT_CASE_PARAM(isolate_putback, kinds_gen_params),
	KUNIT_CASE(isolate_never_added),
	KUNIT_CASE(isolate_frozen_off_lru),
	KUNIT_CASE(isolate_truncated_private),
	KUNIT_CASE(isolate_swapcache),
	KUNIT_CASE_PARAM(isolate_orphan, orphans_gen_params),
	KUNIT_CASE(reclaim_keeps_poisoned_orphan),
	KUNIT_CASE(is_orphan),
	KUNIT_CASE_PARAM(longterm_pin_fails, pinned_gen_params),
	{}
};

static struct kunit_suite isolate_suite = {
	.name = "folio_isolate_lru",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = case_init,
	.test_cases = isolate_cases,
};

static struct kunit_case release_cases[] = {
	KUNIT_CASE_PARAM(release_lru, paths_gen_params),
	KUNIT_CASE_PARAM(release_never_added, paths_gen_params),
	KUNIT_CASE_PARAM(release_isolated, paths_gen_params),
	KUNIT_CASE_PARAM(release_unevictable, paths_gen_params),
	{}
};

static struct kunit_suite release_suite = {
	.name = "folio_release",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = case_init,
	.test_cases = release_cases,
};

kunit_test_suites(&release_suite, &isolate_suite);

MODULE_DESCRIPTION("KUnit tests for folio_isolate_lru() and the release of folios");
MODULE_LICENSE("GPL");
