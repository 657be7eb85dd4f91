// SPDX-License-Identifier: GPL-2.0-only
/*
 * Benchmark of taking folios off their LRU lists and of releasing them, for
 * the program of this name in the selftests of mm.
 */
#include <linux/debugfs.h>
#include <linux/fs.h>
#include <linux/jiffies.h>
#include <linux/ktime.h>
#include <linux/memcontrol.h>
#include <linux/mm.h>
#include <linux/pagemap.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/swap.h>
#include <linux/timex.h>
#include <linux/uaccess.h>
#include "folio_bench.h"
#include "internal.h"

struct folio_set {
	struct folio **folios;
	unsigned int nr;
};

struct stopwatch {
	u64 nsecs;
	cycles_t cycles;
};

static struct stopwatch stopwatch_start(void)
{
	return (struct stopwatch){ ktime_get_ns(), get_cycles() };
}

static void stopwatch_stop(struct stopwatch *start, struct folio_bench *bench)
{
	bench->cycles += get_cycles() - start->cycles;
	bench->nsecs += ktime_get_ns() - start->nsecs;
}

static int isolate_all(struct folio_set *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++) {
		if (!folio_isolate_lru(set->folios[i])) {
			set->nr = i;	/* so many are to be put back */
			return -EBUSY;
		}
	}
	return 0;
}

static void put_back_all(struct folio_set *set)
{
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		folio_putback_lru(set->folios[i]);
	lru_add_drain();
}

static int bench_isolate(struct folio_set *set, struct folio_bench *bench)
{
	struct stopwatch watch = stopwatch_start();
	int ret = isolate_all(set);

	put_back_all(set);
	stopwatch_stop(&watch, bench);
	return ret;
}

static int bench_refuse(struct folio_set *set, struct folio_bench *bench)
{
	struct stopwatch watch;
	unsigned int i, wrong = 0;
	int ret = isolate_all(set);

	if (!ret) {
		watch = stopwatch_start();
		for (i = 0; i < set->nr; i++)
			wrong += folio_isolate_lru(set->folios[i]);
		stopwatch_stop(&watch, bench);
	}
	put_back_all(set);
	return WARN_ON_ONCE(wrong) ? -EIO : ret;
}

static int bench_release(struct folio_set *set, struct folio_bench *bench)
{
	struct stopwatch watch;
	int ret = 0;

	for (set->nr = 0; set->nr < bench->nr_pages; set->nr++) {
		struct folio *folio = folio_alloc(GFP_HIGHUSER_MOVABLE, 0);

		if (!folio)
			ret = -ENOMEM;
		else
			ret = mem_cgroup_charge(folio, current->mm, GFP_KERNEL);
		if (ret) {
			if (folio)
				folio_put(folio);
			break;
		}
		folio_add_lru(folio);
		set->folios[set->nr] = folio;
	}
	lru_add_drain();

	watch = stopwatch_start();
	release_pages(set->folios, set->nr);
	stopwatch_stop(&watch, bench);
	return ret;
}

static int bench_put(struct folio_set *set, struct folio_bench *bench)
{
	struct stopwatch watch;
	unsigned int i;

	for (i = 0; i < set->nr; i++)
		folio_get(set->folios[i]);

	watch = stopwatch_start();
	release_pages(set->folios, set->nr);
	stopwatch_stop(&watch, bench);
	return 0;
}

/* The folios of user memory, each once, with a reference each. */
static int folios_get(struct folio_set *set, struct folio_bench *bench)
{
	struct page **pages = (struct page **)set->folios;
	unsigned long addr = bench->addr;
	unsigned int i, nr = 0;

	while (nr < bench->nr_pages) {
		int got = get_user_pages_fast(addr + nr * PAGE_SIZE, bench->nr_pages - nr,
					      0, pages + nr);

		if (got <= 0) {
			release_pages(pages, nr);
			return got ?: -EFAULT;
		}
		nr += got;
	}

	for (i = 0; i < nr; i++) {
		struct folio *folio = page_folio(pages[i]);

		if (set->nr && set->folios[set->nr - 1] == folio)
			folio_put(folio);
		else
			set->folios[set->nr++] = folio;
	}
	lru_add_drain_all();
	return 0;
}

static int bench_run(unsigned int cmd, struct folio_bench *bench)
{
	unsigned long end = jiffies + msecs_to_jiffies(bench->msecs);
	struct folio_set all = {}, set;
	int ret = 0;

	if (!bench->nr_pages || bench->nr_pages > FOLIO_BENCH_MAX_PAGES)
		return -EINVAL;
	all.folios = kvcalloc(bench->nr_pages, sizeof(*all.folios), GFP_KERNEL);
	if (!all.folios)
		return -ENOMEM;
	if (cmd != FOLIO_BENCH_RELEASE)
		ret = folios_get(&all, bench);
	if (ret)
		goto out;

	bench->ops = 0;
	bench->nsecs = 0;
	bench->cycles = 0;
	do {
		set = all;
		if (cmd == FOLIO_BENCH_ISOLATE)
			ret = bench_isolate(&set, bench);
		else if (cmd == FOLIO_BENCH_REFUSE)
			ret = bench_refuse(&set, bench);
		else if (cmd == FOLIO_BENCH_PUT)
			ret = bench_put(&set, bench);
		else
			ret = bench_release(&set, bench);
		bench->ops += set.nr;
		cond_resched();
	} while (!ret && time_before(jiffies, end) && !signal_pending(current));

	release_pages(all.folios, all.nr);
out:
	kvfree(all.folios);
	return ret;
}

static long folio_bench_ioctl(struct file *file, unsigned int cmd,
			      unsigned long arg)
{
	struct folio_bench bench;
	int ret;

	switch (cmd) {
	case FOLIO_BENCH_ISOLATE:
	case FOLIO_BENCH_REFUSE:
	case FOLIO_BENCH_RELEASE:
	case FOLIO_BENCH_PUT:
		break;
	default:
		return -ENOTTY;
	}
	if (copy_from_user(&bench, (void __user *)arg, sizeof(bench)))
		return -EFAULT;
	ret = bench_run(cmd, &bench);
	if (ret)
		return ret;
	return copy_to_user((void __user *)arg, &bench, sizeof(bench)) ? -EFAULT : 0;
}

static const struct file_operations folio_bench_fops = {
	.owner = THIS_MODULE,
	.open = nonseekable_open,
	.unlocked_ioctl = folio_bench_ioctl,
	.compat_ioctl = compat_ptr_ioctl,
};

static int __init folio_bench_init(void)
{
	debugfs_create_file("folio_bench", 0600, NULL, NULL, &folio_bench_fops);
	return 0;
}
late_initcall(folio_bench_init);
