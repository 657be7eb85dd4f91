// SPDX-License-Identifier: GPL-2.0-only
/*
 * Truncation, fault-around and MADV_PAGEOUT race for the folios of one file.
 *
 * filemap_map_pages() maps what it finds in the page cache around a fault, with
 * no lock but RCU until it has a folio. Truncation unmaps a folio and removes
 * it. MADV_PAGEOUT takes it off its LRU list in between. Whoever comes late must
 * notice: a folio that was removed is never mapped again, and is freed once.
 *
 * Threads do all that to a file that one of them truncates and extends again,
 * and see to it that
 *
 *  - whatever is read is what was written to that place of the file, or zero,
 *    or SIGBUS, and neither of these two where the file was never truncated;
 *  - no page beyond the end of the file is mapped when the last truncation has
 *    come while the others went on (mincore() would not tell, it looks at the
 *    page cache);
 *  - no page is mapped in whose place the page cache has another one, by PFN.
 *    This needs CAP_SYS_ADMIN, the rest does not.
 *
 * The file is on tmpfs, and on ext4 in the first of $FOLIO_EXT4_DIR, the current
 * directory and /var/tmp that is on ext4.
 */
#define _GNU_SOURCE
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/vfs.h>
#include <time.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/magic.h>

#include "folio_util.h"
#include "kselftest_harness.h"
#include "vm_util.h"

#define NR_PAGES		32	/* of the file, when it is whole */
#define KEEP_PAGES		4	/* of these, never truncated */
#define NR_FAULTERS		2
#define NR_THREADS		(NR_FAULTERS + 2)
#define JOIN_TIMEOUT_SEC	10

#define READS_MS		2000	/* of racing without a break */
#define ROUNDS_MS		1600	/* of racing with breaks to look */
#define ROUND_MS		20
#define MIN_ROUNDS		3

/* What the threads share. Each counter has one writer, but for the faulters'. */
struct race {
	int fd;
	int pagemap_fd;
	int kpageflags_fd;
	char *map;
	bool stop;
	bool stop_truncator;		/* comes before */
	unsigned int generation;	/* of what is written, the truncator's */
	unsigned int seed;
	unsigned long reads;
	unsigned long faults;		/* minor and major */
	unsigned long sigbus;
	unsigned long zeroes;
	unsigned long truncations;
	unsigned long punches;
	unsigned long pageouts;
	unsigned long colds;
	unsigned long zaps;
	unsigned long cut;		/* pages mapped before last truncations */
	bool failed;
	char err[200];			/* of the first that failed */
};

struct actor {
	struct race *race;
	pthread_t thread;
	unsigned int seed;
	const char *name;
};

static void race_err(struct race *race, const char *fmt, ...)
{
	va_list args;

	if (__atomic_test_and_set(&race->failed, __ATOMIC_RELAXED))
		return;
	va_start(args, fmt);
	vsnprintf(race->err, sizeof(race->err), fmt, args);
	va_end(args);
	__atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
}

static bool race_stopped(struct race *race)
{
	return __atomic_load_n(&race->stop, __ATOMIC_ACQUIRE);
}

static void count(unsigned long *counter, unsigned long nr)
{
	__atomic_fetch_add(counter, nr, __ATOMIC_RELAXED);
}

/*
 * Each byte tells its place in the file by the upper six bits, and by the two
 * others that it was written (they are never both zero) and in which of three
 * generations. It must be a byte, for a reader may see a half-written word.
 */
static unsigned char *patterns[3];

static const unsigned char *pattern(size_t pos, unsigned int generation)
{
	return patterns[generation % 3] + pos;
}

static bool init_patterns(void)
{
	size_t len = NR_PAGES * psize();

	for (int i = 0; i < 3; i++) {
		patterns[i] = malloc(len);
		if (!patterns[i])
			return false;
		for (size_t pos = 0; pos < len; pos++)
			patterns[i][pos] = (pos ^ (pos >> 6) ^ (pos / psize()) * 29) << 2 |
					   (i + 1);
	}
	return true;
}

static bool write_pages(struct race *race, size_t first, size_t nr,
			unsigned int generation)
{
	size_t len = nr * psize(), pos = first * psize();
	ssize_t ret;

	ret = pwrite(race->fd, pattern(pos, generation), len, pos);
	if (ret == len)
		return true;
	race_err(race, "pwrite: %s", ret < 0 ? strerror(errno) : "short");
	return false;
}

static unsigned long faults_so_far(void)
{
	struct rusage ru;

	getrusage(RUSAGE_THREAD, &ru);
	return ru.ru_minflt + ru.ru_majflt;
}

static void check_page(struct race *race, unsigned int page,
		       const unsigned char *buf)
{
	size_t pos = page * psize();
	bool zeroes = false;

	for (unsigned int i = 0; i < psize(); i++, pos++) {
		if (!(i % 64) && (!memcmp(buf + i, pattern(pos, 0), 64) ||
				  !memcmp(buf + i, pattern(pos, 1), 64) ||
				  !memcmp(buf + i, pattern(pos, 2), 64))) {
			i += 63;
			pos += 63;
		} else if (!buf[i]) {
			zeroes = true;
		} else if (buf[i] != *pattern(pos, 0) &&
			   buf[i] != *pattern(pos, 1) &&
			   buf[i] != *pattern(pos, 2)) {
			race_err(race, "page %u byte %u is %#x, never written there",
				 page, i, buf[i]);
		}
	}
	if (zeroes && page < KEEP_PAGES)
		race_err(race, "page %u was never truncated and reads zero",
			 page);
	count(&race->zeroes, zeroes);
}

/* Read faults, and with them what is around in the page cache. */
static void *faulter(void *data)
{
	struct actor *actor = data;
	struct race *race = actor->race;
	unsigned long faults = faults_so_far();
	unsigned char *buf = malloc(psize());

	while (!race_stopped(race)) {
		unsigned int page = rand_r(&actor->seed) % NR_PAGES;

		if (read_mapping(buf, race->map + page * psize(), psize())) {
			check_page(race, page, buf);
		} else {
			count(&race->sigbus, 1);
			sched_yield();
			if (page < KEEP_PAGES)
				race_err(race, "SIGBUS at page %u, which was never truncated",
					 page);
		}
		count(&race->reads, 1);
	}
	count(&race->faults, faults_so_far() - faults);
	free(buf);
	return NULL;
}

/* Truncate, and write again what was lost. */
static void *truncator(void *data)
{
	struct actor *actor = data;
	struct race *race = actor->race;

	while (!race_stopped(race) &&
	       !__atomic_load_n(&race->stop_truncator, __ATOMIC_ACQUIRE)) {
		unsigned int first = KEEP_PAGES + rand_r(&actor->seed) %
				     (NR_PAGES - KEEP_PAGES);
		unsigned int nr = NR_PAGES - first;

		if (rand_r(&actor->seed) % 2) {
			off_t size = first * psize();

			/* Sometimes within a page, which is zeroed from there. */
			if (first > KEEP_PAGES)
				size -= rand_r(&actor->seed) % 2 * 100;
			if (ftruncate(race->fd, size))
				race_err(race, "ftruncate: %s", strerror(errno));
			if (size % psize()) {
				first--;
				nr++;
			}
			count(&race->truncations, 1);
		} else {
			nr = 1 + rand_r(&actor->seed) % nr;
			if (fallocate(race->fd, FALLOC_FL_PUNCH_HOLE |
						FALLOC_FL_KEEP_SIZE,
				      first * psize(), nr * psize()))
				race_err(race, "fallocate: %s", strerror(errno));
			count(&race->punches, 1);
		}
		if (!(rand_r(&actor->seed) % 4))
			sched_yield();
		write_pages(race, first, nr, ++race->generation);
	}
	return NULL;
}

/* Isolate from the LRU what is mapped, and unmap to have it mapped again. */
static void *pageouter(void *data)
{
	struct actor *actor = data;
	struct race *race = actor->race;

	while (!race_stopped(race)) {
		unsigned int first = rand_r(&actor->seed) % NR_PAGES;
		unsigned int nr = 1 + rand_r(&actor->seed) % (NR_PAGES - first);
		char *addr = race->map + first * psize();
		unsigned long *counter;
		int advice;

		switch (rand_r(&actor->seed) % 4) {
		case 0:
			advice = MADV_COLD;
			counter = &race->colds;
			break;
		case 1:
			advice = MADV_DONTNEED;
			counter = &race->zaps;
			break;
		default:
			advice = MADV_PAGEOUT;
			counter = &race->pageouts;
			break;
		}
		if (madvise(addr, nr * psize(), advice))
			race_err(race, "madvise(%d): %s", advice, strerror(errno));
		count(counter, 1);
	}
	return NULL;
}

static unsigned int nr_mapped(struct race *race, unsigned int first)
{
	unsigned int nr = 0;

	for (unsigned int i = first; i < NR_PAGES; i++)
		nr += pagemap_get_pfn(race->pagemap_fd,
				      race->map + i * psize()) != -1UL;
	return nr;
}

static void join(struct actor *actor, const struct timespec *until)
{
	int err = pthread_timedjoin_np(actor->thread, NULL, until);

	if (err) {
		/* It still uses its creator's stack: do not return. */
		ksft_print_msg("the %s does not end: %s\n", actor->name,
			       strerror(err));
		_exit(KSFT_FAIL);
	}
}

/*
 * Let them race for a while. The last truncation leaves @nr_pages of the file,
 * and comes while the faulters and the pageouter are still at it.
 *
 * Return: has everything been in order?
 */
static bool run_race(struct race *race, unsigned int ms, unsigned int nr_pages)
{
	void *(*fn[NR_THREADS])(void *) = { truncator, pageouter };
	struct actor actors[NR_THREADS] = {
		{ .name = "truncator" },
		{ .name = "pageouter" },
	};
	struct timespec ts;
	int nr, err;

	race->stop = false;
	race->stop_truncator = false;
	for (nr = 0; nr < NR_THREADS; nr++) {
		actors[nr].race = race;
		actors[nr].seed = race->seed++;
		if (!fn[nr]) {
			fn[nr] = faulter;
			actors[nr].name = "faulter";
		}
		err = pthread_create(&actors[nr].thread, NULL, fn[nr], &actors[nr]);
		if (err) {
			race_err(race, "pthread_create: %s", strerror(err));
			break;
		}
	}

	for (double end = now() + ms / 1e3; !race_stopped(race) && now() < end; )
		usleep(1000);
	__atomic_store_n(&race->stop_truncator, true, __ATOMIC_RELEASE);

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += JOIN_TIMEOUT_SEC;
	if (nr)
		join(&actors[0], &ts);
	count(&race->cut, nr_mapped(race, nr_pages));
	if (ftruncate(race->fd, nr_pages * psize()))
		race_err(race, "ftruncate: %s", strerror(errno));
	__atomic_store_n(&race->stop, true, __ATOMIC_RELEASE);
	while (nr-- > 1)
		join(&actors[nr], &ts);
	return !race->failed;
}

FIXTURE(folio_truncate_race)
{
	struct race race;
};

FIXTURE_VARIANT(folio_truncate_race)
{
	bool ext4;
};

FIXTURE_VARIANT_ADD(folio_truncate_race, tmpfs)
{
	.ext4 = false,
};

FIXTURE_VARIANT_ADD(folio_truncate_race, ext4)
{
	.ext4 = true,
};

static int open_on_ext4(void)
{
	const char *dirs[3] = { getenv("FOLIO_EXT4_DIR"), ".", "/var/tmp" };
	char path[4096];
	struct statfs fs;
	int fd;

	for (int i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (!dirs[i] || statfs(dirs[i], &fs) ||
		    fs.f_type != EXT4_SUPER_MAGIC)
			continue;
		snprintf(path, sizeof(path), "%s/folio_truncate_race.XXXXXX",
			 dirs[i]);
		fd = mkstemp(path);
		if (fd >= 0) {
			unlink(path);
			return fd;
		}
	}
	return -1;
}

FIXTURE_SETUP(folio_truncate_race)
{
	struct race *race = &self->race;

	race->pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	ASSERT_GE(race->pagemap_fd, 0);
	race->kpageflags_fd = open("/proc/kpageflags", O_RDONLY);
	ASSERT_EQ(catch_sigbus(), 0);

	if (variant->ext4) {
		race->fd = open_on_ext4();
		if (race->fd < 0)
			SKIP(return, "no writable ext4 in $FOLIO_EXT4_DIR, . or /var/tmp");
	} else {
		race->fd = memfd_create("folio_truncate_race", 0);
		ASSERT_GE(race->fd, 0);
	}
	race->seed = 1;
	race->map = mmap(NULL, NR_PAGES * psize(), PROT_READ, MAP_SHARED,
			 race->fd, 0);
	ASSERT_NE(race->map, MAP_FAILED);
	ASSERT_TRUE(init_patterns() && write_pages(race, 0, NR_PAGES, 0));
}

FIXTURE_TEARDOWN(folio_truncate_race)
{
	struct race *race = &self->race;

	munmap(race->map, NR_PAGES * psize());
	close(race->fd);
	close(race->pagemap_fd);
	close(race->kpageflags_fd);
}

/* With nobody racing, the mapping shows what the file contains, and SIGBUS. */
static bool check_quiesced(struct race *race, unsigned int nr_pages)
{
	unsigned char *buf = malloc(psize());

	for (unsigned int page = 0; page < NR_PAGES; page++) {
		bool ok = read_mapping(buf, race->map + page * psize(), psize());
		bool inside = page < nr_pages;

		if (ok != inside) {
			race_err(race, "page %u of %u: %s", page, nr_pages,
				 ok ? "no SIGBUS" : "SIGBUS");
			break;
		}
		if (ok && memcmp(buf, pattern(page * psize(), race->generation),
				 psize()))
			race_err(race, "page %u is not what was written last",
				 page);
	}
	free(buf);
	return !race->failed;
}

/*
 * Write all of the file, twice: a page that is mapped and no longer the file's
 * is left behind in at least one of the two.
 */
static bool rewrite_and_check(struct race *race)
{
	for (int i = 0; i < 2; i++) {
		if (!write_pages(race, 0, NR_PAGES, ++race->generation) ||
		    !check_quiesced(race, NR_PAGES))
			return false;
	}
	return true;
}

/* A test that did nothing must not pass. */
static bool anything_happened(struct race *race)
{
	ksft_print_msg("%lu reads: %lu faults, %lu SIGBUS, %lu with zeroes\n",
		       race->reads, race->faults, race->sigbus, race->zeroes);
	ksft_print_msg("%lu truncations, %lu holes\n", race->truncations,
		       race->punches);
	ksft_print_msg("%lu MADV_PAGEOUT, %lu MADV_COLD, %lu MADV_DONTNEED\n",
		       race->pageouts, race->colds, race->zaps);
	return race->faults && race->truncations && race->punches &&
	       race->pageouts && race->colds && race->zaps;
}

/* Does a read fault map the neighbours? It need not, but then say so. */
static void show_fault_around(struct race *race)
{
	madvise(race->map, NR_PAGES * psize(), MADV_DONTNEED);
	FORCE_READ(race->map[NR_PAGES / 2 * psize()]);
	ksft_print_msg("a read fault maps %u pages\n", nr_mapped(race, 0));
}

TEST_F(folio_truncate_race, reads)
{
	struct race *race = &self->race;

	show_fault_around(race);
	EXPECT_TRUE(run_race(race, READS_MS, KEEP_PAGES) &&
		    rewrite_and_check(race))
		TH_LOG("%s", race->err);
	EXPECT_TRUE(anything_happened(race));
}

/* What the last truncation of a round leaves: anything from the pages kept on */
static unsigned int size_after(unsigned int round)
{
	return KEEP_PAGES + round * 7 % (NR_PAGES - KEEP_PAGES);
}

TEST_F(folio_truncate_race, nothing_mapped_beyond_eof)
{
	struct race *race = &self->race;
	double end = now() + ROUNDS_MS / 1e3;
	unsigned int rounds = 0;

	while (now() < end || rounds < MIN_ROUNDS) {
		unsigned int nr_pages = size_after(rounds);

		ASSERT_TRUE(run_race(race, ROUND_MS, nr_pages))
			TH_LOG("%s", race->err);
		ASSERT_EQ(nr_mapped(race, nr_pages), 0)
			TH_LOG("round %u: %u pages mapped beyond the end of the file",
			       rounds, nr_mapped(race, nr_pages));
		ASSERT_TRUE(write_pages(race, 0, nr_pages, race->generation) &&
			    check_quiesced(race, nr_pages))
			TH_LOG("%s", race->err);

		ASSERT_TRUE(rewrite_and_check(race)) TH_LOG("%s", race->err);
		rounds++;
	}
	ksft_print_msg("%u rounds, %lu mapped pages truncated at their ends\n",
		       rounds, race->cut);
	EXPECT_GT(race->cut, 0);
	EXPECT_TRUE(anything_happened(race));
}

/*
 * Is there a page in the mapping that the page cache does not have in this
 * place? A new mapping shows what it does have. The file must be whole.
 *
 * Return: the number of pages that were compared, -1 if one is another one.
 */
static int check_pfns(struct race *race)
{
	char *map = mmap(NULL, NR_PAGES * psize(), PROT_READ, MAP_SHARED,
			 race->fd, 0);
	unsigned long pfn, cached;
	uint64_t flags = 0;
	int nr = 0;

	if (map == MAP_FAILED) {
		race_err(race, "mmap: %s", strerror(errno));
		return -1;
	}
	for (int i = 0; i < NR_PAGES; i++) {
		pfn = pagemap_get_pfn(race->pagemap_fd, race->map + i * psize());
		if (pfn == -1UL)
			continue;
		nr++;
		FORCE_READ(map[i * psize()]);
		cached = pagemap_get_pfn(race->pagemap_fd, map + i * psize());
		if (pfn == cached)
			continue;
		pageflags_get(pfn, race->kpageflags_fd, &flags);
		race_err(race, "page %d maps pfn %#lx flags %#llx, the page cache has pfn %#lx",
			 i, pfn, (unsigned long long)flags, cached);
	}
	munmap(map, NR_PAGES * psize());
	return race->failed ? -1 : nr;
}

/* As above, by PFN: what is left mapped is what the page cache has. */
TEST_F(folio_truncate_race, no_orphan_left)
{
	struct race *race = &self->race;
	double end = now() + ROUNDS_MS / 1e3;
	unsigned long nr_compared = 0;
	unsigned int rounds = 0;

	FORCE_READ(race->map[0]);
	if (race->kpageflags_fd < 0 ||
	    !PAGEMAP_PFN(pagemap_get_entry(race->pagemap_fd, race->map)))
		SKIP(return, "no PFNs or no /proc/kpageflags (no CAP_SYS_ADMIN?)");

	while (now() < end || rounds < MIN_ROUNDS) {
		int nr;

		ASSERT_TRUE(run_race(race, ROUND_MS, size_after(rounds)) &&
			    write_pages(race, 0, NR_PAGES, ++race->generation))
			TH_LOG("%s", race->err);
		nr = check_pfns(race);
		ASSERT_GE(nr, 0) TH_LOG("%s", race->err);
		nr_compared += nr;

		ASSERT_TRUE(rewrite_and_check(race)) TH_LOG("%s", race->err);
		rounds++;
	}
	ksft_print_msg("%u rounds, %lu mapped pages truncated at their ends, %lu compared\n",
		       rounds, race->cut, nr_compared);
	EXPECT_GT(nr_compared, 0);
	EXPECT_TRUE(anything_happened(race));
}

TEST_HARNESS_MAIN
