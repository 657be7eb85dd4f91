// SPDX-License-Identifier: GPL-2.0-only
/*
 * TCP_ZEROCOPY_RECEIVE of pages that somebody else owns.
 *
 * Over loopback an skb has the very pages that the sender spliced. The owner of
 * these pages may do anything to them while they are in the receive queue:
 *
 *   1 write    a tmpfs file
 *   2 splice   sendfile() it over a TCP connection to ourselves
 *   3 truncate the file to 0: the skbs keep the pages, the page cache does not
 *   4 receive  getsockopt(TCP_ZEROCOPY_RECEIVE) on a mapping of the socket
 *
 * A page that is mapped in step 4 is on an LRU list, but has no mapping any
 * more, hence no rmap. Reclaim, migration and memory failure can't unmap it.
 *
 *  - tcp_zerocopy_truncated: no such page is mapped. This reads PFNs from
 *    /proc/self/pagemap and /proc/kpageflags, and needs CAP_SYS_ADMIN.
 *  - tcp_copy_progress: the receiver gets all bytes, whichever way TCP chooses
 *    to hand them over.
 *  - tcp_zerocopy_still_maps: pages that nobody else owns are mapped.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sched.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
#include <linux/kernel-page-flags.h>
#include <linux/sockios.h>
#include <linux/tcp.h>

#include "kselftest_harness.h"

#define TRUNCATED_PAGES		4	/* of the file in tcp_zerocopy_truncated */
#define MAX_FILE_PAGES		24	/* and in tcp_copy_progress */
#define RX_MAP_PAGES		8	/* pages of the mapping of the socket */
#define MAX_STREAM		(512 * 1024)
#define MAX_PAGE_SIZE		(16 * 1024)	/* so that a few fit into it */
#define IO_TIMEOUT_SEC		5	/* no call may block for longer */
#define MAX_ROUNDS		4096	/* of receiving */

#define BIT(nr)			(1ULL << (nr))
/* An entry of /proc/self/pagemap */
#define PM_PRESENT		BIT(63)
#define PM_PFN			(BIT(55) - 1)

static size_t psize(void)
{
	return sysconf(_SC_PAGESIZE);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return ts.tv_sec + ts.tv_nsec / 1e9;
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
	int listener, one = 1, size = MAX_STREAM;
	socklen_t len = sizeof(addr);

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
	s->buf = malloc(MAX_STREAM);
	s->expect = malloc(MAX_STREAM);
	s->file = memfd_create("tcp_zerocopy_splice", 0);
	if (s->file < 0 || !s->buf || !s->expect)
		return stream_err(s, "memfd_create: %s", strerror(errno));
	if (psize() > MAX_PAGE_SIZE)
		return stream_err(s, "pages are too large for the buffers of a socket");
	return stream_connect(s);
}

/*
 * Replace what is in the file. No two pages of a generation are the same, nor
 * a page of this generation and the same page of the one before.
 */
static bool stream_write_file(struct stream *s, size_t nr_pages, int generation)
{
	size_t len = nr_pages * psize();
	unsigned char *buf = malloc(len);
	bool ret;

	for (size_t i = 0; i < len; i++)
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
static bool stream_send(struct stream *s, const void *buf, size_t len,
			int flags)
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

	if (len > s->sent - s->received)
		return stream_err(s, "%s: %zu bytes, only %zu were sent", how,
				  len, s->sent - s->received);
	for (size_t i = 0; i < len; i++) {
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

/* A round of tcp_mmap.c: zerocopy, then read what it asks us to read. */
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
		return stream_err(s, "TCP_ZEROCOPY_RECEIVE: %s",
				  strerror(errno));
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

static bool stream_truncate(struct stream *s)
{
	return !ftruncate(s->file, 0) ||
	       stream_err(s, "ftruncate: %s", strerror(errno));
}

/* What the kernel tells of the pages of the file, which are truncated later. */
struct pages {
	int pagemap_fd;
	int kpageflags_fd;
	uint64_t pfns[TRUNCATED_PAGES];
};

/* Return: the entry of a file in /proc, or 0. */
static uint64_t read_entry(int fd, uint64_t index)
{
	uint64_t entry = 0;

	if (pread(fd, &entry, sizeof(entry), index * sizeof(entry)) !=
	    sizeof(entry))
		return 0;
	return entry;
}

/* Return: what the PTE for this address maps, or 0. */
static uint64_t mapped_pfn(const struct pages *p, const void *addr)
{
	uint64_t entry = read_entry(p->pagemap_fd, (uintptr_t)addr / psize());

	return entry & PM_PRESENT ? entry & PM_PFN : 0;
}

static uint64_t page_flags(const struct pages *p, uint64_t pfn)
{
	return read_entry(p->kpageflags_fd, pfn);
}

/* Return: does the PTE for this address map a page that was the file's? */
static bool maps_page_of_file(const struct pages *p, const void *addr)
{
	uint64_t pfn = mapped_pfn(p, addr), flags = page_flags(p, pfn);

	if (!pfn || (flags & BIT(KPF_ANON)))
		return false;
	for (int i = 0; i < TRUNCATED_PAGES; i++) {
		if (pfn != p->pfns[i])
			continue;
		ksft_print_msg("pfn %#llx is mapped, flags %#llx\n",
			       (unsigned long long)pfn,
			       (unsigned long long)flags);
		return true;
	}
	return false;
}

/* Get what sits in this CPU's batches onto the LRU: MADV_COLD drains them. */
static void drain_lru(void *scratch)
{
	madvise(scratch, psize(), MADV_COLD);
}

/* Pages that left the page cache after they were sent must not be mapped. */
FIXTURE(tcp_zerocopy_truncated)
{
	struct stream s;
	struct pages p;
	void *scratch;
};

FIXTURE_SETUP(tcp_zerocopy_truncated)
{
	struct pages *p = &self->p;
	cpu_set_t cpus;

	p->pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	p->kpageflags_fd = open("/proc/kpageflags", O_RDONLY);
	if (p->kpageflags_fd < 0)
		SKIP(return, "can't open /proc/kpageflags (not root?)");

	/* PG_lru is set late, from a batch of the CPU. Know which one. */
	CPU_ZERO(&cpus);
	CPU_SET(sched_getcpu(), &cpus);
	ASSERT_EQ(sched_setaffinity(0, sizeof(cpus), &cpus), 0);
	self->scratch = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
			     MAP_PRIVATE | MAP_ANON, -1, 0);
	ASSERT_NE(self->scratch, MAP_FAILED);

	if (!stream_open(&self->s))
		SKIP(return, "%s", self->s.err);
}

FIXTURE_TEARDOWN(tcp_zerocopy_truncated)
{
}

TEST_F(tcp_zerocopy_truncated, not_mapped)
{
	size_t len = TRUNCATED_PAGES * psize();
	struct tcp_zerocopy_receive zc;
	struct stream *s = &self->s;
	struct pages *p = &self->p;
	int nr_mapped = 0;
	uint64_t flags;
	char *map;

	ASSERT_TRUE(stream_write_file(s, TRUNCATED_PAGES, 1));
	map = mmap(NULL, len, PROT_READ, MAP_SHARED | MAP_POPULATE, s->file, 0);
	ASSERT_NE(map, MAP_FAILED);
	for (int i = 0; i < TRUNCATED_PAGES; i++) {
		p->pfns[i] = mapped_pfn(p, map + i * psize());
		if (!p->pfns[i])
			SKIP(return, "no PFNs in pagemap (no CAP_SYS_ADMIN?)");
	}
	munmap(map, len);
	drain_lru(self->scratch);
	for (int i = 0; i < TRUNCATED_PAGES; i++) {
		flags = page_flags(p, p->pfns[i]);
		if (flags & (BIT(KPF_COMPOUND_HEAD) | BIT(KPF_COMPOUND_TAIL)))
			SKIP(return, "tmpfs uses large folios, TCP only maps order-0 ones");
		if (!(flags & BIT(KPF_LRU)))
			SKIP(return, "a page of the file is not on the LRU");
	}

	ASSERT_TRUE(stream_sendfile(s, 0, len));
	ASSERT_TRUE(stream_wait_queued(s));
	ASSERT_TRUE(stream_truncate(s));
	drain_lru(self->scratch);
	for (int i = 0; i < TRUNCATED_PAGES; i++) {
		/* On the LRU and not freed: the skbs have the page itself. */
		flags = page_flags(p, p->pfns[i]);
		if (!(flags & BIT(KPF_LRU)) || (flags & BIT(KPF_MMAP)))
			SKIP(return, "a page does not outlive the truncation: copied?");
	}

	if (stream_zerocopy(s, &zc))
		SKIP(return, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
	ksft_print_msg("zerocopy: length %u recv_skip_hint %u of %zu bytes\n",
		       zc.length, zc.recv_skip_hint, s->sent);
	ASSERT_GT(zc.length + zc.recv_skip_hint, 0);

	for (int i = 0; i < TRUNCATED_PAGES; i++)
		nr_mapped += maps_page_of_file(p, s->map + i * psize());
	EXPECT_EQ(nr_mapped, 0)
		TH_LOG("TCP mapped %d pages that left the page cache",
		       nr_mapped);
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

FIXTURE_TEARDOWN(tcp_copy_progress)
{
	stream_report(&self->s);
}

/* The pages stay in the page cache. */
TEST_F(tcp_copy_progress, kept)
{
	struct stream *s = &self->s;

	ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES * psize()));
	ASSERT_TRUE(stream_receive_all(s));
}

TEST_F(tcp_copy_progress, truncated)
{
	struct stream *s = &self->s;

	ASSERT_TRUE(stream_write_file(s, MAX_FILE_PAGES, 1));
	ASSERT_TRUE(stream_sendfile(s, 0, MAX_FILE_PAGES * psize()));
	ASSERT_TRUE(stream_truncate(s));
	ASSERT_TRUE(stream_receive_all(s));
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
	free(buf);
}

/*
 * Pages that are nobody else's are mapped: zerocopy receive does what it is
 * there for. MSG_ZEROCOPY sends pages of the sender, which loopback copies into
 * single pages for a receiver that is no driver (skb_orphan_frags_rx()).
 */
FIXTURE(tcp_zerocopy_still_maps)
{
	struct stream s;
};

FIXTURE_SETUP(tcp_zerocopy_still_maps)
{
	int one = 1;

	if (!stream_open(&self->s))
		SKIP(return, "%s", self->s.err);
	if (setsockopt(self->s.tx, SOL_SOCKET, SO_ZEROCOPY, &one, sizeof(one)))
		SKIP(return, "SO_ZEROCOPY: %s", strerror(errno));
}

FIXTURE_TEARDOWN(tcp_zerocopy_still_maps)
{
	stream_report(&self->s);
}

TEST_F(tcp_zerocopy_still_maps, private_pages)
{
	size_t len = RX_MAP_PAGES / 2 * psize();	/* one skb */
	struct tcp_zerocopy_receive zc;
	struct stream *s = &self->s;
	char *buf;

	if (stream_zerocopy(s, &zc))
		SKIP(return, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));

	buf = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANON,
		   -1, 0);
	ASSERT_NE(buf, MAP_FAILED);
	for (size_t i = 0; i < len; i++)
		buf[i] = i ^ (i / psize() + 1) * 41;
	if (!stream_send(s, buf, len, MSG_ZEROCOPY) && errno == ENOBUFS)
		SKIP(return, "MSG_ZEROCOPY: RLIMIT_MEMLOCK or net.core.optmem_max is too small");
	ASSERT_EQ(s->sent, len);
	ASSERT_TRUE(stream_wait_queued(s));
	ASSERT_TRUE(stream_receive_all(s));
	EXPECT_GT(s->mapped, 0)
		TH_LOG("zerocopy receive maps nothing any more");
	munmap(buf, len);
}

TEST_HARNESS_MAIN
