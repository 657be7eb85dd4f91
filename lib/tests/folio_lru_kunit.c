// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for the contract of folio_isolate_lru() and of the path that
 * releases a folio with its last reference.
 *
 * The test threads run in a memory cgroup of their own and charge their folios
 * there: nobody else touches its lruvec, so the sizes can be compared exactly.
 */
#include <kunit/test.h>
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/fs.h>
#include <linux/hw_breakpoint.h>
#include <linux/initrd.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mman.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/pagemap.h>
#include <linux/perf_event.h>
#include <linux/folio_batch.h>
#include <linux/ramfs.h>
#include <linux/rmap.h>
#include <linux/sched/mm.h>
#include <linux/shmem_fs.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <asm/sections.h>
#include "../../mm/internal.h"

#define CGROUP_NAME	"folio_lru_kunit"
#define LRU_FLAGS	(BIT(PG_lru) | BIT(PG_active) | BIT(PG_unevictable))
#define LARGE_ORDER	2

/* The report needs the memmap to be one array, see folio_linked_on_lru() */
#define CAN_REPORT	(IS_ENABLED(CONFIG_DEBUG_VM) && \
			 !IS_ENABLED(CONFIG_KMSAN) && \
			 (IS_ENABLED(CONFIG_FLATMEM) || \
			  IS_ENABLED(CONFIG_SPARSEMEM_VMEMMAP)))

enum folio_kind {
	KIND_FILE,
	KIND_ACTIVE,
	KIND_SHMEM,
	KIND_ANON,
	KIND_LARGE,
	KIND_UNEVICTABLE,
	KIND_ROOT_MEMCG,
};

/* What is released through which call: see release() */
enum release_path {
	BY_PUT,
	BY_BATCH,
};

struct lru_param {
	const char *name;
	bool lru_gen;		/* on which LRU implementation */
	int kind;		/* enum folio_kind or enum release_path */
};

static struct {
	struct vfsmount *ramfs;
	struct vfsmount *cgroup;
	struct vfsmount *sysfs;
	struct cgroup_subsys_state *css;
	/* What was enabled before the tests */
	bool lru_gen;
	bool controller;
} env;

/* ---- environment ------------------------------------------------------- */

static struct vfsmount *env_mount(const char *name)
{
	struct file_system_type *type = get_fs_type(name);
	struct vfsmount *mnt;

	if (!type)
		return NULL;
	mnt = kern_mount(type);
	put_filesystem(type);
	return IS_ERR(mnt) ? NULL : mnt;
}

static int env_write(struct vfsmount *mnt, const char *path, const char *val)
{
	struct file *file = file_open_root_mnt(mnt, path, O_WRONLY, 0);
	loff_t pos = 0;
	ssize_t ret;

	if (IS_ERR(file))
		return PTR_ERR(file);
	ret = kernel_write(file, val, strlen(val), &pos);
	__fput_sync(file);
	return ret < 0 ? ret : 0;
}

static int env_rmdir(void)
{
	struct dentry *root = env.cgroup->mnt_root;
	struct dentry *dentry;
	int ret;

	dentry = start_removing(&nop_mnt_idmap, root, &QSTR(CGROUP_NAME));
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	ret = vfs_rmdir(&nop_mnt_idmap, d_inode(root), dentry, NULL);
	end_removing(dentry);
	return ret;
}

#ifdef CONFIG_MEMCG
static int env_mkdir(void)
{
	struct dentry *root = env.cgroup->mnt_root;
	struct cgroup_subsys_state *css;
	struct dentry *dentry;
	struct cgroup *cgrp;
	int ret;

	env.controller = cgrp_dfl_root.cgrp.subtree_control & BIT(memory_cgrp_id);
	ret = env_write(env.cgroup, "cgroup.subtree_control", "+memory");
	if (ret)
		return ret;

	dentry = start_creating(&nop_mnt_idmap, root, &QSTR(CGROUP_NAME));
	if (IS_ERR(dentry))
		return PTR_ERR(dentry);
	dentry = vfs_mkdir(&nop_mnt_idmap, d_inode(root), dentry, 0755, NULL);
	ret = PTR_ERR_OR_ZERO(dentry);
	end_creating(dentry);
	if (ret)
		return ret;

	cgrp = cgroup_get_from_path("/" CGROUP_NAME);
	if (IS_ERR(cgrp))
		return PTR_ERR(cgrp);
	css = cgroup_get_e_css(cgrp, &memory_cgrp_subsys);
	if (css && css->cgroup == cgrp)
		env.css = css;
	else if (css)
		css_put(css);
	cgroup_put(cgrp);
	return env.css ? 0 : -ENODEV;
}
#else
static int env_mkdir(void)
{
	return -ENODEV;
}
#endif

static int env_set_lru_gen(bool on)
{
	if (on == lru_gen_enabled())
		return 0;
	if (!env.sysfs)
		return -ENODEV;
	return env_write(env.sysfs, "kernel/mm/lru_gen/enabled", on ? "y" : "n");
}

static void suite_exit(struct kunit_suite *suite)
{
	int i;

	if (env_set_lru_gen(env.lru_gen))
		pr_warn("could not restore lru_gen\n");
	if (env.css)
		css_put(env.css);
	env.css = NULL;
	/* The last test thread may not have left the cgroup yet */
	for (i = 0; env.cgroup && env_rmdir() == -EBUSY && i < 100; i++)
		msleep(20);
	if (env.cgroup && !env.controller)
		env_write(env.cgroup, "cgroup.subtree_control", "-memory");
	if (env.cgroup)
		kern_unmount(env.cgroup);
	if (env.sysfs)
		kern_unmount(env.sysfs);
	if (env.ramfs)
		kern_unmount(env.ramfs);
	env.cgroup = NULL;
	env.sysfs = NULL;
	env.ramfs = NULL;
}

static int suite_init(struct kunit_suite *suite)
{
	int ret = 0;

	/* What is unpacked meanwhile goes through the LRU lists as well */
	wait_for_initramfs();

	env.lru_gen = lru_gen_enabled();
	env.ramfs = env_mount("ramfs");
	env.sysfs = env_mount("sysfs");
	if (!env.ramfs) {
		ret = -ENODEV;
	} else if (!mem_cgroup_disabled()) {
		env.cgroup = env_mount("cgroup2");
		ret = env.cgroup ? env_mkdir() : -ENODEV;
	}
	/* KUnit does not call suite_exit() then */
	if (ret)
		suite_exit(suite);
	return ret;
}

/*
 * These tests are about warnings that fire once.  Let them fire once more, as
 * writing to clear_warn_once does, whatever a test before has hit.
 */
static void rearm_warnings(void)
{
	memset(__start_once, 0, __end_once - __start_once);
}

/* ---- what a folio and its lruvec look like ------------------------------ */

struct lru_state {
	unsigned long flags;
	bool linked;
	int refs;
	int mapcount;
	long size[NR_LRU_LISTS];
};

/* Do the neighbours of a folio point back at it?  They may be anything. */
static bool folio_linked(const struct folio *folio)
{
	const struct list_head *entry = &folio->lru;
	struct list_head *back;

	return !get_kernel_nofault(back, &entry->next->prev) && back == entry &&
	       !get_kernel_nofault(back, &entry->prev->next) && back == entry;
}

static struct lruvec *test_lruvec(const struct folio *folio)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(env.css);

	return mem_cgroup_lruvec(memcg, folio_pgdat(folio));
}

static bool on_test_lruvec(struct folio *folio)
{
	guard(rcu)();
	return env.css && folio_lruvec(folio) == test_lruvec(folio);
}

static long lruvec_size(struct lruvec *lruvec, enum lru_list lru)
{
	long size = 0;
	int zid;

	for (zid = 0; zid < MAX_NR_ZONES; zid++)
		size += mem_cgroup_get_zone_lru_size(lruvec, lru, zid);
#ifdef CONFIG_LRU_GEN
	for (int gen = 0; lru != LRU_UNEVICTABLE && gen < MAX_NR_GENS; gen++) {
		if (lru_gen_is_active(lruvec, gen) != is_active_lru(lru))
			continue;
		for (zid = 0; zid < MAX_NR_ZONES; zid++)
			size += lruvec->lrugen.nr_pages[gen][is_file_lru(lru)][zid];
	}
#endif
	return size;
}

/*
 * A case has an mm, which goes with the thread of the case.  That may come
 * later than the begin of the next case, and take folios off the lists.
 */
static bool lists_are_empty(void)
{
	struct mem_cgroup *memcg = mem_cgroup_from_css(env.css);
	enum lru_list lru;
	int nid;

	for_each_online_node(nid)
		for_each_lru(lru)
			if (lruvec_size(mem_cgroup_lruvec(memcg, NODE_DATA(nid)), lru))
				return false;
	return true;
}

static void wait_for_case_before(void)
{
	int i;

	lru_add_drain_all();
	for (i = 0; env.css && !lists_are_empty() && i < 25; i++)
		msleep(20);
}

static int case_init(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	int ret;

	if (param) {
		if (param->lru_gen && !IS_ENABLED(CONFIG_LRU_GEN))
			kunit_skip(test, "needs CONFIG_LRU_GEN");
		ret = env_set_lru_gen(param->lru_gen);
		if (ret)
			return ret;
	}
	if (env.css) {
		ret = env_write(env.cgroup, CGROUP_NAME "/cgroup.procs", "0");
		if (ret)
			return ret;
	}
	wait_for_case_before();
	/* Its owner is this thread: what is charged to it goes to env.css */
	return kunit_attach_mm();
}

static void read_state(const struct folio *folio, struct lru_state *state)
{
	enum lru_list lru;

	memset(state, 0, sizeof(*state));
	state->flags = READ_ONCE(folio->flags.f) & LRU_FLAGS;
	state->linked = folio_linked(folio);
	state->refs = folio_ref_count(folio);
	state->mapcount = folio_mapcount(folio);
	/* Without a memcg of our own, all others' folios are there as well */
	if (!env.css)
		return;
	for_each_lru(lru)
		state->size[lru] = lruvec_size(test_lruvec(folio), lru);
}

static enum lru_list folio_on_lru(const struct folio *folio)
{
#ifdef CONFIG_LRU_GEN
	int gen = folio_lru_gen(folio);

	if (gen >= 0)
		return (folio_is_file_lru(folio) ? LRU_FILE : 0) +
		       (lru_gen_is_active(test_lruvec(folio), gen) ? LRU_ACTIVE : 0);
#endif
	return folio_lru_list(folio);
}

static void expect_state(struct kunit *test, const struct folio *folio,
			 const struct lru_state *want, const char *when)
{
	struct lru_state now;
	enum lru_list lru;

	read_state(folio, &now);
	KUNIT_EXPECT_EQ_MSG(test, now.flags, want->flags, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.linked, want->linked, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.refs, want->refs, "%s", when);
	KUNIT_EXPECT_EQ_MSG(test, now.mapcount, want->mapcount, "%s", when);
	for_each_lru(lru)
		KUNIT_EXPECT_EQ_MSG(test, now.size[lru], want->size[lru],
				    "%s, list %d", when, lru);
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

/* The folio is isolated once, then it is put back where it was */
static void expect_isolated(struct kunit *test, struct folio *folio)
{
	struct lru_state was, want;
	enum lru_list lru;

	read_state(folio, &was);
	KUNIT_ASSERT_TRUE(test, folio_test_lru(folio));
	/* The unevictable list has a size, but it is not a list */
	KUNIT_EXPECT_EQ(test, was.linked, !folio_test_unevictable(folio));

	lru = folio_on_lru(folio);
	want = was;
	want.flags = 0;
	if (is_active_lru(lru))
		want.flags |= BIT(PG_active);
	if (lru == LRU_UNEVICTABLE)
		want.flags |= BIT(PG_unevictable);
	want.linked = false;
	want.refs++;
	if (on_test_lruvec(folio))
		want.size[lru] -= folio_nr_pages(folio);

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

	inode = ramfs_get_inode(env.ramfs->mnt_sb, NULL, S_IFREG | 0600, 0);
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
	struct mem_cgroup *memcg;
	struct folio *folio;

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
	case KIND_ROOT_MEMCG:
		memcg = set_active_memcg(root_mem_cgroup);
		folio = bare_folio(test, 0, false);
		set_active_memcg(memcg);
		return own_folio(test, folio);
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
	if (param->kind == KIND_ACTIVE)
		KUNIT_EXPECT_TRUE(test, is_active_lru(folio_on_lru(folio)));
	if (env.css)
		KUNIT_EXPECT_EQ(test, on_test_lruvec(folio),
				param->kind != KIND_ROOT_MEMCG);

	expect_isolated(test, folio);
}

static void isolate_never_added(struct kunit *test)
{
	struct folio *folio = own_folio(test, bare_folio_nolru(test, 0));

	KUNIT_ASSERT_FALSE(test, folio_test_lru(folio));
	expect_refused(test, folio, "never added");
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
 * the former and PG_swapcache for the latter; nobody looks it up in the swap
 * cache, as nobody else knows the folio.
 */
static void isolate_swapcache(struct kunit *test)
{
#ifdef CONFIG_SWAP
	struct folio *folio = test_shmem_folio(test);

	truncate_folio(test, folio);
	folio_set_swapcache(folio);
	KUNIT_EXPECT_FALSE(test, folio_is_orphan(folio));
	expect_isolated(test, folio);
	folio_clear_swapcache(folio);
#else
	kunit_skip(test, "needs CONFIG_SWAP");
#endif
}

/*
 * The same with a mapcount: no orphan either.  This is what the test for one
 * can see of a folio that is swapped in while it looks.  An anon folio stands
 * in: for as long as it is locked, its mapping is put aside.
 */
static void isolate_swapcache_mapped(struct kunit *test)
{
#ifdef CONFIG_SWAP
	struct folio *folio = anon_folio(test);
	struct address_space *mapping;
	struct lru_state was, now;
	bool isolated;

	read_state(folio, &was);
	folio_lock(folio);
	mapping = folio->mapping;
	folio_set_swapcache(folio);
	WRITE_ONCE(folio->mapping, NULL);

	KUNIT_EXPECT_FALSE(test, folio_is_orphan(folio));
	isolated = folio_isolate_lru(folio);
	read_state(folio, &now);

	WRITE_ONCE(folio->mapping, mapping);
	folio_clear_swapcache(folio);
	folio_unlock(folio);

	KUNIT_ASSERT_TRUE(test, isolated);
	KUNIT_EXPECT_EQ(test, now.mapcount, 1);
	KUNIT_EXPECT_EQ(test, now.refs, was.refs + 1);
	KUNIT_EXPECT_FALSE(test, now.flags & BIT(PG_lru));
	KUNIT_EXPECT_FALSE(test, now.linked);
	putback(folio);
	expect_state(test, folio, &was, "put back");
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
	folio_set_swapcache(folio);
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "mapped, in the swap cache");
	folio_clear_swapcache(folio);
#endif
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(folio), "unmapped again");
	KUNIT_EXPECT_FALSE_MSG(test, folio_is_orphan(anon_folio(test)), "anon");
}

/*
 * PG_lru clear must mean that there is the isolator's reference.  There are but
 * a few instructions between the two: stop at each access to flags and count.
 * A debug exception comes after the access, before the next instruction.
 */
#if defined(CONFIG_X86) && defined(CONFIG_HAVE_HW_BREAKPOINT)
static struct {
	const struct folio *folio;
	const struct task_struct *task;
	int hits;		/* exceptions while PG_lru was clear */
	int unpinned;		/* ... with no reference but the test's */
} pin;

static void pin_handler(struct perf_event *event, struct perf_sample_data *data,
			struct pt_regs *regs)
{
	if (current != pin.task || folio_test_lru(pin.folio))
		return;
	pin.hits++;
	if (folio_ref_count(pin.folio) < 2)
		pin.unpinned++;
}

static void pin_unwatch(void *events)
{
	unregister_wide_hw_breakpoint((struct perf_event * __percpu __force *)events);
}

static void pin_watch(struct kunit *test, const void *addr, int len, int type)
{
	struct perf_event * __percpu *events;
	struct perf_event_attr attr;

	hw_breakpoint_init(&attr);
	attr.bp_addr = (unsigned long)addr;
	attr.bp_len = len;
	attr.bp_type = type;
	events = register_wide_hw_breakpoint(&attr, pin_handler, NULL);
	if (IS_ERR_PCPU(events))
		kunit_skip(test, "no hardware breakpoint to be had");
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, pin_unwatch,
							   (void __force *)events));
}

static void pin_begin(const struct folio *folio)
{
	memset(&pin, 0, sizeof(pin));
	pin.folio = folio;
	pin.task = current;
}

/* Call it last: to be skipped is not to have failed */
static void pin_seen(struct kunit *test)
{
	if (test->status == KUNIT_SUCCESS && !pin.hits)
		kunit_skip(test, "the hardware breakpoints did not trigger");
}

static void isolate_pins_first(struct kunit *test)
{
	struct folio *folio = own_folio(test, bare_folio(test, 0, false));

	pin_begin(folio);
	pin_watch(test, &folio->flags, sizeof(folio->flags), HW_BREAKPOINT_W);
	/* Emulators may miss atomic accesses, but first the count is just read */
	pin_watch(test, &folio->_refcount, sizeof(folio->_refcount), HW_BREAKPOINT_RW);

	expect_isolated(test, folio);
	KUNIT_EXPECT_EQ(test, pin.unpinned, 0);
	pin_seen(test);
}

/* Pinning disturbs folio_ref_freeze(): not for a folio that is not on the LRU */
static void isolate_off_lru_no_count(struct kunit *test)
{
	struct folio *folio = own_folio(test, bare_folio_nolru(test, 0));

	pin_begin(folio);
	pin_watch(test, &folio->_refcount, sizeof(folio->_refcount), HW_BREAKPOINT_RW);

	KUNIT_EXPECT_FALSE(test, folio_isolate_lru(folio));
	KUNIT_EXPECT_EQ(test, pin.hits, 0);
	/* Would it have been seen? */
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 1);
	pin_seen(test);
}

/*
 * PG_lru of an orphan must not even be cleared and set again, as
 * __munlock_folio() would miss it: do not find out by its mapping that it is
 * one while PG_lru is clear.
 */
static void isolate_orphan_no_clear(struct kunit *test)
{
	struct folio *folio = make_folio(test, KIND_SHMEM);
	unsigned long addr;

	truncate_folio(test, folio);
	addr = map_inserted(test, folio);

	pin_begin(folio);
	pin_watch(test, &folio->flags, sizeof(folio->flags), HW_BREAKPOINT_W);
	pin_watch(test, &folio->mapping, sizeof(folio->mapping), HW_BREAKPOINT_RW);

	expect_refused(test, folio, "an orphan");
	KUNIT_EXPECT_EQ(test, pin.hits, 0);
	/* Would it have been seen? */
	KUNIT_ASSERT_EQ(test, 0, vm_munmap(addr, PAGE_SIZE));
	KUNIT_ASSERT_TRUE(test, folio_isolate_lru(folio));
	KUNIT_EXPECT_FALSE(test, folio_is_orphan(folio));
	putback(folio);
	pin_seen(test);
}
#else
static void isolate_pins_first(struct kunit *test)
{
	kunit_skip(test, "needs hardware breakpoints as x86 has them");
}

static void isolate_off_lru_no_count(struct kunit *test)
{
	kunit_skip(test, "needs hardware breakpoints as x86 has them");
}

static void isolate_orphan_no_clear(struct kunit *test)
{
	kunit_skip(test, "needs hardware breakpoints as x86 has them");
}
#endif

/*
 * Two CPUs isolate the same folio and put it back, over and over, until each
 * has had it often enough.
 */
#define CONTEND_ROUNDS	1000
#define CONTEND_TIMEOUT	(10 * HZ)

static struct {
	struct completion done;
	struct folio *folio;
	unsigned long end;	/* jiffies */
	atomic_t owners;	/* that have it isolated now */
	atomic_t shared;	/* how often there were two */
	unsigned long isolated[2];
} contend;

static bool contended_enough(void)
{
	return READ_ONCE(contend.isolated[0]) >= CONTEND_ROUNDS &&
	       READ_ONCE(contend.isolated[1]) >= CONTEND_ROUNDS;
}

static void isolate_over_and_over(unsigned long *isolated)
{
	while (!contended_enough() && time_before(jiffies, contend.end)) {
		cond_resched();
		if (!folio_isolate_lru(contend.folio))
			continue;
		if (atomic_inc_return(&contend.owners) > 1)
			atomic_inc(&contend.shared);
		WRITE_ONCE(*isolated, *isolated + 1);
		atomic_dec(&contend.owners);
		folio_putback_lru(contend.folio);
		lru_add_drain();
	}
}

static int contender(void *arg)
{
	isolate_over_and_over(&contend.isolated[1]);
	complete(&contend.done);
	return 0;
}

static void isolate_contended(struct kunit *test)
{
	struct folio *folio = make_folio(test, KIND_SHMEM);
	struct task_struct *task;
	int cpu, refs;

	if (num_online_cpus() < 2)
		kunit_skip(test, "needs two CPUs");

	refs = folio_ref_count(folio);
	memset(&contend, 0, sizeof(contend));
	init_completion(&contend.done);
	contend.folio = folio;
	contend.end = jiffies + CONTEND_TIMEOUT;

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	task = kthread_run_on_cpu(contender, NULL, cpu, "folio_lru_kunit/%u");
	if (IS_ERR(task)) {
		migrate_enable();
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}
	isolate_over_and_over(&contend.isolated[0]);
	migrate_enable();

	if (!wait_for_completion_timeout(&contend.done, 2 * CONTEND_TIMEOUT)) {
		/* Leave the folio to the thread */
		folio_get(folio);
		KUNIT_FAIL_AND_ABORT(test, "the other thread does not stop");
	}
	lru_add_drain_all();
	kunit_info(test, "isolated %lu and %lu times", contend.isolated[0],
		   contend.isolated[1]);
	KUNIT_EXPECT_EQ(test, atomic_read(&contend.shared), 0);
	KUNIT_EXPECT_TRUE(test, folio_test_lru(folio));
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), refs);
	expect_isolated(test, folio);
	KUNIT_EXPECT_TRUE_MSG(test, contended_enough(),
			      "one of the CPUs hardly ever came to isolate it");
}

static void isolate_count_zero(struct kunit *test)
{
	struct folio *folio = bare_folio(test, 0, false);
	struct lru_state was;
	bool isolated = true;

	rearm_warnings();
	KUNIT_ASSERT_TRUE(test, folio_ref_freeze(folio, 1));
	read_state(folio, &was);
	kunit_warning_suppress(test) {
		isolated = folio_isolate_lru(folio);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, IS_ENABLED(CONFIG_DEBUG_VM));
	}
	KUNIT_EXPECT_FALSE(test, isolated);
	expect_state(test, folio, &was, "frozen");

	if (isolated) {
		/* Its last reference is the one that folio_putback_lru() drops */
		putback(folio);
		return;
	}
	folio_ref_unfreeze(folio, 1);
	expect_isolated(test, folio);
	folio_put(folio);
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

	rearm_warnings();
	kunit_warning_suppress(test) {
		release(folio, path);
		freed = folio_was_freed(folio);
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
	struct lru_state was;

	KUNIT_ASSERT_TRUE(test, folio_test_unevictable(folio));
	read_state(folio, &was);
	truncate_folio(test, folio);
	kunit_remove_action(test, put_folio, folio);
	expect_freed(test, folio, param->kind, "unevictable");

	if (env.css)
		KUNIT_EXPECT_EQ(test,
				lruvec_size(test_lruvec(folio), LRU_UNEVICTABLE),
				was.size[LRU_UNEVICTABLE] - 1);
}

enum driver_charge { CHARGE_NONE, CHARGE_KERNEL, CHARGE_USER, NR_CHARGES };

static struct folio *driver_folio(struct kunit *test, enum driver_charge charge)
{
	bool kernel = charge == CHARGE_KERNEL;
	struct mem_cgroup *memcg;
	struct folio *folio;

	if (charge == CHARGE_USER)
		return bare_folio_nolru(test, 0);

	/* A kernel thread has to ask for it */
	memcg = set_active_memcg(mem_cgroup_from_css(env.css));
	folio = folio_alloc(kernel ? GFP_KERNEL_ACCOUNT : GFP_KERNEL, 0);
	set_active_memcg(memcg);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_EQ(test, folio_memcg_charged(folio), env.css && kernel);
	return folio;
}

/*
 * Drivers free pages that are still on a list of theirs.  That is no business
 * of the LRU: charged or not, alone on the list or not, they are freed.
 */
static void release_driver_list(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct folio *folio[3];
	LIST_HEAD(pages);
	enum driver_charge charge;
	int i;

	for (charge = CHARGE_NONE; charge < NR_CHARGES; charge++) {
		folio[0] = driver_folio(test, charge);
		INIT_LIST_HEAD(&pages);
		list_add(&folio[0]->lru, &pages);
		expect_freed(test, folio[0], param->kind, "alone");

		INIT_LIST_HEAD(&pages);
		for (i = 0; i < ARRAY_SIZE(folio); i++) {
			folio[i] = driver_folio(test, charge);
			list_add(&folio[i]->lru, &pages);
		}
		/* The one with a page on either side */
		KUNIT_ASSERT_TRUE(test, folio_linked(folio[1]));
		expect_freed(test, folio[1], param->kind, "between pages");
		folio_put(folio[0]);
		folio_put(folio[2]);
	}
}

/* The list as it was made: first, victim, last; or the victim alone */
struct lru_trio {
	struct folio *first;
	struct folio *victim;
	struct folio *last;
	struct list_head lru;	/* what the victim's must stay */
};

static void make_trio(struct kunit *test, struct lru_trio *trio)
{
	trio->first = own_folio(test, bare_folio(test, 0, false));
	trio->victim = bare_folio(test, 0, false);
	trio->last = own_folio(test, bare_folio(test, 0, false));
	KUNIT_ASSERT_TRUE(test, folio_linked(trio->victim));
	trio->lru = trio->victim->lru;
	if (env.css) {
		KUNIT_ASSERT_PTR_EQ(test, trio->victim->lru.prev, &trio->last->lru);
		KUNIT_ASSERT_PTR_EQ(test, trio->victim->lru.next, &trio->first->lru);
	}
}

static void make_alone(struct kunit *test, struct lru_trio *trio)
{
	trio->first = NULL;
	trio->victim = bare_folio(test, 0, false);
	trio->last = NULL;
	KUNIT_ASSERT_TRUE(test, folio_linked(trio->victim));
	trio->lru = trio->victim->lru;
	KUNIT_ASSERT_PTR_EQ(test, trio->lru.prev, trio->lru.next);
}

static void expect_neighbours(struct kunit *test, struct lru_trio *trio)
{
	if (!trio->first)	/* alone */
		return;
	expect_isolated(test, trio->first);
	expect_isolated(test, trio->last);
}

/*
 * The victim was released. It must not be freed, and be in its list as before;
 * then make good what was done to it, and it can be freed after all.
 */
static void expect_leaked(struct kunit *test, struct lru_trio *trio,
			  const struct lru_state *want)
{
	struct folio *victim = trio->victim;

	/* The page allocator uses ->lru as well, unless it found a bad page */
	if (memcmp(&victim->lru, &trio->lru, sizeof(trio->lru)) ||
	    folio_memcg_charged(victim) == mem_cgroup_disabled() ||
	    folio_ref_count(victim) != want->refs) {
		/* Mend the list for those who come after this test */
		struct lruvec *lruvec = NULL;

		if (trio->first)	/* else nobody else's */
			lruvec = folio_lruvec_lock_irq(trio->first);
		WRITE_ONCE(trio->lru.prev->next, trio->lru.next);
		WRITE_ONCE(trio->lru.next->prev, trio->lru.prev);
		if (lruvec)
			lruvec_unlock_irq(lruvec);
		KUNIT_FAIL_AND_ABORT(test, "freed while on an LRU list");
	}
	KUNIT_EXPECT_FALSE(test, PageBuddy(&victim->page));
	expect_state(test, victim, want, "leaked");

	/* Its neighbours can come and go */
	expect_neighbours(test, trio);
	expect_state(test, victim, want, "leaked, neighbours gone");

	if (!folio_test_lru(victim))
		folio_set_lru(victim);
	if (!want->refs)
		folio_ref_unfreeze(victim, 1);
	expect_isolated(test, victim);
	expect_freed(test, victim, BY_PUT, "victim");
	expect_neighbours(test, trio);
}

static void expect_reported(struct kunit *test, struct lru_trio *trio,
			    enum release_path path)
{
	struct lru_state want;

	read_state(trio->victim, &want);
	want.flags &= ~BIT(PG_lru);
	want.refs = 0;

	folio_clear_lru(trio->victim);
	rearm_warnings();
	kunit_warning_suppress(test) {
		release(trio->victim, path);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	expect_leaked(test, trio, &want);
}

/* A lost update of folio->flags has cleared PG_lru: clear it by hand */
static void release_lost_lru(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct lru_trio trio;

	if (!CAN_REPORT)
		kunit_skip(test, "needs CONFIG_DEBUG_VM and a virtually contiguous memmap");

	make_trio(test, &trio);
	expect_reported(test, &trio, param->kind);
}

/* The same with nobody on either side but the head of the list */
static void release_lost_lru_alone(struct kunit *test)
{
	const struct lru_param *param = test->param_value;
	struct lru_trio trio;

	if (!CAN_REPORT)
		kunit_skip(test, "needs CONFIG_DEBUG_VM and a virtually contiguous memmap");
	if (!env.css)
		kunit_skip(test, "needs CONFIG_MEMCG: on the LRU list of all there are others");

	make_alone(test, &trio);
	expect_reported(test, &trio, param->kind);
}

/* The same for one of many: the others of the batch are freed */
static void release_lost_lru_among(struct kunit *test)
{
	struct folio_batch fbatch;
	struct lru_state want;
	struct folio *folio[2];
	struct lru_trio trio;
	bool freed[2];

	if (!CAN_REPORT)
		kunit_skip(test, "needs CONFIG_DEBUG_VM and a virtually contiguous memmap");

	make_trio(test, &trio);
	read_state(trio.victim, &want);
	want.flags &= ~BIT(PG_lru);
	want.refs = 0;
	folio[0] = bare_folio(test, 0, false);
	folio[1] = bare_folio(test, 0, false);

	folio_clear_lru(trio.victim);
	folio_batch_init(&fbatch);
	folio_batch_add(&fbatch, folio[0]);
	folio_batch_add(&fbatch, trio.victim);
	folio_batch_add(&fbatch, folio[1]);
	rearm_warnings();
	kunit_warning_suppress(test) {
		folios_put(&fbatch);
		freed[0] = folio_was_freed(folio[0]);
		freed[1] = folio_was_freed(folio[1]);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_EXPECT_TRUE(test, freed[0]);
	KUNIT_EXPECT_TRUE(test, freed[1]);
	KUNIT_EXPECT_EQ(test, folio_batch_count(&fbatch), 0);
	expect_leaked(test, &trio, &want);
}

/* Released with a reference that came back: call the last step by hand */
static void release_resurrected(struct kunit *test)
{
	struct lru_state want;
	struct lru_trio trio;

	make_trio(test, &trio);
	read_state(trio.victim, &want);

	rearm_warnings();
	kunit_warning_suppress(test) {
		__folio_put(trio.victim);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	expect_leaked(test, &trio, &want);
}

/*
 * PG_lru goes while the release path waits for lru_lock: another CPU holds the
 * lock until somebody waits for it, and that can only be the release.
 */
#define LOCK_TIMEOUT	NSEC_PER_SEC

static struct {
	struct completion locked;
	struct completion done;
	struct folio *folio;
	bool contended;
} lock;

static int lock_and_clear(void *arg)
{
	struct lruvec *lruvec = folio_lruvec_lock_irq(lock.folio);
	u64 start = ktime_get_ns();

	complete(&lock.locked);
	/* No interrupts on either CPU: jiffies may stand still */
	while (!lock.contended && ktime_get_ns() - start < LOCK_TIMEOUT) {
		lock.contended = spin_is_contended(&lruvec->lru_lock);
		cpu_relax();
	}
	if (lock.contended)
		folio_clear_lru(lock.folio);
	lruvec_unlock_irq(lruvec);
	complete(&lock.done);
	return 0;
}

static void release_rechecks_lru(struct kunit *test)
{
	struct task_struct *task;
	struct lru_state want;
	struct lru_trio trio;
	int warnings = 0;
	int cpu;

	if (num_online_cpus() < 2 || IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "needs two CPUs: one holds lru_lock, one spins on it");
	if (!env.css)
		kunit_skip(test, "needs CONFIG_MEMCG: lru_lock is everybody's");

	make_trio(test, &trio);
	read_state(trio.victim, &want);
	want.flags &= ~BIT(PG_lru);
	want.refs = 0;

	memset(&lock, 0, sizeof(lock));
	init_completion(&lock.locked);
	init_completion(&lock.done);
	lock.folio = trio.victim;
	rearm_warnings();

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	task = kthread_run_on_cpu(lock_and_clear, NULL, cpu, "folio_lru_kunit/%u");
	if (IS_ERR(task) || !wait_for_completion_timeout(&lock.locked, 5 * HZ)) {
		migrate_enable();
		KUNIT_FAIL_AND_ABORT(test, "no thread");
	}
	kunit_warning_suppress(test) {
		folio_put(trio.victim);
		warnings = KUNIT_SUPPRESSED_WARNING_COUNT();
	}
	migrate_enable();

	if (!wait_for_completion_timeout(&lock.done, 5 * HZ))
		KUNIT_FAIL_AND_ABORT(test, "the thread does not stop");
	if (!lock.contended)
		kunit_skip(test, "lru_lock was not seen contended");
	KUNIT_EXPECT_EQ(test, warnings, 1);
	expect_leaked(test, &trio, &want);
}

/* ---- suites ------------------------------------------------------------- */

static const struct lru_param kinds[] = {
	{ "file lru", false, KIND_FILE },
	{ "file lru_gen", true, KIND_FILE },
	{ "active lru", false, KIND_ACTIVE },
	{ "active lru_gen", true, KIND_ACTIVE },
	{ "shmem lru", false, KIND_SHMEM },
	{ "shmem lru_gen", true, KIND_SHMEM },
	{ "anon lru", false, KIND_ANON },
	{ "anon lru_gen", true, KIND_ANON },
	{ "large lru", false, KIND_LARGE },
	{ "large lru_gen", true, KIND_LARGE },
	{ "unevictable lru", false, KIND_UNEVICTABLE },
	{ "unevictable lru_gen", true, KIND_UNEVICTABLE },
	{ "root_memcg lru", false, KIND_ROOT_MEMCG },
	{ "root_memcg lru_gen", true, KIND_ROOT_MEMCG },
};

KUNIT_ARRAY_PARAM_DESC(kinds, kinds, name);

static const struct lru_param orphans[] = {
	{ "file lru", false, KIND_FILE },
	{ "file lru_gen", true, KIND_FILE },
	{ "shmem lru", false, KIND_SHMEM },
	{ "shmem lru_gen", true, KIND_SHMEM },
};

KUNIT_ARRAY_PARAM_DESC(orphans, orphans, name);

static const struct lru_param paths[] = {
	{ "put lru", false, BY_PUT },
	{ "put lru_gen", true, BY_PUT },
	{ "batch lru", false, BY_BATCH },
	{ "batch lru_gen", true, BY_BATCH },
};

KUNIT_ARRAY_PARAM_DESC(paths, paths, name);

static struct kunit_case isolate_cases[] = {
	KUNIT_CASE_PARAM(isolate_putback, kinds_gen_params),
	KUNIT_CASE(isolate_never_added),
	KUNIT_CASE(isolate_truncated_private),
	KUNIT_CASE(isolate_swapcache),
	KUNIT_CASE(isolate_swapcache_mapped),
	KUNIT_CASE_PARAM(isolate_orphan, orphans_gen_params),
	KUNIT_CASE(reclaim_keeps_poisoned_orphan),
	KUNIT_CASE(is_orphan),
	KUNIT_CASE(isolate_pins_first),
	KUNIT_CASE(isolate_orphan_no_clear),
	KUNIT_CASE(isolate_off_lru_no_count),
	KUNIT_CASE(isolate_contended),
	KUNIT_CASE(isolate_count_zero),
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
	KUNIT_CASE_PARAM(release_driver_list, paths_gen_params),
	KUNIT_CASE_PARAM(release_lost_lru, paths_gen_params),
	KUNIT_CASE_PARAM(release_lost_lru_alone, paths_gen_params),
	KUNIT_CASE(release_lost_lru_among),
	KUNIT_CASE(release_resurrected),
	KUNIT_CASE(release_rechecks_lru),
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
