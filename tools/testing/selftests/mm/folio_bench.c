// SPDX-License-Identifier: GPL-2.0-only
/*
 * Times what takes folios off their LRU lists: in the kernel, through
 * /sys/kernel/debug/folio_bench (CONFIG_FOLIO_BENCH), and system calls.
 *
 * A line "# sample: WORK SIZE OPS NSECS CYCLES" is one measurement.  CYCLES are
 * those of the time stamp counter of x86, else 0.  Emulated by QEMU with -icount
 * shift=0, both are the number of instructions.
 *
 * Not a test: nothing is judged but that the work was done.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sched.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/tcp.h>

#include "../../../../mm/folio_bench.h"
#include "kselftest.h"
#include "vm_util.h"

#define BENCH_FILE		"/sys/kernel/debug/folio_bench"
#define CHUNK_PAGES		8	/* to send at a time */
#define FAULT_AROUND_PAGES	16
#define SAMPLE_PAGES		4096
#define SAMPLE_PAGES_FAST	65536	/* of what takes nanoseconds */

static int repeats = 5;
static int contend_msecs = 50;
static bool turns;
static int bench_fd = -1;

struct stopwatch {
	uint64_t nsecs;
	uint64_t cycles;
};

static uint64_t now_nsecs(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec * 1000000000ULL + ts.tv_nsec;
}

static uint64_t now_cycles(void)
{
#if __has_builtin(__builtin_ia32_rdtsc)
	return __builtin_ia32_rdtsc();
#else
	return 0;
#endif
}

/*
 * Before each measurement, with -t: wait for a line.  Machines that are compared
 * take turns, so that what else their host does goes by all of them.
 */
static void wait_for_turn(void)
{
	char c;

	if (!turns)
		return;
	printf("# turn\n");
	fflush(stdout);
	while (read(STDIN_FILENO, &c, 1) == 1 && c != '\n')
		;
}

static struct stopwatch start(void)
{
	uint64_t nsecs = now_nsecs();

	return (struct stopwatch){ nsecs, now_cycles() };
}

static struct stopwatch stop(struct stopwatch watch)
{
	watch.cycles = now_cycles() - watch.cycles;
	watch.nsecs = now_nsecs() - watch.nsecs;
	return watch;
}

static void print_sample(const char *work, size_t size, uint64_t ops, uint64_t nsecs,
			 uint64_t cycles)
{
	ksft_print_msg("sample: %s %zu %llu %llu %llu\n", work, size,
		       (unsigned long long)ops, (unsigned long long)nsecs,
		       (unsigned long long)cycles);
}

static void watched(const char *work, size_t size, uint64_t ops,
		    struct stopwatch watch)
{
	print_sample(work, size, ops, watch.nsecs, watch.cycles);
}

/* Report a piece of work as skipped or failed. */
static void skip(const char *work, const char *why)
{
	ksft_test_result_skip("%s # %s: %s\n", work, why, strerror(errno));
}

static void fail(const char *work, const char *what)
{
	ksft_print_msg("%s: %s: %s\n", work, what, strerror(errno));
	ksft_test_result_fail("%s\n", work);
}

static bool run_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	return !sched_setaffinity(0, sizeof(set), &set);
}

/* ---- in the kernel ------------------------------------------------------- */

enum memory {
	ANON,
	TMPFS,
};

static char *memory_map(enum memory kind, size_t len)
{
	int flags = kind == ANON ? MAP_PRIVATE | MAP_ANONYMOUS :
		    MAP_SHARED | MAP_ANONYMOUS;
	char *map = mmap(NULL, len, PROT_READ | PROT_WRITE, flags, -1, 0);

	if (map == MAP_FAILED)
		return NULL;
	madvise(map, len, MADV_NOHUGEPAGE);
	if (madvise(map, len, MADV_POPULATE_WRITE)) {
		munmap(map, len);
		return NULL;
	}
	return map;
}

static bool bench(unsigned int cmd, struct folio_bench *bench, char *map,
		  size_t pages, unsigned int msecs)
{
	*bench = (struct folio_bench){
		.addr = (uintptr_t)map,
		.nr_pages = pages,
		.msecs = msecs,
	};
	return !ioctl(bench_fd, cmd, bench);
}

/* Few pages are taken again and again: a clock may have no more than microseconds. */
static void in_kernel(const char *work, unsigned int cmd, enum memory kind,
		      const size_t *sizes, size_t at_least)
{
	struct folio_bench b;
	char *map;
	int i;

	if (bench_fd < 0) {
		skip(work, "needs root, and CONFIG_FOLIO_BENCH: " BENCH_FILE);
		return;
	}
	for (; *sizes; sizes++) {
		map = memory_map(kind, *sizes * psize());
		if (!map) {
			fail(work, "mmap");
			return;
		}
		for (i = 0; i < repeats; i++) {
			uint64_t ops = 0, nsecs = 0, cycles = 0;

			wait_for_turn();
			bench(cmd, &b, map, *sizes, 0);	/* to warm up */
			while (ops < at_least) {
				if (!bench(cmd, &b, map, *sizes, 0) || !b.ops) {
					fail(work, BENCH_FILE);
					munmap(map, *sizes * psize());
					return;
				}
				ops += b.ops;
				nsecs += b.nsecs;
				cycles += b.cycles;
			}
			print_sample(work, *sizes, ops, nsecs, cycles);
		}
		munmap(map, *sizes * psize());
	}
	ksft_test_result_pass("%s\n", work);
}

/* Wait until so many are here. */
static void meet(int *here, int nr)
{
	__atomic_add_fetch(here, 1, __ATOMIC_SEQ_CST);
	while (__atomic_load_n(here, __ATOMIC_SEQ_CST) != nr)
		;
}

struct contender {
	const char *name;
	unsigned int cmd;
	enum memory kind;
};

static const struct contender isolate = { "isolate", FOLIO_BENCH_ISOLATE, TMPFS },
			      release = { "release", FOLIO_BENCH_RELEASE, ANON },
			      put = { "put", FOLIO_BENCH_PUT, TMPFS };

/* One or two processes, each on a CPU of its own, all at folios of one lruvec. */
static void contend(const char *work, const struct contender *first,
		    const struct contender *second)
{
	const struct contender *contenders[] = { first, second };
	int nr = second ? 2 : 1, status, i, j;
	unsigned int pages = 1024;
	struct folio_bench *b = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	int *ready = (int *)(b + nr);
	bool ok = true;
	char name[32];

	if (bench_fd < 0 || sysconf(_SC_NPROCESSORS_ONLN) < nr) {
		errno = 0;
		skip(work, "needs root, CONFIG_FOLIO_BENCH and a CPU for each");
		goto out;
	}
	for (i = 0; ok && i < repeats; i++) {
		wait_for_turn();
		__atomic_store_n(ready, 0, __ATOMIC_SEQ_CST);
		for (j = 0; j < nr; j++) {
			if (!fork()) {
				char *map = memory_map(contenders[j]->kind,
						       pages * psize());

				alarm(60);	/* if the other one can't be had */
				run_on(j);
				meet(ready, nr);
				exit(!map || !bench(contenders[j]->cmd, &b[j], map,
						    pages, contend_msecs));
			}
		}
		while (wait(&status) > 0)
			ok &= !status;
		for (j = 0; ok && j < nr; j++) {
			snprintf(name, sizeof(name), nr > 1 ? "%s.%s" : "%s",
				 work, contenders[j]->name);
			print_sample(name, nr, b[j].ops, b[j].nsecs, b[j].cycles);
		}
	}
	if (ok)
		ksft_test_result_pass("%s\n", work);
	else
		fail(work, BENCH_FILE);
out:
	munmap(b, psize());
}

/* ---- orphans --------------------------------------------------------------- */

struct stream {
	int tx;
	int rx;
	char *map;
	size_t len;
};

static bool stream_open(struct stream *s, size_t pages)
{
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int listener = socket(AF_INET, SOCK_STREAM, 0);
	bool ok;

	s->tx = socket(AF_INET, SOCK_STREAM, 0);
	ok = !bind(listener, (struct sockaddr *)&addr, sizeof(addr)) &&
	     !listen(listener, 1) &&
	     !getsockname(listener, (struct sockaddr *)&addr, &len) &&
	     !connect(s->tx, (struct sockaddr *)&addr, sizeof(addr));
	s->rx = ok ? accept(listener, NULL, NULL) : -1;
	close(listener);
	s->len = (pages + CHUNK_PAGES) * psize();
	s->map = s->rx < 0 ? MAP_FAILED :
		 mmap(NULL, s->len, PROT_READ, MAP_SHARED, s->rx, 0);
	return s->map != MAP_FAILED;
}

static void stream_close(struct stream *s)
{
	if (s->map != MAP_FAILED)
		munmap(s->map, s->len);
	close(s->rx);
	close(s->tx);
}

/*
 * Send pages of a file, truncate it, and map what arrives behind the first
 * @mapped bytes, as far as TCP does.  Return: how many bytes that were.
 */
static ssize_t stream_orphans(struct stream *s, size_t mapped)
{
	static char page[1 << 16];
	int file = memfd_create("folio_bench", 0);
	struct tcp_zerocopy_receive zc = {
		.address = (uintptr_t)s->map + mapped,
		.length = CHUNK_PAGES * psize(),
	};
	socklen_t len = sizeof(zc);
	size_t got, i;
	off_t pos = 0;

	for (i = 0; i < CHUNK_PAGES; i++)
		if (write(file, page, psize()) != psize())
			return -1;
	if (sendfile(s->tx, file, &pos, zc.length) != zc.length ||
	    ftruncate(file, 0)) {
		close(file);
		return -1;
	}
	close(file);
	/* Loopback: it is all in the receive queue by now */
	if (getsockopt(s->rx, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len))
		return -1;
	for (got = zc.length; got < CHUNK_PAGES * psize(); ) {
		ssize_t ret = recv(s->rx, page, sizeof(page), MSG_DONTWAIT);

		if (ret <= 0)
			break;
		got += ret;
	}
	return zc.length;
}

static void orphans(const char *work, const size_t *sizes)
{
	for (; *sizes; sizes++) {
		size_t len = *sizes * psize(), mapped = 0;
		int i, tries = 4 * *sizes / CHUNK_PAGES;
		struct stream s;

		if (!stream_open(&s, *sizes)) {
			skip(work, "needs TCP and a loopback device that is up");
			stream_close(&s);
			return;
		}
		while (mapped < len && tries--) {
			ssize_t ret = stream_orphans(&s, mapped);

			if (ret < 0)
				break;
			mapped += ret;
		}
		if (mapped < len) {
			skip(work, "TCP maps no pages of files");
			stream_close(&s);
			return;
		}
		for (i = 0; i < repeats; i++) {
			struct stopwatch watch;
			int ret;

			wait_for_turn();
			madvise(s.map, len, MADV_PAGEOUT);	/* to warm up */
			watch = start();
			ret = madvise(s.map, len, MADV_PAGEOUT);
			watch = stop(watch);
			if (ret) {
				fail(work, "madvise");
				stream_close(&s);
				return;
			}
			watched(work, *sizes, *sizes, watch);
		}
		stream_close(&s);
	}
	ksft_test_result_pass("%s\n", work);
}

/* ---- system calls ------------------------------------------------------------ */

/* What takes a second is not repeated as often as what takes a millisecond. */
static int repeats_of(size_t pages)
{
	return pages > SAMPLE_PAGES / 4 ? (repeats + 3) / 4 : repeats;
}

static bool fill(int fd, size_t len)
{
	static char buf[1 << 16];
	size_t pos;

	for (pos = 0; pos < len; pos += sizeof(buf))
		if (pwrite(fd, buf, sizeof(buf), pos) != sizeof(buf))
			return false;
	return !fsync(fd);
}

static int file_open(const char *dir)
{
	return dir ? open(dir, O_TMPFILE | O_RDWR, 0600) :
		     memfd_create("folio_bench", 0);
}

static void truncate_file(const char *work, const char *dir, const size_t *sizes)
{
	for (; *sizes; sizes++) {
		size_t len = *sizes * psize();
		struct stopwatch watch;
		int i, fd = file_open(dir);

		for (i = 0; i < repeats_of(*sizes); i++) {
			wait_for_turn();
			if (fd < 0 || !fill(fd, len)) {
				skip(work, "no file, or no space for it");
				close(fd);
				return;
			}
			watch = start();
			ftruncate(fd, 0);
			watched(work, *sizes, *sizes, stop(watch));
		}
		close(fd);
	}
	ksft_test_result_pass("%s\n", work);
}

static void unmap_anon(const char *work, const size_t *sizes)
{
	for (; *sizes; sizes++) {
		size_t len = *sizes * psize();
		struct stopwatch watch;
		char *map;
		int i;

		for (i = 0; i < repeats_of(*sizes); i++) {
			wait_for_turn();
			map = memory_map(ANON, len);
			if (!map) {
				fail(work, "mmap");
				return;
			}
			watch = start();
			munmap(map, len);
			watched(work, *sizes, *sizes, stop(watch));
		}
	}
	ksft_test_result_pass("%s\n", work);
}

static size_t resident(char *map, size_t pages)
{
	unsigned char *vec = malloc(pages);
	size_t i, nr = 0;

	mincore(map, pages * psize(), vec);
	for (i = 0; i < pages; i++)
		nr += vec[i] & 1;
	free(vec);
	return nr;
}

/* A file is read, mapped and paged out, as a user would see it. */
static void page_out(const char *work, const char *fault, const char *dir,
		     const size_t *sizes)
{
	static char buf[1 << 16];

	for (; *sizes; sizes++) {
		size_t j, len = *sizes * psize();
		struct stopwatch watch;
		int i, fd = file_open(dir);
		char *map;

		if (fd < 0 || !fill(fd, len)) {
			skip(work, "no file, or no space for it");
			skip(fault, "no file, or no space for it");
			close(fd);
			return;
		}
		map = mmap(NULL, len, PROT_READ, MAP_SHARED, fd, 0);
		madvise(map, len, MADV_NOHUGEPAGE);
		for (i = 0; i < repeats_of(*sizes); i++) {
			wait_for_turn();
			madvise(map, len, MADV_DONTNEED);
			readahead(fd, 0, len);
			for (j = 0; j < len; j += sizeof(buf))
				pread(fd, buf, sizeof(buf), j);
			watch = start();
			for (j = 0; j < *sizes; j += FAULT_AROUND_PAGES)
				FORCE_READ(map[j * psize()]);
			watched(fault, *sizes, *sizes, stop(watch));

			watch = start();
			madvise(map, len, MADV_PAGEOUT);
			watched(work, *sizes, *sizes, stop(watch));
		}
		j = resident(map, *sizes);
		munmap(map, len);
		close(fd);
		if (j > *sizes / 10) {
			ksft_print_msg("%zu of %zu pages were not paged out\n", j, *sizes);
			errno = EBUSY;
			fail(work, "MADV_PAGEOUT");
			ksft_test_result_pass("%s\n", fault);
			return;
		}
	}
	ksft_test_result_pass("%s\n", work);
	ksft_test_result_pass("%s\n", fault);
}

int main(int argc, char **argv)
{
	static const size_t lru[] = { 64, 512, 4096, 0 }, one[] = { 1024, 0 },
			    few[] = { 16, 64, 256, 1024, 0 },
			    files[] = { 256, 1024, 4096, 0 },
			    large[] = { 1024, 4096, 16384, 0 };
	const char *ext4 = getenv("FOLIO_EXT4_DIR");
	int opt;

	while ((opt = getopt(argc, argv, "r:m:t")) != -1) {
		if (opt == 'r' && atoi(optarg) > 0)
			repeats = atoi(optarg);
		else if (opt == 'm' && atoi(optarg) > 0)
			contend_msecs = atoi(optarg);
		else if (opt == 't')
			turns = true;
		else
			ksft_exit_fail_msg("usage: %s [-r REPEATS] [-m MSECS] [-t (take turns)]\n",
					   argv[0]);
	}
	ksft_print_header();
	ksft_set_plan(16);
	run_on(0);
	bench_fd = open(BENCH_FILE, O_RDWR);

	in_kernel("isolate.file", FOLIO_BENCH_ISOLATE, TMPFS, lru, SAMPLE_PAGES);
	in_kernel("isolate.anon", FOLIO_BENCH_ISOLATE, ANON, one, SAMPLE_PAGES);
	in_kernel("refuse", FOLIO_BENCH_REFUSE, TMPFS, lru, SAMPLE_PAGES_FAST);
	in_kernel("release", FOLIO_BENCH_RELEASE, ANON, lru, SAMPLE_PAGES);
	in_kernel("put", FOLIO_BENCH_PUT, TMPFS, lru, SAMPLE_PAGES_FAST);
	contend("alone.isolate", &isolate, NULL);
	contend("isolate+release", &isolate, &release);
	contend("isolate+put", &isolate, &put);
	contend("alone.release", &release, NULL);
	contend("alone.put", &put, NULL);
	orphans("orphans", few);
	truncate_file("truncate.tmpfs", NULL, large);
	if (!ext4)
		ext4 = ".";
	truncate_file("truncate.ext4", ext4, files);
	unmap_anon("munmap.anon", large);
	page_out("pageout.ext4", "fault.ext4", ext4, files);
	ksft_finished();
}
