/* SPDX-License-Identifier: GPL-2.0-only */
#ifndef _MM_FOLIO_BENCH_H
#define _MM_FOLIO_BENCH_H

#include <linux/types.h>

/*
 * What /sys/kernel/debug/folio_bench can be asked to do and to time:
 *
 * FOLIO_BENCH_ISOLATE: isolate the folios of user memory, then put them back
 * FOLIO_BENCH_REFUSE: try to isolate these while they are off the LRU lists
 * FOLIO_BENCH_RELEASE: put the last references of new folios on LRU lists
 * FOLIO_BENCH_PUT: put references to the folios of user memory, not the last
 */
#define FOLIO_BENCH_ISOLATE	_IOWR('F', 1, struct folio_bench)
#define FOLIO_BENCH_REFUSE	_IOWR('F', 2, struct folio_bench)
#define FOLIO_BENCH_RELEASE	_IOWR('F', 3, struct folio_bench)
#define FOLIO_BENCH_PUT		_IOWR('F', 4, struct folio_bench)

#define FOLIO_BENCH_MAX_PAGES	262144

/**
 * struct folio_bench - argument of these calls
 * @addr: In: user memory, present; not for FOLIO_BENCH_RELEASE.
 * @nr_pages: In: how many pages.
 * @msecs: In: again and again for as long; 0 for once.
 * @ops: Out: how many folios that were, each time counted.
 * @nsecs: Out: how long it took; preparations are not in it.
 * @cycles: Out: likewise, by get_cycles(), where the architecture has that.
 */
struct folio_bench {
	__u64 addr;
	__u32 nr_pages;
	__u32 msecs;
	__u64 ops;
	__u64 nsecs;
	__u64 cycles;
};

#endif /* _MM_FOLIO_BENCH_H */
