// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests for what the isolation and the release of a folio find out when
 * the rules of its links, PG_lru and its count are broken.
 *
 * The rules are broken by hand, on folios in a memory cgroup of the test's own:
 * nobody else takes its lru_lock or walks its lists.  The cgroup is made in the
 * root, and all warnings may fire again, so this is not for a machine in use.
 */
#include <kunit/test.h>
#include <linux/cgroup.h>
#include <linux/completion.h>
#include <linux/delay.h>
#include <linux/file.h>
#include <linux/folio_batch.h>
#include <linux/fs.h>
#include <linux/initrd.h>
#include <linux/jiffies.h>
#include <linux/kthread.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/mm_inline.h>
#include <linux/mount.h>
#include <linux/namei.h>
#include <linux/sched/mm.h>
#include <linux/swap.h>
#include <linux/uaccess.h>
#include <asm/sections.h>
#include "../../mm/internal.h"

#define CGROUP_NAME	"folio_links_kunit"

/* What is released through which call: see release() */
enum release_path {
	BY_PUT,
	BY_BATCH,
};

static const struct release_param {
	const char *name;
	enum release_path path;
} paths[] = {
	{ "put", BY_PUT },
	{ "batch", BY_BATCH },
};

KUNIT_ARRAY_PARAM_DESC(paths, paths, name);

static struct {
	struct vfsmount *cgroup;
	struct cgroup_subsys_state *css;
	bool controller;	/* was it enabled before the tests? */
} env;

static int env_write(const char *path, const char *val)
{
	struct file *file = file_open_root_mnt(env.cgroup, path, O_WRONLY, 0);
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

static int env_mkdir(void)
{
	struct dentry *root = env.cgroup->mnt_root;
	struct cgroup_subsys_state *css;
	struct dentry *dentry;
	struct cgroup *cgrp;
	int ret;

	env.controller = cgrp_dfl_root.cgrp.subtree_control & BIT(memory_cgrp_id);
	ret = env_write("cgroup.subtree_control", "+memory");
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

static void suite_exit(struct kunit_suite *suite)
{
	int i;

	if (env.css)
		css_put(env.css);
	env.css = NULL;
	/* The last test thread may not have left the cgroup yet */
	for (i = 0; env.cgroup && env_rmdir() == -EBUSY && i < 100; i++)
		msleep(20);
	if (env.cgroup && !env.controller)
		env_write("cgroup.subtree_control", "-memory");
	if (env.cgroup)
		kern_unmount(env.cgroup);
	env.cgroup = NULL;
}

static int suite_init(struct kunit_suite *suite)
{
	struct file_system_type *type;
	int ret;

	/* What is unpacked meanwhile goes through the LRU lists as well */
	wait_for_initramfs();
	if (mem_cgroup_disabled())
		return -ENODEV;
	type = get_fs_type("cgroup2");
	env.cgroup = kern_mount(type);
	put_filesystem(type);
	if (IS_ERR(env.cgroup)) {
		env.cgroup = NULL;
		return -ENODEV;
	}
	ret = env_mkdir();
	/* KUnit does not call suite_exit() then */
	if (ret)
		suite_exit(suite);
	return ret;
}

static int case_init(struct kunit *test)
{
	int ret = env_write(CGROUP_NAME "/cgroup.procs", "0");

	if (ret)
		return ret;
	lru_add_drain_all();
	/* Its owner is this thread: what is charged to it goes to env.css */
	return kunit_attach_mm();
}

/*
 * These tests are about warnings that fire once.  Let them fire once more, as
 * writing to clear_warn_once does, whatever a test before has hit.
 */
static void rearm_warnings(void)
{
	memset(__start_once, 0, __end_once - __start_once);
}

/* Do the neighbours of a folio point back at it?  They may be anything. */
static bool folio_linked(const struct folio *folio)
{
	const struct list_head *entry = &folio->lru;
	struct list_head *back;

	return !get_kernel_nofault(back, &entry->next->prev) && back == entry &&
	       !get_kernel_nofault(back, &entry->prev->next) && back == entry;
}

/* Gone to the page allocator: seen at once, before somebody else gets the page */
static bool folio_was_freed(struct folio *folio)
{
	return !folio_ref_count(folio) && !folio_test_lru(folio) &&
	       !folio_memcg_charged(folio);
}

static void put_folio(void *folio)
{
	folio_put(folio);
}

/* The test holds a reference on @folio until it ends */
static struct folio *own_folio(struct kunit *test, struct folio *folio)
{
	KUNIT_ASSERT_NOT_ERR_OR_NULL(test, folio);
	KUNIT_ASSERT_EQ(test, 0, kunit_add_action_or_reset(test, put_folio, folio));
	lru_add_drain_all();
	return folio;
}

static struct folio *folio_off_lru(struct kunit *test)
{
	struct folio *folio = folio_alloc(GFP_HIGHUSER_MOVABLE | __GFP_ZERO, 0);

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
static struct folio *folio_on_lru(struct kunit *test)
{
	struct folio *folio = folio_off_lru(test);

	folio_add_lru(folio);
	lru_add_drain_all();
	return folio;
}

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

enum driver_charge { CHARGE_NONE, CHARGE_KERNEL, CHARGE_USER, NR_CHARGES };

static struct folio *driver_folio(struct kunit *test, enum driver_charge charge)
{
	bool kernel = charge == CHARGE_KERNEL;
	struct mem_cgroup *memcg;
	struct folio *folio;

	if (charge == CHARGE_USER)
		return folio_off_lru(test);

	/* A kernel thread has to ask for it */
	memcg = set_active_memcg(mem_cgroup_from_css(env.css));
	folio = folio_alloc(kernel ? GFP_KERNEL_ACCOUNT : GFP_KERNEL, 0);
	set_active_memcg(memcg);
	KUNIT_ASSERT_NOT_NULL(test, folio);
	KUNIT_EXPECT_EQ(test, folio_memcg_charged(folio), kernel);
	return folio;
}

/*
 * Drivers free pages that are still on a list of theirs.  That is no business
 * of the LRU: charged or not, alone on the list or not, they are freed.
 */
static void driver_list(struct kunit *test)
{
	const struct release_param *param = test->param_value;
	struct folio *folio[3];
	LIST_HEAD(pages);
	enum driver_charge charge;
	int i;

	for (charge = CHARGE_NONE; charge < NR_CHARGES; charge++) {
		folio[0] = driver_folio(test, charge);
		INIT_LIST_HEAD(&pages);
		list_add(&folio[0]->lru, &pages);
		expect_freed(test, folio[0], param->path, "alone");

		INIT_LIST_HEAD(&pages);
		for (i = 0; i < ARRAY_SIZE(folio); i++) {
			folio[i] = driver_folio(test, charge);
			list_add(&folio[i]->lru, &pages);
		}
		/* The one with a page on either side */
		KUNIT_ASSERT_TRUE(test, folio_linked(folio[1]));
		expect_freed(test, folio[1], param->path, "between pages");
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
	trio->first = own_folio(test, folio_on_lru(test));
	trio->victim = folio_on_lru(test);
	trio->last = own_folio(test, folio_on_lru(test));
	KUNIT_ASSERT_TRUE(test, folio_linked(trio->victim));
	trio->lru = trio->victim->lru;
	KUNIT_ASSERT_PTR_EQ(test, trio->victim->lru.prev, &trio->last->lru);
	KUNIT_ASSERT_PTR_EQ(test, trio->victim->lru.next, &trio->first->lru);
}

static void make_alone(struct kunit *test, struct lru_trio *trio)
{
	trio->first = NULL;
	trio->victim = folio_on_lru(test);
	trio->last = NULL;
	KUNIT_ASSERT_TRUE(test, folio_linked(trio->victim));
	trio->lru = trio->victim->lru;
	KUNIT_ASSERT_PTR_EQ(test, trio->lru.prev, trio->lru.next);
}

/* Isolate the neighbours, which deletes them from their list, and put them back */
static void move_neighbours(struct kunit *test, struct lru_trio *trio)
{
	if (!trio->first)	/* alone */
		return;
	KUNIT_EXPECT_TRUE(test, folio_isolate_lru(trio->first));
	KUNIT_EXPECT_TRUE(test, folio_isolate_lru(trio->last));
	folio_putback_lru(trio->first);
	folio_putback_lru(trio->last);
	lru_add_drain_all();
}

/*
 * The victim was released without PG_lru.  It must not be freed, and be in its
 * list as before; then make good what was done to it, and it can be freed.
 */
static void expect_leaked(struct kunit *test, struct lru_trio *trio)
{
	struct folio *victim = trio->victim;

	/* The page allocator uses ->lru as well, unless it found a bad page */
	if (memcmp(&victim->lru, &trio->lru, sizeof(trio->lru)) ||
	    !folio_memcg_charged(victim) || folio_ref_count(victim)) {
		/* Mend the list for those who come after this test */
		WRITE_ONCE(trio->lru.prev->next, trio->lru.next);
		WRITE_ONCE(trio->lru.next->prev, trio->lru.prev);
		KUNIT_FAIL_AND_ABORT(test, "freed while on an LRU list");
	}
	KUNIT_EXPECT_FALSE(test, PageBuddy(&victim->page));
	KUNIT_EXPECT_FALSE(test, folio_test_lru(victim));

	move_neighbours(test, trio);
	KUNIT_EXPECT_TRUE(test, folio_linked(victim));

	folio_set_lru(victim);
	folio_ref_unfreeze(victim, 1);
	KUNIT_EXPECT_TRUE(test, folio_isolate_lru(victim));
	folio_putback_lru(victim);
	lru_add_drain_all();
	expect_freed(test, victim, BY_PUT, "victim");
	move_neighbours(test, trio);
}

static void expect_reported(struct kunit *test, struct lru_trio *trio,
			    enum release_path path)
{
	folio_clear_lru(trio->victim);
	rearm_warnings();
	kunit_warning_suppress(test) {
		release(trio->victim, path);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	expect_leaked(test, trio);
}

/* A lost update of folio->flags has cleared PG_lru: clear it by hand */
static void lost_lru(struct kunit *test)
{
	const struct release_param *param = test->param_value;
	struct lru_trio trio;

	make_trio(test, &trio);
	expect_reported(test, &trio, param->path);
}

/* The same with nobody on either side but the head of the list */
static void lost_lru_alone(struct kunit *test)
{
	const struct release_param *param = test->param_value;
	struct lru_trio trio;

	make_alone(test, &trio);
	expect_reported(test, &trio, param->path);
}

/* The same for one of many: the others of the batch are freed */
static void lost_lru_among(struct kunit *test)
{
	struct folio_batch fbatch;
	struct folio *folio[2];
	struct lru_trio trio;
	bool freed[2];

	make_trio(test, &trio);
	folio[0] = folio_on_lru(test);
	folio[1] = folio_on_lru(test);

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
	expect_leaked(test, &trio);
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

static void lru_goes_before_lock(struct kunit *test)
{
	struct task_struct *task;
	struct lru_trio trio;
	int warnings = 0;
	int cpu;

	if (num_online_cpus() < 2 || IS_ENABLED(CONFIG_PREEMPT_RT))
		kunit_skip(test, "needs two CPUs: one holds lru_lock, one spins on it");

	make_trio(test, &trio);
	memset(&lock, 0, sizeof(lock));
	init_completion(&lock.locked);
	init_completion(&lock.done);
	lock.folio = trio.victim;
	rearm_warnings();

	migrate_disable();
	cpu = cpumask_any_but(cpu_online_mask, smp_processor_id());
	task = kthread_run_on_cpu(lock_and_clear, NULL, cpu, "folio_links/%u");
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
	expect_leaked(test, &trio);
}

/* Isolated with no reference at all: it stays on its list */
static void isolate_count_zero(struct kunit *test)
{
	struct folio *folio = folio_on_lru(test);
	bool isolated = true;

	rearm_warnings();
	KUNIT_ASSERT_TRUE(test, folio_ref_freeze(folio, 1));
	kunit_warning_suppress(test) {
		isolated = folio_isolate_lru(folio);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	KUNIT_ASSERT_FALSE(test, isolated);
	KUNIT_EXPECT_TRUE(test, folio_test_lru(folio));
	KUNIT_EXPECT_EQ(test, folio_ref_count(folio), 0);
	folio_ref_unfreeze(folio, 1);
	expect_freed(test, folio, BY_PUT, "count back");
}

/* The last reference goes, yet the count is not zero: __folio_put() by hand */
static void resurrected(struct kunit *test)
{
	struct folio *folio = folio_on_lru(test);

	rearm_warnings();
	kunit_warning_suppress(test) {
		__folio_put(folio);
		KUNIT_EXPECT_SUPPRESSED_WARNING_COUNT(test, 1);
	}
	/* If it was freed, leave it alone */
	KUNIT_ASSERT_EQ(test, folio_ref_count(folio), 1);
	KUNIT_ASSERT_TRUE(test, folio_test_lru(folio));
	KUNIT_EXPECT_TRUE(test, folio_linked(folio));
	expect_freed(test, folio, BY_PUT, "kept");
}

static struct kunit_case links_cases[] = {
	KUNIT_CASE_PARAM(driver_list, paths_gen_params),
	KUNIT_CASE_PARAM(lost_lru, paths_gen_params),
	KUNIT_CASE_PARAM(lost_lru_alone, paths_gen_params),
	KUNIT_CASE(lost_lru_among),
	KUNIT_CASE(lru_goes_before_lock),
	KUNIT_CASE(isolate_count_zero),
	KUNIT_CASE(resurrected),
	{}
};

static struct kunit_suite links_suite = {
	.name = "folio_links",
	.suite_init = suite_init,
	.suite_exit = suite_exit,
	.init = case_init,
	.test_cases = links_cases,
};

kunit_test_suite(links_suite);

MODULE_DESCRIPTION("KUnit tests for the links of a folio that is released");
MODULE_LICENSE("GPL");
