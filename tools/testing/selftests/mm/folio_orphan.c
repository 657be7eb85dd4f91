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
 * migration and memory failure can't unmap it. The tests look at what is done to
 * it then.
 *
 * TCP is the only maker of orphans in the tree that user space can reach. Once it
 * does not map such pages any more, all tests but unprivileged are skipped. KUnit
 * keeps testing orphans: folio_lru_kunit makes its own, with vm_insert_page().
 * Whether TCP makes any is tested in tools/testing/selftests/net.
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
#include <asm-generic/mman.h> /* Force the import of the tools version. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/sysinfo.h>
#include <unistd.h>
#include <linux/sockios.h>
#include <linux/tcp.h>
#include <linux/types.h>

#include "../../../../mm/gup_test.h"
#include "folio_util.h"
#include "kselftest_harness.h"
#include "vm_util.h"

#define NR_ORPHANS		4	/* pages of the file */
#define SOCKET_BUFFER		(512 * 1024)
#define MAX_PAGE_SIZE		(16 * 1024)	/* so that they fit into it */
#define HOG_STEP		(8 << 20)	/* bytes to use up at a time */
#define HOG_MAX			(256 << 20)
#define IO_TIMEOUT_SEC		5	/* no call may block for longer */
#define OFFLINE_TIMEOUT_SEC	3

#define GUP_TEST_FILE		"/sys/kernel/debug/gup_test"
#define MEMORY_DIR		"/sys/devices/system/memory"

static bool destructive;

struct orphans {
	int file;
	int tx;
	int rx;
	char *map;			/* of rx, for zerocopy receive */
	unsigned char *data;		/* that is sent */
	int pagemap_fd;
	int kpageflags_fd;
	int kpagecount_fd;
	int nr_pages;
	unsigned long pfns[NR_ORPHANS];	/* of the file before truncation */
	void *scratch;
	long offline_block;		/* to be brought online again, or -1 */
	unsigned long poisoned_pfn;	/* to be unpoisoned, or 0 */
};

/* Return: why there is no file, connection and mapping of it, or NULL. */
static const char *open_connection(struct orphans *o)
{
	if (psize() > MAX_PAGE_SIZE)
		return "pages are too large for the buffers of a socket";
	o->file = memfd_create("folio_orphan", 0);
	if (o->file < 0)
		return "no memfd_create()";
	o->rx = tcp_loopback(&o->tx, SOCKET_BUFFER, IO_TIMEOUT_SEC);
	if (o->rx < 0)
		return "no TCP over loopback (ip link set lo up)";
	o->map = mmap(NULL, NR_ORPHANS * psize(), PROT_READ, MAP_SHARED, o->rx, 0);
	if (o->map == MAP_FAILED)
		return "no mmap() of a TCP socket";
	return NULL;
}

/* Step 1 */
static bool write_data(struct orphans *o)
{
	size_t len = o->nr_pages * psize();

	return !ftruncate(o->file, 0) && pwrite(o->file, o->data, len, 0) == len;
}

/* Step 2. Return: is all of it in the receive queue? */
static bool send_data(struct orphans *o)
{
	double deadline = now() + IO_TIMEOUT_SEC;
	size_t len = o->nr_pages * psize();
	off_t pos = 0;
	int queued;

	while (pos < len) {
		if (sendfile(o->tx, o->file, &pos, len - pos) <= 0)
			return false;
	}
	do {
		if (ioctl(o->rx, SIOCINQ, &queued) || now() > deadline)
			return false;
		usleep(1000);
	} while (queued < len);
	return true;
}

/* Step 4 */
static bool receive(struct orphans *o, struct tcp_zerocopy_receive *zc)
{
	socklen_t len = sizeof(*zc);

	memset(zc, 0, sizeof(*zc));
	zc->address = (uintptr_t)o->map;
	zc->length = o->nr_pages * psize();
	return !getsockopt(o->rx, IPPROTO_TCP, TCP_ZEROCOPY_RECEIVE, zc, &len);
}

FIXTURE(folio_orphan)
{
	struct orphans o;
};

FIXTURE_SETUP(folio_orphan)
{
	struct orphans *o = &self->o;
	const char *why;

	o->offline_block = -1;
	o->pagemap_fd = open("/proc/self/pagemap", O_RDONLY);
	o->kpageflags_fd = open("/proc/kpageflags", O_RDONLY);
	o->kpagecount_fd = open("/proc/kpagecount", O_RDONLY);

	ASSERT_TRUE(stay_on_this_cpu());
	o->scratch = mmap(NULL, psize(), PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANON, -1, 0);
	ASSERT_NE(o->scratch, MAP_FAILED);
	o->data = malloc(NR_ORPHANS * psize());
	ASSERT_NE(o->data, NULL);
	/* No two pages are the same. */
	for (size_t i = 0; i < NR_ORPHANS * psize(); i++)
		o->data[i] = i ^ (i >> 8) ^ (i / psize() + 1) * 37;

	why = open_connection(o);
	if (why)
		SKIP(return, "%s", why);
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

static struct page_info pfn_info(struct orphans *o, unsigned long pfn)
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
	uint64_t entry = pagemap_get_entry(o->pagemap_fd, o->map + i * psize());
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
static bool is_orphan(struct orphans *o, const struct page_info *info)
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

/*
 * Write the file, so that all its pages are where we want them.
 *
 * Return: why that can't be, or NULL.
 */
static const char *write_file_at(struct orphans *o,
				 bool (*wanted)(struct orphans *, unsigned long))
{
	const char *why = "no write";
	off_t hogged = 0, hog_max;
	struct sysinfo si;
	char *map;
	int hog;

	sysinfo(&si);
	hog_max = (off_t)si.freeram * si.mem_unit / 3;
	if (hog_max > HOG_MAX)
		hog_max = HOG_MAX;

	hog = memfd_create("hog", 0);
	map = mmap(NULL, o->nr_pages * psize(), PROT_READ, MAP_SHARED, o->file, 0);
	if (hog < 0 || map == MAP_FAILED)
		return "no mmap() of a file";

	while (write_data(o)) {
		why = NULL;
		force_read_pages(map, o->nr_pages, psize());
		for (int i = 0; i < o->nr_pages; i++) {
			o->pfns[i] = pagemap_get_pfn(o->pagemap_fd,
						     map + i * psize());
			if (!o->pfns[i] || o->pfns[i] == -1UL) {
				why = "no PFNs in pagemap (no CAP_SYS_ADMIN?)";
				goto out;
			}
			if (wanted && !wanted(o, o->pfns[i]))
				why = "no page in a suitable place (boot with movablecore=)";
		}
		/* Use up what the allocator has there, these pages first. */
		if (!why || hogged + HOG_STEP > hog_max ||
		    ftruncate(o->file, 0) ||
		    fallocate(hog, 0, hogged, HOG_STEP))
			break;
		hogged += HOG_STEP;
	}
out:
	munmap(map, o->nr_pages * psize());
	close(hog);
	drain_lru(o);
	return why;
}

/* Steps 1 to 4. Return: is there any point in going on? */
static bool make_orphans(struct __test_metadata *_metadata, struct orphans *o,
			 int nr_pages,
			 bool (*wanted)(struct orphans *, unsigned long))
{
	struct tcp_zerocopy_receive zc;
	struct page_info info;
	const char *why;

	if (o->kpageflags_fd < 0 || o->kpagecount_fd < 0)
		SKIP(return false,
		     "can't open /proc/kpageflags and /proc/kpagecount (not root?)");

	o->nr_pages = nr_pages;
	why = write_file_at(o, wanted);
	if (why)
		SKIP(return false, "%s", why);
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 1 write", i, &info);
		if (info.flags & (KPF_COMPOUND_HEAD | KPF_COMPOUND_TAIL))
			SKIP(return false, "tmpfs uses large folios, TCP only maps order-0 ones");
		if (!(info.flags & KPF_LRU))
			SKIP(return false, "pfn %#lx of the file is not on the LRU", info.pfn);
	}

	ASSERT_TRUE(send_data(o));
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 2 sendfile", i, &info);
	}

	ASSERT_EQ(ftruncate(o->file, 0), 0);
	drain_lru(o);
	for (int i = 0; i < nr_pages; i++) {
		info = pfn_info(o, o->pfns[i]);
		show_page("step 3 ftruncate", i, &info);
		/* On the LRU and not freed: the skbs have the page itself. */
		if (!(info.flags & KPF_LRU) || info.count)
			SKIP(return false, "pfn %#lx does not outlive the truncation: copied?",
			     info.pfn);
	}

	if (!receive(o, &zc))
		SKIP(return false, "TCP_ZEROCOPY_RECEIVE: %s", strerror(errno));
	ksft_print_msg("step 4 zerocopy: length %u recv_skip_hint %u\n", zc.length,
		       zc.recv_skip_hint);
	show_rx(o, "step 4 zerocopy");
	if (nr_orphans(o) != nr_pages)
		SKIP(return false, "tcp maps no orphan");
	return true;
}

/*
 * Nobody can do anything with an orphan, so nobody should take it off the LRU.
 * An isolated folio goes back there by way of a batch of the CPU: PG_lru stays
 * clear until the batch is drained, and we are on the same CPU.
 */
TEST_F(folio_orphan, pageout_keeps_orphan_on_lru)
{
	int nr_lost = 0;

	if (!make_orphans(_metadata, &self->o, NR_ORPHANS, NULL))
		return;

	ASSERT_EQ(madvise(self->o.map, NR_ORPHANS * psize(), MADV_PAGEOUT), 0);
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
		.addr = (uintptr_t)o->map,
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
	if (!make_orphans(_metadata, &self->o, NR_ORPHANS, in_zone_movable))
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

/* Return: does the mapping of the socket show what was sent? */
static bool shows_data(struct orphans *o, size_t len)
{
	if (!memcmp(o->map, o->data, len))
		return true;
	ksft_print_msg("what is mapped is not what was sent\n");
	return false;
}

static int unprivileged_child(struct orphans *o)
{
	size_t len = NR_ORPHANS * psize(), rest;
	struct tcp_zerocopy_receive zc;
	unsigned char *buf;
	pid_t pid;

	o->nr_pages = NR_ORPHANS;
	if (!write_data(o) || !send_data(o) || ftruncate(o->file, 0) ||
	    !receive(o, &zc)) {
		ksft_print_msg("sendfile or zerocopy: %s\n", strerror(errno));
		return 1;
	}
	ksft_print_msg("uid %d: %u bytes of %zu are mapped\n", geteuid(),
		       zc.length, len);
	if (zc.length > len || !shows_data(o, zc.length))
		return 1;

	/* It may fail, it must not do any harm. */
	madvise(o->map, len, MADV_COLD);
	madvise(o->map, len, MADV_PAGEOUT);
	mlock(o->map, len);
	munlock(o->map, len);

	/* Another process that maps it, and that ends with it mapped. */
	pid = fork();
	if (!pid) {
		madvise(o->map, len, MADV_PAGEOUT);
		_exit(!shows_data(o, zc.length));
	}
	madvise(o->map, len, MADV_PAGEOUT);
	if (pid < 0 || wait_child(pid, IO_TIMEOUT_SEC)) {
		ksft_print_msg("a child does not find the data\n");
		return 1;
	}
	if (!shows_data(o, zc.length))
		return 1;
	if (munmap(o->map, psize())) {
		ksft_print_msg("munmap: %s\n", strerror(errno));
		return 1;
	}

	/* What was not mapped has to be read. The rest is unmapped by exit. */
	rest = len - zc.length;
	buf = malloc(len);
	if (rest && (recv(o->rx, buf, rest, MSG_WAITALL) != rest ||
		     memcmp(buf, o->data + zc.length, rest))) {
		ksft_print_msg("what is read is not what was sent\n");
		return 1;
	}
	return 0;
}

/* Orphan or not, nobody gets hurt. */
TEST_F(folio_orphan, unprivileged)
{
	struct orphans *o = &self->o;
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
		munmap(o->map, NR_ORPHANS * psize());
		close(o->tx);
		close(o->rx);
		close(o->file);
		_exit(open_connection(o) || unprivileged_child(o));
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
	munmap(o->map, NR_ORPHANS * psize());
	o->map = MAP_FAILED;
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
	if (!make_orphans(_metadata, o, 1, in_offlinable_block))
		return;
	block = o->pfns[0] / memory_block_pages();

	err = madvise(o->map, psize(), MADV_HWPOISON) ? errno : 0;
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
