// SPDX-License-Identifier: GPL-2.0-only
/*
 * Everything that maps, unmaps, isolates, truncates and frees folios, at random
 * and all at once, on real system calls and short of memory.
 *
 * Each group is a process: a file on one kind of file system, anonymous memory,
 * two TCP connections to ourselves, and one for what acts on all the system. Its
 * actors are threads. They race for a while, rest until the group has been
 * looked at, and go on. The other groups go on meanwhile. What must hold is in
 * checks[] below; -x CHECK sees to it that one of these, and no other, fails.
 *
 * Root gets more of it: a memcg that is too small, swap on /dev/ram0 if there is
 * no other, NUMA migration, compaction, DAMON. What does not take part is said
 * at the start with what it takes. All that is changed is changed back.
 *
 * The choices of each actor come from the seed. The order in which the actors
 * run does not, so the same seed makes the same load, not the same race.
 */
#define _GNU_SOURCE
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/swap.h>
#include <sys/syscall.h>
#include <sys/sysinfo.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/falloc.h>
#include <linux/fs.h>
#include <linux/magic.h>
#include <linux/mempolicy.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

#include "folio_util.h"
#include "kselftest.h"
#include "vm_util.h"

#define DEFAULT_SEC		5
#define HANG_SEC		120	/* for an actor to notice that it is to rest */
#define KEEP_PAGES		4	/* of a file, never truncated */
#define MAX_PAGES		1024	/* of a file */
#define ANON_PAGES		8192
#define ANON_KEPT		1024	/* of these, never written again */
#define NR_TOUCHERS		2
#define TCP_PAGES		16	/* of the file that is sent */
#define SWAP_MIN		(32UL << 20)
#define MEMCG_MAX		(32UL << 20)	/* less than what is used, with swap */
#define MEMCG_MAX_NO_SWAP	(128UL << 20)	/* more, as only ext4 can be reclaimed */

#define COMPACT			"/proc/sys/vm/compact_memory"
#define DROP_CACHES		"/proc/sys/vm/drop_caches"
#define LRU_GEN			"/sys/kernel/mm/lru_gen/enabled"
#define SWAP_DISK		"/dev/ram0"
#define DAMON			"/sys/kernel/mm/damon/admin/kdamonds/"

enum check {
	READS, CONTENTS, BEYOND_EOF, STALE, ANON_MEMORY, TCP_DATA, TCP_ORPHANS,
	CALLS, PROGRESS, LEAKS, NR_CHECKS, HANG = NR_CHECKS
};

static const struct {
	const char *name;
	const char *what;
} checks[NR_CHECKS] = {
	{ "reads", "whatever is read was written to that place, or zero or SIGBUS if truncated" },
	{ "contents", "at rest a file contains what was written last" },
	{ "beyond_eof", "at rest no page beyond the end of a file is mapped" },
	{ "stale", "at rest no page is mapped that the page cache does not have there" },
	{ "anon", "anonymous memory keeps what was written" },
	{ "tcp_data", "what TCP receives was sent" },
	{ "tcp_no_orphan", "TCP maps no page that left the page cache" },
	{ "calls", "no system call fails but in a way it may, no process dies" },
	{ "progress", "every actor got something done" },
	{ "leaks", "at the end the memory is free again" },
};

#define NR_KINDS_MAX		32

enum { OPENING, JOINED, MISSING };		/* a group */

enum { TMPFS, HUGE, WITHIN, EXT4, RAMFS, ANON, TCP, SYSTEM, NR_GROUPS };

/* In memory that all processes share. */
static struct {
	bool stop;
	bool sabotaged;
	unsigned long ops[NR_GROUPS][NR_KINDS_MAX];
	unsigned long rounds[NR_GROUPS];
	unsigned long failures[NR_CHECKS];
	char err[NR_CHECKS][200];		/* of the first failure */
	char hung[80];				/* who does not rest */
	char reason[NR_GROUPS][100];		/* why it does not join */
	int state[NR_GROUPS];
	unsigned long moved;			/* pages, to the node where they should be */
	unsigned long tcp_received;
	unsigned long tcp_mapped;
	unsigned long tcp_orphans;
} *shared;

static int sabotage = -1;			/* which check */
static unsigned int hang_sec = HANG_SEC;
static unsigned int seed;
static bool privileged;				/* PFNs can be seen */
static bool large_swap;				/* truncate what is swapped out anywhere */

static void __printf(2, 3) fail(enum check check, const char *fmt, ...)
{
	va_list args;

	if (__atomic_fetch_add(&shared->failures[check], 1, __ATOMIC_RELAXED))
		return;
	va_start(args, fmt);
	vsnprintf(shared->err[check], sizeof(shared->err[check]), fmt, args);
	va_end(args);
}

/* Is this check to be made to fail, here and now? Once is enough. */
static bool sabotaged(enum check check)
{
	return sabotage == check &&
	       !__atomic_test_and_set(&shared->sabotaged, __ATOMIC_RELAXED);
}

static bool stopped(void)
{
	return __atomic_load_n(&shared->stop, __ATOMIC_ACQUIRE);
}

/*
 * What is written to a page of a file: a window of a table, another one for each
 * page. The lower two bits tell in which of three generations it was written, so
 * no byte is zero. It must be bytes, for a reader may see half of a write.
 */
static unsigned char patterns[3][64 * 1024];

static void init_patterns(void)
{
	uint32_t x = 1;

	for (int i = 0; i < sizeof(patterns[0]); i++) {
		x = x * 1664525 + 1013904223;
		for (int gen = 0; gen < 3; gen++)
			patterns[gen][i] = x >> 24 << 2 | (gen + 1);
	}
}

struct file {
	int fd;
	char *map;
	unsigned int id;
	unsigned int nr_pages;		/* when it is whole */
	unsigned int kept;		/* pages that are never truncated */
	unsigned int tail;		/* first page for the truncator, not the puncher */
	bool punches;			/* does the file system? */
	off_t size;			/* at rest; has one writer */
	unsigned char gen[MAX_PAGES];	/* likewise; 0 is a hole, else 1 to 3 */
};

/* Of one page of it. No two pages are the same, be it of one file or of two. */
static unsigned char *pattern(struct file *f, unsigned int page, unsigned int gen)
{
	return patterns[gen - 1] +
	       (page * 37 + f->id * 1999) % (sizeof(patterns[0]) - psize());
}

static bool write_pages(struct file *f, unsigned int first, unsigned int nr)
{
	struct iovec iov[MAX_PAGES];
	ssize_t ret;

	for (unsigned int i = 0; i < nr; i++) {
		f->gen[first + i] = f->gen[first + i] % 3 + 1;
		iov[i].iov_base = pattern(f, first + i, f->gen[first + i]);
		iov[i].iov_len = psize();
	}
	ret = nr ? pwritev(f->fd, iov, nr, (off_t)first * psize()) : 0;
	if (ret != (ssize_t)nr * psize())
		fail(CALLS, "pwritev of %u pages: %s", nr,
		     ret < 0 ? strerror(errno) : "short");
	return ret == (ssize_t)nr * psize();
}

static void check_bytes(enum check check, struct file *f, unsigned int page,
			const unsigned char *buf, unsigned int len)
{
	unsigned char *want[3];

	for (int gen = 0; gen < 3; gen++) {
		want[gen] = pattern(f, page, gen + 1);
		if (!memcmp(buf, want[gen], len))
			return;
	}
	for (unsigned int i = 0; i < len; i++) {
		if (!buf[i] && page >= f->kept)
			continue;
		if (buf[i] == want[0][i] || buf[i] == want[1][i] || buf[i] == want[2][i])
			continue;
		fail(check, "file %u page %u byte %u is %#x, %s", f->id, page, i,
		     buf[i], buf[i] ? "never written there" : "never truncated");
		return;
	}
}

struct thread;

struct group {
	const char *name;
	const char *(*open)(struct group *g);	/* return: why not */
	void (*check)(struct group *g, bool last);
	unsigned int nr_pages;
	const char *fs;				/* to be mounted, with these options */
	const char *options;
	pid_t pid;
	struct file f;
	unsigned int seed;
	bool rest;
	int pagemap_fd;
};

struct thread {
	pthread_t thread;
	struct group *g;
	int kind;
	unsigned int nr;			/* of that kind in the group */
	unsigned int seed;
};

static unsigned int rnd(struct thread *t, unsigned int below)
{
	return rand_r(&t->seed) % below;
}

/* A few pages of the file, or many. */
static unsigned int some_pages(struct thread *t, unsigned int nr_pages, unsigned int *first)
{
	*first = rnd(t, nr_pages);
	nr_pages -= *first;
	return 1 + rnd(t, rnd(t, 4) && nr_pages > 16 ? 16 : nr_pages);
}

static char dir[32] = "/tmp/folio_stress.XXXXXX";	/* what is mounted */
static char cgroup[256];				/* ours, or "" */
static unsigned int nr_nodes;
static bool swap_on, swap_is_ours, damon_is_ours, controller_is_ours;
static int kpageflags_fd;

/* Return: 0 or an errno. */
static int write_to(const char *base, const char *name, const char *string)
{
	char path[512];
	int fd, ret = 0;

	snprintf(path, sizeof(path), "%s%s", base, name);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		return errno;
	if (write(fd, string, strlen(string)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

/* Return: the number that follows key in a file, or that the file starts with; or -1. */
static long number_in(const char *base, const char *name, const char *key)
{
	char path[512], line[256];
	size_t len = strlen(key);
	long ret = -1;
	FILE *file;

	snprintf(path, sizeof(path), "%s%s", base, name);
	file = fopen(path, "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (!strncmp(line, key, len)) {
			ret = strtol(line + len, NULL, 0);
			break;
		}
	}
	if (file)
		fclose(file);
	return ret;
}

/* Files: the actors. Each returns what it got done, to be counted. */

static unsigned long fault(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int page = rnd(t, f->nr_pages);
	unsigned char buf[psize()];
	ssize_t len = psize();

	if (!rnd(t, 4)) {
		len = pread(f->fd, buf, psize(), (off_t)page * psize());
		if (len < 0)
			fail(CALLS, "pread: %s", strerror(errno));
	} else if (!read_mapping(buf, f->map + page * psize(), psize())) {
		len = 0;
	}
	if (len < (ssize_t)psize() && page < f->tail)
		fail(READS, "file %u page %u: %zd bytes, the file was never that short",
		     f->id, page, len);
	if (len > 0) {
		buf[len / 2] ^= sabotaged(READS) ? 0x80 : 0;
		check_bytes(READS, f, page, buf, len);
	}
	return 1;
}

/* Cut off the end, and write all or a part of it again, or leave a hole. */
static unsigned long truncate_end(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int first = f->tail + rnd(t, f->nr_pages - f->tail);
	off_t size = (off_t)first * psize();
	unsigned int again = 0;

	/*
	 * Sometimes within a page, which is zeroed from there, and written again.
	 * Always so where a large folio may be swapped out as a whole: up to 7.3,
	 * truncation at a page in the middle of it loops for ever, see -l.
	 */
	if (first > f->tail && (rnd(t, 2) || (t->g->options && !large_swap))) {
		size -= 1 + rnd(t, 100);
		first--;
		again = 1;
	}
	if (ftruncate(f->fd, size))
		fail(CALLS, "ftruncate: %s", strerror(errno));
	for (unsigned int i = first; i < f->nr_pages; i++)
		f->gen[i] = 0;
	if (!rnd(t, 4))
		sched_yield();
	again += rnd(t, 3) ? f->nr_pages - first - again :
			     rnd(t, f->nr_pages - first - again + 1);
	write_pages(f, first, again);
	f->size = (off_t)(first + again) * psize();
	if (rnd(t, 2)) {
		f->size = (off_t)f->nr_pages * psize();
		if (ftruncate(f->fd, f->size))
			fail(CALLS, "ftruncate: %s", strerror(errno));
	}
	return 1;
}

/* The same in the middle of the file, which never gets that short. */
static unsigned long punch(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int first, nr;

	nr = some_pages(t, f->tail - KEEP_PAGES, &first);
	first += KEEP_PAGES;
	if (f->punches) {
		if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
			      (off_t)first * psize(), (off_t)nr * psize()))
			fail(CALLS, "fallocate: %s", strerror(errno));
		for (unsigned int i = first; i < first + nr; i++)
			f->gen[i] = 0;
		if (!rnd(t, 4))
			sched_yield();
	}
	if (!f->punches || rnd(t, 4))
		write_pages(f, first, nr);
	return 1;
}

/* EINVAL if some of it is mlocked. Return: was it done? */
static bool madvise_unlocked(void *addr, size_t len, int advice)
{
	if (!madvise(addr, len, advice))
		return true;
	if (errno != EINVAL || advice < 0)
		fail(CALLS, "madvise(%d): %s", advice, strerror(errno));
	return false;
}

static unsigned long advise(struct thread *t)
{
	static const int advices[] = {
		MADV_PAGEOUT, MADV_PAGEOUT, MADV_COLD, MADV_DONTNEED
	};
	struct file *f = &t->g->f;
	unsigned int first, nr = some_pages(t, f->nr_pages, &first);
	int advice = advices[rnd(t, ARRAY_SIZE(advices))];

	return madvise_unlocked(f->map + first * psize(), nr * psize(),
				sabotaged(CALLS) ? -1 : advice);
}

static unsigned long lock_pages(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int first, nr = some_pages(t, f->nr_pages, &first);
	char *addr = f->map + first * psize();
	size_t len = (nr > 16 ? 16 : nr) * psize();

	/* What is beyond the end of the file can't be, nor too much of it. */
	if (mlock(addr, len) && errno != ENOMEM && errno != EAGAIN && errno != EPERM)
		fail(CALLS, "mlock: %s", strerror(errno));
	if (munlock(addr, len))
		fail(CALLS, "munlock: %s", strerror(errno));
	return 1;
}

static unsigned long drop(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int first, nr = some_pages(t, f->nr_pages, &first);
	int err = posix_fadvise(f->fd, (off_t)first * psize(), (off_t)nr * psize(),
				POSIX_FADV_DONTNEED);

	if (err)
		fail(CALLS, "posix_fadvise: %s", strerror(err));
	if (!rnd(t, 16) && fdatasync(f->fd))
		fail(CALLS, "fdatasync: %s", strerror(errno));
	return 1;
}

static unsigned long remap(struct thread *t)
{
	struct file *f = &t->g->f;
	unsigned int first, nr = some_pages(t, f->nr_pages, &first);
	unsigned char buf[psize()];
	char *map;

	map = mmap(NULL, nr * psize(), PROT_READ,
		   MAP_SHARED | (rnd(t, 4) ? 0 : MAP_POPULATE), f->fd,
		   (off_t)first * psize());
	if (map == MAP_FAILED) {
		fail(CALLS, "mmap: %s", strerror(errno));
		return 0;
	}
	for (int i = rnd(t, 3); i--; ) {
		unsigned int page = rnd(t, nr);

		if (read_mapping(buf, map + page * psize(), psize()))
			check_bytes(READS, f, first + page, buf, psize());
	}
	munmap(map, nr * psize());
	return 1;
}

/* Return: did the child do what it was to do? */
static unsigned long reap(pid_t pid)
{
	int status = -1;

	if (pid < 0 || waitpid(pid, &status, 0) != pid || status) {
		fail(CALLS, "fork or wait: %s, status %#x", strerror(errno), status);
		return 0;
	}
	return 1;
}

static unsigned long fork_and_read(struct thread *t)
{
	pid_t pid;

	if (sabotage == PROGRESS)
		return 0;
	while (sabotage == HANG)
		pause();
	pid = fork();
	if (!pid) {
		for (int i = 0; i < 4; i++)
			fault(t);
		_exit(0);
	}
	return reap(pid);
}

/* Many pages are gone again until it gets to them. */
static unsigned long migrate(struct thread *t)
{
	struct file *f = &t->g->f;
	int nodes[16], status[16];
	unsigned char buf[psize()];
	void *pages[16];

	for (int i = 0; i < 16; i++) {
		pages[i] = f->map + rnd(t, f->nr_pages) * psize();
		read_mapping(buf, pages[i], psize());
		nodes[i] = rnd(t, nr_nodes);
		status[i] = -ENOENT;
	}
	if (syscall(SYS_move_pages, 0, 16, pages, nodes, status,
		    privileged ? MPOL_MF_MOVE_ALL : MPOL_MF_MOVE) < 0 && errno != ENOENT)
		fail(CALLS, "move_pages: %s", strerror(errno));
	for (int i = 0; i < 16; i++)
		__atomic_fetch_add(&shared->moved, status[i] == nodes[i], __ATOMIC_RELAXED);
	return 1;
}

static unsigned long collapse(struct thread *t)
{
	struct file *f = &t->g->f;
	size_t len = read_pmd_pagesize();
	unsigned int nr = f->nr_pages * psize() / len;

	/* Most of the time something is in the way of it: that it was tried is enough. */
	if (madvise(f->map + rnd(t, nr) * len, len, MADV_COLLAPSE) &&
	    errno != EAGAIN && errno != EBUSY && errno != EINVAL && errno != ENOMEM)
		fail(CALLS, "MADV_COLLAPSE: %s", strerror(errno));
	return 1;
}

/* Files: what must hold at rest. */

static bool frame_differs(struct group *g, char *one, char *other)
{
	unsigned long pfn, cached;

	/* The others still migrate and reclaim: look again, a stale page stays. */
	for (int i = 0; i < 100; i++) {
		pfn = pagemap_get_pfn(g->pagemap_fd, one);
		if (pfn == -1UL)
			return false;
		FORCE_READ(*other);
		cached = pagemap_get_pfn(g->pagemap_fd, other);
		if (pfn == cached)
			return false;
		if (i)
			usleep(1000);
	}
	fail(STALE, "file %u page %zu maps pfn %#lx, the page cache has pfn %#lx",
	     g->f.id, (size_t)(one - g->f.map) / psize(), pfn, cached);
	return true;
}

static void check_stale(struct group *g)
{
	struct file *f = &g->f;
	char *map = mmap(NULL, f->nr_pages * psize(), PROT_READ, MAP_SHARED, f->fd, 0);
	bool spoil = sabotaged(STALE);

	if (map == MAP_FAILED) {
		fail(CALLS, "mmap: %s", strerror(errno));
		return;
	}
	if (spoil) {
		mmap(f->map, psize(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, f->fd, 0);
		__atomic_fetch_add(f->map, 0, __ATOMIC_SEQ_CST);
		mlock(f->map, psize());
	}
	for (unsigned int i = 0; i < f->size / psize(); i++) {
		if (frame_differs(g, f->map + i * psize(), map + i * psize()))
			break;
	}
	if (spoil)
		mmap(f->map, psize(), PROT_READ, MAP_SHARED | MAP_FIXED, f->fd, 0);
	munmap(map, f->nr_pages * psize());
}

static void check_file(struct group *g, bool last)
{
	unsigned int nr = g->f.size / psize(), end = nr, pmd = read_pmd_pagesize() / psize();
	unsigned char buf[psize()], hole[psize()];
	struct file *f = &g->f;
	struct stat st;

	/* tmpfs maps a huge page as a whole, also if the file ends in the middle of it. */
	if (g->options && pmd)
		end = (nr + pmd - 1) / pmd * pmd;
	/* There is one page more of the mapping, always beyond the end. */
	if (sabotaged(BEYOND_EOF))
		mmap(f->map + f->nr_pages * psize(), psize(), PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANON | MAP_FIXED | MAP_POPULATE, -1, 0);
	for (unsigned int i = end; i <= f->nr_pages; i++) {
		if (pagemap_is_populated(g->pagemap_fd, f->map + i * psize()))
			fail(BEYOND_EOF, "file %u has %u pages, page %u is mapped",
			     f->id, nr, i);
	}
	if (privileged)
		check_stale(g);
	if (fstat(f->fd, &st) || st.st_size != f->size)
		fail(CONTENTS, "file %u has %lld bytes, not %lld", f->id,
		     (long long)st.st_size, (long long)f->size);
	memset(hole, 0, sizeof(hole));
	for (unsigned int i = 0; i < f->nr_pages; i++) {
		bool ok = read_mapping(buf, f->map + i * psize(), psize());

		if (ok ? i >= nr && i >= end : i < nr) {
			fail(CONTENTS, "file %u page %u of %u: %s", f->id, i, nr,
			     ok ? "no SIGBUS" : "SIGBUS");
			continue;
		}
		if (ok)
			buf[i] ^= sabotaged(CONTENTS);
		if (ok && memcmp(buf, f->gen[i] ? pattern(f, i, f->gen[i]) : hole, psize()))
			fail(CONTENTS, "file %u page %u is not what was written last", f->id, i);
	}
}

/* Files: opening them. */

/* Map all of it, where it can have huge pages. */
static const char *map_file(struct group *g)
{
	size_t align = read_pmd_pagesize() ?: psize();
	size_t len = ((size_t)g->nr_pages + 1) * psize();
	char *area;

	area = mmap(NULL, len + align, PROT_NONE, MAP_PRIVATE | MAP_ANON | MAP_NORESERVE, -1, 0);
	if (area == MAP_FAILED)
		return strerror(errno);
	area = (char *)(((uintptr_t)area + align - 1) / align * align);
	if (g->f.fd >= 0)
		g->f.map = mmap(area, len, PROT_READ, MAP_SHARED | MAP_FIXED, g->f.fd, 0);
	else
		g->f.map = mmap(area, len, PROT_READ | PROT_WRITE,
				MAP_PRIVATE | MAP_ANON | MAP_FIXED, -1, 0);
	g->f.nr_pages = g->nr_pages;
	return g->f.map == MAP_FAILED ? strerror(errno) : NULL;
}

static const char *open_file(struct group *g)
{
	struct file *f = &g->f;

	f->kept = KEEP_PAGES;
	f->tail = g->nr_pages > 512 ? 512 : g->nr_pages / 2;	/* no folio crosses that */
	f->punches = !fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0, psize());
	if (!f->punches)
		ksft_print_msg("%s has no FALLOC_FL_PUNCH_HOLE: punch only writes there\n",
			       g->name);
	if (map_file(g))
		return strerror(errno);
	f->size = (off_t)f->nr_pages * psize();
	return write_pages(f, 0, f->nr_pages) ? NULL : shared->err[CALLS];
}

static const char *open_memfd(struct group *g)
{
	g->f.fd = memfd_create("folio_stress", 0);
	return g->f.fd < 0 ? "CONFIG_MEMFD_CREATE" : open_file(g);
}

static const char *open_in(struct group *g, const char *where)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/folio_stress.XXXXXX", where);
	g->f.fd = mkstemp(path);
	if (g->f.fd < 0)
		return strerror(errno);
	unlink(path);
	return open_file(g);
}

static const char *open_mounted(struct group *g)
{
	char path[64];

	if (!privileged)
		return "not root";
	snprintf(path, sizeof(path), "%s/%s", dir, g->name);
	if (mkdir(path, 0700) || mount(g->fs, path, g->fs, 0, g->options))
		return g->options ? "mount (CONFIG_TMPFS, CONFIG_TRANSPARENT_HUGEPAGE)" :
				    strerror(errno);
	return open_in(g, path);
}

static const char *open_ext4(struct group *g)
{
	const char *dirs[3] = { getenv("FOLIO_EXT4_DIR"), ".", "/var/tmp" };
	struct statfs fs;

	for (int i = 0; i < ARRAY_SIZE(dirs); i++) {
		if (dirs[i] && !statfs(dirs[i], &fs) && fs.f_type == EXT4_SUPER_MAGIC &&
		    !access(dirs[i], W_OK))
			return open_in(g, dirs[i]);
	}
	return "no writable ext4 in $FOLIO_EXT4_DIR, . or /var/tmp";
}

/* Anonymous memory: some of it is never written again, the rest belongs to the touchers. */

static unsigned char anon_gen[ANON_PAGES];	/* 0 is zeroes */

static uint64_t *anon_words(struct group *g, unsigned int page)
{
	return (uint64_t *)(g->f.map + page * psize());
}

static uint64_t anon_word(unsigned int page, unsigned int i)
{
	return anon_gen[page] ? ((uint64_t)anon_gen[page] << 56) + ((uint64_t)page << 20) + i : 0;
}

static void anon_write(struct group *g, unsigned int page)
{
	if (!++anon_gen[page])
		anon_gen[page]++;
	for (unsigned int i = 0; i < psize() / sizeof(uint64_t); i++)
		anon_words(g, page)[i] = anon_word(page, i);
}

static void anon_check(struct group *g, unsigned int page)
{
	for (unsigned int i = 0; i < psize() / sizeof(uint64_t); i++) {
		uint64_t word = FORCE_READ(anon_words(g, page)[i]);

		word ^= sabotaged(ANON_MEMORY);
		if (word != anon_word(page, i)) {
			fail(ANON_MEMORY, "page %u word %u is %#llx, not %#llx", page, i,
			     (unsigned long long)word,
			     (unsigned long long)anon_word(page, i));
			return;
		}
	}
}

static unsigned long touch(struct thread *t)
{
	unsigned int page = ANON_KEPT + t->nr +
			    NR_TOUCHERS * rnd(t, (ANON_PAGES - ANON_KEPT) / NR_TOUCHERS);

	anon_check(t->g, page);
	if (!rnd(t, 16) && madvise_unlocked(anon_words(t->g, page), psize(), MADV_DONTNEED))
		anon_gen[page] = 0;
	else
		anon_write(t->g, page);
	return 1;
}

static unsigned long swap_out(struct thread *t)
{
	unsigned int first, nr = some_pages(t, ANON_PAGES, &first);

	nr = nr > 512 ? 512 : nr;
	return madvise_unlocked(anon_words(t->g, first), nr * psize(),
				rnd(t, 4) ? MADV_PAGEOUT : MADV_COLD);
}

/* What a child writes is its own. */
static unsigned long copy_on_write(struct thread *t)
{
	pid_t pid = fork();

	if (!pid) {
		for (int i = 0; i < 8; i++) {
			unsigned int page = rnd(t, ANON_KEPT);

			anon_check(t->g, page);
			anon_write(t->g, page);
			anon_check(t->g, page);
		}
		_exit(0);
	}
	return reap(pid);
}

static const char *open_anon(struct group *g)
{
	g->f.fd = -1;
	return map_file(g);
}

static void check_anon(struct group *g, bool last)
{
	static unsigned int page;

	for (int i = 0; i < (last ? ANON_PAGES : 256); i++)
		anon_check(g, page++ % ANON_PAGES);
}

/* TCP: a file is sent to ourselves, and it may be truncated on the way. */

static struct connection {
	struct file f;
	int tx;
	int rx;
	char *map;		/* of rx */
	unsigned char *buf;
} connections[2];		/* its file is kept, and is truncated */

static const char *tcp_connect(struct connection *c)
{
	c->rx = tcp_loopback(&c->tx, 8 * TCP_PAGES * psize(), HANG_SEC / 2);
	if (c->rx < 0)
		return "no TCP over loopback (CONFIG_INET, ip link set lo up)";
	c->map = mmap(NULL, TCP_PAGES * psize(), PROT_READ, MAP_SHARED, c->rx, 0);
	return c->map == MAP_FAILED ? "no mmap of a TCP socket (CONFIG_MMU)" : NULL;
}

static const char *open_tcp(struct group *g)
{
	const char *ret = NULL;

	for (int i = 0; i < 2 && !ret; i++) {
		struct file *f = &connections[i].f;

		f->id = g->f.id + i;
		f->nr_pages = g->nr_pages;
		f->fd = memfd_create("folio_stress", 0);
		f->map = mmap(NULL, f->nr_pages * psize(), PROT_READ, MAP_SHARED, f->fd, 0);
		connections[i].buf = malloc(TCP_PAGES * psize());
		if (f->map == MAP_FAILED || !connections[i].buf ||
		    !write_pages(f, 0, f->nr_pages))
			ret = "CONFIG_MEMFD_CREATE";
		else
			ret = tcp_connect(&connections[i]);
	}
	return ret;
}

/* What arrived, from this position of the file on. */
static void tcp_check(struct connection *c, const void *data, off_t pos, size_t len, bool kept)
{
	const unsigned char *got = data;

	while (len) {
		unsigned int page = pos / psize(), i = pos % psize();
		unsigned int n = len < psize() - i ? len : psize() - i;
		unsigned char buf[psize()];

		/* As if the whole page had arrived. */
		memcpy(buf, pattern(&c->f, page, 1), psize());
		memcpy(buf + i, got, n);
		buf[i] ^= sabotaged(TCP_DATA) ? 0x80 : 0;
		if (!kept)
			check_bytes(TCP_DATA, &c->f, page, buf, psize());
		else if (memcmp(buf, pattern(&c->f, page, 1), psize()))
			fail(TCP_DATA, "page %u is not what was sent", page);
		got += n;
		pos += n;
		len -= n;
	}
	__atomic_fetch_add(&shared->tcp_received, got - (const unsigned char *)data,
			   __ATOMIC_RELAXED);
}

/*
 * Pages of a file are on the LRU, or off it for a moment and swap-backed, as
 * these are. Those that TCP has from elsewhere are neither. A page that is still
 * in the page cache it does not map.
 */
static void count_orphans(struct group *g, char *map, size_t len)
{
	for (size_t i = 0; privileged && i < len; i += psize()) {
		unsigned long pfn = pagemap_get_pfn(g->pagemap_fd, map + i);
		uint64_t flags = 0;

		if (pfn == -1UL || pageflags_get(pfn, kpageflags_fd, &flags) ||
		    (flags & KPF_ANON) || !(flags & (KPF_LRU | KPF_SWAPBACKED)))
			continue;
		__atomic_fetch_add(&shared->tcp_orphans, 1, __ATOMIC_RELAXED);
		fail(TCP_ORPHANS, "pfn %#lx flags %#llx was mapped", pfn,
		     (unsigned long long)flags);
	}
}

/* Receive what there is. Return: how much, or 0 if that failed. */
static size_t tcp_receive(struct thread *t, struct connection *c, off_t pos, bool kept)
{
	struct tcp_zerocopy_receive zc = {
		.address = (uintptr_t)c->map,
		.length = TCP_PAGES * psize(),
	};
	struct pollfd pfd = { .fd = c->rx, .events = POLLIN };
	socklen_t len = sizeof(zc);
	ssize_t ret = 0;

	if (poll(&pfd, 1, HANG_SEC / 2 * 1000) != 1 ||
	    getsockopt(c->rx, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, &zc, &len)) {
		fail(CALLS, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
		return 0;
	}
	if (zc.length) {
		tcp_check(c, c->map, pos, zc.length, kept);
		count_orphans(t->g, c->map, zc.length);
		__atomic_fetch_add(&shared->tcp_mapped, zc.length, __ATOMIC_RELAXED);
		if (madvise(c->map, TCP_PAGES * psize(), rnd(t, 2) ? MADV_PAGEOUT : MADV_COLD))
			fail(CALLS, "madvise of a socket: %s", strerror(errno));
		tcp_check(c, c->map, pos, zc.length, kept);
	}
	if (kept && sabotaged(TCP_ORPHANS)) {
		FORCE_READ(*c->f.map);
		count_orphans(t->g, c->f.map, psize());
	}
	if (zc.recv_skip_hint) {
		ret = recv(c->rx, c->buf, zc.recv_skip_hint, MSG_DONTWAIT);
		if (ret <= 0) {
			fail(CALLS, "recv of recv_skip_hint %u: %s", zc.recv_skip_hint,
			     ret ? strerror(errno) : "EOF");
			return 0;
		}
		tcp_check(c, c->buf, pos + zc.length, ret, kept);
	}
	if (!zc.length && !ret)
		fail(CALLS, "TCP_ZEROCOPY_RECEIVE makes no progress");
	return zc.length + ret;
}

static unsigned long tcp_round(struct thread *t, struct connection *c, bool kept)
{
	unsigned int first, nr = some_pages(t, c->f.nr_pages, &first);
	off_t start = (off_t)first * psize(), pos = start;
	off_t end = start + (off_t)nr * psize();
	int queued = 0;
	ssize_t n;

	while (pos < end) {
		n = sendfile(c->tx, c->f.fd, &pos, end - pos);
		if (n < 0)
			fail(CALLS, "sendfile: %s", strerror(errno));
		if (n <= 0)	/* the end of the file, which another one moves */
			break;
	}
	if (pos == start)
		return 0;
	for (int i = 0; i < 1000 && queued < pos - start; i++) {
		if (ioctl(c->rx, SIOCINQ, &queued) || i)
			usleep(100);
	}
	if (!kept && ftruncate(c->f.fd, rnd(t, 2) ? 0 : start))
		fail(CALLS, "ftruncate: %s", strerror(errno));
	for (end = pos, pos = start; pos < end; pos += n) {
		n = tcp_receive(t, c, pos, kept);
		if (!n)
			return 0;
	}
	madvise(c->map, TCP_PAGES * psize(), MADV_DONTNEED);
	if (!kept)
		write_pages(&c->f, 0, c->f.nr_pages);
	return 1;
}

static unsigned long tcp_kept(struct thread *t)
{
	return tcp_round(t, &connections[0], true);
}

static unsigned long tcp_truncated(struct thread *t)
{
	return tcp_round(t, &connections[1], false);
}

/* While that goes on. */
static unsigned long tcp_punch(struct thread *t)
{
	struct file *f = &connections[1].f;
	unsigned int first, nr = some_pages(t, f->nr_pages, &first);

	if (fallocate(f->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      (off_t)first * psize(), (off_t)nr * psize()))
		fail(CALLS, "fallocate: %s", strerror(errno));
	usleep(rnd(t, 1000));
	write_pages(f, first, nr);
	return 1;
}

/* What acts on all memory, or on that of the memcg. */

static unsigned long reclaim_memcg(struct thread *t)
{
	char size[16];
	int err;

	snprintf(size, sizeof(size), "%uK", 64 << rnd(t, 6));
	err = write_to(cgroup, "/memory.reclaim", size);
	if (err && err != EAGAIN)
		fail(CALLS, "memory.reclaim: %s", strerror(err));
	usleep(rnd(t, 20000));
	return 1;
}

static unsigned long set_limit(struct thread *t)
{
	unsigned long max = swap_on ? MEMCG_MAX : MEMCG_MAX_NO_SWAP;
	char size[32];
	int err;

	snprintf(size, sizeof(size), "%lu", max - max / 256 * rnd(t, 64));
	err = write_to(cgroup, "/memory.high", size);
	if (err)
		fail(CALLS, "memory.high: %s", strerror(err));
	usleep(rnd(t, 200000));
	return 1;
}

static unsigned long compact(struct thread *t)
{
	int err = write_to(COMPACT, "", "1");

	if (err)
		fail(CALLS, COMPACT ": %s", strerror(err));
	usleep(rnd(t, 400000));
	return !err;
}

static unsigned long drop_caches(struct thread *t)
{
	int err = write_to(DROP_CACHES, "", "1");

	if (err)
		fail(CALLS, DROP_CACHES ": %s", strerror(err));
	usleep(rnd(t, 4000000));
	return !err;
}

static unsigned long switch_lru(struct thread *t)
{
	int err = write_to(LRU_GEN, "", rnd(t, 2) ? "y" : "n");

	if (err)
		fail(CALLS, LRU_GEN ": %s", strerror(err));
	usleep(rnd(t, 1000000));
	return !err;
}

/* It works on its own: count the regions that it tried to page out. */
static unsigned long damon(struct thread *t)
{
	static long before;
	long nr;

	usleep(100000);
	write_to(DAMON, "0/state", "update_schemes_stats");
	nr = number_in(DAMON, "0/contexts/0/schemes/0/stats/nr_tried", "") - before;
	if (nr <= 0)
		return 0;
	before += nr;
	return nr;
}

/* Who takes part, and what that needs. */

#define FILES			(BIT_ULL(TMPFS) | BIT_ULL(HUGE) | BIT_ULL(WITHIN) | \
				 BIT_ULL(EXT4) | BIT_ULL(RAMFS))

static const char *needs_nodes(void)
{
	nr_nodes = number_in("/sys/devices/system/node/has_memory", "", "0-") + 1;
	return nr_nodes > 1 ? NULL :
	       "one NUMA node (CONFIG_NUMA, and qemu -numa or numa=fake=2)";
}

static const char *needs_memcg(void)
{
	return cgroup[0] ? NULL : "no memcg, see above";
}

/* The largest range of memory. */
static bool system_ram(unsigned long *start, unsigned long *end)
{
	FILE *file = fopen("/proc/iomem", "r");
	unsigned long from, to;
	char line[128];

	*start = 0;
	*end = 0;
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%lx-%lx : System RAM", &from, &to) == 2 &&
		    strstr(line, "System RAM") && to - from > *end - *start) {
			*start = from;
			*end = to;
		}
	}
	if (file)
		fclose(file);
	return *end;
}

static const char *needs_damon(void)
{
	unsigned long start, end;
	char range[2][32];
	const struct {
		const char *name;
		const char *value;
	} settings[] = {
		{ "nr_kdamonds", "1" },
		{ "0/contexts/nr_contexts", "1" },
		{ "0/contexts/0/operations", "paddr" },
		{ "0/contexts/0/targets/nr_targets", "1" },
		{ "0/contexts/0/targets/0/regions/nr_regions", "1" },
		{ "0/contexts/0/targets/0/regions/0/start", range[0] },
		{ "0/contexts/0/targets/0/regions/0/end", range[1] },
		{ "0/contexts/0/schemes/nr_schemes", "1" },
		{ "0/contexts/0/schemes/0/action", "pageout" },
		{ "0/contexts/0/schemes/0/access_pattern/sz/max", "4294967296" },
		{ "0/contexts/0/schemes/0/access_pattern/nr_accesses/max", "1000" },
		{ "0/contexts/0/schemes/0/access_pattern/age/max", "1000000" },
		{ "0/contexts/0/schemes/0/apply_interval_us", "500000" },
		{ "0/state", "on" },
	};
	static char reason[128];

	if (number_in(DAMON, "nr_kdamonds", "") > 0)
		return "somebody else uses DAMON";
	if (!system_ram(&start, &end))
		return "no System RAM in /proc/iomem";
	snprintf(range[0], sizeof(range[0]), "%lu", start);
	snprintf(range[1], sizeof(range[1]), "%lu", end);
	damon_is_ours = true;
	for (int i = 0; i < ARRAY_SIZE(settings); i++) {
		int err = write_to(DAMON, settings[i].name, settings[i].value);

		if (err) {
			snprintf(reason, sizeof(reason), "%s: %s (CONFIG_DAMON_PADDR?)",
				 settings[i].name, strerror(err));
			return reason;
		}
	}
	return NULL;
}

static struct {
	const char *name;
	unsigned long (*step)(struct thread *t);
	unsigned long groups;
	unsigned int nr;
	const char *(*needs)(void);		/* return: why not */
	const char *path;			/* or it needs this, which comes with */
	const char *config;
	bool missing;
} kinds[] = {
	{ "fault", fault, FILES, 2 },
	{ "truncate", truncate_end, FILES, 1 },
	{ "punch", punch, FILES, 1 },
	{ "madvise", advise, FILES, 1 },
	{ "fadvise", drop, BIT_ULL(EXT4), 1 },	/* does nothing elsewhere */
	{ "mmap", remap, FILES, 1 },
	{ "fork", fork_and_read, FILES, 1 },
	{ "touch", touch, BIT_ULL(ANON), NR_TOUCHERS },
	{ "pageout", swap_out, BIT_ULL(ANON), 1 },
	{ "cow", copy_on_write, BIT_ULL(ANON), 1 },
	{ "mlock", lock_pages, FILES | BIT_ULL(ANON), 1 },
	{ "move_pages", migrate, FILES | BIT_ULL(ANON), 1, needs_nodes },
	{ "collapse", collapse, BIT_ULL(HUGE) | BIT_ULL(WITHIN) | BIT_ULL(ANON), 1, NULL,
	  "/sys/kernel/mm/transparent_hugepage", "CONFIG_TRANSPARENT_HUGEPAGE" },
	{ "kept", tcp_kept, BIT_ULL(TCP), 1 },
	{ "truncated", tcp_truncated, BIT_ULL(TCP), 1 },
	{ "punch", tcp_punch, BIT_ULL(TCP), 1 },
	{ "reclaim", reclaim_memcg, BIT_ULL(SYSTEM), 1, needs_memcg },
	{ "limit", set_limit, BIT_ULL(SYSTEM), 1, needs_memcg },
	{ "compact", compact, BIT_ULL(SYSTEM), 1, NULL, COMPACT, "CONFIG_COMPACTION" },
	{ "drop_caches", drop_caches, BIT_ULL(SYSTEM), 1, NULL, DROP_CACHES, "CONFIG_SYSCTL" },
	{ "lru_gen", switch_lru, BIT_ULL(SYSTEM), 1, NULL, LRU_GEN, "CONFIG_LRU_GEN" },
	{ "damon", damon, BIT_ULL(SYSTEM), 1, needs_damon, DAMON,
	  "CONFIG_DAMON_SYSFS, CONFIG_DAMON_PADDR" },
};

static const char *open_system(struct group *g)
{
	for (int k = 0; k < ARRAY_SIZE(kinds); k++) {
		if (kinds[k].groups & BIT_ULL(SYSTEM) && !kinds[k].missing)
			return NULL;
	}
	return "none of the above";
}

static void check_nothing(struct group *g, bool last)
{
}

static struct group groups[NR_GROUPS] = {
	[TMPFS] = { "tmpfs", open_memfd, check_file, 128 },
	[HUGE] = { "tmpfs_huge", open_mounted, check_file, 1024, "tmpfs", "huge=always" },
	[WITHIN] = { "tmpfs_within", open_mounted, check_file, 1020, "tmpfs", "huge=within_size" },
	[EXT4] = { "ext4", open_ext4, check_file, 512 },
	[RAMFS] = { "ramfs", open_mounted, check_file, 64, "ramfs" },
	[ANON] = { "anon", open_anon, check_anon, ANON_PAGES },
	[TCP] = { "tcp", open_tcp, check_nothing, TCP_PAGES },
	[SYSTEM] = { "system", open_system, check_nothing },
};

/* Memory pressure. */

static const char *open_memcg(void)
{
	char path[64], max[32];
	char line[256] = "";

	if (!privileged)
		return "not root";
	snprintf(path, sizeof(path), "%s/cgroup", dir);
	if (mkdir(path, 0700) || mount("cgroup2", path, "cgroup2", 0, NULL))
		return "no cgroup v2 (CONFIG_CGROUPS)";
	snprintf(max, sizeof(max), "%lu", swap_on ? MEMCG_MAX : MEMCG_MAX_NO_SWAP);
	strcat(path, "/");
	snprintf(line, sizeof(line), "%scgroup.subtree_control", path);
	read_file(line, line, sizeof(line));
	if (!strstr(line, "memory")) {
		if (write_to(path, "cgroup.subtree_control", "+memory"))
			return "no memory controller in cgroup v2 (CONFIG_MEMCG)";
		controller_is_ours = true;
	}
	snprintf(cgroup, sizeof(cgroup), "%sfolio_stress.%d", path, getpid());
	if (!mkdir(cgroup, 0700) && !write_to(cgroup, "/memory.max", max) &&
	    !write_to(cgroup, "/memory.high", max))
		return NULL;
	rmdir(cgroup);
	cgroup[0] = 0;
	return "mkdir, memory.max or memory.high of a cgroup fails";
}

/* An empty disk that nobody uses: open fails if it is mounted. */
static const char *open_swap(void)
{
	union {
		char bytes[64 * 1024];
		uint32_t words[512];
	} header = { 0 };
	const char *ret = NULL;
	uint64_t size = 0;
	int fd;

	if (read_file("/proc/swaps", header.bytes, sizeof(header.bytes)) <= 0)
		return "no /proc/swaps (CONFIG_SWAP)";
	swap_on = strstr(header.bytes, "\n/");
	if (swap_on || !privileged)
		return swap_on ? NULL : "none is on, and not root";
	fd = open(SWAP_DISK, O_RDWR | O_EXCL);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &size) || size < SWAP_MIN) {
		ret = "none is on, and no " SWAP_DISK " of 32 MB (CONFIG_BLK_DEV_RAM)";
	} else if (read(fd, header.bytes, psize()) != psize() || header.words[0] ||
		   memcmp(header.bytes, header.bytes + 4, psize() - 4)) {
		ret = "none is on, and " SWAP_DISK " is in use";
	} else {
		header.words[256] = 1;				/* version */
		header.words[257] = size / psize() - 1;		/* last page */
		memcpy(header.bytes + psize() - 10, "SWAPSPACE2", 10);
		swap_is_ours = pwrite(fd, header.bytes, psize(), 0) == psize() && !fsync(fd);
	}
	if (fd >= 0)
		close(fd);
	swap_on = swap_is_ours && !swapon(SWAP_DISK, SWAP_FLAG_DISCARD);
	return swap_on || ret ? ret : strerror(errno);
}

static void close_swap(void)
{
	uint64_t range[2] = { 0 };
	int fd;

	if (!swap_is_ours)
		return;
	if (swap_on && swapoff(SWAP_DISK))
		fail(CALLS, "swapoff: %s", strerror(errno));
	fd = open(SWAP_DISK, O_RDWR);
	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &range[1]) || ioctl(fd, BLKDISCARD, range))
		fail(CALLS, "BLKDISCARD of " SWAP_DISK ": %s", strerror(errno));
	close(fd);
}

static void close_damon(void)
{
	if (!damon_is_ours)
		return;
	write_to(DAMON, "0/state", "off");
	write_to(DAMON, "nr_kdamonds", "0");
}

/* Is everything free again? */

/* kB that are neither free nor used by anything that has a name. */
static long unaccounted(void)
{
	static const char * const used[] = {
		"MemFree:", "Buffers:", "Cached:", "SwapCached:", "AnonPages:", "Slab:",
		"KernelStack:", "PageTables:", "SecPageTables:", "Percpu:",
	};
	long kb = number_in("/proc/meminfo", "", "MemTotal:");
	unsigned long pages;
	char line[128];
	FILE *file;

	for (int i = 0; i < ARRAY_SIZE(used); i++) {
		long value = number_in("/proc/meminfo", "", used[i]);

		kb -= value > 0 ? value : 0;
	}
	/* What the CPUs keep to allocate from is free as well. */
	file = fopen("/proc/zoneinfo", "r");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, " count: %lu", &pages) == 1)
			kb -= pages * psize() / 1024;
	}
	if (file)
		fclose(file);
	return kb;
}

/* kB of the memcg that are on an LRU, or mapped. */
static long on_lru(void)
{
	static const char * const stats[] = {
		"active_anon ", "inactive_anon ", "active_file ", "inactive_file ",
		"unevictable ", "file_mapped ",
	};
	long bytes = 0;

	for (int i = 0; cgroup[0] && i < ARRAY_SIZE(stats); i++)
		bytes += number_in(cgroup, "/memory.stat", stats[i]);
	return bytes / 1024;
}

static void settle(void)
{
	sync();
	write_to(DROP_CACHES, "", "3");
	write_to(COMPACT, "", "1");		/* drains the CPUs' batches */
	usleep(200000);
}

/*
 * All processes of the memcg are gone, and its files. Its counters are exact but
 * for the batches of the CPUs, of 64 pages each. In all of the system there are
 * things without a name that stay, such as the stacks that a debugging kernel
 * records: allow 8 MB. A page lost in one of a thousand operations is more than
 * that after some minutes.
 */
static void check_leaks(long before)
{
	long lru_max = 64 * psize() / 1024 * get_nprocs_conf(), max = 8192;
	long lru, kb;
	pid_t pid = 0;

	if (sabotaged(LEAKS)) {
		pid = fork();
		if (!pid) {
			char *map = malloc(16 << 20);

			write_to(cgroup, "/cgroup.procs", "0");
			memset(map, 1, 16 << 20);
			pause();
		}
		sleep(1);
	}
	for (int i = 0; i < 20; i++) {
		settle();
		lru = on_lru();
		kb = unaccounted() - before;
		if (lru <= lru_max && kb <= max)
			break;
	}
	ksft_print_msg("left: %ld kB on LRUs of the memcg, %+ld kB not accounted for\n", lru, kb);
	if (lru > lru_max || kb > max)
		fail(LEAKS, "%ld kB on LRUs of the memcg, %+ld kB not accounted for", lru, kb);
	if (pid) {
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
	}
}

/* Running it. */

static void *act(void *data)
{
	struct thread *t = data;
	unsigned long *ops = &shared->ops[t->g - groups][t->kind];

	do {
		__atomic_fetch_add(ops, kinds[t->kind].step(t), __ATOMIC_RELAXED);
	} while (!__atomic_load_n(&t->g->rest, __ATOMIC_ACQUIRE) && !stopped());
	return NULL;
}

/* Let the actors of a group race for a while. */
static void race(struct group *g)
{
	struct thread threads[16];
	struct timespec ts;
	unsigned int nr = 0;

	__atomic_store_n(&g->rest, false, __ATOMIC_RELEASE);
	for (int k = 0; k < ARRAY_SIZE(kinds); k++) {
		if (!(kinds[k].groups & BIT_ULL(g - groups)) || kinds[k].missing)
			continue;
		for (unsigned int i = 0; i < kinds[k].nr; i++) {
			threads[nr] = (struct thread){
				.g = g, .kind = k, .nr = i, .seed = rand_r(&g->seed),
			};
			if (pthread_create(&threads[nr].thread, NULL, act, &threads[nr]))
				fail(CALLS, "pthread_create: %s", strerror(errno));
			else
				nr++;
		}
	}
	for (double end = now() + .5 + rand_r(&g->seed) % 1500 / 1e3; !stopped() && now() < end; )
		usleep(10000);
	__atomic_store_n(&g->rest, true, __ATOMIC_RELEASE);

	clock_gettime(CLOCK_REALTIME, &ts);
	ts.tv_sec += hang_sec;
	while (nr--) {
		if (!pthread_timedjoin_np(threads[nr].thread, NULL, &ts))
			continue;
		/* It still uses our stack: do not return. */
		snprintf(shared->hung, sizeof(shared->hung), "%s.%s does not end", g->name,
			 kinds[threads[nr].kind].name);
		_exit(KSFT_FAIL);
	}
}

static void __noreturn run_group(struct group *g)
{
	int which = g - groups;
	const char *reason;
	bool last;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	catch_sigbus();
	if (cgroup[0] && which != SYSTEM)
		write_to(cgroup, "/cgroup.procs", "0");
	g->seed = seed + which * 7919;
	g->f.id = which;
	g->pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	reason = g->open(g);
	if (reason)
		snprintf(shared->reason[which], sizeof(shared->reason[0]), "%s", reason);
	__atomic_store_n(&shared->state[which], reason ? MISSING : JOINED, __ATOMIC_RELEASE);
	if (reason)
		_exit(0);
	do {
		race(g);
		last = stopped();
		g->check(g, last);
		shared->rounds[which]++;
	} while (!last);
	_exit(0);
}

static void stop(int sig)
{
	__atomic_store_n(&shared->stop, true, __ATOMIC_RELEASE);
}

static void __noreturn hung(const char *what)
{
	for (int i = 0; i < NR_GROUPS; i++) {
		if (groups[i].pid > 0)
			kill(groups[i].pid, SIGKILL);
	}
	close_damon();
	ksft_print_msg("it hangs in the kernel, or the machine is too slow\n");
	ksft_exit_fail_msg("%s within %u s; seed %u\n", what, hang_sec, seed);
}

/* Return: how many groups are still running. */
static int reap_groups(void)
{
	int status, nr = 0;

	for (struct group *g = groups; g < groups + NR_GROUPS; g++) {
		if (g->pid && waitpid(g->pid, &status, WNOHANG) == g->pid) {
			g->pid = 0;
			if (shared->hung[0])
				hung(shared->hung);
			if (!status)
				continue;
			fail(CALLS, "the process %s died, status %#x", g->name, status);
			stop(0);
		}
		nr += g->pid > 0;
	}
	return nr;
}

static bool joined(int group, int kind)
{
	return shared->state[group] == JOINED && !kinds[kind].missing &&
	       kinds[kind].groups & BIT_ULL(group);
}

static unsigned long all_ops(void)
{
	unsigned long ret = 0;

	for (int i = 0; i < NR_GROUPS * NR_KINDS_MAX; i++)
		ret += shared->ops[i / NR_KINDS_MAX][i % NR_KINDS_MAX];
	return ret;
}

static void not_joined(const char *what, const char *reason)
{
	if (reason)
		ksft_print_msg("not joined: %s: %s\n", what, reason);
}

static const char *reason_to_miss(int kind)
{
	static char reason[128];

	if (kinds[kind].groups == BIT_ULL(SYSTEM) && !privileged)
		return "not root";
	if (kinds[kind].path && access(kinds[kind].path, F_OK)) {
		snprintf(reason, sizeof(reason), "no %s (%s)", kinds[kind].path,
			 kinds[kind].config);
		return reason;
	}
	return kinds[kind].needs ? kinds[kind].needs() : NULL;
}

static void start_groups(void)
{
	double deadline = now() + hang_sec;

	for (int k = 0; k < ARRAY_SIZE(kinds); k++) {
		const char *reason = reason_to_miss(k);

		kinds[k].missing = reason;
		not_joined(kinds[k].name, reason);
	}
	for (struct group *g = groups; g < groups + NR_GROUPS; g++) {
		g->pid = fork();
		if (!g->pid)
			run_group(g);
	}
	for (int i = 0; i < NR_GROUPS; i++) {
		while (!__atomic_load_n(&shared->state[i], __ATOMIC_ACQUIRE) && now() < deadline) {
			usleep(10000);
			if (waitpid(groups[i].pid, NULL, WNOHANG | WNOWAIT) > 0)
				break;
		}
		if (shared->state[i] == OPENING)
			hung("a group does not get to start");
		not_joined(groups[i].name, shared->reason[i][0] ? shared->reason[i] : NULL);
	}
}

static void run(double seconds)
{
	double begin = now(), report = begin + 10;

	while (now() < begin + seconds && !stopped()) {
		usleep(100000);
		reap_groups();
		if (now() < report)
			continue;
		ksft_print_msg("progress: %.0f of %.0f s, %lu operations, %lu kB of swap used\n",
			       now() - begin, seconds, all_ops(),
			       number_in("/proc/meminfo", "", "SwapTotal:") -
			       number_in("/proc/meminfo", "", "SwapFree:"));
		report += 10;
	}
	stop(0);
	for (double deadline = now() + 2 * hang_sec; reap_groups(); usleep(10000)) {
		if (now() > deadline)
			hung("a process does not end");
	}
}

static void check_progress(double seconds)
{
	for (int i = 0; i < NR_GROUPS; i++) {
		for (int k = 0; k < ARRAY_SIZE(kinds); k++) {
			if (!joined(i, k))
				continue;
			ksft_print_msg("rate: %s.%s %lu %.1f\n", groups[i].name, kinds[k].name,
				       shared->ops[i][k], shared->ops[i][k] / seconds);
			if (!shared->ops[i][k])
				fail(PROGRESS, "%s.%s got nothing done", groups[i].name,
				     kinds[k].name);
		}
		ksft_print_msg("rounds: %s %lu\n", groups[i].name, shared->rounds[i]);
	}
	if (nr_nodes > 1 && !shared->moved)
		fail(PROGRESS, "move_pages moved nothing");
	ksft_print_msg("move_pages: %lu pages moved\n", shared->moved);
	ksft_print_msg("tcp: %lu bytes received, %lu mapped, %lu orphans\n",
		       shared->tcp_received, shared->tcp_mapped, shared->tcp_orphans);
}

static const char *reason_to_skip(enum check check)
{
	bool tcp = check == TCP_DATA || check == TCP_ORPHANS;

	if (tcp && shared->state[TCP] != JOINED)
		return shared->reason[TCP];
	if (!privileged && (check == STALE || check == TCP_ORPHANS || check == LEAKS))
		return "needs root (CAP_SYS_ADMIN), for /proc/kpageflags and PFNs";
	return NULL;
}

static void results(void)
{
	char name[64], err[256];

	for (int i = 0; i < NR_CHECKS; i++) {
		const char *skip = reason_to_skip(i);

		snprintf(name, sizeof(name), "folio_stress.%s", checks[i].name);
		snprintf(err, sizeof(err), "%lu times: %s", shared->failures[i], shared->err[i]);
		if (skip)
			ksft_test_result_code(KSFT_SKIP, name, "%s", skip);
		else if (shared->failures[i])
			ksft_test_result_code(KSFT_FAIL, name, "%s", err);
		else
			ksft_test_result_code(KSFT_PASS, name, NULL);
	}
}

static void __noreturn usage(int status)
{
	printf("folio_stress [-m MINUTES | -t SECONDS] [-s SEED] [-l] [-x CHECK]\n"
	       "  -l        truncate large folios that are swapped out at any page (hangs up to 7.3)\n"
	       "  -x CHECK  have this check, and no other, fail:\n");
	for (int i = 0; i < NR_CHECKS; i++)
		printf("            %-14s %s\n", checks[i].name, checks[i].what);
	printf("            %-14s %s\n", "hang", "nobody hangs");
	exit(status);
}

static bool is_privileged(void)
{
	int fd = open("/proc/self/pagemap", O_RDONLY);
	char *page = malloc(psize());
	bool ret;

	*page = 1;
	kpageflags_fd = open("/proc/kpageflags", O_RDONLY);
	ret = !geteuid() && kpageflags_fd >= 0 && pagemap_get_pfn(fd, page);
	close(fd);
	free(page);
	return ret;
}

int main(int argc, char **argv)
{
	double seconds = DEFAULT_SEC, begin;
	long before = 0, lru_gen;
	char *end;
	int opt;

	seed = time(NULL);
	while ((opt = getopt(argc, argv, "lm:t:s:x:h")) >= 0) {
		switch (opt) {
		case 'l':
			large_swap = true;
			break;
		case 'm':
		case 't':
			seconds = strtod(optarg, &end) * (opt == 'm' ? 60 : 1);
			if (*end || !(seconds > 0))
				usage(KSFT_FAIL);
			break;
		case 's':
			seed = strtoul(optarg, &end, 0);
			if (*end)
				usage(KSFT_FAIL);
			break;
		case 'x':
			for (sabotage = 0; sabotage < NR_CHECKS; sabotage++) {
				if (!strcmp(optarg, checks[sabotage].name))
					break;
			}
			if (sabotage == HANG && strcmp(optarg, "hang"))
				usage(KSFT_FAIL);
			break;
		default:
			usage(opt == 'h' ? KSFT_PASS : KSFT_FAIL);
		}
	}
	if (sabotage == HANG)
		hang_sec = 10;

	ksft_print_header();
	ksft_set_plan(NR_CHECKS);
	ksft_print_msg("seed %u, %g s%s%s\n", seed, seconds, sabotage < 0 ? "" : ", made to fail: ",
		       sabotage < 0 ? "" : sabotage == HANG ? "hang" : checks[sabotage].name);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANON, -1, 0);
	if (shared == MAP_FAILED)
		ksft_exit_fail_perror("mmap");
	signal(SIGINT, stop);
	signal(SIGTERM, stop);
	init_patterns();
	privileged = is_privileged();
	if (privileged) {
		settle();
		before = unaccounted();
		/* Nobody else sees what we mount, and it goes with us. */
		if (!mkdtemp(dir) || unshare(CLONE_NEWNS) ||
		    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
		    mount("tmpfs", dir, "tmpfs", 0, NULL))
			ksft_exit_fail_perror("a place to mount file systems");
	}
	lru_gen = number_in(LRU_GEN, "", "");
	not_joined("swap", open_swap());
	not_joined("memcg", open_memcg());

	start_groups();
	begin = now();
	run(seconds);
	seconds = now() - begin;

	close_damon();
	if (privileged && lru_gen >= 0)
		write_to(LRU_GEN, "", lru_gen ? "y" : "n");
	close_swap();
	if (privileged)
		check_leaks(before);
	if (cgroup[0] && rmdir(cgroup))
		fail(CALLS, "rmdir %s: %s", cgroup, strerror(errno));
	if (controller_is_ours)
		write_to(dir, "/cgroup/cgroup.subtree_control", "-memory");
	if (privileged) {
		umount2(dir, MNT_DETACH);
		rmdir(dir);
	}
	check_progress(seconds);
	results();
	ksft_print_msg("verdict: %u of %u checks hold, %lu operations in %.0f s, seed %u\n",
		       ksft_get_pass_cnt(), NR_CHECKS - ksft_get_xskip_cnt(), all_ops(),
		       seconds, seed);
	ksft_finished();
}
