// SPDX-License-Identifier: GPL-2.0-only
/*
 * Orphans: file folios that were removed from the page cache and that a PTE
 * maps all the same.
 *
 * The page cache unmaps a folio before it removes it and maps no folio that it
 * removed, so it never makes an orphan. TCP receive zerocopy could: it maps the
 * pages of the skbs it finds in the receive queue, and over loopback those are
 * the very pages that the sender spliced in. The steps, all of them open to
 * anybody:
 *
 *   1 write   a tmpfs file
 *   2 splice  sendfile() it over a TCP connection to ourselves
 *   3 truncate the file to 0: the skbs keep the pages, the page cache does not
 *   4 receive getsockopt(TCP_ZEROCOPY_RECEIVE) on a mapping of the socket
 *
 * A page that was mapped in step 4 has no mapping, hence no rmap: reclaim,
 * migration and memory failure can't unmap it. The tests look at
 *
 *  - TCP: does it make orphans, and does the receiver get its data whichever
 *    way TCP chooses to hand it over (folio_orphan.tcp_no_orphan, tcp_*.*);
 *  - what is done to an orphan when there is one (the rest of folio_orphan).
 *    These are skipped if TCP makes none.
 *
 * What is known about the pages is read from /proc/self/pagemap,
 * /proc/kpageflags and /proc/kpagecount, so most tests need CAP_SYS_ADMIN.
 * longterm_pin_fails and offline_refuses_mapped_orphan need ZONE_MOVABLE (e.g.
 * movablecore=). The latter poisons a page and takes a memory block offline.
 * That can be undone with hwpoison_inject if the test passes. Otherwise the
 * block is lost until reboot, and if the test fails, so is a process that must
 * not unmap the page (see hand_over_mapping()). So it only runs as
 *
 *   ./folio_orphan -- destructive
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <net/if.h>
#include <netinet/in.h>
#include <poll.h>
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
#include <sys/prctl.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/types.h>

#include "../../../../mm/gup_test.h"
#include "kselftest_harness.h"
#include "vm_util.h"

#ifndef MSG_ZEROCOPY
#define MSG_ZEROCOPY		0x4000000
#endif
#ifndef SO_ZEROCOPY
#define SO_ZEROCOPY		60
#endif
#ifndef MADV_COLD
#define MADV_COLD		20
#endif
#ifndef MADV_PAGEOUT
#define MADV_PAGEOUT		21
#endif

#define NR_ORPHANS		4	/* pages of the file in folio_orphan */
#define MAX_FILE_PAGES		24	/* and in tcp_copy_progress */
#define HOG_STEP		(8 << 20)	/* bytes to use up at a time */
#define HOG_MAX			(256 << 20)
#define RX_MAP_PAGES		8	/* pages of the mapping of the socket */
#define MAX_STREAM		(512 * 1024)
#define MAX_PAGE_SIZE		(16 * 1024)	/* so that a few fit into it */
#define IO_TIMEOUT_SEC		5	/* no call may block for longer */
#define OFFLINE_TIMEOUT_SEC	3
#define MAX_ROUNDS		4096	/* of receiving */

#define HIGH_ORDER_ALLOC_DISABLE "/proc/sys/net/core/high_order_alloc_disable"
#define GUP_TEST_FILE		"/sys/kernel/debug/gup_test"
#define MEMORY_DIR		"/sys/devices/system/memory"

static bool destructive;

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
}

/*
 * Wait for a child, kill it if it takes too long.
 *
 * Return: its exit code, minus the signal that ended it, or -ETIME (which is
 * no signal) if it had to be killed.
 */
static int wait_child(pid_t pid, int seconds)
{
	double deadline = now() + seconds;
	bool killed = false;
	int status;

	while (waitpid(pid, &status, WNOHANG) != pid) {
		if (now() > deadline) {
			if (killed)	/* not even SIGKILL helps */
				return -ETIME;
			killed = true;
			kill(pid, SIGKILL);
			deadline = now() + IO_TIMEOUT_SEC;
		}
		usleep(1000);
	}
	if (killed)
		return -ETIME;
	return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

/* Return: was lo up before?, or a negative errno. */
static int set_loopback(bool up)
{
	struct ifreq ifr = { .ifr_name = "lo" };
	bool was_up;
	int fd, ret;

	fd = socket(AF_INET, SOCK_DGRAM, 0);
	if (fd < 0)
		return -errno;
	ret = ioctl(fd, SIOCGIFFLAGS, &ifr);
	was_up = ifr.ifr_flags & IFF_UP;
	if (!ret && was_up != up) {
		ifr.ifr_flags ^= IFF_UP;
		ret = ioctl(fd, SIOCSIFFLAGS, &ifr);
	}
	ret = ret ? -errno : was_up;
	close(fd);
	return ret;
}

/*
 * A file, a TCP connection to ourselves, and what is expected to arrive there.
 */
struct stream {
	int file;
	int tx;
	int rx;
	char *map;		/* of rx, for zerocopy receive */
	char *buf;		/* to receive into otherwise */
	size_t copybuf_len;	/* offered to zerocopy receive */
	unsigned char *expect;
	size_t sent;
	size_t received;
	/* What happened to the bytes that were received, for the record */
	size_t mapped;
	size_t copied;
	size_t read;
	unsigned int rounds;
	bool lo_was_down;
	char err[256];
};

/* Say what went wrong, keep it as the reason to skip. Return: false. */
static bool stream_err(struct stream *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	vsnprintf(s->err, sizeof(s->err), fmt, args);
	va_end(args);
	ksft_print_msg("%s\n", s->err);
	return false;
}

static bool stream_connect(struct stream *s)
{
	struct timeval tv = { .tv_sec = IO_TIMEOUT_SEC };
	struct sockaddr_in addr = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	socklen_t len = sizeof(addr);
	int size = MAX_STREAM;
	int listener, one = 1;

	listener = socket(AF_INET, SOCK_STREAM, 0);
	if (listener < 0)
		return stream_err(s, "no TCP socket: %s", strerror(errno));
	setsockopt(listener, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));
	setsockopt(listener, SOL_SOCKET, SO_RCVBUF, &size, sizeof(size));

	s->tx = socket(AF_INET, SOCK_STREAM, 0);
	setsockopt(s->tx, SOL_SOCKET, SO_SNDTIMEO, &tv, sizeof(tv));
	setsockopt(s->tx, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	setsockopt(s->tx, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

	if (bind(listener, (struct sockaddr *)&addr, sizeof(addr)) ||
	    listen(listener, 1) ||
	    getsockname(listener, (struct sockaddr *)&addr, &len) ||
	    connect(s->tx, (struct sockaddr *)&addr, sizeof(addr))) {
		stream_err(s, "no TCP over loopback: %s", strerror(errno));
		close(listener);
		return false;
	}
	s->rx = accept(listener, NULL, NULL);
	close(listener);
	if (s->rx < 0)
		return stream_err(s, "accept: %s", strerror(errno));
	setsockopt(s->rx, SOL_SOCKET, SO_RCVTIMEO, &tv, sizeof(tv));

	s->map = mmap(NULL, RX_MAP_PAGES * psize(), PROT_READ, MAP_SHARED,
		      s->rx, 0);
	if (s->map == MAP_FAILED)
		return stream_err(s, "mmap of a TCP socket: %s",
				  strerror(errno));
	return true;
}

/* The reason to skip is in s->err. */
static bool stream_open(struct stream *s)
{
	int was_up;

	s->tx = -1;
	s->rx = -1;
	s->map = MAP_FAILED;
	s->buf = malloc(MAX_STREAM);
	s->expect = malloc(MAX_STREAM);
	s->file = memfd_create("folio_orphan", 0);
	if (s->file < 0 || !s->buf || !s->expect)
		return stream_err(s, "memfd_create: %s", strerror(errno));
	if (psize() > MAX_PAGE_SIZE)
		return stream_err(s, "pages are too large for the buffers of a socket");

	was_up = set_loopback(true);
	if (was_up < 0)
		return stream_err(s, "no loopback device, or it is down: %s",
				  strerror(-was_up));
	if (!was_up)
		s->lo_was_down = true;	/* the first time it is opened */
	return stream_connect(s);
}

static void stream_close(struct stream *s)
{
	if (s->map != MAP_FAILED)
		munmap(s->map, RX_MAP_PAGES * psize());
	s->map = MAP_FAILED;
	close(s->tx);
	close(s->rx);
	close(s->file);
	free(s->expect);
	free(s->buf);
}

/*
 * Replace what is in the file. No two pages of a generation are the same, nor
 * a page of this generation and the same page of the one before.
 */
static bool stream_write_file(struct stream *s, size_t nr_pages, int generation)
{
	unsigned char *buf = malloc(nr_pages * psize());
	size_t i, len = nr_pages * psize();
	bool ret;

	for (i = 0; i < len; i++)
		buf[i] = i ^ (i >> 8) ^ (i / psize() + 1) * 37 ^ generation * 101;
	ret = !ftruncate(s->file, 0) && pwrite(s->file, buf, len, 0) == len;
	free(buf);
	return ret || stream_err(s, "write: %s", strerror(errno));
}

/* Splice from the file: the skbs get the pages of the page cache. */
static bool stream_sendfile(struct stream *s, off_t pos, size_t len)
{
	if (s->sent + len > MAX_STREAM ||
	    pread(s->file, s->expect + s->sent, len, pos) != len)
		return stream_err(s, "test bug: sendfile of what is not there");
	while (len) {
		ssize_t ret = sendfile(s->tx, s->file, &pos, len);

		if (ret <= 0)
			return stream_err(s, "sendfile: %s",
					  ret ? strerror(errno) : "EOF");
		len -= ret;
		s->sent += ret;
	}
	return true;
}

/* Send memory: the skbs get pages that nobody else has. */
static bool stream_send(struct stream *s, const void *buf, size_t len, int flags)
{
	ssize_t ret;

	if (s->sent + len > MAX_STREAM)
		return stream_err(s, "test bug: stream too long");
	memcpy(s->expect + s->sent, buf, len);
	ret = send(s->tx, buf, len, flags);
	if (ret != len)
		return stream_err(s, "send: %s",
				  ret < 0 ? strerror(errno) : "short");
	s->sent += len;
	return true;
}

static int stream_queued(struct stream *s)
{
	int queued = 0;

	ioctl(s->rx, SIOCINQ, &queued);
	return queued;
}

/* Wait until everything that was sent is in the receive queue. */
static bool stream_wait_queued(struct stream *s)
{
	double deadline = now() + IO_TIMEOUT_SEC;

	while (stream_queued(s) != s->sent - s->received) {
		if (now() > deadline)
			return stream_err(s, "%d of %zu bytes arrive",
					  stream_queued(s),
					  s->sent - s->received);
		usleep(1000);
	}
	return true;
}

static bool stream_check(struct stream *s, const void *data, size_t len,
			 const char *how)
{
	const unsigned char *got = data;
	size_t i;

	if (len > s->sent - s->received)
		return stream_err(s, "%s: %zu bytes, only %zu were sent", how,
				  len, s->sent - s->received);
	for (i = 0; i < len; i++) {
		if (got[i] != s->expect[s->received + i])
			return stream_err(s, "%s: byte %zu is %#x, not %#x",
					  how, s->received + i, got[i],
					  s->expect[s->received + i]);
	}
	s->received += len;
	return true;
}

static int stream_zerocopy(struct stream *s, struct tcp_zerocopy_receive *zc)
{
	socklen_t len = sizeof(*zc);

	memset(zc, 0, sizeof(*zc));
	zc->address = (uintptr_t)s->map;
	zc->length = RX_MAP_PAGES * psize();
	if (s->copybuf_len) {
		zc->copybuf_address = (uintptr_t)s->buf;
		zc->copybuf_len = s->copybuf_len;
	}
	return getsockopt(s->rx, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zc, &len);
}

/* One round of net/tcp_mmap.c: zerocopy, then read what it asks us to read. */
static bool stream_receive_round(struct stream *s)
{
	struct pollfd pfd = { .fd = s->rx, .events = POLLIN };
	struct tcp_zerocopy_receive zc;
	size_t hint;
	ssize_t ret;
	int copied;

	if (poll(&pfd, 1, IO_TIMEOUT_SEC * 1000) != 1)
		return stream_err(s, "nothing to receive after %zu of %zu bytes",
				  s->received, s->sent);

	s->rounds++;
	if (stream_zerocopy(s, &zc))
		return stream_err(s, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
	copied = zc.copybuf_len;
	hint = zc.recv_skip_hint;

	if (copied < 0)
		return stream_err(s, "copybuf_len: %s", strerror(-copied));
	if (!zc.length && !copied && !hint)
		return stream_err(s, "no progress: nothing got, nothing to read, %d bytes queued",
				  stream_queued(s));
	if (hint > stream_queued(s))
		return stream_err(s, "recv_skip_hint is %zu with %d bytes queued",
				  hint, stream_queued(s));

	if (!stream_check(s, s->map, zc.length, "zerocopy") ||
	    !stream_check(s, s->buf, copied, "copybuf"))
		return false;
	s->mapped += zc.length;
	s->copied += copied;

	if (hint) {
		ret = recv(s->rx, s->buf, hint, MSG_DONTWAIT);
		if (ret <= 0)
			return stream_err(s, "recv of recv_skip_hint %zu: %s",
					  hint, ret ? strerror(errno) : "EOF");
		if (!stream_check(s, s->buf, ret, "recv"))
			return false;
		s->read += ret;
	}
	return true;
}

static bool stream_receive_all(struct stream *s)
{
	unsigned int last = s->rounds + MAX_ROUNDS;

	while (s->received < s->sent) {
		if (s->rounds == last)
			return stream_err(s, "%zu of %zu bytes in %u rounds",
					  s->received, s->sent, s->rounds);
		if (!stream_receive_round(s))
			return false;
	}
	return true;
}

/* Read the first bytes, so that the rest is not where a page starts. */
static bool stream_read(struct stream *s, size_t len)
{
	ssize_t ret = recv(s->rx, s->buf, len, MSG_WAITALL);

	if (ret != len)
		return stream_err(s, "recv of %zu: %s", len,
				  ret < 0 ? strerror(errno) : "short");
	s->read += ret;
	return stream_check(s, s->buf, ret, "recv");
}

static void stream_report(struct stream *s)
{
	ksft_print_msg("%zu bytes in %u rounds: %zu mapped, %zu to copybuf, %zu read\n",
		       s->received, s->rounds, s->mapped, s->copied, s->read);
}

struct orphans {
	struct stream s;
	int pagemap_fd;
	int kpageflags_fd;
	int kpagecount_fd;
	int nr_pages;
	unsigned long pfns[NR_ORPHANS];	/* of the file before truncation */
	void *scratch;
	long offline_block;		/* to be brought online again, or -1 */
	unsigned long poisoned_pfn;	/* to be unpoisoned, or 0 */
};

FIXTURE(folio_orphan)
{
	struct orphans o;
};

FIXTURE_SETUP(folio_orphan)
{
	cpu_set_t cpus;
	int cpu;

	self->o.offline_block = -1;
	self->o.pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	self->o.kpageflags_fd = open("/proc/kpageflags", O_RDONLY);
	self->o.kpagecount_fd = open("/proc/kpagecount", O_RDONLY);

	/* PG_lru is set late, from a batch of the CPU. Know which one. */
	cpu = sched_getcpu();
	CPU_ZERO(&cpus);
	CPU_SET(cpu, &cpus);
	ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	self->o.scratch = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
			       MAP_PRIVATE | MAP_ANON, -1, 0);
	ASSERT_NE(self->o.scratch, MAP_FAILED);

	if (!stream_open(&self->o.s))
		SKIP(return, "%s", self->o.s.err);
}

/* Write to a file of sysfs. Return: 0 or an errno. */
static int write_string(const char *path, const char *string)
{
	int fd = open(path, O_WRONLY);
	int ret = 0;

	if (fd < 0)
		return errno;
	if (write(fd, string, strlen(string)) < 0)
		ret = errno;
	close(fd);
	return ret;
}

/* In the parent: when the test, its socket and its mappings are gone. */
FIXTURE_TEARDOWN_PARENT(folio_orphan)
{
	char path[128];
	int err;

	if (self->o.poisoned_pfn) {
		err = -unpoison_memory(self->o.poisoned_pfn);
		ksft_print_msg("unpoison pfn %#lx: %s\n", self->o.poisoned_pfn,
			       err ? strerror(err) : "done");
	}
	if (self->o.offline_block >= 0) {
		snprintf(path, sizeof(path), MEMORY_DIR "/memory%ld/state",
			 self->o.offline_block);
		err = write_string(path, "online_movable");
		ksft_print_msg("memory block %ld online again: %s\n",
			       self->o.offline_block, err ? strerror(err) : "done");
	}
	if (self->o.s.lo_was_down)
		set_loopback(false);
}

/* Get what sits in this CPU's batches onto the LRU: MADV_COLD drains them. */
static void drain_lru(struct orphans *o)
{
	madvise(o->scratch, psize(), MADV_COLD);
}

struct page_info {
	bool present;
	unsigned long pfn;
	uint64_t flags;
	uint64_t count;
};

static struct page_info pfn_info(struct orphans *o,
				 unsigned long pfn)
{
	struct page_info info = { .pfn = pfn };

	if (pageflags_get(pfn, o->kpageflags_fd, &info.flags) ||
	    pagecount_get(pfn, o->kpagecount_fd, &info.count))
		info.flags = KPF_NOPAGE;
	return info;
}

/* What does the PTE for this page of the mapping of the socket map? */
static struct page_info rx_info(struct orphans *o, int i)
{
	uint64_t entry = pagemap_get_entry(o->pagemap_fd,
					   o->s.map + i * psize());
	struct page_info info = { 0 };

	if (PAGEMAP_PRESENT(entry)) {
		info = pfn_info(o, PAGEMAP_PFN(entry));
		info.present = true;
	}
	return info;
}

static void show_page(const char *step, int i, const struct page_info *info)
{
	static const struct {
		uint64_t flag;
		const char *name;
	} names[] = {
		{ KPF_LRU, " LRU" },
		{ KPF_ACTIVE, " ACTIVE" },
		{ KPF_BUDDY, " BUDDY" },
		{ KPF_MMAP, " MMAP" },
		{ KPF_ANON, " ANON" },
		{ KPF_SWAPCACHE, " SWAPCACHE" },
		{ KPF_SWAPBACKED, " SWAPBACKED" },
		{ KPF_COMPOUND_HEAD, " COMPOUND_HEAD" },
		{ KPF_COMPOUND_TAIL, " COMPOUND_TAIL" },
		{ KPF_HWPOISON, " HWPOISON" },
		{ KPF_NOPAGE, " NOPAGE" },
	};
	char flags[128] = "";

	for (int n = 0; n < ARRAY_SIZE(names); n++) {
		if (info->flags & names[n].flag)
			strcat(flags, names[n].name);
	}
	ksft_print_msg("%s: page %d pfn %#lx mapcount %llu%s\n", step, i,
		       info->pfn, (unsigned long long)info->count, flags);
}

static void show_rx(struct orphans *o, const char *step)
{
	struct page_info info;

	for (int i = 0; i < o->nr_pages; i++) {
		info = rx_info(o, i);
		if (info.present)
			show_page(step, i, &info);
		else
			ksft_print_msg("%s: page %d not mapped\n", step, i);
	}
}

/*
 * Is this a page that left the page cache? Nothing else can be: it was the
 * file's, the file is empty now, and the PTE keeps the page from being reused.
 */
static bool is_orphan(struct orphans *o,
		      const struct page_info *info)
{
	if (!info->present || (info->flags & KPF_ANON))
		return false;
	for (int i = 0; i < o->nr_pages; i++) {
		if (info->pfn == o->pfns[i])
			return true;
	}
	return false;
}

static int nr_orphans(struct orphans *o)
{
	int nr = 0;

	for (int i = 0; i < o->nr_pages; i++) {
		struct page_info info = rx_info(o, i);

		nr += is_orphan(o, &info);
	}
	return nr;
}

/* Return: is the page frame in ZONE_MOVABLE, where no pin may keep it? */
static bool in_zone_movable(struct orphans *o, unsigned long pfn)
{
	unsigned long start, spanned = 0;
	bool movable = false, ret = false;
	char line[128], zone[32];
	FILE *f;

	f = fopen("/proc/zoneinfo", "r");
	if (!f)
		return false;
	while (!ret && fgets(line, sizeof(line), f)) {
		if (sscanf(line, "Node %*d, zone %31s", zone) == 1)
			movable = !strcmp(zone, "Movable");
		else if (sscanf(line, " spanned %lu", &spanned) == 1)
			continue;
		else if (sscanf(line, " start_pfn: %lu", &start) == 1)
			ret = movable && pfn >= start && pfn - start < spanned;
	}
	fclose(f);
	return ret;
}

/* Pages of a memory block, 0 if there is no memory hotplug. */
static unsigned long memory_block_pages(void)
{
	char buf[32] = "";

	if (read_file(MEMORY_DIR "/block_size_bytes", buf, sizeof(buf)) <= 0)
		return 0;
	return strtoul(buf, NULL, 16) / psize();
}

/* Return: can the memory block of this page go offline? */
static bool in_offlinable_block(struct orphans *o, unsigned long pfn)
{
	unsigned long nr_pages = memory_block_pages();
	unsigned long start = pfn / nr_pages * nr_pages;
	uint64_t *flags = malloc(nr_pages * sizeof(*flags));
	size_t len = nr_pages * sizeof(*flags);
	bool ret;

	/* Boot-time allocations are all that is not movable there. */
	ret = in_zone_movable(o, pfn) && in_zone_movable(o, start) &&
	      pread(o->kpageflags_fd, flags, len, start * sizeof(*flags)) == len;
	for (unsigned long i = 0; ret && i < nr_pages; i++)
		ret = !(flags[i] & KPF_RESERVED);
	free(flags);
	return ret;
}

/* Write the file, so that all its pages are where we want them. */
static bool write_file_at(struct orphans *o,
			  bool (*wanted)(struct orphans *, unsigned long))
{
	struct stream *s = &o->s;
	off_t hogged = 0, hog_max;
	struct sysinfo si;
	bool ok = false;
	char *map;
	int hog;

	sysinfo(&si);
	hog_max = (off_t)si.freeram * si.mem_unit / 3;
	if (hog_max > HOG_MAX)
		hog_max = HOG_MAX;

	hog = memfd_create("hog", 0);
	map = mmap(NULL, o->nr_pages * psize(), PROT_READ, MAP_SHARED, s->file,
		   0);
	if (hog < 0 || map == MAP_FAILED)
		return stream_err(s, "mmap: %s", strerror(errno));

	while (stream_write_file(s, o->nr_pages, 1)) {
		ok = true;
		force_read_pages(map, o->nr_pages, psize());
		for (int i = 0; i < o->nr_pages; i++) {
			o->pfns[i] = pagemap_get_pfn(o->pagemap_fd,
						     map + i * psize());
			if (!o->pfns[i] || o->pfns[i] == -1UL) {
				ok = stream_err(s, "no PFNs in pagemap (no CAP_SYS_ADMIN?)");
				goto out;
			}
			if (wanted && !wanted(o, o->pfns[i]))
				ok = false;
		}
		/* Use up what the allocator has there, these pages first. */
		if (ok || hogged + HOG_STEP > hog_max ||
		    ftruncate(s->file, 0) ||
		    fallocate(hog, 0, hogged, HOG_STEP))
			break;
		hogged += HOG_STEP;
	}
	if (!ok)
		stream_err(s, "no page in a suitable place, pfn %#lx is not (boot with movablecore=)",
			   o->pfns[0]);
out:
	munmap(map, o->nr_pages * psize());
	close(hog);
	drain_lru(o);
	return ok;
}

/* Steps 1 to 4. Return: is there any point in going on? */
static bool make_orphans(struct __test_metadata *_metadata, struct orphans *o,
			 int nr_pages,
			 bool (*wanted)(struct orphans *, unsigned long))
{
	struct tcp_zerocopy_receive zc;
	struct stream *s = &o->s;
	struct page_info info;

	if (o->kpageflags_fd < 0 || o->kpagecount_fd < 0)
		SKIP(return false,
		     "can't open /proc/kpageflags and /proc/kpagecount (not root?)");

	o->nr_pages = nr_pages;
	if (!write_file_at(o, wanted))
		SKIP(return false, "%s", s->err);
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 1 write", i, &info);
		if (info.flags & (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL))
			SKIP(return false, "tmpfs uses large folios, TCP only maps order-0 ones");
		if (!(info.flags & KPF_LRU))
			SKIP(return false, "pfn %#lx of the file is not on the LRU", info.pfn);
	}

	ASSERT_TRUE(stream_sendfile(s, 0, nr_pages * psize()));
	ASSERT_TRUE(stream_wait_queued(s));
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 2 sendfile", i, &info);
	}

	ASSERT_EQ(ftruncate(s->file, 0), 0);
	drain_lru(o);
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 3 ftruncate", i, &info);
		/* On the LRU and not freed: the skbs have the page itself. */
		if (!(info.flags & KPF_LRU) || info.count)
			SKIP(return false, "pfn %#lx does not outlive the truncation: copied?",
			     info.pfn);
	}

	if (stream_zerocopy(s, &zc))
		SKIP(return false, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
	ksft_print_msg("step 4 zerocopy: length %u recv_skip_hint %u of %zu bytes\n",
		       zc.length, zc.recv_skip_hint, s->sent);
	ASSERT_GT(zc.length + zc.recv_skip_hint, 0);
	show_rx(o, "step 4 zerocopy");
	return true;
}

/* As above, for the tests that need orphans. */
static bool need_orphans(struct __test_metadata *_metadata, struct orphans *o,
			 int nr_pages,
			 bool (*wanted)(struct orphans *, unsigned long))
{
	if (!make_orphans(_metadata, o, nr_pages, wanted))
		return false;
	if (nr_orphans(o) != nr_pages)
		SKIP(return false, "tcp maps no orphan");
	return true;
}

/* Zerocopy receive maps no page that left the page cache. */
TEST_F(folio_orphan, tcp_no_orphan)
{
	if (!make_orphans(_metadata, &self->o, NR_ORPHANS, NULL))
		return;

	EXPECT_EQ(nr_orphans(&self->o), 0)
		TH_LOG("TCP mapped %d pages that left the page cache",
		       nr_orphans(&self->o));
}

/*
 * Nobody can do anything with an orphan, so nobody should take it off the LRU.
 * An isolated folio goes back there by way of a batch of the CPU: PG_lru stays
 * clear until the batch is drained, and we are on the same CPU.
 */
TEST_F(folio_orphan, pageout_keeps_orphan_on_lru)
{
	int nr_lost = 0;

	if (!need_orphans(_metadata, &self->o, NR_ORPHANS, NULL))
		return;

	ASSERT_EQ(madvise(self->o.s.map, NR_ORPHANS * psize(), MADV_PAGEOUT), 0);
	for (int i = 0; i < NR_ORPHANS; i++) {
		struct page_info info = rx_info(&self->o, i);

		nr_lost += !(info.flags & KPF_LRU);
		show_page("step 5 pageout", i, &info);
	}
	drain_lru(&self->o);
	show_rx(&self->o, "step 6 drain");

	EXPECT_EQ(nr_lost, 0)
		TH_LOG("MADV_PAGEOUT isolated %d of %d orphans",
		       nr_lost, NR_ORPHANS);
	EXPECT_EQ(nr_orphans(&self->o), NR_ORPHANS);
}

/*
 * Return: the errno of a FOLL_LONGTERM pin of the orphans, 0 if that works,
 * 255 if there is no answer, -ETIME if it does not return.
 */
static int longterm_pin(struct orphans *o, unsigned int flags)
{
	struct pin_longterm_test args = {
		.addr = (uintptr_t)o->s.map,
		.size = o->nr_pages * psize(),
		.flags = flags,
	};
	pid_t pid;
	int fd;

	pid = fork();
	if (!pid) {
		fd = open(GUP_TEST_FILE, O_RDWR);
		if (fd < 0)
			_exit(255);
		_exit(ioctl(fd, PIN_LONGTERM_TEST_START, &args) ? errno : 0);
	}
	return pid < 0 ? 255 : wait_child(pid, IO_TIMEOUT_SEC);
}

/*
 * A page in ZONE_MOVABLE has to be migrated before it can be pinned for long.
 * An orphan can't be: that must be an error, and not be tried again for ever.
 */
TEST_F_TIMEOUT(folio_orphan, longterm_pin_fails, 60)
{
	static const struct {
		unsigned int flags;
		const char *name;
	} variants[] = {
		{ 0, "pin_user_pages" },
		{ PIN_LONGTERM_TEST_FLAG_USE_FAST, "pin_user_pages_fast" },
	};

	if (access(GUP_TEST_FILE, R_OK | W_OK))
		SKIP(return, GUP_TEST_FILE ": %s", strerror(errno));
	if (!need_orphans(_metadata, &self->o, NR_ORPHANS, in_zone_movable))
		return;

	for (int i = 0; i < ARRAY_SIZE(variants); i++) {
		double start = now();
		int err = longterm_pin(&self->o, variants[i].flags);

		ksft_print_msg("step 5 longterm pin: %s: %s (%d) after %.3f s\n",
			       variants[i].name,
			       err == -ETIME ? "killed" : strerror(abs(err)),
			       err, now() - start);
		EXPECT_NE(err, -ETIME)
			TH_LOG("%s(FOLL_LONGTERM) of an orphan loops",
			       variants[i].name);
		if (err != -ETIME) {
			EXPECT_EQ(err, ENOMEM)
				TH_LOG("%s(FOLL_LONGTERM) of an orphan",
				       variants[i].name);
		}
	}
	EXPECT_EQ(nr_orphans(&self->o), NR_ORPHANS);
}

static int unprivileged_child(struct stream *s)
{
	size_t len = NR_ORPHANS * psize();
	struct tcp_zerocopy_receive zc;
	pid_t pid;

	if (!stream_write_file(s, NR_ORPHANS, 2) ||
	    !stream_sendfile(s, 0, len) || !stream_wait_queued(s))
		return 1;
	if (ftruncate(s->file, 0) || stream_zerocopy(s, &zc)) {
		stream_err(s, "zerocopy: %s", strerror(errno));
		return 1;
	}
	ksft_print_msg("uid %d: %u bytes of %zu are mapped\n", geteuid(),
		       zc.length, len);
	if (!stream_check(s, s->map, zc.length, "zerocopy"))
		return 1;

	/* It may fail, it must not do any harm. */
	madvise(s->map, len, MADV_COLD);
	madvise(s->map, len, MADV_PAGEOUT);
	mlock(s->map, len);
	munlock(s->map, len);

	/* Another process that maps it, and that ends with it mapped. */
	pid = fork();
	if (!pid) {
		madvise(s->map, len, MADV_PAGEOUT);
		_exit(zc.length && memcmp(s->map, s->expect, zc.length));
	}
	madvise(s->map, len, MADV_PAGEOUT);
	if (pid < 0 || wait_child(pid, IO_TIMEOUT_SEC)) {
		stream_err(s, "a child does not find the data");
		return 1;
	}
	if (zc.length && memcmp(s->map, s->expect, zc.length)) {
		stream_err(s, "the data has changed");
		return 1;
	}
	if (munmap(s->map, psize())) {
		stream_err(s, "munmap: %s", strerror(errno));
		return 1;
	}

	/* What was not mapped has to be read. The rest is unmapped by exit. */
	if (s->received < s->sent && !stream_read(s, s->sent - s->received))
		return 1;
	return 0;
}

/* Orphan or not, nobody gets hurt. */
TEST_F(folio_orphan, unprivileged)
{
	struct stream *s = &self->o.s;
	pid_t pid;
	int ret;

	pid = fork();
	ASSERT_GE(pid, 0);
	if (!pid) {
		if (!geteuid() &&
		    (setgroups(0, NULL) || setresgid(65534, 65534, 65534) ||
		     setresuid(65534, 65534, 65534)))
			_exit(2);
		/* All anew: sockets belong to who made them. */
		stream_close(s);
		_exit(!stream_open(s) || unprivileged_child(s));
	}
	ret = wait_child(pid, 3 * IO_TIMEOUT_SEC);
	if (ret == 2)
		SKIP(return, "can't become an unprivileged user");
	EXPECT_EQ(ret, 0)
		TH_LOG("%s", ret == -ETIME ? "does not end" : "see above");
}

static void ignore_signal(int sig)
{
}

/*
 * Take a memory block offline, but do not try for more than a few seconds.
 *
 * Return: 0, the errno (EINTR if it was still being tried), or as wait_child().
 */
static int offline_block(long block)
{
	/* Without SA_RESTART: the write has to return. */
	struct sigaction sa = { .sa_handler = ignore_signal };
	char path[128];
	pid_t pid;

	snprintf(path, sizeof(path), MEMORY_DIR "/memory%ld/state", block);
	pid = fork();
	if (!pid) {
		sigaction(SIGALRM, &sa, NULL);
		alarm(OFFLINE_TIMEOUT_SEC);
		_exit(write_string(path, "offline"));
	}
	return pid < 0 ? EAGAIN : wait_child(pid, 5 * OFFLINE_TIMEOUT_SEC);
}

/*
 * Have the mapping of the socket in a process of its own, and nowhere else.
 *
 * If the memory does go offline, nobody may look at that PTE any more: the
 * memmap of an offline section is not valid, so unmapping the page, or reading
 * the pagemap of the process, is a kernel oops. The process must not exit, with
 * us or with whoever waits for our output to end.
 */
static pid_t hand_over_mapping(struct orphans *o)
{
	pid_t pid = fork();
	int fd;

	if (!pid) {
		setsid();
		fd = open("/dev/null", O_RDWR);
		for (int i = 0; i < 3; i++)
			dup2(fd, i);
		for (;;)
			pause();
	}
	munmap(o->s.map, RX_MAP_PAGES * psize());
	o->s.map = MAP_FAILED;
	return pid;
}

/*
 * Memory failure can't unmap an orphan. Memory offlining lets go of a poisoned
 * page in the belief that nothing maps it any more, so it must not take the
 * block offline as long as the PTE is there.
 */
TEST_F_TIMEOUT(folio_orphan, offline_refuses_mapped_orphan, 120)
{
	struct orphans *o = &self->o;
	struct page_info info;
	double start;
	pid_t holder;
	long block;
	int err, refused;

	if (!destructive)
		SKIP(return, "destructive, run as '%s -- destructive'",
		     program_invocation_short_name);
	if (!memory_block_pages())
		SKIP(return, "no memory hotplug");
	if (!need_orphans(_metadata, o, 1, in_offlinable_block))
		return;
	block = o->pfns[0] / memory_block_pages();

	err = madvise(o->s.map, psize(), MADV_HWPOISON) ? errno : 0;
	ksft_print_msg("step 5 MADV_HWPOISON: %s\n", strerror(err));
	show_rx(o, "step 5 MADV_HWPOISON");
	if (err == EINVAL || err == EPERM)
		SKIP(return, "MADV_HWPOISON: %s", strerror(err));
	o->poisoned_pfn = o->pfns[0];
	info = rx_info(o, 0);
	if (!info.present)
		SKIP(return, "memory failure has unmapped the orphan");
	ASSERT_NE(info.flags & KPF_HWPOISON, 0);

	holder = hand_over_mapping(o);
	ASSERT_GT(holder, 0);
	info = pfn_info(o, o->pfns[0]);
	if (info.count != 1) {
		kill(holder, SIGKILL);
		wait_child(holder, IO_TIMEOUT_SEC);
		SKIP(return, "mapped %llu times", (unsigned long long)info.count);
	}

	start = now();
	err = offline_block(block);
	ksft_print_msg("step 6 offline: memory block %ld: %s after %.1f s\n",
		       block, err < 0 ? "killed" : strerror(err), now() - start);
	if (err) {
		info = pfn_info(o, o->pfns[0]);
		show_page("step 6 offline", 0, &info);
	}

	EXPECT_NE(err, 0)
		TH_LOG("memory block %ld went offline with pfn %#lx mapped by pid %d",
		       block, o->pfns[0], holder);
	if (!err) {
		/* Not to be touched any more, see hand_over_mapping(). */
		o->poisoned_pfn = 0;
		return;
	}

	/* Was it for the orphan? Without the PTE it has to work. */
	refused = err;
	kill(holder, SIGKILL);
	ASSERT_EQ(wait_child(holder, IO_TIMEOUT_SEC), -SIGKILL);
	if (!unpoison_memory(o->poisoned_pfn))
		o->poisoned_pfn = 0;
	err = offline_block(block);
	ksft_print_msg("step 7 unmap, offline: memory block %ld: %s\n", block,
		       err < 0 ? "killed" : strerror(err));
	if (err)
		SKIP(return, "memory block %ld can't go offline anyway", block);
	o->offline_block = block;
	EXPECT_EQ(refused, EINTR)
		TH_LOG("not tried until the signal came: %s", strerror(abs(refused)));
}

/*
 * Whatever is not mapped has to be copied: the receiver must always learn how
 * many bytes to read, and get all of them in order.
 */
FIXTURE(tcp_copy_progress)
{
	struct stream s;
};

FIXTURE_VARIANT(tcp_copy_progress)
{
	size_t copybuf_len;
};

FIXTURE_VARIANT_ADD(tcp_copy_progress, no_copybuf)
{
	.copybuf_len = 0,
};

FIXTURE_VARIANT_ADD(tcp_copy_progress, small_copybuf)
{
	.copybuf_len = 3000,
};

FIXTURE_VARIANT_ADD(tcp_copy_progress, large_copybuf)
{
	.copybuf_len = 40000,
};

FIXTURE_SETUP(tcp_copy_progress)
{
	struct tcp_zerocopy_receive zc;

	if (!stream_open(&self->s))
		SKIP(return, "%s", self->s.err);
	self->s.copybuf_len = variant->copybuf_len;
	if (stream_zerocopy(&self->s, &zc))
		SKIP(return, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
}

FIXTURE_TEARDOWN_PARENT(tcp_copy_progress)
{
	if (self->s.lo_was_down)
		set_loopback(false);
}

static bool stream_truncate(struct stream *s)
{
	return !ftruncate(s->file, 0) ||
	       stream_err(s, "ftruncate: %s", strerror(errno));
}

/* The pages stay in the page cache. */
TEST_F(tcp_copy_progress, kept)
{
	struct stream *s = &self->s;

	ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES * psize()));
	ASSERT_TRUE(stream_receive_all(s));
	stream_report(s);
}

TEST_F(tcp_copy_progress, truncated)
{
	struct stream *s = &self->s;

	ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES * psize()));
	ASSERT_TRUE(stream_truncate(s));
	ASSERT_TRUE(stream_receive_all(s));
	stream_report(s);
}

/* Truncated when a part of it was received already. */
TEST_F(tcp_copy_progress, truncated_midway)
{
	struct stream *s = &self->s;

	ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES * psize()));
	ASSERT_TRUE(stream_receive_round(s));
	ASSERT_TRUE(stream_truncate(s));
	ASSERT_TRUE(stream_receive_all(s));
	stream_report(s);
}

/* The receiver has read into a page. */
TEST_F(tcp_copy_progress, partly_read)
{
	struct stream *s = &self->s;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES / 2, i));
		ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES / 2 * psize()));
		if (i)
			ASSERT_TRUE(stream_truncate(s));
		ASSERT_TRUE(stream_read(s, 100));
		ASSERT_TRUE(stream_receive_all(s));
	}
	stream_report(s);
}

/* What is sent does not start or end where a page does. */
TEST_F(tcp_copy_progress, misaligned)
{
	struct stream *s = &self->s;

	for (int i = 0; i < 2; i++) {
		ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES / 2, i));
		ASSERT_TRUE(stream_sendfile(s, 1000, 5 * psize() + 7));
		ASSERT_TRUE(stream_sendfile(s, 0, 1));
		ASSERT_TRUE(stream_sendfile(s, psize() - 1, 2 * psize()));
		if (i)
			ASSERT_TRUE(stream_truncate(s));
		ASSERT_TRUE(stream_receive_all(s));
	}
	stream_report(s);
}

/* Pages of the file and others mixed, some truncated, some not. */
TEST_F(tcp_copy_progress, several_sends)
{
	struct stream *s = &self->s;
	char *buf = malloc(4 * psize());

	ASSERT_NE(buf, NULL);
	memset(buf, 0x5a, 4 * psize());
	ASSERT_TRUE(stream_write_file(s, 4, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, 4 * psize()));
	ASSERT_TRUE(stream_send(s, buf, 2 * psize(), 0));
	ASSERT_TRUE(stream_write_file(s, 4, 2));	/* truncates */
	ASSERT_TRUE(stream_sendfile(s, 0, 3 * psize() + 17));
	ASSERT_TRUE(stream_send(s, buf, 17, 0));
	ASSERT_TRUE(stream_receive_round(s));
	ASSERT_TRUE(stream_write_file(s, 4, 3));
	ASSERT_TRUE(stream_sendfile(s, 0, 4 * psize()));
	ASSERT_TRUE(stream_truncate(s));
	ASSERT_TRUE(stream_send(s, buf, 4 * psize(), 0));
	ASSERT_TRUE(stream_receive_all(s));
	ASSERT_TRUE(stream_write_file(s, 1, 4));
	ASSERT_TRUE(stream_sendfile(s, 0, psize()));
	ASSERT_TRUE(stream_receive_all(s));
	stream_report(s);
	free(buf);
}

/*
 * Pages that are nobody else's are mapped: zerocopy receive does what it is
 * there for. By loopback only few are both that and single pages, as a network
 * card delivers them:
 *
 *  - send() fills high-order pages, unless a sysctl says that there are none;
 *  - MSG_ZEROCOPY sends our own pages, but loopback copies them for a receiver
 *    that is not in the driver (skb_orphan_frags_rx()), into single pages.
 */
FIXTURE(tcp_zerocopy_still_maps)
{
	struct stream s;
	char sysctl[16];	/* to be restored */
};

FIXTURE_VARIANT(tcp_zerocopy_still_maps)
{
	int flags;
};

FIXTURE_VARIANT_ADD(tcp_zerocopy_still_maps, send)
{
	.flags = 0,
};

FIXTURE_VARIANT_ADD(tcp_zerocopy_still_maps, msg_zerocopy)
{
	.flags = MSG_ZEROCOPY,
};

FIXTURE_SETUP(tcp_zerocopy_still_maps)
{
	int err, one = 1;

	if (!stream_open(&self->s))
		SKIP(return, "%s", self->s.err);
	if (variant->flags == MSG_ZEROCOPY) {
		if (setsockopt(self->s.tx, SOL_SOCKET, SO_ZEROCOPY, &one,
			       sizeof(one)))
			SKIP(return, "SO_ZEROCOPY: %s", strerror(errno));
		return;
	}

	if (read_file(HIGH_ORDER_ALLOC_DISABLE, self->sysctl,
		      sizeof(self->sysctl)) <= 0)
		SKIP(return, "no " HIGH_ORDER_ALLOC_DISABLE);
	err = write_string(HIGH_ORDER_ALLOC_DISABLE, "1");
	if (err)
		SKIP(return, HIGH_ORDER_ALLOC_DISABLE ": %s", strerror(err));
}

FIXTURE_TEARDOWN_PARENT(tcp_zerocopy_still_maps)
{
	if (self->sysctl[0])
		write_string(HIGH_ORDER_ALLOC_DISABLE, self->sysctl);
	if (self->s.lo_was_down)
		set_loopback(false);
}

TEST_F(tcp_zerocopy_still_maps, private_pages)
{
	struct stream *s = &self->s;
	size_t len = RX_MAP_PAGES / 2 * psize();	/* one skb */
	struct tcp_zerocopy_receive zc;
	char *buf;

	if (stream_zerocopy(s, &zc))
		SKIP(return, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));

	buf = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON,
		   -1, 0);
	ASSERT_NE(buf, MAP_FAILED);
	for (size_t i = 0; i < len; i++)
		buf[i] = i ^ (i / psize() + 1) * 41;
	ASSERT_TRUE(stream_send(s, buf, len, variant->flags));
	ASSERT_TRUE(stream_wait_queued(s));
	ASSERT_TRUE(stream_receive_all(s));
	stream_report(s);
	EXPECT_GT(s->mapped, 0)
		TH_LOG("zerocopy receive maps nothing any more");
	munmap(buf, len);
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++) {
		if (!strcmp(argv[i], "--")) {
			destructive = i + 1 < argc &&
				      !strcmp(argv[i + 1], "destructive");
			argc = i;
			break;
		}
	}

	return test_harness_run(argc, argv);
}
